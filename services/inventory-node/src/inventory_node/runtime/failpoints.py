"""Places where a test lets a real member die or wait: before and after each step of a write.

`INVENTORY_FAILPOINTS` arms them, as `NAME=ACTION` joined by semicolons, in the words of fail-rs:
`kill` is SIGKILL, `sleep(MS)` keeps the thread that does the step waiting, `N*off->` before either
lets N passes go first. The names are `POINTS`: `before-` or `after-` and a step.

The points sit around the adapters, in classes that are wired only when something is armed: a member
without failpoints runs none of this code. A killed process keeps what the system has taken, so the
points show the order of steps, not what a disk loses: that is the simulator's.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, TypeAlias

import structlog
from inventory.raft.v1 import peer_pb2
from pydantic import AfterValidator
from raft.messages import Entry, SnapshotMeta

from inventory_node.core import events
from inventory_node.machine import Applied
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Shelf
from inventory_node.ports import (
    Contact,
    CreateFile,
    DiskOperation,
    RemoveFile,
    SnapshotHeader,
    SyncFile,
    WriteAt,
)
from inventory_node.runtime.peers import Local, Peer, Peers
from inventory_node.runtime.timing import TimedDisk, TimedMachine, TimedStore, Timing

STEPS = (
    "wal-write",
    "wal-sync",
    "segment-creation",
    "segment-removal",
    "send",  # a frame to another member
    "apply",  # an entry
    "flush",
    "checkpoint",  # the hash that a Checkpoint entry asks for
    "snapshot-save",  # the copy that a leader makes
    "snapshot-chunk",  # staged by the member that it is sent to
    "snapshot-install",  # the switch to it
)
POINTS = tuple(f"{when}-{step}" for step, when in product(STEPS, ("before", "after")))

_ACTION = re.compile(r"(?:(\d{1,9})\*off->)?(?:kill|sleep\((\d{1,6})\))")
_OPERATIONS: Mapping[type[DiskOperation], str] = {
    WriteAt: "wal-write",
    SyncFile: "wal-sync",
    CreateFile: "segment-creation",
    RemoveFile: "segment-removal",
}
_ENDS: Mapping[type[events.Event], str] = {
    events.Flushed: "after-flush",
    events.Hashed: "after-checkpoint",
    events.Copied: "after-snapshot-save",
    events.Staged: "after-snapshot-chunk",
    events.Installed: "after-snapshot-install",
}

_log = structlog.get_logger()


@dataclass(slots=True)
class Failpoint:
    """What happens at one place. Each is passed on one thread only."""

    name: str
    passes: int  # that go by before anything happens
    sleep_ms: int | None  # None: the process is killed

    def reach(self) -> None:
        """Pass, wait, or die."""
        if self.passes:
            self.passes -= 1
        elif self.sleep_ms is None:
            _log.warning("failpoint_kills", point=self.name)
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            time.sleep(self.sleep_ms / 1_000)


def parse(text: str) -> dict[str, Failpoint]:
    """Return the failpoints of a setting by their names; raise ValueError."""
    found: dict[str, Failpoint] = {}
    for part in filter(None, text.split(";")):
        name, _, action = part.partition("=")
        if name not in POINTS:
            raise ValueError(f"no failpoint is called {name!r}; there are {', '.join(POINTS)}")
        match = _ACTION.fullmatch(action)
        if match is None or name in found:
            raise ValueError(f"{part!r} is not NAME=[N*off->]kill or sleep(MS), once a name")
        passes, sleep_ms = match.groups()
        found[name] = Failpoint(name, int(passes or 0), int(sleep_ms) if sleep_ms else None)
    return found


def _checked(text: str) -> str:
    parse(text)
    return text


Failpoints: TypeAlias = Annotated[str, AfterValidator(_checked)]  # "before-flush=kill;…", or empty


class Armed:
    """The failpoints of this process."""

    def __init__(self, points: Mapping[str, Failpoint]) -> None:
        """Say aloud that they are there: no member that matters should have any."""
        self._points = points
        _log.warning("failpoints_armed", points=sorted(points))

    def reach(self, name: str) -> None:
        """Do what was asked for at this place."""
        point = self._points.get(name)
        if point is not None:
            point.reach()


class FailingDisk(TimedDisk):
    """The log's disk; its thread passes the points."""

    def __init__(
        self,
        armed: Armed,
        folder: Path,
        emit: Callable[[events.Event], None],
        timing: Timing,
    ) -> None:
        """Open `folder`."""
        self._armed = armed  # first: the thread begins in the next line
        super().__init__(folder, emit, timing)

    def _do(self, operation: DiskOperation) -> None:
        step = _OPERATIONS.get(type(operation))
        self._armed.reach(f"before-{step}")
        super()._do(operation)
        self._armed.reach(f"after-{step}")


