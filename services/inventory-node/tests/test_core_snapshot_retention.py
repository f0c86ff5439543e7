"""A peer that has a snapshot needs the log behind it: that is kept until the peer has caught up."""

from dataclasses import replace
from pathlib import Path

import pytest
from inventory.raft.v1 import membership_pb2
from inventory_node.core.events import ChangeAsked, ChunkReceived, SnapshotSent
from inventory_node.core.node import NodeSettings
from inventory_node.core.snapshot import retention
from raft.messages import AppendReply
from sim.manual_cluster import ManualCluster, order

LATE = 3


def busy(settings: NodeSettings) -> NodeSettings:
    """Flush often and keep little, so that a member is soon behind the log."""
    return replace(settings, flush_commands_max=4, log_tail_entries=4, full_retry_ticks=2)


class Scene:
    """Members of which the third has a snapshot, and nothing of the much that followed; 1 leads."""

    def __init__(self, folder: Path) -> None:
        """Bring member 3 a snapshot; its disk is held then, so it acknowledges nothing more."""
        self.cluster = ManualCluster(folder, change=busy)
        self.leader = self.cluster.elect(1)
        self.cluster.open()
        self.late = self.cluster[LATE]
        self.written = 0
        self.late.cut_off = True
        self.write(40)
        self.late.cut_off = False
        self.cluster.pass_time(8, 1)
        _, term, header, path = self.leader.transport.streams[-1]
        self.index = header.meta.index
        self.write(20)
        self.late.cut_off = True
        self.late.handle(ChunkReceived(1, term, header, 0, Path(path).read_bytes()))
        self.cluster.settle()
        assert self.late.transport.chunk_answers[-1][3:] == (True, "")
        self.late.cut_off, self.late.disk_held = False, True
        self.leader.handle(SnapshotSent(LATE, self.index, installed=True))

    def write(self, count: int) -> None:
        """Order one by one, each in an entry of its own."""
        for _ in range(count):
            self.written += 1
            self.leader.ask(order(f"r{self.written}", item_id=9), first_id=self.written)
            self.cluster.settle()

    @property
    def is_kept(self) -> bool:
        """Whether the leader's log goes on where the snapshot ends, after another flush."""
        self.write(4)
        return self.leader.node.view().first_log_index <= self.index + 1


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a scene in which the log has grown past its tail since the snapshot was made."""
    return Scene(tmp_path)


def test_the_log_is_kept_until_the_peer_has_caught_up(scene: Scene) -> None:
    """It needs no second snapshot, however much was written meanwhile; then the log is cut."""
    scene.cluster.pass_time(3 * retention.ROUND_TICKS, 1)
    assert scene.is_kept
    scene.late.disk_held = False
    scene.cluster.settle()
    scene.cluster.pass_time(retention.ROUND_TICKS, 1)
    assert not scene.is_kept
    assert len(scene.leader.transport.streams) == 1
    scene.cluster.pass_time(4, 1)
    assert scene.late.node.view().applied_index == scene.leader.node.view().applied_index


def test_a_round_that_takes_long_is_followed_by_another(scene: Scene) -> None:
    """What the peer lacked at first is not all: the log has grown by as much since."""
    scene.cluster.pass_time(retention.ROUND_TICKS, 1)
    first = scene.leader.node._raft.last_index
    scene.write(20)
    scene.cluster.pass_time(retention.ROUND_TICKS, 1)
    assert scene.leader.node._raft.followers[LATE].match_index < first
    scene.leader.node._raft.step(
        AppendReply(sender=LATE, recipient=1, term=1, accepted=True, index=first)
    )
    scene.cluster.pass_time(retention.ROUND_TICKS, 1)
    assert scene.is_kept


def test_a_peer_that_stays_absent_is_not_waited_for(scene: Scene) -> None:
    """One that is absent for a moment is: it starts again, or reads the state that it got."""
    scene.late.cut_off = True
    ticks = retention.SILENT_ROUNDS_MAX * retention.ROUND_TICKS
    scene.cluster.pass_time(ticks, 1, 2)
    assert scene.is_kept
    scene.cluster.pass_time(ticks, 1, 2)
    assert not scene.is_kept


def test_a_pin_keeps_so_much_at_most(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound; a peer that is still behind gets another snapshot."""
    monkeypatch.setattr(retention, "PINNED_BYTES_MAX", 10 * retention.ENTRY_BYTES)
    assert not scene.is_kept
    scene.late.crash()
    scene.late.disk_held = False
    scene.late.start()
    scene.cluster.pass_time(8, 1)
    assert scene.leader.transport.streams[-1][2].meta.index > scene.index


def test_a_peer_that_takes_no_part_is_not_waited_for(scene: Scene) -> None:
    """It was removed while it caught up."""
    request = membership_pb2.ChangeRequest(remove=scene.late.settings.name)
    scene.leader.handle(ChangeAsked(1, request))
    scene.cluster.settle()
    assert scene.leader.transport.changes[1].HasField("done")
    scene.late.cut_off = True
    scene.cluster.pass_time(4 * scene.leader.settings.election_timeout_ticks_min, 1, 2)
    assert not scene.is_kept


def test_a_leader_that_leads_no_more_keeps_nothing(scene: Scene) -> None:
    """The next one sends from its own log."""
    assert scene.leader.node._snapshots.outgoing.pinned_index is not None
    scene.leader.node._raft.step_down()
    scene.cluster.pass_time(1, 1)
    assert scene.leader.node._snapshots.outgoing.pinned_index is None


def test_each_peer_has_a_pin_of_its_own() -> None:
    """None waits for another that catches up; the log is kept above the lowest."""
    pins = retention.LogPins()
    pins.pin(3, 40)
    pins.pin(2, 60)
    assert pins.index == 40
    pins.unpin(3)
    assert pins.index == 60
    pins.keep_only(None)
    assert pins.index is None
