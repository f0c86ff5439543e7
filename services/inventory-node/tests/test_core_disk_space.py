"""A full disk: writes are refused with a reason, reads go on, and so does the member by itself."""

from dataclasses import replace
from pathlib import Path

import pytest
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import inventory_pb2
from inventory_node.core.events import StopRequested, Tick
from inventory_node.core.node import NodeSettings
from sim.manual_cluster import HandMember, ManualCluster, get_all_items, get_item, order
from wire.errors import Reason, reason_of

RETRY_TICKS = 10
MEMBERS = (1, 2, 3)


def small(settings: NodeSettings) -> NodeSettings:
    """Try a full disk again soon."""
    return replace(settings, full_retry_ticks=RETRY_TICKS, disk_hung_ticks=5)


def fill(cluster: ManualCluster, *numbers: int) -> None:
    """Let volumes have no space for another segment."""
    for number in numbers:
        cluster[number].disk.is_full = True


def write_until_full(cluster: ManualCluster, leader: HandMember) -> int:
    """Order until the log needs another segment; return how many orders were answered."""
    for number in range(1, 200):
        leader.ask(order(f"r{number}"), first_id=number)
        cluster.settle()
        if leader.observer.fills:
            return sum(bool(reply.outcome) for reply in leader.replies().values())
    raise RuntimeError("the segment has no end")


def refused(member: HandMember, number: int) -> Reason | None:
    """Return why a command was refused."""
    return reason_of(member.replies()[number].error)


def quantity(member: HandMember, number: int) -> int:
    """Read the answer to a `get_item`."""
    answer = member.replies()[number].answer
    return inventory_pb2.GetItemResponse.FromString(answer).item.quantity


def test_writes_are_refused_and_reads_go_on_until_there_is_space(tmp_path: Path) -> None:
    """What was under way is answered then; nothing is lost, nobody is started again."""
    cluster = ManualCluster(tmp_path, change=small)
    leader = cluster.elect(1)
    cluster.open()
    fill(cluster, *MEMBERS)
    done = write_until_full(cluster, leader)
    cluster.pass_time(30)
    assert leader.leads, "nobody else has space either, and a full disk does not hang"
    leader.ask(order("late"), questions=[get_item(901)], first_id=900)
    cluster.pass_time(4)
    assert refused(leader, 900) is Reason.DISK_FULL
    assert quantity(leader, 901) == 100 - done
    for number in MEMBERS:
        cluster[number].disk.is_full = False
    cluster.pass_time(2 * RETRY_TICKS)
    assert leader.observer.fills == [True, False]
    answered = sum(bool(reply.outcome) for reply in leader.replies().values())
    leader.ask(order("again"), questions=[get_item(911)], first_id=910)
    cluster.pass_time(4)
    assert leader.replies()[910].outcome
    assert quantity(leader, 911) in (100 - answered, 99 - answered)


def test_a_leader_without_space_hands_over_to_a_member_that_has_some(tmp_path: Path) -> None:
    """Clients see no refusal: what waits is sent to the successor."""
    cluster = ManualCluster(tmp_path, change=small)
    leader = cluster.elect(1)
    cluster.open()
    fill(cluster, 1)
    write_until_full(cluster, leader)
    cluster.settle()
    assert not leader.leads
    new = next(cluster[number] for number in (2, 3) if cluster[number].leads)
    assert {reply.retry for reply in leader.replies().values() if not reply.outcome} <= {
        forward_pb2.RETRY_NOT_LEADER,
        forward_pb2.RETRY_UNKNOWN,
    }
    new.ask(order("next"), first_id=900)
    cluster.settle()
    assert new.replies()[900].outcome
    cluster[1].disk.is_full = False
    cluster.pass_time(2 * RETRY_TICKS)
    assert leader.node.view().applied_index == new.node.view().applied_index


