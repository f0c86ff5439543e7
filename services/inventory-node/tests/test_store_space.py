"""Without space nothing halts: snapshots are not made or not taken, and what was begun waits.

Where root may mount one, a small volume shows what the kernel and SQLite say.
"""

import errno
import os
import queue
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from chaos.volumes import mounted
from inventory_node.core import events
from inventory_node.errors import DatabaseFull
from inventory_node.machine.changes import Changes
from inventory_node.ports import SnapshotHeader, Step
from inventory_node.runtime import snapshot as snapshot_module
from inventory_node.runtime import sqlite as sqlite_module
from inventory_node.runtime import store as store_module
from inventory_node.runtime import volume as volume_module
from inventory_node.runtime.hooks import Timings
from inventory_node.runtime.snapshot import StateFolder, quarantined
from inventory_node.runtime.sqlite import Database, Error
from inventory_node.runtime.store import SqliteStore
from inventory_node.runtime.volume import has_no_space
from raft.messages import Configuration, SnapshotMeta
from sim.machines import CUSTOMER, Hand, open_database, order, started

TIMEOUT_SECONDS = 20
MEBIBYTE = 1 << 20
PAGE_BYTES = 4_096
META = SnapshotMeta(2, 1, Configuration(frozenset()))


class Bench:
    """A store, a machine over it, and the events that came."""

    def __init__(self, folder: Path) -> None:
        """Open it, with the first state and one order, flushed."""
        folder.mkdir()
        self.staging = folder / "staging"
        self.events: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
        self.store = SqliteStore(folder, 0, self.events.put)
        self.hand = started(self.store)
        self.hand.mutate(CUSTOMER, order("a", 1, 7))
        self.flush(1)

    def next(self) -> events.Event:
        """Wait for the next event."""
        return self.events.get(timeout=TIMEOUT_SECONDS)

    def flush(self, ticket: int) -> None:
        """Flush what was applied and wait for it."""
        self.store.flush(changes_of(self.hand), ticket)
        assert self.next() == events.Flushed(ticket)
        self.hand.machine.flushed()

    def copy(self, ticket: int) -> events.Copied:
        """Copy the state and wait for it."""
        self.store.copy(ticket)
        copied = self.next()
        assert isinstance(copied, events.Copied)
        assert copied.ticket == ticket
        return copied

    def stage(self, header: SnapshotHeader, offset: int, data: bytes) -> events.Staged:
        """Stage a chunk and wait for it."""
        self.store.stage(header, offset, data, 1)
        staged = self.next()
        assert isinstance(staged, events.Staged)
        return staged

    def staged(self) -> list[str]:
        """Return what lies in staging."""
        return sorted(path.name for path in self.staging.iterdir())


def changes_of(hand: Hand) -> Changes:
    """Take what a machine has changed."""
    changes = hand.machine.take_changes()
    assert changes is not None
    return changes


@contextmanager
def opened(folder: Path) -> Iterator[Bench]:
    """Open a bench, and close it."""
    bench = Bench(folder)
    try:
        yield bench
    finally:
        bench.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a disk with space."""
    with opened(tmp_path / "data") as made:
        yield made


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a small volume of which snapshots may take all, as far as can be seen beforehand."""
    monkeypatch.setattr(volume_module, "SPARE_BYTES", -MEBIBYTE)
    with mounted(tmp_path / "volume", 2) as folder:
        yield folder


def fill(volume: Path, left_bytes: int = 0) -> Path:
    """Leave so many bytes of a volume; return the file that has the rest."""
    other = volume / "other"
    found = os.statvfs(volume)
    other.write_bytes(bytes(found.f_bavail * found.f_frsize - left_bytes))
    return other


def no_space(number: int = errno.ENOSPC) -> OSError:
    """Return what the system says."""
    return OSError(number, os.strerror(number))


