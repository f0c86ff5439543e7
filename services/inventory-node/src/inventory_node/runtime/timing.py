"""The ports and the machine with a watch on them: what takes time, measured once a batch."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from raft.messages import Entry

from inventory_node.core import events
from inventory_node.machine import Applied, Machine
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Shelf
from inventory_node.ports import DiskOperation
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.runtime.store import SqliteStore


class Timing:
    """How often something was done, and how long all of it took."""

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        """Start at zero."""
        self.count = 0
        self.seconds = 0.0

    def add(self, started: float) -> None:
        """Count something that began at `started` of `time.perf_counter` and is done."""
        self.count += 1
        self.seconds += time.perf_counter() - started


class TimedDisk(ThreadedDisk):
    """The log's disk; from the moment a job is given to the end of its sync."""

    def __init__(self, folder: Path, emit: Callable[[events.Event], None], timing: Timing) -> None:
        """Open `folder` and add each job to `timing`."""
        # Jobs end in the order in which they were given.
        self._started: deque[float] = deque()

        def done(event: events.DiskDone | events.DiskFull | events.DiskFailed) -> None:
            timing.add(self._started.popleft())
            emit(event)

        super().__init__(folder, done)

    def run(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Queue a job."""
        self._started.append(time.perf_counter())
        super().run(operations, ticket)


class TimedStore(SqliteStore):
    """The database; from the moment a flush is given to its commit."""

    def __init__(
        self,
        data_dir: Path,
        installed_index: int,
        emit: Callable[[events.Event], None],
        timing: Timing,
    ) -> None:
        """Open the state that the log names and add each flush to `timing`."""
        self._started: deque[float] = deque()

        def done(event: events.Event) -> None:
            match event:
                case events.Flushed():
                    timing.add(self._started.popleft())
                case events.StoreFull():  # it is given again, and counts from there
                    self._started.popleft()
                case _:
                    pass
            emit(event)

        super().__init__(data_dir, installed_index, done)

    def flush(self, changes: Changes, ticket: int) -> None:
        """Write all of `changes` in one synced transaction."""
        self._started.append(time.perf_counter())
        super().flush(changes, ticket)


class TimedMachine(Machine):
    """The state machine; one entry at a time."""

    def __init__(self, shelf: Shelf, timing: Timing) -> None:
        """Add each applied entry to `timing`."""
        super().__init__(shelf)
        self._timing = timing

    def apply(self, entry: Entry) -> list[Applied]:
        """Apply one committed entry."""
        started = time.perf_counter()
        outcomes = super().apply(entry)
        self._timing.add(started)
        return outcomes
