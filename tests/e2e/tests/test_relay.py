"""A gateway that cannot reach the leader sends by way of a member that can."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
import pytest
from gateway.runtime.links import MemberLinks
from inventory.raft.v1 import forward_pb2, forward_pb2_grpc
from inventory_node.core import events
from inventory_node.runtime.api import Gate, Gateways
from wire.channels import SERVER_OPTIONS, relay_target

if TYPE_CHECKING:
    from gateway.router import Router

pytestmark = pytest.mark.slow
KEY = "the cluster's key"
SECONDS_MAX = 20


class Member:
    """The gateway-facing half of a member, which names the leader and keeps the frames."""

    def __init__(self, leader: str, kind: type[Gateways] = Gateways) -> None:
        """Serve nothing yet."""
        self.frames: asyncio.Queue[events.Forwarded] = asyncio.Queue()
        self.gateways = kind(Gate(KEY), self._post, forward_pb2.GetMemberResponse)
        self._leader = leader

    def _post(self, event: events.Event) -> None:
        match event:
            case events.SessionOpened():
                told = forward_pb2.Leadership(term=1, leader=self._leader)
                response = forward_pb2.ForwardResponse(leadership=told)
                self.gateways.reply(event.session, response)
            case events.Forwarded():
                self.frames.put_nowait(event)
            case _:
                pass

    async def serve(self) -> tuple[grpc.aio.Server, str]:
        """Serve on a port of loopback; return the server and its address."""
        server = grpc.aio.server(options=SERVER_OPTIONS)
        forward_pb2_grpc.add_ForwardServiceServicer_to_server(self.gateways, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, f"127.0.0.1:{port}"


class CutOffToo(Gateways):
    """A member that answers and does not reach the leader, either."""

    tries = 0

    async def Forward(  # type: ignore[override]  # as its parent  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[forward_pb2.ForwardRequest],
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> None:
        """Carry nothing on."""
        if relay_target(context.invocation_metadata()) is not None:
            self.tries += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the way is broken")
        await super().Forward(request_iterator, context)


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


class CutOff:
    """A channel to a leader that is out of reach until a test mends the way."""

    def __init__(self) -> None:
        """Begin cut."""
        self.mended = asyncio.Event()

    async def channel_ready(self) -> None:
        """Wait for the way to be there."""
        await self.mended.wait()

    async def close(self) -> None:
        """Close nothing."""


def test_the_leaders_stream_goes_by_another_member_while_the_way_is_cut() -> None:
    """Requests and answers pass by the member; the gateway takes the mended way again."""

    async def scenario() -> None:
        far, near = Member("far"), Member("far")
        (far_server, far_address), (near_server, near_address) = [
            await member.serve() for member in (far, near)
        ]
        links = MemberLinks({"far": far_address, "near": near_address}, KEY)
        core, cut = Core(), CutOff()
        links.links["far"]._channel = cast("grpc.aio.Channel", cut)
        running = asyncio.ensure_future(links.run(cast("Router", core), lambda: None))
        async with asyncio.timeout(SECONDS_MAX):
            assert [await core.opened.get(), await core.opened.get()] == ["near", "far"]
            assert not links.links["far"].is_straight
            await ask(links, far, core, 1)
            cut.mended.set()
            assert await core.opened.get() == "far"
            assert links.links["far"].is_straight
            await ask(links, far, core, 2)
            assert near.frames.empty()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await links.close()
        for server in (far_server, near_server):
            await server.stop(0)

    asyncio.run(scenario())


def test_after_a_member_that_is_cut_off_too_the_next_one_is_tried() -> None:
    """And not the first again, for as long as the callers' deadlines last."""

    async def scenario() -> None:
        far, near, blind = Member("far"), Member("far"), Member("far", CutOffToo)
        servers, addresses = zip(*[await one.serve() for one in (far, near, blind)], strict=True)
        links = MemberLinks(dict(zip(("far", "near", "blind"), addresses, strict=True)), KEY)
        core = Core(ways_min=2)
        links.links["far"]._channel = cast("grpc.aio.Channel", CutOff())
        running = asyncio.ensure_future(links.run(cast("Router", core), lambda: None))
        async with asyncio.timeout(SECONDS_MAX):
            assert {await core.opened.get(), await core.opened.get()} == {"blind", "near"}
            assert await core.opened.get() == "far"
            await ask(links, far, core, 1)
        assert cast("CutOffToo", blind.gateways).tries == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await links.close()
        for server in servers:
            await server.stop(0)

    asyncio.run(scenario())


async def ask(links: MemberLinks, leader: Member, core: Core, number: int) -> None:
    """Send a request to the leader by any way, and check that the leader's answer comes back."""
    proposal = forward_pb2.Proposal(id=number, command=b"a command")
    links.send("far", forward_pb2.ForwardRequest(proposals=[proposal]))
    frame = await leader.frames.get()
    assert frame.request.proposals[0] == proposal
    reply = forward_pb2.Reply(id=number)
    leader.gateways.reply(frame.session, forward_pb2.ForwardResponse(replies=[reply]))
    assert await core.replies.get() == ("far", number)