def test_a_follower_without_space_delays_nobody(tmp_path: Path) -> None:
    """The other two are a majority; it catches up when it has space."""
    cluster = ManualCluster(tmp_path, change=small)
    leader = cluster.elect(1)
    cluster.open()
    fill(cluster, 3)
    for number in range(1, 200):
        leader.ask(order(f"r{number}", quantity=1, item_id=1), first_id=number)
        cluster.settle()
        assert number in leader.replies()
    assert cluster[3].observer.fills == [True]
    cluster[3].disk.is_full = False
    cluster.pass_time(2 * RETRY_TICKS)
    assert cluster[3].observer.fills == [True, False]
    assert cluster[3].node.view().applied_index == leader.node.view().applied_index


def test_a_flush_without_space_is_tried_again(tmp_path: Path) -> None:
    """The log holds what the database does not yet; writes wait for both."""
    cluster = ManualCluster(
        tmp_path, change=lambda settings: replace(small(settings), flush_age_ticks_max=2)
    )
    leader = cluster.elect(1)
    cluster.open()
    for number in MEMBERS:
        cluster[number].store.is_full = True
    leader.ask(order("a", quantity=5))
    cluster.pass_time(30)
    assert leader.observer.fills == [True]
    leader = next(cluster[number] for number in MEMBERS if cluster[number].leads)
    before = leader.node.view().durable_index
    leader.ask(order("b"), questions=[get_item(3)], first_id=2)
    cluster.pass_time(4)
    assert refused(leader, 2) is Reason.DISK_FULL
    assert quantity(leader, 3) == 95
    for number in MEMBERS:
        cluster[number].store.is_full = False
    cluster.pass_time(2 * RETRY_TICKS)
    assert leader.node.view().durable_index > before
    leader.ask(order("b"), first_id=4)
    cluster.settle()
    assert leader.replies()[4].outcome


def unflushed(folder: Path) -> tuple[ManualCluster, HandMember]:
    """Return members of which none has space for a flush of the last order, and their leader."""
    cluster = ManualCluster(
        folder, change=lambda settings: replace(small(settings), flush_age_ticks_max=20)
    )
    leader = cluster.elect(1)
    cluster.open()
    cluster.pass_time(25)
    for number in MEMBERS:
        cluster[number].store.is_full = True
    leader.ask(order("a", quantity=5))
    cluster.settle()
    return cluster, leader


def test_lists_are_refused_while_the_database_has_no_space(tmp_path: Path) -> None:
    """At once, also those that wait for the flush; a follower sends them to the leader."""
    cluster, leader = unflushed(tmp_path)
    leader.ask(questions=[get_all_items(2)])
    cluster.pass_time(2)
    assert refused(leader, 2) is Reason.DISK_FULL, "the flush that it asked for found no space"
    leader = next(cluster[number] for number in MEMBERS if cluster[number].leads)
    leader.ask(questions=[get_all_items(3), get_item(4)], first_id=9)
    cluster.pass_time(2)
    assert refused(leader, 3) is Reason.DISK_FULL
    assert quantity(leader, 4) == 95
    follower = next(cluster[number] for number in MEMBERS if not cluster[number].leads)
    follower.ask(questions=[get_all_items(5)])
    cluster.pass_time(2)
    assert follower.replies()[5].retry == forward_pb2.RETRY_NOT_LEADER
    for number in MEMBERS:
        cluster[number].store.is_full = False
    cluster.pass_time(2 * RETRY_TICKS)
    leader.ask(questions=[get_all_items(6)])
    cluster.pass_time(2)
    assert leader.replies()[6].answer


def test_a_stale_list_shows_what_is_flushed(tmp_path: Path) -> None:
    """It says of which revision it is, and that is what was asked for."""
    cluster, leader = unflushed(tmp_path)
    leader.ask(questions=[get_all_items(2)])
    cluster.pass_time(2)
    stale = get_all_items(3)
    stale.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
    leader.ask(questions=[stale])
    cluster.pass_time(2)
    shown = inventory_pb2.GetAllItemsResponse.FromString(leader.replies()[3].answer)
    assert [item.quantity for item in shown.items] == [100]
    assert shown.revision == leader.node.view().durable_index


