"""A log cut at every byte and with every byte flipped: refused, or nothing acknowledged is gone."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from inventory_node.errors import LogDamaged, LogForeign
from inventory_node.ports import DiskOperation, SyncFile, WriteAt
from inventory_node.wal import Identity, Recovered, recover
from inventory_node.wal.format import (
    LogRecord,
    RecordType,
    SegmentHeader,
    encode_batch,
    encode_header,
)
from raft.messages import Configuration, Entry, EntryKind, HardState
from sim.disk import SimDisk

SEGMENT_BYTES = 6144
NAME = "log-00000000000000000001.wal"
IDENTITY = Identity("cluster", 7, "node-0")
VOTERS = Configuration(frozenset({7, 8, 9}))


def entry(index: int, term: int = 1, size: int = 40) -> Entry:
    """Return a command entry whose payload says its index; zeros fill it."""
    return Entry(index, term, EntryKind.COMMAND, b"%d" % index + bytes(size))


def small_log() -> tuple[SimDisk, list[Recovered]]:
    """Return the disk of a log of one segment, and what it held after each batch."""
    disk = SimDisk(lambda _: None)
    log = recover(disk, segment_bytes=SEGMENT_BYTES).log
    plans: list[Callable[[], tuple[DiskOperation, ...]]] = [
        lambda: log.bootstrap(IDENTITY, VOTERS),
        lambda: log.append(HardState(1, 8), None, [entry(1)]),
        lambda: log.append(None, None, [entry(2), entry(3, size=1200)]),
        lambda: log.append(HardState(2, 0), None, [entry(3, term=2, size=700)]),
    ]
    held = []
    for plan in plans:
        disk.submit(plan(), 1)
        disk.drain()
        held.append(recover(disk, segment_bytes=SEGMENT_BYTES))
    return disk, held


def contents(recovered: Recovered) -> tuple[object, ...]:
    """Return what a recovery says, the plan of repair and the handle left out."""
    return (
        recovered.identity,
        recovered.hard_state,
        recovered.base_index,
        recovered.base_term,
        recovered.configuration,
        recovered.entries,
        recovered.installed,
    )


def damaged(data: bytes) -> SimDisk:
    """Return a disk with one segment of these bytes."""
    disk = SimDisk(lambda _: None)
    disk.damage(NAME, data)
    return disk


@pytest.mark.slow
def test_a_log_cut_at_any_byte_is_refused() -> None:
    """Segments have their full size from the start, so a short one has lost something."""
    disk, _ = small_log()
    data = disk.read(NAME)
    for length in range(len(data)):
        with pytest.raises(LogDamaged, match="rebuild this member"):
            recover(damaged(data[:length]), segment_bytes=SEGMENT_BYTES)


@pytest.mark.slow
@pytest.mark.parametrize("flip", [0x01, 0xFF, "zero"])
def test_a_flipped_byte_is_refused(flip: int | str) -> None:
    """Also in the space not written yet, and also where a byte turns to zero."""
    disk, _ = small_log()
    data = disk.read(NAME)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] = 0 if isinstance(flip, str) else changed[at] ^ flip
        if changed == data:
            continue
        with pytest.raises((LogDamaged, LogForeign), match=NAME):
            recover(damaged(bytes(changed)), segment_bytes=SEGMENT_BYTES)


def sectors_of_last_batch() -> tuple[bytes, int, int, list[Recovered]]:
    """Return a segment's bytes, where its last batch begins, its sectors, and the recoveries."""
    disk, held = small_log()
    log = held[-1].log
    write, sync = log.append(HardState(3, 9), None, [entry(4, term=3, size=1300)])
    assert isinstance(write, WriteAt)
    assert isinstance(sync, SyncFile)
    disk.submit((write, sync), 1)
    disk.drain()
    held.append(recover(disk, segment_bytes=SEGMENT_BYTES))
    data = disk.read(NAME)
    return data, write.offset, len(write.data) // 512, held


