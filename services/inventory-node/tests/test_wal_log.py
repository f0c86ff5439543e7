"""The log against a model: append, replace, install, roll, cut, crash at any point, recover."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory_node.codec import encode_configuration
from inventory_node.errors import LogDamaged, LogForeign
from inventory_node.ports import (
    CreateFile,
    DiskOperation,
    RemoveFile,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from inventory_node.wal import Identity, Recovered, WriteAheadLog, recover
from inventory_node.wal.format import (
    LogRecord,
    RecordType,
    decode_batch,
    encode_batch,
    trailers_hold,
)
from raft.messages import Configuration, Entry, EntryKind, HardState, SnapshotMeta
from sim.disk import SimDisk

SEGMENT_BYTES = 4096
IDENTITY = Identity("cluster", 7, "node-0")
VOTERS = Configuration(frozenset({7, 8, 9}))


def command(index: int, term: int = 1, size: int = 60) -> Entry:
    """Return a command entry of that payload size."""
    return Entry(index, term, EntryKind.COMMAND, b"%d" % index + bytes(size))


def configuration_entry(index: int, term: int, configuration: Configuration) -> Entry:
    """Return an entry that changes who takes part."""
    return Entry(index, term, EntryKind.CONFIGURATION, encode_configuration(configuration))


class Bench:
    """A log on a simulated disk, every plan run to its end."""

    def __init__(self, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Bootstrap it."""
        self.segment_bytes = segment_bytes
        self.disk = SimDisk(lambda _: None)
        self.log = recover(self.disk, segment_bytes=segment_bytes).log
        self.run(self.log.bootstrap(IDENTITY, VOTERS))

    def run(self, operations: tuple[DiskOperation, ...]) -> None:
        """Run a plan."""
        self.disk.submit(operations, 1)
        self.disk.drain()

    def append(self, *entries: Entry, hard_state: HardState | None = None) -> None:
        """Append one batch."""
        self.run(self.log.append(hard_state, None, entries))

    def reopen(self) -> Recovered:
        """Recover, repair and go on with that log."""
        recovered = recover(self.disk, segment_bytes=self.segment_bytes)
        self.run(recovered.repair)
        self.log = recovered.log
        return recovered


def test_an_empty_folder_has_no_identity_and_needs_no_repair() -> None:
    """That is how a member that was never bootstrapped looks."""
    recovered = recover(SimDisk(lambda _: None), segment_bytes=SEGMENT_BYTES)
    assert recovered.identity is None
    assert recovered.entries == ()
    assert recovered.repair == ()
    assert recovered.hard_state == HardState(0, 0)
    assert (recovered.base_index, recovered.base_term) == (0, 0)
    assert recovered.configuration == Configuration(frozenset())
    assert (recovered.installed, recovered.installed_index) == (None, 0)
    with pytest.raises(ValueError, match="not been bootstrapped"):
        recovered.log.append(HardState(1, 1), None, ())


def test_what_is_appended_comes_back() -> None:
    """Entries, hard state, identity and configuration survive a reopening."""
    bench = Bench()
    joint = Configuration(frozenset({7, 8}), frozenset({9}))
    bench.append(command(1), configuration_entry(2, 1, joint), hard_state=HardState(1, 8))
    recovered = bench.reopen()
    assert recovered.identity == IDENTITY
    assert recovered.hard_state == HardState(1, 8)
    assert recovered.configuration == VOTERS, "at the base"
    assert recovered.entries == (command(1), configuration_entry(2, 1, joint))
    assert (recovered.base_index, recovered.base_term) == (0, 0)
    bench.append(command(3, 2))
    assert bench.reopen().entries[-1] == command(3, 2)


@pytest.mark.parametrize("segment_bytes", [-512, 0, 511, 513, 1000])
def test_a_segment_is_whole_sectors(segment_bytes: int) -> None:
    """A file of another size could not be told from one that lost something."""
    with pytest.raises(ValueError, match="no segment of whole sectors"):
        WriteAheadLog(segment_bytes)


def test_a_log_is_bootstrapped_once() -> None:
    """A second time would make another member of it."""
    with pytest.raises(ValueError, match="has been bootstrapped"):
        Bench().log.bootstrap(IDENTITY, VOTERS)


