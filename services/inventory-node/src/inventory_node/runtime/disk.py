"""The log's folder on a real disk, behind one thread, so that a sync never holds up the loop."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias, assert_never

from inventory_node.core.events import DiskDone, DiskFailed, DiskFull
from inventory_node.ports import (
    NO_HOOKS,
    CreateFile,
    DiskOperation,
    Hooks,
    RemoveFile,
    RenameFile,
    Step,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from inventory_node.runtime.volume import NO_SPACE

Ended: TypeAlias = DiskDone | DiskFull | DiskFailed

_STEPS: Mapping[type[DiskOperation], Step] = {
    WriteAt: Step.WAL_WRITE,
    SyncFile: Step.WAL_SYNC,
    CreateFile: Step.SEGMENT_CREATION,
    RemoveFile: Step.SEGMENT_REMOVAL,
}

_ZEROS = bytes(1 << 20)
_sync_data = getattr(os, "fdatasync", os.fsync)  # fdatasync is lighter, but not on every system


class ThreadedDisk:
    """The `LogDisk` port over a folder.

    - Jobs run in the order in which they were given, one at a time.
    - Once a job failed, nothing is written or synced again. A second sync proves nothing, since the
      failed sync may have marked the pages clean. Every later job fails, too.
    - A file that could not be created whole is not left behind. If there was no space for the first
      operation of a job, nothing has happened, and the job may be given again.
    """

    def __init__(
        self, folder: Path, emit: Callable[[Ended], None], hooks: Hooks = NO_HOOKS
    ) -> None:
        """Open `folder`, making it if needed; `emit` is called on the disk's thread."""
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
            _sync_folder(folder.parent)
        self._folder = folder
        self._emit = emit
        self._hooks = hooks
        self._files: dict[str, int] = {}
        self._problem = ""
        self._jobs: SimpleQueue[tuple[tuple[DiskOperation, ...], int] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="wal-sync", daemon=True)
        self._thread.start()

    def names(self) -> list[str]:
        """List the files, sorted."""
        return sorted(path.name for path in self._folder.iterdir() if path.is_file())

    def read(self, name: str) -> bytes:
        """Return a whole file; raises OSError."""
        return (self._folder / name).read_bytes()

    def submit(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Queue a job; `DiskDone` or `DiskFailed` follows."""
        self._hooks.before(Step.WAL_JOB)
        self._jobs.put((tuple(operations), ticket))

    def close(self) -> None:
        """Finish the queued jobs and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                operations, ticket = job
                ended = self._run(operations, ticket)
                self._hooks.after(Step.WAL_JOB)
                self._emit(ended)
        finally:
            for file in self._files.values():
                os.close(file)
            self._files.clear()

    def _run(self, operations: tuple[DiskOperation, ...], ticket: int) -> Ended:
        if self._problem:
            return DiskFailed(ticket, self._problem)
        for position, operation in enumerate(operations):
            try:
                self._take_step(operation)
            except OSError as error:
                creates_first = position == 0 and isinstance(operation, CreateFile)
                if creates_first and error.errno in NO_SPACE:
                    return DiskFull(ticket)
                what = type(operation).__name__
                self._problem = f"{what} in {self._folder} failed: {error}"
                return DiskFailed(ticket, self._problem)
        return DiskDone(ticket)

    def _take_step(self, operation: DiskOperation) -> None:
        step = _STEPS.get(type(operation))
        if step is None:
            self._do(operation)
            return
        self._hooks.before(step)
        self._do(operation)
        self._hooks.after(step)

    def _do(self, operation: DiskOperation) -> None:
        match operation:
            case WriteAt():
                _write(self._open(operation.name), operation.data, operation.offset)
            case SyncFile():
                _sync_data(self._open(operation.name))
            case SyncFolder():
                _sync_folder(self._folder)
            case CreateFile():
                self._create(operation)
            case RenameFile():
                (self._folder / operation.name).replace(self._folder / operation.to)
                self._close(operation.to)
                if operation.name in self._files:
                    self._files[operation.to] = self._files.pop(operation.name)
            case RemoveFile():
                self._close(operation.name)
                (self._folder / operation.name).unlink(missing_ok=True)
            case _:
                assert_never(operation)

    def _create(self, operation: CreateFile) -> None:
        path = self._folder / operation.name
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._files[operation.name] = file
        try:
            for offset in range(0, operation.size, len(_ZEROS)):
                _write(file, _ZEROS[: operation.size - offset], offset)
            os.fsync(file)
        except OSError:
            self._close(operation.name)
            path.unlink()
            raise

    def _open(self, name: str) -> int:
        if name not in self._files:
            self._files[name] = os.open(self._folder / name, os.O_RDWR)
        return self._files[name]

    def _close(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file)


def _write(file: int, data: bytes, offset: int) -> None:
    """Write all of `data`: the system may take less at a time."""
    written = os.pwrite(file, data, offset)
    while written < len(data):
        written += os.pwrite(file, data[written:], offset + written)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
