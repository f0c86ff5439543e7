"""What the gateway says of the members."""

import asyncio
from types import SimpleNamespace
from typing import Any

from gateway.runtime.status import status_of, without_places
from inventory.raft.v1 import forward_pb2
from inventory.v1 import cluster_pb2

LEADER = cluster_pb2.MEMBER_ROLE_LEADER
FOLLOWER = cluster_pb2.MEMBER_ROLE_FOLLOWER


class FakeLink:
    """A link to a member that describes itself, or does not answer."""

    def __init__(self, name: str, said: cluster_pb2.Member | None) -> None:
        """Stand for a member."""
        self.name = name
        self.address = f"{name}:1"
        self._said = said

    async def get_member(self) -> forward_pb2.GetMemberResponse | None:
        """Return the member's description."""
        if self._said is None:
            return None
        return forward_pb2.GetMemberResponse(cluster_id="c", member=self._said)


def member(name: str, role: cluster_pb2.MemberRole.ValueType, **facts: Any) -> cluster_pb2.Member:  # noqa: ANN401 - fields of the message
    """Return a member's description of itself."""
    return cluster_pb2.Member(name=name, role=role, reachable=True, **facts)


def shown(**said: cluster_pb2.Member | None) -> cluster_pb2.GetStatusResponse:
    """Return the status of members with these descriptions."""
    links: Any = SimpleNamespace(links={name: FakeLink(name, one) for name, one in said.items()})
    return asyncio.run(status_of(links))


def names(status: cluster_pb2.GetStatusResponse) -> list[tuple[str, bool]]:
    """Return the listed members, and whether each answers."""
    return [(one.name, one.reachable) for one in status.members]


def test_who_does_not_answer_is_listed_as_unreachable() -> None:
    """Voters and learners alike, as the leader knows them."""
    leader = member("a", LEADER, term=3, voters=["a", "b"], learners=["c"])
    status = shown(a=leader, b=None, c=None)
    assert names(status) == [("a", True), ("b", False), ("c", False)]
    assert (status.leader, status.cluster_id) == ("a", "c")


def test_who_was_removed_and_does_not_answer_is_left_out() -> None:
    """A removed member that answers says itself that it was removed."""
    leader = member("a", LEADER, term=3, voters=["a", "b"])
    status = shown(a=leader, b=member("b", FOLLOWER), c=None)
    assert names(status) == [("a", True), ("b", True)]
    removed = member("c", FOLLOWER, standing=cluster_pb2.MEMBER_STANDING_REMOVED)
    assert names(shown(a=leader, b=None, c=removed)) == [("a", True), ("b", False), ("c", True)]


def test_without_a_leader_everybody_is_listed() -> None:
    """Without a leader nobody knows who takes part."""
    followers = member("a", FOLLOWER, term=3, voters=["a", "b"])
    status = shown(a=followers, b=None, c=None)
    assert names(status) == [("a", True), ("b", False), ("c", False)]
    assert status.leader == ""


def test_the_leader_of_the_highest_term_counts() -> None:
    """A leader that was cut off still takes itself for the leader, and knows older voters."""
    old = member("a", LEADER, term=3, voters=["a", "b", "c"])
    new = member("b", LEADER, term=4, voters=["a", "b"])
    status = shown(a=old, b=new, c=None)
    assert (status.leader, names(status)) == ("b", [("a", True), ("b", True)])


def test_where_members_run_can_be_left_out() -> None:
    """The rest stays, and the status itself is unchanged."""
    leader = member("a", LEADER, term=3, pid=7, address="a:1", volume={"size_bytes": 5})
    status = shown(a=leader, b=None)
    hidden = without_places(status)
    assert [(one.address, one.pid, one.HasField("volume")) for one in hidden.members] == [
        ("", 0, False),
        ("", 0, False),
    ]
    assert names(hidden) == names(status)
    assert hidden.leader == "a"
    assert hidden.members[0].term == 3
    assert status.members[0].pid == 7