class FailingStore(TimedStore):
    """The database; the thread that does a job passes its points."""

    def __init__(
        self,
        armed: Armed,
        data_dir: Path,
        installed_index: int,
        emit: Callable[[events.Event], None],
        timing: Timing,
    ) -> None:
        """Open the state that the log names."""
        self._armed = armed

        def ended(event: events.Event) -> None:
            armed.reach(_ENDS.get(type(event), ""))
            emit(event)

        super().__init__(data_dir, installed_index, ended, timing)

    def flush(self, changes: Changes, ticket: int) -> None:
        """See `Store.flush`."""
        self._flusher.do(partial(self._armed.reach, "before-flush"))
        super().flush(changes, ticket)

    def hash(self, ticket: int) -> None:
        """See `Store.hash`."""
        self._hasher.do(partial(self._armed.reach, "before-checkpoint"))
        super().hash(ticket)

    def copy(self, ticket: int) -> None:
        """See `Store.copy`."""
        self._copier.do(partial(self._armed.reach, "before-snapshot-save"))
        super().copy(ticket)

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """See `Store.stage`."""
        self._copier.do(partial(self._armed.reach, "before-snapshot-chunk"))
        super().stage(header, offset, data, ticket)

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """See `Store.install`."""
        self._flusher.do(partial(self._armed.reach, "before-snapshot-install"))
        super().install(meta, ticket)


class FailingMachine(TimedMachine):
    """The state machine; the loop passes the points."""

    def __init__(self, armed: Armed, shelf: Shelf, timing: Timing) -> None:
        """Begin with what the shelf holds."""
        super().__init__(shelf, timing)
        self._armed = armed

    def apply(self, entry: Entry) -> list[Applied]:
        """Apply one committed entry."""
        self._armed.reach("before-apply")
        outcomes = super().apply(entry)
        self._armed.reach("after-apply")
        return outcomes


class FailingPeer(Peer):
    """One other member; the loop passes the points around each frame."""

    def __init__(self, armed: Armed, contact: Contact, own: Local, key: str) -> None:
        """Open a channel."""
        super().__init__(contact, own, key)
        self._armed = armed
        self._writing = False

    def _frame(self) -> peer_pb2.PeerFrame | None:
        if self._writing:  # the next frame is asked for once the last one was taken
            self._armed.reach("after-send")
        frame = super()._frame()
        self._writing = frame is not None
        if self._writing:
            self._armed.reach("before-send")
        return frame


class FailingPeers(Peers):
    """All other members."""

    def __init__(
        self,
        armed: Armed,
        own: Local,
        first: Mapping[int, Contact],
        key: str,
        post: Callable[[events.Event], None],
    ) -> None:
        """Know the other first members by their ids."""
        self._armed = armed
        super().__init__(own, first, key, post)

    def _peer(self, contact: Contact) -> Peer:
        return FailingPeer(self._armed, contact, self._own, self._key)


@dataclass(frozen=True, slots=True)
class Adapters:
    """What a member is wired from."""

    disk: Callable[[Path, Callable[[events.Event], None], Timing], TimedDisk] = TimedDisk
    store: Callable[[Path, int, Callable[[events.Event], None], Timing], TimedStore] = TimedStore
    machine: Callable[[Shelf, Timing], TimedMachine] = TimedMachine
    peers: Callable[[Local, Mapping[int, Contact], str, Callable[[events.Event], None]], Peers] = (
        Peers
    )


def adapters(text: str) -> Adapters:
    """Return the plain adapters, or those that pass the failpoints of a setting."""
    points = parse(text)
    if not points:
        return Adapters()
    armed = Armed(points)
    return Adapters(
        disk=partial(FailingDisk, armed),
        store=partial(FailingStore, armed),
        machine=partial(FailingMachine, armed),
        peers=partial(FailingPeers, armed),
    )