class TestCopies:
    """A copy that finds no space ends without a path, and leaves nothing."""

    def test_one_that_would_fill_the_volume_is_not_begun(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The log and the database go first; a flush goes on."""
        with monkeypatch.context() as patch:
            patch.setattr(volume_module, "SPARE_BYTES", 1 << 60)
            copied = bench.copy(1)
        assert copied == events.Copied(1, SnapshotHeader(META, 0, b""), "")
        assert bench.staged() == []
        bench.hand.mutate(CUSTOMER, order("b"))
        bench.flush(2)
        assert bench.copy(3).path

    @pytest.mark.parametrize("left_bytes", [0, PAGE_BYTES, 5 * PAGE_BYTES])
    def test_one_that_runs_out_on_its_way_leaves_nothing(
        self, volume: Path, left_bytes: int
    ) -> None:
        """Neither a part of it nor its journal; it is made once there is space."""
        with opened(volume / "data") as bench:
            other = fill(volume, left_bytes)
            assert bench.copy(1).path == ""
            assert bench.staged() == []
            other.unlink()
            copied = bench.copy(2)
            assert copied.header.size == Path(copied.path).stat().st_size > 0

    def test_one_that_was_not_sent_goes_with_the_next(self, bench: Bench) -> None:
        """Its stream was given up before it began."""
        first = bench.copy(1)
        second = bench.copy(2)
        assert not Path(first.path).exists()
        assert bench.staged() == [Path(second.path).name]

    def test_a_failure_of_another_kind_is_one(self, bench: Bench, tmp_path: Path) -> None:
        """A file cannot be made where there is no folder, and there is space enough."""
        pinned = bench.store._database.pin()
        with pytest.raises(Error, match="unable to open"):
            pinned.copy(tmp_path / "nowhere" / "copy.db")
        pinned.close()


class TestChunks:
    """A chunk that finds no space is refused with the reason, and the whole begins anew."""

    @pytest.fixture
    def snapshot(self, tmp_path: Path) -> tuple[SnapshotHeader, bytes]:
        """Return a peer's snapshot."""
        with opened(tmp_path / "peer") as peer:
            copied = peer.copy(1)
            return copied.header, Path(copied.path).read_bytes()

    def test_one_that_would_fill_the_volume_is_not_begun(
        self,
        bench: Bench,
        snapshot: tuple[SnapshotHeader, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """By the size that the first chunk names."""
        header, data = snapshot
        with monkeypatch.context() as patch:
            patch.setattr(volume_module, "SPARE_BYTES", 1 << 60)
            staged = bench.stage(header, 0, data[:100])
        assert not staged.complete
        assert staged.problem == f"there is no space for its {header.size} bytes"
        assert bench.staged() == []
        assert bench.stage(header, 0, data).complete

    def test_one_that_runs_out_on_its_way_leaves_nothing(
        self, volume: Path, snapshot: tuple[SnapshotHeader, bytes]
    ) -> None:
        """Its bytes are space for the log; it is taken once there is more."""
        header, data = snapshot
        half = len(data) // 2
        with opened(volume / "data") as bench:
            other = fill(volume, half + PAGE_BYTES)
            assert bench.stage(header, 0, data[:half]).problem == ""
            assert "no space" in bench.stage(header, half, data[half:]).problem
            assert bench.staged() == []
            assert "does not follow" in bench.stage(header, half, data[half:]).problem
            other.unlink()
            assert bench.stage(header, 0, data).complete

    def test_a_quota_is_met_at_the_sync(
        self,
        bench: Bench,
        snapshot: tuple[SnapshotHeader, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Network file systems find out late; what may not have been written goes."""
        header, data = snapshot
        rule = os.fsync

        def fsync(_: int) -> None:
            monkeypatch.setattr(os, "fsync", rule)
            raise no_space(errno.EDQUOT)

        monkeypatch.setattr(os, "fsync", fsync)
        assert "no space" in bench.stage(header, 0, data).problem
        assert bench.staged() == []
        assert bench.stage(header, 0, data).complete

    def test_a_failed_sync_is_a_failure(
        self,
        bench: Bench,
        snapshot: tuple[SnapshotHeader, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Space has nothing to do with it."""
        header, data = snapshot

        def fsync(_: int) -> None:
            raise no_space(errno.EIO)

        monkeypatch.setattr(os, "fsync", fsync)
        bench.store.stage(header, 0, data, 1)
        assert isinstance(bench.next(), events.StoreFailed)


class TestTheSwitch:
    """The log has recorded it: it waits for space, and is done once."""

    @pytest.fixture
    def ready(self, bench: Bench) -> Bench:
        """Return a bench with its own state staged as a snapshot."""
        copied = bench.copy(1)
        assert bench.stage(copied.header, 0, Path(copied.path).read_bytes()).complete
        return bench

    def test_it_waits_for_space(self, ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """First for a folder, then for the files that SQLite makes beside the database."""
        monkeypatch.setattr(store_module, "FULL_SECONDS", 0)
        looks: list[str] = []
        mkdir, prepare = Path.mkdir, Database._prepare

        def make(path: Path) -> None:
            looks.append("folder")
            if len(looks) < 3:
                raise no_space()
            mkdir(path)

        def make_files(database: Database) -> None:
            looks.append("files")
            if len(looks) < 6:
                error = Error("disk I/O error")
                error.sqlite_errorcode = 13  # SQLITE_FULL
                raise error
            prepare(database)

        monkeypatch.setattr(Path, "mkdir", make)
        monkeypatch.setattr(Database, "_prepare", make_files)
        ready.store.install(META, 2)
        assert ready.next() == events.Installed(2)
        assert looks == ["folder"] * 3 + ["files"] * 3
        assert ready.store.header().applied_index == 2

    def test_the_end_does_not_wait(self, ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next start finishes it."""
        monkeypatch.setattr(store_module, "FULL_SECONDS", 10 * TIMEOUT_SECONDS)

        def install(_: StateFolder, index: int) -> Path:
            raise DatabaseFull(f"no space for {index}")

        monkeypatch.setattr(StateFolder, "install", install)
        ready.store.install(META, 2)
        ready.store.close()
        assert ready.events.empty()

    @pytest.mark.parametrize("left_bytes", range(0, 8 * PAGE_BYTES, 2 * PAGE_BYTES))
    def test_a_database_opens_once_there_is_space(self, volume: Path, left_bytes: int) -> None:
        """SQLite has several codes for what is missing: 13, or 4874 while a file is to grow."""
        database = open_database(volume / "first.db")
        started(database).flush(database)
        pinned = database.pin()
        pinned.copy(volume / "state.db")
        pinned.close()
        database.close()
        other = fill(volume, left_bytes)
        with pytest.raises(DatabaseFull):
            Database(volume / "state.db")
        other.unlink()
        database = Database(volume / "state.db")
        assert database.header().applied_index == 1
        database.close()


class TestTheMark:
    """A state that may not be served is marked once there is space; nothing ends for the want."""

    REASON = "it differs"

    def mark(self, bench: Bench, index: int = 0) -> str:
        """Return why the next start would not serve a state; empty where it would."""
        return quarantined(bench.staging.parent, index)

    def refuse(
        self, monkeypatch: pytest.MonkeyPatch, times: int, number: int = errno.ENOSPC
    ) -> threading.Event:
        """Let the first tries fail; return what is set when one does not."""
        tries: list[str] = []
        marked = threading.Event()
        write = snapshot_module._mark

        def refused(state: Path, reason: str) -> None:
            tries.append(reason)
            if len(tries) <= times:
                raise no_space(number)
            write(state, reason)
            marked.set()

        monkeypatch.setattr(snapshot_module, "_mark", refused)
        return marked

    def test_it_is_tried_again(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Though nothing else happens."""
        monkeypatch.setattr(store_module, "FULL_SECONDS", 0)
        marked = self.refuse(monkeypatch, 3)
        bench.store.quarantine(self.REASON)
        assert marked.wait(TIMEOUT_SECONDS)
        assert self.mark(bench) == self.REASON
        assert bench.events.empty()

    def test_it_is_tried_once_more_at_the_end(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither that nor a flush waits for it: a volume may have no file left, and space."""
        monkeypatch.setattr(store_module, "FULL_SECONDS", 10 * TIMEOUT_SECONDS)
        self.refuse(monkeypatch, 1, errno.EDQUOT)
        bench.store.quarantine(self.REASON)
        bench.hand.mutate(CUSTOMER, order("b"))
        bench.flush(2)
        assert self.mark(bench) == ""
        bench.store.close()
        assert self.mark(bench) == self.REASON
        assert bench.events.empty()

    def test_a_state_that_took_the_place_is_not_marked(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is another one, and sound."""
        monkeypatch.setattr(store_module, "FULL_SECONDS", 10 * TIMEOUT_SECONDS)
        self.refuse(monkeypatch, 1)
        copied = bench.copy(1)
        assert bench.stage(copied.header, 0, Path(copied.path).read_bytes()).complete
        bench.store.quarantine(self.REASON)
        bench.store.install(META, 2)
        assert bench.next() == events.Installed(2)
        bench.store.close()
        assert self.mark(bench, META.index) == ""

    def test_on_a_volume(self, volume: Path) -> None:
        """Neither a part of it is taken for it, nor does the store fail."""
        with opened(volume / "data") as bench:
            other = fill(volume)
            bench.store.quarantine(self.REASON)
            bench.store.answer([])
            assert isinstance(bench.next(), events.Answered)
            assert self.mark(bench) == ""
            other.unlink()
            bench.store.close()
            assert self.mark(bench) == self.REASON
            assert bench.events.empty()

    def test_one_that_is_there_stays(self, bench: Bench) -> None:
        """A start out of service asks for it again, and needs no space for that."""
        bench.store.quarantine(self.REASON)
        bench.store.quarantine("and again")
        bench.store.close()
        assert self.mark(bench) == self.REASON

    def test_a_failure_of_another_kind_is_one(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The disk is broken."""
        self.refuse(monkeypatch, 1, errno.EIO)
        bench.store.quarantine(self.REASON)
        assert isinstance(bench.next(), events.StoreFailed)


class TestFlushes:
    """A transaction that a quota refuses is given again, one that a disk refuses is a failure."""

    @contextmanager
    def refusing(self, database: Database) -> Iterator[None]:
        """Let the system take no byte more for the write-ahead file: SQLITE_IOERR_WRITE."""
        size = database.path.with_name(f"{database.path.name}-wal").stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    @pytest.mark.parametrize("is_full", [True, False])
    def test_what_the_disk_means_is_looked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_full: bool
    ) -> None:
        """The code is that of a quota and of a broken disk; nothing was written either way."""
        database = Database(tmp_path / "state.db")
        hand = started(database)
        hand.flush(database)
        hand.mutate(CUSTOMER, order("a"))
        changes = changes_of(hand)
        looked: list[Path] = []

        def look(folder: Path) -> bool:
            looked.append(folder)
            return is_full

        monkeypatch.setattr(sqlite_module, "has_no_space", look)
        with self.refusing(database), pytest.raises(DatabaseFull if is_full else Error):
            database.flush(changes)
        assert looked == [tmp_path]
        assert database.header().applied_index == 1
        database.flush(changes)
        assert database.header().applied_index == 2
        database.close()

    def test_one_that_is_given_again_counts_from_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of those after it each has its own beginning."""
        came: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
        timings = Timings()
        store = SqliteStore(tmp_path, 0, came.put, timings)
        changes = changes_of(started(store))
        with monkeypatch.context() as patch:

            def refuse(_: Database, changes: Changes) -> None:
                raise DatabaseFull(f"no space for {changes}")

            patch.setattr(Database, "flush", refuse)
            store.flush(changes, 1)
            assert came.get(timeout=TIMEOUT_SECONDS) == events.StoreFull(1)
        store.flush(changes, 1)
        assert came.get(timeout=TIMEOUT_SECONDS) == events.Flushed(1)
        store.close()
        assert timings.of(Step.FLUSH_JOB).count == 1


class TestLooking:
    """Whether there is space is found by writing, since a quota shows nowhere else."""

    @pytest.mark.parametrize(
        ("number", "is_full"),
        [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False), (0, False)],
    )
    def test_only_two_errors_mean_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, is_full: bool
    ) -> None:
        """A disk that fails is not full; nothing is left behind."""

        def fsync(_: int) -> None:
            if number:
                raise no_space(number)

        monkeypatch.setattr(os, "fsync", fsync)
        assert has_no_space(tmp_path) is is_full
        assert list(tmp_path.iterdir()) == []

    def test_on_a_volume(self, volume: Path) -> None:
        """What is left may be less than a write needs."""
        assert not has_no_space(volume)
        other = fill(volume, PAGE_BYTES)
        assert has_no_space(volume)
        with suppress(FileNotFoundError):
            other.unlink()
        assert not has_no_space(volume)
