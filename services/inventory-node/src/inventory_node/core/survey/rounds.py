"""The leader's survey rounds: whose clock is off, and whose state differs.

Once a second the leader asks every member for its clock, the hash of its state and whether the
member could lead. The leader also sends the member the member's clock skew and the others' hashes.
The log needs no survey, so the next round makes up for a lost message. A member judges its own
state. A member that finds its state diverged leaves service:

- its log is sound, so the member goes on holding entries, acknowledging entries and voting;
- the member answers neither commands nor questions, and gives no peer a snapshot;
- the member does not stay leader. It may be elected, since it may be the only member that holds a
  committed entry. It then only brings a successor up to date, and hands over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inventory.raft.v1 import log_pb2
from inventory.v1 import cluster_pb2
from raft import RawNode
from raft.ready import RaftRole

from inventory_node.core.clock_skew import ClockSkew
from inventory_node.core.read_index import ReadQueue
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.core.snapshot.transfer import Incoming, Outgoing
from inventory_node.core.survey.divergence import DivergenceDetector, Schedule
from inventory_node.core.survey.leader_fitness import LeaderFitness
from inventory_node.core.write.flusher import Flusher
from inventory_node.core.write.proposals import Proposals
from inventory_node.machine import Machine
from inventory_node.ports import Survey, SurveyReply


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a member's state is used for, and what the member reports of itself."""

    proposals: Proposals
    reading: ReadQueue
    incoming: Incoming
    outgoing: Outgoing
    clock_skew: ClockSkew
    leader_fitness: LeaderFitness


