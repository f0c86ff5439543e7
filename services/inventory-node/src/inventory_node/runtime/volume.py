"""How much space is left on the volume of a member's data."""

import contextlib
import errno
import os
import threading
from pathlib import Path

from inventory.v1 import cluster_pb2

LOOK_SECONDS = 2.0
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
PROBE_BYTES = 64 << 10  # more than any single write of the database
# Room for a few segments and flushes: a snapshot to a peer must not fill a volume.
SPARE_BYTES = 64 << 20


def volume_of(folder: Path) -> cluster_pb2.Volume:
    """Return the size of a folder's volume, and what a process without privileges may fill."""
    found = os.statvfs(folder)
    return cluster_pb2.Volume(
        size_bytes=found.f_blocks * found.f_frsize, free_bytes=found.f_bavail * found.f_frsize
    )


def snapshot_bytes_max(folder: Path) -> int:
    """Return how many bytes a snapshot in `folder` may have; 0 or less: no snapshot fits."""
    return volume_of(folder).free_bytes - SPARE_BYTES


def has_no_space(folder: Path) -> bool:
    """Tell, by a test write, whether `folder` has no space.

    For callers whose write failed without a reason; a quota does not show otherwise.
    """
    probe = folder / "probe"
    try:
        with probe.open("wb") as file:
            file.write(os.urandom(PROBE_BYTES))  # zeros may take no space
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in NO_SPACE
    else:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


class VolumeWatch:
    """Reads the volume's space in a thread of its own: a disk that hangs holds up no other work.

    - The shown values were read at one moment, and stay while the disk does not answer.
    """

    def __init__(self, folder: Path) -> None:
        """Begin to watch the volume that `folder` is on."""
        self._folder = folder
        self._seen: cluster_pb2.Volume | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="volume", daemon=True)
        self._thread.start()

    @property
    def seen(self) -> cluster_pb2.Volume | None:
        """The values that were read last, None before the first read."""
        return self._seen

    def close(self) -> None:
        """Stop reading; a read that hangs is not waited for."""
        self._end.set()

    def _run(self) -> None:
        while True:
            self._seen = volume_of(self._folder)
            if self._end.wait(LOOK_SECONDS):
                return
