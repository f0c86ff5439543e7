"""The obligations of the caller, and the sync that each obligation waits for.

All safety rests on one rule. Before the `hard_state` and the `entries` of a Ready, and of every
Ready before it, are synced, no message of `after_sync` may leave, and `RawNode.persisted` may not
be called.
"""

import enum
from dataclasses import dataclass

from raft.messages import Configuration, Entry, HardState, Message, SnapshotMeta


class RaftRole(enum.Enum):
    """The role of a member (Raft §5.1; PRE_CANDIDATE: dissertation §9.6)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of the log and the hard state that are on disk once a Ready is synced."""

    index: int  # of the last entry handed out, 0 for none
    truncations: int  # of the log until then
    hard_state: HardState


@dataclass(frozen=True, slots=True)
class ReadState:
    """The read index of a read: the read is answered once all entries up to `index` are applied."""

    context: int  # the context that was given to `RawNode.read`
    index: int


@dataclass(frozen=True, slots=True)
class Leadership:
    """The role of this member, and the leader that this member knows."""

    role: RaftRole
    term: int
    leader: int  # a member id, 0 for unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The obligations of the caller, in the order of the fields. An empty field asks nothing.

    `install`: the staged snapshot replaces the log and the state. The caller records the snapshot
    durably, with `hard_state`, before `after_sync` leaves. The entries of the same Ready follow the
    snapshot.
    """

    hard_state: HardState | None  # to be written and synced
    install: SnapshotMeta | None  # the staged snapshot to switch to, and to record
    entries: tuple[Entry, ...]  # to be appended: an entry at index i replaces all entries from i on
    mark: Mark | None  # for `persisted` after the sync; None if there is nothing to sync
    at_once: tuple[Message, ...]  # messages that may leave before the sync
    after_sync: tuple[Message, ...]  # messages that may leave only after the sync
    committed: tuple[Entry, ...]  # to be applied in order; all are synced on this member's disk
    reads: tuple[ReadState, ...]  # reads that a quorum confirmed
    dropped_reads: tuple[int, ...]  # contexts of reads without a read index: ask again
    snapshots: tuple[int, ...]  # peers that need a snapshot: the log begins behind them
    leadership: Leadership | None  # None if unchanged
    configuration: Configuration | None = None  # in force from this Ready on; None if unchanged
