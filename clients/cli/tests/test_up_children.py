"""The children of `inventory up`: messages and retries when the disk is full."""

import subprocess
import time
from pathlib import Path

import pytest
from inventory_cli.up.layout import Layout
from inventory_cli.up.pids import PidFiles
from inventory_cli.up.processes import Child, Children


@pytest.fixture
def child(tmp_path: Path) -> Child:
    """Return a member that does not run yet."""
    return Child(name="node-0", environment={}, log=tmp_path / "node-0.log", lock=0)


class Running:
    """A process that was started."""

    pid = 4_711

    def poll(self) -> int | None:
        """Run on."""
        return None


def test_a_log_that_cannot_be_opened_stops_nobody(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child runs without a log, and the trouble is shown until its next start."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: Running())
    child.log.mkdir()
    children = Children([child])
    children.start()
    assert child.pid == Running.pid
    assert children.notes == ["node-0 runs without a log until it is started again: Is a directory"]
    assert child.last_words() == ""
    child.log.rmdir()
    children.start()
    assert len(children.notes) == 1


def test_who_cannot_be_started_is_tried_again(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that cannot be started is tried again after the pause of a child that died."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    tried: list[float] = []

    def popen(*_: object, **__: object) -> Running:
        tried.append(now[0])
        if len(tried) < 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return Running()

    monkeypatch.setattr(subprocess, "Popen", popen)
    children = Children([child])
    children.start()
    assert child.pid == 0
    for _ in range(80):
        now[0] += 0.1
        children.watch()
    assert [round(at - 100, 1) for at in tried] == pytest.approx([0, 3, 6], abs=0.3)
    why = "node-0 cannot be started (Resource temporarily unavailable), starts again in 3 s"
    assert children.notes == [why, why, f"node-0 started again, pid {Running.pid}"]
    assert child.pid == Running.pid


@pytest.fixture
def files(tmp_path: Path) -> PidFiles:
    """Return the pid files of an empty data directory."""
    layout = Layout(tmp_path)
    layout.run.mkdir()
    return PidFiles(layout)


def test_a_pid_is_written_when_it_changes(
    files: PidFiles, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at an unchanged child writes nothing."""
    kept: list[tuple[str, int]] = []
    monkeypatch.setattr(Layout, "note_pid", lambda _, name, pid: kept.append((name, pid)))
    children = Children([child])
    child.process = Running()  # type: ignore[assignment]  # all of it that is looked at
    for _ in range(3):
        files.keep(children)
    child.died_at = 1.0
    for _ in range(3):
        files.keep(children)
    assert kept == [("node-0", Running.pid), ("node-0", 0)]


def test_a_pid_that_cannot_be_written_is_said_once_and_tried_again(
    files: PidFiles, child: Child, tmp_path: Path
) -> None:
    """The disk is full, as /dev/full is."""
    run = tmp_path / "run"
    (run / "node-0.partial").symlink_to("/dev/full")
    children = Children([child])
    child.process = Running()  # type: ignore[assignment]  # all of it that is looked at
    for _ in range(3):
        files.keep(children)
    full = f"process ids cannot be kept in {run}: No space left on device"
    assert children.notes == [full]
    (run / "node-0.partial").unlink()
    files.keep(children)
    assert children.notes == [full, f"process ids are kept in {run} again"]
    assert (run / "node-0.pid").read_text() == f"{Running.pid}\n"
    child.died_at = 1.0
    files.keep(children)
    assert list(run.iterdir()) == []
    files.forget(children)
    assert list(run.iterdir()) == []
