"""A member that is behind the log gets the state itself, chunk by chunk."""

from dataclasses import replace
from pathlib import Path

import pytest
from inventory_node.core.events import ChunkReceived, SnapshotSent, StopRequested
from inventory_node.core.node import NodeSettings
from inventory_node.errors import Halted
from sim.manual_cluster import HandMember, ManualCluster, order
from sim.store import Thread

CHUNK_BYTES = 8_192


def busy(settings: NodeSettings) -> NodeSettings:
    """Flush often and keep little, so that a member is soon behind the log."""
    return replace(settings, flush_commands_max=4, log_tail_entries=4)


def behind(folder: Path) -> ManualCluster:
    """Return members of which 3 has missed so much that only a snapshot helps; 1 leads."""
    cluster = ManualCluster(folder, change=busy)
    leader = cluster.elect(1)
    cluster.open()
    cluster[3].cut_off = True
    for number in range(1, 41):
        leader.ask(order(f"r{number}"), first_id=number)
        cluster.settle()
    cluster[3].cut_off = False
    cluster.pass_time(8, 1)
    return cluster


def chunks(leader: HandMember) -> list[ChunkReceived]:
    """Cut the stream that the leader began into the chunks that its peer is to get."""
    _, term, header, path = leader.transport.streams[-1]
    data = Path(path).read_bytes()
    return [
        ChunkReceived(1, term, header, offset, data[offset : offset + CHUNK_BYTES])
        for offset in range(0, len(data), CHUNK_BYTES)
    ]


def stream(cluster: ManualCluster, parts: list[ChunkReceived]) -> None:
    """Give member 3 the chunks one by one, each after the one before was answered."""
    for part in parts:
        cluster[3].handle(part)
        cluster.settle()