def subsets(count: int) -> Iterator[int]:
    """Yield every set of sectors as a bit mask, the whole set left out."""
    yield from range((1 << count) - 1)


def test_a_batch_that_misses_any_of_its_sectors_is_cut_and_the_log_goes_on() -> None:
    """Every subset of the last batch's sectors opens as the log before it, and takes appends."""
    data, at, count, held = sectors_of_last_batch()
    assert count == 3
    for kept in subsets(count):
        torn = bytearray(data)
        for sector in range(count):
            if not kept >> sector & 1:
                torn[at + 512 * sector : at + 512 * (sector + 1)] = bytes(512)
        disk = damaged(bytes(torn))
        recovered = recover(disk, segment_bytes=SEGMENT_BYTES)
        assert contents(recovered) == contents(held[-2])
        disk.submit(recovered.repair, 1)
        disk.submit(recovered.log.append(None, None, [entry(4, term=2)]), 2)
        disk.drain()
        again = recover(disk, segment_bytes=SEGMENT_BYTES)
        assert again.entries == (*recovered.entries, entry(4, term=2))


def test_a_repair_that_is_cut_short_can_be_made_again() -> None:
    """A crash in the middle of zeroing a torn batch leaves a torn batch."""
    data, at, _, held = sectors_of_last_batch()
    torn = bytearray(data)
    torn[at + 512 : at + 1024] = bytes(512)
    for seed in range(20):
        disk = damaged(bytes(torn))
        disk.submit(recover(disk, segment_bytes=SEGMENT_BYTES).repair, 1)
        disk.step()
        disk.crash(Random(seed))
        assert contents(recover(disk, segment_bytes=SEGMENT_BYTES)) == contents(held[-2])


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_missing_sector_before_the_last_batch_is_refused(batch: int) -> None:
    """A batch that another one follows was synced whole; a hole in it is damage."""
    data, _, _, _ = sectors_of_last_batch()
    starts = [at for at in range(0, len(data), 512) if data[at + 510] == 0xB7]
    assert len(starts) == 5
    for at in range(starts[batch], starts[batch + 1], 512):
        changed = data[:at] + bytes(512) + data[at + 512 :]
        with pytest.raises(LogDamaged):
            recover(damaged(changed), segment_bytes=SEGMENT_BYTES)


def test_remains_that_no_torn_batch_leaves_are_refused() -> None:
    """Past the sectors that the batch's own record counts, nothing may stand."""
    data, at, count, _ = sectors_of_last_batch()
    torn = bytearray(data)
    torn[at + 512 : at + 1024] = bytes(512)
    after = at + 512 * count
    torn[after : after + 512] = data[at + 1024 : at + 1536]
    with pytest.raises(LogDamaged, match=f"{NAME}.* no torn batch"):
        recover(damaged(bytes(torn)), segment_bytes=SEGMENT_BYTES)


def test_a_byte_far_behind_the_end_of_a_large_segment_is_refused() -> None:
    """Most of a segment is zeros, and all of it is looked at."""
    disk = SimDisk(lambda _: None)
    disk.submit(recover(disk, segment_bytes=1 << 18).log.bootstrap(IDENTITY, VOTERS), 1)
    disk.drain()
    data = bytearray(disk.read(NAME))
    data[-1] = 1
    with pytest.raises(LogDamaged, match=f"{NAME}.* no torn batch"):
        recover(damaged(bytes(data)), segment_bytes=1 << 18)


def log_of_two_segments() -> tuple[SimDisk, int]:
    """Return the disk of a log that rolled once, and where its first segment ends."""
    disk = SimDisk(lambda _: None)
    log = recover(disk, segment_bytes=4096).log
    disk.submit(log.bootstrap(IDENTITY, VOTERS), 1)
    disk.drain()
    index, last_at = 0, 0
    while len(disk.names()) == 1:
        index += 1
        plan = log.append(None, None, [entry(index, size=900)])
        if len(plan) == 2 and isinstance(plan[0], WriteAt):
            last_at = plan[0].offset
        disk.submit(plan, 1)
        disk.drain()
    return disk, last_at


