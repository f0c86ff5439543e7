"""The transport port: to members, to gateways, and to the callers of membership changes."""

from collections.abc import Mapping, Sequence

from inventory.raft.v1 import forward_pb2, membership_pb2

from inventory_node.ports import Contact, PeerMessage, SnapshotHeader
from inventory_node.runtime.gateways import Gateways
from inventory_node.runtime.loop import Loop
from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.metrics import Traffic
from inventory_node.runtime.peer_api import PeerApi
from inventory_node.runtime.peers import Peers


class MemberTransport:
    """The `Transport` port."""

    def __init__(
        self, peers: Peers, gateways: Gateways, peer_api: PeerApi, membership: MembershipService
    ) -> None:
        """Join the four parts."""
        self._membership = membership
        self._peers = peers
        self._gateways = gateways
        self._peer_api = peer_api

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """See `Transport.send`."""
        self._peers.send(messages)

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """See `Transport.reply`."""
        self._gateways.reply(session, response)

    def send_queued(self) -> None:
        """Send the frames that a turn queued."""
        self._peers.send_queued()
        self._gateways.flush()

    def meet(self, contacts: Mapping[int, Contact]) -> None:
        """See `Transport.meet`."""
        self._peers.meet(contacts)

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """See `Transport.answer_change`."""
        self._membership.answer_change(ticket, response)

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """See `Transport.send_snapshot`."""
        self._peers.send_snapshot(peer, term, header, path)

    def end_snapshots(self) -> None:
        """See `Transport.end_snapshots`."""
        self._peers.end_snapshots()

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """See `Transport.answer_chunk`."""
        self._peer_api.answer_chunk(peer, index, taken, installed=installed, problem=problem)

    def traffic(self, loop: Loop) -> Traffic:
        """Return the counts of traffic; only reads, so any thread may call."""
        frames = self._gateways.waiting_frames
        return Traffic(
            loop_queue_events=loop.waiting_events,
            loop_busy_seconds=loop.busy_seconds,
            peers_connected=len(self._peers.reached),
            peer_queue_messages=self._peers.waiting_messages,
            peer_dropped_messages=self._peers.dropped_messages,
            gateway_sessions=len(frames),
            gateway_queue_frames=sum(frames),
            proposals=self._gateways.proposals,
            questions=self._gateways.questions,
        )
