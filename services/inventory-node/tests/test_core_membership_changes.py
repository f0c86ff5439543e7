"""Members that join, are promoted, leave and hand over, as those see it who ask for it."""

from collections.abc import Iterable
from itertools import count
from pathlib import Path

from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.events import ChangeAsked, Tick
from inventory_node.core.membership.drain import ASKED_MS, BEHIND_ENTRIES_MAX
from inventory_node.ports import Contact
from sim.manual_cluster import HandMember, ManualCluster, get_item, order
from wire.errors import Reason, reason_of

TICKETS = count(1)
VOTER = membership_pb2.STANDING_VOTER
LEARNER = membership_pb2.STANDING_LEARNER
REMOVED = membership_pb2.STANDING_REMOVED
ABSENT = membership_pb2.STANDING_ABSENT


def ask(member: HandMember, request: membership_pb2.ChangeRequest) -> int:
    """Ask a member for a change; return the ticket of its answer."""
    ticket = next(TICKETS)
    member.handle(ChangeAsked(ticket, request))
    return ticket


def join(number: int, name: str = "", *, empty: bool = True) -> membership_pb2.ChangeRequest:
    """Return what a member asks that wants to take part."""
    name = name or f"node-{number}"
    asked = membership_pb2.Join(member_id=number, name=name, address="host:1", is_empty=empty)
    return membership_pb2.ChangeRequest(join=asked)


def standing(member: HandMember, ticket: int) -> membership_pb2.Standing.ValueType:
    """Return the standing that a change was answered with."""
    return member.transport.changes[ticket].done.standing


def reason(member: HandMember, ticket: int) -> Reason | None:
    """Return why a change was refused."""
    return reason_of(member.transport.changes[ticket].error)


def view(member: HandMember) -> cluster_pb2.MemberStanding.ValueType:
    """Return how a member says that it takes part."""
    return member.node.view().standing


def grown(tmp_path: Path) -> tuple[ManualCluster, HandMember, HandMember]:
    """Return three members, their leader, and a fourth one that has got a vote."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster.open()
    fourth = cluster.add_member(4)
    for expected in (LEARNER, VOTER):
        ticket = ask(leader, join(4))
        cluster.pass_time(6)
        assert standing(leader, ticket) == expected
    return cluster, leader, fourth


def test_a_member_joins_as_a_learner_and_gets_a_vote_when_it_has_caught_up(tmp_path: Path) -> None:
    """It asks again and again; the answer comes when the change is committed."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster.open()
    leader.ask(order("a", quantity=40))
    fourth = cluster.add_member(4)
    assert view(fourth) == cluster_pb2.MEMBER_STANDING_JOINING
    leader.disk_held = True
    ticket = ask(leader, join(4))
    assert ticket not in leader.transport.changes
    leader.disk_held = False
    cluster.settle()
    assert standing(leader, ticket) == LEARNER
    assert view(fourth) == cluster_pb2.MEMBER_STANDING_LEARNER
    assert cluster[2].transport.contacts == {4: Contact("node-4", "host:1")}
    assert fourth.transport.contacts == {}, "it needs not meet itself"
    cluster.pass_time(4)
    ticket = ask(leader, join(4))
    cluster.pass_time(2)
    assert standing(leader, ticket) == VOTER
    assert view(fourth) == cluster_pb2.MEMBER_STANDING_VOTER
    cluster.open(session=8)
    fourth.ask(questions=[get_item(1)], session=8)
    cluster.pass_time(4)
    assert 1 in fourth.replies(session=8)


