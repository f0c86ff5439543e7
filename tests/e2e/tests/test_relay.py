"""A gateway that cannot reach the leader sends by way of a member that can."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any, cast

import pkitest
import pytest
from gateway.runtime import links as links_module
from gateway.runtime.links import MemberLinks
from inventory.raft.v1 import forward_pb2, link_pb2, peer_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core import events
from inventory_node.ports import Contact
from inventory_node.runtime.gateways import Gateways
from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.peer_api import PeerApi
from inventory_node.runtime.peers import Local
from inventory_node.runtime.questions import MemberAnswers
from inventory_node.runtime.relay import WAITING_BYTES_MAX, RelayEnd, Relays
from inventory_node.runtime.server import MemberServer
from link.carrying import dial_through
from link.connection import Link, LinkUser
from link.dialing import dial
from link.errors import HelloRefused, LinkBroken, LinkError, Reason
from link.frames import FrameKind
from link.hello import Introduction

if TYPE_CHECKING:
    from gateway.router import Router

pytestmark = pytest.mark.slow
SECONDS_MAX = 20
GATEWAY = pkitest.contexts("gateway")

Begin = Callable[[Coroutine[Any, Any, None]], None]


class Member:
    """A member that says who leads, keeps what it is sent, and relays to whom it knows."""

    def __init__(self, name: str, leader: str, authority: str = "tests") -> None:
        """Serve nothing yet."""
        self.frames: asyncio.Queue[events.Forwarded] = asyncio.Queue()
        self.gateways = Gateways(self._post)
        self.known: dict[str, str] = {}  # addresses by name
        contexts = pkitest.contexts(name, authority)
        own = Local("cluster", 1, Contact(name, "unused:1"), contexts)
        self.relays = Relays(own, lambda name: self.known.get(name, ""))
        answers = MemberAnswers(
            own,
            peer_pb2.DescribeResponse,
            cluster_pb2.Member,
            MembershipService(self._post),
            lambda _: "",
        )
        self.server = MemberServer(
            own,
            self.gateways,
            PeerApi(own, self._post, lambda: None, lambda _: None, lambda _: ""),
            answers,
            self.relays,
        )
        self._leader = leader

    def _post(self, event: events.Event) -> None:
        match event:
            case events.SessionOpened():
                told = forward_pb2.Leadership(term=1, leader=self._leader)
                response = forward_pb2.ForwardResponse(leadership=told)
                self.gateways.reply(event.session, response)
                asyncio.get_running_loop().call_soon(self.gateways.flush)
            case events.Forwarded():
                self.frames.put_nowait(event)
            case _:
                pass

    async def serve(self) -> str:
        """Serve on a port of loopback; return the address."""
        return f"127.0.0.1:{await self.server.listen('127.0.0.1:0')}"


class CutOffToo(Member):
    """A member that answers, and does not reach the leader either."""

    def __init__(self, name: str, leader: str) -> None:
        """Count the tries."""
        super().__init__(name, leader)
        self.tries = 0
        self.relays.carry = self._refuse  # type: ignore[method-assign]  # nothing is carried on

    def _refuse(self, hello: link_pb2.LinkHello) -> LinkUser:
        self.tries += 1
        raise HelloRefused(Reason.REASON_RECIPIENT, f"the way to {hello.relay_to} is broken")


class Core:
    """A router that notes the links' reports."""

    leader = ""

    def __init__(self, ways_min: int = 1) -> None:
        """Know nothing."""
        self.ways_min = ways_min
        self.opened: asyncio.Queue[str] = asyncio.Queue()
        self.replies: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def link_opened(self, member: str) -> None:
        """Note a stream."""
        self.opened.put_nowait(member)

    def link_closed(self, member: str) -> None:
        """Forget a stream."""

    def ways_to(self, member: str, ways: Collection[str]) -> list[str]:
        """Take any way to the leader, once there are enough."""
        return sorted(ways) if member == self.leader and len(ways) >= self.ways_min else []

    def response_received(self, member: str, response: forward_pb2.ForwardResponse) -> None:
        """Learn who leads, and keep answers."""
        self.leader = response.leadership.leader or self.leader
        for reply in response.replies:
            self.replies.put_nowait((member, reply.id))


