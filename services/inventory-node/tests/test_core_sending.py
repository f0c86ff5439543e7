"""Snapshots that cannot be sent at once: no space, a log that grows, a state that is replaced."""

from dataclasses import replace
from pathlib import Path

import pytest
from inventory_node.core.events import ChunkReceived, SnapshotSent, Staged, Surveyed
from inventory_node.core.node import NodeSettings
from inventory_node.core.snapshot import retention
from inventory_node.core.survey.leader_fitness import LeaderFitness
from inventory_node.ports import SnapshotHeader, Survey
from raft.messages import Configuration, SnapshotMeta
from sim.manual_cluster import HandMember, ManualCluster, order
from sim.store import NO_SPACE, Thread

RETRY_TICKS = 2
REST_TICKS_MAX = RETRY_TICKS << retention.DOUBLINGS_MAX
CHUNK_BYTES = 8_192


def busy(settings: NodeSettings) -> NodeSettings:
    """Flush often and keep little, so that a member is soon behind the log."""
    return replace(settings, flush_commands_max=4, log_tail_entries=4, full_retry_ticks=RETRY_TICKS)


def write(cluster: ManualCluster, leader: HandMember, first: int, count: int) -> None:
    """Order one by one, each in an entry of its own."""
    for number in range(first, first + count):
        leader.ask(order(f"r{number}"), first_id=number)
        cluster.settle()


def missing(folder: Path, *numbers: int, count: int = 3) -> ManualCluster:
    """Return members of which some have missed so much that only a snapshot helps; 1 leads."""
    cluster = ManualCluster(folder, count, change=busy)
    leader = cluster.elect(1)
    cluster.open()
    for number in numbers:
        cluster[number].cut_off = True
    write(cluster, leader, 1, 40)
    return cluster


def meet(cluster: ManualCluster, number: int, leader: int = 1) -> None:
    """Let a member be heard again; its leader finds out what it lacks."""
    cluster[number].cut_off = False
    cluster.pass_time(8, leader)


def stream(cluster: ManualCluster, sender: HandMember, recipient: HandMember) -> list[str]:
    """Bring the newest stream of one member to another; return the problems it was answered."""
    _, term, header, path = sender.transport.streams[-1]
    data = Path(path).read_bytes()
    before = len(recipient.transport.chunk_answers)
    for offset in range(0, len(data), CHUNK_BYTES):
        part = data[offset : offset + CHUNK_BYTES]
        recipient.handle(ChunkReceived(sender.settings.member_id, term, header, offset, part))
        cluster.settle()
    return [answer[4] for answer in recipient.transport.chunk_answers[before:]]


def stream_index(sender: HandMember) -> int:
    """Return the index of a member's newest stream."""
    return sender.transport.streams[-1][2].meta.index


def begin_to_switch(cluster: ManualCluster, member: HandMember) -> SnapshotHeader:
    """Bring the newest stream of member 1 to where the store is to switch, and hold that there."""
    _, term, header, path = cluster[1].transport.streams[-1]
    member.handle(ChunkReceived(1, term, header, 0, Path(path).read_bytes()))
    staged = member.store.step()
    assert isinstance(staged, Staged)
    member.store_held = True
    member.handle(staged)
    cluster.settle()
    assert member.node._snapshots.incoming.switching
    return header


def applied(member: HandMember) -> int:
    """Return where a member's state stands."""
    return member.node.view().applied_index


