"""The vocabulary of the protocol: what members say to each other and keep in their logs.

Names are the paper's (Ongaro and Ousterhout, extended version; the dissertation where noted).
Every message is frozen and carries its sender, its recipient and the sender's term; for pre-vote
messages the term is the one that the sender would campaign in (dissertation §9.6).
"""

import enum
from dataclasses import dataclass


class EntryKind(enum.IntEnum):
    """What an entry's payload is; the numbers are on disk and on the wire."""

    NOOP = 0  # a leader's first entry in its term, empty
    COMMAND = 1  # opaque to consensus
    CONFIGURATION = 2  # a Configuration, encoded by the caller's codec


@dataclass(frozen=True, slots=True)
class Entry:
    """One position of the log. Indexes start at 1."""

    index: int
    term: int
    kind: EntryKind
    payload: bytes


@dataclass(frozen=True, slots=True)
class HardState:
    """What must survive a restart before anything that depends on it is said (Raft Figure 2)."""

    term: int
    vote: int  # a member id, 0 for none


@dataclass(frozen=True, slots=True)
class Configuration:
    """Who takes part. Voters count for elections and commits; learners only follow.

    - `labels` ascend by member; only members that take part have one.
    """

    voters: frozenset[int]
    learners: frozenset[int] = frozenset()
    labels: tuple[tuple[int, str], ...] = ()  # the caller's words on members, where to find them


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """Where a snapshot ends, and who took part there."""

    index: int
    term: int
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class PreVoteRequest:
    """Would you vote for me? Changes no state anywhere (dissertation §9.6)."""

    sender: int
    recipient: int
    term: int
    last_index: int
    last_term: int


@dataclass(frozen=True, slots=True)
class PreVoteReply:
    """Yes: `term` is the asked one. No: `term` is the replier's own."""

    sender: int
    recipient: int
    term: int
    granted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRequest:
    """RequestVote (Raft §5.2). `is_transfer`: the leader itself asked for the election."""

    sender: int
    recipient: int
    term: int
    last_index: int
    last_term: int
    is_transfer: bool = False


@dataclass(frozen=True, slots=True)
class VoteReply:
    """The reply to RequestVote."""

    sender: int
    recipient: int
    term: int
    granted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRequest:
    """AppendEntries with or without entries (Raft §5.3); liveness travels in Heartbeat."""

    sender: int
    recipient: int
    term: int
    previous_index: int
    previous_term: int
    commit: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendReply:
    """Accepted: `index` is the last one known equal and synced.

    Refused: `index` is the refused `previous_index`; the conflict hint says where to look next
    (Raft §5.3, end): the term of the follower's entry there and the first index of that term, or
    term 0 and the index after its last entry when its log is too short.
    """

    sender: int
    recipient: int
    term: int
    accepted: bool
    index: int
    conflict_index: int = 0
    conflict_term: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """I lead. `commit` never exceeds what the recipient is known to hold.

    `context` numbers the newest read round that waits for a quorum (dissertation §6.4), 0 for none.
    """

    sender: int
    recipient: int
    term: int
    commit: int
    context: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """The reply to a heartbeat, with its context."""

    sender: int
    recipient: int
    term: int
    context: int


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """Campaign at once: the leader hands over (dissertation §3.10)."""

    sender: int
    recipient: int
    term: int


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """From which index on may I answer a read that has begun? (dissertation §6.4).

    `context` names this attempt alone: the asker uses it once, over restarts too.
    """

    sender: int
    recipient: int
    term: int
    context: int


@dataclass(frozen=True, slots=True)
class ReadReply:
    """From `index` on, confirmed by a quorum after the request came; 0: not now, ask again."""

    sender: int
    recipient: int
    term: int
    context: int
    index: int


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """A snapshot that is complete, verified and synced in the recipient's staging (Raft §7).

    Its bytes travel outside the core, in chunks; the recipient's caller makes this message and
    steps it when the last chunk has been checked.
    """

    sender: int
    recipient: int
    term: int
    meta: SnapshotMeta


Message = (
    PreVoteRequest
    | PreVoteReply
    | VoteRequest
    | VoteReply
    | AppendRequest
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | TimeoutNow
    | ReadRequest
    | ReadReply
    | InstallSnapshot
)
