"""The configurations of a log, and the outcome of changes, against books of a few lines."""

from bisect import bisect_right
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raft import AddLearner, Promote, ProtocolViolation, Remove
from raft.configurations import PLAIN, Configurations
from raft.membership import Change, outcome
from raft.messages import Configuration, Entry, EntryKind

MEMBERS = st.integers(1, 6)
LABELS = st.sampled_from(["", "a:1", "b:2"])
CHANGES = st.one_of(
    st.builds(AddLearner, MEMBERS, LABELS),
    st.builds(Promote, MEMBERS),
    st.builds(Remove, MEMBERS),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "truncate", "compact", "replace"]), st.integers(0, 9)),
    max_size=30,
)


@given(STEPS)
def test_a_configuration_holds_from_its_entry_to_the_next(
    steps: list[tuple[str, int]],
) -> None:
    """Whatever is appended, truncated, cut or replaced."""
    known = Configurations(0, Configuration(frozenset({1})), PLAIN)
    book = [(0, Configuration(frozenset({1})))]
    for number, (name, distance) in enumerate(steps, 2):
        base, last = book[0][0], book[-1][0]
        here = Configuration(frozenset({1, number}), frozenset({number + 1}))
        match name:
            case "add":
                index = last + 1 + distance
                known.append(Entry(index, 1, EntryKind.CONFIGURATION, PLAIN.encode(here)))
                book.append((index, here))
            case "truncate":
                index = base + 1 + distance
                known.truncate(index)
                book = [pair for pair in book if pair[0] < index]
            case "compact":
                index = min(base + distance, last)
                known.compact(index)
                [*_, in_force] = [held for first, held in book if first <= index]
                book = [(index, in_force), *(pair for pair in book if pair[0] > index)]
            case _:
                index = base + distance
                known.replace(index, here)
                book = [(index, here)]
        assert (known.index, known.current) == book[-1]
        assert known.previous == (book[-2] if len(book) > 1 else book[-1])[1]
        firsts = [first for first, _ in book]
        for at in range(book[0][0], book[-1][0] + 2):
            assert known.at(at) == book[bisect_right(firsts, at) - 1][1]
        with pytest.raises(ProtocolViolation):
            known.at(book[0][0] - 1)


@given(st.lists(CHANGES, max_size=30))
def test_changes_add_up(changes: list[Change]) -> None:
    """Each member is a learner, then a voter, then gone; its label stays and leaves with it."""
    voters, learners, labels = {7}, set[int](), dict[int, str]()
    configuration = Configuration(frozenset({7}))
    for change in changes:
        match change:
            case AddLearner(member, label):
                if member in voters | learners:
                    continue
                learners.add(member)
                if label:
                    labels[member] = label
            case Promote(member):
                if member not in learners:
                    continue
                learners.remove(member)
                voters.add(member)
            case Remove(member):
                voters.discard(member)
                learners.discard(member)
                labels.pop(member, None)
            case _:
                assert_never(change)
        configuration = outcome(configuration, change)
        assert configuration == Configuration(
            frozenset(voters), frozenset(learners), tuple(sorted(labels.items()))
        )


def test_a_learner_has_no_label_unless_it_is_given_one() -> None:
    """A member without an address is left out of the labels."""
    alone = Configuration(frozenset({1}))
    assert AddLearner(2) == AddLearner(2, "")
    assert outcome(alone, AddLearner(2)) == Configuration(frozenset({1}), frozenset({2}))
