"""Nodes with bugs: obligations met too early, too late, or not at all."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest
from inventory.raft.v1.membership_pb2 import ChangeResponse
from inventory_node.core.clock_skew import ClockSkew
from inventory_node.core.events import DiskDone, DiskFailed, Event
from inventory_node.core.membership import bootstrap
from inventory_node.core.membership.drain import Departure, Drain
from inventory_node.core.membership.join import DataCheck, DataVerdict
from inventory_node.core.node import Node
from inventory_node.core.read_index import Confirmed, QuorumRounds, ReadQueue
from inventory_node.core.snapshot.retention import LogPins
from inventory_node.core.snapshot.transfer import Incoming, Outgoing
from inventory_node.core.survey.leader_fitness import LeaderFitness
from inventory_node.core.write.applier import Applier
from inventory_node.core.write.flusher import Flusher, LogTail
from inventory_node.core.write.log_writer import LogBatch, LogWriter
from inventory_node.core.write.proposals import Proposals, Proposed
from inventory_node.core.write.timestamps import TimestampOracle
from inventory_node.machine import Applied
from raft import RawNode
from raft.messages import Entry, Message
from raft.ready import ReadState, Ready
from sim.numbers import Numbers
from sim.process import SimProcess

from mutants.catching import Mutant, NodeSeed, UnitTests

SNAPSHOT_TESTS = "services/inventory-node/tests/test_core_snapshot_transfer.py"
BOOTSTRAP_TESTS = "services/inventory-node/tests/test_core_bootstrap.py"
JOIN_TESTS = "services/inventory-node/tests/test_core_join.py"
DRAIN_TESTS = "services/inventory-node/tests/test_core_drain.py"
MEMBERSHIP_TESTS = "services/inventory-node/tests/test_core_membership_changes.py"
READING_TESTS = "services/inventory-node/tests/test_core_read_index.py"
JOURNAL_TESTS = "services/inventory-node/tests/test_core_log_writer.py"
SPACE_TESTS = "services/inventory-node/tests/test_core_disk_space.py"
SURVEY_TESTS = "services/inventory-node/tests/test_core_survey_rounds.py"
FLUSHER_TESTS = "services/inventory-node/tests/test_core_flusher.py"
PROPOSAL_TESTS = "services/inventory-node/tests/test_core_proposals.py"
STAMP_TESTS = "services/inventory-node/tests/test_core_timestamps.py"
WRITING_TESTS = "services/inventory-node/tests/test_core_writing.py"
CATCHING_UP_TESTS = "services/inventory-node/tests/test_core_snapshot_retention.py"


def answers_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """Let votes and acknowledgements leave while their batch is being written."""
    rule = LogWriter.accept

    def accept(self: LogWriter, ready: Ready) -> tuple[Message, ...]:
        return rule(self, replace(ready, after_sync=())) + ready.after_sync

    patch.setattr(LogWriter, "accept", accept)


def answers_with_the_batch_before(patch: pytest.MonkeyPatch) -> None:
    """Let what waits for a sync leave with the job that is under way."""
    rule = LogWriter.accept

    def accept(self: LogWriter, ready: Ready) -> tuple[Message, ...]:
        if self._outstanding is None:
            return rule(self, ready)
        self._outstanding.messages += ready.after_sync
        return rule(self, replace(ready, after_sync=()))

    patch.setattr(LogWriter, "accept", accept)


def counts_a_batch_before_its_sync(patch: pytest.MonkeyPatch) -> None:
    """Tell consensus of the newest batch when an older one is synced."""
    rule = LogWriter.done

    def done(self: LogWriter, ticket: int) -> LogBatch | None:
        batch = rule(self, ticket)
        if batch is not None and self._queue and self._queue[-1].mark is not None:
            batch.mark = self._queue[-1].mark
        return batch

    patch.setattr(LogWriter, "done", done)


def goes_on_after_a_failed_sync(patch: pytest.MonkeyPatch) -> None:
    """Take an error of fdatasync for a hiccup (seen in many databases, 2018)."""
    rule = Node.handle

    def handle(self: Node, event: Event) -> None:
        rule(self, DiskDone(event.ticket) if isinstance(event, DiskFailed) else event)

    patch.setattr(Node, "handle", handle)


def votes_from_an_empty_disk(patch: pytest.MonkeyPatch) -> None:
    """Come back without a disk as the member that one was."""
    rule = SimProcess.replace_disk

    def replace_disk(self: SimProcess) -> None:
        own_id = self.id
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Numbers, "next_member", lambda _: own_id)
            rule(self)

    patch.setattr(SimProcess, "replace_disk", replace_disk)


def cuts_what_is_not_durable(patch: pytest.MonkeyPatch) -> None:
    """Give up the log below what is applied, not below what is flushed, and keep no tail."""
    rule = LogTail.release

    def release(self: LogTail, durable_index: int, pinned_index: int | None) -> int:
        return rule(self, max(durable_index, 1 << 62), pinned_index)

    patch.setattr(LogTail, "release", release)
    patch.setattr(LogTail, "_is_long", lambda _: True)


def calls_a_flush_durable_when_it_begins(patch: pytest.MonkeyPatch) -> None:
    """Count a transaction that is not committed."""
    rule = Flusher.start

    def start(self: Flusher) -> None:
        rule(self)
        if self._taken is not None:
            self.durable_index = self._taken.index

    patch.setattr(Flusher, "start", start)


def switches_before_the_log_says_so(patch: pytest.MonkeyPatch) -> None:
    """Install a snapshot while its record is being written."""
    rule = Incoming.accepted

    def accepted(self: Incoming, meta: object) -> None:
        rule(self, meta)  # type: ignore[arg-type]  # passed on as it is
        self._recorded = True

    patch.setattr(Incoming, "accepted", accepted)


def answers_a_snapshot_before_it_serves_it(patch: pytest.MonkeyPatch) -> None:
    """Apply on top of the state of before."""
    patch.setattr(Applier, "hold", lambda self: self._committed.clear())


def sends_a_snapshot_without_its_members(patch: pytest.MonkeyPatch) -> None:
    """Copy the state, and leave out who takes part."""
    rule = Outgoing.copied

    def copied(self: Outgoing, event: object, raft: RawNode) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(RawNode, "configuration_at", lambda *_: event.header.meta.configuration)  # type: ignore[attr-defined]
            rule(self, event, raft)  # type: ignore[arg-type]

    patch.setattr(Outgoing, "copied", copied)


def reads_before_it_applied(patch: pytest.MonkeyPatch) -> None:
    """Answer from the state as it is when the quorum has confirmed."""
    rule = ReadQueue.confirmed

    def confirmed(self: ReadQueue, reads: Iterable[ReadState]) -> None:
        rule(self, [replace(read, index=0) for read in reads])

    patch.setattr(ReadQueue, "confirmed", confirmed)


def joins_a_round_that_has_begun(patch: pytest.MonkeyPatch) -> None:
    """Answer a question from a round that began before it."""
    rule = QuorumRounds.confirm

    def confirm(self: QuorumRounds, read: ReadState) -> Confirmed | None:
        if self._round is not None:
            self._round += self.waiting
            self.waiting = []
        return rule(self, read)

    patch.setattr(QuorumRounds, "confirm", confirm)


def reads_what_it_has(patch: pytest.MonkeyPatch) -> None:
    """Ask nobody: any member's state will do."""

    def begin(self: ReadQueue, _: RawNode) -> None:
        self._stale += self._rounds.waiting
        self._rounds.waiting = []

    patch.setattr(ReadQueue, "begin", begin)


