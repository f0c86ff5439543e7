"""The other members over gRPC: one stream to each member, and a stream of its own for a snapshot.

Messages that cannot be sent are dropped: consensus repeats the messages that matter. A turn's
messages to one peer travel in one frame. A heartbeat is sent before all queued messages.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import crc32c
import grpc
import grpc.aio
import structlog
from inventory.raft.v1 import (
    membership_pb2,
    membership_pb2_grpc,
    peer_pb2,
    peer_pb2_grpc,
)
from raft.messages import Heartbeat
from service.tasks import until_first
from wire.channels import authorization, is_accepted, straight_channel
from wire.outbox import BROKEN, Outbox

from inventory_node.codec import add_to_frame, encode_configuration
from inventory_node.core import events
from inventory_node.core.membership.bootstrap import Described
from inventory_node.errors import BootstrapRefused
from inventory_node.ports import NO_HOOKS, Contact, Hooks, PeerMessage, SnapshotHeader, Step
from inventory_node.runtime.snapshot_sender import SnapshotSender, raise_end, reason_of

MESSAGES_WAITING_MAX = 1_024
CALLERS_MAX = 16  # callers that are in no configuration; more than a cluster has members
FRAME_BYTES_MAX = 4 << 20
RECONNECT_SECONDS = 0.1
REFUSED_SECONDS = 1.0  # a wrong key does not become right by frequent tries
DESCRIBE_SECONDS_MAX = 1.0
CHANGE_SECONDS_MAX = 2.0
REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT)

_log = structlog.get_logger()


@dataclass(slots=True)
class Local:
    """The own member, as the others know the member; the id is 0 until it is read or drawn."""

    cluster_id: str
    member_id: int
    contact: Contact


class PeerQueue:
    """The messages that wait for the next frame to one peer.

    - Messages wait only for a stream that the peer has accepted, and their number is bounded.
    - The newest heartbeat goes before all waiting messages, and replaces the older heartbeats.
    """

    def __init__(self, own: Local, hooks: Hooks) -> None:
        """Start closed: there is no stream."""
        self.is_open = False
        self.dropped_messages = 0
        self._own = own
        self._hooks = hooks
        self._beat: Heartbeat | None = None
        self._waiting: deque[PeerMessage] = deque()
        self._is_sending = False  # a frame that `next_frame` returned

    def __len__(self) -> int:
        """How many messages wait for the next frame."""
        return len(self._waiting) + (self._beat is not None)

    def append(self, message: PeerMessage) -> None:
        """Queue a message; drop the message without a stream, or when too many wait."""
        if self.is_open and isinstance(message, Heartbeat):
            self._beat = message
        elif self.is_open and len(self._waiting) < MESSAGES_WAITING_MAX:
            self._waiting.append(message)
        else:
            self.dropped_messages += 1

    def close(self) -> None:
        """Drop the waiting messages: the stream is broken."""
        self.is_open = False
        self._beat = None
        self._waiting.clear()

    def next_frame(self) -> peer_pb2.PeerFrame | None:
        """Return the next frame; called once the previous frame was taken."""
        if self._is_sending:
            self._hooks.after(Step.SEND)
        frame = self._frame()
        self._is_sending = frame is not None
        if self._is_sending:
            self._hooks.before(Step.SEND)
        return frame

    def _frame(self) -> peer_pb2.PeerFrame | None:
        if not len(self):
            return None
        frame = peer_pb2.PeerFrame(cluster_id=self._own.cluster_id)
        size = 0
        if self._beat is not None:
            size = add_to_frame(frame, self._beat)
            self._beat = None
        while self._waiting and size < FRAME_BYTES_MAX:
            size += add_to_frame(frame, self._waiting.popleft())
        return frame


class Peer:
    """One other member: a queue, and the task that empties the queue into a stream.

    - Each change, found, lost or refused, is logged once.
    """

    def __init__(self, contact: Contact, own: Local, key: str, hooks: Hooks = NO_HOOKS) -> None:
        """Open a channel; nothing is sent before `run`."""
        name, address = contact.name, contact.address
        self._own = own
        self.name = name
        self.address = address
        self._metadata = authorization(key)
        self._channel = straight_channel(address)
        self.stub = peer_pb2_grpc.PeerServiceStub(self._channel)
        self._changes = membership_pb2_grpc.MembershipServiceStub(self._channel)
        self._queue = PeerQueue(own, hooks)
        self._outbox = Outbox(self._queue.next_frame)
        self._refusal = ""

    @property
    def is_up(self) -> bool:
        """Whether the peer has accepted a stream."""
        return self._queue.is_open

    @property
    def dropped_messages(self) -> int:
        """How many messages were dropped."""
        return self._queue.dropped_messages

    @property
    def waiting_messages(self) -> int:
        """How many messages wait for the next frame."""
        return len(self._queue)

    def queue(self, message: PeerMessage) -> None:
        """Queue a message; drop the message when the stream is down or far behind."""
        self._queue.append(message)

    def send_queued(self) -> None:
        """Send the queued messages."""
        if len(self._queue):
            self._outbox.wake()

    async def run(self) -> None:
        """Keep a stream open, for ever."""
        while True:
            pause = RECONNECT_SECONDS
            try:
                await self._stream()
            except BROKEN as error:
                pause = self._broken(error)
            finally:
                self._queue.close()
            await asyncio.sleep(pause)

    def _broken(self, error: Exception) -> float:
        """Log once why the stream broke; return how long to wait."""
        reason = reason_of(error)
        if self.is_up:
            _log.info("peer_lost", peer=self.name, reason=reason)
        if not isinstance(error, grpc.aio.AioRpcError) or error.code() not in REFUSALS:
            return RECONNECT_SECONDS
        if self._refusal != reason:
            self._refusal = reason
            _log.warning("peer_refuses", peer=self.name, reason=reason)
        return REFUSED_SECONDS

    async def _stream(self) -> None:
        await self._channel.channel_ready()
        call = self.stub.Deliver(metadata=self._metadata)
        try:
            try:
                await call.write(self._greeting())
            except BROKEN:
                await self._raise_refusal()
                await raise_end(call)
            if not await is_accepted(call):
                await raise_end(call)
            self._queue.is_open = True
            self._refusal = ""
            _log.info("peer_found", peer=self.name)
            # The call ends only when the peer ends the stream; its answer is empty.
            await until_first(raise_end(call), self._outbox.write_to(call))
        finally:
            call.cancel()

    async def _raise_refusal(self) -> None:
        """Raise the refusal of this member's key, if the peer refuses the key.

        A refusal may arrive before the first write is done. gRPC may then end the call with
        INTERNAL instead of the refusal. A call without a stream still reports the refusal.
        """
        request = peer_pb2.DescribeRequest(cluster_id=self._own.cluster_id)
        call = self.stub.Describe(request, metadata=self._metadata, timeout=DESCRIBE_SECONDS_MAX)
        if await call.code() in REFUSALS:
            await raise_end(call)

    def _greeting(self) -> peer_pb2.PeerFrame:
        own = self._own
        caller = peer_pb2.Caller(
            member_id=own.member_id, name=own.contact.name, address=own.contact.address
        )
        return peer_pb2.PeerFrame(cluster_id=own.cluster_id, caller=caller)

    async def describe(self, member_id: int) -> Described | None:
        """Ask for the peer's description; None when the peer does not answer.

        Raises BootstrapRefused when the peer refuses this member's key.
        """
        request = peer_pb2.DescribeRequest(cluster_id=self._own.cluster_id, member_id=member_id)
        call = self.stub.Describe(request, metadata=self._metadata, timeout=DESCRIBE_SECONDS_MAX)
        code = await call.code()
        if code is grpc.StatusCode.UNAUTHENTICATED:
            raise BootstrapRefused(
                f"{self.name} has another cluster key; give every member the same one"
            )
        if code is not grpc.StatusCode.OK:
            return None
        said = await call
        return Described(
            name=self.name,
            says=said.name,
            cluster_id=said.cluster_id,
            member_id=said.member_id,
            bootstrapped=said.bootstrapped,
            term=said.term,
            reached=frozenset(said.reach.member_ids) if said.HasField("reach") else None,
        )

    async def ask_change(
        self, request: membership_pb2.ChangeRequest
    ) -> membership_pb2.ChangeResponse | None:
        """Ask for a membership change; None when no answer comes in time."""
        call = self._changes.Change(request, metadata=self._metadata, timeout=CHANGE_SECONDS_MAX)
        return await call if await call.code() is grpc.StatusCode.OK else None

    async def send_snapshot(
        self, path: Path, chunk_of: Callable[[int, bytes], peer_pb2.SnapshotChunk]
    ) -> str:
        """Send a snapshot; return the problem, or an empty string."""
        return await SnapshotSender(self.stub, self._metadata, path, chunk_of).send()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


class Peers:
    """The member-facing half of the transport port.

    - A snapshot's end is reported once, however the snapshot ended, unless the process ends.
    - The first members are known for ever. A joined member is known until the second configuration
      without the member, so that the member can receive the first such configuration.
    - A caller that is in no configuration is known until another caller calls from its address, or
      until there are too many callers. A member that loses its volume at each start calls with
      another id each time.
    """

    def __init__(
        self,
        own: Local,
        first: Mapping[int, Contact],
        key: str,
        post: Callable[[events.Event], None],
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        """Start with the other first members by their ids."""
        self._own = own
        self._hooks = hooks
        self._key = key
        self._post = post
        self._group = asyncio.TaskGroup()
        self._running = False
        self._is_cut = False  # the snapshots under way end
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._leaving: set[int] = set()
        self._peers: dict[int, Peer] = {}
        for member, contact in first.items():
            self._connect(member, contact)
        self._later: set[int] = set()
        self._callers: dict[int, Peer] = {}  # peers in no configuration; the latest caller last

    async def run(self) -> None:
        """Keep a stream to every peer, and send snapshots, for ever."""
        async with self._group as group:
            self._running = True
            for member, peer in self._peers.items():
                self._tasks[member] = group.create_task(peer.run())
            await asyncio.Event().wait()  # a lone member has no stream to wait for

    def _connect(self, member: int, contact: Contact) -> None:
        peer = self._peers[member] = Peer(contact, self._own, self._key, self._hooks)
        if self._running:
            self._tasks[member] = self._group.create_task(peer.run())

    def connect_caller(self, caller: peer_pb2.Caller) -> None:
        """Connect to a calling member: a joining member's log does not say where the leader is."""
        member = caller.member_id
        if caller.address and member not in {0, self._own.member_id, *self._peers}:
            self._evict_callers(caller.address)
            self._later.add(member)
            self._connect(member, Contact(caller.name, caller.address))
            self._callers[member] = self._peers[member]

    def _evict_callers(self, address: str) -> None:
        """Disconnect earlier callers from `address`; of too many, a silent caller or the oldest."""
        callers = self._callers
        for member in [one for one, peer in callers.items() if peer.address == address]:
            self._disconnect(member)
        if len(callers) >= CALLERS_MAX:
            silent = (one for one, peer in callers.items() if not peer.is_up)
            self._disconnect(next(silent, next(iter(callers))))

    def meet(self, contacts: Mapping[int, Contact]) -> None:
        """See `Transport.meet`."""
        for member, contact in contacts.items():
            self._callers.pop(member, None)
            if member not in self._peers:
                self._later.add(member)
                self._connect(member, contact)
        for member in self._leaving - contacts.keys():
            self._disconnect(member)
        self._leaving = self._later - contacts.keys()

    def _disconnect(self, member: int) -> None:
        """End the stream to a peer, and the tasks for the peer."""
        self._later.discard(member)
        self._leaving.discard(member)
        self._callers.pop(member, None)
        task, peer = self._tasks.pop(member, None), self._peers.pop(member)
        if task is not None:
            task.cancel()
            self._group.create_task(peer.close())

    async def ask_change(
        self, request: membership_pb2.ChangeRequest
    ) -> list[membership_pb2.ChangeResponse]:
        """Ask every peer, and each leader that a peer names, for a membership change."""
        asked = await asyncio.gather(*(peer.ask_change(request) for peer in self._all()))
        responses = [response for response in asked if response is not None]
        addresses = {response.not_leader.address for response in responses} - {""}
        for address in sorted(addresses - {peer.address for peer in self._all()}):
            leader = Peer(Contact("the leader", address), self._own, self._key)
            response = await leader.ask_change(request)
            await leader.close()
            responses += [response] if response is not None else []
        return responses

    async def ask_leader(
        self, request: membership_pb2.ChangeRequest
    ) -> membership_pb2.ChangeResponse | None:
        """Ask every peer; return the first answer of a leader, None when no peer leads."""
        asked = [asyncio.ensure_future(peer.ask_change(request)) for peer in self._all()]
        try:
            for following in asyncio.as_completed(asked):
                response = await following
                if response is not None and not response.HasField("not_leader"):
                    return response
        finally:
            for one in asked:
                one.cancel()
        return None

    def __getitem__(self, member: int) -> Peer:
        """Return the peer with an id."""
        return self._peers[member]

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Queue messages for their recipients."""
        for message in messages:
            peer = self._peers.get(message.recipient)
            if peer is not None:
                peer.queue(message)

    def send_queued(self) -> None:
        """Send the messages that a turn queued for all peers."""
        for peer in self._peers.values():
            peer.send_queued()

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Stream a copied file, then remove the file; report the end as an event."""
        self._is_cut = False
        self._group.create_task(self._send_snapshot(peer, term, header, Path(path)))

    def end_snapshots(self) -> None:
        """See `Transport.end_snapshots`."""
        self._is_cut = True

    async def _send_snapshot(
        self, peer: int, term: int, header: SnapshotHeader, path: Path
    ) -> None:
        index, to = header.meta.index, self._peers.get(peer)
        name, problem = "", "the peer is not known any more"
        if to is not None:
            name = to.name
            _log.info("snapshot_sending", peer=name, index=index, bytes=header.size)
            problem = await to.send_snapshot(path, self._chunks(peer, term, header))
        with contextlib.suppress(OSError):  # staging is cleared at the next start
            path.unlink()  # noqa: ASYNC240 - one system call
        _log.info("snapshot_sent", peer=name, index=index, problem=problem)
        self._post(events.SnapshotSent(peer, index, installed=not problem))

    def _chunks(
        self, peer: int, term: int, header: SnapshotHeader
    ) -> Callable[[int, bytes], peer_pb2.SnapshotChunk]:
        meta = peer_pb2.SnapshotMeta(
            index=header.meta.index,
            term=header.meta.term,
            size=header.size,
            sha256=header.sha256,
            configuration=encode_configuration(header.meta.configuration),
        )

        def chunk_of(offset: int, data: bytes) -> peer_pb2.SnapshotChunk:
            if self._is_cut:
                raise OSError("it may not be given away")
            return peer_pb2.SnapshotChunk(
                cluster_id=self._own.cluster_id,
                sender=self._own.member_id,
                recipient=peer,
                term=term,
                meta=meta,
                offset=offset,
                data=data,
                crc32c=crc32c.crc32c(data),
            )

        return chunk_of

    async def describe(self, members: Collection[int] | None = None) -> list[Described | None]:
        """Ask peers, by id, or all peers for descriptions; raise BootstrapRefused."""
        asked = self._all() if members is None else [self._peers[one] for one in members]
        return list(await asyncio.gather(*(peer.describe(self._own.member_id) for peer in asked)))

    @property
    def reached(self) -> set[int]:
        """The ids of the peers that have accepted a stream."""
        return {member for member, peer in list(self._peers.items()) if peer.is_up}

    @property
    def waiting_messages(self) -> int:
        """How many messages wait, to all peers."""
        return sum(peer.waiting_messages for peer in self._all())

    @property
    def dropped_messages(self) -> int:
        """How many messages were dropped, to all peers."""
        return sum(peer.dropped_messages for peer in self._all())

    @property
    def known(self) -> set[int]:
        """The ids of the members that messages can be sent to."""
        return set(self._peers)

    def _all(self) -> Iterable[Peer]:
        return list(self._peers.values())

    async def close(self) -> None:
        """Close the channels."""
        for peer in self._all():
            await peer.close()
