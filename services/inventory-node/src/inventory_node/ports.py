"""The ports: what the node may ask of the world. Adapters live in `runtime/` and in `tests/sim`.

No call of a port blocks, and no call raises for the world's sake. A job that takes time ends in an
event (`events.py`), which the adapter gives to `Node.handle`. The events of one kind of job come in
the order in which the jobs were given.
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
    """Create `name`, which must not exist, as `size` zero bytes on disk; the content is synced."""

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
    """fdatasync: all earlier writes to `name` survive a crash."""

    name: str


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """fsync of the folder itself: all earlier creations, renames and removals survive a crash."""


@dataclass(frozen=True, slots=True)
class RenameFile:
    """Rename within the folder, replacing a file of the other name."""

    name: str
    to: str


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file; a missing file is no error."""

    name: str


DiskOperation = CreateFile | WriteAt | SyncFile | SyncFolder | RenameFile | RemoveFile


@dataclass(frozen=True, slots=True)
class Contact:
    """The name and the address of a member."""

    name: str
    address: str  # host:port


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """The facts that a snapshot file is verified against."""

    meta: SnapshotMeta
    size: int  # bytes
    sha256: bytes


STATE_HASH_FORM = 2  # form of a state's hash: its rows and their order; other forms do not compare


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A leader's question for a member's clock and hash, with the hashes of other members."""

    sender: int
    recipient: int
    term: int
    sent_ms: int  # on the leader's steady clock; the reply repeats it
    skew_ms: int | None  # of the recipient's clock, ahead of the voters' median; None: unknown
    index: int  # of a checkpoint that the recipient has hashed; 0: none
    hashes: tuple[tuple[int, str], ...]  # at `index`: member id, hexadecimal SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyReply:
    """A member's answer to a survey."""

    sender: int
    recipient: int
    term: int
    sent_ms: int  # of the survey
    clock_ms: int  # the member's wall clock
    index: int  # of the newest checkpoint hashed since the member's start; 0: none
    sha256: str  # hexadecimal
    is_compared: bool  # the state was compared with a majority's since the member's start
    is_diverged: bool  # the member is out of service: its state differs
    is_stuck: bool = False  # the member cannot write: no space, or a state being replaced
    is_at_risk: bool = False  # the database is slow, or a copy found no space


PeerMessage = Message | Survey | SurveyReply