class Cut:
    """A way to an address that is cut for gateways, until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        """Cut it."""
        self.mended = asyncio.Event()
        self._address = address
        monkeypatch.setattr(links_module, "dial", self._dial)

    async def _dial(
        self, address: str, introduction: Introduction, user: LinkUser, seconds: float
    ) -> tuple[Link, str]:
        if address == self._address and not self.mended.is_set():
            await asyncio.sleep(0)
            raise LinkBroken("cut")
        return await dial(address, introduction, user, seconds)


def run(scenario: Callable[[Begin], Awaitable[None]]) -> None:
    """Run a scenario, bounded; what it begins ends with it."""

    async def bounded() -> None:
        begun: list[asyncio.Future[None]] = []
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await scenario(lambda work: begun.append(asyncio.ensure_future(work)))
        finally:
            for one in begun:
                one.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    asyncio.run(bounded())


def test_the_leaders_link_goes_by_another_member_while_the_way_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests and answers pass; when the straight way is there again, it is taken."""

    async def scenario(begin: Begin) -> None:
        far, near = Member("far", "far"), Member("near", "far")
        far_address, near_address = [await member.serve() for member in (far, near)]
        near.known["far"] = far_address
        links = MemberLinks({"far": far_address, "near": near_address}, GATEWAY)
        core, cut = Core(), Cut(monkeypatch, far_address)
        begin(near.relays.run())
        begin(links.run(cast("Router", core), lambda: None))
        assert [await core.opened.get(), await core.opened.get()] == ["near", "far"]
        assert not links.links["far"].is_straight
        await ask(links, far, core, 1)
        cut.mended.set()
        assert await core.opened.get() == "far"
        assert links.links["far"].is_straight
        await ask(links, far, core, 2)
        assert near.frames.empty()
        links.close()
        for member in (far, near):
            member.server.close()

    run(scenario)


def test_after_a_member_that_is_cut_off_too_the_next_one_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not the first again, for as long as the callers' deadlines last."""

    async def scenario(begin: Begin) -> None:
        far, near, blind = Member("far", "far"), Member("near", "far"), CutOffToo("blind", "far")
        far_address, near_address, blind_address = [await one.serve() for one in (far, near, blind)]
        near.known["far"] = far_address
        members = {"far": far_address, "near": near_address, "blind": blind_address}
        links = MemberLinks(members, GATEWAY)
        core = Core(ways_min=2)
        Cut(monkeypatch, far_address)
        begin(near.relays.run())
        begin(links.run(cast("Router", core), lambda: None))
        assert {await core.opened.get(), await core.opened.get()} == {"blind", "near"}
        assert await core.opened.get() == "far"
        await ask(links, far, core, 1)
        assert blind.tries == 1
        links.close()
        for member in (far, near, blind):
            member.server.close()

    run(scenario)


