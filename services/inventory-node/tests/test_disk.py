"""The log's disk on real files."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from stat import S_ISREG

import pytest
from chaos.volumes import mounted
from inventory_node.core.events import DiskDone, DiskFailed, DiskFull
from inventory_node.ports import (
    CreateFile,
    DiskOperation,
    RemoveFile,
    RenameFile,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from inventory_node.runtime import disk as disk_module
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.wal import Identity, recover
from raft.messages import Configuration, Entry, EntryKind, HardState

Events = SimpleQueue[DiskDone | DiskFull | DiskFailed]


@pytest.fixture
def events() -> Events:
    """Return what the disk emits."""
    return SimpleQueue()


@pytest.fixture
def disk(tmp_path: Path, events: Events) -> Iterator[ThreadedDisk]:
    """Return a disk on a folder that it has to make; each job has ended when the test ends."""
    before = unlinked()
    disk = ThreadedDisk(tmp_path / "wal", events.put)
    yield disk
    assert unlinked() <= before, "a removed file keeps its space while it is open"
    disk.close()


def unlinked() -> set[tuple[int, int]]:
    """Return the open files of this process that have no name any more, by device and inode."""
    found = set()
    for path in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):  # the descriptor of the listing is closed again
            stat = os.fstat(int(path.name))
            if S_ISREG(stat.st_mode) and not stat.st_nlink:
                found.add((stat.st_dev, stat.st_ino))
    return found


def test_operations_are_done_in_order(disk: ThreadedDisk, events: Events) -> None:
    """Files are made, written, renamed and removed; one event ends each job."""
    disk.submit(
        [
            CreateFile("a", 2048),
            WriteAt("a", 512, b"x" * 512),
            SyncFile("a"),
            RenameFile("a", "b"),
            SyncFolder(),
            WriteAt("b", 1024, b"y"),
            SyncFile("b"),
        ],
        1,
    )
    assert events.get() == DiskDone(1)
    assert disk.names() == ["b"]
    assert disk.read("b") == bytes(512) + b"x" * 512 + b"y" + bytes(1023)
    disk.submit([RemoveFile("b"), RemoveFile("never there"), SyncFolder()], 2)
    assert events.get() == DiskDone(2)
    assert disk.names() == []


def test_jobs_finish_in_the_order_in_which_they_were_given(
    disk: ThreadedDisk, events: Events
) -> None:
    """An empty job is a job."""
    for ticket in range(5):
        disk.submit([], ticket)
    assert [events.get() for _ in range(5)] == [DiskDone(ticket) for ticket in range(5)]


def test_after_a_failure_nothing_is_written(
    disk: ThreadedDisk, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed sync may have dropped what it did not write; a later one proves nothing."""
    disk.submit([CreateFile("a", 512)], 1)
    assert events.get() == DiskDone(1)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk_module, "_sync_data", fail)
    disk.submit([WriteAt("a", 0, b"x"), SyncFile("a")], 2)
    failed = events.get()
    assert isinstance(failed, DiskFailed)
    assert "Input/output error" in failed.problem
    monkeypatch.undo()
    disk.submit([WriteAt("a", 0, b"z"), SyncFile("a")], 3)
    assert isinstance(events.get(), DiskFailed)
    assert disk.read("a")[:1] == b"x"


def test_a_file_that_does_not_fit_is_not_left_behind(
    disk: ThreadedDisk, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is met when a segment is made, before anything is written to it."""

    def full(_file: int, _data: bytes, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    job: list[DiskOperation] = [CreateFile("a", 512), WriteAt("a", 0, b"x")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        disk.submit(job, 1)
        assert events.get() == DiskFull(1)
    assert disk.names() == []
    disk.submit(job, 1)
    assert events.get() == DiskDone(1), "the same job, once there is space"


def test_no_space_in_the_middle_of_a_job_is_a_failure(
    disk: ThreadedDisk, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done before it stays, so the job cannot be given again."""

    def full(_file: int, _data: bytes, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    disk.submit([CreateFile("a", 512)], 1)
    assert events.get() == DiskDone(1)
    monkeypatch.setattr(os, "pwrite", full)
    disk.submit([WriteAt("a", 0, b"x")], 2)
    failed = events.get()
    assert isinstance(failed, DiskFailed)
    assert "No space left" in failed.problem


def test_a_volume_that_is_really_full_takes_a_segment_once_it_has_space(
    tmp_path: Path, events: Events
) -> None:
    """The kernel says so, and half a segment is not left behind."""
    with mounted(tmp_path / "volume", 1) as volume:
        disk = ThreadedDisk(volume / "wal", events.put)
        (volume / "other").write_bytes(bytes(700 << 10))
        disk.submit([CreateFile("a", 512 << 10)], 1)
        assert events.get() == DiskFull(1)
        assert disk.names() == []
        (volume / "other").unlink()
        disk.submit([CreateFile("a", 512 << 10)], 1)
        assert events.get() == DiskDone(1)
        disk.close()


def test_a_log_lives_on_it(tmp_path: Path, events: Events) -> None:
    """Bootstrap, appends over several segments, a cut, and a second start."""
    disk = ThreadedDisk(tmp_path, events.put)
    log = recover(disk, segment_bytes=4096).log
    identity = Identity("cluster", 1, "node-0")
    plans = [log.bootstrap(identity, Configuration(frozenset({1})))]
    for index in range(1, 40):
        entry = Entry(index, 1, EntryKind.COMMAND, b"%d" % index * 100)
        plans.append(log.append(HardState(1, 1), None, [entry]))
    plans.append(log.cut(30))
    for ticket, plan in enumerate(plans):
        disk.submit(plan, ticket)
        assert events.get() == DiskDone(ticket)
    disk.close()
    again = ThreadedDisk(tmp_path, events.put)
    recovered = recover(again, segment_bytes=4096)
    assert recovered.identity == identity
    assert recovered.entries[-1].index == 39
    assert 0 < recovered.base_index < 30
    again.submit(recovered.repair, 100)
    assert events.get() == DiskDone(100)
    again.close()
