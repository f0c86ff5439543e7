"""What a peer cannot honestly claim; the simulator shows that honest peers are never refused."""

from dataclasses import replace

import pytest
from inventory_node.core.claims import Known, chunk_problem, problem_of, survey_problem
from inventory_node.ports import SnapshotHeader, Survey, SurveyReply
from raft.messages import (
    AppendReply,
    AppendRequest,
    Configuration,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    SnapshotMeta,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)

FOLLOWER = Known(term=5, last_index=20, is_leader=False)
LEADER = Known(term=5, last_index=20, is_leader=True)
EDGE = 2**64 - 1
NUMBER_MAX = 2**62
TERMS_AHEAD_MAX = 2**32
MILLISECONDS_MAX = 2**53
HASHES_MAX = 64
SNAPSHOT_BYTES_MAX = 2**44


def append(*terms: int, previous: int = 3, term: int = 5) -> AppendRequest:
    """Return a leader's append of entries with these terms."""
    entries = tuple(
        Entry(index, one, EntryKind.COMMAND, b"") for index, one in enumerate(terms, 11)
    )
    return AppendRequest(
        sender=1,
        recipient=2,
        term=term,
        previous_index=10,
        previous_term=previous,
        commit=9,
        entries=entries,
    )


def reply(index: int, *, accepted: bool = True, term: int = 5) -> AppendReply:
    """Return a follower's reply."""
    return AppendReply(sender=1, recipient=2, term=term, accepted=accepted, index=index)


HONEST: tuple[Message, ...] = (
    Heartbeat(1, 2, 5, commit=20, context=EDGE),
    Heartbeat(1, 2, 900, commit=0, context=0),
    HeartbeatReply(1, 2, 5, context=EDGE),
    append(3, 4, 5),
    append(),
    append(5, 5, previous=5),
    replace(append(5), previous_index=1_000),  # a gap: the follower refuses it by itself
    replace(append(5), commit=EDGE),  # no further than the entries, as the rule of Raft has it
    reply(20),
    replace(reply(20, accepted=False), conflict_index=21, conflict_term=4),
    reply(1_000, term=4),  # to a leader of an earlier term, which may have lost its log's end
    PreVoteRequest(1, 2, 6, last_index=1_000, last_term=6),
    VoteRequest(sender=1, recipient=2, term=6, last_index=1_000, last_term=5, is_transfer=False),
    PreVoteReply(1, 2, 6, granted=True),
    VoteReply(1, 2, 6, granted=True),
    TimeoutNow(1, 2, 5),
    ReadRequest(1, 2, 5, context=EDGE),
    ReadReply(1, 2, 5, context=EDGE, index=1_000),
)


@pytest.mark.parametrize("known", [FOLLOWER, LEADER])
@pytest.mark.parametrize("message", HONEST, ids=lambda message: type(message).__name__)
def test_what_may_be_true_passes(message: Message, known: Known) -> None:
    """Also what a member refuses by the rules of consensus."""
    assert problem_of(message, known) == ""


@pytest.mark.parametrize("message", HONEST, ids=lambda message: type(message).__name__)
def test_no_message_brings_a_term_that_no_election_leads_to(message: Message) -> None:
    """A term is for ever: one message with the last of all terms would end the cluster."""
    allowed = replace(message, term=5 + TERMS_AHEAD_MAX)
    assert problem_of(allowed, FOLLOWER) == ""
    for term in (5 + TERMS_AHEAD_MAX + 1, EDGE):
        assert "cannot follow term 5" in problem_of(replace(message, term=term), FOLLOWER)
    late = Known(term=NUMBER_MAX - 1, last_index=20, is_leader=False)
    assert problem_of(replace(message, term=NUMBER_MAX), late) == ""
    assert problem_of(replace(message, term=NUMBER_MAX + 1), late)


PAST_TERM = "a candidate's log ends past the candidate's term"
FALLING = "the terms of the entries go down"
VOTE = VoteRequest(sender=1, recipient=2, term=6, last_index=EDGE, last_term=5, is_transfer=True)
REFUSAL = reply(1, accepted=False)


