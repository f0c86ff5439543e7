"""When a member that was asked to stop does so, as far as the member itself decides."""

import pytest
from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.membership.bootstrap import Described
from inventory_node.core.membership.drain import AskLeader, AskReach, AskSelf, Decided, Departure
from wire import errors

NAMES = ("node-0", "node-1", "node-2", "node-3", "node-4")
YES = membership_pb2.ChangeResponse(done=membership_pb2.Done())
REFUSED = membership_pb2.ChangeResponse(error=errors.change_refused("a majority needs it"))
UNKNOWN = membership_pb2.ChangeResponse(error=errors.invalid_field("change", "names no change"))
NOT_LEADER = membership_pb2.ChangeResponse(not_leader=membership_pb2.NotLeader())


def described(*reaches: set[int] | None) -> list[Described | None]:
    """Return what peers with the ids 1, 2, … say whom they reach; None: it does not say."""
    return [
        Described(
            name=NAMES[member],
            says=NAMES[member],
            cluster_id="c",
            member_id=member,
            bootstrapped=True,
            term=1,
            reached=None if others is None else frozenset(others),
        )
        for member, others in enumerate(reaches, 1)
    ]


def begin(departure: Departure, reached: set[int], voters: int = 3) -> object:
    """Begin a try of node-0, the member 9 of so many voters."""
    standing = cluster_pb2.MEMBER_STANDING_VOTER
    view = cluster_pb2.Member(name=NAMES[0], id=9, standing=standing, voters=NAMES[:voters])
    return departure.attempt(view, reached)


def asks(*reaches: set[int] | None, voters: int = 3) -> bool:
    """Tell whether a member goes on to ask a leader, given whom its peers reach."""
    departure, reached = Departure("c"), set(range(1, len(reaches) + 1))
    step = begin(departure, reached, voters)
    if isinstance(step, AskReach):
        assert step.members == reached
        step = departure.hear_reach(described(*reaches), reached)
    assert isinstance(step, AskSelf) or step == Decided(may_leave=False)
    return isinstance(step, AskSelf)


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
def test_it_asks_the_leader_where_the_others_reach_one_another(
    reaches: tuple[set[int] | None, ...], voters: int
) -> None:
    """Enough of them for a majority."""
    assert asks(*reaches, voters=voters)


@pytest.mark.parametrize(
    ("reaches", "voters"),
    [
        (({0}, {0}), 3),
        (({0, 2}, {0}), 3),
        (({0}, None), 3),
        (({2, 3}, {1, 3}, set(), set()), 5),
    ],
)
def test_it_serves_on_while_they_do_not(reaches: tuple[set[int] | None, ...], voters: int) -> None:
    """One elected of them would commit nothing."""
    assert not asks(*reaches, voters=voters)


def test_another_try_is_judged_by_what_they_reach_then() -> None:
    """One of them came back a moment ago, and the other finds it."""
    departure = Departure("c")
    begin(departure, {1, 2})
    assert departure.hear_reach(described({0}, {0, 1}), {1, 2}) == Decided(may_leave=False)
    begin(departure, {1, 2})
    assert isinstance(departure.hear_reach(described({0, 2}, {0, 1}), {1, 2}), AskSelf)


def test_a_member_without_a_vote_asks_nobody() -> None:
    """Nobody needs it."""
    learner = cluster_pb2.Member(standing=cluster_pb2.MEMBER_STANDING_LEARNER, voters=NAMES[:3])
    assert Departure("c").attempt(learner, {1, 2, 3}) == Decided(may_leave=True)


def test_a_key_that_was_changed_keeps_nobody_from_stopping() -> None:
    """The leader is asked all the same, whom this member reaches."""
    departure = Departure("c")
    begin(departure, {1, 2})
    leave = membership_pb2.Leave(member_id=9, reached=[1, 2])
    request = membership_pb2.ChangeRequest(cluster_id="c", leave=leave)
    assert departure.hear_reach(None, {1, 2}) == AskSelf(request)


@pytest.mark.parametrize(
    ("answer", "may_leave"),
    [
        (YES, True),
        (REFUSED, False),
        (UNKNOWN, True),  # an earlier version refuses the question, and would for ever
    ],
)
def test_who_leads_decides(answer: membership_pb2.ChangeResponse, *, may_leave: bool) -> None:
    """The member itself, or another one."""
    departure = Departure("c")
    step = begin(departure, {1})
    assert isinstance(step, AskSelf)
    assert departure.hear_self(step, answer) == Decided(may_leave)
    assert departure.hear_self(step, NOT_LEADER) == AskLeader(step.request)
    assert departure.hear_leader(answer, {1}) == Decided(may_leave)


@pytest.mark.parametrize(("reached", "may_leave"), [(set(), True), ({1}, False), ({1, 2}, False)])
def test_where_nobody_leads_it_stays_for_an_election(reached: set[int], *, may_leave: bool) -> None:
    """Unless there is no majority even with it."""
    departure = Departure("c")
    begin(departure, {1})
    assert departure.hear_leader(None, reached) == Decided(may_leave)
