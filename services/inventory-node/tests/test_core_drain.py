"""When a member that was asked to stop does so, as far as the others have to reach one another."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.membership.bootstrap import Described
from inventory_node.runtime import changes as changes_module
from inventory_node.runtime.changes import Changes, Leaving

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory_node.runtime.peers import Peers

NAMES = ("node-0", "node-1", "node-2", "node-3", "node-4")
YES = membership_pb2.ChangeResponse(done=membership_pb2.Done())


class FakeMember:
    """A leader that allows everything, and peers that say whom they reach."""

    def __init__(self, *reaches: set[int] | None) -> None:
        """Have a peer for each, with the ids 1, 2, …; None: it does not say."""
        self.reaches = list(reaches)
        self.reached = set(range(1, len(reaches) + 1))
        self.asked = 0
        self.described = 0
        self.then: Callable[[], None] = lambda: None

    async def ask(self, _: membership_pb2.ChangeRequest) -> membership_pb2.ChangeResponse:
        """Allow it."""
        self.asked += 1
        return YES

    async def describe(self, members: set[int]) -> list[Described]:
        """Say whom each peer reaches."""
        assert members == self.reached
        self.described += 1
        said = [
            Described(
                NAMES[member], NAMES[member], "c", member, bootstrapped=True, term=1,
                reached=None if others is None else frozenset(others),
            )
            for member, others in enumerate(self.reaches, 1)
        ]  # fmt: skip
        self.then()
        return said


def leaves(member: FakeMember, voters: int = 3) -> bool:
    """Ask it to stop; tell whether it does before its time is up."""
    view = cluster_pb2.Member(
        name=NAMES[0], standing=cluster_pb2.MEMBER_STANDING_VOTER, voters=NAMES[:voters]
    )
    leaving = Leaving(cast("Changes", member), cast("Peers", member), "c")
    asyncio.run(leaving.run(lambda: view, 0.05))
    return member.asked > 0


@pytest.mark.parametrize(
    ("reaches", "voters"),
    [
        (({2}, {1}), 3),
        (({0, 2}, {0, 1}), 3),
        ((None, None), 3),
        ((None, {1}), 3),
        (({2, 3}, {1, 3}, {1, 2}, set()), 5),
        (({2, 3}, {1, 3}, {1, 2}), 5),
        (({0},), 3),  # no majority without it: the leader decides
    ],
)
def test_it_leaves_where_the_others_reach_one_another(
    reaches: tuple[set[int] | None, ...], voters: int
) -> None:
    """Enough of them for a majority."""
    assert leaves(FakeMember(*reaches), voters)


@pytest.mark.parametrize(
    ("reaches", "voters"),
    [
        (({0}, {0}), 3),
        (({0, 2}, {0}), 3),
        (({0}, None), 3),
        (({2, 3}, {1, 3}, set(), set()), 5),
    ],
)
def test_it_serves_on_while_they_do_not(
    reaches: tuple[set[int] | None, ...], voters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One elected of them would commit nothing; it asks again until its time is up."""
    monkeypatch.setattr(changes_module, "LEAVE_SECONDS", 0)
    member = FakeMember(*reaches)
    assert not leaves(member, voters)
    assert member.described > 1


def test_it_leaves_as_soon_as_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them came back a moment ago, and the other finds it."""
    monkeypatch.setattr(changes_module, "LEAVE_SECONDS", 0)
    member = FakeMember({0}, {0, 1})

    def found() -> None:
        member.reaches[0] = {0, 2}

    member.then = found
    assert leaves(member)
    assert (member.asked, member.described) == (1, 2)
