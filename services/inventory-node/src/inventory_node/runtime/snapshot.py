"""The directories of the state: which directory counts, and how a snapshot becomes the state.

The data directory has `state-<index>/state.db` and `staging/`. The index is that of the snapshot
that the state began with (0 for none). `staging/` may be lost at any time. A database is never
renamed over another database: a write-ahead file left beside it would bring old rows back.

A snapshot arrives in `staging/incoming.db`, is synced and verified there, and waits until the log
holds a synced record that names the snapshot. Only then does the snapshot move to a directory of
its own. A start that finds the record without the directory finishes the move.
"""

import hashlib
import os
import shutil
from pathlib import Path

from inventory_node.errors import DatabaseError, DatabaseFull
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime.sqlite import verify
from inventory_node.runtime.volume import NO_SPACE, snapshot_bytes_max

FILE = "state.db"
QUARANTINED = "condemned"  # beside the database: why the state must not be served
READ_BYTES = 1 << 20


def sync_directory(path: Path) -> None:
    """Make creations, renames and removals in a directory survive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> bytes:
    """Return a file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    return digest.digest()


def quarantined(folder: Path, installed_index: int) -> str:
    """Return why the current state is quarantined; empty when it is not."""
    mark = folder / _name(installed_index) / QUARANTINED
    return mark.read_text() if mark.exists() else ""


def _mark(state: Path, reason: str) -> None:
    partial = state / f"partial-{QUARANTINED}"
    with partial.open("w") as file:
        file.write(reason)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(state / QUARANTINED)


def _no_space(header: SnapshotHeader) -> str:
    return f"there is no space for its {header.size} bytes"


def _name(index: int) -> str:
    return f"state-{index:020d}"


class StateFolder:
    """The data directory, as far as the database is concerned.

    - Exactly one `state-*` directory counts: the directory that the log's newest record names.
    - Only a file that was verified and synced in staging is moved.
    """

    def __init__(self, folder: Path) -> None:
        """Work in `folder`, which exists."""
        self._folder = folder
        self._staging = folder / "staging"
        self._incoming = self._staging / "incoming.db"

    def _state(self, index: int) -> Path:
        return self._folder / _name(index)

    def open(self, installed_index: int) -> Path:
        """Return the file of the current state; finish or remove what a crash left.

        Raises DatabaseError when the snapshot that the log names is not there.
        """
        state = self._state(installed_index)
        if not state.exists() and installed_index:
            self._rename_staged(installed_index)
        if not state.exists():
            state.mkdir()
            sync_directory(self._folder)
        self.keep_only(installed_index)
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir()
        sync_directory(self._folder)
        return state / FILE

    def keep_only(self, index: int) -> None:
        """Remove every other state."""
        for other in self._folder.glob("state-*"):
            if other != self._state(index):
                shutil.rmtree(other)
        sync_directory(self._folder)

    def copy_path(self, ticket: int) -> Path:
        """Return the path for a copy to be sent; remove earlier copies, which are of no use."""
        for left in self._staging.glob("copy-*"):
            left.unlink(missing_ok=True)
        return self._staging / f"copy-{ticket}.db"

    def stage(self, header: SnapshotHeader, offset: int, data: bytes) -> tuple[bool, str]:
        """Add a chunk; return whether the chunk was the last, and the problem, empty for none.

        Each chunk is synced when it arrives: one sync of a large state would hold up the log's
        syncs. Without space, no part of the snapshot is kept: log and database go first.
        """
        try:
            return self._stage(header, offset, data)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            self._incoming.unlink(missing_ok=True)
            return False, _no_space(header)

    def _stage(self, header: SnapshotHeader, offset: int, data: bytes) -> tuple[bool, str]:
        if offset == 0:
            self._incoming.unlink(missing_ok=True)
            if header.size > snapshot_bytes_max(self._staging):
                return False, _no_space(header)
        with self._incoming.open("ab") as file:
            if file.tell() != offset:
                return False, f"a chunk at {offset} does not follow {file.tell()} bytes"
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if offset + len(data) < header.size:
                return False, ""
        sync_directory(self._staging)
        return True, self._verify(header)

    def _verify(self, header: SnapshotHeader) -> str:
        if self._incoming.stat().st_size != header.size:
            return f"it has {self._incoming.stat().st_size} bytes, not {header.size}"
        if digest_of(self._incoming) != header.sha256:
            return "its checksum differs"
        return verify(self._incoming, header.meta.index)

    def quarantine(self, reason: str) -> None:
        """Mark the current state as quarantined; the mark is removed with the state.

        DatabaseFull: try again once there is space. A mark that exists is not changed.
        """
        try:
            for state in self._folder.glob("state-*"):
                if not (state / QUARANTINED).exists():
                    _mark(state, reason)
                sync_directory(state)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise DatabaseFull(f"there is no space for a mark in {self._folder}") from error

    def install(self, index: int) -> Path:
        """Move the staged snapshot to a directory of its own, unless done; return the state's file.

        DatabaseFull: try again once there is space.
        """
        state = self._state(index)
        try:
            if not state.exists():
                self._rename_staged(index)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise DatabaseFull(f"there is no space for {state}") from error
        return state / FILE

    def _rename_staged(self, index: int) -> None:
        state = self._state(index)
        partial = state.with_name(f"partial-{index:020d}")
        if not (partial / FILE).exists():
            if not self._incoming.exists() or verify(self._incoming, index):
                raise DatabaseError(
                    f"the log names a snapshot at {index} that is not in {self._folder}; remove "
                    "this member's data and let it copy a peer's"
                )
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            sync_directory(self._folder)  # before the only copy is in the directory
            self._incoming.rename(partial / FILE)
            sync_directory(partial)
        shutil.rmtree(state, ignore_errors=True)
        partial.rename(state)
        sync_directory(self._folder)
