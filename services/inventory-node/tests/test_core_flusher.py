"""When the state is written, and what the log may give up after."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import log_pb2
from inventory_node.core.node import NodeSettings
from inventory_node.core.write.flusher import Flusher, LogTail
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Header
from raft.messages import Entry, EntryKind
from sim.manual_cluster import HandMember, ManualCluster, order

if TYPE_CHECKING:
    from inventory_node.machine import Machine
    from inventory_node.ports import Store


def entries(first: int, last: int, size: int = 10) -> list[Entry]:
    """Return commands of `size` bytes."""
    return [Entry(i, 1, EntryKind.COMMAND, bytes(size)) for i in range(first, last + 1)]


def settings(**changes: int) -> NodeSettings:
    """Return the settings of a single member."""
    return replace(NodeSettings(name="a", member_id=1, cluster_id="c", members={1: "a"}), **changes)  # type: ignore[arg-type]  # integers all


class TestTheTail:
    """How much of the log is kept."""

    def test_nothing_above_the_durable_index_is_given_up(self) -> None:
        """However long the tail has become."""
        tail = LogTail(settings(log_tail_entries=2), entries(1, 10))
        assert tail.release(durable_index=5, pinned_index=None) == 5
        assert tail.release(durable_index=5, pinned_index=None) == 0
        assert tail.release(durable_index=10, pinned_index=None) == 8

    def test_nothing_above_the_pin_is_given_up(self) -> None:
        """A peer goes on from the snapshot that is on its way."""
        tail = LogTail(settings(log_tail_entries=2), entries(1, 10))
        assert tail.release(durable_index=10, pinned_index=3) == 3

    def test_a_tail_is_bounded_in_bytes_too(self) -> None:
        """Large entries are kept in smaller number."""
        tail = LogTail(settings(log_tail_bytes=35), entries(1, 10))
        assert tail.release(durable_index=10, pinned_index=None) == 7

    def test_a_short_tail_is_kept(self) -> None:
        """For followers that are slow."""
        tail = LogTail(settings(), entries(1, 10))
        assert tail.release(durable_index=10, pinned_index=None) == 0


def busy(settings: NodeSettings) -> NodeSettings:
    """Flush every four commands and keep four entries."""
    return replace(settings, flush_commands_max=4, log_tail_entries=4)


def unwatched(settings: NodeSettings) -> NodeSettings:
    """Let no checkpoint come by itself."""
    return replace(settings, survey_ticks=1_000_000)


def fill(cluster: ManualCluster, leader: HandMember, first: int, count: int) -> None:
    """Order one by one, each in an entry of its own."""
    for number in range(first, first + count):
        leader.ask(order(f"r{number}"), first_id=number)
        cluster.settle()


class TestFlushes:
    """By count, by age, or because somebody asks."""

    def test_a_flush_comes_by_count(self, tmp_path: Path) -> None:
        """And not before."""
        cluster = ManualCluster(tmp_path, change=busy)
        leader = cluster.elect(1)
        cluster.open()
        before = leader.store.flushes
        fill(cluster, leader, 1, 16)
        assert leader.store.flushes == before + 4

    def test_a_flush_comes_by_age(self, tmp_path: Path) -> None:
        """A quiet cluster becomes durable too, and then rests."""
        cluster = ManualCluster(tmp_path, change=unwatched)
        leader = cluster.elect(1)
        cluster.open()
        fill(cluster, leader, 1, 1)
        assert leader.node.view().durable_index < leader.node.view().applied_index
        cluster.pass_time(leader.settings.flush_age_ticks_max)
        assert leader.node.view().durable_index == leader.node.view().applied_index
        flushes = leader.store.flushes
        cluster.pass_time(2 * leader.settings.flush_age_ticks_max)
        assert leader.store.flushes == flushes

    def test_one_flush_is_outstanding_at_most(self, tmp_path: Path) -> None:
        """What comes meanwhile is in the next."""
        cluster = ManualCluster(tmp_path, change=busy)
        leader = cluster.elect(1)
        cluster.open()
        leader.store_held = True
        fill(cluster, leader, 1, 20)
        assert leader.store.jobs == 1
        leader.store_held = False
        cluster.settle()
        assert leader.node.view().durable_index == leader.node.view().applied_index

    def test_the_log_is_cut_after_the_flush_and_never_before(self, tmp_path: Path) -> None:
        """Flush, compaction, cut: a restart finds everything at every point between."""
        cluster = ManualCluster(tmp_path, change=busy)
        leader = cluster.elect(1)
        cluster.open()
        leader.store_held = True
        fill(cluster, leader, 1, 80)
        assert leader.node.view().first_log_index == 1
        segments = leader.disk.names()
        assert len(segments) > 1
        leader.store_held = False
        cluster.settle()
        view = leader.node.view()
        assert 1 < view.first_log_index <= view.durable_index
        assert len(leader.disk.names()) < len(segments)

    def test_a_restart_replays_what_no_flush_has(self, tmp_path: Path) -> None:
        """The database is behind the log, the log is cut behind the database."""
        cluster = ManualCluster(tmp_path, change=busy)
        leader = cluster.elect(1)
        cluster.open()
        fill(cluster, leader, 1, 49)
        leader.store_held = True
        fill(cluster, leader, 50, 11)
        applied = leader.node.view().applied_index
        leader.crash()
        leader.start()
        leader.store_held = False
        assert leader.node.view().applied_index < applied
        cluster.elect(2)
        cluster.pass_time(4)
        assert leader.node.view().applied_index > applied
        assert leader.node.view().commit_index == cluster[2].node.view().commit_index


class TestCheckpoints:
    """The state is hashed at exactly the index of the checkpoint, on every member."""

    def checkpoint(self) -> log_pb2.Command:
        """Return the command, by the cluster itself."""
        command = log_pb2.Command()
        command.administration.request_id = "checkpoint"
        command.administration.checkpoint.SetInParent()
        return command

    @pytest.mark.parametrize("held", [False, True], ids=["at rest", "during a flush"])
    def test_members_that_agree_have_equal_hashes(self, tmp_path: Path, *, held: bool) -> None:
        """Also where a flush was under way, and entries follow the checkpoint at once."""
        cluster = ManualCluster(tmp_path, change=busy)
        leader = cluster.elect(1)
        cluster.open()
        cluster[3].store_held = held
        fill(cluster, leader, 1, 6)
        leader.ask(self.checkpoint(), first_id=100)
        leader.ask(order("after"), first_id=101)
        cluster.settle()
        cluster.pass_time(4)
        cluster[3].store_held = False
        cluster.settle()
        outcome = log_pb2.AdministrationOutcome.FromString(leader.replies()[100].administration)
        hashes = [member.node.view().state_hash for member in cluster.members.values()]
        assert [found.index for found in hashes] == [outcome.checkpoint_index] * 3
        assert len({found.sha256 for found in hashes}) == 1
        fill(cluster, leader, 200, 1)
        cluster.pass_time(4)
        assert cluster[3].node.view().applied_index == leader.node.view().applied_index


class Applied:
    """A machine with something to write, and a store that keeps the tickets it is given."""

    applied_index = 7

    def __init__(self) -> None:
        """Start with nothing given."""
        self.given: list[int] = []

    def take_changes(self) -> Changes:
        """Return what a flush would write."""
        return Changes(header=Header())

    def flushed(self) -> None:
        """Need no more."""

    def flush(self, _: Changes, ticket: int) -> None:
        """Keep a ticket."""
        self.given.append(ticket)


def test_one_try_at_a_time_is_under_way_on_a_full_disk() -> None:
    """Found by the simulator, seed 230: one that was given again meanwhile was written twice."""
    both = Applied()
    flusher = Flusher(
        settings(full_retry_ticks=4),
        cast("Machine", both),
        cast("Store", both),
        LogTail(settings(), []),
    )
    flusher.checkpoint()  # so that one is due
    flusher.start()
    for tries in (1, 2):
        assert both.given == [1] * tries
        for _ in range(20):
            flusher.tick()
        assert both.given == [1] * tries, "nobody has said how the last try ended"
        flusher.full(1)
        for _ in range(3):
            flusher.tick()
        assert both.given == [1] * tries
        assert flusher.is_full
        flusher.tick()
    assert both.given == [1] * 3
