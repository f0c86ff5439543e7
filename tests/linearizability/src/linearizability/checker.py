"""The search for an order of instants that explains a history (Wing & Gong 1993; Lowe 2017).

Five rules make the search quick on long histories:

- Operations with a known outcome are in lanes; in a lane, each operation ends before the next
  begins. So a position is one small number for each lane, and only the first operation that is left
  in each lane may be next.
- An operation of unknown outcome that only adds or takes is put off until an operation with a known
  outcome needs it. It has no end, so a later instant is always allowed, and no operation that does
  not need it can see it.
- Operations of unknown outcome with the same effect are one kind, taken in the order of their
  calls: the earlier call may be placed wherever the later call may.
- Of operations that did and saw the same, the operation that ends first goes first. If an order has
  the other operation first, the two can be exchanged.
- A position is given up if an operation has yet to see a higher level than the present level, and
  no operation that raises the level can come in time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from linearizability.history import NEVER_NS, Contradiction, JudgedOperation, read
from linearizability.model import State, is_passive, step

STEPS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a history is linearizable, and where it stops being so.

    - After a search that gave up, `ok` is false, and `gave_up` tells this from a violation.
    """

    ok: bool
    operations: int
    partitions: int
    explanation: str = ""
    gave_up: bool = False


class Position(NamedTuple):
    """How many operations have been given their instants, and the levels after them."""

    lanes: tuple[int, ...]  # how many operations of each lane
    kinds: tuple[int, ...]  # how many operations of each kind of unknown outcome
    state: State


class GaveUp(Exception):  # noqa: N818 - neither yes nor no
    """The search took too long: nothing is proven."""


def partitions(operations: Iterable[JudgedOperation]) -> Iterator[list[JudgedOperation]]:
    """Yield groups of operations that share no item with another group (union-find)."""
    parent: dict[int, int] = {}

    def root(item: int) -> int:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    kept = [operation for operation in operations if operation.items]
    for operation in kept:
        first, *rest = operation.items
        for item in rest:
            parent[root(item)] = root(first)
    groups: dict[int, list[JudgedOperation]] = {}
    for operation in kept:
        groups.setdefault(root(operation.items[0]), []).append(operation)
    for item in sorted(groups):
        yield groups[item]


def lanes_of(operations: Iterable[JudgedOperation]) -> list[list[JudgedOperation]]:
    """Distribute operations over lanes: in a lane, each returns before the next is called."""
    lanes: list[list[JudgedOperation]] = []
    for operation in sorted(operations, key=lambda one: one.call_ns):
        for lane in lanes:
            if lane[-1].return_ns < operation.call_ns:
                lane.append(operation)
                break
        else:
            lanes.append([operation])
    return lanes


def kinds_of(
    operations: Sequence[JudgedOperation],
) -> tuple[list[list[JudgedOperation]], list[bool]]:
    """Group operations of unknown outcome by effect, each group by call; say which can be put off.

    An operation that sets a count outright cannot be put off: its effect depends on its instant. If
    any count is set, an operation on several items cannot either: a set may hide the effect on one
    item, and not on the other.
    """
    some_are_set = any(operation.exactly is not None for operation in operations)
    groups: dict[object, list[JudgedOperation]] = {}
    for operation in sorted(operations, key=lambda one: one.call_ns):
        if operation.ok is None:
            groups.setdefault((operation.changes, operation.exactly), []).append(operation)
    kinds = list(groups.values())
    can_wait = [
        kind[0].exactly is None and not (some_are_set and len(kind[0].changes) > 1)
        for kind in kinds
    ]
    return kinds, can_wait


def effect_of(operation: JudgedOperation) -> object:
    """Return what an operation did and saw: everything about it but its time."""
    is_read = operation.kind == "get"
    return is_read, operation.ok, operation.changes, operation.exactly, operation.seen


def may_raise(operation: JudgedOperation, item: int) -> bool:
    """Return whether the level of an item may be higher after an operation."""
    if operation.exactly is not None:
        return item in operation.items
    return any(delta > 0 and touched == item for touched, delta in operation.changes)


def calls_that_raise(lane: Sequence[JudgedOperation], item: int) -> list[int]:
    """Return, for each place in a lane, the call of the next operation that may raise a level."""
    calls = [NEVER_NS]
    for operation in reversed(lane):
        raises = operation.ok and may_raise(operation, item)
        calls.append(operation.call_ns if raises else calls[-1])
    return calls[::-1]


