"""Questions to the user of the shell: edited lines on a terminal, plain lines elsewhere.

- Each field is checked as it is typed. On a terminal a wrong field is asked for again. Elsewhere
  nobody could correct the field, so the command ends.
- One history holds commands that the shell knows, another history holds questions. No history holds
  other answers, or a line that contains a typed password. Each is a file of mode 0600.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import typer
from rich.prompt import Prompt

from inventory_cli.errors import CommandCancelled, LeftShell
from inventory_cli.session import state_folder
from inventory_cli.streams import is_text
from inventory_cli.terminal import say

with contextlib.suppress(ImportError):  # a Python without it edits no lines
    import readline

Value = TypeVar("Value")
HISTORY_LINES_MAX = 500
NO_TEXT = "that is not valid UTF-8 text"


class History:
    """Lines that were typed at one kind of prompt, the newest last, kept in a file."""

    def __init__(self, path: Path | None) -> None:
        """Read the lines of a file; None: there is no file, and the history ends with the shell."""
        self._path = path
        self.lines: list[str] = []
        if path is not None:
            with contextlib.suppress(OSError):
                text = path.read_text(encoding="utf-8", errors="replace")
                self.lines = text.splitlines()[-HISTORY_LINES_MAX:]

    def remember(self, line: str) -> None:
        """Keep a line; if the file cannot be written, only until the shell ends."""
        if self.lines[-1:] == [line]:
            return
        self.lines = [*self.lines, line][-HISTORY_LINES_MAX:]
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            partial.touch(mode=0o600)
            partial.write_text("".join(f"{one}\n" for one in self.lines), encoding="utf-8")
            partial.replace(self._path)


class Prompts:
    """Asks for commands, fields and passwords."""

    def __init__(self) -> None:
        """Ask on stdin; on a terminal, offer the lines of earlier sittings."""
        self.is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._secrets: set[str] = set()
        folder = state_folder()
        self._commands = History(folder and folder / "shell-commands")
        self._questions = History(folder and folder / "shell-questions")
        if self.is_terminal and "readline" in globals():
            readline.set_auto_history(False)

    def ask_command(self, known: list[str]) -> str:
        """Ask for a command; raise LeftShell at the end of the input."""
        while True:
            try:
                line = self._line("inventory", self._commands).lower()
            except CommandCancelled:
                say("exit leaves the shell", err=True)
                continue
            except ValueError as error:
                say(str(error), err=True)
                continue
            if line in known:
                self._remember(self._commands, line)
            return line

    def ask_question(self, prompt: str) -> str:
        """Ask for a question, and remember it; raise CommandCancelled or LeftShell."""
        line = self._line(prompt, self._questions)
        if line:
            self._remember(self._questions, line)
        return line

    def ask_field(self, prompt: str, parse: Callable[[str], Value]) -> Value:
        """Ask until the answer can be read; raise CommandCancelled or LeftShell.

        Off a terminal it asks once, and raises ValueError.
        """
        while True:
            try:
                return parse(self._line(prompt, None))
            except ValueError as error:
                if not self.is_terminal:
                    raise
                say(str(error), err=True)

    def confirm(self, question: str) -> bool:
        """Ask yes or no on a terminal; elsewhere return True, as a script cannot be asked."""
        if not self.is_terminal:
            return True
        return self.ask_field(f"{question} (yes or no)", yes_or_no)

    def ask_password(self, prompt: str) -> str:
        """Ask for a password, which is not shown."""
        if not self.is_terminal:
            return self._line(prompt, None)
        try:
            typed = Prompt.ask(prompt, password=True, default="", show_default=False)
        except (EOFError, KeyboardInterrupt):
            raise LeftShell from None
        except UnicodeDecodeError:
            raise ValueError(NO_TEXT) from None
        self._secrets.add(typed)
        return typed

    def _remember(self, history: History, line: str) -> None:
        if self.is_terminal and not any(one and one in line for one in self._secrets):
            history.remember(line)

    def _line(self, prompt: str, history: History | None) -> str:
        """Return a typed line without surrounding spaces; raise LeftShell at the end of input."""
        if self.is_terminal:
            line = self._edited(f"{prompt}: ", history)
        else:
            typer.echo(f"{prompt}: ", nl=False, err=True)
            line = sys.stdin.readline()
            if not line:
                raise LeftShell
        if not is_text(line):
            raise ValueError(NO_TEXT)
        return line.strip()

    @staticmethod
    def _edited(prompt: str, history: History | None) -> str:
        if "readline" in globals():
            readline.clear_history()
            for line in history.lines if history is not None else ():
                readline.add_history(line)
        try:
            return input(prompt)
        except (EOFError, KeyboardInterrupt) as error:
            typer.echo(err=True)  # the cursor is still in the line of the prompt
            raise (LeftShell if isinstance(error, EOFError) else CommandCancelled) from None


def yes_or_no(text: str) -> bool:
    """Read an answer; raise ValueError with a sentence."""
    if text.lower() not in {"y", "yes", "n", "no"}:
        raise ValueError("yes or no?")
    return text.lower() in {"y", "yes"}