def test_only_an_entry_has_a_kind() -> None:
    """The byte is zero in every other record (docs/disk-format.md)."""
    log = Bench().log
    written = [
        log.append(HardState(1, 8), None, [command(1), command(2)]),
        log.append(None, None, [command(2, 2)]),
        log.append(None, SnapshotMeta(9, 2, VOTERS), ()),
    ]
    kinds = set()
    for write, _ in written:
        assert isinstance(write, WriteAt)
        kinds |= {(record.type, record.kind) for record in decode_batch(write.data)}
    assert kinds == {
        (RecordType.HARD_STATE, 0),
        (RecordType.ENTRY, EntryKind.COMMAND),
        (RecordType.RESET, 0),
        (RecordType.INSTALL, 0),
    }


def test_nothing_to_write_is_no_batch() -> None:
    """An empty Ready costs no sync."""
    assert Bench().log.append(None, None, ()) == ()


def test_a_batch_is_one_write_of_marked_sectors_and_ends_in_its_sync() -> None:
    """No sector of it is all zero, whatever the payload."""
    log = Bench(1 << 16).log
    write, sync = log.append(None, None, [command(1, size=5000)])
    assert isinstance(write, WriteAt)
    assert trailers_hold(write.data)
    assert sync == SyncFile(write.name)


def test_a_later_entry_at_an_index_replaces_all_from_there_on() -> None:
    """Raft's truncation is logical; the configuration goes back with it (Raft §5.3)."""
    bench = Bench()
    fewer = Configuration(frozenset({7, 8}))
    bench.append(command(1), command(2), configuration_entry(3, 1, fewer), command(4))
    assert bench.reopen().entries[2] == configuration_entry(3, 1, fewer)
    bench.append(command(2, 2))
    recovered = bench.reopen()
    assert recovered.entries == (command(1), command(2, 2))
    assert recovered.configuration == VOTERS


def test_entries_that_leave_a_gap_are_refused() -> None:
    """A caller that skips an index has a bug; the log does not take part in it."""
    bench = Bench()
    with pytest.raises(ValueError, match="does not follow"):
        bench.append(command(2))


def test_it_rolls_into_a_segment_that_is_whole_before_it_has_its_name() -> None:
    """Create, header, sync, rename, sync of the folder, and only then the batch."""
    bench = Bench(1024)
    operations = bench.log.append(None, None, [command(1, size=600)])
    kinds = [type(operation).__name__ for operation in operations]
    assert kinds == [
        *("CreateFile", "WriteAt", "SyncFile", "RenameFile", "SyncFolder"),
        *("WriteAt", "SyncFile"),
    ]
    created = operations[0]
    assert isinstance(created, CreateFile)
    assert created.size > 1024  # a batch larger than a segment gets a larger one
    bench.run(operations)
    assert bench.reopen().entries == (command(1, size=600),)


def test_cut_removes_whole_old_segments_oldest_first_each_synced() -> None:
    """What is left opens by itself: the header says what came before."""
    bench = Bench()
    bench.append(command(1), hard_state=HardState(3, 9))
    for index in range(2, 80):
        bench.append(command(index, size=400))
    assert bench.log.cut(1) == ()
    operations = bench.log.cut(50)
    assert operations
    assert {type(operation) for operation in operations[::2]} == {RemoveFile}
    assert {type(operation) for operation in operations[1::2]} == {SyncFolder}
    bench.run(operations)
    recovered = bench.reopen()
    assert recovered.base_index < 50
    assert recovered.base_term == 1
    assert recovered.entries == tuple(
        command(index, size=400) for index in range(recovered.base_index + 1, 80)
    )
    assert recovered.hard_state == HardState(3, 9)
    assert bench.log.cut(50) == ()
    assert bench.log.cut(1000) != ()  # all but the open segment
    assert len(bench.disk.names()) > 1


