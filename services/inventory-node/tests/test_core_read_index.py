"""Linearizable reads, with every heartbeat let go by hand."""

from dataclasses import replace
from pathlib import Path

from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from inventory_node.core.events import Tick
from inventory_node.core.node import NodeSettings
from sim.manual_cluster import HandMember, ManualCluster, get_all_items, get_item, order


def quantity(member: HandMember, number: int) -> int:
    """Read the answer to a `get_item`."""
    answer = member.replies()[number].answer
    return inventory_pb2.GetItemResponse.FromString(answer).item.quantity


class TestAQuorumComesFirst:
    """No question is answered from a state that may have been overtaken."""

    def test_a_question_waits_for_the_round(self, tmp_path: Path) -> None:
        """Without its followers a leader says nothing; with one it answers."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        cluster[2].cut_off = cluster[3].cut_off = True
        leader.ask(questions=[get_item(1)])
        cluster.settle()
        assert leader.replies() == {}
        cluster[3].cut_off = False
        cluster.pass_time(2, 1)
        assert quantity(leader, 1) == 100

    def test_a_leader_that_was_paused_does_not_answer_from_the_past(self, tmp_path: Path) -> None:
        """Stopped while others elected and wrote, it takes itself for the leader at first."""
        cluster = ManualCluster(tmp_path)
        old = cluster.elect(1)
        cluster.open()
        old.cut_off = True
        new = cluster.elect(2)
        new.ask(order("a", quantity=40))
        cluster.settle()
        old.cut_off = False
        assert old.leads
        old.ask(questions=[get_item(1)])
        assert old.replies() == {}
        cluster.settle()
        assert old.replies()[1].retry == forward_pb2.RETRY_NOT_LEADER
        new.ask(questions=[get_item(2)])
        cluster.settle()
        assert quantity(new, 2) == 60

    def test_a_question_does_not_join_a_round_that_has_begun(self, tmp_path: Path) -> None:
        """Replies on their way prove nothing about the time after they were sent."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(questions=[get_item(1)])
        leader.ask(questions=[get_item(2)])
        cluster.deliver()
        assert set(leader.replies()) == {1}
        cluster.settle()
        assert set(leader.replies()) == {1, 2}

    def test_a_read_after_a_write_sees_it(self, tmp_path: Path) -> None:
        """Also when both come in one frame's time and the write is not applied yet."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(order("a", quantity=5))
        cluster.settle()
        leader.ask(questions=[get_item(2)])
        cluster.settle()
        assert quantity(leader, 2) == 95


class TestQueries:
    """What needs the database waits for a flush that covers the index, together."""

    def test_queries_wait_for_one_flush_and_see_what_was_written(self, tmp_path: Path) -> None:
        """The flush begins because they ask for it."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(order("a", quantity=5))
        cluster.settle()
        leader.store_held = True
        leader.ask(questions=[get_all_items(2), get_all_items(3)])
        cluster.settle()
        assert set(leader.replies()) == {1}
        leader.store_held = False
        cluster.settle()
        for number in (2, 3):
            answer = inventory_pb2.GetAllItemsResponse.FromString(leader.replies()[number].answer)
            assert [item.quantity for item in answer.items] == [95]
            assert answer.revision == leader.node.view().applied_index

    def test_a_query_of_a_flushed_state_needs_no_flush(self, tmp_path: Path) -> None:
        """Nothing was applied in between."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(questions=[get_all_items(1)])
        cluster.settle()
        flushes = leader.store.flushes
        leader.ask(questions=[get_all_items(2)])
        cluster.settle()
        assert set(leader.replies()) == {1, 2}
        assert leader.store.flushes == flushes

    def test_past_the_bound_a_question_is_sent_away(self, tmp_path: Path) -> None:
        """The queue of questions has an end, and empties again."""

        def small(settings: NodeSettings) -> NodeSettings:
            return replace(settings, questions_waiting_max=2)

        cluster = ManualCluster(tmp_path, change=small)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(questions=[get_item(1), get_all_items(2), get_item(3)])
        cluster.settle()
        assert leader.replies()[3].retry == forward_pb2.RETRY_OVERLOADED
        leader.ask(questions=[get_item(4), get_all_items(5)])
        cluster.settle()
        assert {4, 5} <= {n for n, reply in leader.replies().items() if reply.answer}


class TestCaughtUp:
    """A member that starts is behind until it has applied what the leader had committed."""

    def test_a_member_that_comes_back_has_first_to_apply_what_it_missed(
        self, tmp_path: Path
    ) -> None:
        """Though it knows the leader long before, and no more of the log than its own end."""

        def small(settings: NodeSettings) -> NodeSettings:
            return replace(settings, entries_per_append_max=1, appends_in_flight_max=1)

        cluster = ManualCluster(tmp_path, change=small)
        leader = cluster.elect(1)
        cluster.open()
        cluster[3].crash()
        cluster[3].cut_off = True
        for number in range(20):
            leader.ask(order(f"order {number}"), first_id=number + 1)
            cluster.settle()
        missed = leader.node.view().commit_index
        cluster[3].start()
        cluster[3].cut_off = False
        seen: list[tuple[bool, bool]] = []  # knows a leader, has caught up
        for _ in range(200):
            leader.handle(Tick())
            for member in cluster.members.values():
                member.work()
            cluster.deliver()
            view = cluster[3].node.view()
            seen.append((bool(view.leader), view.caught_up))
            assert view.caught_up <= (view.applied_index >= missed)
        assert (True, False) in seen, "it was never seen to be behind"
        assert seen[-1] == (True, True)

    def test_who_is_alone_has_not_caught_up(self, tmp_path: Path) -> None:
        """Neither at its start, nor after its leader was lost; with a leader it has again."""
        cluster = ManualCluster(tmp_path)
        assert not cluster[1].node.view().caught_up
        cluster.elect(1)
        cluster.pass_time(4)
        assert [member.node.view().caught_up for member in cluster.members.values()] == [True] * 3
        cluster[2].cut_off = True
        cluster.pass_time(2 * cluster[2].settings.election_timeout_ticks_max, 2)
        assert not cluster[2].node.view().caught_up
        cluster[2].cut_off = False
        cluster.pass_time(8)
        assert cluster[2].node.view().caught_up