@pytest.mark.parametrize(
    ("message", "known", "problem"),
    [
        (
            Heartbeat(1, 2, 5, commit=21, context=0),
            FOLLOWER,
            "entry 21 is beyond the end of a log, 20",
        ),
        (append(4, 3), FOLLOWER, FALLING),
        (append(2, previous=3), FOLLOWER, FALLING),
        (append(6), FOLLOWER, FALLING),
        (append(previous=6), FOLLOWER, FALLING),
        (replace(append(5), previous_index=EDGE - 1), FOLLOWER, f"there is no entry {EDGE - 1}"),
        (
            replace(append(5), previous_index=NUMBER_MAX),
            FOLLOWER,
            f"there is no entry {NUMBER_MAX}",
        ),
        (reply(21), LEADER, "entry 21 is beyond the end of a log, 20"),
        (reply(EDGE), FOLLOWER, f"entry {EDGE} is beyond the end of a log, {NUMBER_MAX}"),
        (
            replace(REFUSAL, conflict_index=EDGE),
            LEADER,
            f"entry {EDGE} is beyond the end of a log, {NUMBER_MAX}",
        ),
        (
            replace(REFUSAL, conflict_term=EDGE),
            LEADER,
            f"entry {EDGE} is beyond the end of a log, {NUMBER_MAX}",
        ),
        (PreVoteRequest(1, 2, 6, last_index=1, last_term=7), FOLLOWER, PAST_TERM),
        (VOTE, FOLLOWER, PAST_TERM),
        (replace(VOTE, last_index=NUMBER_MAX + 1), FOLLOWER, PAST_TERM),
        (
            ReadReply(1, 2, 5, context=1, index=NUMBER_MAX + 1),
            FOLLOWER,
            f"entry {NUMBER_MAX + 1} is beyond the end of a log, {NUMBER_MAX}",
        ),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_cannot_be_true_does_not_pass(message: Message, known: Known, problem: str) -> None:
    """Each would halt a member, or make it wait for ever."""
    assert problem_of(message, known) == problem


@pytest.mark.parametrize(
    "message",
    [
        replace(append(5), previous_index=NUMBER_MAX - 1),
        reply(NUMBER_MAX),
        replace(REFUSAL, conflict_index=NUMBER_MAX, conflict_term=NUMBER_MAX),
        replace(VOTE, last_index=NUMBER_MAX),
        PreVoteRequest(1, 2, 6, last_index=NUMBER_MAX, last_term=6),
        ReadReply(1, 2, 5, context=1, index=NUMBER_MAX),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_largest_number_passes(message: Message) -> None:
    """The bound itself is allowed."""
    assert problem_of(message, FOLLOWER) == ""


def test_a_follower_is_not_told_what_a_leader_may_ask() -> None:
    """An acknowledgement beyond the log is impossible for a leader of that term alone."""
    assert problem_of(reply(21), FOLLOWER) == ""
    assert problem_of(reply(21, term=4), LEADER) == ""
    assert problem_of(reply(21, accepted=False), LEADER) == ""


SURVEY = Survey(
    sender=1, recipient=2, term=5, sent_ms=1, skew_ms=-3, index=4, hashes=((1, "ab" * 32),)
)
SURVEY_REPLY = SurveyReply(
    sender=1,
    recipient=2,
    term=5,
    sent_ms=1,
    clock_ms=2**41,
    index=4,
    sha256="ab" * 32,
    is_compared=True,
    is_diverged=False,
)


def test_surveys_have_clocks_and_hashes_within_reason() -> None:
    """A number past 64 bits would end the member that computes with it."""
    far, many = (
        "a clock or an index cannot be that far",
        "there cannot be so many hashes, or one so long",
    )
    for one in (SURVEY, SURVEY_REPLY, replace(SURVEY, skew_ms=None)):
        assert survey_problem(one, FOLLOWER) == ""
        assert (
            survey_problem(replace(one, sent_ms=MILLISECONDS_MAX, index=NUMBER_MAX), FOLLOWER) == ""
        )
        assert (
            survey_problem(replace(one, term=EDGE), FOLLOWER) == f"term {EDGE} cannot follow term 5"
        )
        assert survey_problem(replace(one, sent_ms=MILLISECONDS_MAX + 1), FOLLOWER) == far
        assert survey_problem(replace(one, index=NUMBER_MAX + 1), FOLLOWER) == far
    for skew_ms in (-MILLISECONDS_MAX, MILLISECONDS_MAX):
        assert survey_problem(replace(SURVEY, skew_ms=skew_ms), FOLLOWER) == ""
    for skew_ms in (-MILLISECONDS_MAX - 1, MILLISECONDS_MAX + 1):
        assert survey_problem(replace(SURVEY, skew_ms=skew_ms), FOLLOWER) == far
    assert survey_problem(replace(SURVEY_REPLY, clock_ms=MILLISECONDS_MAX), FOLLOWER) == ""
    assert survey_problem(replace(SURVEY_REPLY, clock_ms=MILLISECONDS_MAX + 1), FOLLOWER) == far
    assert survey_problem(replace(SURVEY_REPLY, sha256="a" * 65), FOLLOWER) == many
    assert survey_problem(replace(SURVEY, hashes=((1, ""), (2, "a" * 65))), FOLLOWER) == many
    assert survey_problem(replace(SURVEY, hashes=((1, ""),) * HASHES_MAX), FOLLOWER) == ""
    assert survey_problem(replace(SURVEY, hashes=((1, ""),) * (HASHES_MAX + 1)), FOLLOWER) == many


def test_a_chunk_lies_within_its_snapshot() -> None:
    """By its size, its hash and its term."""
    meta = SnapshotMeta(7, 3, Configuration(frozenset({1})))
    header = SnapshotHeader(meta, 100, bytes(32))
    assert chunk_problem(header, 5, 0, 0, FOLLOWER) == ""
    assert chunk_problem(header, 5, 60, 40, FOLLOWER) == ""
    assert (
        chunk_problem(header, 5, 60, 41, FOLLOWER)
        == "the snapshot has 100 bytes, and the chunk ends at 101"
    )
    assert chunk_problem(header, EDGE, 0, 0, FOLLOWER) == f"term {EDGE} cannot follow term 5"
    later = "the snapshot is of a later term than its leader"
    assert chunk_problem(header, 3, 0, 0, FOLLOWER) == ""
    assert chunk_problem(header, 2, 0, 0, FOLLOWER) == later
    strange = "there is no snapshot of that size and hash"
    for size in (31, 33):
        assert chunk_problem(replace(header, sha256=bytes(size)), 5, 0, 0, FOLLOWER) == strange
    assert chunk_problem(replace(header, size=SNAPSHOT_BYTES_MAX), 5, 0, 0, FOLLOWER) == ""
    assert chunk_problem(replace(header, size=SNAPSHOT_BYTES_MAX + 1), 5, 0, 0, FOLLOWER) == strange
    last = replace(header, meta=replace(meta, index=NUMBER_MAX))
    assert chunk_problem(last, 5, 0, 0, FOLLOWER) == ""
    beyond = replace(header, meta=replace(meta, index=NUMBER_MAX + 1))
    assert chunk_problem(beyond, 5, 0, 0, FOLLOWER) == later
