"""A disk that forgets: 512-byte sectors that are durable only once synced, crashes in between.

Jobs wait until the world runs them, an operation at a time, so that a crash can come between any
two. A crash keeps any subset of the sectors written since the last sync of their file, and any
first few of the folder's changes since its last sync: metadata of the usual file systems is
journalled in order. A sync that fails leaves pages that count as clean and are not on the platter,
as Linux does (Rebello et al., "Can Applications Recover from fsync Failures?", 2020): programs see
them until power is lost, and another sync writes nothing.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from inventory_node.ports import (
    CreateFile,
    DiskOperation,
    RemoveFile,
    RenameFile,
    SyncFile,
    SyncFolder,
    WriteAt,
)

SECTOR_BYTES = 512


@dataclass(slots=True)
class Inode:
    """A file's content: as programs see it, and as the platter holds it."""

    seen: bytearray
    durable: bytearray
    unsynced: set[int] = field(default_factory=set)  # sectors


@dataclass(slots=True)
class Job:
    """Operations given by one `submit`, and how many of them are done."""

    operations: tuple[DiskOperation, ...]
    ticket: int
    done: int = 0


class SimDisk:
    """The `LogDisk` port over memory.

    - The files change in `step` and `drain` alone: the world calls them, and so says when.
    - What was synced survives every crash.
    - Jobs are done in the order of `submit`; each ends in one call of `done`, `full` or `failed`,
      or is lost with the process.
    """

    def __init__(
        self,
        done: Callable[[int], None],
        full: Callable[[int], None] | None = None,
        failed: Callable[[int], None] | None = None,
    ) -> None:
        """`step` calls `done(ticket)` after a job's last operation, `full` where it has no space.

        While `is_full`, no file can be created. While `is_failing`, the next sync of a file fails,
        and the job with it: `failed(ticket)`.
        """
        self._done = done
        self._full = full or done
        self._failed = failed or done
        self.is_full = False
        self.is_failing = False
        self._folder: dict[str, Inode] = {}
        self._durable_folder: dict[str, Inode] = {}
        self._folder_changes: list[DiskOperation] = []
        self._created: dict[str, Inode] = {}
        self._jobs: deque[Job] = deque()

    def names(self) -> list[str]:
        """List the files, sorted."""
        return sorted(self._folder)

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        return bytes(self._folder[name].seen)

    def submit(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Queue a job."""
        self._jobs.append(Job(tuple(operations), ticket))

    @property
    def busy(self) -> bool:
        """Whether a job waits or is under way."""
        return bool(self._jobs)

    def step(self) -> DiskOperation | None:
        """Do the next operation of the oldest job; return it, None when there is nothing to do."""
        if not self._jobs:
            return None
        job = self._jobs[0]
        if self.is_full and not job.done and isinstance(job.operations[0], CreateFile):
            self._jobs.popleft()
            self._full(job.ticket)
            return None
        operation = None
        if job.done < len(job.operations):
            operation = job.operations[job.done]
            if self.is_failing and isinstance(operation, SyncFile):
                self.is_failing = False
                self._folder[operation.name].unsynced.clear()
                self._jobs.clear()
                self._failed(job.ticket)
                return operation
            self._do(operation)
            job.done += 1
        if job.done >= len(job.operations):
            self._jobs.popleft()
            self._done(job.ticket)
        return operation

    def drain(self) -> None:
        """Do every job that waits."""
        while self._jobs:
            self.step()

    def _do(self, operation: DiskOperation) -> None:
        match operation:
            case WriteAt():
                self._write(operation)
            case SyncFile():
                self._sync(self._folder[operation.name])
            case SyncFolder():
                self._durable_folder = dict(self._folder)
                self._folder_changes.clear()
                self._created.clear()
            case CreateFile():
                if operation.name in self._folder:
                    raise FileExistsError(operation.name)
                inode = Inode(bytearray(operation.size), bytearray(operation.size))
                self._created[operation.name] = inode
                self._change_folder(operation)
            case RenameFile() | RemoveFile():
                self._change_folder(operation)

    def _change_folder(self, operation: DiskOperation) -> None:
        self._folder_changes.append(operation)
        self._apply(self._folder, operation)

    def _apply(self, folder: dict[str, Inode], operation: DiskOperation) -> None:
        match operation:
            case CreateFile():
                folder[operation.name] = self._created[operation.name]
            case RenameFile():
                folder[operation.to] = folder.pop(operation.name)
            case RemoveFile():
                folder.pop(operation.name, None)
            case WriteAt() | SyncFile() | SyncFolder():
                raise ValueError(f"{operation} does not change the folder")

    def _write(self, operation: WriteAt) -> None:
        inode = self._folder[operation.name]
        end = operation.offset + len(operation.data)
        if end > len(inode.seen):
            raise ValueError(f"{operation.name}: a write up to {end} of {len(inode.seen)} bytes")
        inode.seen[operation.offset : end] = operation.data
        first = operation.offset // SECTOR_BYTES
        inode.unsynced.update(range(first, -(-end // SECTOR_BYTES)))

    def _sync(self, inode: Inode) -> None:
        for sector in inode.unsynced:
            at = slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
            inode.durable[at] = inode.seen[at]
        inode.unsynced.clear()

    def kill(self) -> None:
        """End the process and not the machine: what was written stays, as unsynced as it was."""
        self._jobs.clear()

    def crash(self, random: Random) -> tuple[int, int]:
        """Lose power: keep any subset of what was not synced; jobs are forgotten.

        Returns how many changes of the folder, and how many sectors, were lost.
        """
        self._jobs.clear()
        kept = random.randrange(len(self._folder_changes) + 1)
        lost_changes, lost_sectors = len(self._folder_changes) - kept, 0
        folder = dict(self._durable_folder)
        for change in self._folder_changes[:kept]:
            self._apply(folder, change)
        for name in sorted(folder):
            inode = folder[name]
            before = len(inode.unsynced)
            inode.unsynced = {s for s in sorted(inode.unsynced) if random.getrandbits(1)}
            lost_sectors += before - len(inode.unsynced)
            self._sync(inode)
            inode.seen[:] = inode.durable
        self._folder = folder
        self._durable_folder = dict(folder)
        self._folder_changes.clear()
        self._created.clear()
        return lost_changes, lost_sectors

    def flip(self, random: Random) -> bool:
        """Flip a bit of what is on the platter; False when there is nothing but zeros."""
        names = [name for name in sorted(self._folder) if any(self._folder[name].durable)]
        if not names:
            return False
        inode = self._folder[random.choice(names)]
        used = len(inode.durable.rstrip(b"\0"))
        at, bit = random.randrange(used), 1 << random.randrange(8)
        inode.durable[at] ^= bit
        inode.seen[at] ^= bit
        return True

    def wipe(self) -> None:
        """Become another disk: empty, and without faults."""
        self._jobs.clear()
        self.is_full = self.is_failing = False
        self._folder.clear()
        self._durable_folder.clear()
        self._folder_changes.clear()
        self._created.clear()

    def damage(self, name: str, data: bytes) -> None:
        """Put other bytes in a file's place, durable at once; for tests of damage."""
        self._folder[name] = self._durable_folder[name] = Inode(bytearray(data), bytearray(data))