def test_a_learner_that_asks_for_no_vote_gets_none(tmp_path: Path) -> None:
    """It was told to wait for `promote`."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster.add_member(4)
    for _ in range(3):
        request = join(4)
        request.join.is_learner = True
        ticket = ask(leader, request)
        cluster.pass_time(4)
        assert standing(leader, ticket) == LEARNER
    ticket = ask(leader, membership_pb2.ChangeRequest(promote="node-4"))
    cluster.settle()
    assert standing(leader, ticket) == VOTER


def test_a_vote_of_the_newcomer_counts(tmp_path: Path) -> None:
    """With two of four dead nothing is committed; with a third one back it is."""
    cluster, leader, _ = grown(tmp_path)
    cluster[2].cut_off = cluster[3].cut_off = True
    leader.ask(order("a", quantity=1), first_id=7)
    cluster.settle()
    assert 7 not in leader.replies()
    cluster[3].cut_off = False
    cluster.pass_time(4, 1)
    assert 7 in leader.replies()


def test_only_the_leader_changes_anything(tmp_path: Path) -> None:
    """The others say who leads."""
    cluster = ManualCluster(tmp_path)
    cluster.elect(1)
    cluster.pass_time(2)
    ticket = ask(cluster[2], join(4))
    assert cluster[2].transport.changes[ticket].not_leader.leader == "node-1"


def test_a_removed_member_knows_it_and_is_not_taken_back_with_its_old_id(tmp_path: Path) -> None:
    """Its log is not empty, so it took part once; under a new id it may join."""
    cluster, leader, fourth = grown(tmp_path)
    ticket = ask(leader, membership_pb2.ChangeRequest(remove="node-4"))
    cluster.pass_time(30, 1)
    assert standing(leader, ticket) == REMOVED
    assert view(fourth) == cluster_pb2.MEMBER_STANDING_REMOVED
    ticket = ask(leader, join(4, empty=False))
    assert standing(leader, ticket) == REMOVED
    ticket = ask(leader, join(9, "node-4"))
    cluster.settle()
    assert standing(leader, ticket) == LEARNER


def test_a_change_comes_back_after_a_restart(tmp_path: Path) -> None:
    """Names and addresses stand in the log with the configuration."""
    cluster, _, _ = grown(tmp_path)
    cluster[3].crash()
    cluster[3].start()
    assert cluster[3].transport.contacts == {4: Contact("node-4", "host:1")}


def test_an_emptied_volume_takes_the_place_of_the_old_member(tmp_path: Path) -> None:
    """First the old id goes, then the new one follows, then it votes; never two at once."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster.open()
    ticket = ask(leader, join(9, "node-3"))
    assert reason(leader, ticket) is Reason.CHANGE_REFUSED, "node-3 is alive"
    cluster[3].cut_off = True
    cluster.pass_time(60, 1, 2)
    cluster.add_member(9, "node-3")
    for expected in (ABSENT, LEARNER, VOTER):
        ticket = ask(leader, join(9, "node-3"))
        cluster.pass_time(6, 1, 2, 9)
        assert standing(leader, ticket) == expected
    leader.ask(order("a"), first_id=7)
    cluster[2].cut_off = True
    cluster.pass_time(4, 1, 9)
    assert 7 in leader.replies(), "members 1 and 9 are two of three"


def test_nobody_is_removed_when_no_majority_would_be_left(tmp_path: Path) -> None:
    """Of three with one dead, the other follower has to stay."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster[3].cut_off = True
    cluster.pass_time(60, 1, 2)
    ticket = ask(leader, membership_pb2.ChangeRequest(remove="node-2"))
    assert reason(leader, ticket) is Reason.CHANGE_REFUSED
    ticket = ask(leader, membership_pb2.ChangeRequest(remove="node-3"))
    cluster.settle()
    assert standing(leader, ticket) == REMOVED


def test_strangers_are_not_found(tmp_path: Path) -> None:
    """Each change by name says so."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    for request in (
        membership_pb2.ChangeRequest(promote="node-8"),
        membership_pb2.ChangeRequest(remove="node-8"),
        membership_pb2.ChangeRequest(transfer="node-8"),
    ):
        ticket = ask(leader, request)
        assert reason(leader, ticket) is Reason.MEMBER_NOT_FOUND
    ticket = ask(leader, membership_pb2.ChangeRequest())
    assert reason(leader, ticket) is Reason.INVALID_FIELD


