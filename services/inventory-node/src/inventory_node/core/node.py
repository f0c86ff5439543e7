"""The node: synchronous, complete, and free of adapters.

`Node.handle` takes one event and returns without waiting. The node's requests leave through the
ports, and their results come back as events. Consensus returns its obligations (`raft.ready`), and
only `Node._discharge` hands the obligations to disk, transport and machine.
"""

import enum
from collections.abc import Sequence
from typing import assert_never

from inventory.raft.v1 import forward_pb2
from inventory.v1 import cluster_pb2
from raft import (
    ConfigurationCodec,
    ProtocolViolation,
    RaftSettings,
    RawNode,
    Restored,
    TransferBegun,
)
from raft.messages import Message
from raft.ready import Leadership, RaftRole, Ready

from inventory_node.codec import decode_configuration, encode_configuration
from inventory_node.core import events
from inventory_node.core.claims import Known
from inventory_node.core.membership.changes import MembershipChanges
from inventory_node.core.read_index import ReadQueue
from inventory_node.core.replies import Replies
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.core.snapshot.transfer import SnapshotTransfers
from inventory_node.core.status import show
from inventory_node.core.survey.leader_fitness import LeaderFitness
from inventory_node.core.survey.rounds import Serving, SurveyRounds
from inventory_node.core.write.write_path import WritePath
from inventory_node.errors import Halted
from inventory_node.machine import Machine
from inventory_node.wal import Recovered

__all__ = ["Node", "NodeSettings", "Ports"]


class Phase(enum.Enum):
    """How far a member's stop has come."""

    SERVING = "serving"
    LEAVING = "leaving"  # the member hands the lead over before it stops
    STOPPING = "stopping"


