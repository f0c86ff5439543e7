"""Leadership transfer: one test a sentence of the dissertation's §3.10, and what got stuck."""

from collections.abc import Callable, Iterable

import pytest
from raft import Accepted, RawNode, TransferBegun, TransferRefused, Transferring
from raft.messages import (
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    PreVoteReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.ready import RaftRole, Ready

Make = Callable[..., RawNode]
Settle = Callable[[RawNode], list[Ready]]
Elect = Callable[[RawNode], RawNode]


def sent(readies: Iterable[Ready]) -> list[Message]:
    """Return all messages, those that waited for the sync last."""
    return [message for ready in readies for message in (*ready.at_once, *ready.after_sync)]


def test_the_leader_stops_accepting_requests(leader: RawNode) -> None:
    """§3.10: the prior leader stops accepting new client requests."""
    assert leader.transfer(2) == TransferBegun(2)
    assert leader.propose([b"x"]) == Transferring(2)
    assert leader.last_index == 1


def test_the_successors_log_is_completed_first(leader: RawNode, settle: Settle) -> None:
    """§3.10: the prior leader fully updates the target server's log to match its own."""
    leader.propose([b"x"])
    settle(leader)
    leader.step(
        AppendReply(sender=2, recipient=1, term=1, accepted=False, index=1, conflict_index=1)
    )
    settle(leader)
    leader.transfer(2)
    assert not [one for one in sent(settle(leader)) if isinstance(one, TimeoutNow)]
    leader.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=2))
    assert sent(settle(leader)) == [TimeoutNow(1, 2, 1)]


def test_a_lost_request_is_sent_again(leader: RawNode, settle: Settle) -> None:
    """Every later reply of the successor shows that the successor has not campaigned."""
    leader.transfer(2)
    assert sent(settle(leader)) == [TimeoutNow(1, 2, 1)]
    for other in (3, 7):
        leader.step(HeartbeatReply(other, 1, 1, 0))
        assert sent(settle(leader)) == []
    leader.step(HeartbeatReply(2, 1, 1, 0))
    assert sent(settle(leader)) == [TimeoutNow(1, 2, 1)]


def test_the_successor_campaigns_at_once(make: Make, settle: Settle) -> None:
    """§3.10: TimeoutNow acts like the target's election timeout; there is no pre-vote."""
    node = make()
    node.step(Heartbeat(2, 1, 1, 0, 0))
    settle(node)
    node.step(TimeoutNow(2, 1, 1))
    assert (node.role, node.term) == (RaftRole.CANDIDATE, 2)
    assert sent(settle(node)) == [
        VoteRequest(sender=1, recipient=2, term=2, last_index=0, last_term=0, is_transfer=True),
        VoteRequest(sender=1, recipient=3, term=2, last_index=0, last_term=0, is_transfer=True),
    ]


def test_voters_do_not_protect_a_leader_that_hands_over(make: Make, settle: Settle) -> None:
    """§4.2.3: a voter grants a request of a transfer although the voter hears a leader."""
    node = make()
    node.step(Heartbeat(3, 1, 1, 0, 0))
    settle(node)
    node.step(
        VoteRequest(sender=2, recipient=1, term=2, last_index=9, last_term=9, is_transfer=True)
    )
    assert sent(settle(node)) == [VoteReply(1, 2, 2, granted=True)]


def test_who_follows_the_terms_leader_votes_for_nobody_else(make: Make, settle: Settle) -> None:
    """§5.2: a term has one leader; a vote for another candidate of the term would be in vain."""
    node = make()
    node.step(Heartbeat(3, 1, 1, 0, 0))
    settle(node)
    request = VoteRequest(
        sender=2, recipient=1, term=1, last_index=9, last_term=9, is_transfer=True
    )
    node.step(request)
    assert sent(settle(node)) == [VoteReply(1, 2, 1, granted=False)]


def test_an_outdated_request_to_campaign_is_ignored(make: Make, settle: Settle) -> None:
    """§5.1: a TimeoutNow of an earlier term is stale."""
    node = make(term=3)
    node.step(TimeoutNow(2, 1, 2))
    assert (node.role, node.term) == (RaftRole.FOLLOWER, 3)
    assert sent(settle(node)) == [
        AppendReply(sender=1, recipient=2, term=3, accepted=False, index=0)
    ]


