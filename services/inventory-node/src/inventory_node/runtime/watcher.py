"""The observer port: counts, and tells of changes of the catalogue and of the lead."""

from collections.abc import Sequence

import structlog
from inventory.v1 import inventory_pb2
from raft.messages import Entry, EntryKind
from raft.ready import Leadership

from inventory_node.machine import Applied, Kept
from inventory_node.runtime.metrics import Counts

_log = structlog.get_logger()

LENGTH_DELIMITED = 2  # the wire type of a message field
# The first byte of an outcome says its kind, so that orders pass without being parsed.
CATALOGUE = frozenset(
    bytes([field.number << 3 | LENGTH_DELIMITED])
    for field in inventory_pb2.Outcome.DESCRIPTOR.fields
    if field.name in {"add_item", "update_item", "delete_item", "set_stock", "adjust_stock"}
)


class Watcher:
    """The `Observer` port: counts, and tells of changes of the catalogue and of the lead."""

    def __init__(self, counts: Counts) -> None:
        """Count into `counts`."""
        self._counts = counts

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Count, and log what changed the catalogue."""
        self._counts.applied_entries += 1
        self._counts.applied_commands += len(outcomes)
        if entry.kind is not EntryKind.COMMAND:
            return
        for outcome in outcomes:
            # The first byte of an outcome is its kind: orders are let pass without parsing.
            if isinstance(outcome, Kept) and outcome.outcome[:1] in CATALOGUE:
                _tell(inventory_pb2.Outcome.FromString(outcome.outcome))

    def lead_changed(self, leadership: Leadership) -> None:
        """Count and log."""
        self._counts.elections += 1
        _log.info("leadership", role=leadership.role.value, term=leadership.term)


def _tell(outcome: inventory_pb2.Outcome) -> None:
    match outcome.WhichOneof("result"):
        case "add_item":
            item = outcome.add_item.item
            _log.info(f"added item {item.name!r}, id {item.id}")
        case "update_item":
            item = outcome.update_item.item
            _log.info(f"updated item {item.name!r}, id {item.id}")
        case "delete_item":
            item = outcome.delete_item.item
            _log.info(f"deleted item {item.name!r}, id {item.id}")
        case "set_stock":
            stock = outcome.set_stock
            _log.info(f"item {stock.item_id} has {stock.on_hand_after} on hand")
        case "adjust_stock":
            adjusted = outcome.adjust_stock
            _log.info(f"item {adjusted.item_id} has {adjusted.on_hand_after} on hand")
        case _:
            pass
