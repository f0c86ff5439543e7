"""The store port: the database behind four threads, one for each kind of work.

Flushes, reads, copies and hashes do not wait for each other. A hash of a large state takes minutes,
and would hold up the copy for a member that lost its volume. Any failure in a thread is a
`StoreFailed`: the node stops and recovers at its next start. A thread never ends in silence.

A lack of space is no failure. A flush, a copy or a chunk without space reports the lack and leaves
nothing behind. The switch to a snapshot, which the log has recorded, waits for space. The
quarantine mark is retried, while flushes go on.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from inventory.raft.v1 import forward_pb2
from raft.messages import Configuration, SnapshotMeta

from inventory_node.core import events
from inventory_node.errors import DatabaseError, DatabaseFull, HashAbandoned
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import (
    Header,
    ItemRecord,
    PeriodRow,
    Remembered,
    SessionRecord,
    UserRecord,
)
from inventory_node.ports import NO_HOOKS, Hooks, SnapshotHeader, Step
from inventory_node.runtime.snapshot import StateFolder, digest_of
from inventory_node.runtime.sqlite import Database, Error, Pinned
from inventory_node.runtime.volume import snapshot_bytes_max

REST_SECONDS = 0.001
FULL_SECONDS = 1.0  # until a snapshot's switch, or a quarantine mark, looks for space again

Job = Callable[[], events.Event | None]

_log = structlog.get_logger()


class Worker:
    """One thread that does jobs of one kind, in order.

    - At most one job is put off. The job is done once its time has come and no other job waits, or
      at the end.
    """

    def __init__(self, name: str, emit: Callable[[events.Event], None]) -> None:
        """Start the thread."""
        self._emit = emit
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._put_off: Job | None = None
        self._due = 0.0  # when the job that is put off is done
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, job: Job) -> None:
        """Queue a job; the event that the job returns is emitted."""
        self._jobs.put(job)

    def put_off(self, job: Job, seconds: float) -> None:
        """Do a job later, in place of an earlier job that is put off; for jobs of this thread."""
        self._put_off, self._due = job, time.monotonic() + seconds

    def close(self) -> None:
        """Finish the queued jobs, try the job that is put off once more, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._do(job)
        if self._put_off is not None:
            self._do(self._put_off)

    def _do(self, job: Job) -> None:
        try:
            event = job()
        except (Error, DatabaseError, OSError) as error:
            event = events.StoreFailed(f"{type(error).__name__}: {error}")
        except BaseException as error:
            self._emit(events.StoreFailed(f"unforeseen {type(error).__name__}: {error}"))
            raise
        if event is not None:
            self._emit(event)

    def _next(self) -> Job | None:
        """Wait for a job; None at the end."""
        if self._put_off is None:
            return self._jobs.get()
        try:
            return self._jobs.get(timeout=max(0.0, self._due - time.monotonic()))
        except queue.Empty:
            job, self._put_off = self._put_off, None
            return job


def copy_pinned(pinned: Pinned, path: Path, ticket: int, bytes_max: int) -> events.Copied:
    """Copy a pinned state to `path`, if the copy has no more than `bytes_max`.

    Without space for the copy, the event has no path, and no file is left.
    """
    # The log knows the configuration; the node fills the configuration in.
    nobody = Configuration(frozenset())
    meta = SnapshotMeta(pinned.header.applied_index, pinned.header.applied_term, nobody)
    not_made = events.Copied(ticket, SnapshotHeader(meta, 0, b""), "")
    if pinned.size > bytes_max:
        return not_made
    try:
        pinned.copy(path)
    except DatabaseFull:
        return not_made
    header = SnapshotHeader(meta, path.stat().st_size, digest_of(path))
    return events.Copied(ticket, header, str(path))