def test_a_suffix_whose_header_names_replaced_entries_begins_where_they_were_replaced() -> None:
    """The base goes back: a segment was made when the log was longer, in another term."""
    bench = Bench()
    for index in range(1, 9):
        bench.append(command(index, size=400))
    fewer = Configuration(frozenset({7, 8}))
    bench.append(configuration_entry(9, 1, fewer))
    while len(bench.disk.names()) == 1:
        bench.append(command(bench.reopen().entries[-1].index + 1, size=900))
    bench.append(command(7, 2))
    bench.run(bench.log.cut(7))
    assert len(bench.disk.names()) == 1
    recovered = bench.reopen()
    assert (recovered.base_index, recovered.base_term) == (6, 1)
    assert recovered.entries == (command(7, 2),)
    assert recovered.configuration == VOTERS


def test_an_installed_snapshot_replaces_the_log_and_is_named_from_then_on() -> None:
    """Also once the segment that recorded it is gone."""
    bench = Bench()
    bench.append(command(1), command(2))
    meta = SnapshotMeta(100, 4, Configuration(frozenset({7, 8}), frozenset({9})))
    bench.run(bench.log.append(HardState(5, 0), meta, [command(101, 5)]))
    recovered = bench.reopen()
    assert recovered.installed == meta
    assert recovered.installed_index == 100
    assert recovered.entries == (command(101, 5),)
    assert (recovered.base_index, recovered.base_term) == (100, 4)
    assert recovered.configuration == meta.configuration
    for index in range(102, 130):
        bench.append(command(index, 5, size=400))
    bench.run(bench.log.cut(129))
    assert "log-00000000000000000001.wal" not in bench.disk.names()
    assert bench.reopen().installed == meta


def test_a_cut_keeps_the_entry_at_its_index() -> None:
    """Only what is below may go, also where a segment ends with that very entry."""
    bench = Bench()
    for index in range(1, 40):
        bench.append(command(index, size=400))
    for index in range(1, 40):
        bench.run(bench.log.cut(index))
        recovered = bench.reopen()
        assert recovered.base_index < index
        assert recovered.entries[-1].index == 39


def test_a_segment_may_hold_its_header_alone() -> None:
    """The first batch did not fit, or a crash came before it."""
    bench = Bench(512)
    assert [len(bench.disk.read(name)) for name in bench.disk.names()] == [512]
    assert bench.reopen().identity == IDENTITY
    bench.append(command(1))
    assert bench.reopen().entries == (command(1),)


def test_a_segment_without_an_entry_may_go_at_once() -> None:
    """Votes and terms of before stand in the header of the next segment."""
    bench = Bench(1024)
    for term in range(1, 4):
        bench.append(hard_state=HardState(term, 8))
    assert len(bench.disk.names()) == 3
    bench.run(bench.log.cut(1))
    assert len(bench.disk.names()) == 1
    assert bench.reopen().hard_state == HardState(3, 8)


def test_entries_may_follow_a_snapshot_in_the_middle_of_the_log() -> None:
    """In one batch; the log that was longer had other entries there (Raft §7)."""
    bench = Bench()
    bench.append(*(command(index) for index in range(1, 6)))
    meta = SnapshotMeta(3, 2, Configuration(frozenset({7, 8})))
    bench.run(bench.log.append(HardState(2, 0), meta, [command(4, 2)]))
    recovered = bench.reopen()
    assert (recovered.base_index, recovered.base_term) == (3, 2)
    assert recovered.configuration == meta.configuration
    assert recovered.entries == (command(4, 2),)


def test_a_log_may_begin_with_a_snapshot() -> None:
    """A member that joins holds no entry before it."""
    bench = Bench()
    bench.run(bench.log.append(None, SnapshotMeta(3, 2, VOTERS), [command(4, 2)]))
    recovered = bench.reopen()
    assert (recovered.base_index, recovered.base_term) == (3, 2)
    assert recovered.entries == (command(4, 2),)


def test_what_was_cut_is_not_replaced() -> None:
    """It is committed, and durable elsewhere; the entry at the cut is not."""
    bench = Bench()
    for index in range(1, 40):
        bench.append(command(index, size=400))
    bench.run(bench.log.cut(30))
    with pytest.raises(ValueError, match="is not within"):
        bench.append(command(29, 2))
    bench.append(command(30, 2))
    assert bench.reopen().entries[-1] == command(30, 2)


def test_what_was_cut_leaves_its_configuration() -> None:
    """The header of each later segment holds it."""
    bench = Bench()
    fewer = Configuration(frozenset({7, 8}))
    bench.append(command(1), configuration_entry(2, 1, fewer))
    for index in range(3, 40):
        bench.append(command(index, size=400))
    bench.run(bench.log.cut(30))
    assert bench.reopen().configuration == fewer


