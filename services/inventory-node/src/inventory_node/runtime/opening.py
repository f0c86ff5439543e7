"""The member's log at the start: read, begun for the first time, or set aside and begun anew."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue

import structlog
from inventory.raft.v1 import membership_pb2
from raft.messages import Configuration

from inventory_node import bootstrap, events
from inventory_node.bootstrap import Beginning
from inventory_node.joining import Joining
from inventory_node.ports import DiskOperation
from inventory_node.runtime.changes import JOIN_SECONDS, Asking
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.runtime.peers import Peers
from inventory_node.runtime.snapshot import condemned
from inventory_node.wal import Identity, Recovered, recover

POLL_SECONDS = 0.1
ASKED_TIMES = 6  # an election is over by then

_log = structlog.get_logger()


class Exit(Exception):  # noqa: N818 - the end, with a status
    """Ends the process with one clear line."""

    def __init__(self, status: int, message: str) -> None:
        """Carry the exit status."""
        super().__init__(message)
        self.status = status


class Opening:
    """Opens one data directory for one member.

    - A log that exists is never written to before it is known to be this member's.
    - A member that is not the one that the cluster was founded with draws its id once.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # each is a fact of the start
        self,
        folder: Path,
        segment_bytes: int,
        own: Identity,
        first: Mapping[str, int],
        peers: Peers,
        is_ending: Callable[[], bool],
        know: Callable[[Recovered], None],
    ) -> None:
        """Know the data directory, the first members' ids by name, and whom to ask.

        `segment_bytes` is the size of the log's files to come.
        `own` has the id 0 for a member that is none of the first.
        `know` is told what was read as soon as it is: an empty peer asks before this one is open,
        and would begin beside it, with a vote, if it heard that nobody has data.
        """
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._own = own
        self._first = first
        self._peers = peers
        self._is_ending = is_ending
        self._know = know

    async def open(self, address: str) -> Recovered:
        """Return the log; raise Exit, BootstrapRefused, LogDamaged or LogForeign.

        `address`: where a member that joined later is found; it asks whether it still takes part.
        """
        recovered = self._read()
        identity = recovered.identity
        if identity is not None and await self._is_over(recovered, identity, address):
            recovered = self._read()
        if recovered.identity is None:
            self._check_no_state()
            recovered = await self._begin(recovered)
        if recovered.identity is not None:
            bootstrap.check_identity(recovered.identity, self._own, self._folder)
        return recovered

    async def _is_over(self, recovered: Recovered, identity: Identity, address: str) -> bool:
        """Set data aside that are of no use any more; tell whether they are.

        Those of a member that was removed while it was away; and those whose state differs from
        the others', as soon as a leader says that there is a majority without this member. Where
        nobody says, it goes on with what it has. A first member that may serve asks once, since
        where all start together nobody can say.
        """
        diverged = bool(condemned(self._folder, installed_index_of(recovered)))
        is_first = identity.name in self._first
        joining = Joining(identity, address, auto=False)
        asking = Asking(joining, self._peers, identity.cluster_id)
        is_empty = not recovered.entries and not recovered.base_index
        join = joining.question(recovered.hard_state.term, is_empty=is_empty)
        for _ in range(1 if is_first and not diverged else ASKED_TIMES):
            standing = await asking.standing(join)
            if standing == membership_pb2.STANDING_REMOVED:
                self._set_aside(identity, "removed")
                return True
            if standing is not None and diverged:
                self._set_aside(identity, "diverged")
                return True
            if standing is not None or self._is_ending():
                break
            await asyncio.sleep(JOIN_SECONDS)
        return False

    async def _begin(self, recovered: Recovered) -> Recovered:
        """Write the first bytes of the log."""
        own = self._own
        if await self._may_begin() is Beginning.JOIN:
            own = Identity(own.cluster_id, bootstrap.drawn_id(self._first.values()), own.name)
            _log.info("joins", member_id=own.member_id)
        voters = Configuration(frozenset(self._first.values()))
        self._run_now((*recovered.repair, *recovered.log.bootstrap(own, voters)))
        _log.info("bootstrapped", cluster_id=own.cluster_id)
        return self._read()

    async def _may_begin(self) -> Beginning:
        """Wait until this member may begin; tell for whom it waits, once for each change."""
        told: list[str] = []
        is_first = self._own.name in self._first
        while True:
            described = await self._peers.describe()
            decided = bootstrap.beginning(self._own, described, is_first=is_first)
            if decided is not Beginning.WAIT:
                return decided
            if self._is_ending():
                raise Exit(0, "stopped before the first start was complete")
            names = (name for name in self._first if name != self._own.name)
            silent = [name for name, peer in zip(names, described, strict=True) if peer is None]
            if silent != told:
                told = silent
                _log.info("waiting_for_members", names=silent)
            await asyncio.sleep(POLL_SECONDS)  # a peer has no way to say that it changed

    def _check_no_state(self) -> None:
        if any(self._folder.glob("state-*/state.db")):
            raise Exit(
                4,
                f"{self._folder} holds a database and no log: votes may have been lost with the "
                "log; restore it, or remove all of this member's data: it then joins anew",
            )

    def _set_aside(self, identity: Identity, why: str) -> None:
        """Move the data of a member that is no more out of the way; it is kept for a person."""
        aside = self._folder / f"{why}-{identity.member_id}"
        aside.mkdir(mode=0o700)
        for path in (self._folder / "wal", *self._folder.glob("state-*")):
            path.rename(aside / path.name)
        _log.warning("set_aside", folder=str(aside), member_id=identity.member_id)

    def _read(self) -> Recovered:
        disk = ThreadedDisk(self._folder / "wal", _never)
        try:
            recovered = recover(disk, segment_bytes=self._segment_bytes)
        finally:
            disk.close()
        self._know(recovered)
        return recovered

    def _run_now(self, operations: Sequence[DiskOperation]) -> None:
        """Run a plan of the log and wait for it, before there is a node."""
        done: SimpleQueue[events.Event] = SimpleQueue()
        disk = ThreadedDisk(self._folder / "wal", done.put)
        disk.run(operations, 0)
        disk.close()
        result = done.get()
        if isinstance(result, events.DiskFailed):
            raise Exit(3, f"the log cannot be begun: {result.problem}")


def installed_index_of(recovered: Recovered) -> int:
    """Return the index of the snapshot that the log says the state began with; 0 for none."""
    return recovered.installed.index if recovered.installed is not None else 0


def _never(event: events.Event) -> None:
    raise RuntimeError(f"nothing was asked of the disk, but it says {event}")
