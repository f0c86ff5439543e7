"""The arithmetic of majorities, the invariants of the log, and a follower's progress."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from raft import ProtocolViolation, quorum
from raft.configurations import PLAIN
from raft.log import RaftLog
from raft.messages import Configuration, Entry, EntryKind
from raft.progress import Progress, ProgressState

ALONE = Configuration(frozenset({1}))
VOTERS = st.frozensets(st.integers(1, 9), min_size=1, max_size=7)
TERMS = st.lists(st.integers(1, 4), max_size=12).map(sorted)


def entries_of(terms: list[int], first: int = 1) -> list[Entry]:
    """Return one entry for each term."""
    return [
        Entry(index, term, EntryKind.COMMAND, b"%d" % index)
        for index, term in enumerate(terms, first)
    ]


def make_log(base_index: int, base_term: int, entries: list[Entry]) -> RaftLog:
    """Return a log of one voter."""
    return RaftLog(base_index, base_term, entries, ALONE, PLAIN)


@given(VOTERS, st.data())
def test_two_majorities_share_a_voter(voters: frozenset[int], data: st.DataObject) -> None:
    """Two leaders of one term would need two majorities without a common voter (Raft §5.2)."""
    some = data.draw(st.frozensets(st.sampled_from(sorted(voters))))
    if quorum.reached(voters, some):
        assert not quorum.reached(voters, voters - some)
        assert not quorum.lost(voters, voters - some)
    else:
        assert quorum.lost(voters, voters - some)


@given(VOTERS, st.frozensets(st.integers(10, 20), min_size=5))
def test_strangers_are_no_majority(voters: frozenset[int], strangers: frozenset[int]) -> None:
    """Only voters count."""
    assert not quorum.reached(voters, strangers)
    assert not quorum.lost(voters, strangers)


@given(VOTERS, st.dictionaries(st.integers(1, 9), st.integers(0, 50)))
def test_held_index_is_the_highest_of_a_majority(
    voters: frozenset[int], held: dict[int, int]
) -> None:
    """A majority holds it, and none holds more."""
    index = quorum.held_index(voters, held)
    assert quorum.reached(voters, [one for one in voters if held.get(one, 0) >= index])
    assert not quorum.reached(voters, [one for one in voters if held.get(one, 0) > index])


@given(TERMS, st.integers(0, 5), st.data())
def test_a_log_has_no_gap_and_no_falling_term(
    terms: list[int], base: int, data: st.DataObject
) -> None:
    """Whatever is appended, truncated and compacted."""
    log = make_log(base, 0, entries_of(terms, base + 1))
    cut = data.draw(st.integers(base, log.last_index))
    log.compact(cut)
    if log.last_index > cut:
        log.truncate(data.draw(st.integers(cut + 1, log.last_index)))
    log.append(entries_of([5, 5], log.last_index + 1))
    held = log.slice(log.first_index, log.last_index)
    assert [entry.index for entry in held] == list(range(cut + 1, log.last_index + 1))
    assert all(left.term <= right.term for left, right in pairwise(held))
    assert log.synced_index <= log.handed_index <= log.last_index
    assert log.hand_out() == held[-2:]


def test_a_gap_or_a_falling_term_is_refused() -> None:
    """A gap or a falling term would make the replicas differ."""
    log = make_log(0, 0, entries_of([1, 2]))
    with pytest.raises(ProtocolViolation):
        log.append(entries_of([2], first=4))
    with pytest.raises(ProtocolViolation):
        log.append(entries_of([1], first=3))


def test_nothing_below_the_base_is_replaced_or_read() -> None:
    """The entries up to the base are committed, applied and cut off."""
    log = make_log(3, 1, entries_of([1, 1], first=4))
    with pytest.raises(ProtocolViolation):
        log.truncate(3)
    with pytest.raises(ProtocolViolation):
        log.slice(3, 4)
    with pytest.raises(ProtocolViolation):
        log.compact(9)
    assert (log.term_at(3), log.term_at(2), log.term_at(6)) == (1, None, None)


def test_a_log_is_not_cut_where_it_is_not_synced() -> None:
    """An entry that is neither in the log nor on the disk could not be sent again."""
    log = make_log(0, 0, entries_of([1]))
    log.append(entries_of([1], first=2))
    with pytest.raises(ProtocolViolation):
        log.compact(2)


def test_truncation_takes_back_what_was_handed_out() -> None:
    """The entry that replaces a truncated entry is handed out and synced too."""
    log = make_log(0, 0, entries_of([1, 1, 1]))
    log.truncate(2)
    assert (log.handed_index, log.synced_index) == (1, 1)


def test_each_replacement_of_entries_is_told_apart() -> None:
    """A mark that was made before it is not one of the entries after it."""
    log = make_log(0, 0, entries_of([1, 1]))
    seen = [log.truncations]
    for index in range(3, 9, 2):
        log.truncate(index - 1)
        seen.append(log.truncations)
        log.replace(index, 1, ALONE)
        seen.append(log.truncations)
        log.append(entries_of([1], first=index + 1))
        assert log.truncations == seen[-1]
    assert len(set(seen)) == len(seen)


@given(TERMS, st.integers(1, 5), st.integers(0, 12), st.integers(0, 12))
@example([1, 1, 1], 1, 3, 1)  # the base and the entries behind it are of one term
@example([3, 3, 3], 2, 3, 1)
def test_hints_are_what_a_search_would_find(
    terms: list[int], term: int, index: int, base: int
) -> None:
    """The walk back finds the index that the definition names, in a log that is cut too."""
    base = min(base, len(terms))
    log = make_log(base, ([0, *terms])[base], entries_of(terms[base:], base + 1))
    limit = min(index, len(terms))
    if index >= base:
        held = range(base + 1, limit + 1)
        expected = max((one for one in held if terms[one - 1] <= term), default=base)
        assert log.last_up_to_term(term, index) == expected
    if base < index <= len(terms):
        first = terms.index(terms[index - 1]) + 1
        assert log.first_of_term_at(index) == max(first, log.first_index)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 20))
def test_a_page_is_bounded_but_never_empty(sizes: list[int], bytes_max: int) -> None:
    """An entry that is too large is a page of its own."""
    log = make_log(0, 0, [Entry(i, 1, EntryKind.COMMAND, b"x" * n) for i, n in enumerate(sizes, 1)])
    page, size = log.page(1, 5, bytes_max)
    assert 1 <= len(page) <= 5
    assert size == sum(sizes[: len(page)])
    assert len(page) == 1 or size <= bytes_max
    assert len(page) == min(5, len(sizes)) or sum(sizes[: len(page) + 1]) > bytes_max


def test_the_kinds_of_entries_keep_their_numbers() -> None:
    """The logs of earlier versions hold these numbers."""
    assert [EntryKind(number).name for number in range(3)] == ["NOOP", "COMMAND", "CONFIGURATION"]


def test_a_probe_waits_for_its_reply() -> None:
    """At most one append is under way. A late reply does not cause another probe."""
    progress = Progress(5, in_flight_max=2)
    progress.sent(6, 2)
    assert not progress.may_send
    assert not progress.accepted(0)
    assert not progress.may_send
    assert progress.accepted(6)
    assert progress.may_send


def test_replication_stops_at_its_window() -> None:
    """The number of appends under way is bounded. A reply frees all appends that it covers."""
    progress = Progress(1, in_flight_max=2)
    progress.replicate()
    progress.sent(1, 1)
    progress.sent(2, 1)
    assert not progress.may_send
    progress.accepted(2)
    assert progress.may_send
    assert not progress.in_flight


@given(st.lists(st.tuples(st.sampled_from(["sent", "accepted", "probe"]), st.integers(0, 9))))
def test_match_stays_below_next(steps: list[tuple[str, int]]) -> None:
    """`match` < `next` holds for all replies, in every order."""
    progress = Progress(1, in_flight_max=3)
    for name, index in steps:
        match name:
            case "sent" if progress.may_send:
                progress.sent(progress.next, 1)
            case "accepted":
                before = progress.match
                progress.accepted(index)
                assert progress.match >= before
            case "probe":
                progress.probe(index)
            case _:
                pass  # nothing may be sent
        assert progress.match < progress.next
        assert len(progress.in_flight) <= 3


def test_a_snapshot_holds_everything_back() -> None:
    """No append is sent, because the log does not hold the entries that the follower lacks."""
    progress = Progress(1, in_flight_max=3)
    progress.wait_for_snapshot()
    assert progress.state is ProgressState.SNAPSHOT
    assert not progress.may_send
