"""The gateway's address, and the login there: one token in a file of mode 0600."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from inventory_client import (
    Inventory,
    InventoryError,
    NotAllowed,
    OutcomeForgotten,
    OutcomeUnknown,
    Reads,
    Refused,
    Unauthenticated,
    Unavailable,
    is_token,
)
from inventory_client.calls import TLS
from inventory_client.connection import new_request_id
from wire.errors import RETRY_WITH
from wire.tls import TlsTrouble

from inventory_cli.errors import OutputLost, Terminated
from inventory_cli.terminal import say

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_NOT_ALLOWED = 3
EXIT_NO_ANSWER = 4
EXIT_OUTPUT_LOST = 5

TLS_ADVICE: dict[str, str] = {
    TlsTrouble.PLAIN_TEXT: "On a network that you trust, use: inventory --insecure COMMAND",
    TlsTrouble.UNTRUSTED: "Name the file of the gateway's authority with: inventory --ca-file FILE",
    TlsTrouble.OTHER_NAME: "Use a name in its certificate: inventory --address HOST:PORT COMMAND",
    TlsTrouble.CLOSED: (
        "If it speaks TLS, call it without --insecure, and on this machine with: "
        "inventory --ca-file FILE COMMAND"
    ),
}


@dataclass(slots=True)
class CallTarget:
    """The gateway that commands call, from the command line or the environment."""

    address: str
    timeout: float  # seconds
    reads: Reads
    insecure: bool = False
    ca_file: Path | None = None

    def client(self, token: str | None = None) -> Inventory:
        """Return a client that speaks for the token's user; exit if its CA file cannot be used."""
        try:
            return Inventory(
                self.address,
                token,
                self.timeout,
                reads=self.reads,
                insecure=self.insecure,
                ca_file=self.ca_file,
            )
        except ValueError as error:
            say(f"inventory: {error}", err=True)
            raise typer.Exit(EXIT_USAGE) from error


def token_file() -> Path:
    """Return where the token is kept: INVENTORY_TOKEN_FILE, or below the configuration home."""
    given = os.environ.get("INVENTORY_TOKEN_FILE")
    if given:
        return Path(given)
    try:
        return _below_home("XDG_CONFIG_HOME", ".config") / "token"
    except RuntimeError as error:
        said = "this user has no home directory for a token; INVENTORY_TOKEN_FILE names a file"
        say(f"inventory: {said}", err=True)
        raise typer.Exit(EXIT_USAGE) from error


def state_folder() -> Path | None:
    """Return where the shell keeps its history, below XDG_STATE_HOME; None without a home."""
    try:
        return _below_home("XDG_STATE_HOME", ".local/state")
    except RuntimeError:
        return None


def _below_home(variable: str, folder: str) -> Path:
    """Return this program's folder in an XDG base directory; raise RuntimeError without a home."""
    given = os.environ.get(variable)
    return (Path(given) if given else Path.home() / folder) / "inventory"


def save_token(token: str) -> Path:
    """Write a token to a file that only its owner reads; return the file's path."""
    path = token_file()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with token_trouble(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(token)
        partial.replace(path)
    return path


def forget_token() -> None:
    """Remove the token of this machine."""
    path = token_file()
    with token_trouble(path):
        path.unlink(missing_ok=True)


def read_token() -> str | None:
    """Return the token, None when nobody is logged in."""
    path = token_file()
    with token_trouble(path):
        try:
            token = path.read_bytes().decode(errors="replace").strip()
        except FileNotFoundError:
            return None
    if token and not is_token(token):
        say(f"inventory: {path} holds no token; log in again", err=True)
        raise typer.Exit(EXIT_NOT_ALLOWED)
    return token or None


@contextmanager
def token_trouble(path: Path) -> Iterator[None]:
    """Exit with one line if the token's file cannot be read or written."""
    try:
        yield
    except OSError as error:
        said = f"the token file {path} cannot be used: {error.strerror}"
        say(f"inventory: {said}; INVENTORY_TOKEN_FILE names another", err=True)
        raise typer.Exit(EXIT_REFUSED) from error


def exit_code(error: InventoryError) -> int:
    """Return the exit status for an error."""
    if isinstance(error, Unavailable):
        return EXIT_NO_ANSWER
    if isinstance(error, Unauthenticated | NotAllowed):
        return EXIT_NOT_ALLOWED
    return EXIT_REFUSED


def explain(error: InventoryError, address: str) -> str:
    """Return an error's sentence, with the next command to type if one helps."""
    text = str(error)
    advice = TLS_ADVICE.get(error.details.get(TLS, ""))
    if advice:
        text = f"{text}\n{advice}"
    elif isinstance(error, Unavailable) and not error.reason:  # no gateway said this
        text = (
            f"{text}\nIs a gateway running at {address}? `inventory up` starts one here, "
            f"--address names another."
        )
    if RETRY_WITH in error.details:
        text += "\nRead what one member holds with: inventory --max-staleness 0 COMMAND"
    if isinstance(error, OutcomeForgotten):  # the same request id would come to this again
        return f"{text}\nLook with: inventory orders, or inventory item get ID"
    if isinstance(error, OutcomeUnknown) and error.request_id:
        return f"{text}\nTry again with --request-id {error.request_id}"
    if isinstance(error, Unauthenticated):
        return f"{text}\nLog in with: inventory login USERNAME"
    if isinstance(error, Refused) and error.reason:
        return f"{text} ({error.reason})"
    return text


@contextmanager
def connected(connection: CallTarget, *, as_nobody: bool = False) -> Iterator[Inventory]:
    """Open a client with the saved token; turn its errors into sentences and exit statuses."""
    token = None if as_nobody else read_token()
    with connection.client(token) as inventory:
        try:
            yield inventory
        except InventoryError as error:
            say(f"inventory: {explain(error, connection.address)}", err=True)
            raise typer.Exit(exit_code(error)) from error


@contextmanager
def interrupted(advice: str) -> Iterator[None]:
    """Print `advice` if a signal ends a change before the change's answer came."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        say(
            f"inventory: interrupted before the answer came: the outcome is unknown\n{advice}",
            err=True,
        )
        raise


@contextmanager
def attempt(given: str | None) -> Iterator[str]:
    """Yield a mutation's request id: `given`, or a fresh id. A signal prints how to try again."""
    request_id = new_request_id() if given is None else given
    with interrupted(f"Try again with --request-id {request_id}"):
        yield request_id


@contextmanager
def done(what: str) -> Iterator[None]:
    """Write the result of a change; if the writing fails, print `what` was done."""
    try:
        yield
        sys.stdout.flush()
    except OutputLost as lost:
        raise OutputLost(lost.error, what) from lost
    except (KeyboardInterrupt, Terminated):
        say(f"inventory: {what}", err=True)
        raise
