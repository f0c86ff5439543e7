"""The children: started, watched, started again, stopped. Each by its own pid."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RESTART_SECONDS = 3.0
STOP_SECONDS_MAX = 10.0
MODULES = {  # everything else is a member
    "gateway": "gateway",
    "assistant": "assistant",
    "metrics": "business_metrics",
    "health": "cluster_health",
}


@dataclass(slots=True)
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

    def start(self) -> None:
        """Run it, with its output in its log."""
        module = MODULES.get(self.name, "inventory_node")
        with self.log.open("ab") as log:
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

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        return self.process.pid if self.process is not None and self.died_at is None else 0

    def last_words(self) -> str:
        """Return the last line that it wrote."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return lines[-1] if lines else ""


@dataclass(slots=True)
class Children:
    """All of them.

    - A child that died is noticed once, and started again after RESTART_SECONDS if `restart`.
    """

    children: list[Child]
    restart: bool = True
    notes: list[str] = field(default_factory=list)  # what happened, to be shown

    @property
    def page(self) -> str:
        """Where the health of them all is shown, host:port."""
        every = (child.environment.get("INVENTORY_HEALTH_HTTP_LISTEN") for child in self.children)
        return next(filter(None, every), "")

    def start(self) -> None:
        """Start all."""
        for child in self.children:
            child.start()

    def watch(self) -> None:
        """Notice who died, and start again whose time has come."""
        now = time.monotonic()
        for child in self.children:
            if child.died_at is None:
                if child.process is not None and child.process.poll() is not None:
                    child.died_at, child.status = now, child.process.returncode
                    self.notes.append(f"{child.name} died ({_how(child.status)}){self._next()}")
            elif self.restart and now - child.died_at >= RESTART_SECONDS:
                child.start()
                self.notes.append(f"{child.name} started again, pid {child.pid}")

    def _next(self) -> str:
        return f", starts again in {RESTART_SECONDS:.0f} s" if self.restart else ""

    def stop(self) -> None:
        """Stop all: clients' side first, so that nothing new arrives at the members."""
        for child in reversed(self.children):
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        give_up = time.monotonic() + STOP_SECONDS_MAX
        for process in self._running():
            try:
                process.wait(max(0.0, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _running(self) -> Iterable[subprocess.Popen[bytes]]:
        return [child.process for child in self.children if child.process is not None]


def _how(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
