"""The other members: a link to each of them, and a link of its own for a snapshot.

Messages that cannot be sent are dropped: consensus repeats the messages that matter. A turn's
messages to one peer travel in one frame. A heartbeat is sent before all queued messages.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from inventory.raft.v1 import link_pb2, membership_pb2, peer_pb2
from link.asking import LinkAsker
from link.connection import Link
from link.dialing import dial
from link.errors import (
    FrameError,
    HelloRefused,
    LinkBroken,
    LinkError,
    LinkRefused,
    Reason,
)
from link.frames import FrameKind
from link.hello import Introduction
from link.purposes import Purpose
from pki.contexts import PkiContexts
from raft.messages import Heartbeat

from inventory_node.codec import add_to_frame, encode_configuration
from inventory_node.core import events
from inventory_node.core.membership.bootstrap import Described
from inventory_node.errors import BootstrapRefused
from inventory_node.ports import NO_HOOKS, Contact, Hooks, PeerMessage, SnapshotHeader, Step
from inventory_node.runtime.snapshot_sender import SnapshotSender

MESSAGES_WAITING_MAX = 1_024
CALLERS_MAX = 16  # callers that are in no configuration; more than a cluster has members
FRAME_BYTES_MAX = 4 << 20
CONNECT_SECONDS_MAX = 2.0
RECONNECT_SECONDS = 0.1
REFUSED_SECONDS = 1.0  # a wrong certificate does not become right by frequent tries
DESCRIBE_SECONDS_MAX = 1.0
CHANGE_SECONDS_MAX = 2.0
MISTAKES = {  # of the settings, and what to do about them
    Reason.REASON_CLUSTER: "start every member on its own volume",
    Reason.REASON_RECIPIENT: "check the addresses in INVENTORY_NODE_MEMBERS",
}

_log = structlog.get_logger()


@dataclass(slots=True)
class Local:
    """The own member, as the others know the member."""

    cluster_id: str  # empty until it is read or drawn
    member_id: int  # 0 until it is read or drawn
    contact: Contact
    contexts: PkiContexts

    @property
    def ids(self) -> tuple[str, int]:
        """The cluster's and the member's id."""
        return self.cluster_id, self.member_id

    def introduction(
        self, purpose: Purpose.ValueType, recipient: str, relay_to: str = ""
    ) -> Introduction:
        """Return what the member says as it calls the member `recipient`."""
        name, address = self.contact.name, self.contact.address
        return Introduction(
            contexts=self.contexts,
            purpose=purpose,
            caller=link_pb2.Caller(member_id=self.member_id, name=name, address=address),
            recipient=recipient,
            cluster_id=self.cluster_id,
            relay_to=relay_to,
        )


class PeerQueue:
    """The messages that wait for the next frame to one peer.

    - Messages wait only for an open link, and their number is bounded.
    - The newest heartbeat goes before all waiting messages, and replaces the older heartbeats.
    """

    def __init__(self) -> None:
        """Start closed: there is no link."""
        self.is_open = False
        self.dropped_messages = 0
        self._beat: Heartbeat | None = None
        self._waiting: deque[PeerMessage] = deque()

    def __len__(self) -> int:
        """How many messages wait for the next frame."""
        return len(self._waiting) + (self._beat is not None)

    def append(self, message: PeerMessage) -> None:
        """Queue a message; drop the message without a link, or when too many wait."""
        if self.is_open and isinstance(message, Heartbeat):
            self._beat = message
        elif self.is_open and len(self._waiting) < MESSAGES_WAITING_MAX:
            self._waiting.append(message)
        else:
            self.dropped_messages += 1

    def close(self) -> None:
        """Drop the waiting messages: the link is broken."""
        self.is_open = False
        self._beat = None
        self._waiting.clear()

    def take_frame(self) -> bytes:
        """Return the next frame, a PeerFrame; empty if no message waits."""
        frame = peer_pb2.PeerFrame()
        size = 0
        if self._beat is not None:
            size = add_to_frame(frame, self._beat)
            self._beat = None
        while self._waiting and size < FRAME_BYTES_MAX:
            size += add_to_frame(frame, self._waiting.popleft())
        return frame.SerializeToString()


class Peer:
    """One other member: a queue, and the link that the queue is emptied into; a `LinkUser`.

    - Each change, found, lost or refused, is logged once.
    """

    def __init__(self, contact: Contact, own: Local, hooks: Hooks = NO_HOOKS) -> None:
        """Nothing is sent before `run`."""
        self._own = own
        self._hooks = hooks
        self.name = contact.name
        self.address = contact.address
        self._queue = PeerQueue()
        self._link: Link | None = None
        self._asker = LinkAsker(
            self.address, lambda: own.introduction(link_pb2.PURPOSE_QUESTION, self.name)
        )
        self._snapshots: set[SnapshotSender] = set()  # under way
        self._refusal = ""
        self._introduced = ("", 0)  # the ids in the last hello

    @property
    def is_up(self) -> bool:
        """Whether the peer has accepted a link."""
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
        """Queue a message; drop the message when the link is down or far behind."""
        self._queue.append(message)

    def send_queued(self) -> None:
        """Send the queued messages, unless the peer does not read."""
        while len(self._queue) and self._link is not None and self._link.is_writable:
            self._hooks.before(Step.SEND)
            self._link.send(FrameKind.PEER, self._queue.take_frame())
            self._link.flush()
            # The loop writes what it was given before it calls this.
            asyncio.get_running_loop().call_soon(self._hooks.after, Step.SEND)

    async def run(self) -> None:
        """Keep a link open, for ever."""
        while True:
            introduction = self._own.introduction(link_pb2.PURPOSE_PEER, self.name)
            self._introduced = (introduction.cluster_id, introduction.caller.member_id)
            try:
                link, _ = await dial(self.address, introduction, self, CONNECT_SECONDS_MAX)
                error = await asyncio.shield(link.ended)
            except LinkError as problem:
                error = problem
            await asyncio.sleep(self._pause_after(error))

    def _pause_after(self, error: LinkError) -> float:
        """Log once that the peer refuses; return how long to wait until the next try."""
        if isinstance(error, LinkBroken):
            return RECONNECT_SECONDS
        reason = str(error)
        if self._refusal != reason:
            self._refusal = reason
            _log.warning("peer_refuses", peer=self.name, reason=reason)
        return REFUSED_SECONDS

    def introduce(self) -> None:
        """Say anew who this member is if its ids are others than the peer was told."""
        if self._link is not None and self._introduced != self._own.ids:
            self._link.close()

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self._link = link
        if self._introduced != self._own.ids:
            link.close()
            return
        self._queue.is_open = True
        self._refusal = ""
        _log.info("peer_found", peer=self.name)

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        raise FrameError(f"nothing is asked for here, and a {kind.name} came ({len(payload)} B)")

    def writable(self) -> None:
        """See `LinkUser.writable`."""
        self.send_queued()

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        self._link = None
        self._queue.close()
        _log.info("peer_lost", peer=self.name, reason=str(error))

    async def describe(self) -> Described | None:
        """Ask for the peer's description; None when the peer does not answer.

        Raises BootstrapRefused when the peer is another cluster's, or another member.
        """
        question = link_pb2.LinkQuestion(describe=peer_pb2.DescribeRequest())
        try:
            answer = await self._asker.ask(question, DESCRIBE_SECONDS_MAX)
        except (LinkRefused, HelloRefused) as refusal:
            if refusal.reason in MISTAKES:
                raise BootstrapRefused(f"{refusal}; {MISTAKES[refusal.reason]}") from refusal
            return None
        except LinkError:
            return None
        if not answer.HasField("describe"):
            return None
        said = answer.describe
        return Described(
            name=self.name,
            says=said.name,
            cluster_id=said.cluster_id,
            founding=said.founding,
            member_id=said.member_id,
            bootstrapped=said.bootstrapped,
            term=said.term,
            reached=frozenset(said.reach.member_ids) if said.HasField("reach") else None,
        )

    async def ask_change(
        self, request: membership_pb2.ChangeRequest
    ) -> membership_pb2.ChangeResponse | None:
        """Ask for a membership change; None when no answer comes in time."""
        question = link_pb2.LinkQuestion(change=request)
        try:
            answer = await self._asker.ask(question, CHANGE_SECONDS_MAX)
        except LinkError:
            return None
        return answer.change if answer.HasField("change") else None

    async def send_snapshot(
        self, path: Path, chunk_of: Callable[[int, bytes], peer_pb2.SnapshotChunk]
    ) -> str:
        """Send a snapshot; return the problem, or an empty string."""

        def introduction() -> Introduction:
            return self._own.introduction(link_pb2.PURPOSE_SNAPSHOT, self.name)

        sender = SnapshotSender(self.address, introduction, path, chunk_of)
        self._snapshots.add(sender)
        try:
            return await sender.send()
        finally:
            self._snapshots.discard(sender)

    def close(self) -> None:
        """Close the links; snapshots under way end."""
        for sender in list(self._snapshots):
            sender.give_up()
        self._asker.close()
        if self._link is not None:
            self._link.close()


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
        post: Callable[[events.Event], None],
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        """Start with the other first members by their ids."""
        self._own = own
        self._hooks = hooks
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
        """Keep a link to every peer, and send snapshots, for ever."""
        async with self._group as group:
            self._running = True
            for member, peer in self._peers.items():
                self._tasks[member] = group.create_task(peer.run())
            await asyncio.Event().wait()  # a lone member has no link to wait for

    def _connect(self, member: int, contact: Contact) -> None:
        peer = self._peers[member] = Peer(contact, self._own, self._hooks)
        if self._running:
            self._tasks[member] = self._group.create_task(peer.run())

    def connect_caller(self, caller: link_pb2.Caller) -> None:
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
            caller = self._callers.pop(member, None)
            if caller is not None and (caller.name, caller.address) != (
                contact.name,
                contact.address,
            ):  # it called under an id that is another member's
                self._disconnect(member)
            if member not in self._peers:
                self._later.add(member)
                self._connect(member, contact)
        for member in self._leaving - contacts.keys():
            self._disconnect(member)
        self._leaving = self._later - contacts.keys()

    def _disconnect(self, member: int) -> None:
        """End the links to a peer, and the tasks for the peer."""
        self._later.discard(member)
        self._leaving.discard(member)
        self._callers.pop(member, None)
        task, peer = self._tasks.pop(member, None), self._peers.pop(member)
        if task is not None:
            task.cancel()
        peer.close()

    async def ask_change(
        self, request: membership_pb2.ChangeRequest
    ) -> list[membership_pb2.ChangeResponse]:
        """Ask every peer, and each leader that a peer names, for a membership change."""
        asked = await asyncio.gather(*(peer.ask_change(request) for peer in self._all()))
        responses = [response for response in asked if response is not None]
        known = {"", *(peer.address for peer in self._all())}
        leaders = {one.not_leader.address: one.not_leader.leader for one in responses}
        for address in sorted(leaders.keys() - known):
            leader = Peer(Contact(leaders[address], address), self._own)
            response = await leader.ask_change(request)
            leader.close()
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
                sender=self._own.member_id,
                recipient=peer,
                term=term,
                meta=meta,
                offset=offset,
                data=data,
            )

        return chunk_of

    async def describe(self, members: Collection[int] | None = None) -> list[Described | None]:
        """Ask peers, by id, or all peers for descriptions; raise BootstrapRefused."""
        asked = self._all() if members is None else [self._peers[one] for one in members]
        return list(await asyncio.gather(*(peer.describe() for peer in asked)))

    @property
    def reached(self) -> set[int]:
        """The ids of the peers that have accepted a link."""
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

    def name_of(self, member: int) -> str:
        """Return the name of this member or of a peer in a configuration; empty for no member."""
        if member == self._own.member_id:
            return self._own.contact.name if member else ""
        known = self._peers.get(member) if member not in self._callers else None
        return known.name if known is not None else ""

    def address_of(self, name: str) -> str:
        """Return the address of a peer by its name, one that is reached if possible; or empty."""
        found = [peer for peer in self._all() if peer.name == name]
        found.sort(key=lambda peer: not peer.is_up)
        return found[0].address if found else ""

    def introduce(self) -> None:
        """Say anew to every peer who this member is."""
        for peer in self._all():
            peer.introduce()

    def close(self) -> None:
        """Close the links."""
        for peer in self._all():
            peer.close()