class TestWithoutSpace:
    """A snapshot that finds none is tried again later; nobody halts, and writes go on."""

    def test_a_leader_without_space_for_a_copy_hands_over(self, tmp_path: Path) -> None:
        """Who is behind gets it from the next; and the lead does not come back soon."""
        cluster = missing(tmp_path, 3)
        leader = cluster[1]
        leader.store.is_short = True
        meet(cluster, 3)
        cluster.pass_time(2 * leader.settings.survey_ticks)
        assert cluster[2].leads
        assert set(stream(cluster, cluster[2], cluster[3])) == {""}
        cluster[2].handle(SnapshotSent(3, stream_index(cluster[2]), installed=True))
        cluster.pass_time(4)
        assert applied(cluster[3]) == applied(cluster[2])
        assert cluster[2].node._leader_fitness.successor(cluster[2].node._raft) == 3

    def test_a_copy_rests_longer_and_longer_and_is_made_once_there_is_space(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bounded number of tries, a pin for none of them, and no refusal of any write."""
        monkeypatch.setattr(
            LeaderFitness, "relieve", lambda *_: None
        )  # as where nobody else can lead
        cluster = missing(tmp_path, 3)
        leader = cluster[1]
        leader.store.is_short = True
        meet(cluster, 3)
        copies = leader.node._snapshots.outgoing._ticket
        ticks = 5 * REST_TICKS_MAX
        cluster.pass_time(ticks, 1, 2)
        tried = leader.node._snapshots.outgoing._ticket - copies
        assert 2 <= tried <= 5 + retention.DOUBLINGS_MAX
        assert leader.node._snapshots.outgoing.pinned_index is None
        assert leader.transport.streams == []
        write(cluster, leader, 50, 10)
        assert all(leader.replies()[number].outcome for number in range(50, 60))
        assert leader.leads
        assert leader.observer.fills == []
        leader.store.is_short = False
        cluster.pass_time(REST_TICKS_MAX + 8, 1, 2)
        assert set(stream(cluster, leader, cluster[3])) == {""}
        leader.handle(SnapshotSent(3, leader.transport.streams[-1][2].meta.index, installed=True))
        cluster.pass_time(4, 1)
        assert applied(cluster[3]) == applied(leader)

    def test_a_success_ends_the_rest(self, tmp_path: Path) -> None:
        """What went wrong before says nothing of the next."""
        cluster = missing(tmp_path, 3)
        outgoing = cluster[1].node._snapshots.outgoing
        for _ in range(3):
            outgoing._rests.defer(3)
        cluster.pass_time(REST_TICKS_MAX, 1)
        meet(cluster, 3)
        stream(cluster, cluster[1], cluster[3])
        index = cluster[1].transport.streams[-1][2].meta.index
        cluster[1].handle(SnapshotSent(3, index, installed=True))
        outgoing._rests.defer(3)
        cluster.pass_time(RETRY_TICKS, 1)
        assert outgoing._rests.is_over(3), "as long as after the first that failed"

    def test_nobody_waits_for_another(self, tmp_path: Path) -> None:
        """A peer whose disk takes none does not keep one from a peer whose disk does."""
        cluster = missing(tmp_path, 3, 4, count=5)
        outgoing = cluster[1].node._snapshots.outgoing
        for _ in range(9):
            outgoing._rests.defer(3)
        meet(cluster, 3)
        assert cluster[1].transport.streams == []
        meet(cluster, 4)
        assert [stream[0] for stream in cluster[1].transport.streams] == [4]

    def test_a_member_without_space_refuses_the_chunks_and_goes_on(self, tmp_path: Path) -> None:
        """Its sender learns why; the same stream is taken from its beginning later."""
        cluster = missing(tmp_path, 3)
        late = cluster[3]
        meet(cluster, 3)
        late.store.is_short = True
        before = applied(late)
        assert stream(cluster, cluster[1], late)[0] == NO_SPACE
        assert applied(late) == before
        late.store.is_short = False
        assert set(stream(cluster, cluster[1], late)) == {""}
        assert applied(late) > before

    def test_the_switch_waits_for_space(self, tmp_path: Path) -> None:
        """The log has recorded it, so there is no way back, and no need to end."""
        cluster = missing(tmp_path, 3)
        late = cluster[3]
        meet(cluster, 3)
        begin_to_switch(cluster, late)
        before = applied(late)
        late.store.is_full = True
        late.store_held = False
        cluster.pass_time(20)
        assert applied(late) == before
        late.store.is_full = False
        cluster.settle()
        assert applied(late) > before
        assert late.transport.chunk_answers[-1][3:] == (True, "")


def test_nothing_is_copied_while_a_snapshot_is_being_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new leader whose database is of before and whose log is of after has nothing to give.

    A copy of that database would lie below the log's base, where nobody knows who takes part.
    """
    cluster = missing(tmp_path, 3, 5, count=5)
    new = cluster[3]
    meet(cluster, 3)
    header = begin_to_switch(cluster, new)
    cluster.pass_time(4, 1)
    assert new.node._raft.last_index == cluster[1].node._raft.last_index
    cluster[1].cut_off = True
    monkeypatch.setattr(LeaderFitness, "relieve", lambda *_: None)  # as where nobody else can lead
    cluster.elect(3)
    meet(cluster, 5, leader=3)
    assert new.node._snapshots.outgoing._peers, "the log has nothing for member 5 any more"
    assert new.store.jobs == 1, "the switch, and no copy"
    new.store_held = False
    cluster.settle()
    assert [one[0] for one in new.transport.streams] == [5]
    assert new.transport.streams[0][2].meta.index >= header.meta.index


def test_a_state_that_is_being_replaced_is_not_judged(tmp_path: Path) -> None:
    """The mark would stand on the one that comes, which is the leader's."""
    cluster = missing(tmp_path, 3)
    late = cluster[3]
    meet(cluster, 3)
    begin_to_switch(cluster, late)
    late.node._survey.hashed(5, "b" * 64)
    others = ((1, "a" * 64), (2, "a" * 64))
    late.handle(
        Surveyed(
            Survey(
                sender=1,
                recipient=3,
                term=late.node.view().term,
                sent_ms=0,
                skew_ms=None,
                index=5,
                hashes=others,
            )
        )
    )
    assert not late.node.view().diverged
    late.store_held = False
    cluster.settle()
    assert not late.node.view().diverged
    assert not late.store.quarantined


class TestWhatCountsAsInstalled:
    """Only what is applied, and so synced: the leader takes it for held, and commits by it.

    After a crash its heartbeats would speak of a commit that the log does not reach.
    """

    def header(self, cluster: ManualCluster, index: int) -> SnapshotHeader:
        """Return what the leader would send at an index of its log."""
        term = cluster[1].node._raft.term_at(index)
        assert term is not None
        return SnapshotHeader(
            SnapshotMeta(index, term, Configuration(frozenset({1, 2, 3}))), 3, b""
        )

    def unsynced(self, folder: Path, *held: int) -> ManualCluster:
        """Return members of which some hold the leader's entries in memory alone."""
        cluster = ManualCluster(folder)
        leader = cluster.elect(1)
        cluster.open()
        for number in held:
            cluster[number].disk_held = True
        write(cluster, leader, 1, 4)
        return cluster

    def test_a_chunk_of_what_is_committed_and_not_applied(self, tmp_path: Path) -> None:
        """It is refused; once that is applied, it counts as installed."""
        cluster = self.unsynced(tmp_path, 3)
        leader, late = cluster[1].node._raft, cluster[3].node._raft
        index = late.commit_index
        assert late.applied_index < index
        chunk = ChunkReceived(1, leader.term, self.header(cluster, index), 0, b"all")
        cluster[3].handle(chunk)
        _, _, _, installed, problem = cluster[3].transport.chunk_answers[-1]
        assert not installed
        assert "not applied yet" in problem
        cluster[3].disk_held = False
        cluster.settle()
        cluster[3].handle(chunk)
        assert cluster[3].transport.chunk_answers[-1][3:] == (True, "")
        assert late.applied_index >= index

    def test_a_crash_shows_why(self, tmp_path: Path) -> None:
        """What was committed is not there at the next start, so nobody may lean on it."""
        cluster = self.unsynced(tmp_path, 3)
        index = cluster[3].node._raft.commit_index
        cluster[3].crash()
        cluster[3].start()
        assert cluster[3].node._raft.last_index < index

    def test_a_last_chunk_that_the_log_has_overtaken(self, tmp_path: Path) -> None:
        """Consensus keeps the log and its tail, and none of that is synced."""
        cluster = self.unsynced(tmp_path, 2, 3)
        leader, late = cluster[1].node._raft, cluster[3].node._raft
        index = leader.last_index
        assert late.commit_index < index == late.last_index
        cluster[3].store_held = True
        cluster[3].handle(ChunkReceived(1, leader.term, self.header(cluster, index), 0, b"all"))
        ticket = cluster[3].node._snapshots.incoming._ticket
        cluster[3].handle(Staged(ticket, complete=True, problem=""))
        assert late.commit_index == index > late.applied_index
        _, _, taken, installed, problem = cluster[3].transport.chunk_answers[-1]
        assert (taken, installed) == (0, False)
        assert "not applied yet" in problem


class TestThePin:
    """The log is kept for a peer up to a bound: memory has one, and a hung peer has none."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give up a pin soon."""
        monkeypatch.setattr(retention, "PINNED_BYTES_MAX", 10 * retention.ENTRY_BYTES)

    def test_a_stream_that_takes_too_long_is_cut(self, tmp_path: Path) -> None:
        """The log goes on without it, and the peer begins anew with a newer snapshot."""
        cluster = missing(tmp_path, 3)
        leader = cluster[1]
        meet(cluster, 3)
        index = leader.transport.streams[-1][2].meta.index
        write(cluster, leader, 50, 5)
        assert leader.transport.streams
        write(cluster, leader, 60, 20)
        assert leader.transport.streams == [], "it was cut"
        assert leader.node.view().first_log_index > index + 1
        leader.handle(SnapshotSent(3, index, installed=False))
        cluster.pass_time(8, 1)
        assert leader.transport.streams[-1][2].meta.index > index
        assert set(stream(cluster, leader, cluster[3])) == {""}

    def test_an_installed_snapshot_that_the_log_does_not_reach_is_no_harm(
        self, tmp_path: Path
    ) -> None:
        """The cut came too late; the peer needs another one."""
        cluster = missing(tmp_path, 3)
        leader = cluster[1]
        meet(cluster, 3)
        index = leader.transport.streams[-1][2].meta.index
        stream(cluster, leader, cluster[3])
        cluster[3].cut_off = True
        write(cluster, leader, 50, 30)
        assert leader.node.view().first_log_index > index + 1
        leader.handle(SnapshotSent(3, index, installed=True))
        meet(cluster, 3)
        assert leader.transport.streams[-1][2].meta.index > index

    def test_a_copy_that_takes_too_long_is_not_sent(self, tmp_path: Path) -> None:
        """The log is cut above it by then."""
        cluster = missing(tmp_path, 3)
        leader = cluster[1]
        leader.store_held = True
        meet(cluster, 3)
        assert leader.node._snapshots.outgoing.pinned_index is not None
        write(cluster, leader, 50, 30)
        assert leader.node._snapshots.outgoing.pinned_index is None
        while (done := leader.store.step(Thread.FLUSHER)) is not None:
            leader.handle(done)
            cluster.settle()
        first = leader.node.view().first_log_index
        leader.store_held = False
        cluster.settle()
        assert leader.transport.streams == []
        cluster.pass_time(8, 1)
        assert leader.transport.streams[-1][2].meta.index >= first - 1
