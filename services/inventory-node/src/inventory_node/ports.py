"""What the node may ask of the world. Adapters live in `runtime/` and in `tests/sim`.

Nothing here blocks and nothing here raises for the world's sake: what takes time finishes as an
event (`events.py`) that the adapter hands back to `Node.handle`, in the same order in which jobs of
one kind were given.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from inventory.raft.v1 import forward_pb2, membership_pb2
from raft.messages import Entry, Message, SnapshotMeta
from raft.ready import Leadership

from inventory_node.machine import Applied
from inventory_node.machine.changes import Changes


@dataclass(frozen=True, slots=True)
class CreateFile:
    """Create `name`, which must not exist, as `size` zero bytes on disk; its content is synced."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class WriteAt:
    """Write `data` at `offset` of an existing file."""

    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SyncFile:
    """fdatasync: everything written to `name` before survives a crash."""

    name: str


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """fsync of the folder itself: creations, renames and removals before it survive a crash."""


@dataclass(frozen=True, slots=True)
class RenameFile:
    """Rename within the folder, replacing what stands there."""

    name: str
    to: str


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file; one that is not there is no error."""

    name: str


DiskOperation = CreateFile | WriteAt | SyncFile | SyncFolder | RenameFile | RemoveFile


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a member is found."""

    name: str
    address: str  # host:port


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """What a snapshot file must turn out to be."""

    meta: SnapshotMeta
    size: int  # bytes
    sha256: bytes


