"""A candidate whose vote is not synced does not lead, even if one vote is a majority."""

from collections.abc import Callable

from raft import RawNode
from raft.messages import AppendRequest
from raft.ready import Leadership, RaftRole


def test_a_single_voter_leads_when_its_vote_is_synced(make: Callable[..., RawNode]) -> None:
    """After a crash a learner could otherwise get two different entries of one term and index."""
    node = make(size=1, learners=frozenset({2}))
    while node.role is RaftRole.FOLLOWER:
        node.tick()
    ready = node.ready()
    assert ready is not None
    assert ready.mark is not None
    assert not ready.at_once
    assert ready.leadership == Leadership(RaftRole.CANDIDATE, 1, 0)
    node.persisted(ready.mark)
    assert node.role is RaftRole.LEADER
    later = node.ready()
    assert later is not None
    assert [type(message) for message in later.at_once] == [AppendRequest]
