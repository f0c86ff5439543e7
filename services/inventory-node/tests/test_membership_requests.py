"""What a member asks about itself is sent, and the answers come back to who decides."""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.membership.bootstrap import Described
from inventory_node.core.membership.drain import Departure
from inventory_node.core.membership.join import StandingWatch
from inventory_node.errors import BootstrapRefused
from inventory_node.runtime import membership_requests
from inventory_node.runtime.membership_requests import DepartureRequests, run_standing_watch
from inventory_node.wal import Identity
from wire import errors

if TYPE_CHECKING:
    from inventory_node.runtime.membership_service import MembershipService
    from inventory_node.runtime.peers import Peers

VIEW = cluster_pb2.Member(
    standing=cluster_pb2.MEMBER_STANDING_VOTER, voters=("node-0", "node-1", "node-2")
)
Response = membership_pb2.ChangeResponse
YES = Response(done=membership_pb2.Done(standing=membership_pb2.STANDING_VOTER))
GONE = Response(done=membership_pb2.Done(standing=membership_pb2.STANDING_REMOVED))
NOT_LEADER = Response(not_leader=membership_pb2.NotLeader())
REFUSED = Response(error=errors.change_refused("a majority needs it"))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for the next try."""
    monkeypatch.setattr(membership_requests, "JOIN_SECONDS", 0)
    monkeypatch.setattr(membership_requests, "LEAVE_SECONDS", 0)


class FakePeers:
    """Two peers; one leads, and gives these answers in their order, the last one for ever."""

    def __init__(self, *answers: Response, takes_key: bool = True) -> None:
        """Be reached by all."""
        self.reached = {1, 2}
        self.asked = 0
        self._answers = list(answers)
        self._takes_key = takes_key

    async def describe(self, members: Collection[int]) -> list[Described | None]:
        """Reach one another, as far as they say."""
        if not self._takes_key:
            raise BootstrapRefused("another key")
        return [None for _ in members]

    async def ask_leader(self, _: membership_pb2.ChangeRequest) -> Response:
        """Answer for the leader."""
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def ask_change(self, request: membership_pb2.ChangeRequest) -> list[Response]:
        """Answer for both."""
        return [NOT_LEADER, await self.ask_leader(request)]


class Follower:
    """The own node, which does not lead."""

    async def ask_change(self, _: membership_pb2.ChangeRequest) -> Response:
        """Name nobody."""
        return NOT_LEADER


def depart(peers: FakePeers, seconds: float) -> None:
    """Ask to stop until that is allowed, or the time is up."""
    service = cast("MembershipService", Follower())
    requests = DepartureRequests(Departure("c"), service, cast("Peers", peers))
    asyncio.run(requests.run(lambda: VIEW, seconds))


@pytest.mark.parametrize("takes_key", [True, False])
def test_a_member_that_stops_asks_until_the_leader_allows_it(*, takes_key: bool) -> None:
    """Also beside peers with another key."""
    peers = FakePeers(REFUSED, REFUSED, YES, takes_key=takes_key)
    depart(peers, 60)
    assert peers.asked == 3


def test_it_stops_all_the_same_when_its_time_is_up() -> None:
    """Whoever runs it would kill it."""
    peers = FakePeers(REFUSED)
    depart(peers, 0.02)
    assert peers.asked


def test_a_member_asks_about_itself_until_it_was_removed() -> None:
    """Whatever it was told before."""
    watch = StandingWatch(Identity("c", 4, "node-4"), "host:1", auto=True)
    peers = FakePeers(REFUSED, YES, GONE)
    removed = cluster_pb2.Member(standing=cluster_pb2.MEMBER_STANDING_REMOVED, leader="node-1")
    asyncio.run(run_standing_watch(watch, cast("Peers", peers), lambda: removed))
    assert watch.was_removed
    assert peers.asked == 3
