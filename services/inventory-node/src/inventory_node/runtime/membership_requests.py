"""A member's requests about itself to the other members, while its node runs.

`core.membership` decides on requests and judges answers. This module sends the requests.
"""

import asyncio
from collections.abc import Callable
from typing import assert_never

import structlog
from inventory.v1 import cluster_pb2

from inventory_node.core.membership.drain import (
    AskLeader,
    AskReach,
    AskSelf,
    Decided,
    Departure,
    DepartureStep,
)
from inventory_node.core.membership.join import StandingWatch
from inventory_node.errors import BootstrapRefused
from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.peers import Peers

JOIN_SECONDS = 0.5  # between two tries
LEAVE_SECONDS = 0.2  # between two tries

View = Callable[[], cluster_pb2.Member]

_log = structlog.get_logger()


async def run_standing_watch(watch: StandingWatch, peers: Peers, view: View) -> None:
    """Send the watch's requests to the other members, until this member was removed."""
    told = ""
    while not watch.was_removed:
        await asyncio.sleep(JOIN_SECONDS)
        request = watch.observe(view())
        responses = await peers.ask_change(request) if request is not None else []
        for said in filter(None, map(watch.hear, responses)):
            if said != told:  # once for each change
                told = said
                _log.info("joining", answer=said)
    _log.info("removed")


class DepartureRequests:
    """Sends the requests of `Departure`, for as long as a stopping member has time."""

    def __init__(self, departure: Departure, service: MembershipService, peers: Peers) -> None:
        """Ask this member's own node, which may lead, and the other members."""
        self._departure = departure
        self._service = service
        self._peers = peers

    async def run(self, view: View, seconds: float) -> None:
        """Return when this member may stop, or when the time is up."""
        is_told = False
        try:
            async with asyncio.timeout(seconds):
                while not await self._is_allowed(view()):
                    if not is_told:
                        is_told = True
                        _log.info("leaves_later", reason="a majority needs this member")
                    await asyncio.sleep(LEAVE_SECONDS)
        except TimeoutError:
            _log.warning("leaves_all_the_same", waited_seconds=seconds)

    async def _is_allowed(self, member: cluster_pb2.Member) -> bool:
        """Make one try."""
        step = self._departure.attempt(member, self._peers.reached)
        while not isinstance(step, Decided):
            step = await self._ask(step)
        return step.may_leave

    async def _ask(self, step: AskReach | AskSelf | AskLeader) -> DepartureStep:
        """Send the request of one step, and pass the answer to `Departure`."""
        departure, peers = self._departure, self._peers
        match step:
            case AskReach(members):
                try:
                    described = await peers.describe(members)
                except BootstrapRefused:
                    return departure.hear_reach(None, peers.reached)
                return departure.hear_reach(described, peers.reached)
            case AskSelf(request):
                return departure.hear_self(step, await self._service.ask_change(request))
            case AskLeader(request):
                return departure.hear_leader(await peers.ask_leader(request), peers.reached)
            case _:
                assert_never(step)
