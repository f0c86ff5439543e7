r"""Stdin, stdout and stderr, whatever they are: a full disk, a pipe that nobody reads, nothing.

- A failed write to stdout raises OutputLost once, and what follows goes nowhere: the command says
  what it did, instead of ending in a traceback.
- A failed write to stderr ends nothing: the exit status still tells.
- A character that the encoding lacks is written out, as `\xe9`.
- Stdin is read as UTF-8 where it is no terminal; bytes that are not UTF-8 become surrogates, which
  `is_text` finds.
"""

import io
import locale
import os
import sys
from typing import TYPE_CHECKING, TextIO

from inventory_cli.errors import OutputLost

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT, STDERR = range(3)


class _Stdout(io.FileIO):
    """Stdout's bytes; the first write that fails raises OutputLost, the rest is dropped."""

    is_lost = False

    def write(self, data: "ReadableBuffer", /) -> int:
        if self.is_lost:
            return len(memoryview(data))
        try:
            return super().write(data)
        except OSError as error:
            self.is_lost = True
            raise OutputLost(error) from error


class _Stderr(io.FileIO):
    """Stderr's bytes; what cannot be written is dropped."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def replace_streams() -> None:
    """Make this process's standard streams what this module says."""
    _open_closed()
    sys.stdout = _text(_Stdout(STDOUT, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Stderr(STDERR, "w", closefd=False), sys.stderr)
    if sys.stdin is None or not sys.stdin.isatty():
        # newline: a carriage return is part of a line.
        sys.stdin = io.TextIOWrapper(
            io.BufferedReader(io.FileIO(STDIN, closefd=False)),
            encoding="utf-8",
            errors="surrogateescape",
            newline="\n",
        )
    elif isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def resume() -> None:
    """Write to stdout again after a write that failed: a disk that was full may have space."""
    raw = sys.stdout.buffer.raw if isinstance(sys.stdout, io.TextIOWrapper) else None
    if isinstance(raw, _Stdout):
        raw.is_lost = False


def _open_closed() -> None:
    """Open something in place of each standard stream that is closed.

    Otherwise the next socket gets its number, and receives what is meant for a terminal. Stdout
    gets what cannot be written to, so that a result that nobody sees is told as lost.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if descriptor == STDERR else os.O_RDONLY)


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=locale.getencoding() if before is None else before.encoding,
        errors="backslashreplace",
        line_buffering=raw.fileno() == STDERR or raw.isatty(),
    )


def is_text(text: str) -> bool:
    """Tell whether a text came from bytes of its encoding, and holds no NUL."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