@pytest.mark.parametrize(
    ("kept", "problem"),
    [([], "does not begin where"), ([1], "a later segment follows"), ([0], "a later segment")],
)
def test_a_batch_that_another_segment_follows_was_whole(kept: list[int], problem: str) -> None:
    """The next segment is made only after its sync: a hole in it is damage, and so is its loss."""
    disk, at = log_of_two_segments()
    data = disk.read(NAME)
    sectors = [data[at + 512 * place : at + 512 * (place + 1)] for place in range(2)]
    torn = b"".join(sector if place in kept else bytes(512) for place, sector in enumerate(sectors))
    disk.damage(NAME, data[:at] + torn + data[at + 1024 :])
    with pytest.raises(LogDamaged, match=problem):
        recover(disk, segment_bytes=4096)


def test_a_batch_in_the_place_of_another_is_refused() -> None:
    """Whole as it may be: batches are numbered without a gap."""
    disk = SimDisk(lambda _: None)
    disk.submit(recover(disk, segment_bytes=SEGMENT_BYTES).log.bootstrap(IDENTITY, VOTERS), 1)
    disk.drain()
    data = disk.read(NAME)
    batch = encode_batch(2, [LogRecord(RecordType.ENTRY, 1, 1, 1, b"")])
    changed = data[:512] + batch + data[512 + len(batch) :]
    with pytest.raises(LogDamaged, match=f"{NAME} at byte 512: batch 2 stands where 1 belongs"):
        recover(damaged(changed), segment_bytes=SEGMENT_BYTES)


def test_a_batch_that_is_longer_than_its_file_is_refused() -> None:
    """A segment is made large enough for each of its batches."""
    records = [LogRecord(RecordType.ENTRY, 1, 1, 1, bytes(1200))]
    header = SegmentHeader(
        sequence=1,
        size=1024,
        first_batch=1,
        identity=IDENTITY,
        base_index=0,
        base_term=0,
        hard_state=HardState(0, 0),
        configuration=VOTERS,
        installed=None,
    )
    data = (encode_header(header) + encode_batch(1, records))[:1024]
    with pytest.raises(LogDamaged, match=f"{NAME}.* runs over the end of the file"):
        recover(damaged(data), segment_bytes=SEGMENT_BYTES)


def test_what_a_failed_sync_left_in_memory_is_written_again() -> None:
    """Found whole after it, a batch survives a power failure; else acknowledged entries would go.

    The pages of a failed sync count as clean (Rebello et al., 2020): a second one writes nothing.
    """
    for seed in range(20):
        disk, held = small_log()
        disk.is_failing = True
        disk.submit(held[-1].log.append(None, None, [entry(4, term=2, size=900)]), 1)
        disk.drain()
        recovered = recover(disk, segment_bytes=SEGMENT_BYTES)
        assert recovered.entries[-1] == entry(4, term=2, size=900)
        disk.submit(recovered.repair, 2)
        disk.drain()
        disk.crash(Random(seed))
        assert contents(recover(disk, segment_bytes=SEGMENT_BYTES)) == contents(recovered)


def test_zeros_that_a_failed_sync_left_in_memory_are_written_again() -> None:
    """The rest of a torn batch does not come back behind a later, shorter one."""
    data, at, _, held = sectors_of_last_batch()
    torn = bytearray(data)
    torn[at : at + 512] = bytes(512)
    disk = damaged(bytes(torn))
    disk.is_failing = True
    for ticket in (1, 2):
        disk.submit(recover(disk, segment_bytes=SEGMENT_BYTES).repair, ticket)
        disk.drain()
    disk.crash(Random(1))
    after = recover(disk, segment_bytes=SEGMENT_BYTES)
    assert contents(after) == contents(held[-2])
    assert disk.read(NAME)[at:] == bytes(len(data) - at)
