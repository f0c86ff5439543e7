"""The vocabulary of the protocol: the messages between members, and the entries of a log.

Names are the paper's (Ongaro and Ousterhout, extended version), or the dissertation's where a
section of the dissertation is cited. Every message is frozen and carries its sender, its recipient
and the sender's term. A pre-vote message carries the term that the sender would campaign in
(dissertation §9.6).
"""

import enum
from dataclasses import dataclass
from typing import TypeAlias


class EntryKind(enum.IntEnum):
    """The kind of an entry's payload. The numbers are on disk and on the wire."""

    NOOP = 0  # the empty first entry of a leader's term (Raft §8)
    COMMAND = 1  # bytes that consensus does not read
    CONFIGURATION = 2  # a Configuration, encoded by the caller's codec


@dataclass(frozen=True, slots=True)
class Entry:
    """One position of the log (Raft §5.3). Indexes start at 1."""

    index: int
    term: int
    kind: EntryKind
    payload: bytes


@dataclass(frozen=True, slots=True)
class HardState:
    """The state that is synced before a message that depends on it leaves (Raft Figure 2)."""

    term: int
    vote: int  # the id of the candidate voted for in `term`, 0 for none


@dataclass(frozen=True, slots=True)
class Configuration:
    """The members of the cluster. Voters count for elections and commits; learners do not.

    - `labels` ascend by member id. Only a voter or a learner has a label.
    """

    voters: frozenset[int]
    learners: frozenset[int] = frozenset()
    labels: tuple[tuple[int, str], ...] = ()  # member id, the caller's text, such as an address


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """The last index and term that a snapshot covers, and the configuration there (Raft §7)."""

    index: int
    term: int
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class PreVoteRequest:
    """Ask whether the recipient would vote for the sender (dissertation §9.6).

    Neither member changes any state for a pre-vote.
    """

    sender: int
    recipient: int
    term: int
    last_index: int
    last_term: int


@dataclass(frozen=True, slots=True)
class PreVoteReply:
    """The reply to PreVoteRequest.

    If the pre-vote is granted, `term` is the term of the request. If the pre-vote is refused,
    `term` is the term of the replier.
    """

    sender: int
    recipient: int
    term: int
    granted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRequest:
    """RequestVote (Raft §5.2).

    `is_transfer`: the leader asked the sender to campaign (dissertation §3.10).
    """

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
    """AppendEntries, with or without entries (Raft §5.3).

    An AppendRequest is no heartbeat: Heartbeat is a message of its own.
    """

    sender: int
    recipient: int
    term: int
    previous_index: int
    previous_term: int
    commit: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendReply:
    """The reply to AppendEntries (Raft §5.3).

    Accepted: the follower's log equals the leader's up to `index`, and is synced up to `index`.

    Refused: `index` is the `previous_index` of the refused request. The conflict hint says where
    the leader looks next (Raft §5.3, end). If the follower holds an entry at `index`, the hint is
    the entry's term and the first index of that term. If the follower's log is too short, the hint
    is term 0 and the index after the last entry.
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
    """The leader's claim to lead its term (Raft §5.2).

    `commit` never exceeds the last index that the recipient is known to hold. `context` is the
    number of the newest read round that waits for a quorum, 0 for none (dissertation §6.4).
    """

    sender: int
    recipient: int
    term: int
    commit: int
    context: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """The reply to Heartbeat, with the context of the heartbeat."""

    sender: int
    recipient: int
    term: int
    context: int


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """The leader's request to its successor to campaign at once (dissertation §3.10)."""

    sender: int
    recipient: int
    term: int


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A member's request to the leader for a read index (dissertation §6.4).

    `context` names this request. The sender never uses a context twice, over restarts too.
    """

    sender: int
    recipient: int
    term: int
    context: int


@dataclass(frozen=True, slots=True)
class ReadReply:
    """The read index of a request (dissertation §6.4).

    A quorum confirmed the leader after the request arrived. Index 0 means that the leader has no
    read index to give, and that the sender may ask again.
    """

    sender: int
    recipient: int
    term: int
    context: int
    index: int


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """A snapshot that is complete, verified and synced in the recipient's staging area (Raft §7).

    The bytes of the snapshot travel outside the core, in chunks. The recipient's caller builds this
    message after it has checked the last chunk, and steps the message.
    """

    sender: int
    recipient: int
    term: int
    meta: SnapshotMeta


Message: TypeAlias = (
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