def test_the_lead_is_handed_over_to_whom_it_is_asked(tmp_path: Path) -> None:
    """The answer comes when it is done; to the leader itself there is nothing to do."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    ticket = ask(leader, membership_pb2.ChangeRequest(transfer="node-3"))
    cluster.settle()
    assert cluster[3].leads
    assert standing(leader, ticket) == VOTER
    ticket = ask(cluster[3], membership_pb2.ChangeRequest(transfer="node-3"))
    assert standing(cluster[3], ticket) == VOTER


def test_a_transfer_without_effect_is_told(tmp_path: Path) -> None:
    """The successor is cut off before it hears of it."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster.pass_time(2)
    cluster[3].cut_off = True
    ticket = ask(leader, membership_pb2.ChangeRequest(transfer="node-3"))
    cluster.pass_time(14, 1, 2)
    assert reason(leader, ticket) is Reason.CHANGE_REFUSED
    assert leader.leads


def test_a_lead_lost_under_way_leaves_the_change_open(tmp_path: Path) -> None:
    """Nobody knows what became of it, so it is asked for again."""
    cluster = ManualCluster(tmp_path)
    old = cluster.elect(1)
    cluster.pass_time(2)
    old.cut_off = True
    ticket = ask(old, join(4))
    cluster.elect(2)
    old.cut_off = False
    cluster.pass_time(6)
    assert old.transport.changes[ticket].HasField("not_leader")
    assert view(old) == cluster_pb2.MEMBER_STANDING_VOTER


