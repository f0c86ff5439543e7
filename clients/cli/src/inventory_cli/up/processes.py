"""The child processes: started, watched, started again, stopped. Each is signalled by its pid."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

RESTART_SECONDS = 3.0
AROUND_SECONDS_MAX = 5.0  # for the other processes to end
MEMBERS_SECONDS_MAX = 10.0  # for the members to end
MODULES = {  # every other process is a member
    "gateway": "gateway",
    "assistant": "assistant",
    "metrics": "business_metrics",
    "health": "cluster_health",
}


@dataclass(slots=True, kw_only=True)
class Child:
    """One process of the system."""

    name: str
    environment: Mapping[str, str]
    log: Path
    lock: int  # a descriptor of the data directory's lock, which the process holds
    process: subprocess.Popen[bytes] | None = None
    died_at: float | None = None  # on the monotonic clock
    status: int = 0  # how the process died: negative for a signal
    starts: int = 0
    unlogged: str = ""  # why the process runs without a log; empty: it has one

    def start(self) -> None:
        """Start the process, with its output in its log if the log can be opened; raise OSError."""
        module = MODULES.get(self.name, "inventory_node")
        with self._open_log() as log:
            # A session of its own: Ctrl-C reaches the supervisor alone, which stops all in order.
            self.process = subprocess.Popen(  # noqa: S603  # our own modules
                [sys.executable, "-m", module],
                env=os.environ | self.environment | self._rotated,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self.lock,),
                start_new_session=True,
            )
        self.died_at = None
        self.starts += 1

    @property
    def _rotated(self) -> dict[str, str]:
        """The setting by which the process rotates its log, if it has one."""
        return {} if self.unlogged else {"INVENTORY_LOG_FILE": str(self.log)}

    def _open_log(self) -> BinaryIO:
        """Return the opened log; /dev/null if the log cannot be opened."""
        try:
            log = self.log.open("ab")
        except OSError as error:
            self.unlogged = str(error.strerror)
            return Path(os.devnull).open("ab")
        self.unlogged = ""
        return log

    @property
    def has_died(self) -> bool:
        """Whether the process has ended by itself; it may run again."""
        return self.died_at is not None or self.starts > 1

    @property
    def pid(self) -> int:
        """The process id; 0 while the process does not run."""
        return self.process.pid if self.process is not None and self.died_at is None else 0

    def last_words(self) -> str:
        """Return the last line of the log; empty if the log cannot be read."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else ""


@dataclass(slots=True)
class Children:
    """All children.

    - A child that died is noticed once. If `restart`, it is started again after RESTART_SECONDS.
    - A child that could not be started counts as one that died.
    """

    children: list[Child]
    restart: bool = True
    notes: list[str] = field(default_factory=list)  # what happened, to be shown

    def start(self) -> None:
        """Start all children."""
        for child in self.children:
            self._start(child)

    def _start(self, child: Child) -> bool:
        """Start a child and note what is wrong; return whether it runs."""
        try:
            child.start()
        except OSError as error:
            child.died_at = time.monotonic()
            self.notes.append(f"{child.name} cannot be started ({error.strerror}){self._next()}")
            return False
        if child.unlogged:
            why = f"runs without a log until it is started again: {child.unlogged}"
            self.notes.append(f"{child.name} {why}")
        return True

    def watch(self) -> None:
        """Note the children that died, and start those again that died RESTART_SECONDS ago."""
        now = time.monotonic()
        for child in self.children:
            if child.died_at is None:
                if child.process is not None and child.process.poll() is not None:
                    child.died_at, child.status = now, child.process.returncode
                    self.notes.append(f"{child.name} died ({_how(child.status)}){self._next()}")
            elif self.restart and now - child.died_at >= RESTART_SECONDS and self._start(child):
                self.notes.append(f"{child.name} started again, pid {child.pid}")

    def _next(self) -> str:
        return f", starts again in {RESTART_SECONDS:.0f} s" if self.restart else ""

    def stop(self) -> None:
        """Stop the other processes first, then the members, which get no more requests by then."""
        _end([child for child in self.children if child.name in MODULES], AROUND_SECONDS_MAX)
        _end([child for child in self.children if child.name not in MODULES], MEMBERS_SECONDS_MAX)


def _end(children: Sequence[Child], seconds: float) -> None:
    """Tell children to end, all at once; kill those that run after so many seconds."""
    running = [one.process for one in children if one.process is not None]
    for process in running:
        process.terminate()
    give_up = time.monotonic() + seconds
    for process in running:
        try:
            process.wait(max(0.0, give_up - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _how(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
