"""What no peer can honestly claim. A message that claims it ends its link; the member goes on.

Consensus halts the process when its rules are broken, since it cannot know who is wrong. A message
alone is no reason to halt: dropping any message is safe. The rules here hold for every message of a
peer that keeps to the protocol, however late, doubled or overtaken the message is.
"""

from dataclasses import dataclass
from itertools import pairwise

from raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    Message,
    PreVoteRequest,
    ReadReply,
    SnapshotMeta,
    VoteRequest,
)

from inventory_node.ports import SnapshotHeader, Survey, SurveyReply

TERMS_AHEAD_MAX = 1 << 32  # elections in 30 years, at four a second
NUMBER_MAX = 1 << 62  # of terms and indexes; what follows from them still fits 64 bits
MILLISECONDS_MAX = 1 << 53
HASHES_MAX = 64
HASH_CHARACTERS_MAX = 64
SHA256_BYTES = 32
SNAPSHOT_BYTES_MAX = 1 << 44


@dataclass(frozen=True, slots=True)
class Known:
    """What a member knows as a message arrives."""

    term: int
    last_index: int  # of the member's log
    is_leader: bool


def problem_of(message: Message, known: Known) -> str:
    """Return why a message of consensus cannot be true; empty if it can."""
    return _term_problem(message.term, known) or _claim_problem(message, known)


def _claim_problem(message: Message, known: Known) -> str:
    match message:
        case Heartbeat():
            # A leader counts as committed here what this member has acknowledged after a sync. What
            # is committed is never cut off.
            return _beyond_problem(message.commit, known.last_index)
        case AppendRequest():
            return _append_problem(message)
        case AppendReply():
            # A leader's log does not get shorter in the leader's term.
            is_mine = message.accepted and known.is_leader and message.term == known.term
            index = max(message.index, message.conflict_index, message.conflict_term)
            return _beyond_problem(index, known.last_index if is_mine else NUMBER_MAX)
        case PreVoteRequest() | VoteRequest():
            is_past = message.last_term > message.term or message.last_index > NUMBER_MAX
            return "a candidate's log ends past the candidate's term" if is_past else ""
        case ReadReply():
            return _beyond_problem(message.index, NUMBER_MAX)
        case _:
            return ""


def _term_problem(term: int, known: Known) -> str:
    if term > min(known.term + TERMS_AHEAD_MAX, NUMBER_MAX):
        return f"term {term} cannot follow term {known.term}"
    return ""


def _beyond_problem(index: int, last_index: int) -> str:
    return f"entry {index} is beyond the end of a log, {last_index}" if index > last_index else ""


def _append_problem(message: AppendRequest) -> str:
    """Return what is wrong with a leader's entries: their terms never go down, nor past its own."""
    if message.previous_index + len(message.entries) > NUMBER_MAX:
        return f"there is no entry {message.previous_index}"
    terms = [message.previous_term, *(entry.term for entry in message.entries), message.term]
    if any(earlier > later for earlier, later in pairwise(terms)):
        return "the terms of the entries go down"
    return ""


def survey_problem(survey: Survey | SurveyReply, known: Known) -> str:
    """Return why a survey, or the reply to one, cannot be true; empty if it can."""
    problem = _term_problem(survey.term, known)
    if problem:
        return problem
    if isinstance(survey, SurveyReply):
        clock_ms, hashes = survey.clock_ms, [survey.sha256]
    else:
        clock_ms, hashes = abs(survey.skew_ms or 0), [sha256 for _, sha256 in survey.hashes]
    if max(survey.sent_ms, clock_ms) > MILLISECONDS_MAX or survey.index > NUMBER_MAX:
        return "a clock or an index cannot be that far"
    if len(hashes) > HASHES_MAX or any(len(one) > HASH_CHARACTERS_MAX for one in hashes):
        return "there cannot be so many hashes, or one so long"
    return ""


def chunk_problem(header: SnapshotHeader, term: int, offset: int, size: int, known: Known) -> str:
    """Return why a chunk of `size` bytes at `offset` cannot be true; empty if it can."""
    problem = _term_problem(term, known)
    if problem:
        return problem
    meta: SnapshotMeta = header.meta
    if meta.term > term or meta.index > NUMBER_MAX:
        return "the snapshot is of a later term than its leader"
    if header.size > SNAPSHOT_BYTES_MAX or len(header.sha256) != SHA256_BYTES:
        return "there is no snapshot of that size and hash"
    if offset + size > header.size:
        return f"the snapshot has {header.size} bytes, and the chunk ends at {offset + size}"
    return ""