def has_caught_up_once_it_meets_a_leader(patch: pytest.MonkeyPatch) -> None:
    """Be ready before anything that was missed is applied."""
    has_met = property(lambda self: self._rounds.goal_index is not None)
    patch.setattr(ReadQueue, "caught_up", has_met)


def lets_everybody_go(patch: pytest.MonkeyPatch) -> None:
    """Let a member stop that a majority needs."""
    patch.setattr(Drain, "grant_leave", lambda *_: True)


def takes_any_answer_for_a_removal(patch: pytest.MonkeyPatch) -> None:
    """Set the data of a member aside that takes part: its votes and its log are gone."""

    def judge(_: DataCheck, standing: int | None, __: object) -> DataVerdict | None:
        return DataVerdict.SET_ASIDE if standing is not None else None

    patch.setattr(DataCheck, "_judge", judge)


def takes_a_leave_for_a_removal(patch: pytest.MonkeyPatch) -> None:
    """Set data that differ aside before the others have committed to go on without them."""
    rule = DataCheck.hear

    def hear(
        self: DataCheck, responses: Sequence[ChangeResponse], reached: AbstractSet[int]
    ) -> DataVerdict:
        was_leave = self.request.HasField("leave")
        verdict = rule(self, responses, reached)
        return DataVerdict.SET_ASIDE if was_leave and verdict is DataVerdict.ASK else verdict

    patch.setattr(DataCheck, "hear", hear)


