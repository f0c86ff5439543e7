"""Text for a terminal: text from other people must not control the terminal."""

import shutil
import sys
import unicodedata

import typer
from rich.cells import cell_len

KEPT = "\n\t"
DIRECTING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})  # UAX 9


def readable(text: str) -> str:
    r"""Return text in which each character that would act on a terminal is written out, as \x1b.

    Those are the control characters but for the end of a line and tabs, and what turns the
    direction of all that follows on the line.
    """
    if text.isprintable():
        return text
    return "".join(_written_out(one) if _acts(one) else one for one in text)


def _acts(one: str) -> bool:
    is_control = unicodedata.category(one) == "Cc" and one not in KEPT
    return is_control or unicodedata.bidirectional(one) in DIRECTING


def _written_out(one: str) -> str:
    return one.encode("unicode_escape").decode()


def wrapped(text: str, width: int) -> str:
    """Return text with its lines broken between words; a word wider than `width` stays whole.

    A path or a command that is copied from the terminal must not have a line break in it.
    """
    lines = []
    for line in text.split("\n"):
        taken = ""
        for word in line.split(" "):
            if taken and cell_len(f"{taken} {word}") > width:
                lines.append(taken)
                taken = word
            else:
                taken = f"{taken} {word}" if taken else word
        lines.append(taken)
    return "\n".join(lines)


def say(text: str, *, err: bool = False) -> None:
    """Write a line to stdout or stderr; its words may be anybody's."""
    shown = readable(text)
    if (sys.stderr if err else sys.stdout).isatty():
        shown = wrapped(shown, shutil.get_terminal_size().columns)
    typer.echo(shown, err=err)
