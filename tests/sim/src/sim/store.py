"""The `Store` port over the real database, without threads: jobs are done when the world says so.

Each job is one transaction or one file, so a crash is the loss of the jobs that were not let go:
the database stands as the last flush left it. That SQLite keeps its own promise is not tested here,
so nothing is synced.
"""

import enum
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from inventory.raft.v1 import forward_pb2
from inventory_node.core.events import (
    Answered,
    Event,
    Flushed,
    Hashed,
    Installed,
    Staged,
    StoreFailed,
    StoreFull,
)
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import (
    Header,
    ItemRecord,
    PeriodRow,
    Remembered,
    SessionRecord,
    UserRecord,
)
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime.sqlite import Database, Pinned, verify
from inventory_node.runtime.store import copy_pinned
from raft.messages import SnapshotMeta

from sim.tables import check_balance

STATE = "state.db"
STAGED = "staged.db"
NO_SPACE = "there is no space"
SPACE_BYTES = 1 << 40  # of a disk that is not full
FAILURE = StoreFailed("simulated")
Job = Callable[[], Event | None]


class Thread(enum.Enum):
    """Who does a job: jobs of one thread do not wait for jobs of another."""

    FLUSHER = "flusher"
    READER = "reader"
    COPIER = "copier"
    HASHER = "hasher"

    @property
    def writes(self) -> bool:
        """Whether its jobs wait for the disk; reads are answered by the page cache."""
        return self in {Thread.FLUSHER, Thread.COPIER}


class SimStore:
    """One member's database, below a folder of its own; `Store` and `Records`.

    - Jobs of one thread are done in the order in which they were given.
    - A job that writes to the database, or switches it, is given only when no such job waits. So
      the changes of a flush belong to the state that they were taken from.
    - While `is_full`, flushes, copies and chunks find no space, and an install waits for space;
      while `is_short`, only copies and chunks find none.
    - A staged snapshot is served only after `install`, or when a start names its index.
    """

    def __init__(self, folder: Path, installed_index: int) -> None:
        """Open the state that the log names; finish a switch that a crash has interrupted."""
        self._folder = folder
        self._pins: list[Pinned] = []
        self._jobs: deque[tuple[Thread, Job]] = deque()
        self.flushes = 0  # begun since the start
        self.is_full = self.is_short = False
        self.quarantined = ""
        self.is_failing = False  # the next flush fails, as a sync of the database does
        path = self._path(installed_index)
        self.has_switched = bool(installed_index) and not path.exists()
        if self.has_switched:
            self._switch(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = _open(path)

    @property
    def jobs(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def step(self, thread: Thread | None = None) -> Event | None:
        """Do the oldest job, of all or of a thread; return its event.

        None when there is none, or it waits for space.
        """
        for found in self._jobs:
            if thread in {None, found[0]}:
                event = found[1]()
                if event is not None:
                    self._jobs.remove(found)
                return event
        return None

    def close(self) -> None:
        """End the process: jobs that wait are lost."""
        self._jobs.clear()
        for pinned in self._pins:
            pinned.close()
        self._pins.clear()
        self._database.close()

    def _path(self, index: int) -> Path:
        return self._folder / f"state-{index:020}" / STATE

    def _switch(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        (self._folder / STAGED).rename(path)

    def flush(self, changes: Changes, ticket: int) -> None:
        """See `Store.flush`."""
        self.flushes += 1

        def job() -> Event:
            if self.is_full:
                return StoreFull(ticket)
            if self.is_failing:
                return FAILURE
            self._database.flush(changes)
            return Flushed(ticket)

        self._write(job)

    def _write(self, job: Job) -> None:
        if any(thread is Thread.FLUSHER for thread, _ in self._jobs):
            raise RuntimeError("a flush or an install is given while another one waits")
        self._jobs.append((Thread.FLUSHER, job))

    def quarantine(self, reason: str) -> None:
        """See `Store.quarantine`."""
        self.quarantined = reason

    def answer(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """See `Store.answer`."""
        self._jobs.append((Thread.READER, lambda: Answered(self._database.answer(questions))))

    def hash(self, ticket: int) -> None:
        """See `Store.hash`."""
        pinned = self._pin()

        def job() -> Event:
            found = Hashed(ticket, pinned.header.applied_index, pinned.sha256())
            self._unpin(pinned)
            return found

        self._jobs.append((Thread.HASHER, job))

    def copy(self, ticket: int) -> None:
        """See `Store.copy`."""
        pinned = self._pin()
        path = self._folder / f"copy-{ticket}.db"

        def job() -> Event:
            has_space = not (self.is_full or self.is_short)
            made = copy_pinned(pinned, path, ticket, SPACE_BYTES if has_space else 0)
            self._unpin(pinned)
            return made

        self._jobs.append((Thread.COPIER, job))

    def _pin(self) -> Pinned:
        pinned = self._database.pin()
        self._pins.append(pinned)
        return pinned

    def _unpin(self, pinned: Pinned) -> None:
        pinned.close()
        self._pins.remove(pinned)

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """See `Store.stage`."""

        def job() -> Event:
            path = self._folder / STAGED
            if self.is_full or self.is_short:
                path.unlink(missing_ok=True)
                return Staged(ticket, complete=False, problem=NO_SPACE)
            kept = path.read_bytes()[:offset] if offset else b""
            path.write_bytes(kept + data)
            if offset + len(data) < header.size:
                return Staged(ticket, complete=False, problem="")
            if hashlib.sha256(kept + data).digest() != header.sha256:
                return Staged(ticket, complete=False, problem="its hash differs")
            problem = verify(path, header.meta.index)
            return Staged(ticket, complete=not problem, problem=problem)

        self._jobs.append((Thread.COPIER, job))

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """See `Store.install`."""

        def job() -> Event | None:
            if self.is_full:
                return None
            path = self._path(meta.index)
            self._switch(path)
            self._database.close()
            self._database = _open(path)
            return Installed(ticket)

        self._write(job)

    def check_balance(self) -> None:
        """Raise SafetyViolation if the tables contradict each other."""
        check_balance(self._database)

    def header(self) -> Header:
        """See `Records.header`."""
        return self._database.header()

    def item(self, item_id: int) -> ItemRecord | None:
        """See `Records.item`."""
        return self._database.item(item_id)

    def user(self, user_id: int) -> UserRecord | None:
        """See `Records.user`."""
        return self._database.user(user_id)

    def user_by_name(self, folded_name: str) -> UserRecord | None:
        """See `Records.user_by_name`."""
        return self._database.user_by_name(folded_name)

    def sessions(self, user_id: int) -> list[SessionRecord]:
        """See `Records`."""
        return self._database.sessions(user_id)

    def request(self, periods: Sequence[int], request_id: str) -> Remembered | None:
        """See `Records.request`."""
        return self._database.request(periods, request_id)

    def periods(self) -> list[PeriodRow]:
        """See `Records.periods`."""
        return self._database.periods()


def _open(path: Path) -> Database:
    database = Database(path)
    database._writer.execute("PRAGMA synchronous=OFF")
    return database
