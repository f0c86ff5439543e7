"""How results are written."""

import io
from dataclasses import dataclass

import pytest
from inventory_cli.output import plain, table
from inventory_client import Money
from rich.console import Console


def lines(columns: tuple[str, ...], *row: object) -> str:
    """Return a table of one row as text."""
    written = io.StringIO()
    Console(file=written, width=100).print(table(columns, [row]))
    return written.getvalue()


@pytest.mark.parametrize("column", ["id", "pid", "item", "user"])
def test_a_number_that_names_something_is_written_as_it_is_typed(column: str) -> None:
    """`kill 1,234` ends nothing."""
    assert " 1234 " in lines(("a", column, "b"), "x", 1234, "y")


def test_a_number_that_counts_has_its_thousands_apart() -> None:
    """As people read it."""
    assert "1,234" in lines(("a", "quantity"), "x", 1234)


def test_json_holds_amounts_that_programs_can_read() -> None:
    """Without the commas that people like, so that a decimal can be made of it."""

    @dataclass
    class Record:
        price: Money

    assert plain(Record(Money("USD", 123_456_789))) == {
        "price": {"currency": "USD", "amount": "1234567.89", "minor": 123_456_789}
    }