def unflushed_follower(folder: Path) -> tuple[ManualCluster, HandMember]:
    """Return three members of which the third has no space for its database; 1 leads."""
    cluster = ManualCluster(
        folder, change=lambda settings: replace(small(settings), flush_age_ticks_max=2)
    )
    leader = cluster.elect(1)
    cluster.open()
    cluster[3].store.is_full = True
    leader.ask(order("a", quantity=5))
    cluster.pass_time(6)
    assert cluster[3].observer.fills == [True]
    return cluster, leader


def checkpoint(leader: HandMember) -> None:
    """Let all members hash their states."""
    command = log_pb2.Command()
    command.administration.request_id = f"checkpoint-{leader.node.view().last_log_index}"
    command.administration.checkpoint.SetInParent()
    leader.node._write.proposals.offer_own(command.SerializeToString())


class TestWhoLeads:
    """A member that cannot write its database can be elected, since its log is whole."""

    def test_one_without_space_hands_the_lead_to_one_that_has_some(self, tmp_path: Path) -> None:
        """Also where it had none before it led."""
        cluster, _ = unflushed_follower(tmp_path)
        cluster[1].cut_off = True
        new = cluster.elect(3)
        cluster.pass_time(new.settings.survey_ticks, 2, 3)
        assert cluster[2].leads
        cluster[2].ask(order("b"))
        cluster.settle()
        assert cluster[2].replies()[1].outcome

    def test_one_without_space_is_nobodys_successor(self, tmp_path: Path) -> None:
        """It holds as much of the log as the other; the lead goes to the other."""
        cluster, leader = unflushed_follower(tmp_path)
        cluster.pass_time(2 * leader.settings.survey_ticks)
        cluster[2].cut_off = True
        leader.ask(order("b"))
        cluster.settle()
        cluster[2].cut_off = False
        assert leader.node._leader_fitness.successor(leader.node._raft) == 2
        leader.handle(StopRequested())
        cluster.pass_time(8)
        assert cluster[2].leads

    def test_one_whose_database_hangs_hands_over(self, tmp_path: Path) -> None:
        """What it applies is in memory alone, more and more of it."""
        cluster = ManualCluster(
            tmp_path, change=lambda settings: replace(settings, flush_hung_ticks=8)
        )
        leader = cluster.elect(1)
        cluster.open()
        leader.store_held = True
        leader.ask(order("a"))
        cluster.pass_time(leader.settings.flush_age_ticks_max + 8 + leader.settings.survey_ticks)
        assert not leader.leads
        assert any(cluster[number].leads for number in (2, 3))

    def test_databases_that_are_slow_by_turns_do_not_pass_the_lead_round(
        self, tmp_path: Path
    ) -> None:
        """One that has just been slow may be so again."""
        cluster = ManualCluster(
            tmp_path, change=lambda settings: replace(settings, flush_hung_ticks=20)
        )
        leader = cluster.elect(1)
        cluster.open()
        term = leader.node.view().term
        for turn in range(12):
            slow = cluster[turn % 3 + 1]
            slow.store_held = True
            leads = next(member for member in cluster.members.values() if member.leads)
            leads.ask(order(f"r{turn}"), first_id=turn + 1)
            cluster.pass_time(leader.settings.flush_age_ticks_max + 30)
            slow.store_held = False
            cluster.settle()
        assert max(member.node.view().term for member in cluster.members.values()) <= term + 3

    def test_where_nobody_is_better_off_it_stays(self, tmp_path: Path) -> None:
        """Handing over again and again would help nobody."""
        cluster, leader = unflushed(tmp_path)
        cluster.pass_time(4 * leader.settings.survey_ticks)
        [leads] = [cluster[number] for number in MEMBERS if cluster[number].leads]
        term = leads.node.view().term
        cluster.pass_time(4 * leader.settings.survey_ticks)
        assert leads.leads
        assert leads.node.view().term == term


def test_nothing_is_handed_to_a_member_that_has_not_said_how_it_is(tmp_path: Path) -> None:
    """Where answers are late and nobody has space, terms would fly by."""
    cluster, leader = unflushed(tmp_path)
    cluster.pass_time(2 * leader.settings.survey_ticks)
    [leader] = [member for member in cluster.members.values() if member.leads]
    term = leader.node.view().term
    leader.node._survey._begin(leader.node._raft)  # as in a new term, before any answer
    leader.handle(Tick())
    assert not leader.node._raft.transferring
    cluster.pass_time(2 * RETRY_TICKS)
    assert leader.node.view().term == term


