"""What half an answer would be a guess at: exceptions, orders, bounds, names and huge numbers."""

from typing import Any

import pytest
from assistant.normalise import normalise


@pytest.mark.parametrize(
    "question",
    ["items not under 500", "delete item 2", "order 2 laptops", "set price of item 2 to 100",
     "restock item 2 by 10", "item 1 and item 2", "check item 99999999999999999999",
     "under 1,50", "items under 10%", "items under 500 in euros", "items around 100", "items 3",
     "items under 500 yesterday", "items under 500 or over 800", "items by colour", "top", "hoes",
     "what is the meaning of life", "when will item 2 be back in stock", "second cheapest item",
     "compare laptop and smartphone", "is the laptop cheaper than the smartphone",
     "do you have laptops in blue", "suggest me cheap items for kids", "2 + 2", "five six",
     "discount on laptop", "cheepest item", "items under five dozen", "items under 1.5 thousand",
     "top 3 items by name", "items by price by stock"],
)  # fmt: skip
def test_it_is_not_understood(asker: Any, question: str) -> None:  # noqa: ANN401 - the fixture
    """Nothing is read and no row is shown."""
    answer = asker.ask("electronics", "customer", question)
    assert not answer.understood
    assert not answer.rows


@pytest.mark.parametrize(
    "question",
    ["sales in the last 7 days", "sales last week", "profit last month", "revenue for 2023",
     "overview of last week", "stock value of laptops", "restock laptop", "low stock of 20",
     "what should I restock tomorrow", "when did item 2 run out", "top sellers in 7 days",
     "how many days until item 2 is restocked", "sales of item 2 in january"],
)  # fmt: skip
def test_a_time_or_a_part_that_cannot_be_told_is_not_left_out(asker: Any, question: str) -> None:  # noqa: ANN401 - the fixture
    """All-time figures are no answer to a question about a week."""
    answer = asker.ask("electronics", "producer", question)
    assert not answer.understood
    assert not answer.rows


def test_the_words_at_fault_are_named(asker: Any) -> None:  # noqa: ANN401 - the fixture
    """So that the question can be put without them."""
    answer = asker.ask("electronics", "producer", "sales in the last 7 days")
    assert answer.text.startswith('I did not understand "last" and "7" and "days".')


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("five hundred", "500"),
        ("a thousand", "1000"),
        ("twenty-five", "25"),
        ("two thousand five hundred and twenty five", "2525"),
        ("fifteen hundred", "1500"),
        ("5 hundred", "500"),
        ("five six", "5 6"),
        ("between five and ten", "between 5 and 10"),
        ("between a hundred and five hundred", "between 100 and 500"),
        ("one hundred thousand", "100000"),
        ("high-end", "high-end"),
        ("thousand hundred", "1000 100"),
    ],
)
def test_numbers_in_words_are_read_whole_or_apart(words: str, number: str) -> None:
    """Never a part of one for the whole."""
    assert normalise(words) == number


@pytest.mark.parametrize(
    ("catalogue", "question", "names"),
    [
        ("electronics", "items over 79.90 and at most 599", ["Headphones", "Smartphone"]),
        ("electronics", "keyboards under 100", ["Keyboard"]),
        ("electronics", "cheapest keyboard", ["Keyboard"]),
        ("electronics", "suggest me items under 100", ["Wireless Mouse", "Keyboard"]),
        ("electronics", "is the keyboard in stock", ["Keyboard"]),
        ("electronics", "items under 99999999999999999999999999", []),
        ("electronics", "items under five hundred", ["Wireless Mouse", "Keyboard", "Headphones"]),
        ("electronics", "items for 599", ["Smartphone"]),
        ("electronics", "items between 79.90 and 24.99", ["Wireless Mouse", "Keyboard"]),
        ("electronics", "low stock under 8", []),
        ("electronics", "low stock under 9", ["Keyboard"]),
        ("electronics", "laptop", ["Laptop"]),
        ("electronics", "the laptop's price", ["Laptop"]),
        ("electronics", "laptops under a thousand", ["Laptop"]),
        ("electronics", "is the laptop out of stock", ["Laptop"]),
        ("garden", "garden hose", ["Garden Hose"]),
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
