"""Failpoints: what the setting may say, where adapters pass, and that unarmed none is there."""

import os
import re
import signal
import time
from pathlib import Path
from queue import SimpleQueue

import pytest
from inventory_node.core import events
from inventory_node.ports import (
    CreateFile,
    RemoveFile,
    Step,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.runtime.failpoints import POINTS, Armed, Failpoint, hooks_of, parse
from inventory_node.runtime.hooks import Timings
from inventory_node.runtime.store import SqliteStore
from raft.messages import Entry, EntryKind
from sim.watched_machine import SeatedMachine

TIMEOUT_SECONDS = 20


class Recorder:
    """Writes down which failpoints are passed."""

    def __init__(self) -> None:
        """Nothing was passed."""
        self.passed: list[str] = []

    def before(self, step: Step) -> None:
        """Pass."""
        self._reach(f"before-{step}")

    def after(self, step: Step) -> None:
        """Pass."""
        self._reach(f"after-{step}")

    def _reach(self, name: str) -> None:
        if name in POINTS:
            self.passed.append(name)


def both(*steps: str) -> list[str]:
    """Return the points around steps."""
    return [f"{when}-{step}" for step in steps for when in ("before", "after")]


class TestSetting:
    """`INVENTORY_FAILPOINTS`."""

    def test_names_points_and_what_happens_there(self) -> None:
        """After so many passes, a death or a wait."""
        assert parse("before-flush=kill;after-wal-sync=7*off->sleep(25)") == {
            "before-flush": Failpoint("before-flush", 0, None),
            "after-wal-sync": Failpoint("after-wal-sync", 7, 25),
        }

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("before-lunch=kill", "no failpoint is called 'before-lunch'; there are before-wal-"),
            ("kill", "no failpoint is called 'kill'"),
            ("before-flush", "'before-flush' is not NAME="),
            ("before-flush=panic", "'before-flush=panic' is not NAME="),
            ("before-flush=sleep(-1)", "is not NAME="),
            ("before-flush=kill;before-flush=kill", "once a name"),
        ],
    )
    def test_refuses_nonsense(self, text: str, problem: str) -> None:
        """A misspelt point would be a test that tests nothing."""
        with pytest.raises(ValueError, match=re.escape(problem)):
            parse(text)

    def test_armed_nothing_is_wired(self) -> None:
        """The timings alone, without a layer between."""
        timings = Timings()
        assert hooks_of(timings, "") is timings


class TestReach:
    """What happens at a point."""

    def test_passes_go_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two, then each."""
        waits: list[float] = []
        monkeypatch.setattr(time, "sleep", waits.append)
        point = Failpoint("before-flush", 2, 40)
        for _ in range(4):
            point.reach()
        assert waits == [0.04, 0.04]

    def test_kill_is_not_to_be_caught(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """SIGKILL, to this process."""
        sent: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))
        Armed({"before-flush": Failpoint("before-flush", 0, None)}).before(Step.FLUSH)
        assert sent == [(os.getpid(), signal.SIGKILL)]


class TestAdapters:
    """Where they pass."""

    def test_disk(self, tmp_path: Path) -> None:
        """Around each operation of a job, on the disk's thread."""
        recorder = Recorder()
        done: SimpleQueue[events.Event] = SimpleQueue()
        disk = ThreadedDisk(tmp_path / "wal", done.put, recorder)
        disk.submit(
            [
                CreateFile("a", 512),
                WriteAt("a", 0, b"x"),
                SyncFile("a"),
                SyncFolder(),
                RemoveFile("a"),
            ],
            1,
        )
        disk.close()
        assert done.get() == events.DiskDone(1)
        assert recorder.passed == both(
            "segment-creation", "wal-write", "wal-sync", "segment-removal"
        )

    def test_store(self, tmp_path: Path) -> None:
        """Around each job, before its end is told."""
        recorder = Recorder()
        done: SimpleQueue[events.Event] = SimpleQueue()
        store = SqliteStore(tmp_path, 0, done.put, recorder)
        machine = SeatedMachine(store)
        machine.apply(Entry(1, 1, EntryKind.NOOP, b""))
        changes = machine.take_changes()
        assert changes is not None
        store.flush(changes, 1)
        assert done.get(timeout=TIMEOUT_SECONDS) == events.Flushed(1)
        store.hash(1)
        assert isinstance(done.get(timeout=TIMEOUT_SECONDS), events.Hashed)
        store.copy(1)
        copied = done.get(timeout=TIMEOUT_SECONDS)
        assert isinstance(copied, events.Copied)
        header = copied.header
        store.stage(header, 0, Path(copied.path).read_bytes(), 2)
        assert done.get(timeout=TIMEOUT_SECONDS) == events.Staged(2, complete=True, problem="")
        store.install(header.meta, 3)
        assert done.get(timeout=TIMEOUT_SECONDS) == events.Installed(3)
        store.close()
        assert recorder.passed == both(
            "flush", "checkpoint", "snapshot-save", "snapshot-chunk", "snapshot-install"
        )
