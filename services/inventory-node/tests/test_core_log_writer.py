"""Obligations become disk jobs, one at a time, and nothing leaves before its own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory_node import wal
from inventory_node.core.write import log_writer
from inventory_node.core.write.log_writer import LogBatch, LogWriter
from inventory_node.ports import DiskOperation, SyncFolder
from raft.messages import (
    AppendReply,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    HeartbeatReply,
    Message,
    SnapshotMeta,
)
from raft.ready import Mark, Ready
from sim.disk import SimDisk

if TYPE_CHECKING:
    from inventory_node.ports import LogDisk

NOTHING = Ready(
    hard_state=None,
    install=None,
    entries=(),
    mark=None,
    at_once=(),
    after_sync=(),
    committed=(),
    reads=(),
    dropped_reads=(),
    snapshots=(),
    leadership=None,
)


class World:
    """A journal on a disk whose jobs are done when a test says so."""

    def __init__(self) -> None:
        """Bootstrap an empty log."""
        self.done: list[int] = []
        self.full: list[int] = []
        self.disk = SimDisk(self.done.append, self.full.append)
        log = wal.recover(self.disk, segment_bytes=4096).log
        configuration = Configuration(frozenset({1}))
        self.disk.submit(log.bootstrap(wal.Identity("c", 1, "a"), configuration), 0)
        self.disk.drain()
        self.done.clear()
        self.log_writer = LogWriter(log, self.disk, (), retry_ticks=4)

    def finish(self) -> LogBatch:
        """Do the outstanding job and return its batch."""
        self.disk.drain()
        batch = self.log_writer.done(self.done.pop())
        assert batch is not None
        self.log_writer.start()
        return batch

    def written(self) -> list[tuple[int, int]]:
        """Read index and term of what the log holds."""
        entries = wal.recover(self.disk, segment_bytes=4096).entries
        return [(entry.index, entry.term) for entry in entries]


@pytest.fixture
def world() -> World:
    """Return an empty journal."""
    return World()


def entries(first: int, last: int, term: int = 1) -> tuple[Entry, ...]:
    """Return commands."""
    return tuple(Entry(i, term, EntryKind.COMMAND, b"x") for i in range(first, last + 1))


def append(first: int, last: int, term: int = 1, messages: tuple[Message, ...] = ()) -> Ready:
    """Return a Ready with entries."""
    mark = Mark(last, term, HardState(term, 0))
    return replace(NOTHING, entries=entries(first, last, term), mark=mark, after_sync=messages)


def reply(index: int) -> AppendReply:
    """Return a message that waits for a sync."""
    return AppendReply(sender=1, recipient=2, term=1, accepted=True, index=index)


def test_what_comes_during_a_job_is_the_next_one(world: World) -> None:
    """Two Readies that wait share one sync, and their last mark speaks for both."""
    world.log_writer.accept(append(1, 1))
    world.log_writer.start()
    world.log_writer.accept(append(2, 2))
    world.log_writer.start()
    world.log_writer.accept(append(3, 4))
    world.log_writer.start()
    assert world.finish().entries == list(entries(1, 1))
    batch = world.finish()
    assert batch.entries == list(entries(2, 4))
    assert batch.mark == Mark(4, 1, HardState(1, 0))
    assert world.log_writer.idle


def test_a_message_leaves_with_its_batch_and_not_before(world: World) -> None:
    """Also one whose own Ready wrote nothing: the Readies before it did."""
    assert world.log_writer.accept(append(1, 1, messages=(reply(1),))) == ()
    world.log_writer.start()
    assert world.log_writer.accept(replace(NOTHING, after_sync=(reply(2),))) == ()
    assert world.log_writer.accept(append(2, 2, messages=(reply(3),))) == ()
    assert world.log_writer.accept(replace(NOTHING, after_sync=(reply(4),))) == ()
    assert world.finish().messages == [reply(1), reply(2)]
    assert world.finish().messages == [reply(3), reply(4)]
    assert world.log_writer.accept(replace(NOTHING, after_sync=(reply(5),))) == (reply(5),)


def test_an_entry_replaced_before_it_was_written_is_left_out(world: World) -> None:
    """The log ends as the last Ready says."""
    world.log_writer.accept(append(1, 4))
    world.log_writer.accept(append(3, 3, term=2))
    world.log_writer.start()
    assert world.finish().entries == [*entries(1, 2), *entries(3, 3, term=2)]
    world.log_writer.accept(append(4, 5, term=2))
    world.log_writer.accept(append(5, 5, term=3))
    world.log_writer.start()
    assert world.finish().entries == [*entries(4, 4, term=2), *entries(5, 5, term=3)]
    world.log_writer.accept(append(6, 7, term=3))
    world.log_writer.accept(append(2, 2, term=4))
    world.log_writer.start()
    world.finish()
    assert world.written() == [(1, 1), (2, 4)]


class LogModel:
    """A log and its writer, and what the log has to hold."""

    def __init__(self) -> None:
        """Begin empty."""
        self.world = World()
        self.terms: list[int] = []  # of the entries, from index 1
        self.term = 1
        self.owed: list[Message] = []  # that have not left
        self.written: list[tuple[Mark, list[int]]] = []  # by Ready

    def append(self, back: int, count: int, *, is_later: bool) -> None:
        """Take entries behind the last, or in the place of some of the last by a later term."""
        self.term += is_later
        kept = max(0, len(self.terms) - (back if is_later else 0))
        self.terms = [*self.terms[:kept], *[self.term] * count]
        message = reply(len(self.terms))
        self.owed.append(message)
        ready = append(kept + 1, len(self.terms), self.term, (message,))
        assert ready.mark is not None
        self.written.append((ready.mark, list(self.terms)))
        assert self.world.log_writer.accept(ready) == ()
        self.world.log_writer.start()

    def sync(self) -> None:
        """Finish the outstanding job, and look at what the log holds by then."""
        batch = self.world.finish()
        assert batch.messages == self.owed[: len(batch.messages)]
        del self.owed[: len(batch.messages)]
        held = next(terms for mark, terms in reversed(self.written) if mark == batch.mark)
        assert self.world.written() == list(enumerate(held, start=1))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.sampled_from("arrs"))))
def test_the_log_holds_what_the_last_ready_says(steps: list[tuple[int, int, str]]) -> None:
    """However many entries were replaced while they waited for the disk."""
    model = LogModel()
    for back, count, what in steps:
        if what != "s":
            model.append(back, count, is_later=what == "r")
        elif not model.world.log_writer.idle:
            model.sync()
    while not model.world.log_writer.idle:
        model.sync()
    assert model.owed == []


def test_a_snapshot_begins_a_batch_of_its_own(world: World) -> None:
    """What came before it is written before it; the entries after it share its sync."""
    meta = SnapshotMeta(9, 2, Configuration(frozenset({1})))
    world.log_writer.accept(append(1, 1))
    world.log_writer.accept(replace(NOTHING, install=meta, mark=Mark(9, 2, HardState(2, 0))))
    world.log_writer.accept(append(10, 11, term=2))
    world.log_writer.start()
    assert world.finish().install is None
    assert world.finish().install == meta
    assert world.written() == [(10, 2), (11, 2)]


def test_the_newest_hard_state_is_written(world: World) -> None:
    """A vote replaces the term's entry without one."""
    world.log_writer.accept(replace(NOTHING, hard_state=HardState(2, 0)))
    world.log_writer.accept(replace(NOTHING, hard_state=HardState(2, 3)))
    world.log_writer.accept(append(1, 1, term=2))
    world.log_writer.start()
    world.finish()
    assert wal.recover(world.disk, segment_bytes=4096).hard_state == HardState(2, 3)


