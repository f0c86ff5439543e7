"""The other members over gRPC: one stream to each, snapshots on streams of their own.

What cannot be sent is dropped: consensus repeats what matters. A turn's messages to one peer travel
in one frame.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import crc32c
import grpc
import grpc.aio
import structlog
from inventory.raft.v1 import peer_pb2, peer_pb2_grpc
from raft.messages import Message
from wire.channels import CLIENT_OPTIONS, authorization
from wire.outbox import Outbox

from inventory_node import events
from inventory_node.bootstrap import Described
from inventory_node.codec import message_to_wire
from inventory_node.ports import SnapshotHeader

MESSAGES_WAITING_MAX = 1_024
FRAME_BYTES_MAX = 4 << 20
CHUNK_BYTES = 1 << 20
RECONNECT_SECONDS = 0.1
SNAPSHOT_SECONDS_MAX = 900
DESCRIBE_SECONDS_MAX = 1.0

_log = structlog.get_logger()


class Peer:
    """One other member: a queue, and the task that empties it into a stream."""

    def __init__(self, name: str, address: str, cluster_id: str, key: str) -> None:
        """Open a channel; nothing is sent before `run`."""
        self.name = name
        self._cluster_id = cluster_id
        self._metadata = authorization(key)
        self._channel = grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS)
        self.stub = peer_pb2_grpc.PeerServiceStub(self._channel)
        self._waiting: deque[Message] = deque()
        self._outbox = Outbox(self._frame)
        self._up = False

    def queue(self, message: Message) -> None:
        """Take a message for the next frame; drop it when the stream is down or far behind."""
        if self._up and len(self._waiting) < MESSAGES_WAITING_MAX:
            self._waiting.append(message)

    def flush(self) -> None:
        """Let the queued messages go."""
        if self._waiting:
            self._outbox.wake()

    async def run(self) -> None:
        """Keep a stream open, for ever."""
        while True:
            try:
                await self._stream()
            except grpc.aio.AioRpcError as error:
                self._lost(error.details() or error.code().name)
            except asyncio.CancelledError:
                if not self._up or asyncio.current_task().cancelling():  # type: ignore[union-attr]  # there is one here
                    raise
                self._lost("a write failed")
            finally:
                self._up = False
                self._waiting.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    def _lost(self, reason: str) -> None:
        if self._up:
            _log.info("peer_lost", peer=self.name, reason=reason)

    async def _stream(self) -> None:
        await self._channel.channel_ready()
        call = self.stub.Deliver(metadata=self._metadata)
        await call.write(peer_pb2.PeerFrame(cluster_id=self._cluster_id))
        self._up = True
        _log.info("peer_found", peer=self.name)
        writer = asyncio.ensure_future(self._outbox.write_to(call))
        try:
            # Ends only when the peer ends it, or a write failed: the answer has nothing to say.
            await call
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            call.cancel()

    def _frame(self) -> peer_pb2.PeerFrame | None:
        if not self._waiting:
            return None
        frame = peer_pb2.PeerFrame(cluster_id=self._cluster_id)
        size = 0
        while self._waiting and size < FRAME_BYTES_MAX:
            wire = message_to_wire(self._waiting.popleft())
            size += wire.ByteSize()
            frame.messages.append(wire)
        return frame

    async def describe(self, member_id: int) -> Described | None:
        """Ask what the peer is; None when it does not answer."""
        request = peer_pb2.DescribeRequest(cluster_id=self._cluster_id, member_id=member_id)
        try:
            said = await self.stub.Describe(
                request, metadata=self._metadata, timeout=DESCRIBE_SECONDS_MAX
            )
        except grpc.aio.AioRpcError:
            return None
        return Described(self.name, said.cluster_id, said.member_id, said.bootstrapped, said.term)

    async def send_snapshot(self, chunks: AsyncIterator[peer_pb2.SnapshotChunk]) -> str:
        """Stream a snapshot; return what went wrong, or an empty string."""
        try:
            answer = await self.stub.SendSnapshot(
                chunks, metadata=self._metadata, timeout=SNAPSHOT_SECONDS_MAX
            )
        except grpc.aio.AioRpcError as error:
            return error.details() or error.code().name
        return "" if answer.installed else answer.problem or "it was not installed"

    async def close(self) -> None:
        """End the channel."""
        await self._channel.close()


class Peers:
    """The member-facing half of the transport port."""

    def __init__(
        self,
        cluster_id: str,
        own_id: int,
        peers: Mapping[int, Peer],
        post: Callable[[events.Event], None],
    ) -> None:
        """Know the peers by their ids."""
        self._cluster_id = cluster_id
        self._own_id = own_id
        self._peers = peers
        self._post = post
        self._streams: set[asyncio.Task[None]] = set()

    def send(self, messages: Sequence[Message]) -> None:
        """Queue messages for their recipients."""
        for message in messages:
            peer = self._peers.get(message.recipient)
            if peer is not None:
                peer.queue(message)

    def flush(self) -> None:
        """Let a turn's messages go."""
        for peer in self._peers.values():
            peer.flush()

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Stream a copied file, then remove it; report the end as an event."""
        task = asyncio.ensure_future(self._send_snapshot(peer, term, header, Path(path)))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _send_snapshot(
        self, peer: int, term: int, header: SnapshotHeader, path: Path
    ) -> None:
        index, name = header.meta.index, self._peers[peer].name
        _log.info("snapshot_sending", peer=name, index=index, bytes=header.size)
        problem = await self._peers[peer].send_snapshot(self._chunks(peer, term, header, path))
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one system call
        _log.info("snapshot_sent", peer=name, index=index, problem=problem)
        self._post(events.SnapshotSent(peer, index, installed=not problem))

    async def _chunks(
        self, peer: int, term: int, header: SnapshotHeader, path: Path
    ) -> AsyncIterator[peer_pb2.SnapshotChunk]:
        meta = peer_pb2.SnapshotMeta(
            index=header.meta.index,
            term=header.meta.term,
            voters=sorted(header.meta.configuration.voters),
            learners=sorted(header.meta.configuration.learners),
            size=header.size,
            sha256=header.sha256,
        )
        offset = 0
        with path.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield peer_pb2.SnapshotChunk(
                    cluster_id=self._cluster_id,
                    sender=self._own_id,
                    recipient=peer,
                    term=term,
                    meta=meta,
                    offset=offset,
                    data=data,
                    crc32c=crc32c.crc32c(data),
                    last=offset + len(data) == header.size,
                )
                offset += len(data)

    async def describe(self) -> list[Described | None]:
        """Ask every peer what it is."""
        return list(await asyncio.gather(*(peer.describe(self._own_id) for peer in self._all())))

    def _all(self) -> Iterable[Peer]:
        return self._peers.values()

    async def close(self) -> None:
        """End the snapshots under way and the channels."""
        for task in self._streams:
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        for peer in self._all():
            await peer.close()
