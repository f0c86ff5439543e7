"""The files below the data directory, and what the first start makes there.

DATA/keys holds secrets, each in a file of mode 0600: `token.key` (signs tokens) and
`admin.password`. DATA/pki holds the authority of this
cluster, and each process's certificate and key. DATA/bootstrap.json is the first state. DATA/node-N
belongs to one member. DATA/run holds logs, process ids, and the ports of the last start.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO

import argon2
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pki.contexts import PkiFiles
from pki.errors import PkiError
from pki.folder import PkiFolder
from pki.identities import parse_identity
from wire.money import digits_of, is_currency

from inventory_cli.errors import UpError

MEMBERS = ("node-0", "node-1", "node-2")
PROCESSES = (*MEMBERS, "gateway", "assistant", "metrics", "health")
PAGE = "health/page"
INTERNAL = "gateway/internal"  # the gateway's port for the processes of the cluster
HOSTS = ("127.0.0.1", "localhost")
MACHINES = ("health", "metrics")
KIB_PER_HASH = 19_456
PASSES_PER_HASH = 2

DEMO_USERS = (
    ("Gayathri", "password1", "customer"),
    ("Sarthak", "password2", "producer"),
    ("Sushma", "password3", "customer"),
)
DEMO_ITEMS = (
    ("Laptop", "14 inch, 16 GB of memory, 512 GB SSD", "899.00", 25),
    ("Smartphone", "6.1 inch display, 128 GB", "599.00", 40),
    ("Wireless Mouse", "Bluetooth, two buttons and a wheel", "24.99", 150),
    ("Headphones", "Over the ear, noise cancelling", "149.50", 60),
    ("Keyboard", "Mechanical, 87 keys", "79.90", 8),
)


def path_of(text: object) -> object:
    """Read a path from the command line; refuse an empty path."""
    if text == "":
        raise typer.BadParameter("it is empty; . is the current folder")
    return Path(text) if isinstance(text, str) else text


def _checked_currency(code: str) -> str:
    if not is_currency(code):
        raise typer.BadParameter(
            f"{code!r} is no ISO 4217 code of a currency with minor units, such as USD"
        )
    return code


Currency = Annotated[
    str,
    typer.Option(
        help="ISO 4217, of everything in it; counts at the first start only.",
        callback=_checked_currency,
    ),
]


@dataclass(frozen=True, slots=True)
class Layout:
    """The data directory."""

    data: Path

    @property
    def keys(self) -> Path:
        """Secrets."""
        return self.data / "keys"

    @property
    def run(self) -> Path:
        """Logs, process ids and ports."""
        return self.data / "run"

    @property
    def pki(self) -> PkiFolder:
        """The authority, and every process's certificate."""
        return PkiFolder(self.data / "pki")

    @property
    def bootstrap(self) -> Path:
        """The first state."""
        return self.data / "bootstrap.json"

    def secret(self, name: str) -> str:
        """Return a secret; raise UpError."""
        try:
            return (self.keys / name).read_text().strip()
        except OSError as error:
            raise UpError(f"a key cannot be read: {error}") from error

    def lock(self) -> TextIO:
        """Hold the directory until the returned file is closed, here and in every child.

        Raises UpError if the directory cannot be written, or if another process holds it: a running
        `inventory up`, or the children of an `inventory up` that was killed.
        """
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.data / "lock").open("a+")
        except OSError as error:
            raise UpError(f"the data directory {self.data} cannot be written: {error}") from error
        lock.seek(0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with lock:
                raise UpError(self._in_use(lock.read().strip())) from None
        try:
            os.truncate(lock.fileno(), 0)
            os.write(lock.fileno(), f"{os.getpid()}\n".encode())
        except OSError as error:
            lock.close()
            raise UpError(f"the data directory {self.data} cannot be written: {error}") from error
        return lock

    def note_pid(self, name: str, pid: int) -> None:
        """Write a child's process id to a file; 0 removes the file. Raises OSError.

        The file is whole at every moment: another `inventory up` may read it while this one is
        killed. A full disk allows to remove the file.
        """
        path, partial = self.run / f"{name}.pid", self.run / f"{name}.partial"
        if not pid:
            path.unlink(missing_ok=True)
            return
        partial.write_text(f"{pid}\n")
        partial.replace(path)

    def _in_use(self, owner: str) -> str:
        """Return the sentence about who holds the directory; `owner`: the pid in the lock."""
        if not owner.isdigit() or is_alive(int(owner)):
            return f"the data directory {self.data} is in use: another `inventory up` runs on it"
        left = sorted(int(path.read_text()) for path in self.run.glob("*.pid"))
        pids = " ".join(str(pid) for pid in left if pid and is_alive(pid))
        return (
            f"the data directory {self.data} is in use: its `inventory up` was killed and left "
            f"processes running; end them with `kill {pids}` and start again"
        )

    def prepare(self, currency: str, *, demo: bool) -> bool:
        """Make folders, keys, certificates and first state if missing.

        Returns whether this is the first start. Certificates that are about to expire are issued
        anew. Raises OSError or UpError.
        """
        for folder in (self.keys, self.run):
            folder.mkdir(mode=0o700, exist_ok=True)
        first = not self.bootstrap.exists()
        if first:
            self._make_keys()
            content = json.dumps(first_state(self.secret, currency, demo=demo), indent=2)
            write_private(self.bootstrap, content)
        self._keep_certificates()
        return first

    def _keep_certificates(self) -> None:
        try:
            if not self.pki.trusted_path.exists():
                self.pki.make("inventory up")
            for name in PROCESSES:
                self.pki.keep(parse_identity(name), HOSTS)
        except PkiError as error:
            raise UpError(f"the certificates cannot be kept: {error}") from error

    def _make_keys(self) -> None:
        if not (self.keys / "token.key").exists():
            write_private(self.keys / "token.key", signing_key())
        for name in ("admin.password",):
            if not (self.keys / name).exists():
                write_private(self.keys / name, secrets.token_urlsafe(32) + "\n")

    def kept_ports(self) -> dict[str, int]:
        """Return the ports of the last start by their names, as far as they can be read."""
        try:
            kept: dict[str, int] = json.loads((self.run / "ports.json").read_text())
        except (OSError, ValueError):  # the file is written anew by this start
            return {}
        return kept

    def keep_ports(self, ports: Mapping[str, int]) -> None:
        """Write the ports of this start to a file, for the next start; raise OSError."""
        write_private(self.run / "ports.json", json.dumps(ports))


def signing_key() -> str:
    """Return a private key of Ed25519 in PEM (RFC 7468)."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
    )


def first_state(secret: Callable[[str], str], currency: str, *, demo: bool) -> dict[str, object]:
    """Return a bootstrap file's content; `secret` returns a password or key by its file's name.

    Raises UpError when a secret is empty.
    """
    users = list(DEMO_USERS) if demo else []
    users.append(("admin", secret("admin.password"), "admin"))
    for name, password, _ in users:
        if not password:
            raise UpError(f"the password of {name} is empty")
    hasher = argon2.PasswordHasher(
        time_cost=PASSES_PER_HASH, memory_cost=KIB_PER_HASH, parallelism=1
    )
    return {
        "currency": {"code": currency, "minor_digits": digits_of(currency)},
        "users": [
            {"name": name, "role": role, "password_hash": hasher.hash(password)}
            for name, password, role in users
        ]
        # Nobody knows their passwords: the gateway knows them by their certificates.
        + [
            {
                "name": name,
                "role": "machine",
                "password_hash": hasher.hash(secrets.token_urlsafe(32)),
            }
            for name in MACHINES
        ],
        "items": [
            {
                "name": name,
                "description": description,
                "price": price if digits_of(currency) else price.partition(".")[0],
                "quantity": quantity,
            }
            for name, description, price, quantity in (DEMO_ITEMS if demo else ())
        ],
    }


def is_alive(pid: int) -> bool:
    """Return whether a process runs, whichever user it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_private(path: Path, text: str) -> None:
    """Write a whole file that only its owner can read, or none."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def metrics_of(process: str) -> str:
    """Return the name of the port on which a process serves its metrics."""
    return f"{process}/metrics"


def tls_settings(files: PkiFiles) -> dict[str, str]:
    """Return the settings by which a process finds its certificate."""
    return {
        "INVENTORY_TLS_CERTIFICATE_FILE": str(files.certificate),
        "INVENTORY_TLS_KEY_FILE": str(files.key),
        "INVENTORY_TLS_TRUSTED_FILE": str(files.trusted),
    }


def environments(
    layout: Layout, ports: Mapping[str, int], *, tls: bool = False
) -> dict[str, dict[str, str]]:
    """Return the settings of every process, by its name.

    `tls`: whether the gateway speaks TLS to clients.
    """
    internal = f"127.0.0.1:{ports[INTERNAL]}"
    members = ",".join(f"{name}=127.0.0.1:{ports[name]}" for name in MEMBERS)
    made = {
        name: {
            "INVENTORY_NODE_NAME": name,
            "INVENTORY_NODE_LISTEN": f"127.0.0.1:{ports[name]}",
            "INVENTORY_NODE_MEMBERS": members,
            "INVENTORY_DATA_DIR": str(layout.data / name),
            "INVENTORY_BOOTSTRAP_FILE": str(layout.bootstrap),
        }
        for name in MEMBERS
    }
    made["gateway"] = {
        "INVENTORY_GATEWAY_LISTEN": f"127.0.0.1:{ports['gateway']}",
        "INVENTORY_GATEWAY_INTERNAL_LISTEN": internal,
        "INVENTORY_GATEWAY_MEMBERS": members,
        "INVENTORY_TOKEN_KEY_FILE": str(layout.keys / "token.key"),
        "INVENTORY_GATEWAY_ASSISTANT": f"127.0.0.1:{ports['assistant']}",
    }
    if tls:
        own = layout.pki.files(parse_identity("gateway"))
        made["gateway"]["INVENTORY_GATEWAY_TLS_CERTIFICATE_FILE"] = str(own.certificate)
        made["gateway"]["INVENTORY_GATEWAY_TLS_KEY_FILE"] = str(own.key)
    made["assistant"] = {
        "INVENTORY_ASSISTANT_LISTEN": f"127.0.0.1:{ports['assistant']}",
        "INVENTORY_ASSISTANT_GATEWAY": internal,
    }
    made["metrics"] = {
        "INVENTORY_METRICS_GATEWAY": internal,
    }
    made["health"] = {
        "INVENTORY_HEALTH_LISTEN": f"127.0.0.1:{ports['health']}",
        "INVENTORY_HEALTH_HTTP_LISTEN": f"127.0.0.1:{ports[PAGE]}",
        "INVENTORY_HEALTH_MEMBERS": members,
        "INVENTORY_HEALTH_GATEWAY": internal,
        "INVENTORY_HEALTH_ASSISTANT": f"127.0.0.1:{ports['assistant']}",
        "INVENTORY_HEALTH_REPLICAS": str(len(MEMBERS)),
    }
    for name, settings in made.items():
        settings["INVENTORY_METRICS_LISTEN"] = f"127.0.0.1:{ports[metrics_of(name)]}"
        settings.update(tls_settings(layout.pki.files(parse_identity(name))))
    return made