def test_a_cut_is_a_job_like_any_other(world: World) -> None:
    """It waits for its turn, and the next batch waits for it."""
    for index in range(1, 40):
        world.log_writer.accept(append(index, index))
        world.log_writer.start()
        world.finish()
    before = world.disk.names()
    world.log_writer.accept(append(40, 40))
    world.log_writer.start()
    world.log_writer.cut(39)
    world.log_writer.accept(append(41, 41))
    assert world.finish().entries == list(entries(40, 40))
    upkeep = world.finish()
    assert upkeep == LogBatch()
    assert upkeep.mark is None
    assert len(world.disk.names()) < len(before)
    assert world.finish().entries == list(entries(41, 41))


class TestRoom:
    """On a disk that the log has filled, segments go that nobody needs."""

    def fill(self, world: World) -> int:
        """Write until a segment ends with one that holds votes alone; return the last term."""
        for index in range(1, 40):
            world.log_writer.accept(append(index, index))
            world.log_writer.start()
            world.finish()
        names, term = len(world.disk.names()), 1
        segments = world.log_writer._log._segments
        while len(world.disk.names()) == names or segments[-1].used < segments[-1].size:
            term += 1
            world.log_writer.accept(replace(NOTHING, hard_state=HardState(term, 1)))
            world.log_writer.start()
            world.finish()
        world.disk.is_full = True
        return term

    def test_a_cut_leaves_the_last_segment(self, world: World) -> None:
        """Also where nothing in it is needed; each cut is a job of its own."""
        self.fill(world)
        world.disk.is_full = False
        names = world.disk.names()
        world.log_writer.cut(2)
        world.log_writer.start()
        assert world.log_writer.idle, "the first segment has more"
        for index in (30, 40):
            world.log_writer.cut(index)
            world.log_writer.cut(1)
            world.log_writer.start()
            assert world.finish() == LogBatch()
            assert world.disk.names() == names[len(names) - len(world.disk.names()) :]
        assert world.disk.names() == names[-1:]

    def ask_for_more(self, world: World, ready: Ready) -> None:
        """Write what there is no space for, and let everything below go."""
        world.log_writer.accept(ready)
        world.log_writer.start()
        world.disk.drain()
        world.log_writer.full(world.full.pop())
        world.log_writer.cut(40)
        world.log_writer.start()
        world.disk.drain()

    def test_the_last_segment_on_the_disk_stays(self, world: World) -> None:
        """A newer one is planned, but what was voted is in the last alone."""
        term = self.fill(world)
        last = world.disk.names()[-1]
        self.ask_for_more(world, replace(NOTHING, hard_state=HardState(term + 1, 1)))
        assert world.disk.names() == [last]
        assert wal.recover(world.disk, segment_bytes=4096).hard_state == HardState(term, 1)
        assert world.log_writer.done(world.done.pop()) is None
        world.disk.is_full = False
        assert world.finish().hard_state == HardState(term + 1, 1)
        assert wal.recover(world.disk, segment_bytes=4096).hard_state == HardState(term + 1, 1)

    def test_what_is_needed_stays_though_there_is_no_space(self, world: World) -> None:
        """Nothing is asked of the disk until its space is tried again."""
        term = self.fill(world)
        names = world.disk.names()
        world.log_writer.accept(replace(NOTHING, hard_state=HardState(term + 1, 1)))
        world.log_writer.start()
        world.disk.drain()
        world.log_writer.full(world.full.pop())
        world.log_writer.cut(2)
        world.log_writer.start()
        assert not world.disk.busy
        assert world.disk.names() == names
        world.disk.is_full = False
        for _ in range(4):
            world.log_writer.tick()
        assert world.finish().hard_state == HardState(term + 1, 1)

    def test_nothing_goes_before_a_snapshot_is_recorded(self, world: World) -> None:
        """The log counts without all that is before it already; a crash now would need it."""
        self.fill(world)
        names = world.disk.names()
        meta = SnapshotMeta(200, 1, Configuration(frozenset({1})))
        self.ask_for_more(world, replace(NOTHING, install=meta))
        assert world.disk.names() == names
        world.disk.is_full = False
        for _ in range(4):
            world.log_writer.tick()
        assert world.finish().install == meta


