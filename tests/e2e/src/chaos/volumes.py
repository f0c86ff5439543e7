"""Real volumes that a test can fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a volume of this size at `folder`, which is made; skip where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a volume of a known size")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: S603 - our own
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        yield folder
    finally:
        # Lazily: whatever a test left open must not keep the mount for ever.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607