class SurveyRounds:
    """Surveys while this member leads, and answers surveys while another member leads.

    - A diverged member serves no gateway, and hands over whenever it leads.
    - Only messages of the current term count.
    """

    def __init__(
        self,
        settings: NodeSettings,
        ports: Ports,
        machine: Machine,
        flusher: Flusher,
        serving: Serving,
    ) -> None:
        """Start with nothing known but the quarantine of an earlier start."""
        self._settings = settings
        self._ports = ports
        self._machine = machine
        self._flusher = flusher
        self._serving = serving
        self._divergence = DivergenceDetector(settings.quarantined)
        self._schedule = Schedule(settings.checkpoint_ticks, settings.checkpoint_gap_ticks)
        self._ticks = 0  # since the last round
        self._term = 0  # of the replies
        self._replies: dict[int, SurveyReply] = {}
        self._skew_ms: int | None = None  # of this member
        if self.diverged:
            self._leave_service()

    @property
    def diverged(self) -> bool:
        """Whether this member is out of service."""
        return bool(self._divergence.problem)

    def show(self, member: cluster_pb2.Member) -> None:
        """Write the state's hash, the divergence and the clock skew into a view."""
        if self._divergence.newest.index:
            member.state_hash.CopyFrom(self._divergence.newest)
        member.diverged = self._divergence.problem
        if self._skew_ms is not None:
            member.clock_skew_ms = self._skew_ms

    def hashed(self, index: int, sha256: str) -> None:
        """Take the hash of this member's state."""
        self._divergence.hashed(index, sha256)

    def replaced(self) -> None:
        """Serve again: a snapshot replaced the state."""
        self._divergence.replaced(self._machine.applied_index)
        self._serving.outgoing.forbidden = False

    def tick(self, raft: RawNode) -> Sequence[Survey]:
        """Count a tick; return the surveys of a round when a round is due."""
        self._schedule.pass_tick(self._flusher.checkpoint_index, is_hashing=self._is_hashing)
        if raft.role is not RaftRole.LEADER:
            self._term = 0
            return ()
        if self._term != raft.term:
            self._begin(raft)
            return self._surveys(raft)
        if self.diverged:
            self._serving.leader_fitness.transfer(raft)
        elif not self._ticks:
            self._serving.leader_fitness.relieve(raft)
        self._ticks += 1
        if self._ticks < self._settings.survey_ticks:
            return ()
        self._ticks = 0
        self._propose_checkpoint(raft)
        is_of_now = not self._serving.incoming.installing
        if is_of_now and self._divergence.judge_own(raft.id, raft.configuration.voters):
            self._leave_service()
        self._judge_clock(raft)
        return self._surveys(raft)

    def _begin(self, raft: RawNode) -> None:
        """Begin to survey, in a term that this member leads."""
        self._term = raft.term
        self._ticks = 0
        self._replies.clear()
        self._serving.leader_fitness.lead(raft.term, self._replies)
        self._serving.clock_skew.clear()
        self._divergence.clear_others()
        self._judge_clock(raft)

    def _surveys(self, raft: RawNode) -> list[Survey]:
        sent_ms = self._ports.clock.elapsed_ms()
        skews = self._serving.clock_skew.skews_ms(raft.id, raft.configuration.voters)
        surveys = []
        for peer in raft.followers:
            reply = self._replies.get(peer)
            index = reply.index if reply is not None else 0
            hashes = tuple(sorted(self._divergence.at(index, raft.id).items()))
            surveys.append(
                Survey(
                    sender=raft.id,
                    recipient=peer,
                    term=raft.term,
                    sent_ms=sent_ms,
                    skew_ms=skews.get(peer),
                    index=index,
                    hashes=hashes,
                )
            )
        return surveys

    def hear(self, message: Survey | SurveyReply, raft: RawNode) -> Sequence[SurveyReply]:
        """Take a survey or a reply; return the reply to a survey."""
        if isinstance(message, Survey):
            return self._answer(message, raft)
        self._replied(message, raft)
        return ()

    def _answer(self, message: Survey, raft: RawNode) -> Sequence[SurveyReply]:
        """Answer the leader's survey, and take its skew and hashes."""
        if message.term != raft.term or message.sender != raft.leader:
            return ()
        self._skew_ms = message.skew_ms
        self._serving.clock_skew.found(message.skew_ms, by_leader=True)
        divergence = self._divergence
        hashes, voters = dict(message.hashes), raft.configuration.voters
        is_of_now = not self._serving.incoming.installing
        if is_of_now and divergence.judge(message.index, hashes, voters):
            self._leave_service()
        return [
            SurveyReply(
                sender=raft.id,
                recipient=message.sender,
                term=raft.term,
                sent_ms=message.sent_ms,
                clock_ms=self._ports.clock.now_ms(),
                index=divergence.newest.index,
                sha256=divergence.newest.sha256,
                is_compared=divergence.is_compared,
                is_diverged=self.diverged,
                is_stuck=self._serving.leader_fitness.is_stuck,
                is_at_risk=self._serving.leader_fitness.is_at_risk,
            )
        ]

    def _replied(self, message: SurveyReply, raft: RawNode) -> None:
        """Take a member's reply."""
        if message.term != self._term or raft.role is not RaftRole.LEADER:
            return
        self._replies[message.sender] = message
        self._serving.clock_skew.measured(message.sender, message.sent_ms, message.clock_ms)
        self._judge_clock(raft)
        self._divergence.told(message.sender, message.index, message.sha256)

    def _judge_clock(self, raft: RawNode) -> None:
        """Judge this leader's clock: a clock ahead would drag the log's time along."""
        clock_skew = self._serving.clock_skew
        was_ahead = clock_skew.is_ahead
        self._skew_ms = clock_skew.skews_ms(raft.id, raft.configuration.voters).get(raft.id)
        clock_skew.found(self._skew_ms)
        if clock_skew.is_ahead and not was_ahead:
            self._ports.observer.warned("clock_ahead", f"by {self._skew_ms} ms: hands over")

    def _propose_checkpoint(self, raft: RawNode) -> None:
        """Propose a checkpoint, when one is due and can be proposed."""
        is_fit = self._machine.initialized and not self.diverged
        if not is_fit or self._is_hashing or self._serving.leader_fitness.is_stuck:
            return
        present = [peer for peer, follower in raft.followers.items() if follower.is_present]
        told = [self._replies[peer] for peer in present if peer in self._replies]
        wanted = not self._divergence.is_compared or not all(one.is_compared for one in told)
        if self._schedule.is_due(self._machine.applied_index, wanted=wanted):
            self._schedule.proposed()
            # This request id is unused: within a term, a log does not end twice at one index.
            command = log_pb2.Command()
            command.administration.request_id = f"checkpoint-{raft.term}-{raft.last_index}"
            command.administration.checkpoint.SetInParent()
            self._serving.proposals.offer_own(command.SerializeToString())

    @property
    def _is_hashing(self) -> bool:
        return self._flusher.checkpoint_index > self._divergence.newest.index

    def _leave_service(self) -> None:
        """Send all waiting requests away, forbid snapshots, and quarantine the state."""
        serving = self._serving
        serving.proposals.leadership_changed(0)
        serving.reading.abandon()
        serving.outgoing.forbid()
        self._ports.store.quarantine(self._divergence.problem)
        self._ports.observer.warned("diverged", self._divergence.problem)
