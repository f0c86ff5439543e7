"""Tables for people, JSON for programs."""

import dataclasses
import enum
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from inventory_client import Money
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from inventory_cli.terminal import readable, say

NAMES = frozenset(
    {"id", "item", "item id", "order id", "pid", "user", "user id"}
)  # as they are typed
PROSE = frozenset({"description", "items"})  # columns whose cells may be broken between words
WORDS_WIDTH_MIN = 20  # of a column of PROSE
NAME_WIDTH_MAX = 50  # of any other column
PIPE_WIDTH = 200  # of a table that is not written to a terminal
UNKNOWN = "-"
_NUMBER = re.compile(r"([A-Z]{3} )?-?[0-9][0-9,]*(\.[0-9]+)?")


class Output(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"


def plain(value: object) -> Any:  # noqa: ANN401 - what JSON has
    """Turn records into JSON values; money becomes its text and its minor units."""
    match value:
        case Money():
            amount = value.amount.replace(",", "")
            return {"currency": value.currency, "amount": amount, "minor": value.minor}
        case datetime():
            return value.isoformat()
        case tuple() | list():
            return [plain(one) for one in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
            }
        case _:
            return value


def cell(value: object, name: str) -> str:
    """Return a value as a table shows it below the heading `name`."""
    match value:
        case None:
            return UNKNOWN
        case _ if name in NAMES:
            return str(value)
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def shown(text: str, style: str = "") -> Text:
    """Return words for rich as they are; in a bare `str` it takes brackets and :names: for orders.

    All that is not this program's own goes through here on its way to rich.
    """
    return Text(readable(text), style)


def write_json(value: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(plain(value), indent=2) + "\n")


def console() -> Console:
    """Return stdout for tables; PIPE_WIDTH wide if stdout is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def table(
    columns: Iterable[str], rows: Iterable[Iterable[object]], *, may_break: bool = True
) -> Table:
    """Make a table; numbers go to the right, and prose alone is broken between words.

    `may_break`: False for a table that is measured, with every cell on one line.
    """
    made = Table(box=None, header_style="bold", pad_edge=False)
    kept = [list(row) for row in rows]
    for number, heading in enumerate(columns):
        values = [row[number] for row in kept]
        cells = [cell(value, heading) for value in values]
        width = max(map(cell_len, [heading, *cells]))
        breaks = may_break and (heading in PROSE or width > NAME_WIDTH_MAX)
        made.add_column(
            shown(heading),
            justify="right" if _are_numbers(values) else "left",
            no_wrap=not breaks,
            overflow="fold",
            min_width=min(width, WORDS_WIDTH_MIN) if breaks else width,
        )
    headings = list(columns)
    for row in kept:
        made.add_row(*(shown(cell(value, name)) for value, name in zip(row, headings, strict=True)))
    return made


def _are_numbers(values: Sequence[object]) -> bool:
    """Return whether all values are numbers; None is an unknown number."""
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, int | Money) and not isinstance(value, bool) for value in known
    )


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], may_go: Collection[str] = ()
) -> None:
    """Write a table to stdout; where the terminal is too narrow, columns of `may_go` are left out.

    They go in their order, until the rest fits. No cell is cut: what is still too wide goes on in
    the terminal's next line.
    """
    kept, headings = [list(row) for row in rows], list(columns)
    to = console()
    for going in may_go:
        if _width(to, table(headings, kept, may_break=False)).maximum <= to.width:
            break
        place = headings.index(going)
        del headings[place]
        for row in kept:
            del row[place]
    made = table(headings, kept)
    to.print(made, width=max(to.width, _width(to, made).minimum), crop=False)


def _width(to: Console, made: Table) -> Measurement:
    return Measurement.get(to, to.options.update(width=10**6), made)


def print_answer(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table of text cells, such as the assistant's; numbers are aligned to the right."""
    kept = [list(row) for row in rows]
    made = table(columns, kept)
    for place, column in enumerate(made.columns):
        if all(_NUMBER.fullmatch(row[place]) for row in kept) and columns[place] != "name":
            column.justify = "right"
    to = console()
    to.print(made, width=max(to.width, _width(to, made).minimum), crop=False)


def show_rows(output: Output, columns: Mapping[str, str], records: Iterable[object]) -> None:
    """Write records: `columns` maps a heading to a field."""
    kept = list(records)
    if output is Output.JSON:
        write_json(kept)
        return
    if not kept:
        say("nothing to show", err=True)
        return
    rows = [[getattr(record, field) for field in columns.values()] for record in kept]
    print_table(list(columns), rows)


def show(output: Output, record: object) -> None:
    """Write one record."""
    if output is Output.JSON or not dataclasses.is_dataclass(record):
        write_json(record)
        return
    rows = [
        (field.name.replace("_", " "), getattr(record, field.name))
        for field in dataclasses.fields(record)
        if not isinstance(getattr(record, field.name), tuple)
    ]
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True, min_width=max(len(name) for name, _ in rows))
    made.add_column()
    for name, value in rows:
        made.add_row(name, shown(cell(value, name)))
    console().print(made)
