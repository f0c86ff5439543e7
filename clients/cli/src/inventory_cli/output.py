"""Tables for people, JSON for programs."""

import dataclasses
import enum
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from inventory_client import Money
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inventory_cli.terminal import readable, say

NAMES = frozenset(
    {"id", "item", "item id", "order id", "pid", "user", "user id"}
)  # as they are typed
PIPE_WIDTH = 200  # of a table that nobody looks at on a terminal


class Output(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"


def plain(value: object) -> Any:  # noqa: ANN401 - what JSON has
    """Turn records into what JSON can hold; money is its text and its whole minor units."""
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
    if name in NAMES:
        return str(value)
    match value:
        case None:
            return ""
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
    """Return stdout for tables, as wide as they need it where nobody looks."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Make a table; numbers go to the right."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    kept = [list(row) for row in rows]
    headings = list(columns)
    for number, column in enumerate(headings):
        numeric = bool(kept) and all(
            isinstance(row[number], int | Money) and not isinstance(row[number], bool)
            for row in kept
        )
        made.add_column(shown(column), justify="right" if numeric else "left")
    for row in kept:
        made.add_row(*(shown(cell(value, name)) for value, name in zip(row, headings, strict=True)))
    return made


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
    console().print(table(columns, rows))


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
    made.add_column(style="bold")
    made.add_column()
    for name, value in rows:
        made.add_row(name, shown(cell(value, name)))
    console().print(made)
