"""The `Store` port over the real database, whose jobs are done when the world says so.

Each job is one transaction, or one file, so a crash is the loss of the jobs that were not done: the
database stands as the last flush left it. That SQLite keeps its promise is not tested here, so it
need not sync.
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from inventory.raft.v1 import forward_pb2
from inventory_node.events import Answered, Copied, Event, Flushed, Hashed, Installed, Staged
from inventory_node.machine.changes import Changes
from inventory_node.machine.shelf import Header, Item, Remembered, User
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime.sqlite import Database, Pinned, verify
from raft.messages import Configuration, SnapshotMeta

FILE = "inventory.db"


class SimStore:
    """One member's database in a folder of its own.

    - Nothing happens before `step`, but the pin of a hash or a copy.
    - What `step` did survives `close`, as it survives a crash.
    """

    def __init__(self, folder: Path, installed_index: int, configuration: Configuration) -> None:
        """Open the state that the log names, finishing a switch that was cut short."""
        self._folder = folder
        self._configuration = configuration
        self._staged = folder / "staging" / FILE
        self._staged.parent.mkdir(parents=True, exist_ok=True)
        self._jobs: deque[Callable[[], Event]] = deque()
        self._pins: list[Pinned] = []
        path = self._path(installed_index)
        if installed_index and not path.exists():
            path.parent.mkdir()
            self._staged.rename(path)
        path.parent.mkdir(exist_ok=True)
        self._database = self._open(path)

    def _path(self, index: int) -> Path:
        return self._folder / f"state-{index:020}" / FILE

    def _open(self, path: Path) -> Database:
        for other in self._folder.glob("state-*"):
            if other != path.parent:
                shutil.rmtree(other)
        database = Database(path)
        database._writer.execute("PRAGMA synchronous=OFF")
        return database

    @property
    def busy(self) -> bool:
        """Whether a job waits."""
        return bool(self._jobs)

    def step(self) -> Event:
        """Do the oldest job and return its event."""
        return self._jobs.popleft()()

    def close(self) -> None:
        """Forget the jobs that wait."""
        self._jobs.clear()
        for pin in self._pins:
            pin.close()
        self._pins.clear()
        self._database.close()

    def flush(self, changes: Changes, ticket: int) -> None:
        """Write `changes` in one transaction."""

        def job() -> Event:
            self._database.flush(changes)
            return Flushed(ticket)

        self._jobs.append(job)

    def ask(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """Answer questions from one read transaction."""
        self._jobs.append(lambda: Answered(self._database.ask(questions)))

    def hash(self, ticket: int) -> None:
        """Hash the state as it is flushed here and now."""
        pin = self._pin()

        def job() -> Event:
            return Hashed(ticket, pin.header.applied_index, pin.sha256())

        self._jobs.append(lambda: self._unpin(pin, job()))

    def copy(self, ticket: int) -> None:
        """Copy the state as it is flushed here and now."""
        pin = self._pin()
        path = self._folder / "staging" / f"copy-{ticket}.db"

        def job() -> Event:
            pin.copy(path)
            data = path.read_bytes()
            meta = SnapshotMeta(
                pin.header.applied_index, pin.header.applied_term, self._configuration
            )
            header = SnapshotHeader(meta, len(data), hashlib.sha256(data).digest())
            return Copied(ticket, header, str(path))

        self._jobs.append(lambda: self._unpin(pin, job()))

    def _pin(self) -> Pinned:
        pin = self._database.pin()
        self._pins.append(pin)
        return pin

    def _unpin(self, pin: Pinned, event: Event) -> Event:
        pin.close()
        self._pins.remove(pin)
        return event

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """Add a chunk; the last is followed by the checks."""

        def job() -> Event:
            with self._staged.open("r+b" if offset else "wb") as file:
                file.seek(offset)
                file.write(data)
            if offset + len(data) < header.size:
                return Staged(ticket, complete=False, problem="")
            if hashlib.sha256(self._staged.read_bytes()).digest() != header.sha256:
                return Staged(ticket, complete=False, problem="its checksum does not match")
            problem = verify(self._staged, header.meta.index)
            return Staged(ticket, complete=not problem, problem=problem)

        self._jobs.append(job)

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """Switch to the staged snapshot."""

        def job() -> Event:
            path = self._path(meta.index)
            path.parent.mkdir()
            self._staged.rename(path)
            self._database.close()
            self._database = self._open(path)
            return Installed(ticket)

        self._jobs.append(job)

    # The Shelf.

    def header(self) -> Header:
        """Return the scalars as last flushed."""
        return self._database.header()

    def item(self, item_id: int) -> Item | None:
        """Return an item."""
        return self._database.item(item_id)

    def user(self, user_id: int) -> User | None:
        """Return a user."""
        return self._database.user(user_id)

    def user_by_name(self, name: str) -> User | None:
        """Return a user."""
        return self._database.user_by_name(name)

    def request(self, bucket: int, user_id: int, request_id: str) -> Remembered | None:
        """Return what is remembered of a request."""
        return self._database.request(bucket, user_id, request_id)

    def buckets(self) -> dict[int, int]:
        """Return how many requests each second holds."""
        return self._database.buckets()
