"""Logs that their process rotates: bounded, and no line is lost or cut, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BYTES_MAX, KEPT_MAX = 4_096, 3
LINE_BYTES_MAX = 256
PROGRAM = f"""
import sys, threading
import structlog
from service import log_files, logs
log_files.FILE_BYTES_MAX = log_files.BYTES_PER_LOOK = {BYTES_MAX}
log_files.RotatedFile.__init__.__defaults__ = ({BYTES_MAX}, int(sys.argv[2]))
from pathlib import Path
logs.configure("tester", "info", "json", Path(sys.argv[1]))
log, count = structlog.get_logger(), int(sys.argv[4])
def work(thread):
    for number in range(count):
        log.info("happened", thread=thread, number=number)
threads = [threading.Thread(target=work, args=(one,)) for one in range(int(sys.argv[3]))]
[one.start() for one in threads]
[one.join() for one in threads]
sys.stderr.write("last words\\n")
"""


def started(path: Path, kept: int, threads: int, count: int) -> "subprocess.Popen[bytes]":
    """Start a process that logs, as `inventory up` starts one."""
    with path.open("ab") as log:
        command = [sys.executable, "-c", PROGRAM, str(path), str(kept), str(threads), str(count)]
        return subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own program


def lines_of(path: Path) -> list[str]:
    """Return the lines of all files, the oldest first; each file ends with a whole line."""
    kept = sorted(path.parent.glob(f"{path.name}.*"), key=lambda one: -int(one.suffix[1:]))
    texts = [one.read_text() for one in (*kept, path)]
    assert all(text.endswith("\n") for text in texts if text)
    return "".join(texts).splitlines()


@pytest.mark.slow
def test_no_line_is_lost_or_doubled_while_files_rotate(tmp_path: Path) -> None:
    """Four threads write; what goes to stderr past the log follows."""
    path = tmp_path / "node-0.log"
    assert started(path, 1_000, threads=4, count=200).wait(60) == 0
    *lines, last = lines_of(path)
    assert last == "last words"
    told = [(one["thread"], one["number"]) for one in map(json.loads, lines)]
    assert sorted(told) == [(thread, number) for thread in range(4) for number in range(200)]
    assert len(list(tmp_path.iterdir())) > KEPT_MAX
    for file in tmp_path.iterdir():
        assert file.stat().st_size <= BYTES_MAX + 4 * LINE_BYTES_MAX
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_files_are_bounded_in_number(tmp_path: Path) -> None:
    """The oldest goes, and what is kept are the newest lines."""
    path = tmp_path / "node-0.log"
    assert started(path, KEPT_MAX, threads=1, count=500).wait(60) == 0
    names = {"node-0.log", *(f"node-0.log.{number}" for number in range(1, KEPT_MAX + 1))}
    assert {one.name for one in tmp_path.iterdir()} == names
    numbers = [json.loads(line)["number"] for line in lines_of(path)[:-1]]
    assert numbers == list(range(numbers[0], 500))


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_whole_files_and_the_next_goes_on(tmp_path: Path) -> None:
    """SIGKILL at any moment, also between two steps of a rotation."""
    path = tmp_path / "node-0.log"
    for _ in range(4):
        process = started(path, 1_000, threads=1, count=10**9)
        before = len(list(tmp_path.iterdir()))
        while len(list(tmp_path.iterdir())) < before + 5:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    numbers = [json.loads(line)["number"] for line in lines_of(path)]
    starts = [place for place, number in enumerate(numbers) if number == 0]
    assert len(starts) == 4
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        assert numbers[start:end] == list(range(end - start))