def test_a_record_that_frames_batches_is_none_of_a_batch() -> None:
    """Each checksum holds, and the log is damaged all the same."""
    disk = Bench().disk
    (name,) = disk.names()
    data = disk.read(name)
    within = LogRecord(RecordType.BEGIN, 0, 1, 1, b"")
    batch = encode_batch(1, [within])
    disk.damage(name, data[:512] + batch + data[512 + len(batch) :])
    with pytest.raises(LogDamaged, match=f"{name}.*batch 1: a record that frames batches"):
        recover(disk, segment_bytes=SEGMENT_BYTES)


def test_a_segment_that_was_never_finished_is_removed_for_good() -> None:
    """The removal is synced before anything else is written."""
    for seed in range(10):
        bench = Bench()
        bench.disk.damage("log-00000000000000000002.wal.new", bytes(1024))
        recovered = recover(bench.disk, segment_bytes=SEGMENT_BYTES)
        assert recovered.repair[-1] == SyncFolder()
        bench.run(recovered.repair)
        bench.disk.crash(Random(seed))
        assert bench.disk.names() == ["log-00000000000000000001.wal"]


@pytest.mark.parametrize("cut", [1, 21])
def test_a_snapshot_frees_the_segments_of_the_log_that_it_replaced(cut: int) -> None:
    """Also where that log was longer, and wherever the log is cut: it holds no entry."""
    bench = Bench()
    for index in range(1, 40):
        bench.append(command(index, size=400))
    first = bench.disk.names()[0]
    bench.run(bench.log.append(None, SnapshotMeta(20, 1, VOTERS), ()))
    bench.run(bench.log.cut(cut))
    assert first not in bench.disk.names()
    assert len(bench.disk.names()) == 1
    assert bench.reopen().base_index == 20


def test_what_a_process_left_in_the_page_cache_is_synced_before_it_counts() -> None:
    """A killed process may have written a batch whole and not synced it; power fails later."""
    bench = Bench()
    write, _ = bench.log.append(None, None, [command(1)])
    bench.disk.submit([write], 1)
    bench.disk.drain()
    bench.disk.kill()
    assert bench.reopen().entries == (command(1),)
    for seed in range(5):
        bench.disk.crash(Random(seed))
    assert bench.reopen().entries == (command(1),)


def test_a_missing_or_foreign_segment_is_refused() -> None:
    """Segments follow each other without a gap, and are all of one member."""
    bench, other = Bench(), Bench()
    other.log = recover(SimDisk(lambda _: None), segment_bytes=SEGMENT_BYTES).log
    other.disk = SimDisk(lambda _: None)
    other.run(other.log.bootstrap(replace(IDENTITY, member_id=8), VOTERS))
    for index in range(1, 40):
        bench.append(command(index, size=400))
        other.append(command(index, size=400))
    first, second, third = bench.disk.names()[:3]
    gap = SimDisk(lambda _: None)
    gap.damage(first, bench.disk.read(first))
    gap.damage(third, bench.disk.read(third))
    with pytest.raises(LogDamaged, match="the segment before it"):
        recover(gap, segment_bytes=SEGMENT_BYTES)
    bench.disk.damage(second, other.disk.read(second))
    with pytest.raises(LogForeign, match="member_id=8"):
        recover(bench.disk, segment_bytes=SEGMENT_BYTES)
    bench.disk.damage(second, bench.disk.read(first))
    with pytest.raises(LogDamaged, match="holds the segment 1"):
        recover(bench.disk, segment_bytes=SEGMENT_BYTES)


def test_another_version_is_named() -> None:
    """An older software says what it found instead of calling it damage."""
    disk = Bench().disk
    (name,) = disk.names()
    data = bytearray(disk.read(name))
    data[8] = 2
    disk.damage(name, bytes(data))
    with pytest.raises(LogForeign, match="format version 2"):
        recover(disk, segment_bytes=SEGMENT_BYTES)


