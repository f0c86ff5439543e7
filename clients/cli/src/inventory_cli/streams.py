r"""Stdin, stdout and stderr, also on a full disk, on a pipe that nobody reads, or closed.

- A failed write to stdout raises OutputLost once, and later output is dropped. So the command says
  what it did, instead of ending in a traceback.
- A failed write to stderr ends nothing: the exit status still tells the result.
- A character that the encoding lacks is written out, as `\xe9`.
- Stdin is read as UTF-8 if it is no terminal. Bytes that are not UTF-8 become surrogates, which
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
    """Stdout's bytes; the first write that fails raises OutputLost, later bytes are dropped."""

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
    """Stderr's bytes; bytes that cannot be written are dropped."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def replace_streams() -> None:
    """Replace this process's standard streams by streams that behave as this module says."""
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
    """Write to stdout again after a failed write: a full disk may have space again."""
    raw = sys.stdout.buffer.raw if isinstance(sys.stdout, io.TextIOWrapper) else None
    if isinstance(raw, _Stdout):
        raw.is_lost = False


def _open_closed() -> None:
    """Open a file in place of each standard stream that is closed.

    Otherwise the next socket gets the stream's number, and receives text for a terminal. In place
    of stdout stands a file that cannot be written: a result that nobody sees counts as lost.
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
