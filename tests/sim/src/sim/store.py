"""The `Store` port over the real database, without threads: jobs are done when the world says so.

Each job is one transaction or one file, so a crash is the loss of the jobs that were not let go:
the database stands as the last flush left it. That SQLite keeps its own promise is not tested here,
so nothing is synced.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from inventory.raft.v1 import forward_pb2
from inventory_node.events import (
    Answered,
    Copied,
    Event,
    Flushed,
    Hashed,
    Installed,
    Staged,
    StoreFailed,
    StoreFull,
)
from inventory_node.machine.changes import Changes
from inventory_node.machine.shelf import Header, Item, Remembered, User
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime.sqlite import Database, Pinned, verify
from raft.messages import Configuration, SnapshotMeta

STATE = "state.db"
STAGED = "staged.db"


class SimStore:
    """One member's database, below a folder of its own; `Store` and `Shelf`.

    - Jobs are done in the order in which they were given.
    - A staged snapshot is served only after `install`, or when a start names its index.
    """

    def __init__(self, folder: Path, installed_index: int) -> None:
        """Open the state that the log names; finish a switch that a crash cut short."""
        self._folder = folder
        self._pins: list[Pinned] = []
        self._jobs: deque[Callable[[], Event]] = deque()
        self.flushes = 0  # begun since the start
        self.is_full = False  # flushes find no space
        self.condemned = ""
        self.is_failing = False  # the next flush fails, as a sync of the database does
        path = self._path(installed_index)
        if installed_index and not path.exists():
            self._switch(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = _open(path)

    @property
    def jobs(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def step(self) -> Event | None:
        """Do the oldest job; return its event, None when nothing waits."""
        return self._jobs.popleft()() if self._jobs else None

    def close(self) -> None:
        """End the process: what waits is lost."""
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
                return StoreFailed("simulated")
            self._database.flush(changes)
            return Flushed(ticket)

        self._jobs.append(job)

    def condemn(self, reason: str) -> None:
        """See `Store.condemn`."""
        self.condemned = reason

    def ask(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """See `Store.ask`."""
        self._jobs.append(lambda: Answered(self._database.ask(questions)))

    def hash(self, ticket: int) -> None:
        """See `Store.hash`."""
        pinned = self._pin()

        def job() -> Event:
            found = Hashed(ticket, pinned.header.applied_index, pinned.sha256())
            self._unpin(pinned)
            return found

        self._jobs.append(job)

    def copy(self, ticket: int) -> None:
        """See `Store.copy`."""
        pinned = self._pin()
        path = self._folder / f"copy-{ticket}.db"

        def job() -> Event:
            pinned.copy(path)
            data = path.read_bytes()
            index, term = pinned.header.applied_index, pinned.header.applied_term
            self._unpin(pinned)
            meta = SnapshotMeta(index, term, Configuration(frozenset()))  # the node names it
            header = SnapshotHeader(meta, len(data), hashlib.sha256(data).digest())
            return Copied(ticket, header, str(path))

        self._jobs.append(job)

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
            kept = path.read_bytes()[:offset] if offset else b""
            path.write_bytes(kept + data)
            if offset + len(data) < header.size:
                return Staged(ticket, complete=False, problem="")
            if hashlib.sha256(kept + data).digest() != header.sha256:
                return Staged(ticket, complete=False, problem="its hash differs")
            problem = verify(path, header.meta.index)
            return Staged(ticket, complete=not problem, problem=problem)

        self._jobs.append(job)

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """See `Store.install`."""

        def job() -> Event:
            path = self._path(meta.index)
            self._switch(path)
            self._database.close()
            self._database = _open(path)
            return Installed(ticket)

        self._jobs.append(job)

    def header(self) -> Header:
        """See `Shelf.header`."""
        return self._database.header()

    def item(self, item_id: int) -> Item | None:
        """See `Shelf.item`."""
        return self._database.item(item_id)

    def user(self, user_id: int) -> User | None:
        """See `Shelf.user`."""
        return self._database.user(user_id)

    def user_by_name(self, name: str) -> User | None:
        """See `Shelf.user_by_name`."""
        return self._database.user_by_name(name)

    def request(self, bucket: int, user_id: int, request_id: str) -> Remembered | None:
        """See `Shelf.request`."""
        return self._database.request(bucket, user_id, request_id)

    def buckets(self) -> dict[int, int]:
        """See `Shelf.buckets`."""
        return self._database.buckets()


def _open(path: Path) -> Database:
    database = Database(path)
    database._writer.execute("PRAGMA synchronous=OFF")
    return database
