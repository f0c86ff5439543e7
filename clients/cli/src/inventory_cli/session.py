"""The address of the gateway, and who is logged in there: one token in a file of mode 0600."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from inventory_client import (
    Inventory,
    InventoryError,
    NotAllowed,
    OutcomeUnknown,
    Reads,
    Refused,
    Unauthenticated,
    Unavailable,
)

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_NOT_ALLOWED = 3
EXIT_NO_ANSWER = 4


@dataclass(slots=True)
class Connection:
    """Where calls go, from the command line or the environment."""

    address: str
    timeout: float  # seconds
    reads: Reads


def token_file() -> Path:
    """Return where the token is kept: INVENTORY_TOKEN_FILE, or below the configuration home."""
    given = os.environ.get("INVENTORY_TOKEN_FILE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "inventory" / "token"


def save_token(token: str) -> Path:
    """Keep a token where nobody else reads it."""
    path = token_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_text(token)
    partial.replace(path)
    return path


def forget_token() -> None:
    """Log out of this machine."""
    token_file().unlink(missing_ok=True)


def read_token() -> str | None:
    """Return the token, None when nobody is logged in."""
    try:
        return token_file().read_text().strip() or None
    except FileNotFoundError:
        return None


def exit_code(error: InventoryError) -> int:
    """Return the exit status for an error."""
    if isinstance(error, Unavailable):
        return EXIT_NO_ANSWER
    if isinstance(error, Unauthenticated | NotAllowed):
        return EXIT_NOT_ALLOWED
    return EXIT_REFUSED


def explain(error: InventoryError) -> str:
    """Return an error's sentence, with what to type next where that helps."""
    text = str(error)
    if isinstance(error, OutcomeUnknown) and error.request_id:
        return f"{text}\nTry again with --request-id {error.request_id}"
    if isinstance(error, Unauthenticated):
        return f"{text}\nLog in with: inventory login USERNAME"
    if isinstance(error, Refused) and error.reason:
        return f"{text} ({error.reason})"
    return text


@contextmanager
def connected(connection: Connection) -> Iterator[Inventory]:
    """Open a client as whoever is logged in; turn its errors into sentences and exit statuses."""
    with Inventory(
        connection.address, read_token(), connection.timeout, reads=connection.reads
    ) as inventory:
        try:
            yield inventory
        except InventoryError as error:
            typer.echo(f"inventory: {explain(error)}", err=True)
            raise typer.Exit(exit_code(error)) from error
