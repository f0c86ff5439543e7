"""A peer that has a snapshot needs the log behind it: that is kept until the peer has caught up."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import membership_pb2
from inventory_node.core.events import ChangeAsked, ChunkReceived, SnapshotSent
from inventory_node.core.node import NodeSettings
from inventory_node.core.snapshot import retention
from raft.messages import AppendReply, Entry, EntryKind
from raft.view import Follower
from sim.manual_cluster import ManualCluster, order

if TYPE_CHECKING:
    from raft import RawNode

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


@dataclass(slots=True)
class Leading:
    """What the pins look at."""

    commit_index: int = 100
    followers: dict[int, Follower] = field(default_factory=dict)


class Pinned:
    """A peer that has a snapshot, and the log behind it that is kept."""

    def __init__(self) -> None:
        """Begin to catch up at index 100."""
        self.pins = retention.LogPins()
        self.leading = Leading()
        self.pins.pin(LATE, 40)
        self.pins.catch_up(LATE, self.leading.commit_index)

    def pass_round(self, match_index: int = 0, *, is_present: bool = True) -> bool:
        """Let a round pass, at whose end the peer holds so much; return whether it is kept for."""
        self.leading.followers = {
            LATE: Follower(match_index, 0, is_present=is_present, needs_snapshot=False)
        }
        self.tick(retention.ROUND_TICKS)
        return LATE in self.pins

    def tick(self, times: int) -> None:
        """Let ticks pass."""
        for _ in range(times):
            self.pins.tick(cast("RawNode", self.leading))


def payloads(*sizes: int) -> Iterable[Entry]:
    """Return new entries."""
    return [Entry(place, 1, EntryKind.COMMAND, bytes(size)) for place, size in enumerate(sizes)]


class TestRounds:
    """A peer has caught up when it holds what was committed one round before."""

    def test_the_goal_of_a_round_is_reached_exactly(self) -> None:
        """It is that of the round's begin, not what was committed since."""
        pinned = Pinned()
        pinned.leading.commit_index = 200
        assert pinned.pass_round(99)
        pinned.leading.commit_index = 300
        assert pinned.pass_round(199)
        assert not pinned.pass_round(300)

    def test_a_round_has_its_ticks(self) -> None:
        """The first as well: nothing is judged before."""
        pinned = Pinned()
        pinned.leading.followers = {LATE: Follower(100, 0, is_present=True, needs_snapshot=False)}
        pinned.tick(3)
        assert LATE in pinned.pins
        pinned.tick(1)
        assert LATE not in pinned.pins

    def test_a_stream_under_way_is_not_judged(self) -> None:
        """The peer cannot have caught up with what it does not have."""
        pinned = Pinned()
        pinned.pins.pin(LATE, 50)
        assert pinned.pass_round(1_000)
        assert pinned.pins.index == 50
        pinned.pins.catch_up(LATE, 1_000)
        assert not pinned.pass_round(1_000)

    def test_silence_is_counted_in_a_row(self) -> None:
        """A peer that answers between is waited for anew, for a hundred rounds."""
        pinned = Pinned()
        for _ in range(2):
            assert all(pinned.pass_round(is_present=False) for _ in range(100))
            assert pinned.pass_round()
        assert all(pinned.pass_round(is_present=False) for _ in range(100))
        assert not pinned.pass_round(is_present=False)

    def test_who_is_no_follower_or_needs_another_snapshot_is_not_waited_for(self) -> None:
        """The log behind the one that it got is of no use to it."""
        pinned = Pinned()
        pinned.tick(retention.ROUND_TICKS)
        assert LATE not in pinned.pins
        pinned = Pinned()
        pinned.leading.followers = {LATE: Follower(0, 0, is_present=True, needs_snapshot=True)}
        pinned.tick(retention.ROUND_TICKS)
        assert LATE not in pinned.pins

    def test_a_peer_without_a_pin_does_not_catch_up(self) -> None:
        """Its pin ended meanwhile."""
        pins = retention.LogPins()
        pins.catch_up(LATE, 7)
        pins.unpin(LATE)
        assert pins.index is None


def test_what_a_pin_keeps_is_bounded_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payloads and what an entry takes besides, for each peer since its own pin."""
    monkeypatch.setattr(retention, "PINNED_BYTES_MAX", 3 * retention.ENTRY_BYTES + 60)
    pins = retention.LogPins()
    pins.pin(2, 40)
    assert list(pins.grown(list(payloads(10, 20)))) == []
    pins.pin(3, 42)
    assert list(pins.grown(list(payloads(30)))) == []
    assert list(pins.grown([])) == []
    assert list(pins.grown(list(payloads(0)))) == [2]
    assert pins.index == 42
    assert list(pins.grown(list(payloads(29)))) == []
    assert list(pins.grown(list(payloads(2)))) == [3]
    assert list(pins.grown(list(payloads(1_000)))) == [], "nothing is kept"
    pins.pin(2, 40)
    assert list(pins.grown(list(payloads(2 * retention.ENTRY_BYTES + 60)))) == []
    pins.pin(2, 40)
    assert list(pins.grown(list(payloads(2 * retention.ENTRY_BYTES + 61)))) == [2]


def test_the_pins_fit_a_member_of_the_chart() -> None:
    """Whose limit is 2 GiB: an eighth of it at most, and more than the tail of the log."""
    settings = NodeSettings(name="a", member_id=1, cluster_id="c", members={1: "a"})
    assert settings.log_tail_bytes < retention.PINNED_BYTES_MAX <= 256 << 20


class TestTheBackoff:
    """After a failed snapshot a peer waits, longer after each failure in a row."""

    def waits(self, backoff: retention.Backoff, peer: int) -> int:
        """Count the ticks until a peer need not wait any more."""
        ticks = 0
        while not backoff.is_over(peer):
            backoff.tick()
            ticks += 1
            assert ticks <= backoff.longest_ticks
        return ticks

    def test_it_doubles_up_to_sixteen_times_the_first(self) -> None:
        """And begins anew after a success."""
        backoff = retention.Backoff(3)
        waited = []
        for _ in range(7):
            backoff.defer(LATE)
            waited.append(self.waits(backoff, LATE))
        assert waited == [3, 6, 12, 24, 48, 48, 48]
        assert backoff.longest_ticks == 48
        backoff.succeeded(LATE)
        backoff.defer(LATE)
        assert self.waits(backoff, LATE) == 3

    def test_each_peer_waits_for_itself(self) -> None:
        """A success ends the wait of one, the end of the lead that of all, with their failures."""
        backoff = retention.Backoff(2)
        backoff.succeeded(LATE)
        assert backoff.is_over(LATE)
        for peer in (2, LATE):
            backoff.defer(peer)
        backoff.succeeded(LATE)
        assert backoff.is_over(LATE)
        assert not backoff.is_over(2)
        backoff.clear()
        assert backoff.is_over(2)
        backoff.defer(2)
        assert self.waits(backoff, 2) == 2
