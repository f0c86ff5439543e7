"""What a member asks about itself, and what it believes."""

import pytest
from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.membership.join import ALONE_TIMES, Joining
from inventory_node.wal import Identity

IDENTITY = Identity("cluster", 4, "node-4")
REMOVED = cluster_pb2.MEMBER_STANDING_REMOVED
VOTER = cluster_pb2.MEMBER_STANDING_VOTER
LEARNER = cluster_pb2.MEMBER_STANDING_LEARNER
JOINING = cluster_pb2.MEMBER_STANDING_JOINING


def member(
    standing: cluster_pb2.MemberStanding.ValueType, leader: str = "node-1", last_index: int = 9
) -> cluster_pb2.Member:
    """Return a member as it sees itself."""
    return cluster_pb2.Member(
        standing=standing, leader=leader, last_log_index=last_index, term=7, name="node-4"
    )


@pytest.mark.parametrize("auto", [True, False])
def test_a_member_whose_log_does_not_name_it_asks_and_is_not_removed_before_it_is_told(
    auto: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The removal may be taken back, or the log may end before the entry that added the member."""
    joining = Joining(IDENTITY, "host:1", auto=auto)
    asked = joining.look(member(REMOVED))
    assert asked == membership_pb2.Join(
        member_id=4, name="node-4", address="host:1", is_learner=True, term=7
    )
    assert not joining.was_removed
    joining.told(membership_pb2.STANDING_LEARNER)
    assert not joining.was_removed
    joining.told(membership_pb2.STANDING_REMOVED)
    assert joining.was_removed


def test_a_voter_asks_only_when_it_has_known_of_no_leader_for_a_while() -> None:
    """Nobody else may have told it that it was removed."""
    joining = Joining(IDENTITY, "host:1", auto=True)
    assert joining.look(member(VOTER)) is None
    asked = [joining.look(member(VOTER, leader="")) for _ in range(ALONE_TIMES)]
    assert asked[:-1] == [None] * (ALONE_TIMES - 1)
    assert asked[-1] is not None
    assert asked[-1].is_learner
    assert joining.look(member(VOTER)) is None


def test_a_part_and_a_vote_are_asked_for_where_the_member_joins_by_itself() -> None:
    """A newcomer has an empty log, a learner has not."""
    joining = Joining(IDENTITY, "host:1", auto=True)
    newcomer = joining.look(member(JOINING, last_index=0))
    learner = joining.look(member(LEARNER))
    assert newcomer is not None
    assert learner is not None
    assert (newcomer.is_empty, newcomer.is_learner) == (True, False)
    assert (learner.is_empty, learner.is_learner) == (False, False)
    waiting = Joining(IDENTITY, "host:1", auto=False)
    assert waiting.look(member(LEARNER)) is None
    assert waiting.look(member(JOINING, last_index=0)) is None
