"""The machine that a member's process runs on: its disk, its clocks, and what is wrong with it."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from inventory_node.core.events import DiskDone, DiskFailed, DiskFull, Event
from inventory_node.ports import CreateFile, DiskOperation, RemoveFile, RenameFile, WriteAt

from sim.disk import SECTOR_BYTES, SimDisk
from sim.senses import Senses

DISK_US_MAX = (250, 2_000, 15_000)  # of one operation; each member's disk has one of these
RELAPSE_OPERATIONS_MAX = 5  # of the disk, from a start until the power goes again


@dataclass(slots=True, kw_only=True)
class Troubles:
    """What is wrong with a member's machine.

    The fault injector sets the fields; the ports of the process obey them at each operation.
    """

    disk_factor: int = 1  # how much slower its disk is
    disk_hangs: int = 0  # how many faults make it hang
    flushes_hang: int = 0  # how many faults keep its database from being written
    crash_after: int | None = None  # so many operations of the disk the power goes
    crash_behind: str = ""  # the power goes behind the next such: "write", "folder" or "install"
    relapses: int = 0  # at so many more starts it goes again soon: recovery is cut short
    power_returns: bool = False  # by itself, and then the process starts
    shortages: int = 0  # how many faults leave it no space for a snapshot
    log_flipped: bool = False  # the log on disk is not what was written
    store_fails: bool = False  # the next transaction fails

    def disarm(self) -> None:
        """Take away what would let the power fail."""
        self.crash_after = None
        self.crash_behind = ""
        self.relapses = 0
        self.power_returns = False

    def heal(self) -> None:
        """End every fault of the machine; what is damaged for good stays damaged."""
        self.disarm()
        self.disk_factor = 1
        self.disk_hangs = self.flushes_hang = self.shortages = 0
        self.store_fails = False

    def end_hung_flush(self) -> None:
        """End one hung flush; do nothing if all was healed before."""
        self.flushes_hang = max(0, self.flushes_hang - 1)

    def end_hung_disk(self) -> None:
        """End one hang of the disk; do nothing if all was healed before."""
        self.disk_hangs = max(0, self.disk_hangs - 1)

    def relapse(self, random: Random) -> None:
        """Take note of a start: the power may fail again amid its first operations."""
        if self.relapses:
            self.relapses -= 1
            self.crash_after = random.randrange(RELAPSE_OPERATIONS_MAX)

    def count_operation(self) -> bool:
        """Count an operation of the disk; return whether the power fails before it."""
        if self.crash_after is None:
            return False
        self.crash_after -= 1
        if self.crash_after >= 0:
            return False
        self.crash_after = None
        return True

    def tears(self, operation: DiskOperation | None) -> bool:
        """Tell whether the power fails right after this operation, before its sync."""
        match operation:
            case WriteAt(data=data) if len(data) > SECTOR_BYTES:
                found = "write"
            case CreateFile() | RenameFile() | RemoveFile():
                found = "folder"
            case _:
                return False
        return self.trips(found)

    def trips(self, found: str) -> bool:
        """Tell whether the power fails after such an operation; tell it once."""
        if self.crash_behind != found:
            return False
        self.crash_behind = ""
        return True


class Host:
    """A machine, which outlives every process on it.

    - A job of the disk that ends goes into `finished`. Whoever steps the disk owes the process the
      event, and takes it from there.
    """

    def __init__(self, folder: Path, random: Random, senses: Senses) -> None:
        """Have an empty disk; databases live below `folder`."""
        self.folder = folder
        self.senses = senses
        self.troubles = Troubles()
        self.disk_us_max = random.choice(DISK_US_MAX)
        self.finished: list[Event] = []  # of the disk
        self.disk = SimDisk(
            lambda ticket: self.finished.append(DiskDone(ticket)),
            lambda ticket: self.finished.append(DiskFull(ticket)),
            lambda ticket: self.finished.append(DiskFailed(ticket, "simulated")),
        )

    def heal(self) -> None:
        """End every fault of machine and disk; what is damaged for good stays damaged."""
        self.troubles.heal()
        self.disk.is_failing = False
        self.senses.drift(1000)