def test_reads_go_on_past_a_checkpoint(tmp_path: Path) -> None:
    """A member without space hashes the next one; it does not wait for this one."""
    cluster, leader = unflushed_follower(tmp_path)
    follower = cluster[3]
    checkpoint(leader)
    for number in (2, 3):  # the second in an entry behind the checkpoint's
        leader.ask(order(f"b{number}"), first_id=number)
        cluster.pass_time(2)
    cluster.pass_time(4)
    assert follower.node.view().applied_index == leader.node.view().applied_index
    follower.ask(questions=[get_item(4)])
    cluster.pass_time(4)
    assert quantity(follower, 4) == 93
    follower.store.is_full = False
    cluster.pass_time(2 * RETRY_TICKS)
    checkpoint(leader)
    cluster.pass_time(4)
    hashes = {cluster[number].node.view().state_hash.sha256 for number in MEMBERS}
    assert len(hashes) == 1


def test_no_checkpoints_gather_while_there_is_no_space(tmp_path: Path) -> None:
    """They are the cluster's own, so nothing turns them away."""

    def often(settings: NodeSettings) -> NodeSettings:
        return replace(small(settings), survey_ticks=2, checkpoint_gap_ticks=2, checkpoint_ticks=2)

    cluster = ManualCluster(tmp_path, change=often)
    leader = cluster.elect(1)
    cluster.open()
    fill(cluster, *MEMBERS)
    write_until_full(cluster, leader)
    cluster.pass_time(200)
    assert sum(len(cluster[number].node._write.proposals._waiting) for number in MEMBERS) <= 1


@pytest.mark.parametrize("what", ["log", "database"])
def test_a_member_without_space_ends_when_it_is_asked(tmp_path: Path, what: str) -> None:
    """What it could not write is in the log, its own or the others'."""
    cluster, leader = unflushed_follower(tmp_path)
    follower = cluster[3]
    if what == "log":
        follower.store.is_full = False
        fill(cluster, 3)
        while follower.observer.fills != [True, False, True]:
            leader.ask(order(f"r{leader.node.view().last_log_index}"), first_id=10)
            cluster.settle()
            cluster.pass_time(1)
    follower.handle(StopRequested())
    assert follower.node.stopped
    follower.disk.is_full = follower.store.is_full = False
    follower.crash()
    follower.start()
    cluster.pass_time(8)
    assert follower.node.view().applied_index == leader.node.view().applied_index


def test_a_log_that_has_filled_the_disk_makes_room_for_itself(tmp_path: Path) -> None:
    """By the segments that nobody needs any more; the last one on the disk stays."""

    def lazy(settings: NodeSettings) -> NodeSettings:
        return replace(
            small(settings), flush_commands_max=10**9, flush_age_ticks_max=10**9, log_tail_entries=1
        )

    cluster = ManualCluster(tmp_path, 1, change=lazy)
    leader = cluster.elect(1)
    cluster.open()
    number = 0
    while len(leader.disk.names()) < 5:
        number += 1
        leader.ask(order(f"r{number}", quantity=1), first_id=number)
        cluster.settle()
    fill(cluster, 1)
    while not leader.observer.fills:
        number += 1
        leader.ask(order(f"r{number}"), first_id=number)
        cluster.settle()
    assert len(leader.disk.names()) == 5
    leader.node._write.flusher.hurry(leader.node.view().applied_index)
    cluster.pass_time(4)
    assert len(leader.disk.names()) == 1, "nothing but the segment that was written last"
    leader.disk.is_full = False
    cluster.pass_time(2 * RETRY_TICKS)
    assert leader.replies()[number].outcome
    applied = leader.node.view().applied_index
    leader.crash()
    leader.start()
    cluster.elect(1)
    assert leader.node.view().applied_index > applied