class SqliteStore:
    """`ports.Store` and `machine.records.Records` over the state directories of one member.

    - Jobs of one kind end in the order in which they were given.
    - A pinned state (hash, copy) is the flushed state at the moment of the call.
    - The database is replaced between reads, never during a read.
    - A quarantined state is marked as soon as there is space, unless the state is replaced.
    """

    def __init__(
        self,
        data_dir: Path,
        installed_index: int,
        emit: Callable[[events.Event], None],
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        """Open the state that the log names; raise DatabaseError."""
        self._folder = StateFolder(data_dir)
        self._emit = emit
        self._hooks = hooks
        self._database = Database(self._folder.open(installed_index))
        self._closing = threading.Event()
        # Both locks are held while the database is replaced. `_asking` is also held by questions,
        # `_reads` by the short reads of the loop.
        self._asking = threading.Lock()
        self._reads = threading.Lock()
        self._flusher = Worker("inventory-flush", emit)
        self._reader = Worker("inventory-read", emit)
        self._copier = Worker("inventory-copy", emit)
        self._hasher = Worker("inventory-hash", emit)

    def close(self) -> None:
        """Finish the queued jobs, except hashes, and close the files."""
        self._closing.set()
        for worker in (self._flusher, self._reader, self._copier, self._hasher):
            worker.close()
        self._database.close()

    def flush(self, changes: Changes, ticket: int) -> None:
        """Write all of `changes` in one synced transaction."""

        def job() -> events.Event:
            self._hooks.before(Step.FLUSH)
            try:
                self._database.flush(changes)
            except DatabaseFull:
                return events.StoreFull(ticket)
            self._hooks.after(Step.FLUSH)
            self._hooks.after(Step.FLUSH_JOB)
            return events.Flushed(ticket)

        self._hooks.before(Step.FLUSH_JOB)
        self._flusher.do(job)

    def answer(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """Answer from one read transaction."""

        def job() -> events.Event:
            with self._asking:
                return events.Answered(self._database.answer(questions))

        self._reader.do(job)

    def hash(self, ticket: int) -> None:
        """Hash the flushed state."""

        def work(pinned: Pinned) -> events.Event | None:
            self._hooks.before(Step.CHECKPOINT)
            try:
                sha256 = pinned.sha256(self._rest)
            except HashAbandoned:
                return None
            self._hooks.after(Step.CHECKPOINT)
            return events.Hashed(ticket, pinned.header.applied_index, sha256)

        self._with_pinned(self._hasher, work)

    def _rest(self) -> None:
        """Leave the cores to other work: no work waits for a hash, and all members hash at once."""
        if self._closing.wait(REST_SECONDS):
            raise HashAbandoned

    def copy(self, ticket: int) -> None:
        """Copy the flushed state to a file."""

        def work(pinned: Pinned) -> events.Event:
            self._hooks.before(Step.SNAPSHOT_SAVE)
            path = self._folder.copy_path(ticket)
            made = copy_pinned(pinned, path, ticket, snapshot_bytes_max(path.parent))
            self._hooks.after(Step.SNAPSHOT_SAVE)
            if not made.path:
                _log.warning("snapshot_not_copied", reason="there is no space")
            return made

        self._with_pinned(self._copier, work)

    def _with_pinned(self, worker: Worker, work: Callable[[Pinned], events.Event | None]) -> None:
        """Pin the state at once, on the caller's thread; do the work on the worker's."""
        with self._reads:
            pinned = self._database.pin()

        def job() -> events.Event | None:
            try:
                return work(pinned)
            finally:
                pinned.close()

        worker.do(job)

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """Add a chunk to the incoming snapshot."""

        def job() -> events.Event:
            self._hooks.before(Step.SNAPSHOT_CHUNK)
            complete, problem = self._folder.stage(header, offset, data)
            self._hooks.after(Step.SNAPSHOT_CHUNK)
            if problem:
                _log.warning("snapshot_refused", index=header.meta.index, problem=problem)
            return events.Staged(ticket, complete=complete, problem=problem)

        self._copier.do(job)

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """Switch to the staged snapshot."""

        def job() -> events.Event | None:
            self._hooks.before(Step.SNAPSHOT_INSTALL)
            replacement = self._replacement(meta.index)
            if replacement is None:
                return None
            with self._asking:
                with self._reads:
                    old, self._database = self._database, replacement
                old.close()
            self._folder.keep_only(meta.index)
            self._hooks.after(Step.SNAPSHOT_INSTALL)
            return events.Installed(ticket)

        self._flusher.do(job)

    def _replacement(self, index: int) -> Database | None:
        """Move the staged snapshot into place and open it, once there is space; None at the end."""
        while True:
            try:
                return Database(self._folder.install(index))
            except DatabaseFull as full:
                _log.warning("snapshot_not_installed", reason=str(full))
            if self._closing.wait(FULL_SECONDS):
                return None

    def quarantine(self, reason: str) -> None:
        """Mark the state as quarantined, once there is space for the mark."""
        database = self._database

        def job() -> None:
            if self._database is not database:
                return  # a snapshot replaced the state
            try:
                self._folder.quarantine(reason)
            except DatabaseFull as full:
                _log.warning("state_not_marked", reason=str(full))
                self._flusher.put_off(job, FULL_SECONDS)

        self._flusher.do(job)

    def header(self) -> Header:
        """See `Records`."""
        with self._reads:
            return self._database.header()

    def item(self, item_id: int) -> ItemRecord | None:
        """See `Records`."""
        with self._reads:
            return self._database.item(item_id)

    def user(self, user_id: int) -> UserRecord | None:
        """See `Records`."""
        with self._reads:
            return self._database.user(user_id)

    def user_by_name(self, folded_name: str) -> UserRecord | None:
        """See `Records`."""
        with self._reads:
            return self._database.user_by_name(folded_name)

    def sessions(self, user_id: int) -> list[SessionRecord]:
        """See `Records`."""
        with self._reads:
            return self._database.sessions(user_id)

    def request(self, periods: Sequence[int], request_id: str) -> Remembered | None:
        """See `Records`."""
        with self._reads:
            return self._database.request(periods, request_id)

    def periods(self) -> list[PeriodRow]:
        """See `Records`."""
        with self._reads:
            return self._database.periods()
