"""The ports of one life of a process, in virtual time.

Each port owes its node the event that ends a job, once; or none, where the life ended before.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from inventory.raft.v1 import forward_pb2, membership_pb2, peer_pb2
from inventory_node.codec import add_to_frame, message_from_wire, surveys_of
from inventory_node.core.events import DiskDone, DiskFailed, Event, StoreFailed
from inventory_node.machine.changes import Changes
from inventory_node.ports import (
    Contact,
    DiskOperation,
    PeerMessage,
    RemoveFile,
    SnapshotHeader,
    SyncFile,
)
from link.frames import FrameKind
from raft.messages import SnapshotMeta

from sim.durable import Durable, Written
from sim.frames import carried
from sim.store import FAILURE, SimStore, Thread
from sim.surroundings import ChunkAnswer, ProcessHandle
from sim.violation import SafetyViolation

STORE_US = (200, 20_000)  # of one job of the database
SLOW_US_MAX = 600_000  # of an operation, however many faults slow the disk: it ends after them
HANGS_US = 5_000  # until a disk that hangs, or has no space, is looked at again


class DiskPort:
    """The `LogDisk` port: operations take their time one by one, and the power may go between."""

    def __init__(self, process: ProcessHandle, durable: Durable) -> None:
        """Keep in `durable` what is synced, from the end of the repair, the first job, on."""
        self._process = process
        self._durable = durable
        self._is_repaired = False
        self._written: dict[int, tuple[Sequence[DiskOperation], Written]] = {}  # by ticket

    def names(self) -> list[str]:
        """List the files."""
        return self._process.host.disk.names()

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        return self._process.host.disk.read(name)

    def submit(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Queue a job."""
        process = self._process
        self._plan(operations, ticket)
        idle = not process.host.disk.busy
        process.host.disk.submit(operations, ticket)
        if idle:
            self._later()

    def _plan(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Keep what a job is for. A job that found no space may come again under another ticket."""
        process, log = self._process, self._process.life.log
        if log is not None and log.written is not None:
            self._written[ticket] = operations, log.written
            self._durable.pending = log.written
            process.world.evidence.checks.appended(
                process.id, log.previous_term, log.written.entries
            )
            log.written = None
            return
        same = [one for one, (known, _) in self._written.items() if known == operations]
        if same:
            self._written[ticket] = self._written.pop(same[0])

    def _later(self) -> None:
        process = self._process
        delay_us = process.random.randrange(10, process.host.disk_us_max)
        process.later(min(delay_us * process.host.troubles.disk_factor, SLOW_US_MAX), self._work)

    def _work(self) -> None:
        process = self._process
        if process.host.troubles.disk_hangs:
            process.later(HANGS_US, self._work)
            return
        if process.host.troubles.count_operation():
            process.world.evidence.coverage["power lost in a repair"] += not self._is_repaired
            self._lose_power()
            return
        operation = process.host.disk.step()
        if operation is not None:
            self._note(operation)
        if self._is_repaired and process.host.troubles.tears(operation):
            self._lose_power()
            return
        finished = list(process.host.finished)
        process.host.finished.clear()
        if process.host.disk.busy:
            self._later()
        for event in finished:
            if isinstance(event, DiskDone):
                if self._synced(event.ticket):
                    self._lose_power()
                    return
            elif isinstance(event, DiskFailed):
                process.world.evidence.coverage["syncs failed"] += 1
            process.deliver(event)

    def _lose_power(self) -> None:
        self._process.end(power=True, restart=self._process.host.troubles.power_returns)

    def _synced(self, ticket: int) -> bool:
        """Take note of a job's end; tell whether the power fails before the node hears of it."""
        if not self._is_repaired:
            self._is_repaired = True
            self._process.world.evidence.checks.repaired(self._process.id, self._durable)
        _, written = self._written.pop(ticket, (None, None))
        if written is None:
            return False
        if self._durable.take(written):
            self._process.world.evidence.coverage["logs truncated"] += 1
        return written.install is not None and self._process.host.troubles.trips("install")

    def _note(self, operation: DiskOperation) -> None:
        world = self._process.world
        size = 0 if isinstance(operation, SyncFile) else len(getattr(operation, "data", b""))
        text = f"disk {type(operation).__name__} {size}"
        world.evidence.note(self._process.name, text)
        world.evidence.coverage["segments removed"] += isinstance(operation, RemoveFile)


class StorePort:
    """The `Store` port: every job takes its time, and one that writes takes the disk's.

    - Nothing fails but the transactions that a fault picks.
    """

    def __init__(self, process: ProcessHandle, store: SimStore) -> None:
        """Stand before `store`."""
        self._process = process
        self._store = store

    def _job(self, thread: Thread) -> None:
        """Have a thread's newest job done when its time comes."""
        process = self._process
        delay_us = process.random.randrange(*STORE_US)
        if thread.writes:
            delay_us = min(delay_us * process.host.troubles.disk_factor, SLOW_US_MAX)
        process.later(delay_us, partial(self._work, thread))

    def _work(self, thread: Thread) -> None:
        process = self._process
        troubles = process.host.troubles
        is_hung = thread.writes and troubles.disk_hangs
        is_flush_hung = thread is Thread.FLUSHER and troubles.flushes_hang
        event = None if is_hung or is_flush_hung else self._step(thread)
        if event is None:
            process.later(HANGS_US, partial(self._work, thread))
            return
        # Between the end of the work and its event, a crash finds the work done.
        process.later(process.random.randrange(1, 500), partial(process.deliver, event))

    def _step(self, thread: Thread) -> Event | None:
        """Do a thread's oldest job; None where it waits for space."""
        process = self._process
        if thread is Thread.FLUSHER and process.host.troubles.store_fails:
            process.host.troubles.store_fails = False
            self._store.is_failing = True
        self._store.is_short = process.host.troubles.shortages > 0
        event = self._store.step(thread)
        if isinstance(event, StoreFailed) and event is not FAILURE:
            raise SafetyViolation(f"{process.name}'s database failed: {event.problem}")
        return event

    def flush(self, changes: Changes, ticket: int) -> None:
        """Write changes."""
        self._store.flush(changes, ticket)
        self._job(Thread.FLUSHER)

    def quarantine(self, reason: str) -> None:
        """Mark the state."""
        self._store.quarantine(reason)

    def answer(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """Answer questions."""
        self._store.answer(questions)
        self._job(Thread.READER)

    def hash(self, ticket: int) -> None:
        """Hash the state as flushed."""
        self._store.hash(ticket)
        self._job(Thread.HASHER)

    def copy(self, ticket: int) -> None:
        """Copy the flushed state."""
        self._store.copy(ticket)
        self._job(Thread.COPIER)

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """Add a chunk."""
        self._store.stage(header, offset, data, ticket)
        self._job(Thread.COPIER)

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """Switch to the staged snapshot."""
        self._store.install(meta, ticket)
        self._job(Thread.FLUSHER)


class TransportPort:
    """The `Transport` port."""

    def __init__(self, process: ProcessHandle) -> None:
        """Know the founders. Other members become known by `meet`, or by a message of theirs."""
        self._process = process

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Send messages, each in a frame of its own."""
        process = self._process
        for message in messages:
            process.world.evidence.checks.left(message)
            frame = peer_pb2.PeerFrame()
            add_to_frame(frame, message)
            came = carried(FrameKind.PEER, frame.SerializeToString())
            read = peer_pb2.PeerFrame.FromString(came)
            for one in (*map(message_from_wire, read.messages), *surveys_of(read)):
                process.world.carry(process, one)

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Answer on a gateway's stream."""
        came = carried(FrameKind.RESPONSE, response.SerializeToString())
        sent = forward_pb2.ForwardResponse.FromString(came)
        self._process.world.reply(self._process.name, session, sent)

    def meet(self, contacts: Mapping[int, Contact]) -> None:
        """Do nothing: every member is found by its id in this world."""

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Answer whoever asked for a change."""
        told = self._process.life.changes.pop(ticket, None)
        if told is not None:
            told(response)

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Stream a file."""
        self._process.world.stream_snapshot(self._process, peer, term, header, path)

    def end_snapshots(self) -> None:
        """Do nothing: a state that differs ends the run, and no run's log is that long."""

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Answer the sender of a chunk."""
        answer = ChunkAnswer(peer, index, taken, installed, problem)
        self._process.world.answer_chunk(self._process, answer)
