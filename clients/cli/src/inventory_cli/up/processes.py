"""The children: started, watched, started again, stopped. Each by its own pid."""

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
AROUND_SECONDS_MAX = 5.0  # that what is around the members is given to end
MEMBERS_SECONDS_MAX = 10.0
MODULES = {  # everything else is a member
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
    lock: int  # of the data directory, a descriptor: held for as long as the process is there
    process: subprocess.Popen[bytes] | None = None
    died_at: float | None = None  # on the monotonic clock
    status: int = 0  # how it died: negative for a signal
    starts: int = 0
    unlogged: str = ""  # why its output is kept nowhere; empty: it is in its log

    def start(self) -> None:
        """Run it, with its output in its log if that can be opened; raise OSError."""
        module = MODULES.get(self.name, "inventory_node")
        with self._open_log() as log:
            # A session of its own: Ctrl-C is for the supervisor, which stops them in order.
            self.process = subprocess.Popen(  # noqa: S603  # our own modules
                [sys.executable, "-m", module],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self.lock,),
                start_new_session=True,
            )
        self.died_at = None
        self.starts += 1

    def _open_log(self) -> BinaryIO:
        """Return its log; nothing instead where the disk does not let it be opened."""
        try:
            log = self.log.open("ab")
        except OSError as error:
            self.unlogged = str(error.strerror)
            return Path(os.devnull).open("ab")
        self.unlogged = ""
        return log

    @property
    def has_died(self) -> bool:
        """Whether it ever ended by itself, and may run again."""
        return self.died_at is not None or self.starts > 1

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        return self.process.pid if self.process is not None and self.died_at is None else 0

    def last_words(self) -> str:
        """Return the last line that it wrote, as far as its log can be read."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else ""


@dataclass(slots=True)
class Children:
    """All of them.

    - A child that died is noticed once, and started again after RESTART_SECONDS if `restart`; so is
      one that could not be started.
    """

    children: list[Child]
    restart: bool = True
    notes: list[str] = field(default_factory=list)  # what happened, to be shown

    def start(self) -> None:
        """Start all."""
        for child in self.children:
            self._start(child)

    def _start(self, child: Child) -> bool:
        """Start one and note what is wrong; tell whether it runs."""
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
        """Notice who died, and start again whose time has come."""
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
        """Stop all: what is around the members first, so that nothing new arrives at them."""
        _end([child for child in self.children if child.name in MODULES], AROUND_SECONDS_MAX)
        _end([child for child in self.children if child.name not in MODULES], MEMBERS_SECONDS_MAX)


def _end(children: Sequence[Child], seconds: float) -> None:
    """Tell them to end, all at once; kill who has not after so many seconds."""
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