def leaves_those_that_do_not_reach_one_another(patch: pytest.MonkeyPatch) -> None:
    """Stop where one elected of the others would commit nothing."""
    patch.setattr(Departure, "_are_joined", lambda *_: True)


def stamps_by_its_own_clock(patch: pytest.MonkeyPatch) -> None:
    """Let time go back with the clock of the next leader."""
    patch.setattr(TimestampOracle, "next_ms", lambda self: self._clock.now_ms())


def stamps_before_it_has_read_the_snapshot(patch: pytest.MonkeyPatch) -> None:
    """Propose with the time of the state of before: applying that would end every member."""
    patch.setattr(TimestampOracle, "hold", lambda _: None)


def believes_a_clock_that_leaps(patch: pytest.MonkeyPatch) -> None:
    """Let one wrong clock carry the log's time days ahead."""
    patch.setattr(ClockSkew, "is_trusted", property(lambda _: True))


def leads_on_without_space(patch: pytest.MonkeyPatch) -> None:
    """Refuse every change, though others could take it."""
    patch.setattr(LeaderFitness, "relieve", lambda *_: None)


def waits_for_a_checkpoint_without_space(patch: pytest.MonkeyPatch) -> None:
    """Apply nothing, and so answer no read, until there is space to hash the state."""

    def checkpoint(self: Flusher) -> None:
        self._checkpoint.begin(self._machine.applied_index)

    def full(self: Flusher, _: int) -> None:
        self._job.run_out()

    patch.setattr(Flusher, "checkpoint", checkpoint)
    patch.setattr(Flusher, "full", full)


def makes_room_by_the_last_segment(patch: pytest.MonkeyPatch) -> None:
    """Count a segment that there was no space for among those on the disk."""
    rule = LogWriter._removals
    patch.setattr(LogWriter, "_removals", lambda self, **_: rule(self, keeps=1))


def makes_room_before_a_snapshot_is_recorded(patch: pytest.MonkeyPatch) -> None:
    """Take what the log is to be for what is on the disk."""
    rule = LogWriter.start

    def start(self: LogWriter) -> None:
        if self._job.rests:
            self._make_room()
        rule(self)

    patch.setattr(LogWriter, "start", start)


def forgets_a_peer_that_catches_up(patch: pytest.MonkeyPatch) -> None:
    """Keep the log for a peer only until it has its snapshot: it may need another at once."""
    patch.setattr(LogPins, "catch_up", lambda self, peer, _: self.end(peer))


def answers_whoever_waits_at_an_index(patch: pytest.MonkeyPatch) -> None:
    """Take another leader's entry for one's own."""
    rule = Proposals.answer_entry

    def answer_entry(self: Proposals, entry: Entry, outcomes: Sequence[Applied]) -> None:
        proposed = self._proposed.get(entry.index)
        if proposed is not None:
            self._proposed[entry.index] = Proposed(entry.term, proposed.askers)
        rule(self, entry, outcomes)

    patch.setattr(Proposals, "answer_entry", answer_entry)
    patch.setattr(Proposals, "leadership_changed", lambda *_: None)


