"""When a member that was asked to stop does so, as far as the member itself decides."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.membership.bootstrap import Described
from inventory_node.core.membership.drain import (
    AskLeader,
    AskReach,
    AskSelf,
    Decided,
    Departure,
    Drain,
)
from raft.messages import Configuration
from raft.view import Follower
from sim.manual_cluster import HandClock
from wire import errors

if TYPE_CHECKING:
    from raft import RawNode

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
            founding="",
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


def test_a_peer_that_has_no_vote_is_not_counted() -> None:
    """Nor is one that is gone; with too few voters left the leader decides."""
    departure = Departure("c")
    begin(departure, {1, 2})
    described_ = [None, *described({0}, {0}, None)[1:]]  # node-3 is none of the three
    assert isinstance(departure.hear_reach(described_, {2, 3}), AskSelf)


@dataclass(slots=True)
class Leading:
    """What a drain looks at: the leader 1 of voters that hold and answer everything."""

    voters: int
    learners: frozenset[int] = frozenset()
    id: int = 1
    commit_index: int = 1_000
    followers: dict[int, Follower] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let every other member be there."""
        others = {*range(2, self.voters + 1), *self.learners}
        self.followers = {
            one: Follower(1_000, 0, is_present=True, needs_snapshot=False) for one in others
        }

    @property
    def configuration(self) -> Configuration:
        """Return the voters."""
        return Configuration(frozenset(range(1, self.voters + 1)), self.learners)


class Draining:
    """A leader that is asked by members whether they may leave."""

    def __init__(self, voters: int, learners: frozenset[int] = frozenset()) -> None:
        """Begin long after the start, with nobody gone."""
        self.raft = Leading(voters, learners)
        self.clock = HandClock()
        self.drain = Drain(self.clock)

    def may(self, member: int, reached: set[int] | None = None) -> bool:
        """Ask for a member, which reaches everybody unless a test says otherwise."""
        everybody = {1, *self.raft.followers} - {member}
        reached = everybody if reached is None else reached
        return self.drain.grant_leave(member, reached, cast("RawNode", self.raft))

    def lag(self, member: int, entries: int, *, is_present: bool = True) -> None:
        """Let a member lack committed entries, or be silent."""
        match_index = self.raft.commit_index - entries
        self.raft.followers[member] = Follower(
            match_index, 0, is_present=is_present, needs_snapshot=False
        )


class TestTheLeader:
    """It keeps a majority that holds the committed entries, and lets go whom nobody needs."""

    def test_as_many_may_go_as_leave_a_majority(self) -> None:
        """One of three, two of five; a learner whenever it likes, and of four only one."""
        for voters, granted in ((3, 1), (4, 1), (5, 2)):
            draining = Draining(voters)
            assert [draining.may(member) for member in range(2, 2 + granted)] == [True] * granted
            assert not draining.may(2 + granted)
        learning = Draining(3, frozenset({9}))
        assert learning.may(9)
        assert learning.may(2), "a learner that goes takes no majority along"

    def test_the_leader_itself_may_go(self) -> None:
        """It stays for others until then, and is gone for them afterwards."""
        draining = Draining(3)
        assert draining.may(1)
        assert not draining.may(2)

    def test_a_member_that_was_let_go_is_gone_for_two_seconds(self) -> None:
        """By then it has stopped, which is seen; or it is there again."""
        draining = Draining(3)
        assert draining.may(2)
        draining.clock.ms += 1_999
        assert not draining.may(3)
        draining.clock.ms += 1
        assert draining.may(3)

    def test_a_member_that_is_silent_or_far_behind_does_not_stay(self) -> None:
        """It helps to commit nothing soon: far are more entries than 256."""
        draining = Draining(3)
        draining.lag(3, 256)
        assert draining.may(2)
        draining = Draining(3)
        draining.lag(3, 257)
        assert not draining.may(2)
        draining.lag(3, 0, is_present=False)
        assert not draining.may(2)

    def test_a_member_that_the_asker_does_not_reach_does_not_stay(self) -> None:
        """The leader does not know yet what the asker sees. Itself it counts in any case."""
        draining = Draining(3)
        assert not draining.may(2, reached={1})
        assert not draining.may(2, reached={1, 7}), "who has no vote commits nothing"
        assert draining.may(2, reached={3})

    def test_where_no_majority_is_left_anyway_nobody_is_kept(self) -> None:
        """Of three, two are gone: the third could not commit either. Of five, one is needed."""
        draining = Draining(3)
        assert draining.may(2, reached=set()) is False
        draining.lag(2, 0, is_present=False)
        draining.lag(3, 0, is_present=False)
        assert draining.may(1)
        draining = Draining(5)
        assert not draining.may(2, reached={3})
        draining.lag(3, 0, is_present=False)
        assert draining.may(2, reached={3})

    def test_all_that_stay_may_go_when_they_want_to(self) -> None:
        """Each asked within the last second; the cluster is being stopped."""
        draining = Draining(3)
        assert draining.may(2)
        assert not draining.may(3), "the leader has not asked"
        draining.clock.ms += 999
        assert draining.may(1), "member 3 wants to go too"
        assert draining.may(3), "and all have asked"
        late = Draining(3)
        assert late.may(2)
        assert not late.may(3)
        late.clock.ms += 1_000
        assert not late.may(1)
        early = Draining(3)
        early.clock.ms = 0
        assert early.may(2)
        assert not early.may(3), "nobody has asked before the clock began"
