"""Three members and a gateway, each a process that a test starts, stops, arms and wipes by name.

The same layout, settings and processes as `inventory up`, without its supervisor: what died stays
dead until it is started.
"""

import shutil
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from inventory_cli.up.layout import MEMBERS, Layout, environments
from inventory_cli.up.processes import Child
from inventory_client import InventoryError

from chaos.up import ports_of
from chaos.watched import POLL_SECONDS, SETTLE_SECONDS_MAX, NotSettled, Watched

GATEWAY = "gateway"
STOP_SECONDS_MAX = 30


class ProcessCluster(Watched):
    """A cluster of this machine, with demo users.

    - A member runs once at most; all that still run are killed at the end.
    """

    def __init__(self, data: Path, **settings: str) -> None:
        """Prepare below `data`; `settings` are environment variables of every member."""
        super().__init__()
        self._layout = Layout(data)
        ports = ports_of(self._layout)
        self.address = f"127.0.0.1:{ports[GATEWAY]}"
        self._lock: TextIO = self._layout.lock()
        self._layout.prepare("USD", demo=True)
        made = environments(self._layout, ports)
        self._children = {
            name: Child(
                name=name,
                environment=made[name],
                log=self._layout.run / f"{name}.log",
                lock=self._lock.fileno(),
            )
            for name in (*MEMBERS, GATEWAY)
        }
        self._settings = {name: made[name] | settings for name in MEMBERS}
        self._settings[GATEWAY] = made[GATEWAY]

    def __enter__(self) -> Self:
        """Start all, and wait until they are well."""
        for name in self._children:
            self.start(name)
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while self._watcher is None:
            try:
                self.connect(self.address, self._layout.secret("admin.password"))
            except InventoryError:
                self.disconnect()
                if time.monotonic() > deadline or not all(map(self.runs, self._children)):
                    raise NotSettled(f"it does not start:\n{self.words()}") from None
                time.sleep(POLL_SECONDS)
        self.wait_until_whole()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        self.disconnect()
        for name in self._children:
            self.kill(name)
        self._lock.close()

    def words(self) -> str:
        """Return every process's last line."""
        return "\n".join(f"{name}: {self.last_words(name)}" for name in self._children)

    def last_words(self, name: str) -> str:
        """Return the last line that a process wrote."""
        return self._children[name].last_words()

    def start(self, name: str, failpoints: str = "") -> None:
        """Start a process that does not run."""
        child = self._children[name]
        if self._runs(child):
            raise NotSettled(f"{name} runs already")
        child.environment = self._settings[name] | {"INVENTORY_FAILPOINTS": failpoints}
        child.start()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process; nothing happens when it has died."""
        child = self._children[name]
        if child.process is not None:
            child.process.send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL a process, if it runs, and wait for its end."""
        self.signal(name, signal.SIGKILL)
        self.wait_until_dead(name)

    def stop(self, name: str) -> int:
        """SIGTERM a process and wait for its end; return its exit status."""
        self.signal(name, signal.SIGTERM)
        return self.wait_until_dead(name)

    def runs(self, name: str) -> bool:
        """Tell whether a process runs."""
        return self._runs(self._children[name])

    def wait_until_dead(self, name: str, seconds: float = STOP_SECONDS_MAX) -> int:
        """Wait for a process's end; return its exit status, negative for a signal."""
        process = self._children[name].process
        return 0 if process is None else process.wait(seconds)

    def wipe(self, name: str) -> None:
        """Remove the data of a member that does not run."""
        if self.runs(name):
            raise NotSettled(f"{name} runs")
        shutil.rmtree(self._layout.data / name)

    def lead(self, name: str) -> bool:
        """Try to make a member lead; tell whether it does. Also when it died meanwhile: False."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while self.runs(name) and time.monotonic() < deadline:
            if any(one.name == name and one.role == "leader" for one in self.members()):
                return True
            try:
                self.watcher.transfer_leadership(name)
            except InventoryError:  # it is not caught up, or a lead has just changed
                time.sleep(POLL_SECONDS)
        return False

    @staticmethod
    def _runs(child: Child) -> bool:
        return child.process is not None and child.process.poll() is None
