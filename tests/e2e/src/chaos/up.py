"""`inventory up` as a child process, and its members by name."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from inventory_cli.up.layout import INTERNAL, Layout
from inventory_cli.up.ports import ROWS
from inventory_client import ClientCertificate, Inventory, MachineCertificate
from pki.contexts import PkiFiles
from pki.identities import Kind, ProcessIdentity, parse_identity

from chaos.ports import free_port
from chaos.watched import POLL_SECONDS, NotSettled, Watched

ROOT = Path(__file__).resolve().parents[4]
COMMAND = (sys.executable, "-m", "inventory_cli", "up", "--demo")
SECONDS_MAX = 60  # for a start or an end: no busy machine needs so long
PROXY = "http://127.0.0.1:9"  # nobody answers there
PROXY_NAMES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")
PROXIES = dict.fromkeys((*PROXY_NAMES, *map(str.upper, PROXY_NAMES)), PROXY) | {
    "no_proxy": "", "NO_PROXY": "", "no_grpc_proxy": "",
}  # fmt: skip
ANY_PORTS = {  # beside other systems of this machine
    f"INVENTORY_UP_{name}_PORT": "0"
    for name in ("INTERNAL", "HEALTH", "HEALTH_GRPC", "ASSISTANT", "MEMBERS", "METRICS")
}


def internal_address(data: Path) -> str:
    """Return the address of the gateway's internal port, by the data directory."""
    return f"127.0.0.1:{Layout(data).kept_ports()[INTERNAL]}"


def machine_client(
    data: Path,
    process: str,
    username: str,
    files: PkiFiles | None = None,
    timeout: float = SECONDS_MAX,
) -> Inventory:
    """Return a client of the internal port with a process's certificate, or with `files`.

    It logs in as this user.
    """
    pki = Layout(data).pki
    own = files or pki.files(parse_identity(process))
    return Inventory(
        internal_address(data),
        MachineCertificate(username),
        timeout=timeout,
        ca_file=pki.trusted_path,
        certificate=ClientCertificate(
            own.certificate, own.key, ProcessIdentity(Kind.GATEWAY).dns_name
        ),
    )


class Up(Watched):
    """The whole system on this machine, from the command that users run."""

    def __init__(
        self,
        data: Path,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Prepare to run `command` on `data`, with an unused gateway port and more environment."""
        super().__init__()
        self.data = data
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
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
        ports_of(Layout(self.data))
        places = {"INVENTORY_UP_PORT": str(self.port), "INVENTORY_UP_DATA": str(self.data)}
        places |= ANY_PORTS
        with self.output.open("w") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                self._command,
                cwd=ROOT,
                env=os.environ | dict(self._environment) | places,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )
        deadline = time.monotonic() + SECONDS_MAX
        while not any(line.startswith("ready") for line in self.output.read_text().splitlines()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NotSettled(f"inventory up did not start:\n{self.output.read_text()}")
            time.sleep(POLL_SECONDS)
        self.connect(self.address, self.admin_password())

    def stop(self) -> int:
        """Interrupt the whole process group, as Ctrl-C does; return the command's exit status."""
        self.disconnect()
        if self._process is None:
            return 0
        process, self._process = self._process, None
        os.killpg(process.pid, signal.SIGINT)
        try:
            return process.wait(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def kill(self) -> None:
        """SIGKILL the supervisor, and only it."""
        self.disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def admin_password(self) -> str:
        """Return the password that the first start generated."""
        return (self.data / "keys" / "admin.password").read_text().strip()

    def words(self) -> str:
        """Return what the supervisor said."""
        return self.output.read_text()


def ports_of(layout: Layout) -> dict[str, int]:
    """Return a system's ports by their names; before its first start, choose and reserve them."""
    ports = layout.kept_ports()
    if not ports:
        ports = {name: free_port() for row in ROWS for name in row.names}
        layout.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.keep_ports(ports)
    return ports


def kill(pid: int) -> None:
    """SIGKILL one process, by its own pid."""
    os.kill(pid, signal.SIGKILL)
