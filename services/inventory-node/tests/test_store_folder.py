"""Directories of the state: a snapshot becomes the state, whatever step a crash comes after."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inventory_node.errors import DatabaseError
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime import snapshot
from inventory_node.runtime.snapshot import StateFolder
from inventory_node.runtime.sqlite import Database
from raft.messages import Configuration, SnapshotMeta
from sim.machines import CUSTOMER, open_database, order, started

INDEX = 4


class Crashed(BaseException):
    """The process has ended; nothing above may handle it."""


def copy_of_a_peer(folder: Path) -> bytes:
    """Return the bytes of a peer's state at INDEX."""
    database = open_database(folder / "peer.db")
    hand = started(database)
    for number in range(INDEX - 1):
        hand.mutate(CUSTOMER, order(f"peer {number}"))
    hand.flush(database)
    pinned = database.pin()
    pinned.copy(folder / "copy.db")
    pinned.close()
    database.close()
    return (folder / "copy.db").read_bytes()


def header_of(data: bytes, index: int = INDEX) -> SnapshotHeader:
    """Return what a stream of these bytes says of itself."""
    meta = SnapshotMeta(index, 1, Configuration(frozenset()))
    return SnapshotHeader(meta, len(data), hashlib.sha256(data).digest())


def stage(folder: StateFolder, data: bytes, header: SnapshotHeader, size: int = 4096) -> str:
    """Stage all chunks; return the problem of the last."""
    problem = ""
    for offset in range(0, len(data), size):
        complete, problem = folder.stage(header, offset, data[offset : offset + size])
        assert complete == (offset + size >= len(data))
        assert complete or not problem
    return problem


def applied_index(path: Path) -> int:
    """Open a state and return where it stands."""
    database = Database(path)
    index = database.header().applied_index
    database.close()
    return index


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """Return a peer's copy."""
    (tmp_path / "peer").mkdir()
    return copy_of_a_peer(tmp_path / "peer")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return an empty data directory."""
    made = tmp_path / "data"
    made.mkdir()
    return made


def own_state(path: Path) -> Path:
    """Make this member's own state, at index 1; return its file."""
    file = StateFolder(path).open(0)
    database = open_database(file)
    started(database).flush(database)
    database.close()
    return file


def test_the_first_state_has_a_directory_of_its_own(path: Path) -> None:
    """Its name sorts and tells the index of the snapshot that it began with."""
    file = StateFolder(path).open(0)
    assert file == path / "state-00000000000000000000" / "state.db"
    assert file.parent.is_dir()


@pytest.mark.parametrize("size", [1_000, 4_096, 10**9])
def test_a_snapshot_is_staged_in_chunks_and_installed(path: Path, data: bytes, size: int) -> None:
    """The old state stays until the new one is there, and goes then."""
    old = own_state(path)
    folder = StateFolder(path)
    folder.open(0)
    assert stage(folder, data, header_of(data), size) == ""
    assert old.exists()
    file = folder.install(INDEX)
    assert old.exists()
    assert file == path / f"state-{INDEX:020}" / "state.db"
    assert applied_index(file) == INDEX
    folder.keep_only(INDEX)
    assert sorted(one.name for one in path.iterdir()) == ["staging", f"state-{INDEX:020}"]


class TestWhatIsRefused:
    """What is staged is what the header says, or it is not taken."""

    def test_a_chunk_that_does_not_follow(self, path: Path, data: bytes) -> None:
        """A gap and a repetition; offset 0 begins anew."""
        folder = StateFolder(path)
        folder.open(0)
        header = header_of(data)
        assert folder.stage(header, 0, data[:100]) == (False, "")
        assert "does not follow" in folder.stage(header, 50, data[50:100])[1]
        assert "does not follow" in folder.stage(header, 200, data[200:300])[1]
        assert stage(folder, data, header) == ""

    def test_other_bytes(self, path: Path, data: bytes) -> None:
        """One flipped bit; a file that is too long."""
        folder = StateFolder(path)
        folder.open(0)
        flipped = bytes([*data[:-1], data[-1] ^ 1])
        assert stage(folder, flipped, header_of(data)) == "its checksum differs"
        longer = data + b"more"
        complete, problem = folder.stage(header_of(data), 0, longer)
        assert complete
        assert problem.startswith("it has")

    def test_another_index(self, path: Path, data: bytes) -> None:
        """The database's own header decides."""
        folder = StateFolder(path)
        folder.open(0)
        assert "holds index 4, not 5" in stage(folder, data, header_of(data, 5))

    def test_no_database(self, path: Path) -> None:
        """Right size and sum of something else."""
        folder = StateFolder(path)
        folder.open(0)
        noise = b"noise" * 1_000
        assert "not a database" in stage(folder, noise, header_of(noise))


