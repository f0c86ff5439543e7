"""Passwords: asked for on a terminal, the first line of stdin elsewhere."""

import sys

import typer
from rich.prompt import Prompt
from wire.bounds import PASSWORD_BYTES_MAX

from inventory_cli.session import EXIT_USAGE
from inventory_cli.streams import is_text
from inventory_cli.terminal import say


def read_password() -> str:
    """Return the first line of stdin, without its line end, LF or CRLF."""
    try:
        line = sys.stdin.readline(PASSWORD_BYTES_MAX + len("\r\n") + 1)
    except OSError as error:
        raise _refusal(f"stdin cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refusal("the password is not valid UTF-8 text") from error
    return _checked(line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line)


def ask_password(prompt: str) -> str:
    """Ask for a password on a terminal."""
    try:
        return _checked(Prompt.ask(prompt, password=True))
    except EOFError as error:
        raise _refusal("no password was typed") from error
    except UnicodeDecodeError as error:
        raise _refusal("the password is not valid UTF-8 text") from error


def new_password() -> str:
    """Ask for a user's new password on a terminal, read it elsewhere."""
    return ask_password("New password") if sys.stdin.isatty() else read_password()


def old_password() -> str:
    """Ask for the password that a user has, on a terminal; read it elsewhere."""
    return ask_password("Old password") if sys.stdin.isatty() else read_password()


def _checked(password: str) -> str:
    if not password:
        raise _refusal("the password is empty")
    if not is_text(password):
        raise _refusal("the password is not valid UTF-8 text")
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        raise _refusal(f"the password has more than {PASSWORD_BYTES_MAX} bytes")
    return password


def _refusal(why: str) -> typer.Exit:
    say(f"inventory: {why}", err=True)
    return typer.Exit(EXIT_USAGE)