@pytest.mark.parametrize("reason", ["learner", "gate"])
def test_who_may_not_campaign_is_not_made_to(reason: str, make: Make) -> None:
    """A learner does not campaign, and a member whose caller forbids campaigns does not."""
    node = make(4, learners=frozenset({4})) if reason == "learner" else make()
    node.campaign_allowed = reason == "learner"
    node.step(TimeoutNow(2, node.id, 1))
    assert (node.role, node.term) == (RaftRole.FOLLOWER, 1)


def test_a_transfer_has_a_deadline(leader: RawNode) -> None:
    """§3.10: after about an election timeout the leader aborts and resumes accepting requests."""
    leader.transfer(2)
    answers = []
    for _ in range(10):
        answers.append(leader.propose([b"x"]))
        leader.tick()
    assert answers == [Transferring(2)] * 10
    assert isinstance(leader.propose([b"x"]), Accepted)
    assert not leader.transferring


@pytest.mark.parametrize("is_deposed", [False, True])
def test_a_transfer_ends_with_the_lead(
    leader: RawNode, settle: Settle, *, is_deposed: bool
) -> None:
    """The member accepts proposals when it leads again (a bug of hashicorp/raft)."""
    leader.transfer(2)
    if is_deposed:
        leader.step(AppendReply(sender=3, recipient=1, term=7, accepted=False, index=0))
    else:
        leader.step_down()
    assert not leader.transferring
    while leader.role is RaftRole.FOLLOWER:
        leader.tick()
    leader.step(PreVoteReply(2, 1, leader.term + 1, granted=True))
    settle(leader)
    leader.step(VoteReply(2, 1, leader.term, granted=True))
    assert leader.role is RaftRole.LEADER
    assert isinstance(leader.propose([b"x"]), Accepted)


def test_the_most_caught_up_voter_is_chosen(make: Make, settle: Settle, elect: Elect) -> None:
    """§3.10: the leader chooses a voter; a learner is no target, however much the learner holds."""
    node = elect(make(learners=frozenset({4})))
    node.propose([b"x"])
    settle(node)
    for peer in (3, 4):
        node.step(AppendReply(sender=peer, recipient=1, term=1, accepted=True, index=2))
    assert node.transfer() == TransferBegun(3)


def test_a_learner_that_holds_more_is_no_successor(
    make: Make, settle: Settle, elect: Elect
) -> None:
    """§3.10: a transfer to a member that cannot lead would end nowhere."""
    node = elect(make(learners=frozenset({4})))
    node.propose([b"x"])
    settle(node)
    node.step(AppendReply(sender=4, recipient=1, term=1, accepted=True, index=2))
    assert node.transfer() == TransferBegun(2)


def test_a_silent_voter_is_no_successor(leader: RawNode, settle: Settle) -> None:
    """A voter that answered just before a check of the quorum is present after the check."""
    for number in range(30):
        leader.step(HeartbeatReply(2, 1, 1, 0))
        leader.tick()
        settle(leader)
        if number > 20:
            assert isinstance(leader.transfer(3), TransferRefused)
    present = {peer: follower.is_present for peer, follower in leader.followers.items()}
    assert present == {2: True, 3: False}
    assert leader.transfer() == TransferBegun(2)


def test_who_was_not_heard_in_the_term_is_no_successor(make: Make, settle: Settle) -> None:
    """How much of the log it holds is not known."""
    node = make()
    for _ in range(10):
        node.tick()
    node.step(PreVoteReply(2, 1, 1, granted=True))
    settle(node)
    node.step(VoteReply(2, 1, 1, granted=True))
    settle(node)
    assert node.transfer() == TransferRefused("no other voter has been heard of lately")
    assert node.transfer(2) == TransferRefused("member 2 has not been heard of lately")


def test_nothing_begins_without_a_lead_or_a_successor(make: Make, leader: RawNode) -> None:
    """A refusal is a value, with a sentence for a person."""
    assert make().transfer(2) == TransferRefused("this member does not lead")
    assert leader.transfer(1) == TransferRefused("member 1 is not another voter")
    leader.transfer(3)
    assert leader.transfer(2) == TransferRefused("a transfer to member 3 is under way")
