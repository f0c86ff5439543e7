"""What this member serves: peers' messages and snapshots, and gateways' streams.

Every call carries the cluster's key, and every frame of a peer carries the cluster's id.
"""

import asyncio
import hmac
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn, TypeAlias

import crc32c
import grpc
import grpc.aio
from inventory.raft.v1 import (
    forward_pb2,
    forward_pb2_grpc,
    peer_pb2,
    peer_pb2_grpc,
)
from inventory.v1 import cluster_pb2
from raft.messages import SnapshotMeta
from service.tasks import until_first
from wire.channels import accept, bearer, relay_target
from wire.outbox import BROKEN

from inventory_node.codec import decode_configuration, message_from_wire, surveys_of
from inventory_node.core import events
from inventory_node.errors import CodecError
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime.peers import Local
from inventory_node.runtime.relay import carry

FRAMES_WAITING_MAX = 4_096  # to one gateway
BYTES_WAITING_MAX = 32 << 20  # to one gateway, behind the first frames; a frame has up to 4 MiB
FRAMES_UNCOUNTED = 8  # the first frames; sizing a frame costs as much as sending it
CHUNK_SECONDS_MAX = 30.0  # between two chunks of a snapshot

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Answer = peer_pb2.SnapshotAnswer
Post = Callable[[events.Event], None]


class Gate:
    """Checks who may call this member."""

    def __init__(self, key: str, watch_key: str = "") -> None:
        """Admit callers with the cluster's key; let callers with `watch_key` only look."""
        self.key = key
        self._watch_key = watch_key.encode()

    async def check(self, context: Context) -> None:
        """End the call of a caller without the cluster's key."""
        token = bearer(context.invocation_metadata()) or ""
        if not hmac.compare_digest(token.encode(), self.key.encode()):
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "this is for members and gateways: wrong key"
            )

    async def check_watcher(self, context: Context) -> None:
        """End the call of a caller with neither key."""
        token = bearer(context.invocation_metadata()) or ""
        if not self._watch_key or not hmac.compare_digest(token.encode(), self._watch_key):
            await self.check(context)


class GatewaySession:
    """One gateway's stream: frames on their way out.

    - The waiting frames are bounded in number and bytes. A gateway above a bound does not read. No
      more frames are kept for this gateway, and its stream ends, so that the gateway repeats its
      requests.
    """

    def __init__(self) -> None:
        """Start without a frame."""
        self._frames: deque[tuple[forward_pb2.ForwardResponse, int]] = deque()  # and its bytes
        self._bytes = 0
        self._wake = asyncio.Event()
        self._is_over_full = False

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    def reply(self, response: forward_pb2.ForwardResponse) -> None:
        """Queue a frame."""
        size = response.ByteSize() if len(self._frames) >= FRAMES_UNCOUNTED else 0
        if len(self._frames) >= FRAMES_WAITING_MAX or self._bytes + size > BYTES_WAITING_MAX:
            self._is_over_full = True
            return
        self._frames.append((response, size))
        self._bytes += size
        self._wake.set()

    async def write(self, context: Context) -> None:
        """Write frames until the stream breaks or is over-full; the only writer of the stream.

        A stream cannot be ended while a write is stuck. A stuck write ends when the gateway reads
        on, or by keepalive when the gateway is gone.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._frames:
                frame, size = self._frames.popleft()
                self._bytes -= size
                try:
                    await context.write(frame)
                except BROKEN:
                    return
                if self._is_over_full:
                    await context.abort(
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        f"{FRAMES_WAITING_MAX} frames or {BYTES_WAITING_MAX} bytes of answers "
                        "were not read",
                    )


class Gateways(forward_pb2_grpc.ForwardServiceServicer):
    """The gateway-facing half of the transport port, and its gRPC service."""

    def __init__(
        self, gate: Gate, post: Post, describe: Callable[[], forward_pb2.GetMemberResponse]
    ) -> None:
        """Start with no session."""
        self._gate = gate
        self._post = post
        self._describe = describe
        self._sessions: dict[int, GatewaySession] = {}
        self._last = 0
        self.proposals = 0
        self.questions = 0

    @property
    def waiting_frames(self) -> list[int]:
        """How many frames wait, for each session."""
        return [len(session) for session in list(self._sessions.values())]

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Answer on a session; nothing happens when the session is gone."""
        stream = self._sessions.get(session)
        if stream is not None:
            stream.reply(response)

    async def Forward(  # type: ignore[override]  # writes by the context, not as an iterator
        self, request_iterator: AsyncIterator[forward_pb2.ForwardRequest], context: Context
    ) -> None:
        """Carry all requests of a gateway, for this member or for another member."""
        await self._gate.check(context)
        target = relay_target(context.invocation_metadata())
        if target is not None:
            await carry(request_iterator, context, target, self._gate.key)
            return
        self._last += 1
        number, session = self._last, GatewaySession()
        self._sessions[number] = session
        self._post(events.SessionOpened(number))
        try:
            await until_first(self._read(number, request_iterator), session.write(context))
        finally:
            del self._sessions[number]
            self._post(events.SessionClosed(number))

    async def _read(self, number: int, requests: AsyncIterator[forward_pb2.ForwardRequest]) -> None:
        async for request in requests:
            self.proposals += len(request.proposals)
            self.questions += len(request.questions)
            self._post(events.Forwarded(number, request))

    async def GetMember(
        self, request: forward_pb2.GetMemberRequest, context: Context
    ) -> forward_pb2.GetMemberResponse:
        """Return this member's own view."""
        await self._gate.check_watcher(context)
        return self._describe()


