"""What the commands must come to: the rules of stock once more, in a few lines.

The ledger sees each entry when it is applied first, anywhere, and each answer when a client gets
it.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from google.rpc import status_pb2
from inventory.raft.v1 import raw_pb2
from inventory.v1 import inventory_pb2
from inventory_node.machine import Applied, MutationOutcome
from raft.messages import Entry, EntryKind
from wire import errors

from sim.clients import ClientOperation, Read
from sim.coverage import Coverage
from sim.violation import SafetyViolation

Changes = tuple[tuple[int, int], ...]  # (item, delta)s


def changes_of(mutation: inventory_pb2.Mutation) -> Changes:
    """Return what a mutation does to the levels, if it is not refused."""
    match mutation.WhichOneof("operation"):
        case "order_item":
            return ((mutation.order_item.item_id, -mutation.order_item.quantity),)
        case "place_order":
            return tuple((line.item_id, -line.quantity) for line in mutation.place_order.lines)
        case "adjust_stock":
            return ((mutation.adjust_stock.item_id, mutation.adjust_stock.delta),)
        case _:
            return ()


def levels_of(outcome: inventory_pb2.Outcome, changes: Changes) -> Changes:
    """Return the levels that an outcome tells of, by item, of these `changes`."""
    item_id = changes[0][0] if changes else 0
    match outcome.WhichOneof("result"):
        case "order_item":
            return ((item_id, outcome.order_item.on_hand_after),)
        case "place_order":
            lines = outcome.place_order.order.lines
            return tuple((line.item_id, line.on_hand_after) for line in lines)
        case "adjust_stock":
            return ((item_id, outcome.adjust_stock.on_hand_after),)
        case _:
            return ()


class Ledger:
    """Levels and requests, entry after entry.

    - Stock is never negative: on hand = start - orders + restock, after every entry. There are no
      reservations, so all that is on hand is available.
    - A request is applied once; asked again, it comes to the same bytes.
    - What is refused for want of stock was wanting; what is not refused was there.
    - What a client is told stands at its revision.
    """

    def __init__(self, start: Mapping[int, int], coverage: Coverage) -> None:
        """Begin with these levels, by item."""
        self._coverage = coverage
        self._levels: dict[int, list[tuple[int, int]]] = {
            item: [(0, level)] for item, level in start.items()
        }  # (revision, level)s, ascending
        self.outcomes: dict[tuple[int, str], bytes] = {}  # by user and request id
        self._orders: set[int] = set()
        self.last_index = 0

    def level(self, item_id: int, revision: int) -> int:
        """Return the level of an item at a revision."""
        levels = self._levels[item_id]
        return levels[bisect_right(levels, revision, key=lambda pair: pair[0]) - 1][1]

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Judge an entry and its outcomes; the caller passes each entry once, in order."""
        self.last_index = entry.index
        if entry.kind is not EntryKind.COMMAND:
            return
        commands = raw_pb2.RawBatch.FromString(entry.payload).commands
        for raw, outcome in zip(commands, outcomes, strict=True):
            command = raw_pb2.RawCommand.FromString(raw)
            if command.HasField("mutation") and isinstance(outcome, MutationOutcome):
                self._mutated(entry.index, command.user_id, command.mutation, outcome.outcome)

    def _mutated(self, index: int, user_id: int, raw: bytes, kept: bytes) -> None:
        mutation = inventory_pb2.Mutation.FromString(raw)
        kind = mutation.WhichOneof("operation")
        request_id = getattr(mutation, kind or "").request_id
        known = self.outcomes.get((user_id, request_id))
        if known is not None:
            if known != kept:
                raise SafetyViolation(f"applied twice: {request_id}, at {index}: {kept!r}")
            return
        self.outcomes[user_id, request_id] = kept
        outcome = inventory_pb2.Outcome.FromString(kept)
        result = outcome.WhichOneof("result")
        changes = changes_of(mutation)
        after = {item: self.level(item, index) + delta for item, delta in changes}
        if result == "error":
            if min(after.values(), default=0) >= 0 and _is_shortage(outcome.error):
                raise SafetyViolation(f"{request_id} was refused at {index}: {outcome.error}")
            self._coverage["refused for want of stock"] += _is_shortage(outcome.error)
            return
        if min(after.values(), default=0) < 0 or dict(levels_of(outcome, changes)) != after:
            raise SafetyViolation(
                f"stock after {request_id} at {index} must be {after}, and the outcome is {outcome}"
            )
        for item, level in after.items():
            self._levels[item].append((index, level))
        if result in ("order_item", "place_order"):
            order_id = order_id_of(outcome)
            if order_id in self._orders:
                raise SafetyViolation(f"two orders have the id {order_id}")
            self._orders.add(order_id)

    def told(self, user_id: int, operation: ClientOperation, outcome: bytes) -> None:
        """Require that an outcome which a client is told is one that was applied."""
        if self.outcomes.get((user_id, operation.request_id)) != outcome:
            raise SafetyViolation(
                f"a client was told {outcome!r} of {operation.request_id}, which came to "
                f"{self.outcomes.get((user_id, operation.request_id))!r}"
            )
        if operation.acknowledged and operation.receipt.revision <= operation.floor:
            raise SafetyViolation(
                f"{operation.request_id} was done at revision {operation.receipt.revision}, and "
                f"{operation.floor} was known when it was asked for"
            )

    def levels_told(self, read: Read) -> None:
        """Require that the levels of a read are those of one revision, not older than asked."""
        shown = {item: self.level(item, read.revision) for item in read.levels}
        if read.revision > self.last_index or read.revision < read.floor or shown != read.levels:
            raise SafetyViolation(
                f"a {read.kind} read shows {read.levels} at revision {read.revision}; it should "
                f"show {shown}, at {read.floor} or later"
            )


def order_id_of(outcome: inventory_pb2.Outcome) -> int:
    """Return the id of the order that was placed."""
    if outcome.WhichOneof("result") == "order_item":
        return outcome.order_item.order_id
    return outcome.place_order.order.id


def _is_shortage(status: status_pb2.Status) -> bool:
    return errors.reason_of(status) is errors.Reason.INSUFFICIENT_STOCK
