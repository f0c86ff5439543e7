"""Reads at any member, as fresh as their caller asks for."""

from pathlib import Path

from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from sim.manual_cluster import HandMember, ManualCluster, get_all_items, get_item, order
from wire.errors import Reason, reason_of


def stale(question: forward_pb2.Question) -> forward_pb2.Question:
    """Let a question be content with whatever a member holds."""
    question.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
    return question


def bounded(question: forward_pb2.Question, milliseconds: int) -> forward_pb2.Question:
    """Let a question be content with a state that is so old."""
    question.read_options.consistency = inventory_pb2.CONSISTENCY_BOUNDED_STALENESS
    question.read_options.max_staleness.FromMilliseconds(milliseconds)
    return question


def quantity(member: HandMember, number: int) -> int:
    """Read the answer to a `get_item`."""
    answer = member.replies()[number].answer
    return inventory_pb2.GetItemResponse.FromString(answer).item.quantity


class TestFollowers:
    """A member that does not lead asks its leader where a read may be answered (§6.4)."""

    def test_a_follower_answers_with_what_was_acknowledged_before(self, tmp_path: Path) -> None:
        """It has not applied that yet when it is asked, and waits until it has."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        cluster[2].cut_off = True
        leader.ask(order("a", quantity=40))
        cluster.settle()
        assert leader.replies()[1].outcome, "members 1 and 3 are a majority"
        cluster[2].cut_off = False
        cluster[2].ask(questions=[get_item(1)])
        assert cluster[2].replies() == {}
        cluster.pass_time(4)
        assert quantity(cluster[2], 1) == 60

    def test_a_query_of_a_follower_waits_for_its_own_flush(self, tmp_path: Path) -> None:
        """Its own database answers."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(order("a", quantity=40))
        cluster.settle()
        cluster[3].ask(questions=[get_all_items(1)])
        cluster.pass_time(4)
        answer = inventory_pb2.GetAllItemsResponse.FromString(cluster[3].replies()[1].answer)
        assert [item.quantity for item in answer.items] == [60]

    def test_a_follower_that_reaches_nobody_sends_the_question_away(self, tmp_path: Path) -> None:
        """It cannot know what was acknowledged meanwhile."""
        cluster = ManualCluster(tmp_path)
        cluster.elect(1)
        cluster.open()
        cluster[2].cut_off = True
        cluster[2].ask(questions=[get_item(1)])
        cluster.pass_time(30, 2)
        assert cluster[2].replies()[1].retry == forward_pb2.RETRY_NOT_LEADER
        cluster[2].ask(questions=[get_item(2)])
        cluster.settle()
        assert cluster[2].replies()[2].retry == forward_pb2.RETRY_NOT_LEADER, "nobody leads it"

    def test_commands_are_for_the_leader_alone(self, tmp_path: Path) -> None:
        """A follower takes the questions of a frame and sends its commands away."""
        cluster = ManualCluster(tmp_path)
        cluster.elect(1)
        cluster.open()
        cluster[2].ask(order("a"), questions=[get_item(2)])
        cluster.pass_time(4)
        assert cluster[2].replies()[1].retry == forward_pb2.RETRY_NOT_LEADER
        assert quantity(cluster[2], 2) == 100


class TestStaleReads:
    """They need nobody."""

    def test_a_member_alone_answers_from_what_it_holds(self, tmp_path: Path) -> None:
        """From memory and from its database, and says of which revision."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        cluster.pass_time(4)
        cluster[2].cut_off = True
        leader.ask(order("a", quantity=40))
        cluster.settle()
        cluster[2].ask(questions=[stale(get_item(1)), stale(get_all_items(2))])
        cluster.settle()
        assert quantity(cluster[2], 1) == 100
        answer = inventory_pb2.GetAllItemsResponse.FromString(cluster[2].replies()[2].answer)
        assert [item.quantity for item in answer.items] == [100]
        assert answer.revision <= cluster[2].node.view().applied_index


class TestBoundedStaleness:
    """A round that began lately enough will do."""

    def test_a_recent_round_answers_at_once_and_an_old_one_does_not(self, tmp_path: Path) -> None:
        """Its age counts from its begin, on the member's own clock."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        cluster[2].clock.ms += 1_001  # since the round that is made when a leader is met
        cluster[2].ask(questions=[bounded(get_item(1), 1_000)])
        cluster.pass_time(4)
        assert quantity(cluster[2], 1) == 100, "there was no such round: one began"
        cluster[2].cut_off = True
        leader.ask(order("a", quantity=40))
        cluster.settle()
        cluster[2].clock.ms += 1_000
        cluster[2].ask(questions=[bounded(get_item(2), 1_000)])
        assert quantity(cluster[2], 2) == 100
        cluster[2].clock.ms += 1
        cluster[2].ask(questions=[bounded(get_item(3), 1_000)])
        assert 3 not in cluster[2].replies()
        cluster[2].cut_off = False
        cluster.pass_time(4)
        assert quantity(cluster[2], 3) == 60

    def test_a_round_that_was_asked_for_before_a_pause_is_as_old_as_its_begin(
        self, tmp_path: Path
    ) -> None:
        """The reply may come late; it says nothing of the time since it was asked for."""
        cluster = ManualCluster(tmp_path)
        cluster.elect(1)
        cluster.open()
        cluster[2].ask(questions=[get_item(1)])
        cluster[2].clock.ms += 5_000
        cluster.pass_time(4)
        assert quantity(cluster[2], 1) == 100
        cluster[2].cut_off = True
        cluster[2].ask(questions=[bounded(get_item(2), 4_000)])
        assert 2 not in cluster[2].replies()

    def test_nonsense_is_refused(self, tmp_path: Path) -> None:
        """A bound without the choice, the choice without a bound, and no value at all."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        lost = bounded(get_item(1), 5)
        lost.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
        none = get_item(2)
        none.read_options.consistency = inventory_pb2.CONSISTENCY_BOUNDED_STALENESS
        leader.ask(questions=[lost, none, bounded(get_item(3), 0)])
        for number in (1, 2, 3):
            assert reason_of(leader.replies()[number].error) is Reason.INVALID_FIELD