class Node:
    """One member: events in, effects through the ports out.

    - No outcome leaves before its entry is synced on a majority, committed and applied here.
    - No message that waits for a sync leaves before that sync.
    - One call does a bounded amount of work; `busy` says whether work is left.
    """

    def __init__(
        self, settings: NodeSettings, ports: Ports, recovered: Recovered, machine: Machine
    ) -> None:
        """Take over what recovery found; the recovery's repair is the first job of the disk.

        Raises Halted when log and state do not belong together.
        """
        _check_fit(recovered, machine)
        self._settings = settings
        self._ports = ports
        self._machine = machine
        self._raft = _consensus(settings, ports, recovered, machine)
        self._replies = Replies(ports.transport, self._raft.term)
        self._write = write = WritePath(settings, ports, recovered, machine, self._replies)
        self._reads = ReadQueue(settings, self._replies, machine, ports)
        self._snapshots = snapshots = SnapshotTransfers(settings, ports)
        self._membership = MembershipChanges(settings, self._replies, ports)
        self._membership.learn_members(self._raft.configuration)
        clock_skew = write.timestamps.clock_skew
        self._leader_fitness = LeaderFitness(
            write.disk_space, write.flusher, snapshots.incoming, snapshots.outgoing, clock_skew
        )
        serving = Serving(
            proposals=write.proposals,
            reading=self._reads,
            incoming=snapshots.incoming,
            outgoing=snapshots.outgoing,
            clock_skew=clock_skew,
            leader_fitness=self._leader_fitness,
        )
        self._survey = SurveyRounds(settings, ports, machine, write.flusher, serving)
        self._phase = Phase.SERVING

    def allow_campaigns(self, *, allowed: bool) -> None:
        """Set whether this member may vote and campaign; the bootstrap decides."""
        self._raft.campaign_allowed = allowed

    @property
    def busy(self) -> bool:
        """Whether work is left that `handle(Continue())` would do."""
        return self._write.applier.busy and not self._is_stopping

    @property
    def stopped(self) -> bool:
        """Whether StopRequested came and nothing more can be written; the log has the rest."""
        return self._is_stopping and self._write.is_at_rest

    @property
    def _is_stopping(self) -> bool:
        return self._phase is Phase.STOPPING

    def handle(self, event: events.Event) -> None:
        """Handle one event with bounded work; raise Halted when the process must end."""
        try:
            self._dispatch(event)
            self._finish()
        except ProtocolViolation as violation:
            raise Halted(
                f"consensus broke an invariant: {violation}; going on would fork the replicas"
            ) from violation

    @property
    def known(self) -> Known:
        """What a message of a peer is compared with; see `core.claims`."""
        raft = self._raft
        return Known(raft.term, raft.last_index, raft.role is RaftRole.LEADER)

    def view(self) -> cluster_pb2.Member:
        """Return the member as the member sees itself, without pid, version and address."""
        member = show(self._settings, self._raft, self._machine, self._write.flusher)
        member.caught_up = self._reads.caught_up
        self._membership.show(member, self._raft)
        self._survey.show(member)
        return member

    def _dispatch(self, event: events.Event) -> None:  # noqa: C901, PLR0912 - one case an event
        """Pass an event to the part of the node that handles the event."""
        match event:
            case events.Tick():
                self._tick()
            case events.PeerMessages():
                self._step(event.messages)
            case events.Surveyed():
                if not self._is_deaf:
                    self._ports.transport.send(self._survey.hear(event.message, self._raft))
            case events.ChunkReceived():
                problem = "this member is starting or stopping" if self._is_deaf else ""
                self._snapshots.incoming.chunk(event, self._raft, problem)
            case events.Forwarded():
                self._admit(event)
            case events.SessionOpened():
                self._replies.open(event.session)
            case events.SessionClosed():
                self._replies.close(event.session)
            case events.Continue():
                pass
            case events.ChangeAsked():
                self._membership.begin(event, self._raft)
            case events.StopRequested():
                self._leave()
            case events.DiskDone():
                self._synced(event.ticket)
            case events.Flushed():
                if self._write.flusher.finished(event.ticket):
                    self._write.compact(self._raft, self._snapshots.outgoing.pinned_index)
            case events.Answered():
                self._reads.answered(event.answers)
            case events.Hashed():
                self._survey.hashed(event.index, event.sha256)
            case events.Copied():
                self._snapshots.outgoing.copied(event, self._raft)
            case events.SnapshotSent():
                self._snapshots.outgoing.sent(event, self._raft)
            case events.Staged():
                self._decide(event)
            case events.Installed():
                self._go_on_from_snapshot(event.ticket)
            case events.DiskFull() | events.StoreFull():
                self._write.disk_space.ran_out(event)
                self._leader_fitness.relieve(self._raft)
            case events.DiskFailed() | events.StoreFailed():
                raise Halted(_failure_of(event))
            case _:
                assert_never(event)

    @property
    def _is_deaf(self) -> bool:
        """Whether the node ignores ticks and peers: during the log's repair, and while stopping."""
        return self._is_stopping or not self._write.log_writer.repaired

    def _tick(self) -> None:
        """Count a tick in every part that measures time."""
        if self._is_deaf:
            return
        self._raft.tick()
        self._write.tick()
        self._snapshots.outgoing.tick(self._raft)
        if self._write.log_writer.hangs(self._settings.disk_hung_ticks):
            self._raft.step_down()  # other voters' disks may still work
        self._ports.transport.send(self._survey.tick(self._raft))

    def _step(self, messages: Sequence[Message]) -> None:
        """Let consensus take the messages of a peer."""
        if not self._is_deaf:
            for message in messages:
                self._raft.step(message)

    def _admit(self, event: events.Forwarded) -> None:
        """Take a gateway's frame: the leader takes commands, any member takes questions."""
        session, request = event.session, event.request
        out_of_service = self._is_stopping or self._survey.diverged
        if self._raft.role is RaftRole.LEADER and not out_of_service:
            self._write.proposals.offer(session, request.proposals)
        else:
            self._write.proposals.decline(session, request.proposals, forward_pb2.RETRY_NOT_LEADER)
        if out_of_service:
            self._reads.decline(session, request.questions, forward_pb2.RETRY_NOT_LEADER)
        else:
            self._reads.offer(session, request.questions)

    def _finish(self) -> None:
        """Do the work that the event made possible, once, and send the replies."""
        self._advance()
        if not self._is_stopping and self._apply():
            self._advance()
        if self._phase is Phase.LEAVING and not self._raft.transferring:
            self._stop()
        self._membership.answer_decided(self._raft)
        self._write.flusher.start()
        self._reads.flushed(self._write.flusher, leads=self._raft.role is RaftRole.LEADER)
        self._replies.send()
        self._snapshots.start(self._raft.term, self._write.flusher)

    def _advance(self) -> None:
        """Propose waiting commands, begin a read round, and discharge what consensus owes.

        One Ready holds all obligations, or as many committed entries as fit in one Ready. In the
        second case the node applies the entries first, and calls `_advance` again.
        """
        is_held = self._phase is Phase.LEAVING or self._survey.diverged
        self._write.propose(self._raft, is_held=is_held)
        self._reads.begin(self._raft)
        ready = self._raft.ready()
        if ready is not None:
            self._discharge(ready)
        self._write.log_writer.start()

    def _discharge(self, ready: Ready) -> None:
        """Hand the obligations of `ready` to disk, transport and machine, in their order."""
        if ready.install is not None:
            self._write.hold()
            self._snapshots.incoming.accepted(ready.install)
        free = self._write.accept(ready)
        self._ports.transport.send(ready.at_once + free)
        self._reads.confirmed(ready.reads)
        self._reads.dropped(ready.dropped_reads)
        self._snapshots.outgoing.noted(ready)
        if ready.configuration is not None:
            self._membership.learn_members(ready.configuration)
            self._membership.announce(self._raft)
        if ready.leadership is not None:
            self._lead_changed(ready.leadership)

    def _synced(self, ticket: int) -> None:
        """Release the messages and the mark that waited for the sync of a batch."""
        batch = self._write.log_writer.done(ticket)
        if batch is None:
            return
        if batch.mark is not None:
            self._raft.persisted(batch.mark)
        self._ports.transport.send(batch.messages)
        if batch.install is not None:
            self._snapshots.incoming.recorded()

    def _lead_changed(self, leadership: Leadership) -> None:
        """Tell gateways who leads; send away proposals that waited for a lead that is over."""
        leads = leadership.role is RaftRole.LEADER
        self._ports.observer.lead_changed(leadership, self._membership.leader(self._raft))
        self._membership.announce(self._raft)
        self._write.proposals.leadership_changed(leadership.term if leads else 0)
        if not leads:
            self._snapshots.outgoing.leadership_lost()

    def _apply(self) -> bool:
        """Apply one turn of committed entries; return whether any entry was applied."""
        was_any = self._write.apply(self._raft)
        if not self._snapshots.incoming.installing:  # an install replaces the state
            self._reads.answer_applied(self._write.flusher)
        return was_any

    def _decide(self, event: events.Staged) -> None:
        """Let consensus decide on a snapshot whose last chunk is staged."""
        message = self._snapshots.incoming.staged(event)
        if message is not None and not self._is_stopping:
            self._raft.step(message)
            self._advance()
            self._snapshots.incoming.decided(self._raft)

    def _go_on_from_snapshot(self, ticket: int) -> None:
        """Resume from the state that a snapshot brought."""
        meta = self._snapshots.incoming.installed(ticket)
        if meta is None:
            return
        self._write.go_on_from(meta)
        self._survey.replaced()
        self._raft.applied(meta.index)

    def _leave(self) -> None:
        """Hand the lead over before stopping, if a successor exists; stop at once if asked twice.

        Proposals that arrive meanwhile are held. After the transfer, the proposals are answered
        with a retry.
        """
        begun = self._raft.transferring or isinstance(
            self._raft.transfer(self._leader_fitness.successor(self._raft)), TransferBegun
        )
        if begun and self._phase is Phase.SERVING:
            self._phase = Phase.LEAVING
        else:
            self._stop()

    def _stop(self) -> None:
        """Stop handling ticks and peers, decline waiting requests, and flush applied entries."""
        self._phase = Phase.STOPPING
        self._write.stop()
        self._reads.stop()