class PeerApi(peer_pb2_grpc.PeerServiceServicer):
    """The gRPC service for the other members."""

    def __init__(
        self,
        gate: Gate,
        own: Local,
        post: Post,
        describe: Callable[[], peer_pb2.DescribeResponse | None],
        heard: Callable[[peer_pb2.Caller], None],
    ) -> None:
        """Take frames for one member of one cluster."""
        self._gate = gate
        self._own = own
        self._post = post
        self._describe = describe
        self._heard = heard
        self._chunks: dict[tuple[int, int], asyncio.Future[Answer]] = {}

    async def Deliver(
        self, request_iterator: AsyncIterator[peer_pb2.PeerFrame], context: Context
    ) -> peer_pb2.DeliverResponse:
        """Take one peer's messages; a frame that is not for this member ends the stream.

        The first frame is answered with metadata, so that the peer knows that the stream is
        accepted.
        """
        await self._gate.check(context)
        accepted = False
        async for frame in request_iterator:
            if frame.cluster_id != self._own.cluster_id:
                await self._refuse(context, "this is another cluster")
            if not accepted:
                accepted = True
                self._heard(frame.caller)
                await accept(context)
            try:
                messages = tuple(message_from_wire(wire) for wire in frame.messages)
            except CodecError as error:
                await self._refuse(context, str(error))
            if any(message.recipient != self._own.member_id for message in messages):
                await self._refuse(context, "a message is for another member")
            if messages:
                self._post(events.PeerMessages(messages))
            for survey in surveys_of(frame):
                if survey.recipient == self._own.member_id:
                    self._post(events.Surveyed(survey))
        return peer_pb2.DeliverResponse()

    async def _refuse(self, context: Context, problem: str) -> NoReturn:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        raise RuntimeError("abort returned")  # for the type checker: abort never returns

    async def SendSnapshot(  # type: ignore[override]  # writes by the context, not as an iterator
        self, request_iterator: AsyncIterator[peer_pb2.SnapshotChunk], context: Context
    ) -> None:
        """Take one snapshot; each chunk is answered when the chunk is stored.

        The stream of a sender that is silent for long ends; the next stream resumes behind the
        stored chunks.
        """
        await self._gate.check(context)
        requests = aiter(request_iterator)
        while True:
            try:
                async with asyncio.timeout(CHUNK_SECONDS_MAX):
                    chunk = await anext(requests)
            except StopAsyncIteration:
                return
            except TimeoutError:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no chunk came in time")
            answer = await self._check_and_take(chunk)
            await context.write(answer)
            if answer.installed or answer.problem:
                return

    async def _check_and_take(self, chunk: peer_pb2.SnapshotChunk) -> Answer:
        if chunk.cluster_id != self._own.cluster_id or chunk.recipient != self._own.member_id:
            return Answer(problem="it is for another member")
        if crc32c.crc32c(chunk.data) != chunk.crc32c:
            return Answer(problem=f"the chunk at {chunk.offset} is damaged")
        try:
            configuration = decode_configuration(chunk.meta.configuration)
        except CodecError as error:
            return Answer(problem=str(error))
        return await self._post_chunk(
            chunk, SnapshotMeta(chunk.meta.index, chunk.meta.term, configuration)
        )

    async def _post_chunk(self, chunk: peer_pb2.SnapshotChunk, meta: SnapshotMeta) -> Answer:
        header = SnapshotHeader(meta, chunk.meta.size, chunk.meta.sha256)
        key = (chunk.sender, chunk.meta.index)
        before = self._chunks.get(key)
        if before is not None and not before.done():  # the sender has given this chunk up
            before.set_result(Answer(problem="another stream takes its place"))
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._chunks[key] = answer
        try:
            self._post(
                events.ChunkReceived(chunk.sender, chunk.term, header, chunk.offset, chunk.data)
            )
            return await answer
        finally:
            if self._chunks.get(key) is answer:
                del self._chunks[key]

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Answer the waiting chunk."""
        waiting = self._chunks.get((peer, index))
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(taken=taken, installed=installed, problem=problem))

    async def Describe(
        self, request: peer_pb2.DescribeRequest, context: Context
    ) -> peer_pb2.DescribeResponse:
        """Describe this member, during its start and after; UNAVAILABLE before the log is read."""
        del request
        await self._gate.check(context)
        described = self._describe()
        if described is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the log is not read yet")
            raise RuntimeError("abort returned")  # for the type checker: abort never returns
        return described


def member_response(cluster_id: str, member: cluster_pb2.Member) -> forward_pb2.GetMemberResponse:
    """Return the answer of `GetMember`."""
    return forward_pb2.GetMemberResponse(cluster_id=cluster_id, member=member)
