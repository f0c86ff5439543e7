"""A stream to every member, kept open: requests go out, replies and leadership come back.

If the leader is alive and only the way to it is cut, another member relays the gateway's stream to
the leader until the leader can be reached straight again. Each further try goes by the next member,
since the member tried before may be cut off from the leader as well.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import grpc.aio
import structlog
from inventory.raft.v1 import forward_pb2, forward_pb2_grpc, membership_pb2, membership_pb2_grpc
from service.tasks import until_first
from wire.channels import RELAY_KEY, authorization, straight_channel
from wire.outbox import Outbox

from gateway.router import Router

RECONNECT_SECONDS = 0.1
ASK_SECONDS_MAX = 1.0
CONNECT_SECONDS_MAX = 2.0
STRAIGHT_SECONDS_MAX = 0.3  # then a detour is tried

_log = structlog.get_logger()

Call: TypeAlias = (
    "grpc.aio.StreamStreamCall[forward_pb2.ForwardRequest, forward_pb2.ForwardResponse]"
)


class MemberLink:
    """One member's stream: a queue of frames, a task that sends them, and a task that receives."""

    def __init__(self, name: str, address: str, key: str) -> None:
        """Open a channel; nothing is sent before `run`."""
        self.name = name
        self.address = address
        self.is_straight = False  # the stream is open, and no other member relays it
        self._metadata = authorization(key)
        self._channel = straight_channel(address)
        self.stub = forward_pb2_grpc.ForwardServiceStub(self._channel)
        self._changes = membership_pb2_grpc.MembershipServiceStub(self._channel)
        self._frames: deque[forward_pb2.ForwardRequest] = deque()
        self._outbox = Outbox(self._frame)
        self._detours = 0  # tried since the member was last reached straight

    def send(self, frame: forward_pb2.ForwardRequest) -> None:
        """Queue a frame; the router bounds how many frames there are."""
        self._frames.append(frame)
        self._outbox.wake()

    async def run(
        self,
        router: Router,
        schedule_pump: Callable[[], None],
        detours: Callable[[str], "Sequence[MemberLink]"],
    ) -> None:
        """Keep the stream open, for ever; `schedule_pump` is called after each run of events.

        `detours` returns, by a member's name, the links of the members that may relay its stream.
        """
        while True:
            try:
                await self._open(router, schedule_pump, detours(self.name))
            except (grpc.aio.AioRpcError, TimeoutError) as error:
                _log.debug("link_failed", member=self.name, error=str(error))
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # there is one here
                    raise
                _log.debug("link_failed", member=self.name, error="a write failed")
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _open(
        self, router: Router, schedule_pump: Callable[[], None], detours: "Sequence[MemberLink]"
    ) -> None:
        """Open the stream, straight or relayed by another member, and serve it until it ends."""
        seconds = STRAIGHT_SECONDS_MAX if detours else CONNECT_SECONDS_MAX
        try:
            await asyncio.wait_for(self._channel.channel_ready(), seconds)
        except TimeoutError:
            if not detours:
                raise
            by = detours[self._detours % len(detours)]
            self._detours += 1
            relay = ((RELAY_KEY, self.address), *self._metadata)
            call = by.stub.Forward(metadata=relay)
            await until_first(
                self._stream(router, schedule_pump, call, by.name), self._channel.channel_ready()
            )
        else:
            self._detours = 0
            await self._stream(
                router, schedule_pump, self.stub.Forward(metadata=self._metadata), ""
            )

    async def _stream(
        self, router: Router, schedule_pump: Callable[[], None], call: Call, by: str
    ) -> None:
        self._frames.clear()
        writer = asyncio.ensure_future(self._outbox.write_to(call))
        opened = False
        try:
            async for response in call:
                if not opened:
                    opened = True
                    self.is_straight = not by
                    router.link_opened(self.name)
                    _log.info("link_opened", member=self.name, by=by)
                router.response_received(self.name, response)
                schedule_pump()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            call.cancel()
            self.is_straight = False
            if opened:
                router.link_closed(self.name)
                schedule_pump()
                _log.info("link_closed", member=self.name)

    def _frame(self) -> forward_pb2.ForwardRequest | None:
        return self._frames.popleft() if self._frames else None

    async def get_member(self) -> forward_pb2.GetMemberResponse | None:
        """Return how the member describes itself; None if it does not answer in time."""
        try:
            return await self.stub.GetMember(
                forward_pb2.GetMemberRequest(), metadata=self._metadata, timeout=ASK_SECONDS_MAX
            )
        except grpc.aio.AioRpcError:
            return None

    async def change_members(
        self, request: membership_pb2.ChangeRequest, seconds_max: float
    ) -> membership_pb2.ChangeResponse | None:
        """Ask the member to change the members; return None if it does not answer in time."""
        member = await self.get_member()
        if member is None:
            return None
        request.cluster_id = member.cluster_id
        try:
            return await self._changes.Change(request, metadata=self._metadata, timeout=seconds_max)
        except grpc.aio.AioRpcError:
            return None

    async def close(self) -> None:
        """End the channel."""
        await self._channel.close()


class MemberLinks:
    """The `Links` port: a link to each member.

    - When a member moves to another address, a link to that address replaces its link.
    """

    def __init__(self, members: Mapping[str, str], key: str) -> None:
        """Open the channels."""
        self._key = key
        self.metadata = authorization(key)
        self.links = {name: MemberLink(name, address, key) for name, address in members.items()}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begin: Callable[[MemberLink], None] = lambda _: None

    async def run(self, router: Router, schedule_pump: Callable[[], None]) -> None:
        """Keep all streams open, for ever."""
        async with asyncio.TaskGroup() as group:

            def detours(member: str) -> list[MemberLink]:
                """Return the links that may relay a stream to `member`; none unless it leads."""
                ways = [name for name, link in self.links.items() if link.is_straight]
                return [self.links[name] for name in router.ways_to(member, ways)]

            def begin(link: MemberLink) -> None:
                self._tasks[link.name] = group.create_task(link.run(router, schedule_pump, detours))

            self._begin = begin
            for link in self.links.values():
                begin(link)
            await asyncio.Event().wait()

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """See `Links.meet`."""
        for name, address in members.items():
            held = self.links.get(name)
            if held is not None and held.address == address:
                continue
            if name in self._tasks:
                self._tasks.pop(name).cancel()
            self.links[name] = MemberLink(name, address, self._key)
            self._begin(self.links[name])
        for name in self.links.keys() - set(known):
            del self.links[name]
            self._tasks.pop(name).cancel()

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """See `Links.send`."""
        self.links[member].send(request)

    async def close(self) -> None:
        """End the channels."""
        for link in self.links.values():
            await link.close()
