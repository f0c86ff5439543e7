"""The member's log at the start: read, begun for the first time, or set aside and begun anew.

Data are set aside as a whole, or not at all, whatever step a crash comes after. The folder
`moving-<name>` is the decision; while it is there, a start moves what is not moved yet, the log
last, and gives the folder its own name at the end.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue

import structlog
from inventory.raft.v1 import membership_pb2
from raft.messages import Configuration, EntryKind
from service.errors import Exit

from inventory_node.codec import decode_configuration
from inventory_node.core import events
from inventory_node.core.membership import bootstrap
from inventory_node.core.membership.bootstrap import Beginning
from inventory_node.core.membership.join import Joining
from inventory_node.ports import DiskOperation
from inventory_node.runtime.changes import JOIN_SECONDS, Asking
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.runtime.peers import Peers
from inventory_node.runtime.snapshot import FILE, quarantined, sync_directory
from inventory_node.runtime.sqlite import Database, DatabaseError, DatabaseFull, Error
from inventory_node.wal import Identity, Recovered, recover

POLL_SECONDS = 0.1
ASKED_TIMES = 6  # an election is over by then
LOG = "wal"
MOVING = "moving-"
TAKING_PART = (membership_pb2.STANDING_LEARNER, membership_pb2.STANDING_VOTER)
STATES = ("state-*", "partial-*")  # `partial-*` is what a crash left of a snapshot's installation

_log = structlog.get_logger()


class Opening:
    """Opens one data directory for one member.

    - A log that exists is never written to before it is known to be this member's.
    - A member that is not the one that the cluster was founded with draws its id once.
    - It is open only when its log is begun, and on the disk.
    - A log that may hold what others do not is not set aside.
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
        self._finish_moving()
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
        the others', as soon as the others go on without this member. Where nobody says, it goes on
        with what it has. A first member that may serve asks once, since where all start together
        nobody can say.
        """
        diverged = bool(quarantined(self._folder, installed_index_of(recovered)))
        is_first = identity.name in self._first
        joining = Joining(identity, address, auto=False)
        asking = Asking(joining, self._peers, identity.cluster_id)
        is_empty = not recovered.entries and not recovered.base_index
        join = joining.question(recovered.hard_state.term, is_empty=is_empty)
        problem = "no leader answers"
        for _ in range(1 if is_first and not diverged else ASKED_TIMES):
            standing = await asking.standing(join)
            if diverged and standing in TAKING_PART:
                problem = await self._be_removed(recovered, identity)
                standing = standing if problem else membership_pb2.STANDING_REMOVED
            if standing == membership_pb2.STANDING_REMOVED:
                self._set_aside(identity, "diverged" if diverged else "removed")
                return True
            if (standing is not None and not diverged) or self._is_ending():
                break
            await asyncio.sleep(JOIN_SECONDS)
        if diverged:
            _log.warning("stays_out_of_service", reason=problem)
        return False

    async def _be_removed(self, recovered: Recovered, identity: Identity) -> str:
        """Have this member removed; return why that is not committed, empty where it is.

        What a leader believes is no proof: it may have been paused, and lead no longer. A removal
        that is committed is one: a majority of those that are left holds it, and with it all that
        was acknowledged before. It is asked for only where this member reaches a majority of the
        voters without it, and the leader says that those hold what is committed: a removal that
        waits for them would hold up a cluster that could go on with this member. A leader that
        does not know the question has not said so.
        """
        voters, reached = voters_of(recovered), self._peers.reached
        if len(reached & voters) <= len(voters) // 2:
            return "this member does not reach a majority without it"
        cluster_id = identity.cluster_id
        leave = membership_pb2.Leave(member_id=identity.member_id, reached=sorted(reached))
        leaving = membership_pb2.ChangeRequest(cluster_id=cluster_id, leave=leave)
        removal = membership_pb2.ChangeRequest(cluster_id=cluster_id, remove=identity.name)
        return await self._ask(leaving) or await self._ask(removal)

    async def _ask(self, request: membership_pb2.ChangeRequest) -> str:
        """Ask whoever leads for a change; return why it is not done, empty where it is."""
        problem = "no leader answers"
        for response in await self._peers.ask(request):
            if response.HasField("done"):
                return ""
            if response.HasField("error"):
                problem = response.error.message
        return problem

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
            heard = {self._own.name, *(peer.name for peer in described if peer is not None)}
            silent = [name for name in self._first if name not in heard]
            if silent != told:
                told = silent
                _log.info("waiting_for_members", names=silent)
            await asyncio.sleep(POLL_SECONDS)  # a peer has no way to say that it changed

    def _check_no_state(self) -> None:
        """Refuse a database that something was applied to, and whose log is lost.

        One that nothing was applied to says no more than an empty volume does: its member begins
        with a vote only where all others have no term, so that no vote of its own ever counted.
        """
        if not all(map(is_unused, self._folder.glob(f"state-*/{FILE}"))):
            raise Exit(
                4,
                f"{self._folder} holds a database and no log: votes may have been lost with the "
                "log; restore it, or remove all of this member's data: it then joins anew",
            )

    def _set_aside(self, identity: Identity, why: str) -> None:
        """Move the data of a member that is no more out of the way; it is kept for a person."""
        moving = self._folder / f"{MOVING}{why}-{identity.member_id}"
        try:
            moving.mkdir(mode=0o700)
        except OSError as error:
            raise Exit(3, f"{self._folder} cannot be written: {error}") from error
        self._finish_moving()

    def _finish_moving(self) -> None:
        """Move what is to be set aside and is not moved yet."""
        for moving in sorted(self._folder.glob(f"{MOVING}*")):
            try:
                aside = move_all(moving)
            except OSError as error:
                raise Exit(3, f"{moving} cannot be filled: {error}") from error
            _log.warning("set_aside", folder=str(aside))

    def _read(self) -> Recovered:
        disk = self._disk(_never)
        try:
            recovered = recover(disk, segment_bytes=self._segment_bytes)
        finally:
            disk.close()
        self._know(recovered)
        return recovered

    def _disk(self, emit: Callable[[events.Event], None]) -> ThreadedDisk:
        try:
            return ThreadedDisk(self._folder / LOG, emit)
        except OSError as error:
            raise Exit(3, f"the log's folder cannot be made: {error}") from error

    def _run_now(self, operations: Sequence[DiskOperation]) -> None:
        """Run a plan of the log and wait for it, before there is a node."""
        done: SimpleQueue[events.Event] = SimpleQueue()
        disk = self._disk(done.put)
        disk.run(operations, 0)
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
                    f"in {self._folder}",
                )


def is_unused(path: Path) -> bool:
    """Tell whether a database can be read, and nothing was ever applied to it; raise Exit."""
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
    """Move a member's data into `moving`, what a crash left undone too; return its last name.

    The log goes last, when the rest is moved and synced. So where it is there, nothing else in
    the data directory is of that member. Raises OSError.
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
    """Sync where something went to before where it came from: it is in one of them at any time."""
    sync_directory(moving)
    sync_directory(folder)


def voters_of(recovered: Recovered) -> frozenset[int]:
    """Return who votes, by the newest entry of the log that says so, committed or not."""
    for entry in reversed(recovered.entries):
        if entry.kind == EntryKind.CONFIGURATION:
            return decode_configuration(entry.payload).voters
    return recovered.configuration.voters


def installed_index_of(recovered: Recovered) -> int:
    """Return the index of the snapshot that the log says the state began with; 0 for none."""
    return recovered.installed.index if recovered.installed is not None else 0


def _never(event: events.Event) -> None:
    raise RuntimeError(f"nothing was asked of the disk, but it says {event}")
