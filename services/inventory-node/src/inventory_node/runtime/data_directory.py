"""A member's data directory: the log is read and begun here, and data are set aside.

Data are set aside as a whole, or not at all, whatever step a crash comes after. The folder
`moving-<name>` records the decision. While the folder is there, a start moves the remaining data,
the log last, and at the end gives the folder its final name.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

import structlog
from raft.messages import Configuration
from service.errors import Exit

from inventory_node.core import events
from inventory_node.errors import DatabaseError, DatabaseFull
from inventory_node.ports import DiskOperation
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.runtime.snapshot import FILE, quarantined, sync_directory
from inventory_node.runtime.sqlite import Database, Error
from inventory_node.wal import Identity, Recovered, recover

LOG = "wal"
MOVING = "moving-"
STATES = ("state-*", "partial-*")  # a crash during a snapshot's installation leaves `partial-*`

_log = structlog.get_logger()


class DataDirectory:
    """One member's data: the folder of its log, and its database.

    - Nothing is written to a log except the log's first bytes.
    """

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        """Note the folder, and the size of the log's later files; nothing is opened yet."""
        self.folder = folder
        self._segment_bytes = segment_bytes

    def read_log(self) -> Recovered:
        """Return the log; raise Exit, LogDamaged or LogForeign."""
        disk = self._disk(_never)
        try:
            return recover(disk, segment_bytes=self._segment_bytes)
        finally:
            disk.close()

    def begin_log(self, empty: Recovered, own: Identity, voters: Configuration) -> None:
        """Write the first bytes of an empty log, and sync them; raise Exit."""
        self._run_now((*empty.repair, *empty.log.bootstrap(own, voters)))

    def is_diverged(self, recovered: Recovered) -> bool:
        """Tell whether an earlier start found that the state has diverged."""
        return bool(quarantined(self.folder, recovered.installed_index))

    def check_no_state(self) -> None:
        """Refuse a database with applied entries whose log is lost.

        A database without applied entries means no more than an empty volume: the member begins
        with a vote only if all others have no term. So no vote of the member ever counted.
        """
        if not all(map(is_unused, self.folder.glob(f"state-*/{FILE}"))):
            raise Exit(
                4,
                f"{self.folder} holds a database and no log: votes may have been lost with the "
                "log; restore it, or remove all of this member's data: it then joins anew",
            )

    def set_aside(self, identity: Identity, why: str) -> None:
        """Move the data of a removed member out of the way; the data are kept for a person."""
        moving = self.folder / f"{MOVING}{why}-{identity.member_id}"
        try:
            moving.mkdir(mode=0o700)
        except OSError as error:
            raise Exit(3, f"{self.folder} cannot be written: {error}") from error
        self.finish_moving()

    def finish_moving(self) -> None:
        """Move the data that are to be set aside and are not moved yet."""
        for moving in sorted(self.folder.glob(f"{MOVING}*")):
            try:
                aside = move_all(moving)
            except OSError as error:
                raise Exit(3, f"{moving} cannot be filled: {error}") from error
            _log.warning("set_aside", folder=str(aside))

    def _disk(self, emit: Callable[[events.Event], None]) -> ThreadedDisk:
        try:
            return ThreadedDisk(self.folder / LOG, emit)
        except OSError as error:
            raise Exit(3, f"the log's folder cannot be made: {error}") from error

    def _run_now(self, operations: Sequence[DiskOperation]) -> None:
        """Run a plan of the log and wait for the plan, before there is a node."""
        done: SimpleQueue[events.Event] = SimpleQueue()
        disk = self._disk(done.put)
        disk.submit(operations, 0)
        disk.close()
        match done.get():
            case events.DiskDone():
                return
            case events.DiskFailed(problem=problem):
                raise Exit(3, f"the log cannot be begun: {problem}")
            case _:
                raise Exit(
                    3,
                    f"the log cannot be begun: there is no space for {self._segment_bytes} bytes "
                    f"in {self.folder}",
                )


def is_unused(path: Path) -> bool:
    """Tell whether a database can be read and has no applied entry; raise Exit."""
    try:
        database = Database(path)
        try:
            return not database.header().applied_index
        finally:
            database.close()
    except DatabaseFull as error:
        raise Exit(3, f"the log cannot be begun: {error}") from error
    except (Error, DatabaseError):
        return False


def move_all(moving: Path) -> Path:
    """Move a member's data into `moving`, also after a crash; return the folder's final name.

    The log is moved last, when the rest is moved and synced. So if `moving` has a log, nothing else
    in the data directory belongs to that member. Raises OSError.
    """
    folder, log = moving.parent, moving / LOG
    sync_directory(folder)
    if not log.exists():
        for path in [found for pattern in STATES for found in sorted(folder.glob(pattern))]:
            path.rename(moving / path.name)
        _sync_both(moving, folder)
        (folder / LOG).rename(log)
    _sync_both(moving, folder)
    name = moving.name.removeprefix(MOVING)
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    aside = next(folder / one for one in names if not (folder / one).exists())
    moving.rename(aside)
    sync_directory(folder)
    return aside


def _sync_both(moving: Path, folder: Path) -> None:
    """Sync the target before the source: each file is in one of them at any time."""
    sync_directory(moving)
    sync_directory(folder)


def _never(event: events.Event) -> None:
    raise RuntimeError(f"nothing was asked of the disk, but it says {event}")