def test_what_waits_for_one_sync_is_reduced_past_the_bound() -> None:
    """To the last of each kind for each member, and of the acceptances to the furthest."""
    batch = LogBatch()
    furthest = replace(reply(3), term=2)
    refused = [replace(reply(index), accepted=False) for index in (9, 8)]
    heard = [HeartbeatReply(1, 2, 1, context=context) for context in (7, 6)]
    other: list[Message] = [replace(reply(4), recipient=3), HeartbeatReply(1, 3, 1, context=5)]
    messages: list[Message] = [furthest, *refused, *heard, *other]
    messages += [reply(index) for index in range(256 - len(messages))]
    batch.owe(replace(NOTHING, after_sync=tuple(messages)))
    assert batch.messages == messages
    batch.owe(replace(NOTHING, after_sync=(reply(1),)))
    kept = [furthest, refused[-1], heard[-1], *other]
    assert sorted(batch.messages, key=repr) == sorted(kept, key=repr)


class TestTheRepair:
    """What recovery found is on the disk before anything else is."""

    def test_everything_queues_behind_it(self, world: World) -> None:
        """The log is repaired once it is done."""
        assert world.log_writer.repaired is True
        disk = ManualDisk()
        log = wal.recover(world.disk, segment_bytes=4096).log
        made = LogWriter(log, cast("LogDisk", disk), [SyncFolder()], retry_ticks=4)
        assert (disk.given, made.repaired, made.idle) == ([1], False, False)
        assert disk.operations == [[SyncFolder()]]
        made.accept(append(1, 1))
        made.start()
        assert disk.given == [1]
        assert made.done(1) == LogBatch()
        assert made.repaired is True
        made.start()
        assert disk.given == [1, 2]

    def test_a_member_that_ends_waits_for_its_log(self, world: World) -> None:
        """Unless the disk has no space."""
        writer = world.log_writer
        assert writer.is_at_rest
        writer.accept(append(1, 1))
        assert not writer.is_at_rest
        writer.start()
        assert not writer.is_at_rest
        writer.full(99)
        assert not writer.is_full, "another job"
        world.disk.drain()
        ticket = world.done.pop()
        writer.full(ticket)
        assert writer.is_at_rest
        writer.done(ticket)
        assert writer.is_at_rest


