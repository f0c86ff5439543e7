"""Whose election timeout begins anew, and when (Raft §5.2)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from raft import ProtocolViolation, RawNode, Restored
from raft.messages import (
    AppendRequest,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    PreVoteRequest,
    SnapshotMeta,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.ready import RaftRole, Ready

Make = Callable[..., RawNode]
Settle = Callable[[RawNode], list[Ready]]

META = SnapshotMeta(5, 1, Configuration(frozenset({1, 2, 3})))
APPEND = AppendRequest(
    sender=2, recipient=1, term=1, previous_index=0, previous_term=0, commit=0, entries=()
)
OF_A_LEADER = [APPEND, Heartbeat(2, 1, 1, 0, 0), InstallSnapshot(2, 1, 1, META)]
TIMEOUT_TICKS = 10  # of each member that `make` returns


def tick(node: RawNode, ticks: int) -> None:
    """Let ticks pass."""
    for _ in range(ticks):
        node.tick()


def role_of(node: RawNode) -> RaftRole:
    """Return the role that a member has by now."""
    return node.role


def test_who_may_not_campaign_waits_a_whole_timeout_once_it_may(make: Make) -> None:
    """Else all members that were held back campaign in the tick in which they may."""
    node = make()
    assert node.campaign_allowed
    node.campaign_allowed = False
    assert not node.campaign_allowed
    tick(node, TIMEOUT_TICKS)
    node.campaign_allowed = True
    tick(node, TIMEOUT_TICKS - 1)
    assert role_of(node) is RaftRole.FOLLOWER
    node.tick()
    assert role_of(node) is RaftRole.PRE_CANDIDATE


def test_a_candidate_waits_a_whole_timeout_for_votes(make: Make, settle: Settle) -> None:
    """The time in which it asked for pre-votes does not count."""
    node = make()
    tick(node, 2 * TIMEOUT_TICKS - 1)
    node.step(PreVoteReply(2, 1, 1, granted=True))
    settle(node)
    tick(node, TIMEOUT_TICKS - 1)
    assert role_of(node) is RaftRole.CANDIDATE
    node.tick()
    assert role_of(node) is RaftRole.PRE_CANDIDATE


def test_who_grants_a_vote_waits_a_whole_timeout(make: Make, settle: Settle) -> None:
    """A follower campaigns if it neither hears a leader nor grants a vote for a timeout."""
    node = make()
    tick(node, TIMEOUT_TICKS - 1)
    node.step(VoteRequest(sender=2, recipient=1, term=1, last_index=0, last_term=0))
    settle(node)
    assert node.hard_state.vote == 2
    tick(node, TIMEOUT_TICKS - 1)
    assert role_of(node) is RaftRole.FOLLOWER
    node.tick()
    assert role_of(node) is RaftRole.PRE_CANDIDATE


def test_who_gives_up_waits_a_whole_timeout(make: Make, leader: RawNode, settle: Settle) -> None:
    """A leader, and a candidate that is refused; what they waited before does not count."""
    tick(leader, TIMEOUT_TICKS - 1)
    leader.step_down()
    refused = make()
    tick(refused, 2 * TIMEOUT_TICKS - 1)
    for voter in (2, 3):
        refused.step(PreVoteReply(voter, 1, 0, granted=False))
    for node in (leader, refused):
        settle(node)
        tick(node, TIMEOUT_TICKS - 1)
        assert role_of(node) is RaftRole.FOLLOWER
        node.tick()
        assert role_of(node) is RaftRole.PRE_CANDIDATE


def test_who_refuses_a_vote_waits_no_longer(make: Make) -> None:
    """A candidate that cannot be elected would keep those from campaigning that can."""
    node = make(term=1, entries=[Entry(1, 1, EntryKind.NOOP, b"")])
    tick(node, TIMEOUT_TICKS - 1)
    node.step(VoteRequest(sender=2, recipient=1, term=2, last_index=0, last_term=0))
    assert (node.term, node.hard_state.vote) == (2, 0)
    node.tick()
    assert node.role is RaftRole.PRE_CANDIDATE


def test_a_timeout_is_drawn_up_to_the_longest(make: Make) -> None:
    """The settings name both ends, and both may be drawn."""
    settings = replace(make()._state.settings, random=lambda bound: bound - 1)
    restored = Restored(
        hard_state=HardState(0, 0),
        configuration=META.configuration,
        base_index=0,
        base_term=0,
        entries=(),
        applied_index=0,
    )
    node = RawNode(settings, restored)
    tick(node, settings.election_timeout_ticks_max - 1)
    assert role_of(node) is RaftRole.FOLLOWER
    node.tick()
    assert role_of(node) is RaftRole.PRE_CANDIDATE


def test_a_pre_vote_is_for_a_term_that_is_still_to_come(make: Make, settle: Settle) -> None:
    """Who has entered the term may have voted in it (dissertation §9.6)."""
    node = make(term=2)
    node.step(PreVoteRequest(2, 1, 2, 0, 0))
    (ready,) = settle(node)
    assert ready.at_once == (PreVoteReply(1, 2, 2, granted=False),)


def test_votes_may_come_before_the_own_vote_is_synced(make: Make, settle: Settle) -> None:
    """The two others are a majority; the own vote counts for nothing after it."""
    node = make()
    tick(node, TIMEOUT_TICKS)
    node.step(PreVoteReply(2, 1, 1, granted=True))
    ready = node.ready()
    assert ready is not None
    assert ready.mark is not None
    for voter in (2, 3):
        node.step(VoteReply(voter, 1, 1, granted=True))
    assert role_of(node) is RaftRole.LEADER
    node.persisted(ready.mark)
    settle(node)
    assert (node.role, node.last_index) == (RaftRole.LEADER, 1)


@pytest.mark.parametrize("message", OF_A_LEADER)
def test_whatever_a_leader_sends_is_a_sign_of_it(
    message: Message, make: Make, settle: Settle
) -> None:
    """A candidate of the term gives up, and waits a whole timeout from there on."""
    node = make()
    tick(node, TIMEOUT_TICKS)
    node.step(PreVoteReply(2, 1, 1, granted=True))
    settle(node)
    tick(node, TIMEOUT_TICKS - 1)
    assert role_of(node) is RaftRole.CANDIDATE
    for _ in range(2):
        node.step(message)
        assert (node.role, node.leader) == (RaftRole.FOLLOWER, 2)
        tick(node, TIMEOUT_TICKS - 1)
    assert role_of(node) is RaftRole.FOLLOWER
    node.tick()
    assert role_of(node) is RaftRole.PRE_CANDIDATE


def test_a_member_that_just_started_may_be_a_successor(make: Make) -> None:
    """The request says who leads (dissertation §3.10)."""
    node = make(term=1)
    node.step(TimeoutNow(2, 1, 1))
    assert (node.role, node.term) == (RaftRole.CANDIDATE, 2)


@pytest.mark.parametrize("message", [*OF_A_LEADER, TimeoutNow(2, 1, 1)])
def test_two_leaders_of_a_term_end_the_process(message: Message, leader: RawNode) -> None:
    """Election safety is broken (Raft Figure 3)."""
    with pytest.raises(ProtocolViolation, match="both lead"):
        leader.step(message)


def test_a_leader_is_given_an_election_timeout_to_be_heard(make: Make, settle: Settle) -> None:
    """Its followers count as heard when it is elected, and are asked for at each timeout."""
    node = make()
    tick(node, TIMEOUT_TICKS)
    node.step(PreVoteReply(2, 1, 1, granted=True))
    settle(node)
    node.step(VoteReply(2, 1, 1, granted=True))
    for _ in range(3):
        tick(node, TIMEOUT_TICKS)
        assert role_of(node) is RaftRole.LEADER
        node.step(HeartbeatReply(2, 1, 1, 0))
    tick(node, 2 * TIMEOUT_TICKS - 1)
    assert role_of(node) is RaftRole.LEADER
    node.tick()
    assert (node.role, node.leader) == (RaftRole.FOLLOWER, 0)


def test_a_sync_of_an_earlier_candidacy_counts_for_no_later_one(make: Make) -> None:
    """The vote of the term that is running is not on disk yet."""
    node, marks = make(size=1), []
    for _ in range(2):
        tick(node, TIMEOUT_TICKS)
        ready = node.ready()
        assert ready is not None
        assert ready.mark is not None
        marks.append(ready.mark)
    assert (node.role, node.term) == (RaftRole.CANDIDATE, 2)
    node.persisted(marks[0])
    assert role_of(node) is RaftRole.CANDIDATE
    node.persisted(marks[1])
    assert role_of(node) is RaftRole.LEADER


def test_a_reply_waits_for_the_sync_of_its_term_alone(make: Make, settle: Settle) -> None:
    """A heartbeat is answered at once in a term that is on disk."""
    node = make()
    replies = []
    for _ in range(2):
        node.step(Heartbeat(2, 1, 1, 0, 0))
        (ready,) = settle(node)
        replies.append((len(ready.at_once), len(ready.after_sync)))
    assert replies == [(0, 1), (1, 0)]