class Search:
    """The search in one partition.

    - Every position is examined once.
    - The order of time holds: an operation may be next only if it was called before the end of
      every operation that has no instant yet.
    """

    def __init__(self, operations: Sequence[JudgedOperation], initial: Mapping[int, int]) -> None:
        """Begin with the levels of `initial`."""
        self._lanes = lanes_of(one for one in operations if one.ok is not None)
        self._kinds, self._can_wait = kinds_of(operations)
        items = sorted({item for operation in operations for item in operation.items})
        self._places = {item: place for place, item in enumerate(items)}
        self._raises = {
            item: [calls_that_raise(lane, item) for lane in self._lanes] for item in items
        }
        self._initial: State = tuple(initial[item] for item in items)
        self._steps = 0
        self._furthest = Position((0,) * len(self._lanes), (0,) * len(self._kinds), self._initial)

    def run(self) -> str:
        """Return an empty string if an order was found, else why there is none; raise GaveUp."""
        ends = tuple(len(lane) for lane in self._lanes)
        first = self._settle(self._furthest)
        known = {first}
        ways = [
            iter((first,))
        ]  # for each position on the way here: its followers that are not tried yet
        while ways:
            position = next(ways[-1], None)
            if position is None:
                ways.pop()
                continue
            if position.lanes == ends:
                return ""
            if sum(position.lanes) >= sum(self._furthest.lanes):
                self._furthest = position
            ways.append(self._unseen(position, known))
        return self._explain()

    def _unseen(self, position: Position, known: set[Position]) -> Iterator[Position]:
        """Yield the positions after a position that no other way has led to."""
        for following in self._following(position):
            settled = self._settle(following)
            if settled not in known:
                known.add(settled)
                if not self._is_lost(settled):
                    yield settled

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise GaveUp(f"gave up after {STEPS_MAX:,} steps: nothing is proven")

    def _candidates(self, position: Position) -> tuple[list[tuple[int, JudgedOperation]], int]:
        """Return the operations that may be next, with their lanes, and the earliest end of all."""
        nexts = [
            (number, lane[count])
            for number, (lane, count) in enumerate(zip(self._lanes, position.lanes, strict=True))
            if count < len(lane)
        ]
        nexts.sort(key=lambda one: one[1].return_ns)
        earliest = nexts[0][1].return_ns if nexts else NEVER_NS
        first_of_each: dict[object, tuple[int, JudgedOperation]] = {}
        for number, operation in nexts:
            if operation.call_ns <= earliest:
                first_of_each.setdefault(effect_of(operation), (number, operation))
        return list(first_of_each.values()), earliest

    def _settle(self, position: Position) -> Position:
        """Give instants to operations that fit and change nothing: this can never be wrong."""
        while True:
            for lane, operation in self._candidates(position)[0]:
                if is_passive(operation) and self._fits(operation, position.state):
                    position = self._taken(position, lane, position.kinds, position.state)
                    break
            else:
                return position

    def _fits(self, operation: JudgedOperation, state: State) -> bool:
        return step(operation, state, self._places) is not None

    @staticmethod
    def _taken(position: Position, lane: int, kinds: tuple[int, ...], state: State) -> Position:
        lanes = position.lanes
        return Position((*lanes[:lane], lanes[lane] + 1, *lanes[lane + 1 :]), kinds, state)

    def _following(self, position: Position) -> Iterator[Position]:
        """Yield the next positions, first those that need no operation of unknown outcome."""
        candidates, earliest = self._candidates(position)
        needy = []
        for lane, operation in candidates:
            self._count_step()
            after = step(operation, position.state, self._places)
            if after is not None:
                yield self._taken(position, lane, position.kinds, after)
            else:
                needy.append((lane, operation))
        open_kinds = self._open_kinds(position, earliest)
        for lane, operation in needy:
            if self._is_lost(position, besides=operation):
                continue
            for kinds, state in self._enabled(operation, position, open_kinds):
                after = step(operation, state, self._places)
                if after is not None:
                    yield self._taken(position, lane, kinds, after)
        for kind in open_kinds:
            if not self._can_wait[kind]:
                yield from self._one_more(position, kind, open_kinds)

    def _is_lost(self, position: Position, besides: JudgedOperation | None = None) -> bool:
        """Return whether some next operation needs a level that cannot be reached before its end.

        `besides` counts as given its instant, after which the levels are what it saw.
        """
        levels = dict(zip(self._places, position.state, strict=True))
        if besides is not None:
            levels.update(besides.seen)
        raised_at: dict[int, int] = {}
        for lane, count in zip(self._lanes, position.lanes, strict=True):
            if count == len(lane) or lane[count].exactly is not None or lane[count] is besides:
                continue
            deltas = dict(lane[count].changes)
            for item, seen in lane[count].seen:
                if levels[item] + deltas.get(item, 0) < seen and deltas.get(item, 0) <= 0:
                    if item not in raised_at:
                        raised_at[item] = self._raised_at(item, position)
                    if raised_at[item] > lane[count].return_ns:
                        return True
        return False

    def _raised_at(self, item: int, position: Position) -> int:
        """Return the earliest call of an operation that may raise an item's level from here on."""
        earliest = NEVER_NS
        for raises, count in zip(self._raises[item], position.lanes, strict=True):
            earliest = min(earliest, raises[count])
        for kind, used in zip(self._kinds, position.kinds, strict=True):
            if used < len(kind) and may_raise(kind[0], item):
                earliest = min(earliest, kind[used].call_ns)
        return earliest

    def _open_kinds(self, position: Position, earliest: int) -> dict[int, int]:
        """Return how many operations of each kind were called early enough to be next."""
        return {
            number: count
            for number, (kind, used) in enumerate(zip(self._kinds, position.kinds, strict=True))
            if (count := sum(one.call_ns <= earliest for one in kind[used:]))
        }

    def _one_more(
        self, position: Position, kind: int, open_kinds: Mapping[int, int]
    ) -> Iterator[Position]:
        """Yield the positions after an operation of a kind that cannot be put off."""
        operation = self._kinds[kind][0]
        ways = iter([(position.kinds, position.state)])
        if not self._fits(operation, position.state):
            ways = self._enabled(operation, position, open_kinds)
        for kinds, state in ways:
            after = step(operation, state, self._places)
            if after is not None and after != position.state:
                more = (*kinds[:kind], kinds[kind] + 1, *kinds[kind + 1 :])
                yield Position(position.lanes, more, after)

    def _enabled(
        self, operation: JudgedOperation, position: Position, open_kinds: Mapping[int, int]
    ) -> Iterator[tuple[tuple[int, ...], State]]:
        """Yield the smallest choices of operations of unknown outcome after which `operation` fits.

        A larger choice is never needed: the operations beyond the smallest can come later.
        """
        usable = self._concerned(operation, open_kinds)
        # Operations that add go first, so that no choice is missed because a level runs out.
        usable.sort(key=lambda one: -sum(delta for _, delta in self._kinds[one[0]][0].changes))
        choices = [(position.kinds, position.state, 0)]
        while choices:
            longer = []
            for kinds, state, start in choices:
                for place in range(start, len(usable)):
                    number, count = usable[place]
                    if kinds[number] - position.kinds[number] == count:
                        continue
                    self._count_step()
                    after = step(self._kinds[number][0], state, self._places)
                    if after is None:
                        continue
                    more = (*kinds[:number], kinds[number] + 1, *kinds[number + 1 :])
                    if self._fits(operation, after):
                        yield more, after
                    elif not self._is_beyond(operation, after, usable):
                        longer.append((more, after, place))
            choices = longer

    def _concerned(
        self, operation: JudgedOperation, open_kinds: Mapping[int, int]
    ) -> list[tuple[int, int]]:
        """Return the kinds that can be put off and are linked to `operation` by shared items."""
        items = set(operation.items)
        usable: dict[int, int] = {}
        grown = True
        while grown:
            grown = False
            for number, count in open_kinds.items():
                touched = self._kinds[number][0].items
                if (
                    number not in usable
                    and self._can_wait[number]
                    and not items.isdisjoint(touched)
                ):
                    usable[number] = count
                    items.update(touched)
                    grown = True
        return list(usable.items())

    def _is_beyond(
        self, operation: JudgedOperation, state: State, usable: Sequence[tuple[int, int]]
    ) -> bool:
        """Return whether a level is below what `operation` saw, and no usable kind adds to it."""
        if operation.exactly is not None:
            return False
        deltas = dict(operation.changes)
        for item, seen in operation.seen:
            if state[self._places[item]] + deltas.get(item, 0) < seen and not any(
                delta > 0
                for number, _ in usable
                for other, delta in self._kinds[number][0].changes
                if other == item
            ):
                return True
        return False

    def _explain(self) -> str:
        position = self._furthest
        levels = {item: position.state[place] for item, place in self._places.items()}
        stuck = [operation for _, operation in self._candidates(position)[0]]
        shown = "\n".join(f"  {operation}" for operation in stuck)
        return (
            f"{sum(position.lanes)} of {sum(map(len, self._lanes))} operations can be ordered; "
            f"then, with the levels {levels}, none of these can be next:\n{shown}"
        )


def check(operations: Sequence[JudgedOperation], initial: Mapping[int, int]) -> Verdict:
    """Judge a history; `initial`: the levels before it.

    A violation in one partition is reported even if the search gave up in another partition.
    """
    groups = list(partitions(operations))
    too_hard = ""
    for group in groups:
        try:
            problem = Search(group, initial).run()
        except GaveUp as gave_up:
            too_hard = str(gave_up)
            continue
        if problem:
            return Verdict(False, len(operations), len(groups), problem)  # noqa: FBT003 - not ok
    gave_up_on_one = bool(too_hard)
    return Verdict(not too_hard, len(operations), len(groups), too_hard, gave_up_on_one)


def check_file(path: Path, initial: Mapping[int, int]) -> Verdict:
    """Judge a history in a file of JSON lines."""
    with path.open() as lines:
        try:
            operations = read(lines)
        except Contradiction as contradiction:
            return Verdict(False, 0, 0, str(contradiction))  # noqa: FBT003 - not ok
    return check(operations, initial)