@dataclass
class Model:
    """What a log should hold; kept beside it."""

    hard_state: HardState = field(default_factory=lambda: HardState(0, 0))
    base: tuple[int, int] = (0, 0)
    entries: list[Entry] = field(default_factory=list)
    installed: SnapshotMeta | None = None
    cut: int = 0  # entries below may be gone
    committed: int = 0  # never replaced

    def copy(self) -> "Model":
        """Return a model that changes apart."""
        return replace(self, entries=list(self.entries))

    @property
    def last(self) -> int:
        """Return the index of the last entry."""
        return self.entries[-1].index if self.entries else self.base[0]

    @property
    def last_term(self) -> int:
        """Return the term of the last entry."""
        return self.entries[-1].term if self.entries else self.base[1]

    def append(self, entries: list[Entry]) -> None:
        """Put entries in, replacing what they overlap."""
        if entries:
            self.entries = [e for e in self.entries if e.index < entries[0].index] + entries

    def agrees(self, recovered: Recovered) -> bool:
        """Tell whether a recovery is this, as far as cutting left it."""
        kept = tuple(entry for entry in self.entries if entry.index > recovered.base_index)
        terms = {entry.index: entry.term for entry in self.entries} | {self.base[0]: self.base[1]}
        base_known = recovered.base_index not in terms or (
            terms[recovered.base_index] == recovered.base_term
        )
        return (
            recovered.entries == kept
            and base_known
            and recovered.base_index <= max(self.base[0], self.cut - 1)
            and recovered.hard_state == self.hard_state
            and recovered.installed == self.installed
        )


def draw_step(
    draw: Random, model: Model, log: WriteAheadLog
) -> tuple[Model, tuple[DiskOperation, ...]]:
    """Return what the model becomes, and the plan for it."""
    after = model.copy()
    choice = draw.randrange(10)
    if choice == 0:
        after.cut = draw.randrange(model.cut, max(model.committed, model.cut) + 1)
        return after, log.cut(after.cut)
    term = model.hard_state.term + draw.randrange(2)
    hard_state = HardState(term, draw.randrange(4)) if draw.randrange(3) == 0 else None
    after.hard_state = hard_state or model.hard_state
    if choice == 1:
        index = model.last + draw.randrange(1, 5)
        meta = SnapshotMeta(index, max(term, model.last_term), VOTERS)
        after.installed, after.base, after.entries = meta, (index, meta.term), []
        after.committed = after.cut = index
        return after, log.append(hard_state, meta, ())
    first = model.last + 1
    if choice == 2:
        first = draw.randrange(model.committed, model.last + 1) + 1
    term = max(term, model.last_term)
    sizes = [draw.choice([0, 30, 400, 511, 1500]) for _ in range(draw.randrange(4))]
    entries = [command(first + place, term, size) for place, size in enumerate(sizes)]
    after.append(entries)
    after.committed = draw.randrange(model.committed, after.last + 1)
    return after, log.append(hard_state, None, entries)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30))
@pytest.mark.slow
def test_recovery_is_the_model_or_the_model_with_the_batch_under_way(seed: int, steps: int) -> None:
    """Whatever subset of the unsynced sectors a crash keeps, wherever it comes; again and again."""
    draw = Random(seed)
    disk = SimDisk(lambda _: None)
    log = recover(disk, segment_bytes=2048).log
    disk.submit(log.bootstrap(IDENTITY, VOTERS), 1)
    disk.drain()
    model = Model()
    for _ in range(steps):
        after, operations = draw_step(draw, model, log)
        disk.submit(operations, 1)
        if draw.randrange(4):
            disk.drain()
            model = after
            continue
        for _ in range(draw.randrange(len(operations) + 1)):
            disk.step()
        finished = not disk.busy
        disk.crash(draw) if draw.randrange(3) else disk.kill()
        recovered = recover(disk, segment_bytes=2048)
        disk.submit(recovered.repair, 1)
        if draw.randrange(3) == 0 and recovered.repair:
            for _ in range(draw.randrange(len(recovered.repair))):
                disk.step()
            disk.crash(draw)
            recovered = recover(disk, segment_bytes=2048)
            disk.submit(recovered.repair, 1)
        disk.drain()
        assert after.agrees(recovered) or (model.agrees(recovered) and not finished)
        model = after if after.agrees(recovered) else model
        log = recovered.log