class Silent:
    """A gateway that keeps the reason of the end: a `LinkUser`."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.link: Link
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self.link = link

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: Exception) -> None:
        """See `LinkUser.closed`."""
        self.ended.set_result(str(error))


def introduction(purpose: int, recipient: str, relay_to: str = "") -> Introduction:
    """Return what a gateway says."""
    return Introduction(
        contexts=GATEWAY,
        purpose=purpose,  # type: ignore[arg-type]  # a number of that enumeration
        caller=link_pb2.Caller(name="a gateway"),
        recipient=recipient,
        relay_to=relay_to,
    )


RELAY = introduction(link_pb2.PURPOSE_RELAY, "near", "far")


async def carried(address: str, user: Silent, recipient: str = "far") -> Link:
    """Open a link to `far`, past `near`."""
    own = introduction(link_pb2.PURPOSE_GATEWAY, recipient)
    return await dial_through(address, RELAY, own, user, SECONDS_MAX)


@pytest.mark.parametrize(
    ("authority", "recipient", "sentence"),
    [
        ("tests", "far", ""),
        ("another", "far", "the relay ends: far is not reached"),
        ("tests", "near", "member far answers at the address of near"),
    ],
)
def test_both_ends_of_a_relayed_link_prove_themselves(
    authority: str, recipient: str, sentence: str
) -> None:
    """No member carries on to a stranger, and the caller speaks to the member that it wants."""

    async def scenario(begin: Begin) -> None:
        far, near = Member("far", "far", authority), Member("near", "far")
        near.known["far"] = await far.serve()
        address = await near.serve()
        begin(near.relays.run())
        user = Silent()
        if sentence:
            with pytest.raises(LinkError, match=sentence):
                await carried(address, user, recipient)
        else:
            await carried(address, user)
            assert not user.ended.done()
            far.server.close()
            await user.ended
        for member in (far, near):
            member.server.close()

    run(scenario)


def test_a_relaying_member_reads_nothing_of_what_it_carries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It sees records of TLS, in which neither requests nor answers can be found."""
    passed: list[bytes] = []
    send = RelayEnd.send

    def note(self: RelayEnd, payload: bytes) -> None:
        passed.append(payload)
        send(self, payload)

    monkeypatch.setattr(RelayEnd, "send", note)

    async def scenario(begin: Begin) -> None:
        far, near = Member("far", "far"), Member("near", "far")
        near.known["far"] = await far.serve()
        begin(near.relays.run())
        user = Silent()
        link = await carried(await near.serve(), user)
        proposal = forward_pb2.Proposal(id=1, command=b"an order of somebody")
        request = forward_pb2.ForwardRequest(proposals=[proposal])
        link.send(FrameKind.REQUEST, request.SerializeToString())
        link.flush()
        frame = await far.frames.get()
        assert frame.request.proposals[0] == proposal
        assert len(passed) > 3
        assert b"an order of somebody" not in b"".join(passed)
        assert b"cluster" not in b"".join(passed)
        for member in (far, near):
            member.server.close()

    run(scenario)


@pytest.mark.parametrize("at", [1, 2, 3, 4, -1])
def test_a_relaying_member_that_changes_a_byte_ends_the_link(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """During the handshake, and after it: it can speak as neither of the two ends."""
    send = RelayEnd.send
    count = 0

    def change(self: RelayEnd, payload: bytes) -> None:
        nonlocal count
        count += 1
        if count == at or (at < 0 and b"request" in changed):
            payload = payload[:-1] + bytes([payload[-1] ^ 1])
        send(self, payload)

    changed: set[bytes] = set()
    monkeypatch.setattr(RelayEnd, "send", change)

    async def scenario(begin: Begin) -> None:
        far, near = Member("far", "far"), Member("near", "far")
        near.known["far"] = await far.serve()
        begin(near.relays.run())
        user = Silent()
        address = await near.serve()
        if at > 0:
            with pytest.raises(LinkError):
                await carried(address, user)
        else:
            link = await carried(address, user)
            changed.add(b"request")
            link.send(FrameKind.REQUEST, b"")
            link.flush()
            await user.ended
        assert far.frames.empty()
        for member in (far, near):
            member.server.close()

    run(scenario)


def test_so_many_bytes_wait_for_a_member_that_is_not_reached_yet() -> None:
    """A handshake begins with far fewer."""

    async def scenario(begin: Begin) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            near = Member("near", "far")
            near.known["far"] = f"127.0.0.1:{silent.getsockname()[1]}"
            begin(near.relays.run())
            user = Silent()
            await dial(await near.serve(), RELAY, user, SECONDS_MAX)
            user.link.send(FrameKind.CARRIED, bytes(WAITING_BYTES_MAX))
            user.link.send(FrameKind.CARRIED, b"x")
            user.link.flush()
            assert "before the member was reached" in await user.ended
            near.server.close()

    run(scenario)


async def ask(links: MemberLinks, leader: Member, core: Core, number: int) -> None:
    """Send a request to the leader by any way, and check that the leader's answer comes back."""
    proposal = forward_pb2.Proposal(id=number, command=b"a command")
    links.send("far", forward_pb2.ForwardRequest(proposals=[proposal]))
    frame = await leader.frames.get()
    assert frame.request.proposals[0] == proposal
    reply = forward_pb2.Reply(id=number)
    leader.gateways.reply(frame.session, forward_pb2.ForwardResponse(replies=[reply]))
    leader.gateways.flush()
    assert await core.replies.get() == ("far", number)
