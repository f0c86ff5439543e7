"""What must hold, whatever happens: looked at after every event, and once more at the end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crc32c import crc32c
from inventory_node.machine import Administered, Applied, Kept
from raft.messages import Entry
from raft.ready import Role

from sim.clients import Operation, Read


class SafetyViolation(Exception):  # noqa: N818 - what was found is its name
    """The cluster did what it must never do."""


class Checks:
    """Safety, kept incrementally (Raft Figure 3).

    - Election safety: at most one leader in a term.
    - State machine safety: no two members apply different entries at an index, and they come to
      the same outcomes.
    - Leader completeness: whoever leads holds everything that was ever applied.
    - A member applies no entry twice in one life of its process.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.leaders: dict[int, int] = {}  # by term
        self.applied: dict[int, tuple[int, ...]] = {}  # by index: term, kind, two checksums
        self.last_index = 0  # the last that was applied anywhere
        self.commands = 0  # of all members together
        self._position: dict[int, int] = {}  # the last index applied, by member

    def started(self, member: int, applied_index: int) -> None:
        """See where a member goes on from."""
        self._position[member] = applied_index

    def entry(self, member: int, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """See an entry that a member applied."""
        if entry.index <= self._position[member]:
            raise SafetyViolation(
                f"member {member} applies {entry.index} after {self._position[member]}"
            )
        self._position[member] = entry.index
        self.last_index = max(self.last_index, entry.index)
        self.commands += len(outcomes)
        found = (entry.term, entry.kind, crc32c(entry.payload), checksum(outcomes))
        known = self.applied.setdefault(entry.index, found)
        if known != found:
            raise SafetyViolation(
                f"member {member} applies another entry at {entry.index}, or to another end: "
                f"{found}, not {known}"
            )

    def member(self, member: int, role: Role, term: int, last_index: int) -> None:
        """See what a member takes itself for."""
        if role is not Role.LEADER:
            return
        known = self.leaders.get(term)
        if known is None:
            self.leaders[term] = member
            if last_index < self.last_index:
                raise SafetyViolation(
                    f"member {member} leads term {term} with a log up to {last_index}, "
                    f"and {self.last_index} was applied"
                )
        elif known != member:
            raise SafetyViolation(f"members {known} and {member} both lead term {term}")


def checksum(outcomes: Sequence[Applied]) -> int:
    """Return a checksum over the bytes of all outcomes."""
    check = 0
    for outcome in outcomes:
        data = outcome.outcome if isinstance(outcome, Kept | Administered) else outcome.status
        check = crc32c(data, check)
    return check


@dataclass(frozen=True, slots=True)
class State:
    """What a member's database says at the end."""

    on_hand: Mapping[int, int]  # by item
    orders: tuple[tuple[int, int, int], ...]  # id, item and quantity, one for each line


def check_history(history: Iterable[Operation], start: Mapping[int, int], state: State) -> None:
    """Compare what clients were told with what is there; every outcome must be known.

    - Every acknowledged order is there once, and there is no other.
    - Stock is what it was at the start, less what was ordered, plus what was restocked.
    """
    expected: list[tuple[int, int, int]] = []
    on_hand = dict(start)
    for operation in history:
        if operation.return_us is None:
            raise SafetyViolation(f"the outcome of {operation.request_id} is not known")
        if not operation.acknowledged:
            continue
        change = -operation.quantity if operation.is_order else operation.quantity
        on_hand[operation.item_id] += change
        if operation.is_order:
            expected.append((operation.order_id, operation.item_id, operation.quantity))
    if sorted(expected) != sorted(state.orders):
        lost = set(expected) - set(state.orders)
        doubled = [line for line in set(state.orders) if state.orders.count(line) > 1]
        unknown = set(state.orders) - set(expected)
        raise SafetyViolation(f"orders lost: {lost}; not acknowledged: {unknown}; twice: {doubled}")
    if on_hand != dict(state.on_hand):
        raise SafetyViolation(f"stock is {dict(state.on_hand)} and should be {on_hand}")


def check_order(
    history: Sequence[Operation], reads: Iterable[Read], start: Mapping[int, int]
) -> None:
    """Compare revisions with real time: what began later than an answer comes after it.

    - A mutation stands behind everything that any client had been told of before it was called.
    - A read shows all of that, and exactly the stock of its revision (linearizability).
    """
    done = [operation for operation in history if operation.acknowledged]
    for operation in done:
        if operation.revision <= operation.floor:
            raise SafetyViolation(
                f"{operation.request_id} was done at revision {operation.revision}, and "
                f"{operation.floor} was known when it was asked for"
            )
    for read in reads:
        changes = [
            -operation.quantity if operation.is_order else operation.quantity
            for operation in done
            if operation.item_id == read.item_id and operation.revision <= read.revision
        ]
        quantity = start[read.item_id] + sum(changes)
        if read.revision < read.floor or read.quantity != quantity:
            raise SafetyViolation(
                f"a read of item {read.item_id} shows {read.quantity} at revision {read.revision};"
                f" it should show {quantity}, at {read.floor} or later"
            )
