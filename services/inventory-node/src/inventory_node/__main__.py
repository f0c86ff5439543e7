"""Runs one member: `python -m inventory_node`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 3 the data
directory is in use or cannot be written; 4 log or database are damaged or of another version; 5
this member may not begin; 6 an address cannot be listened on; 70 the member halted, because going
on could have lost or forked acknowledged writes.
"""

import asyncio
import contextlib
import fcntl
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

import structlog
from service import process
from service.errors import Exit

from inventory_node.config import NodeConfig
from inventory_node.errors import BootstrapRefused, Halted, StartRefused
from inventory_node.member import MemberProcess

LOCK_POLL_SECONDS = 0.1
SWITCH_INTERVAL_SECONDS = 0.0001  # otherwise a busy loop keeps the sync thread waiting (measured)

_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def _locked(folder: Path, seconds_max: float) -> AsyncIterator[None]:
    """Lock the data directory against other processes; wait up to `seconds_max` for the lock."""
    with _lock_of(folder) as lock:
        deadline = time.monotonic() + seconds_max
        is_waiting = False
        while not _is_free(lock):
            if time.monotonic() >= deadline:
                raise Exit(3, f"the data directory {folder} is in use by another process")
            if not is_waiting:
                is_waiting = True
                _log.info("waits_for_data_directory", folder=str(folder), seconds_max=seconds_max)
            await asyncio.sleep(LOCK_POLL_SECONDS)
        yield


def _lock_of(folder: Path) -> TextIO:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (folder / "lock").open("w")
    except OSError as error:
        raise Exit(3, f"the data directory {folder} cannot be written: {error}") from error


def _is_free(lock: TextIO) -> bool:
    """Take the lock unless another process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _run(config: NodeConfig) -> None:
    """Run the member, alone in its data directory; raise Exit."""
    try:
        async with _locked(config.data_dir, config.node_lock_seconds):
            await MemberProcess(config).run()
    except BootstrapRefused as error:
        raise Exit(5, str(error)) from error
    except StartRefused as error:
        raise Exit(4, str(error)) from error
    except Halted as error:
        _log.error("halted", reason=str(error))
        raise Exit(70, "") from error


def main() -> int:
    """Run the member; return the exit status."""
    # Until the loop has handlers of its own: process 1 of a container ignores signals without a
    # handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    return process.run("inventory-node", NodeConfig, _run, lambda config: config.node_name)  # type: ignore[arg-type]  # from the environment


if __name__ == "__main__":
    sys.exit(main())
