"""Stock is conserved, by the outcomes alone."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from inventory.raft.v1 import log_pb2
from inventory.v1 import inventory_pb2
from inventory_node.machine import MutationOutcome
from sim import histories
from sim.histories import History, entries_of
from sim.machines import STOCK, Hand


@pytest.mark.slow
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(history=histories.histories)
def test_stock_is_what_it_was_less_orders_and_with_adjustments(history: History) -> None:
    """Conservation, from the outcomes alone; no level is ever below zero; each request once."""
    levels = dict.fromkeys((1, 2, 3), STOCK)
    seen: set[tuple[int, str, bytes]] = set()
    hand = Hand()
    for one in entries_of(history):
        batch = log_pb2.Batch.FromString(one.payload)
        for command, applied in zip(batch.commands, hand.machine.apply(one), strict=True):
            kind = command.mutation.WhichOneof("operation")
            if not isinstance(applied, MutationOutcome) or kind is None:
                continue
            request = getattr(command.mutation, kind)
            key = (command.user_id, request.request_id, applied.outcome)
            if key not in seen:
                seen.add(key)
                account(levels, request, inventory_pb2.Outcome.FromString(applied.outcome))
            assert min(levels.values()) >= 0
    for item_id, level in levels.items():
        item = hand.machine._cache.item(item_id)
        assert item is not None
        assert item.quantity == level


def account(levels: dict[int, int], request: Any, outcome: inventory_pb2.Outcome) -> None:  # noqa: ANN401 - of any mutation
    """Do with `levels` what an outcome says was done, and compare where it says a level."""
    match outcome.WhichOneof("result"):
        case "order_item":
            levels[request.item_id] -= request.quantity
            assert levels[request.item_id] == outcome.order_item.on_hand_after
        case "place_order":
            for line in outcome.place_order.order.lines:
                levels[line.item_id] -= line.quantity
                assert levels[line.item_id] == line.on_hand_after
        case "adjust_stock":
            levels[request.item_id] += request.delta
            assert levels[request.item_id] == outcome.adjust_stock.on_hand_after
        case "set_stock":
            levels[request.item_id] = request.quantity
        case "add_item":
            levels[outcome.add_item.item.id] = outcome.add_item.item.quantity
        case _:
            pass
