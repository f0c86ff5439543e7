"""What half an answer would be a guess at: exceptions, orders, bounds, names and huge numbers."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    "question",
    ["items not under 500", "delete item 2", "order 2 laptops", "set price of item 2 to 100",
     "restock item 2 by 10", "item 1 and item 2", "check item 99999999999999999999"],
)  # fmt: skip
def test_it_is_not_understood(asker: Any, question: str) -> None:  # noqa: ANN401 - the fixture
    """Nothing is read and no row is shown."""
    answer = asker.ask("electronics", "customer", question)
    assert not answer.understood
    assert not answer.rows


@pytest.mark.parametrize(
    ("catalogue", "question", "names"),
    [
        ("electronics", "items over 79.90 and at most 599", ["Headphones", "Smartphone"]),
        ("electronics", "keyboards under 100", ["Keyboard"]),
        ("electronics", "cheapest keyboard", ["Keyboard"]),
        ("electronics", "suggest me items under 100", ["Wireless Mouse", "Keyboard"]),
        ("electronics", "is the keyboard in stock", ["Keyboard"]),
        ("electronics", "items under 99999999999999999999999999", []),
        ("garden", "items under 1.5k", ["Flower Pot (small)", "Flower Pot (large)"]),
    ],
)
def test_every_word_of_it_counts(
    asker: Any,  # noqa: ANN401 - the fixture
    catalogue: str,
    question: str,
    names: list[str],
) -> None:
    """Each bound keeps its own strictness, and a name beside a bound narrows the list."""
    rows = asker.ask(catalogue, "customer", question).rows
    assert [row.cells[1] for row in rows] == names
