"""Words on the way to a terminal: what somebody else wrote there must not move it."""

import unicodedata

import typer

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


def say(text: str, *, err: bool = False) -> None:
    """Write a line to stdout or stderr; its words may be anybody's."""
    typer.echo(readable(text), err=err)
