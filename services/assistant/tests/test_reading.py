"""How questions are read, without an inventory: the query in its fixed form, or what is left.

Each line of a table turns on one word, sign or bound, and the next line on another.
"""

import json
from pathlib import Path

import pytest
from assistant.errors import LiteralError
from assistant.intent import NotUnderstood, understand
from assistant.literals import Amount, amounts, whole
from assistant.normalise import normalise
from assistant.query import describe

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.jsonl"))
READINGS = (Path(__file__).parent / "golden" / "reading.txt").read_text().splitlines()
CASES = [json.loads(line) for path in GOLDEN for line in path.read_text().splitlines()]


def read(question: str) -> str:
    """Return the query of a question in its fixed form; "?" and the words at fault without one."""
    query = understand(normalise(question))
    return " ".join(("?", *query.words)) if isinstance(query, NotUnderstood) else describe(query)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["question"])
def test_a_golden_question_is_read_as_its_answer_says(case: dict[str, str]) -> None:
    """The query is told with the answer."""
    assert not case["understood"] or read(case["question"]) == case["query"]


@pytest.mark.parametrize("line", READINGS)
def test_a_question_is_read_as_its_line_says(line: str) -> None:
    """Words that are left over stand behind a question mark; then nothing is answered."""
    question, _, query = line.partition(" -> ")
    assert read(question) == query


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("whats the price", "what is the price"),
        ("what's up", "what is up"),
        ("how's business", "how is business"),
        ("I'd buy", "i would buy"),
        ("I\u2019m", "i am"),
        ("don't", "do not"),
        ("don\u2018t", "do not"),
        ("isn't", "is not"),
        ("a, b; c: d. e!", "a b c d e"),
        ("1:30 1.5 1,000", "1:30 1.5 1,000"),
        ("laptop's", "laptop"),
        ("a million", "1000000"),
        ("two million and three", "2000003"),
        ("million", "1000000"),
        ("forty ten", "40 10"),
        ("forty-ten", "40-10"),
        ("forty-nine", "49"),
        ("zero", "0"),
        ("zero five", "0 5"),
        ("five zero", "5 0"),
        ("one one", "1 1"),
        ("a", "a"),
        ("hundred a", "100 a"),
        ("a hundred a", "100 a"),
        ("item a thousand", "item 1000"),
        ("buy a", "buy a"),
        ("a laptop", "a laptop"),
        ("3", "3"),
        ("3 laptops", "3 laptops"),
        ("hundred hundred", "100 100"),
        ("two hundred thousand", "200000"),
        ("one thousand thousand", "1000 1000"),
        ("one thousand one thousand", "1001 1000"),
        ("two million three thousand four thousand", "2003004 1000"),
        ("two thousand fifteen hundred", "3500"),
        ("show \u201cRake\u201d", 'show "rake"'),
        ("a laptop hundred", "a laptop 100"),
        ("05 laptops hundred", "05 laptops 100"),
        ("a hundred and five hundred lamps", "100 and 500 lamps"),
        ("two hundred and thousand lamps", "200 and 1000 lamps"),
        ("twenty-hundred", "20-100"),
        ("nineteen hundred million", "1900000000"),
        ("six hundred million", "600000000"),
        ("one thousand one million", "1001 1000000"),
        ("one million one thousand", "1001000"),
        ("one million two million", "1000002 1000000"),
        ("a hundred and one", "101"),
        ("a hundred and", "100 and"),
        ("a hundred and a", "100 and a"),
        ("five and six", "5 and 6"),
        ("a thousand and two hundred", "1000 and 200"),
        ("two hundred and five thousand", "200 and 5000"),
        ("one hundred and six laptops in blue", "106 laptops in blue"),
        ("one thousand nineteen", "1019"),
        ("ninety nine", "99"),
        ("nineteen one", "19 1"),
        ("seventy zero", "70 0"),
        ("100 hundred", "100 100"),
        ("99 hundred", "9900"),
        ("1000 thousand", "1000 1000"),
        ("\u0665 hundred", "\u0665 100"),
    ],
)
def test_what_means_the_same_is_spelt_the_same(written: str, spelt: str) -> None:
    """Contractions, quotes, closing punctuation, possessives, and numbers in words."""
    assert normalise(written) == spelt


@pytest.mark.parametrize(
    ("currency", "names"),
    [
        ("USD", "dollar dollars bucks usd"),
        ("EUR", "euro euros eur"),
        ("GBP", "pounds gbp"),
        ("JPY", "yen jpy"),
        ("INR", "rupees inr"),
    ],
)
def test_a_currency_is_known_by_its_names_and_its_sign(currency: str, names: str) -> None:
    """Before the amount a sign, behind it a name."""
    sign = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}[currency]
    assert amounts(f"{sign}5 {sign} 6") == [Amount("5", currency), Amount("6", currency)]
    for name in names.split():
        assert amounts(f"5 {name}") == amounts(f"5{name}") == [Amount("5", currency)]
        assert read(f"items under 5 {name}") == "items price<5 sort=price limit=50"
    assert amounts("5") == [Amount("5", "")]


def test_amounts_compare_by_size_with_their_thousands() -> None:
    """Two thousand in short is more than 1,999, to the last of nine decimals."""
    assert Amount("2", "", thousands=True).size() == Amount("2,000", "").size() == 2_000 * 10**9
    assert Amount("0.000000001", "").size() == 1
    assert Amount("2.5", "", thousands=True).minor("USD", 2) == 250_000
    assert read("items between 2k and 1,999") == "items price>=1999 price<=2k sort=price limit=50"
    with pytest.raises(LiteralError):
        Amount("0.0000000001", "").size()
    assert Amount("0.000000000001", "", thousands=True).size() == 1


def test_the_largest_number_is_a_million_millions() -> None:
    """Of whole numbers and of minor units."""
    assert whole("1,000,000,000,000") == 10**12
    assert Amount("10,000,000,000", "").minor("USD", 2) == 10**12
    for refused in ("1000000000001", "1.5", "five", "\u0665", ""):
        with pytest.raises(LiteralError):
            whole(refused)
    with pytest.raises(LiteralError, match=r"^1,000,000,000,001 is more than"):
        Amount("10,000,000,000.01", "").minor("USD", 2)
