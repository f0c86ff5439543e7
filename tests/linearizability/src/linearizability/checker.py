"""The search for an order of instants that explains a history."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from linearizability.history import Contradiction, Operation, read
from linearizability.model import State, is_passive, step

STEPS_MAX = 5_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a history is linearizable, and where it stops being so."""

    ok: bool
    operations: int
    partitions: int
    explanation: str = ""


def partitions(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """Yield operations by what they touch: items of one operation are together (union-find)."""
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
    groups: dict[int, list[Operation]] = {}
    for operation in kept:
        groups.setdefault(root(operation.items[0]), []).append(operation)
    for item in sorted(groups):
        yield groups[item]


class Search:
    """One partition.

    A position is what has been given its instant: all certain operations before `low`, some at or
    behind it, and some of those without a known outcome.
    """

    def __init__(self, operations: Sequence[Operation], initial: Mapping[int, int]) -> None:
        """Sort by call; unknown outcomes apart, since they never have to happen."""
        certain = [one for one in operations if one.ok is not None]
        self._certain = sorted(certain, key=lambda one: one.call_ns)
        self._unknown = [one for one in operations if one.ok is None]
        items = sorted({item for operation in operations for item in operation.items})
        self._places = {item: place for place, item in enumerate(items)}
        self._initial: State = tuple(initial[item] for item in items)
        self._furthest: tuple[int, State, list[Operation]] = (-1, self._initial, [])

    def run(self) -> str:
        """Return an empty string when an order was found, else why not."""
        start = (0, frozenset[int](), frozenset[int](), self._initial)
        stack = [start]
        known = {start}
        steps = 0
        while stack:
            low, done, used, state = stack.pop()
            low, done, state = self._settle(low, done, state)
            if low == len(self._certain):
                return ""
            self._note(low, done, state)
            for following in self._following(low, done, used, state):
                steps += 1
                if steps > STEPS_MAX:
                    return f"gave up after {STEPS_MAX} steps: nothing is proven"
                if following not in known:
                    known.add(following)
                    stack.append(following)
        return self._explain()

    def _candidates(self, low: int, done: frozenset[int]) -> tuple[list[int], int]:
        """Return who may be next, and the earliest return among those that are not done."""
        open_ones = []
        earliest = self._certain[low].return_ns
        for number in range(low, len(self._certain)):
            operation = self._certain[number]
            if operation.call_ns > earliest:
                break
            if number not in done:
                open_ones.append(number)
                earliest = min(earliest, operation.return_ns)
        return [n for n in open_ones if self._certain[n].call_ns <= earliest], earliest

    def _settle(
        self, low: int, done: frozenset[int], state: State
    ) -> tuple[int, frozenset[int], State]:
        """Let go first whatever fits and changes nothing: that can never be wrong."""
        while low < len(self._certain):
            candidates, _ = self._candidates(low, done)
            fitting = [
                number
                for number in candidates
                if is_passive(self._certain[number])
                and step(self._certain[number], state, self._places) is not None
            ]
            if not fitting:
                break
            low, done = self._advance(low, done.union(fitting))
        return low, done, state

    def _advance(self, low: int, done: frozenset[int]) -> tuple[int, frozenset[int]]:
        while low in done:
            done -= {low}
            low += 1
        return low, done

    def _following(
        self, low: int, done: frozenset[int], used: frozenset[int], state: State
    ) -> Iterator[tuple[int, frozenset[int], frozenset[int], State]]:
        candidates, earliest = self._candidates(low, done)
        for number, operation in enumerate(self._unknown):
            if number not in used and operation.call_ns <= earliest:
                after = step(operation, state, self._places)
                if after is not None and after != state:
                    yield low, done, used | {number}, after
        for number in reversed(candidates):
            after = step(self._certain[number], state, self._places)
            if after is not None:
                yield *self._advance(low, done | {number}), used, after

    def _note(self, low: int, done: frozenset[int], state: State) -> None:
        if low + len(done) > self._furthest[0]:
            candidates, _ = self._candidates(low, done)
            stuck = [self._certain[number] for number in candidates]
            self._furthest = (low + len(done), state, stuck)

    def _explain(self) -> str:
        count, state, stuck = self._furthest
        levels = {item: state[place] for item, place in self._places.items()}
        shown = "\n".join(f"  {operation}" for operation in stuck)
        return (
            f"{count} of {len(self._certain)} operations can be ordered; then, with the levels "
            f"{levels}, none of these can be next:\n{shown}"
        )


def check(operations: Sequence[Operation], initial: Mapping[int, int]) -> Verdict:
    """Judge a history; `initial` are the levels that it began with."""
    groups = list(partitions(operations))
    for group in groups:
        problem = Search(group, initial).run()
        if problem:
            return Verdict(False, len(operations), len(groups), problem)  # noqa: FBT003 - not ok
    return Verdict(True, len(operations), len(groups))  # noqa: FBT003 - ok


def check_file(path: Path, initial: Mapping[int, int]) -> Verdict:
    """Judge a history in a file of JSON lines."""
    with path.open() as lines:
        try:
            operations = read(lines)
        except Contradiction as contradiction:
            return Verdict(False, 0, 0, str(contradiction))  # noqa: FBT003 - not ok
    return check(operations, initial)