class LogDisk(Protocol):
    """The log's folder of plain files. Names have no slash."""

    def names(self) -> list[str]:
        """List the files, sorted. At start only."""
        ...

    def read(self, name: str) -> bytes:
        """Return a whole file. At start only."""
        ...

    def submit(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Take a job. Its operations are done in order, off the loop.

        It ends in one event: `DiskDone(ticket)`, `DiskFailed(ticket, …)`, or `DiskFull(ticket)`,
        if the first operation creates a file and there is no space for the file. The same job may
        be given again after `DiskFull`, and not before.
        """
        ...


class Store(Protocol):
    """The durable state: SQLite behind threads of its own.

    The store also has the blocking reads of `machine.records.Records` (by key, on the loop).
    """

    def flush(self, changes: Changes, ticket: int) -> None:
        """Write all of `changes` in one synced transaction; then `Flushed(ticket)`.

        Instead `StoreFull(ticket)`, if there is no space: nothing was written. The same flush may
        be given again after `StoreFull`, and not before.
        """
        ...

    def answer(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """Answer (ticket, question)s from one read transaction; then `Answered` for all."""
        ...

    def hash(self, ticket: int) -> None:
        """Hash the flushed state; then `Hashed(ticket, index, sha256)`.

        The read transaction is pinned before this call returns, so the hash shows no later flush.
        """
        ...

    def copy(self, ticket: int) -> None:
        """Copy the flushed state to a file; then `Copied`, whose header names no members.

        The path of `Copied` is empty if there was no space: nothing is left of the copy.
        """
        ...

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """Add a chunk to the incoming snapshot; offset 0 begins anew; then `Staged(ticket, …)`.

        The chunk that reaches `header.size` is the last chunk: `Staged` follows after the file is
        synced and verified.
        """
        ...

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """Switch to the staged snapshot (a directory of its own); then `Installed(ticket)`.

        Called only after the log holds a synced record that names `meta`. The old state is removed.
        """
        ...

    def quarantine(self, reason: str) -> None:
        """Mark the state as unfit to be served, for the next start; no event follows.

        The mark is removed with the state, when a snapshot replaces the state.
        """
        ...


class Transport(Protocol):
    """The ways out of the process. Messages may be lost, and may be delivered twice."""

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Give messages to the links of their recipients; drop messages whose link is down."""
        ...

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Answer on a gateway's link; nothing happens when the session is gone."""
        ...

    def meet(self, contacts: Mapping[int, Contact]) -> None:
        """Know these members by id, besides the first members; in time, forget other members."""
        ...

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Answer a `ChangeAsked`; nothing happens when the caller is gone."""
        ...

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Stream a copied file to a peer and remove the file; then `SnapshotSent(peer, index, …)`.

        If a link breaks, another link resumes behind the chunks that the peer has staged. The log
        stays pinned until `SnapshotSent`, so a link that does not move must end by itself.
        """
        ...

    def end_snapshots(self) -> None:
        """End the snapshots under way: the state must not be given to peers, or is of no use.

        Each snapshot ends as usual, in `SnapshotSent`.
        """
        ...

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Answer a chunk of the incoming snapshot at `index`, to the snapshot's sender.

        Every `ChunkReceived` is answered once. After an answer with `taken` bytes stored, the next
        chunk may come. `installed` ends the link, mostly after the last chunk, but at any time if
        this member does not need the snapshot. A `problem` that is not empty ends the link, too.
        """
        ...


class Observer(Protocol):
    """Writes logs and counts. Changes nothing and does not fail."""

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Observe an applied entry, and one outcome for each of its commands."""
        ...

    def filled_up(self, *, is_full: bool) -> None:
        """Observe that the space has run out, or that there is space again."""
        ...

    def lead_changed(self, leadership: Leadership, leader: str) -> None:
        """Observe a change of the leadership; `leader` is a name, empty without a known leader."""
        ...

    def warned(self, what: str, detail: str) -> None:
        """Observe a condition that an operator must know: "diverged" or "clock_ahead"."""
        ...


class Step(enum.StrEnum):
    """A step of a member's work that hooks surround."""

    WAL_JOB = "wal-job"  # a batch of the log, from the call of the disk's port on
    FLUSH_JOB = "flush-job"  # a flush, from the call of the store's port on
    WAL_WRITE = "wal-write"
    WAL_SYNC = "wal-sync"
    SEGMENT_CREATION = "segment-creation"
    SEGMENT_REMOVAL = "segment-removal"
    SEND = "send"  # a frame to another member
    APPLY = "apply"  # an entry
    FLUSH = "flush"
    CHECKPOINT = "checkpoint"  # the hash that a Checkpoint entry asks for
    SNAPSHOT_SAVE = "snapshot-save"  # the copy that a leader makes
    SNAPSHOT_CHUNK = "snapshot-chunk"  # staged by the receiving member
    SNAPSHOT_INSTALL = "snapshot-install"  # the switch to the snapshot


class Hooks(Protocol):
    """Functions that are called around each step, on the thread that takes the step.

    A step of one kind ends before the next step of the kind begins, but for sends, which are to
    several members. A job begins on the thread that gives the job. `after` is not called if a step
    found no space: the step is taken again.
    """

    def before(self, step: Step) -> None:
        """Note that a step begins."""
        ...

    def after(self, step: Step) -> None:
        """Note that a step is done."""
        ...


class NoHooks:
    """The hooks of a member without timings and failpoints."""

    def before(self, step: Step) -> None:
        """Do nothing."""

    def after(self, step: Step) -> None:
        """Do nothing."""


NO_HOOKS: Hooks = NoHooks()


class Clock(Protocol):
    """The wall clock, and a steady clock."""

    def elapsed_ms(self) -> int:
        """Milliseconds since some moment; never goes back, and goes on while the process stops."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since 1970; may jump, also backwards."""
        ...


class Random(Protocol):
    """The only source of randomness."""

    def below(self, bound: int) -> int:
        """Return an integer from 0 to bound - 1."""
        ...