def begins_beside_peers_that_hold_data(patch: pytest.MonkeyPatch) -> None:
    """Found the cluster again on an empty disk, and vote in it."""
    patch.setattr(bootstrap, "beginning", lambda *_, **__: bootstrap.Beginning.BOOTSTRAP)


def elects_before_all_have_begun(patch: pytest.MonkeyPatch) -> None:
    """Open elections while a listed member may yet begin otherwise."""
    patch.setattr(bootstrap, "is_complete", lambda *_: True)


MUTANTS = (
    Mutant(answers_before_the_sync, NodeSeed(1)),
    Mutant(answers_with_the_batch_before, NodeSeed(1)),
    Mutant(counts_a_batch_before_its_sync, UnitTests(JOURNAL_TESTS, "holds_what_the_last_ready")),
    Mutant(goes_on_after_a_failed_sync, UnitTests(WRITING_TESTS, "database_halts")),
    Mutant(votes_from_an_empty_disk, NodeSeed(3)),
    Mutant(cuts_what_is_not_durable, UnitTests(FLUSHER_TESTS, "above_the_durable_index")),
    Mutant(calls_a_flush_durable_when_it_begins, UnitTests(SPACE_TESTS, "flush_without_space")),
    Mutant(switches_before_the_log_says_so, UnitTests(SNAPSHOT_TESTS, "record_is_synced")),
    Mutant(answers_a_snapshot_before_it_serves_it, UnitTests(SNAPSHOT_TESTS, "is_brought_up")),
    Mutant(sends_a_snapshot_without_its_members, NodeSeed(1)),
    Mutant(reads_before_it_applied, NodeSeed(1)),
    Mutant(joins_a_round_that_has_begun, UnitTests(READING_TESTS, "does_not_join_a_round")),
    Mutant(reads_what_it_has, NodeSeed(1)),
    Mutant(has_caught_up_once_it_meets_a_leader, UnitTests(READING_TESTS, "has_first_to_apply")),
    Mutant(lets_everybody_go, UnitTests(MEMBERSHIP_TESTS, "one_at_a_time")),
    Mutant(takes_any_answer_for_a_removal, NodeSeed(1)),
    Mutant(takes_a_leave_for_a_removal, UnitTests(JOIN_TESTS, "those_that_differ")),
    Mutant(leaves_those_that_do_not_reach_one_another, UnitTests(DRAIN_TESTS, "serves_on")),
    Mutant(stamps_by_its_own_clock, UnitTests(STAMP_TESTS, "never_go_back")),
    Mutant(stamps_before_it_has_read_the_snapshot, UnitTests(SNAPSHOT_TESTS, "still_to_switch")),
    Mutant(believes_a_clock_that_leaps, UnitTests(SURVEY_TESTS, "leaps")),
    Mutant(leads_on_without_space, UnitTests(SPACE_TESTS, "TestWhoLeads")),
    Mutant(waits_for_a_checkpoint_without_space, UnitTests(SPACE_TESTS, "checkpoint")),
    Mutant(makes_room_by_the_last_segment, UnitTests(JOURNAL_TESTS, "last_segment")),
    Mutant(makes_room_before_a_snapshot_is_recorded, UnitTests(JOURNAL_TESTS, "recorded")),
    Mutant(forgets_a_peer_that_catches_up, UnitTests(CATCHING_UP_TESTS, "log_is_kept_until")),
    Mutant(answers_whoever_waits_at_an_index, UnitTests(PROPOSAL_TESTS, "entry_of_another_term")),
    Mutant(
        begins_beside_peers_that_hold_data, UnitTests(BOOTSTRAP_TESTS, "an_empty_member_begins")
    ),
    Mutant(elects_before_all_have_begun, UnitTests(BOOTSTRAP_TESTS, "elections_begin_when")),
)
