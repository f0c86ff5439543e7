"""The bound of callers that have not proved themselves."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from link.admission import UnprovenCallers

TOTAL_MAX, PER_SOURCE_MAX = 6, 3


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_the_oldest_makes_room_and_the_bounds_hold(steps: list[tuple[str, bool]]) -> None:
    """Against a model: a list of the connections that are left, the oldest first."""
    callers: UnprovenCallers[int] = UnprovenCallers(TOTAL_MAX, PER_SOURCE_MAX)
    left: list[tuple[int, str]] = []
    for number, (source, is_proven_later) in enumerate(steps):
        gone = callers.admit(number, source)
        same = [one for one in left if one[1] == source]
        expected = None
        if len(same) == PER_SOURCE_MAX:
            expected = same[0]
        elif len(left) == TOTAL_MAX:
            expected = left[0]
        if expected is not None:
            left.remove(expected)
        assert gone == (expected[0] if expected is not None else None)
        left.append((number, source))
        if is_proven_later:
            callers.forget(left.pop(0)[0])
        assert callers.all() == tuple(number for number, _ in left)
        assert len(callers) == len(left) <= TOTAL_MAX
        counts = Counter(source for _, source in left)
        assert max(counts.values(), default=0) <= PER_SOURCE_MAX


def test_a_flood_from_one_source_leaves_the_others_alone() -> None:
    """Whoever comes from elsewhere waits as if there was no flood."""
    callers: UnprovenCallers[int] = UnprovenCallers(TOTAL_MAX, PER_SOURCE_MAX)
    callers.admit(0, "honest")
    gone = [callers.admit(number, "flood") for number in range(1, 100)]
    assert 0 not in gone
    assert 0 in callers.all()


def test_forgetting_twice_changes_nothing() -> None:
    """A connection that proved itself may end later."""
    callers: UnprovenCallers[int] = UnprovenCallers()
    callers.admit(1, "a")
    callers.forget(1)
    callers.forget(1)
    assert len(callers) == 0


def test_sixteen_of_one_source_and_sixty_four_of_all_wait_at_once() -> None:
    """The bounds that ship."""
    one: UnprovenCallers[int] = UnprovenCallers()
    assert [one.admit(number, "a") for number in range(17)] == [None] * 16 + [0]
    many: UnprovenCallers[int] = UnprovenCallers()
    assert [many.admit(number, str(number)) for number in range(65)] == [None] * 64 + [0]