class TestTheWay:
    """From the leader's copy to the follower's state."""

    def test_a_member_behind_the_log_is_brought_up(self, tmp_path: Path) -> None:
        """And follows the log from there on."""
        cluster = behind(tmp_path)
        leader, late = cluster[1], cluster[3]
        assert [stream[0] for stream in leader.transport.streams] == [3]
        stream(cluster, chunks(leader))
        _, index, _, installed, problem = late.transport.chunk_answers[-1]
        assert (installed, problem) == (True, "")
        leader.handle(SnapshotSent(3, index, installed=True))
        cluster.pass_time(4, 1)
        assert late.node.view().applied_index == leader.node.view().applied_index
        leader.ask(order("after"), first_id=100)
        cluster.pass_time(4)
        assert late.node.view().applied_index == leader.node.view().applied_index

    def test_the_log_is_pinned_while_a_snapshot_is_under_way(self, tmp_path: Path) -> None:
        """What follows the snapshot stays until its stream has ended."""
        cluster = behind(tmp_path)
        leader = cluster[1]
        index = leader.transport.streams[-1][2].meta.index
        for number in range(100, 140):
            leader.ask(order(f"r{number}"), first_id=number)
            cluster.settle()
        assert leader.node.view().first_log_index <= index + 1
        leader.handle(SnapshotSent(3, index, installed=False))
        for number in range(140, 150):
            leader.ask(order(f"r{number}"), first_id=number)
            cluster.settle()
        assert leader.node.view().first_log_index > index + 1

    def test_the_store_switches_only_after_the_record_is_synced(self, tmp_path: Path) -> None:
        """A crash before the sync must find the old state whole."""
        cluster = behind(tmp_path)
        late = cluster[3]
        *first, last = chunks(cluster[1])
        stream(cluster, first)
        late.disk_held = True
        late.handle(last)
        cluster.settle()
        assert late.store.jobs == 0
        assert not late.transport.chunk_answers[-1][3]
        before = late.node.view().applied_index
        late.disk_held = False
        cluster.settle()
        assert late.transport.chunk_answers[-1][3]
        assert late.node.view().applied_index > before

    def test_the_store_switches_only_after_a_flush_that_is_under_way(self, tmp_path: Path) -> None:
        """What the flush took belongs to the state before."""
        cluster = behind(tmp_path)
        leader, late = cluster[1], cluster[3]
        late.store_held = True
        cluster.pass_time(late.settings.flush_age_ticks_max + 1)
        assert late.store.jobs == 1
        for part in chunks(leader):
            late.handle(part)
            staged = late.store.step(Thread.COPIER)
            assert staged is not None
            late.inbox.append(staged)
            cluster.settle()
        assert late.store.jobs == 1, "the flush"
        late.store_held = False
        cluster.settle()
        assert late.transport.chunk_answers[-1][3]

    def test_a_leader_that_is_still_to_switch_proposes_nothing(self, tmp_path: Path) -> None:
        """It does not know the time of the state to come; a stamp before it would halt all."""
        cluster = ManualCluster(tmp_path, change=busy)
        leader = cluster.elect(1)
        cluster.open()
        cluster[3].cut_off = True
        leader.clock.wrong_ms = 60_000  # for a while
        for number in range(1, 41):
            leader.ask(order(f"r{number}"), first_id=number)
            cluster.settle()
        leader.clock.wrong_ms = 0
        cluster.pass_time(leader.settings.flush_age_ticks_max, 1, 2)
        cluster[3].cut_off = False
        cluster.pass_time(8, 1)
        *first, last = chunks(leader)
        stream(cluster, first)
        late = cluster[3]
        late.handle(last)
        staged = late.store.step()
        assert staged is not None
        late.handle(staged)
        late.store_held = True
        cluster.settle()
        assert late.node.view().last_log_index == last.header.meta.index, "no stamp follows it"
        cluster[1].cut_off = True
        cluster.elect(3)
        late.ask(order("next"), first_id=900)
        cluster.settle()
        assert 900 not in late.replies()
        late.store_held = False
        cluster.settle()
        assert late.replies()[900].outcome

    def test_a_crash_between_record_and_switch_is_finished_at_the_start(
        self, tmp_path: Path
    ) -> None:
        """The log names the snapshot, so the store opens it."""
        cluster = behind(tmp_path)
        late = cluster[3]
        *first, last = chunks(cluster[1])
        stream(cluster, first)
        late.handle(last)
        while not late.disk.busy:
            done = late.store.step()
            assert done is not None
            late.handle(done)
        late.disk.drain()
        late.crash()
        late.start()
        assert late.node.view().applied_index == last.header.meta.index
        cluster[1].handle(SnapshotSent(3, last.header.meta.index, installed=False))
        cluster.pass_time(4, 1)
        again = chunks(cluster[1])[0]
        stream(cluster, [again])
        assert late.transport.chunk_answers[-1][3:] == (True, "")
        cluster[1].handle(SnapshotSent(3, again.header.meta.index, installed=True))
        cluster.pass_time(4, 1)
        assert late.node.view().applied_index == cluster[1].node.view().applied_index

    def test_a_crash_before_the_record_finds_the_old_state(self, tmp_path: Path) -> None:
        """What was staged is left over, and another stream replaces it."""
        cluster = behind(tmp_path)
        late = cluster[3]
        before = late.node.view().durable_index
        *first, last = chunks(cluster[1])
        stream(cluster, first)
        late.disk_held = True
        late.handle(last)
        cluster.settle()
        late.crash()
        late.disk_held = False
        late.start()
        cluster.settle()
        assert late.node.view().applied_index == before
        stream(cluster, [*first, last])
        assert late.node.view().applied_index >= last.header.meta.index


def test_a_copy_of_a_state_that_turned_out_to_differ_is_not_sent(tmp_path: Path) -> None:
    """It would spread; the peer is behind again, and asks whoever leads next."""
    cluster = ManualCluster(tmp_path, change=busy)
    leader = cluster.elect(1)
    cluster.open()
    cluster[3].cut_off = True
    for number in range(1, 41):
        leader.ask(order(f"r{number}"), first_id=number)
        cluster.settle()
    leader.store_held = True
    cluster[3].cut_off = False
    cluster.pass_time(8, 1)
    assert leader.store.jobs == 1
    leader.node._snapshots.outgoing.forbid()
    leader.store_held = False
    cluster.settle()
    cluster.pass_time(8, 1)
    assert leader.transport.streams == []
    assert leader.node._snapshots.outgoing.pinned_index is None