class TestCrashes:
    """After each step of an install a start finds one whole state: the one that the log names."""

    STEPS = ("mkdir", "rename into partial", "rename into place", "old state removed")

    def crash_after(self, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        """Let the process end when a step is done."""

        def then_crash(call: Callable[..., Any]) -> Callable[..., Any]:
            def done(*arguments: Any, **named: Any) -> None:  # noqa: ANN401 - whatever it takes
                call(*arguments, **named)
                raise Crashed(step)

            return done

        if step == "mkdir":
            monkeypatch.setattr(Path, "mkdir", then_crash(Path.mkdir))
        elif step == "old state removed":
            monkeypatch.setattr(shutil, "rmtree", then_crash(shutil.rmtree))
        else:
            rename, wanted = Path.rename, 1 if step == "rename into partial" else 2
            done: list[Path] = []

            def counted(source: Path, target: Path) -> Path:
                done.append(rename(source, target))
                if len(done) == wanted:
                    raise Crashed(step)
                return done[-1]

            monkeypatch.setattr(Path, "rename", counted)

    @pytest.mark.parametrize("step", STEPS)
    def test_a_start_finishes_what_the_log_names(
        self, path: Path, data: bytes, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And leaves nothing else behind; a second start finds the same."""
        own_state(path)
        folder = StateFolder(path)
        folder.open(0)
        assert stage(folder, data, header_of(data)) == ""
        with monkeypatch.context() as patched:
            # `keep_only` removes with rmtree; the moves before it do too, of what is not there.
            if step == "old state removed":
                folder.install(INDEX)
                self.crash_after(patched, step)
                with pytest.raises(Crashed):
                    folder.keep_only(INDEX)
            else:
                self.crash_after(patched, step)
                with pytest.raises(Crashed):
                    folder.install(INDEX)
        for _ in range(2):
            file = StateFolder(path).open(INDEX)
            assert applied_index(file) == INDEX
            assert sorted(one.name for one in path.iterdir()) == ["staging", f"state-{INDEX:020}"]
            assert not list((path / "staging").iterdir())

    def test_without_a_record_of_the_log_the_old_state_counts(
        self, path: Path, data: bytes
    ) -> None:
        """A snapshot that was staged and not decided on is dropped."""
        own_state(path)
        folder = StateFolder(path)
        folder.open(0)
        assert stage(folder, data, header_of(data)) == ""
        assert applied_index(StateFolder(path).open(0)) == 1
        assert not list((path / "staging").iterdir())

    def test_with_the_record_alone_the_staged_file_is_moved(self, path: Path, data: bytes) -> None:
        """The crash came between the log's sync and the first step."""
        own_state(path)
        folder = StateFolder(path)
        folder.open(0)
        assert stage(folder, data, header_of(data)) == ""
        assert applied_index(StateFolder(path).open(INDEX)) == INDEX

    def test_a_record_without_its_snapshot_is_said(self, path: Path, data: bytes) -> None:
        """Neither a fresh database nor a damaged file takes its place."""
        own_state(path)
        with pytest.raises(DatabaseError, match="remove this member's data"):
            StateFolder(path).open(INDEX)
        (path / "staging" / "incoming.db").write_bytes(data[: len(data) // 2])
        with pytest.raises(DatabaseError, match="remove this member's data"):
            StateFolder(path).open(INDEX)

    def test_old_write_ahead_files_never_meet_the_new_database(
        self, path: Path, data: bytes
    ) -> None:
        """A stale `-wal` beside a database brings old rows back; directories keep them apart."""
        old = own_state(path)
        (old.parent / "state.db-wal").write_bytes(b"stale" * 1_000)
        folder = StateFolder(path)
        folder.open(0)
        assert stage(folder, data, header_of(data)) == ""
        file = folder.install(INDEX)
        assert [one.name for one in file.parent.iterdir()] == ["state.db"]


def test_every_directory_that_changed_is_synced(
    path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Staged: staging. Installed: what it moves into, before and after; then the data directory."""
    synced: list[str] = []
    real = snapshot.sync_directory

    def note(folder: Path) -> None:
        synced.append(os.path.relpath(folder, path))
        real(folder)

    monkeypatch.setattr(snapshot, "sync_directory", note)
    folder = StateFolder(path)
    folder.open(0)
    assert synced[-1] == "."
    synced.clear()
    assert stage(folder, data, header_of(data)) == ""
    assert synced == ["staging"]
    synced.clear()
    rename = Path.rename

    def moved(source: Path, target: Path) -> Path:
        synced.append(f"{source.name} moves")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", moved)
    folder.install(INDEX)
    partial = f"partial-{INDEX:020}"
    assert synced == [".", "incoming.db moves", partial, f"{partial} moves", "."]
