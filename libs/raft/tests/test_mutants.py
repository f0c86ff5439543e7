"""Planted bugs: a net that lets one of them through has a hole."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from raft import InvariantViolation, election, quorum, reads, replication, transfer
from raft.log import Log
from raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    HardState,
    InstallSnapshot,
    Message,
    VoteReply,
    VoteRequest,
)
from raft.node import RawNode
from raft.ready import ReadState, Role
from raft.state import State
from rafttest import PropertyViolation, run

SEEDS_MAX = 120
Plant = Callable[[pytest.MonkeyPatch], None]


def counts_unsynced_self(patch: pytest.MonkeyPatch) -> None:
    """Count a leader's entries before its own sync."""

    def advance_commit(state: State) -> None:
        held = {peer: progress.match for peer, progress in state.progress.items()}
        held[state.id] = state.log.last_index
        index = quorum.held_index(state.configuration.voters, held)
        if index > state.commit_index and state.log.term_at(index) == state.term:
            state.commit(index)

    patch.setattr(replication, "advance_commit", advance_commit)


def commits_older_terms_by_counting(patch: pytest.MonkeyPatch) -> None:
    """Commit by counting alone (Raft figure 8)."""

    def advance_commit(state: State) -> None:
        held = {peer: progress.match for peer, progress in state.progress.items()}
        held[state.id] = state.log.synced_index
        state.commit(quorum.held_index(state.configuration.voters, held))

    patch.setattr(replication, "advance_commit", advance_commit)


def replies_to_votes_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """Promise a vote that is not kept."""
    rule = election.vote_requested

    def vote_requested(state: State, message: VoteRequest) -> None:
        rule(state, message)
        state.at_once.append(state.after_sync.pop())

    patch.setattr(election, "vote_requested", vote_requested)


def forgets_its_vote(patch: pytest.MonkeyPatch) -> None:
    """Vote for whoever asks, as often as asked."""

    def vote_requested(state: State, message: VoteRequest) -> None:
        granted = message.term == state.term and state.log.is_up_to_date(
            message.last_index, message.last_term
        )
        if granted and state.role is Role.FOLLOWER:
            state.hard_state = HardState(state.term, message.sender)
            state.hard_state_synced = False
        state.after_sync.append(VoteReply(state.id, message.sender, state.term, granted=granted))

    patch.setattr(election, "vote_requested", vote_requested)


def votes_for_a_shorter_log(patch: pytest.MonkeyPatch) -> None:
    """Vote without the election restriction (§5.4.1)."""
    patch.setattr(Log, "is_up_to_date", lambda *_: True)


def keeps_what_conflicts(patch: pytest.MonkeyPatch) -> None:
    """No truncation: what is there stays."""

    def take(state: State, entries: tuple[Entry, ...]) -> None:
        state.log.append([entry for entry in entries if entry.index > state.log.last_index])

    patch.setattr(replication, "take", take)


def cuts_without_a_conflict(patch: pytest.MonkeyPatch) -> None:
    """Let a late append cut off what was acknowledged since."""

    def take(state: State, entries: tuple[Entry, ...]) -> None:
        if entries and state.log.term_at(entries[0].index) is not None:
            state.log.truncate(entries[0].index)
        state.log.append(entries)

    patch.setattr(replication, "take", take)


def reads_without_a_round(patch: pytest.MonkeyPatch) -> None:
    """Trust that a leader still is one."""

    def begin(state: State, context: int) -> bool:
        if state.role is not Role.LEADER or state.log.term_at(state.commit_index) != state.term:
            return False
        state.reads.append(ReadState(context, state.commit_index))
        return True

    patch.setattr(reads, "begin", begin)


def keeps_the_tail_behind_a_snapshot(patch: pytest.MonkeyPatch) -> None:
    """Keep what conflicts with a snapshot behind it."""

    def snapshot_received(state: State, message: InstallSnapshot) -> None:
        meta = message.meta
        if meta.index > state.commit_index:
            tail = state.log.slice(meta.index + 1, state.log.last_index)
            state.log.replace(meta.index, meta.term)
            state.log._entries.extend(tail)
            state.commit_index = state.handed_commit_index = meta.index
            state.install = meta
        index = max(state.log.last_index, meta.index)
        state.after_sync.append(replication.accepted(state, message.sender, index))

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

    def append_requested(state: State, message: AppendRequest) -> None:
        rule(state, message)
        reply = state.after_sync.pop()
        assert isinstance(reply, AppendReply)
        state.at_once.append(reply)

    patch.setattr(replication, "append_requested", append_requested)


def leads_with_a_minority(patch: pytest.MonkeyPatch) -> None:
    """Half of the voters and none more are taken for a majority."""
    patch.setattr(quorum, "size", lambda voters: max(1, len(voters) // 2))


def counts_refused_votes(patch: pytest.MonkeyPatch) -> None:
    """Votes are counted, not read."""
    rule = election.vote_replied

    def vote_replied(state: State, message: VoteReply) -> None:
        rule(state, replace(message, granted=True))

    patch.setattr(election, "vote_replied", vote_replied)


def leads_with_an_old_transfer(patch: pytest.MonkeyPatch) -> None:
    """Keep a transfer over a change of role, for ever (seen in hashicorp/raft)."""
    rule = State.follow

    def follow(state: State, term: int, leader: int) -> None:
        kept = state.transfer
        rule(state, term, leader)
        state.transfer = kept

    patch.setattr(State, "follow", follow)
    patch.setattr(transfer, "tick", lambda _: None)


MUTANTS: tuple[Plant, ...] = (
    counts_unsynced_self,
    commits_older_terms_by_counting,
    replies_to_votes_before_the_sync,
    forgets_its_vote,
    votes_for_a_shorter_log,
    keeps_what_conflicts,
    cuts_without_a_conflict,
    reads_without_a_round,
    keeps_the_tail_behind_a_snapshot,
    hears_older_terms,
    acknowledges_before_the_sync,
    leads_with_a_minority,
    counts_refused_votes,
    leads_with_an_old_transfer,
)


@pytest.mark.slow
@pytest.mark.parametrize("plant", MUTANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seed of few fails."""
    plant(monkeypatch)
    for seed in range(SEEDS_MAX):
        try:
            run(seed)
        except (PropertyViolation, InvariantViolation):
            return
    pytest.fail(f"{SEEDS_MAX} seeds did not notice that it {plant.__name__}")