class TestBrokenStreams:
    """What is staged is not sent again, if it is of the same snapshot."""

    def offer(self, cluster: ManualCluster, part: ChunkReceived) -> int:
        """Begin a stream of a snapshot; return how much of it member 3 has."""
        cluster[3].handle(replace(part, offset=0, data=b""))
        _, _, taken, installed, problem = cluster[3].transport.chunk_answers[-1]
        assert (installed, problem) == (False, "")
        return taken

    def test_a_stream_goes_on_where_one_before_it_broke(self, tmp_path: Path) -> None:
        """And is installed as if nothing had been."""
        cluster = behind(tmp_path)
        parts = chunks(cluster[1])
        assert self.offer(cluster, parts[0]) == 0
        stream(cluster, parts[:2])
        assert self.offer(cluster, parts[0]) == parts[2].offset
        stream(cluster, parts[2:])
        assert cluster[3].transport.chunk_answers[-1][3:] == (True, "")
        assert cluster[3].node.view().applied_index >= parts[0].header.meta.index

    def test_another_snapshot_begins_anew(self, tmp_path: Path) -> None:
        """Bytes of two would make neither."""
        cluster = behind(tmp_path)
        parts = chunks(cluster[1])
        stream(cluster, parts[:2])
        other = replace(parts[0], header=replace(parts[0].header, sha256=bytes(32)))
        assert self.offer(cluster, other) == 0
        assert self.offer(cluster, parts[0]) == 0
        stream(cluster, parts)
        assert cluster[3].transport.chunk_answers[-1][3:] == (True, "")

    def test_a_snapshot_that_turns_out_damaged_begins_anew(self, tmp_path: Path) -> None:
        """Nothing of it is served, and nothing of it is kept."""
        cluster = behind(tmp_path)
        parts = chunks(cluster[1])
        wrong = bytes([parts[1].data[0] ^ 1]) + parts[1].data[1:]
        before = cluster[3].node.view().applied_index
        stream(cluster, [parts[0], replace(parts[1], data=wrong), *parts[2:]])
        assert "hash differs" in cluster[3].transport.chunk_answers[-1][4]
        assert cluster[3].node.view().applied_index == before
        assert self.offer(cluster, parts[0]) == 0
        stream(cluster, parts)
        assert cluster[3].node.view().applied_index >= parts[0].header.meta.index

    def test_a_crash_forgets_what_was_staged(self, tmp_path: Path) -> None:
        """It was not synced."""
        cluster = behind(tmp_path)
        parts = chunks(cluster[1])
        stream(cluster, parts[:2])
        cluster[3].crash()
        cluster[3].start()
        cluster.settle()
        assert self.offer(cluster, parts[0]) == 0


class TestRefusals:
    """Chunks that cannot be staged are answered, and change nothing."""

    def answer(self, cluster: ManualCluster, chunk: ChunkReceived) -> str:
        """Return the problem that a chunk is answered with."""
        cluster[3].handle(chunk)
        cluster.settle()
        return cluster[3].transport.chunk_answers[-1][4]

    def test_a_chunk_of_an_old_term(self, tmp_path: Path) -> None:
        """Its sender does not lead any more."""
        cluster = behind(tmp_path)
        part = chunks(cluster[1])[0]
        assert "term" in self.answer(cluster, replace(part, term=part.term - 1))

    def test_a_chunk_that_does_not_follow(self, tmp_path: Path) -> None:
        """A stream begins at its beginning and has no gaps."""
        cluster = behind(tmp_path)
        parts = chunks(cluster[1])
        assert "offset 0" in self.answer(cluster, parts[1])
        assert self.answer(cluster, parts[0]) == ""
        assert "offset 0" in self.answer(cluster, parts[2])

    def test_a_snapshot_of_what_is_committed_already(self, tmp_path: Path) -> None:
        """It would take the state back; the sender may go on as if it had been installed."""
        cluster = behind(tmp_path)
        part = chunks(cluster[1])[0]
        before = cluster[2].node.view()
        cluster[2].handle(part)
        assert cluster[2].transport.chunk_answers[-1][3:] == (True, "")
        assert cluster[2].node.view() == before

    def test_a_chunk_for_a_member_that_stops(self, tmp_path: Path) -> None:
        """Its sender learns it at once, and does not wait."""
        cluster = behind(tmp_path)
        cluster[3].handle(StopRequested())
        assert "stop" in self.answer(cluster, chunks(cluster[1])[0])

    def test_a_second_chunk_before_the_first_is_stored(self, tmp_path: Path) -> None:
        """Two streams at once would mix."""
        cluster = behind(tmp_path)
        part = chunks(cluster[1])[0]
        cluster[3].store_held = True
        cluster[3].handle(part)
        assert "one stream at a time" in self.answer(cluster, part)


def test_a_state_that_the_log_does_not_reach_halts(tmp_path: Path) -> None:
    """A lost log, or one of another member, beside the database."""
    cluster = ManualCluster(tmp_path, change=busy)
    leader = cluster.elect(1)
    cluster.open()
    for number in range(1, 41):
        leader.ask(order(f"r{number}"), first_id=number)
        cluster.settle()
    leader.crash()
    leader.wipe_log()
    with pytest.raises(Halted, match="database"):
        leader.start()
