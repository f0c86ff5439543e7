"""Names in other scripts, and currencies other than the dollar, also where there is nothing yet."""

from dataclasses import dataclass
from typing import Any

import pytest

NAMES = ["Öl", "Чай", "Überwurf", "Cre\u0300me", "Straße"]


@dataclass(frozen=True)
class Goods:
    """An item, and what it sold."""

    name: str
    price_minor: int
    quantity: int = 5
    orders: int = 1
    sold: int = 1
    week: int = 1
    month: int = 1


@pytest.fixture(scope="module")
def foreign(asker: Any) -> Any:  # noqa: ANN401 - the fixture of this room
    """Serve foreign names, and inventories without items."""
    asker.serve("foreign", "EUR", [Goods(name, 1_000) for name in NAMES])
    for currency in ("KWD", "CLF", "JPY"):
        asker.serve(f"empty {currency}", currency, [])
    asker.serve("dinars", "KWD", [Goods("Pen", 1_233), Goods("Lamp", 1_234)])
    return asker


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("öl", "Öl"),
        ("ÖL", "Öl"),
        ("O\u0308L", "Öl"),
        ("чай", "Чай"),
        ("ЧАЙ", "Чай"),
        ("überwurf", "Überwurf"),
        ("U\u0308BERWURF", "Überwurf"),
        ("crème", "Cre\u0300me"),
        ("CRE\u0300ME", "Cre\u0300me"),
        ("STRASSE", "Straße"),
    ],
)
@pytest.mark.parametrize(
    "question", ["price of {}", "how many {} are left", "find {}", "sales of {}", "{}", 'show "{}"']
)
def test_a_name_is_understood_in_any_case_and_form(
    foreign: Any,  # noqa: ANN401 - the fixture of this room
    question: str,
    asked: str,
    name: str,
) -> None:
    """However the question names the item."""
    answer = foreign.ask("foreign", "producer", question.format(asked))
    assert answer.understood
    assert name in answer.text or [row.cells[1] for row in answer.rows] == [name]


def test_a_foreign_name_may_have_a_typing_error(foreign: Any) -> None:  # noqa: ANN401 - the fixture of this room
    """Letters are counted in the form in which names are compared."""
    assert "Überwurf" in foreign.ask("foreign", "customer", "price of U\u0308BERWUF").text


@pytest.mark.parametrize(
    ("currency", "amount"), [("KWD", "1.234"), ("CLF", "1.2345"), ("JPY", "1,234")]
)
def test_an_amount_has_the_decimals_of_the_inventory(
    foreign: Any,  # noqa: ANN401 - the fixture of this room
    currency: str,
    amount: str,
) -> None:
    """Of one that holds no items too."""
    answer = foreign.ask(f"empty {currency}", "customer", f"items under {amount}")
    assert answer.understood
    assert "cannot be meant" not in answer.text


def test_an_amount_is_compared_in_the_inventorys_currency(foreign: Any) -> None:  # noqa: ANN401 - the fixture of this room
    """To the last of its decimals."""
    answer = foreign.ask("dinars", "customer", "items under 1.234")
    assert [row.cells[1] for row in answer.rows] == ["Pen"]


def test_more_decimals_than_the_currency_has_are_refused(foreign: Any) -> None:  # noqa: ANN401 - the fixture of this room
    """Nothing is rounded."""
    answer = foreign.ask("empty JPY", "customer", "items under 1.5")
    assert "more decimals than its currency, which has 0" in answer.text


def test_a_long_question_is_answered(foreign: Any) -> None:  # noqa: ANN401 - the fixture of this room
    """What is longer than any name is no item's name."""
    answer = foreign.ask("empty JPY", "customer", "price of " + "xyzzy " * 80)
    assert "filter" not in answer.text
