"""`inventory up` as a child process, and its members by name."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from inventory_client import Inventory, InventoryError

ROOT = Path(__file__).resolve().parents[4]
COMMAND = (sys.executable, "-m", "inventory_cli", "up", "--demo")
START_SECONDS_MAX = 60
SETTLE_SECONDS_MAX = 60
POLL_SECONDS = 0.1


class NotSettled(Exception):  # noqa: N818 - it says what is the case
    """The cluster did not reach the expected state in a time that no busy machine needs."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member as `ClusterService.GetStatus` shows it."""

    name: str
    role: str
    pid: int
    applied: int


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Up:
    """The whole system on this machine, from the command that users run."""

    def __init__(self, data: Path, command: Sequence[str] = COMMAND) -> None:
        """Prepare to run `command` on `data`, with an unused gateway port."""
        self.data = data
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._watcher: Inventory | None = None
        self.output = data.parent / f"{data.name}.out"

    def __enter__(self) -> Self:
        """Start, and wait until orders are taken."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop as Ctrl-C does."""
        self.stop()

    def start(self) -> None:
        """Run the supervisor and wait for its line that says ready."""
        places = {"INVENTORY_UP_PORT": str(self.port), "INVENTORY_UP_DATA": str(self.data)}
        with self.output.open("w") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                self._command,
                cwd=ROOT,
                env=os.environ | places,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not any(line.startswith("ready") for line in self.output.read_text().splitlines()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NotSettled(f"inventory up did not start:\n{self.output.read_text()}")
            time.sleep(POLL_SECONDS)
        self._watcher = Inventory(self.address)
        self._watcher.login("admin", self.admin_password())

    def stop(self) -> int:
        """Interrupt the whole process group, as Ctrl-C does; return the command's exit status."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._process is None:
            return 0
        process, self._process = self._process, None
        os.killpg(process.pid, signal.SIGINT)
        try:
            return process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def kill(self) -> None:
        """SIGKILL the supervisor, and only it."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def admin_password(self) -> str:
        """Return the password that the first start generated."""
        return (self.data / "keys" / "admin.password").read_text().strip()

    @property
    def watcher(self) -> Inventory:
        """Return an administrator's connection."""
        if self._watcher is None:
            raise NotSettled("inventory up is not running")
        return self._watcher

    def members(self) -> list[Member]:
        """Return the members that answer."""
        status = self.watcher.get_status()
        return [
            Member(name=member.name, role=member.role, pid=member.pid, applied=member.applied_index)
            for member in status.members
            if member.reachable
        ]

    def leader(self) -> Member:
        """Wait for a leader and return it."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                leaders = [member for member in self.members() if member.role == "leader"]
            except InventoryError:
                leaders = []
            if len(leaders) == 1:
                return leaders[0]
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"no leader:\n{self.output.read_text()}")

    def wait_until_whole(self, *, besides: set[int] = frozenset()) -> None:  # type: ignore[assignment]  # an empty default
        """Wait until three members, none of the pids in `besides`, have applied what is committed.

        The leader's applied index of the first look is what each of them has to reach.
        """
        goal = self.leader().applied
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                members = self.members()
            except InventoryError:
                members = []
            pids = {member.pid for member in members}
            if (
                len(members) == 3
                and not pids & besides
                and all(member.applied >= goal for member in members)
            ):
                return
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"a member is missing:\n{self.output.read_text()}")


def kill(pid: int) -> None:
    """SIGKILL one process, by its own pid."""
    os.kill(pid, signal.SIGKILL)