def test_what_waits_for_one_sync_is_bounded(world: World) -> None:
    """A leader asks a member on whose disk is full; of its answers the furthest says all."""
    refused = replace(reply(0), accepted=False)
    heard = HeartbeatReply(1, 2, 1, context=5)
    world.log_writer.accept(append(1, 1, messages=(heard,)))
    world.log_writer.start()
    for index in (*range(2, 2_000), 7):
        world.log_writer.accept(
            replace(NOTHING, after_sync=(reply(index), replace(refused, index=index)))
        )
    other = replace(reply(3), recipient=3)
    world.log_writer.accept(replace(NOTHING, after_sync=(other,)))
    messages = world.finish().messages
    assert len(messages) <= log_writer.MESSAGES_MAX
    assert heard in messages
    assert other in messages
    assert reply(1_999) in messages
    assert replace(refused, index=7) in messages, "the last"


def test_the_end_of_another_job_is_ignored(world: World) -> None:
    """A ticket names one job."""
    world.log_writer.accept(append(1, 1))
    world.log_writer.start()
    assert world.log_writer.done(99) is None
    assert not world.log_writer.idle


class ManualDisk:
    """Keeps the tickets of the jobs that it is given; a test says how each ended."""

    def __init__(self) -> None:
        """Start with none."""
        self.given: list[int] = []
        self.operations: list[Sequence[DiskOperation]] = []  # of each job

    def submit(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Keep a ticket."""
        self.given.append(ticket)
        self.operations.append(operations)


def test_one_try_at_a_time_is_under_way_on_a_full_disk(world: World) -> None:
    """A slow disk takes long to say that it is full: the same job twice would be done twice."""
    disk = ManualDisk()
    log = wal.recover(world.disk, segment_bytes=4096).log
    made = LogWriter(log, cast("LogDisk", disk), (), retry_ticks=4)
    made.accept(append(1, 1))
    made.start()
    for tries in (1, 2):
        assert disk.given == [1] * tries
        for _ in range(20):
            made.tick()
        assert disk.given == [1] * tries, "nobody has said how the last try ended"
        assert made.hangs(19)
        made.full(1)
        for _ in range(3):
            made.tick()
        assert disk.given == [1] * tries
        assert not made.hangs(0), "a disk that is full does not hang"
        made.tick()
    assert disk.given == [1] * 3
    assert made.is_full
    assert made.done(1) is not None
    assert not made.is_full