STATE_HASH_FORM = 2  # which rows a state's hash covers and how; another form is not comparable


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A leader asks a member for its clock and its state's hash, and tells it the others'."""

    sender: int
    recipient: int
    term: int
    sent_ms: int  # on the leader's steady clock; comes back as it is
    skew_ms: int | None  # of the recipient's clock, ahead of the voters' median; None: unknown
    index: int  # of a checkpoint that the recipient has hashed; 0: of none
    hashes: tuple[tuple[int, str], ...]  # there: member id, hexadecimal SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyReply:
    """What a member answers to a survey."""

    sender: int
    recipient: int
    term: int
    sent_ms: int  # of the survey
    clock_ms: int  # its wall clock
    index: int  # of the newest checkpoint that it has hashed since its start; 0: of none
    sha256: str  # hexadecimal
    is_compared: bool  # its state was held against a majority's since its start
    is_diverged: bool  # it is out of service: it differs
    is_stuck: bool = False  # it cannot write: no space, or a state that is being replaced
    is_at_risk: bool = False  # its database is slow, or it had no space for a copy


PeerMessage = Message | Survey | SurveyReply


class LogDisk(Protocol):
    """One folder of plain files: the log's. Names have no slash."""

    def names(self) -> list[str]:
        """List the files, sorted. At start only."""
        ...

    def read(self, name: str) -> bytes:
        """Return a whole file. At start only."""
        ...

    def run(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Do these in order, off the loop; then `DiskDone(ticket)` or `DiskFailed(ticket, …)`.

        `DiskFull(ticket)` instead where the first creates a file, and there is no space for it. The
        same job may be given again after that, and not before.
        """
        ...


class Store(Protocol):
    """The durable state: SQLite behind one writer thread and one reader thread.

    The blocking reads of `machine.records.Records` (points by key, on the loop) are part of it too.
    """

    def flush(self, changes: Changes, ticket: int) -> None:
        """Write all of `changes` in one synced transaction; then `Flushed(ticket)`.

        `StoreFull(ticket)` instead where there is no space for it: nothing was written. The same
        flush may be given again after that, and not before.
        """
        ...

    def ask(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """Answer (ticket, question)s from one read transaction; then `Answered` for all."""
        ...

    def hash(self, ticket: int) -> None:
        """Hash the state as flushed; then `Hashed(ticket, index, sha256)`.

        The read transaction is pinned before this returns, so later flushes do not show in it.
        """
        ...

    def copy(self, ticket: int) -> None:
        """Copy the flushed state to a file; then `Copied`, whose header names no members.

        Its path is empty where there was no space: nothing is left of the copy.
        """
        ...

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """Add a chunk to the incoming snapshot; offset 0 begins anew; then `Staged(ticket, …)`.

        The chunk that reaches `header.size` ends it: the file is synced and verified first.
        """
        ...

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """Switch to the staged snapshot (a directory of its own); then `Installed(ticket)`.

        Asked for only after the log holds a synced record that names `meta`; the old state goes.
        """
        ...

    def quarantine(self, reason: str) -> None:
        """Mark the state as one that may not be served, for the next start; no event follows.

        The mark goes with the state, when a snapshot takes its place.
        """
        ...


class Transport(Protocol):
    """Ways out of the process. Losing what is sent is allowed, delivering it twice is not news."""

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Hand messages to the streams of their recipients; drop them where one is down."""
        ...

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Answer on a gateway's stream; nothing happens when the session is gone."""
        ...

    def meet(self, contacts: Mapping[int, Contact]) -> None:
        """Know these by their ids, besides the first members; forget, in time, who is not here."""
        ...

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Answer a `ChangeAsked`; nothing happens when whoever asked is gone."""
        ...

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Stream a copied file to a peer and remove it; then `SnapshotSent(peer, index, …)`.

        A stream that breaks goes on in another one, from what the peer has staged. The log stays
        pinned until the end, so what does not move has to end by itself.
        """
        ...

    def cut_snapshots(self) -> None:
        """Send nothing more of what is under way: the state is not fit to be given away.

        Each ends as usual, in `SnapshotSent`.
        """
        ...

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Tell the sender of the incoming snapshot at `index` how it stands.

        Every `ChunkReceived` is answered once: with `taken` bytes stored the next chunk may come;
        `installed` ends the stream, mostly after the last chunk, but any time when this member has
        no need of it; a `problem` that is not empty ends the stream too.
        """
        ...


class Observer(Protocol):
    """Who writes logs and counts. Changes nothing and does not fail."""

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """See an entry that was applied, and one outcome for each of its commands."""
        ...

    def filled_up(self, *, is_full: bool) -> None:
        """See that there is no space left, or that there is again."""
        ...

    def lead_changed(self, leadership: Leadership, leader: str) -> None:
        """See this member's view of the leadership change; `leader` by name, empty for nobody."""
        ...

    def warned(self, what: str, detail: str) -> None:
        """See what an operator has to know: "diverged" or "clock_ahead"."""
        ...


class Step(enum.StrEnum):
    """A step of a member's work that hooks surround."""

    WAL_JOB = "wal-job"  # a batch of the log, from the moment the disk is given it
    FLUSH_JOB = "flush-job"  # likewise, of the database
    WAL_WRITE = "wal-write"
    WAL_SYNC = "wal-sync"
    SEGMENT_CREATION = "segment-creation"
    SEGMENT_REMOVAL = "segment-removal"
    SEND = "send"  # a frame to another member
    APPLY = "apply"  # an entry
    FLUSH = "flush"
    CHECKPOINT = "checkpoint"  # the hash that a Checkpoint entry asks for
    SNAPSHOT_SAVE = "snapshot-save"  # the copy that a leader makes
    SNAPSHOT_CHUNK = "snapshot-chunk"  # staged by the member that it is sent to
    SNAPSHOT_INSTALL = "snapshot-install"  # the switch to it


class Hooks(Protocol):
    """Who is called around each step, on the thread that takes the step.

    A step of one kind ends before the next of the kind begins. A job begins on the thread that
    asks for it. `after` is left out where a step found no space: it is taken again.
    """

    def before(self, step: Step) -> None:
        """See that a step begins."""
        ...

    def after(self, step: Step) -> None:
        """See that a step is done."""
        ...


class NoHooks:
    """The hooks of a member that nobody watches."""

    def before(self, step: Step) -> None:
        """Do nothing."""

    def after(self, step: Step) -> None:
        """Do nothing."""


NO_HOOKS: Hooks = NoHooks()


class Clock(Protocol):
    """Time, as the world has it and as it passes."""

    def elapsed_ms(self) -> int:
        """Milliseconds since some moment; never goes back, and goes on while the process stops."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since 1970; may jump, also backwards."""
        ...


class Random(Protocol):
    """The only source of chance."""

    def below(self, bound: int) -> int:
        """Return an integer from 0 to bound - 1."""
        ...
