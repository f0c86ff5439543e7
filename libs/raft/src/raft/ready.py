"""What the core owes its caller, and what each obligation waits for.

The one rule that everything else rests on: nothing in `after_sync` may leave, and
`RawNode.persisted` may not be called, before `hard_state` and `entries` of the same Ready, and of
every Ready before it, are on disk and synced.
"""

import enum
from dataclasses import dataclass

from raft.messages import Configuration, Entry, HardState, Message, SnapshotMeta


class Role(enum.Enum):
    """What a member takes itself for."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class Mark:
    """Names the state of the disk once a Ready's obligations are synced; see `persisted`."""

    index: int  # of the last entry handed out, 0 before the first
    term: int  # of that entry
    hard_state: HardState


@dataclass(frozen=True, slots=True)
class ReadState:
    """A read may be answered once everything up to `index` is applied here."""

    context: int  # as given to `read`
    index: int


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads, as far as this member knows; handed out when any of it changes."""

    role: Role
    term: int
    leader: int  # a member id, 0 for unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Obligations, in the order of their fields. Empty fields ask nothing.

    `install`: the staged snapshot replaces log and state; record it durably (with `hard_state`)
    before `after_sync` leaves. The entries of the same Ready follow it.
    """

    hard_state: HardState | None  # to be synced
    install: SnapshotMeta | None  # to be switched to, and recorded
    entries: tuple[Entry, ...]  # to be appended: one at index i replaces everything from i on
    mark: Mark | None  # hand to `persisted` after the sync; None when there is nothing to sync
    at_once: tuple[Message, ...]  # may leave before the sync
    after_sync: tuple[Message, ...]  # may not
    committed: tuple[Entry, ...]  # to be applied in order; synced here before they appear
    reads: tuple[ReadState, ...]  # confirmed by a quorum
    dropped_reads: tuple[int, ...]  # contexts: no index will come, ask again
    snapshots: tuple[int, ...]  # peers too far behind the log: stream a snapshot to each
    leadership: Leadership | None  # None: unchanged
    configuration: Configuration | None = None  # in force from here on; None: unchanged
