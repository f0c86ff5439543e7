"""Consensus with bugs: rules of libs/raft that are left out or wrong."""

from dataclasses import replace
from typing import Any

import pytest
from raft import (
    ChangeRefused,
    election,
    membership,
    quorum,
    reads,
    replication,
    transfer,
)
from raft.log import RaftLog
from raft.membership import Change
from raft.messages import (
    AppendReply,
    AppendRequest,
    Configuration,
    Entry,
    InstallSnapshot,
    Message,
    ReadRequest,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.node import RawNode
from raft.progress import Progress
from raft.ready import Mark, RaftRole, ReadState
from raft.state import MemberState

from mutants.catching import CoreSeed, GoldenScript, Mutant, UnitTests

PAPER_TESTS = "libs/raft/tests/test_paper.py"


def counts_unsynced_self(patch: pytest.MonkeyPatch) -> None:
    """Count a leader's entries before its own sync."""

    def advance_commit(state: MemberState) -> None:
        held = {peer: progress.match for peer, progress in state.leading.progress.items()}
        held[state.id] = state.log.last_index
        index = quorum.held_index(state.configuration.voters, held)
        if index > state.commit_index and state.log.term_at(index) == state.term:
            state.commit(index)

    patch.setattr(replication, "advance_commit", advance_commit)


def commits_older_terms_by_counting(patch: pytest.MonkeyPatch) -> None:
    """Commit by counting alone (Raft figure 8)."""

    def advance_commit(state: MemberState) -> None:
        held = {peer: progress.match for peer, progress in state.leading.progress.items()}
        held[state.id] = state.log.synced_index
        state.commit(quorum.held_index(state.configuration.voters, held))

    patch.setattr(replication, "advance_commit", advance_commit)


def replies_to_votes_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """Promise a vote that is not kept."""
    rule = election.vote_requested

    def vote_requested(state: MemberState, message: VoteRequest) -> None:
        rule(state, message)
        state.owed.at_once.append(state.owed.after_sync.pop())

    patch.setattr(election, "vote_requested", vote_requested)


def keeps_what_conflicts(patch: pytest.MonkeyPatch) -> None:
    """No truncation: what is there stays."""

    def append_missing(state: MemberState, entries: tuple[Entry, ...]) -> None:
        state.log.append([entry for entry in entries if entry.index > state.log.last_index])

    patch.setattr(replication, "append_missing", append_missing)


def cuts_without_a_conflict(patch: pytest.MonkeyPatch) -> None:
    """Let a late append cut off what was acknowledged since."""

    def append_missing(state: MemberState, entries: tuple[Entry, ...]) -> None:
        if entries and state.log.term_at(entries[0].index) is not None:
            state.log.truncate(entries[0].index)
        state.log.append(entries)

    patch.setattr(replication, "append_missing", append_missing)


def reads_without_a_round(patch: pytest.MonkeyPatch) -> None:
    """Trust that a leader still is one."""

    def begin(state: MemberState, context: int) -> bool:
        if state.role is not RaftRole.LEADER or state.log.term_at(state.commit_index) != state.term:
            return False
        state.owed.reads.append(ReadState(context, state.commit_index))
        return True

    patch.setattr(reads, "begin", begin)


def keeps_the_tail_behind_a_snapshot(patch: pytest.MonkeyPatch) -> None:
    """Keep what conflicts with a snapshot behind it."""

    def snapshot_received(state: MemberState, message: InstallSnapshot) -> None:
        meta = message.meta
        if meta.index > state.commit_index:
            tail = state.log.slice(meta.index + 1, state.log.last_index)
            state.log.replace(meta.index, meta.term, meta.configuration)
            state.log._entries.extend(tail)
            state.log.last_index += len(tail)
            state.commit_index = state.owed.handed_commit_index = meta.index
            state.owed.install = meta
        index = max(state.log.last_index, meta.index)
        state.owed.after_sync.append(replication.acceptance(state, message.sender, index))

    patch.setattr(replication, "snapshot_received", snapshot_received)


def hears_older_terms(patch: pytest.MonkeyPatch) -> None:
    """Take an append of an older term like one of this."""
    rule = RawNode.step

    def step(self: RawNode, message: Message) -> None:
        if isinstance(message, AppendRequest) and message.term < self.term:
            message = replace(message, term=self.term)
        rule(self, message)

    patch.setattr(RawNode, "step", step)


def acknowledges_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """Say that a disk holds what it does not."""
    rule = replication.append_requested

    def append_requested(state: MemberState, message: AppendRequest) -> None:
        rule(state, message)
        reply = state.owed.after_sync.pop()
        assert isinstance(reply, AppendReply)
        state.owed.at_once.append(reply)

    patch.setattr(replication, "append_requested", append_requested)


def counts_refused_votes(patch: pytest.MonkeyPatch) -> None:
    """Votes are counted, not read."""
    rule = election.vote_replied

    def vote_replied(state: MemberState, message: VoteReply) -> None:
        rule(state, replace(message, granted=True))

    patch.setattr(election, "vote_replied", vote_replied)


def leads_with_an_old_transfer(patch: pytest.MonkeyPatch) -> None:
    """Keep a transfer over a change of role, for ever (seen in hashicorp/raft)."""
    rule = MemberState.become_follower

    def become_follower(state: MemberState, term: int, leader: int) -> None:
        kept = state.leading.transfer
        rule(state, term, leader)
        state.leading.transfer = kept

    patch.setattr(MemberState, "become_follower", become_follower)
    patch.setattr(transfer, "tick", lambda _: None)


def takes_promises_for_votes(patch: pytest.MonkeyPatch) -> None:
    """Lead the next term once a majority says that it would vote (dissertation §9.6)."""
    rule = election.campaign

    def campaign(state: MemberState, *, is_transfer: bool = False) -> None:
        would = dict(state.election.votes)
        rule(state, is_transfer=is_transfer)
        state.election.votes = would
        election.count_votes(state)

    patch.setattr(election, "campaign", campaign)


def asks_before_it_takes_over(patch: pytest.MonkeyPatch) -> None:
    """Let a successor ask for votes that nobody promises while a leader is heard."""
    rule = election.campaign

    def campaign(state: MemberState, *, is_transfer: bool = False) -> None:
        if is_transfer:
            election.ask_before_campaign(state)
        else:
            rule(state)

    patch.setattr(election, "campaign", campaign)


def hands_over_an_incomplete_log(patch: pytest.MonkeyPatch) -> None:
    """Tell the successor to campaign whatever it holds."""

    def advance(state: MemberState, peer: int, _: Progress) -> None:
        state.owed.at_once.append(TimeoutNow(sender=state.id, recipient=peer, term=state.term))

    patch.setattr(transfer, "advance", advance)


def reads_for_others_without_a_round(patch: pytest.MonkeyPatch) -> None:
    """Tell a follower the commit index at once."""

    def requested(state: MemberState, message: ReadRequest) -> None:
        index = state.commit_index if state.role is RaftRole.LEADER else 0
        reads.reply(state, message.sender, message.context, index)

    patch.setattr(reads, "requested", requested)


def reuses_a_read_context(patch: pytest.MonkeyPatch) -> None:
    """Ask for every read under the same number, so that a late answer fits the next one."""
    rule = reads.forward

    def forward(state: MemberState, context: int) -> bool:
        state.waiting_reads.forwarded_number = 1
        return rule(state, context)

    patch.setattr(reads, "forward", forward)


def decide_without(patch: pytest.MonkeyPatch, *reasons: str) -> None:
    """Let changes begin that would be refused for one of these reasons."""
    rule = membership.decide

    def decide(state: MemberState, change: Change) -> Configuration | ChangeRefused:
        decided = rule(state, change)
        if isinstance(decided, ChangeRefused) and any(one in decided.reason for one in reasons):
            return membership.outcome(state.configuration, change)
        return decided

    patch.setattr(membership, "decide", decide)


def changes_while_another_is_open(patch: pytest.MonkeyPatch) -> None:
    """Put one change behind another that is not committed."""
    decide_without(patch, "not applied yet")


def changes_before_its_first_commit(patch: pytest.MonkeyPatch) -> None:
    """Change on top of what an earlier leader may have changed (before the fix of 2015)."""
    decide_without(patch, "nothing in its term")


def promotes_at_once(patch: pytest.MonkeyPatch) -> None:
    """Give a vote to a learner that holds nothing."""
    decide_without(patch, "is committed")


def removes_what_the_quorum_needs(patch: pytest.MonkeyPatch) -> None:
    """Remove a voter although those that stay are silent."""
    decide_without(patch, "no majority")


def forgets_configurations_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """Go by the base's configuration, not by the entries behind it."""
    rule = RaftLog.__init__

    def init(self: RaftLog, *arguments: Any) -> None:  # noqa: ANN401 - passed on as they are
        rule(self, *arguments)
        self.configurations.replace(self.base_index, self.configurations.at(self.base_index))

    patch.setattr(RaftLog, "__init__", init)


def goes_by_what_is_committed(patch: pytest.MonkeyPatch) -> None:
    """Let a configuration take effect when it is committed, not when it is appended."""
    patch.setattr(
        MemberState,
        "configuration",
        property(lambda state: state.log.configurations.at(state.commit_index)),
    )


def commits_by_those_who_have_no_vote(patch: pytest.MonkeyPatch) -> None:
    """Count learners, and a leader that is no part of the cluster any more."""

    def advance_commit(state: MemberState) -> None:
        held = {peer: progress.match for peer, progress in state.leading.progress.items()}
        held[state.id] = state.log.synced_index
        index = quorum.held_index(frozenset(held), held)
        if index > state.commit_index and state.log.term_at(index) == state.term:
            state.commit(index)

    patch.setattr(replication, "advance_commit", advance_commit)


def campaigns_after_its_removal(patch: pytest.MonkeyPatch) -> None:
    """Disturb a cluster for ever."""
    patch.setattr(MemberState, "may_stand", property(lambda _: True))


def gives_up_before_its_removal(patch: pytest.MonkeyPatch) -> None:
    """Take an entry that is not committed for a removal."""
    in_force = property(lambda state: state.id in state.configuration.voters)
    patch.setattr(MemberState, "may_stand", in_force)


def tells_nobody_of_their_removal(patch: pytest.MonkeyPatch) -> None:
    """Fall silent towards whoever is removed, and leave them to campaign."""
    rule = membership.begin

    def begin(state: MemberState, configuration: Configuration) -> int:
        for leaver in (state.configuration.voters - configuration.voters) & set(
            state.leading.progress
        ):
            del state.leading.progress[leaver]
        return rule(state, configuration)

    patch.setattr(membership, "begin", begin)


def takes_a_sync_for_what_came_after(patch: pytest.MonkeyPatch) -> None:
    """Count entries as synced that replaced the ones whose sync has ended."""

    def persisted(self: RawNode, mark: Mark) -> None:
        state = self._state
        if mark.hard_state == state.hard_state and not state.hard_state_synced:
            state.hard_state_synced = True
            election.own_vote_synced(state)
        index = min(mark.index, state.log.last_index)
        if index > state.log.synced_index:
            state.log.synced_index = index
            if state.role is RaftRole.LEADER:
                replication.advance_commit(state)
                self._retire()

    patch.setattr(RawNode, "persisted", persisted)


MUTANTS = (
    Mutant(counts_unsynced_self, CoreSeed(1)),
    Mutant(commits_older_terms_by_counting, CoreSeed(0)),
    Mutant(replies_to_votes_before_the_sync, CoreSeed(0)),
    Mutant(keeps_what_conflicts, CoreSeed(0)),
    Mutant(cuts_without_a_conflict, CoreSeed(0)),
    Mutant(reads_without_a_round, CoreSeed(13)),
    Mutant(keeps_the_tail_behind_a_snapshot, CoreSeed(55)),
    Mutant(hears_older_terms, CoreSeed(1)),
    Mutant(acknowledges_before_the_sync, CoreSeed(0)),
    Mutant(counts_refused_votes, CoreSeed(0)),
    Mutant(takes_promises_for_votes, CoreSeed(0)),
    Mutant(leads_with_an_old_transfer, CoreSeed(1)),
    Mutant(reads_for_others_without_a_round, CoreSeed(0)),
    Mutant(reuses_a_read_context, CoreSeed(0)),
    Mutant(goes_by_what_is_committed, CoreSeed(0)),
    Mutant(takes_a_sync_for_what_came_after, UnitTests(PAPER_TESTS, "late_sync")),
    Mutant(asks_before_it_takes_over, GoldenScript("a_leader_hands_over")),
    Mutant(hands_over_an_incomplete_log, GoldenScript("a_leader_hands_over")),
    Mutant(changes_while_another_is_open, GoldenScript("a_change_waits_for_the_one_before")),
    Mutant(
        changes_before_its_first_commit,
        GoldenScript("a_change_waits_for_the_first_commit_of_a_term"),
    ),
    Mutant(
        forgets_configurations_at_a_restart,
        GoldenScript("a_configuration_survives_a_restart_and_a_snapshot"),
    ),
    Mutant(
        commits_by_those_who_have_no_vote,
        GoldenScript("a_learners_acknowledgement_commits_nothing"),
    ),
    Mutant(promotes_at_once, GoldenScript("a_learner_joins_and_is_promoted")),
    Mutant(
        removes_what_the_quorum_needs,
        GoldenScript("a_change_that_would_lose_the_quorum_is_refused"),
    ),
    Mutant(campaigns_after_its_removal, GoldenScript("a_removed_member_stops_campaigning")),
    Mutant(
        gives_up_before_its_removal,
        GoldenScript("a_voter_whose_removal_is_not_committed_campaigns"),
    ),
    Mutant(tells_nobody_of_their_removal, GoldenScript("a_removed_member_stops_campaigning")),
)