def test_a_leader_that_removes_itself_says_that_it_is_done(tmp_path: Path) -> None:
    """It leads until its removal is committed, and that is when the lead is lost."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster.pass_time(2)
    ticket = ask(leader, membership_pb2.ChangeRequest(remove="node-1"))
    cluster.pass_time(4)
    assert standing(leader, ticket) == REMOVED
    assert cluster[2].leads != cluster[3].leads
    assert view(leader) == cluster_pb2.MEMBER_STANDING_REMOVED


def test_a_leader_of_an_earlier_term_says_nothing_of_a_member_that_came_later(
    tmp_path: Path,
) -> None:
    """It was cut off before, so what it has committed does not tell of that member."""
    cluster = ManualCluster(tmp_path)
    old = cluster.elect(1)
    cluster.pass_time(2)
    old.cut_off = True
    leader = cluster.elect(2)
    cluster.add_member(4)
    cluster.pass_time(2, 2, 3)
    ticket = ask(leader, join(4))
    cluster.pass_time(4, 2, 3)
    assert standing(leader, ticket) == LEARNER
    request = join(4, empty=False)
    request.join.term = cluster[4].node.view().term
    assert old.leads
    ticket = ask(old, request)
    assert old.transport.changes[ticket].HasField("not_leader")


def test_a_leader_that_has_committed_nothing_in_its_term_says_of_nobody_that_it_was_removed(
    tmp_path: Path,
) -> None:
    """It does not know yet what its predecessors committed (Raft §8)."""
    cluster = ManualCluster(tmp_path)
    cluster.elect(1).cut_off = True
    successor = cluster[2]
    for _ in range(successor.settings.election_timeout_ticks_min):
        cluster[3].handle(Tick())
    while not successor.leads:
        successor.handle(Tick())
        for _ in range(4):
            for other in () if successor.leads else (2, 3):
                cluster[other].work()
            if not successor.leads:
                cluster.deliver()
    ticket = ask(successor, join(9, empty=False))
    assert successor.transport.changes[ticket].HasField("not_leader")
    cluster.settle()
    ticket = ask(successor, join(9, empty=False))
    assert standing(successor, ticket) == REMOVED


def leave(number: int, reached: Iterable[int] = range(1, 5)) -> membership_pb2.ChangeRequest:
    """Return what a member asks that is asked to stop."""
    asked = membership_pb2.Leave(member_id=number, reached=reached)
    return membership_pb2.ChangeRequest(leave=asked)


def may_leave(leader: HandMember, number: int, reached: Iterable[int] = range(1, 5)) -> bool:
    """Ask whether a member may stop that reaches these."""
    ticket = ask(leader, leave(number, reached))
    answer = leader.transport.changes[ticket]
    assert answer.HasField("done") or reason(leader, ticket) is Reason.CHANGE_REFUSED
    return answer.HasField("done")


def met(tmp_path: Path) -> tuple[ManualCluster, HandMember]:
    """Return three members that have heard of each other, and their leader."""
    cluster = ManualCluster(tmp_path)
    leader = cluster.elect(1)
    cluster.open()
    cluster.pass_time(4)
    return cluster, leader


class TestLeaving:
    """A member that is asked to stop waits while a majority needs it."""

    def test_one_at_a_time(self, tmp_path: Path) -> None:
        """The second may go when the first is back."""
        cluster, leader = met(tmp_path)
        assert may_leave(leader, 3)
        assert not may_leave(leader, 2), "though the first has not fallen silent yet"
        cluster[3].cut_off = True
        leader.clock.ms += 10_000
        cluster.pass_time(4 * leader.settings.election_timeout_ticks_max, 1, 2)
        assert not may_leave(leader, 2)
        leader.clock.ms += ASKED_MS
        assert not may_leave(leader, 1)
        cluster[3].cut_off = False
        cluster.pass_time(leader.settings.election_timeout_ticks_max)
        new = next(member for member in cluster.members.values() if member.leads)
        assert may_leave(new, 2)

    def test_the_leader_too(self, tmp_path: Path) -> None:
        """It counts like the others."""
        _, leader = met(tmp_path)
        assert may_leave(leader, 1)
        assert not may_leave(leader, 2)

    def test_one_that_only_the_leader_still_hears_does_not_count(self, tmp_path: Path) -> None:
        """Its connections are closed, and its last reply is not old yet."""
        _, leader = met(tmp_path)
        assert not may_leave(leader, 2, reached=[1])
        assert not may_leave(leader, 1, reached=[3])
        assert may_leave(leader, 2, reached=[1, 3])

    def test_one_that_is_far_behind_does_not_stay_for_two(self, tmp_path: Path) -> None:
        """It is there, and could commit nothing for a while."""
        cluster, leader = met(tmp_path)
        cluster[3].disk_held = True
        for number in range(BEHIND_ENTRIES_MAX + 1):
            leader.ask(order(f"order {number}"), first_id=number + 1)
            cluster.settle()
        assert leader.node.view().commit_index > BEHIND_ENTRIES_MAX
        assert not may_leave(leader, 2)
        cluster[3].disk_held = False
        cluster.pass_time(4)
        assert may_leave(leader, 2)

    def test_without_a_majority_nobody_is_kept(self, tmp_path: Path) -> None:
        """There is nothing to break."""
        cluster, leader = met(tmp_path)
        cluster[2].cut_off = cluster[3].cut_off = True
        assert may_leave(leader, 1, reached=[])

    def test_when_all_are_to_go_nobody_is_kept(self, tmp_path: Path) -> None:
        """Two of them asked, and the third is let go already."""
        _, leader = met(tmp_path)
        assert may_leave(leader, 3)
        assert not may_leave(leader, 2)
        assert may_leave(leader, 1), "the other one that is left wants to go too"
        assert may_leave(leader, 2)
        leader.clock.ms += ASKED_MS
        assert not may_leave(leader, 2), "who does not ask any more stays"

    def test_a_learner_is_not_needed(self, tmp_path: Path) -> None:
        """It has no vote; and it is no majority for others."""
        cluster, leader = met(tmp_path)
        cluster.add_member(4)
        ticket = ask(leader, join(4))
        cluster.pass_time(6)
        assert standing(leader, ticket) == LEARNER
        assert may_leave(leader, 3)
        assert not may_leave(leader, 2)
        assert may_leave(leader, 4)

    def test_a_single_member_may_always_go(self, tmp_path: Path) -> None:
        """Nobody else could stay."""
        cluster = ManualCluster(tmp_path, count=1)
        assert may_leave(cluster.elect(1), 1)

    def test_who_does_not_lead_says_who_does(self, tmp_path: Path) -> None:
        """It knows nothing of the others."""
        cluster, _ = met(tmp_path)
        ticket = ask(cluster[2], leave(2))
        assert cluster[2].transport.changes[ticket].not_leader.leader == "node-1"
