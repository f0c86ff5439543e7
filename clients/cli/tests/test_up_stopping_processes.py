"""The order in which the children of `inventory up` end."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from inventory_cli.up import processes
from inventory_cli.up.processes import Child, Children

pytestmark = pytest.mark.slow
PROGRAM = """
trap 'sleep {seconds}; echo {name} >> {ends}; exit 0' TERM
echo {name} >> {ready}
while :; do sleep 0.02; done
"""
Start = Callable[..., Children]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return how to start a system that writes down who ends when; nobody is left behind."""
    ready, ends = tmp_path / "ready", tmp_path / "ends"
    started: list[Child] = []

    def start(seconds: Mapping[str, float]) -> Children:
        for name, pause in seconds.items():
            program = PROGRAM.format(seconds=pause, name=name, ready=ready, ends=ends)
            process = subprocess.Popen(["sh", "-c", program])  # noqa: S603, S607 - our own program
            started.append(
                Child(
                    name=name, environment={}, log=tmp_path / f"{name}.log", lock=0, process=process
                )
            )
        deadline = time.monotonic() + 30
        while not ready.exists() or ready.read_text().count("\n") < len(seconds):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return Children(started)

    yield start
    for child in started:
        assert child.process is not None
        child.process.kill()
        child.process.wait()


def statuses(children: Children) -> list[int | None]:
    """Return how each ended."""
    return [child.process.returncode for child in children.children if child.process is not None]


def test_members_serve_until_nobody_asks_them_any_more(start: Start, tmp_path: Path) -> None:
    """The members are told to end after all other processes have ended."""
    children = start({"node-0": 0, "node-1": 0, "gateway": 0.5, "health": 0})
    children.stop()
    ends = (tmp_path / "ends").read_text().split()
    assert ends[:2] == ["health", "gateway"]
    assert sorted(ends[2:]) == ["node-0", "node-1"]
    assert statuses(children) == [0, 0, 0, 0]


def test_who_does_not_end_is_killed_and_the_others_end_as_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each side is waited for within a bound."""
    monkeypatch.setattr(processes, "AROUND_SECONDS_MAX", 1.0)
    children = start({"node-0": 0, "node-1": 0, "gateway": 30})
    children.stop()
    assert statuses(children) == [0, 0, -signal.SIGKILL]
