"""Members stay equal: the same entries, whatever each member flushes, evicts and restarts."""

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine import MutationOutcome, request_table, state_cache
from raft.messages import Entry
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    START_MS,
    STOCK,
    WATCHER,
    Hand,
    adjust,
    by,
    entry,
    first_state,
    open_database,
    order,
    place,
    usd,
    uuid7,
)

ITEMS = 5
Command = log_pb2.Command

users = st.sampled_from((CUSTOMER, SECOND_CUSTOMER, PRODUCER, ADMIN, WATCHER, 6))
epochs = st.sampled_from((1, 1, 1, 2))
item_ids = st.integers(1, ITEMS)
# Few ids, so that retries and reuse are frequent; times that are expired, good and in the future.
request_ids = st.one_of(
    st.sampled_from([f"id-{number}" for number in range(12)]),
    st.builds(
        uuid7,
        st.sampled_from([START_MS + second * 1_000 for second in (-90_000, -5, 0, 1, 2, 250, 400)]),
        st.integers(0, 2),
    ),
)


def add(request_id: str, quantity: int) -> inventory_pb2.Mutation:
    """Return an added item."""
    request = inventory_pb2.AddItemRequest(
        request_id=request_id, name="More", price=usd(3), quantity=quantity
    )
    return inventory_pb2.Mutation(add_item=request)


def delete(request_id: str, item_id: int) -> inventory_pb2.Mutation:
    """Return a deletion."""
    request = inventory_pb2.DeleteItemRequest(request_id=request_id, item_id=item_id)
    return inventory_pb2.Mutation(delete_item=request)


def set_stock(request_id: str, item_id: int, quantity: int) -> inventory_pb2.Mutation:
    """Return a count."""
    request = inventory_pb2.SetStockRequest(
        request_id=request_id, item_id=item_id, quantity=quantity
    )
    return inventory_pb2.Mutation(set_stock=request)


def administrations(request_id: str, user_id: int, kind: int) -> log_pb2.Administration:
    """Return one of three administrations."""
    if kind == 0:
        name = request_id[-4:]
        user = log_pb2.NewUser(name=name, folded_name=name, role=auth_pb2.ROLE_ADMIN)
        user.password_hash = "h"  # noqa: S105 - of nothing
        return log_pb2.Administration(
            request_id=request_id, create_user=log_pb2.CreateUser(user=user)
        )
    if kind == 1:
        password = log_pb2.SetPassword(user_id=user_id, password_hash="h")  # noqa: S106 - of nothing
        return log_pb2.Administration(request_id=request_id, set_password=password)
    end = auth_pb2.DisableUserRequest(user_id=user_id)
    return log_pb2.Administration(request_id=request_id, disable_user=end)


lines = st.dictionaries(item_ids, st.integers(1, 60), min_size=1, max_size=3)
mutations = st.one_of(
    st.builds(order, request_ids, item_ids, st.integers(1, 60)),
    st.builds(lambda request_id, some: place(request_id, *some.items()), request_ids, lines),
    st.builds(adjust, request_ids, item_ids, st.integers(-60, 60).filter(bool)),
    st.builds(set_stock, request_ids, item_ids, st.integers(0, 60)),
    st.builds(add, request_ids, st.integers(0, 9)),
    st.builds(delete, request_ids, item_ids),
)
commands = st.one_of(
    st.builds(by, users, mutations, epochs),
    st.builds(by, users, mutations, epochs),
    st.builds(
        lambda user_id, epoch, administration: Command(
            user_id=user_id, epoch=epoch, administration=administration
        ),
        st.sampled_from((0, ADMIN, CUSTOMER)),
        epochs,
        st.builds(administrations, request_ids, users, st.integers(0, 2)),
    ),
)
gaps_ms = st.sampled_from((0, 0, 1, 900, 1_000, 60_000, 3_600_000, 86_400_000))
histories = st.lists(st.tuples(gaps_ms, st.lists(commands, max_size=4)), min_size=1, max_size=12)
plans = st.lists(st.sampled_from(("go on", "flush", "restart")), min_size=12, max_size=12)


def entries_of(history: list[tuple[int, list[Command]]]) -> list[Entry]:
    """Return the log of a history."""
    stamp_ms = START_MS
    made = [entry(1, stamp_ms, first_state())]
    for gap_ms, batch in history:
        stamp_ms += gap_ms
        made.append(entry(len(made) + 1, stamp_ms, *batch))
    return made


def run(entries: list[Entry], plan: list[str]) -> tuple[list[object], str]:
    """Apply entries by a plan of flushes and restarts; return all outcomes and the state's hash.

    A restart loses what was not flushed; the entries since are applied again, and have to come to
    what they came to before.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "state.db")
        hand = Hand(database)
        outcomes: dict[int, object] = {}
        for index, one in enumerate(entries):
            outcomes[index] = hand.machine.apply(one)
            step = plan[index % len(plan)] if plan else "go on"
            if step == "flush":
                hand.flush(database)
            elif step == "restart":
                hand = Hand(database)
                for again in range(hand.machine.applied_index, index + 1):
                    assert hand.machine.apply(entries[again]) == outcomes[again]
        hand.flush(database)
        pinned = database.pin()
        found = pinned.sha256()
        pinned.close()
        database.close()
        return list(outcomes.values()), found


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(history=histories, plan=plans)
def test_two_members_come_to_the_same(
    history: list[tuple[int, list[Command]]], plan: list[str]
) -> None:
    """Outcomes are equal byte by byte, and so is the state, wherever the flushes fall."""
    entries = entries_of(history)
    assert run(entries, plan) == run(entries, [])


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(history=histories, plan=plans)
def test_two_members_come_to_the_same_with_hardly_any_memory(
    history: list[tuple[int, list[Command]]], plan: list[str]
) -> None:
    """Forgetting and eviction depend on the log alone, or do not show."""
    entries = entries_of(history)
    with (
        mock.patch.multiple(request_table, KEPT_MAX=6, RESIDENT_MAX=1, FORGOTTEN_PER_ENTRY_MAX=2),
        mock.patch.multiple(state_cache, ITEMS_MAX=1, USERS_MAX=1),
    ):
        assert run(entries, plan) == run(entries, [])


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(history=histories)
def test_stock_is_what_it_was_less_orders_and_with_adjustments(
    history: list[tuple[int, list[Command]]],
) -> None:
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
