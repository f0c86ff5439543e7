"""The observer port: counts, and logs changes of the catalogue and of the lead."""

import time
from collections.abc import Sequence

import structlog
from inventory.v1 import cluster_pb2, inventory_pb2
from raft.messages import Entry, EntryKind
from raft.ready import Leadership, RaftRole

from inventory_node.machine import Applied, MutationOutcome
from inventory_node.runtime.metrics import NodeCounts

_log = structlog.get_logger()

ELECTIONS_MAX = 16  # elections that are remembered
LENGTH_DELIMITED = 2  # the wire type of a message field


def _first_bytes(*kinds: str) -> frozenset[bytes]:
    """Return the first bytes of these kinds' outcomes, so that other outcomes need no parsing."""
    fields = inventory_pb2.Outcome.DESCRIPTOR.fields_by_name
    return frozenset(bytes([fields[kind].number << 3 | LENGTH_DELIMITED]) for kind in kinds)


CATALOGUE = _first_bytes("add_item", "update_item", "delete_item", "set_stock", "adjust_stock")
ORDERS = _first_bytes("order_item", "place_order")


class MemberWatcher:
    """The `Observer` port: counts, and logs changes of the catalogue and of the lead."""

    def __init__(self, counts: NodeCounts, *, orders: bool = False) -> None:
        """Count into `counts`; with `orders`, log orders, too, at level debug."""
        self._counts = counts
        self._told = CATALOGUE | ORDERS if orders else CATALOGUE
        self.elections: tuple[cluster_pb2.Election, ...] = ()  # that brought a leader, oldest first

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Count an entry, and log its changes of the catalogue."""
        self._counts.applied_entries += 1
        self._counts.applied_commands += len(outcomes)
        if entry.kind is not EntryKind.COMMAND:
            return
        for outcome in outcomes:
            if isinstance(outcome, MutationOutcome) and outcome.outcome[:1] in self._told:
                _tell(inventory_pb2.Outcome.FromString(outcome.outcome))

    def filled_up(self, *, is_full: bool) -> None:
        """Log whether there is space, and note the state for the metrics."""
        self._counts.is_full = is_full
        if is_full:
            _log.error("disk_full", effect="nothing is changed until there is space again")
        else:
            _log.info("disk_has_space")

    def warned(self, what: str, detail: str) -> None:
        """Log the warning."""
        _log.error(what, detail=detail)

    def lead_changed(self, leadership: Leadership, leader: str) -> None:
        """Count, log and remember a change of the leadership."""
        self._counts.elections += 1
        self._counts.candidacies += leadership.role is RaftRole.CANDIDATE
        _log.info("leadership", role=leadership.role.value, term=leadership.term)
        if leader and leadership.term not in [one.term for one in self.elections]:
            election = cluster_pb2.Election(term=leadership.term, leader=leader)
            election.see_time.FromNanoseconds(time.time_ns())
            self.elections = (*self.elections, election)[-ELECTIONS_MAX:]


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
        case "order_item":
            _log.debug("ordered", order_id=outcome.order_item.order_id)
        case "place_order":
            _log.debug("ordered", order_id=outcome.place_order.order.id)
        case _:
            pass
