"""The start of a member: the log is read, begun for the first time, or set aside and begun anew.

`core.membership.join` and `core.membership.bootstrap` decide. This module reads and moves files,
and asks the other members.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from raft.messages import Configuration
from service.errors import Exit

from inventory_node.core.membership import bootstrap
from inventory_node.core.membership.bootstrap import Beginning
from inventory_node.core.membership.join import DataCheck, DataVerdict
from inventory_node.runtime.data_directory import DataDirectory
from inventory_node.runtime.membership_requests import JOIN_SECONDS
from inventory_node.runtime.peers import Peers
from inventory_node.wal import Identity, Recovered

POLL_SECONDS = 0.1

_log = structlog.get_logger()


class Startup:
    """Opens one data directory for one member.

    - A log that exists is never written to before it is known to be this member's log.
    - A member that joins a founded cluster draws its id once.
    - A data directory is open only when its log is begun, and on the disk.
    - A log that may hold entries that no other member holds is not set aside.
    """

    def __init__(  # noqa: PLR0913  # each is a fact of the start
        self,
        directory: DataDirectory,
        own: Identity,
        first: Mapping[str, int],
        peers: Peers,
        *,
        is_ending: Callable[[], bool],
        know: Callable[[Recovered], None],
    ) -> None:
        """Take the data directory, the first members' ids by name, and the peers to ask.

        `own` has the id 0 for a member that is none of the first members. `know` is called with the
        log as soon as the log is read, before the data directory is open. Otherwise an empty peer
        could hear that no member has data, and begin beside this member, with a vote.
        """
        self._directory = directory
        self._own = own
        self._first = first
        self._peers = peers
        self._is_ending = is_ending
        self._know = know

    async def open(self, address: str) -> Recovered:
        """Return the log; raise Exit, BootstrapRefused, LogDamaged or LogForeign.

        `address`: where the others find a member that joined later; the member asks for its
        standing.
        """
        self._directory.finish_moving()
        recovered = self._read()
        identity = recovered.identity
        if identity is not None and await self._discard(recovered, identity, address):
            recovered = self._read()
        if recovered.identity is None:
            self._directory.check_no_state()
            recovered = await self._create_log(recovered)
        if recovered.identity is not None:
            bootstrap.check_identity(
                recovered.identity,
                self._own.name,
                bootstrap.founding_of(self._first),
                self._directory.folder,
            )
        return recovered

    def _read(self) -> Recovered:
        recovered = self._directory.read_log()
        self._know(recovered)
        return recovered

    async def _discard(self, recovered: Recovered, identity: Identity, address: str) -> bool:
        """Set the data aside if they are of no use; return whether they were set aside."""
        is_diverged = self._directory.is_diverged(recovered)
        is_first = identity.name in self._first
        check = DataCheck(recovered, identity, address, is_first=is_first, is_diverged=is_diverged)
        if await self._verdict_of(check) is DataVerdict.SET_ASIDE:
            self._directory.set_aside(identity, "diverged" if is_diverged else "removed")
            return True
        if is_diverged:
            _log.warning("stays_out_of_service", reason=check.problem)
        return False

    async def _verdict_of(self, check: DataCheck) -> DataVerdict:
        """Send the check's requests to the other members until the check has a verdict."""
        while True:
            verdict = check.hear(await self._peers.ask_change(check.request), self._peers.reached)
            if verdict is DataVerdict.ASK:
                continue
            if verdict is not DataVerdict.ASK_LATER or self._is_ending():
                return verdict
            await asyncio.sleep(JOIN_SECONDS)

    async def _create_log(self, empty: Recovered) -> Recovered:
        """Write the first bytes of the log."""
        own = await self._begun()
        self._directory.begin_log(empty, own, Configuration(frozenset(self._first.values())))
        _log.info("bootstrapped", cluster_id=own.cluster_id)
        return self._read()

    async def _begun(self) -> Identity:
        """Ask until this member may begin; log the silent members once for each change.

        Returns the identity with which the member begins.
        """
        first_start = bootstrap.FirstStart(self._own, self._first)
        told: tuple[str, ...] = ()
        while (decided := first_start.hear(await self._peers.describe())) is Beginning.WAIT:
            if self._is_ending():
                raise Exit(0, "stopped before the first start was complete")
            if first_start.silent != told:
                told = first_start.silent
                _log.info("waiting_for_members", names=list(told))
            await asyncio.sleep(POLL_SECONDS)  # a peer cannot announce a change
        own = first_start.identity(decided)
        if decided is Beginning.JOIN:
            _log.info("joins", member_id=own.member_id)
        return own