def _failure_of(event: events.DiskFailed | events.StoreFailed) -> str:
    if isinstance(event, events.StoreFailed):
        return f"the database failed: {event.problem}"
    return (
        f"the log's disk failed: {event.problem}; what the job wrote may or may not be there, so "
        "the process ends and recovers at its next start"
    )


def _check_fit(recovered: Recovered, machine: Machine) -> None:
    """Refuse a state that ends before the log begins, or after the log ends."""
    last_index = recovered.entries[-1].index if recovered.entries else recovered.base_index
    if machine.applied_index < recovered.base_index:
        raise Halted(
            f"the database is at index {machine.applied_index} and the log begins after "
            f"{recovered.base_index}: entries between are gone; remove this member's data and let "
            "it join anew"
        )
    if machine.applied_index > last_index:
        raise Halted(
            f"the database is at index {machine.applied_index} and the log ends at {last_index}: "
            "the log is not the one that this database was made from"
        )


def _consensus(
    settings: NodeSettings, ports: Ports, recovered: Recovered, machine: Machine
) -> RawNode:
    bounds = RaftSettings(
        id=settings.member_id,
        election_timeout_ticks_min=settings.election_timeout_ticks_min,
        election_timeout_ticks_max=settings.election_timeout_ticks_max,
        heartbeat_ticks=settings.heartbeat_ticks,
        entries_per_append_max=settings.entries_per_append_max,
        bytes_per_append_max=settings.bytes_per_append_max,
        appends_in_flight_max=settings.appends_in_flight_max,
        random=ports.random.below,
        codec=ConfigurationCodec(encode_configuration, decode_configuration),
        bytes_in_flight_max=settings.bytes_in_flight_max,
        uncommitted_bytes_max=settings.uncommitted_bytes_max,
    )
    restored = Restored(
        hard_state=recovered.hard_state,
        configuration=recovered.configuration,
        base_index=recovered.base_index,
        base_term=recovered.base_term,
        entries=recovered.entries,
        applied_index=machine.applied_index,
    )
    try:
        return RawNode(bounds, restored)
    except ProtocolViolation as violation:
        raise Halted(
            f"the log does not fit together: {violation}; remove this member's data and let it "
            "join anew"
        ) from violation
