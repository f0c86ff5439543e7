"""A log file that its own process rotates: bounded in size and in number."""

import os
import threading
from pathlib import Path

FILE_BYTES_MAX = 8 << 20
KEPT_MAX = 4  # files beside the one that is written: `.1` is the newest
BYTES_PER_LOOK = 64 << 10  # written, until the size of the file is looked at again
STDOUT, STDERR = 1, 2


class RotatedFile:
    """The file in which stderr of this process ends, and stdout if it ends there too.

    - Every write of the process goes to the file of its moment, whole: the descriptors themselves
      are moved, also for what the interpreter or a library writes to them.
    - A process that is killed at any moment leaves whole files. The next start goes on.
    - Where no other file can be opened, the process goes on writing to the one it has.
    """

    def __init__(
        self, path: Path, bytes_max: int = FILE_BYTES_MAX, kept_max: int = KEPT_MAX
    ) -> None:
        """Rotate `path`, to which stderr is redirected already."""
        self._path = path
        self._bytes_max = bytes_max
        self._kept_max = kept_max
        self._written = bytes_max  # the file may be full from the start before
        self._lock = threading.Lock()
        is_one = os.path.sameopenfile(STDOUT, STDERR)
        self._descriptors = (STDOUT, STDERR) if is_one else (STDERR,)

    def wrote(self, size: int) -> None:
        """Count what was written, and rotate the file if it is full; raise OSError."""
        with self._lock:
            self._written += size
            if self._written < min(BYTES_PER_LOOK, self._bytes_max):
                return
            self._written = 0
            if os.fstat(STDERR).st_size >= self._bytes_max:
                self._rotate()

    def _kept(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _rotate(self) -> None:
        partial = self._path.with_name(f".{self._path.name}.next")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        opened = os.open(partial, flags, 0o600)
        try:
            for number in range(self._kept_max - 1, 0, -1):
                if self._kept(number).exists():
                    self._kept(number).replace(self._kept(number + 1))
            if self._path.exists():
                self._path.replace(self._kept(1))
            partial.replace(self._path)
            for descriptor in self._descriptors:
                os.dup2(opened, descriptor)
        finally:
            os.close(opened)
