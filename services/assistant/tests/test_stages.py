"""The stages by themselves, and the faults of the predecessor that must not come back."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from assistant import entities
from assistant.calls import InventoryReader
from assistant.entities import errors_allowed, is_near, misspelt, spellings
from assistant.errors import LiteralError, UnresolvedItem
from assistant.intent import understand
from assistant.literals import Amount, amounts, whole
from assistant.normalise import normalise
from assistant.query import Forecast, ListItems, Reference, ShowSales
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory_client import Refused
from wire.errors import Reason


def test_one_spelling_for_what_means_the_same() -> None:
    """Case, quotes, contractions, closing punctuation, numbers in words; decimals stay."""
    assert normalise("What's  the PRICE of item two?!") == "what is the price of item 2"
    assert normalise("items under 1,500.50.") == "items under 1,500.50"
    assert normalise("show “Rake”") == 'show "rake"'


def test_fifteen_hundred_is_not_one() -> None:
    """The predecessor read "1,500" as 1."""
    [amount] = amounts("1,500")
    assert amount.minor("USD", 2) == 150_000
    assert whole("1,500") == 1_500
    query = understand("show items under 1,500")
    assert isinstance(query, ListItems)
    assert query.price_max == Amount("1,500", "")


def test_top_three_is_a_count() -> None:
    """The predecessor read "top 3 items" as item 3."""
    assert understand("top 3 items by sales") == ShowSales(None, limit=3, worst=False)
    query = understand("top 3 items")
    assert isinstance(query, ListItems)
    assert query.limit == 3


def test_the_forecast_is_reached() -> None:
    """The predecessor never got there: "out of stock" was taken first."""
    question = "how many days until item 2 is out of stock"
    assert understand(question) == Forecast(Reference(item_id=2))


def test_prices_are_exact() -> None:
    """The predecessor kept prices as floats: 0.1 + 0.2 was not 0.3."""
    assert Amount("0.1", "").minor("USD", 2) + Amount("0.2", "").minor("USD", 2) == 30
    assert Amount("24.99", "").minor("USD", 2) == 2_499


def test_amounts_know_their_currency() -> None:
    """By sign or by word; another currency than the inventory's is refused."""
    assert amounts("$500") == [Amount("500", "USD")]
    assert amounts("between 20 and 30.50 euros") == [Amount("20", ""), Amount("30.50", "EUR")]
    assert amounts("2k") == [Amount("2", "", thousands=True)]
    with pytest.raises(LiteralError, match="USD, not in EUR"):
        Amount("500", "EUR").minor("USD", 2)
    with pytest.raises(LiteralError, match="decimals"):
        Amount("2.50", "").minor("JPY", 0)


def test_typing_errors_are_counted() -> None:
    """Insert, delete, replace, swap; short words allow none."""
    assert is_near("keyboard", "keyboard", 0)
    assert is_near("ekybaord", "keyboard", 2)
    for word in ("keybord", "keybaord", "keybosrd", "keyboards"):
        assert not is_near(word, "keyboard", 0)
        assert is_near(word, "keyboard", 1)
    assert [errors_allowed(word) for word in ("pot", "rake", "keyboard")] == [0, 1, 2]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.integers(0, 3))
def test_texts_are_near_by_the_table_of_all_their_beginnings(
    one: str, other: str, allowed: int
) -> None:
    """The textbook's table of distances says the same, which is filled in whole."""
    table = {(row, 0): row for row in range(len(one) + 1)}
    table |= {(0, column): column for column in range(len(other) + 1)}
    for row, letter in enumerate(one, start=1):
        for column, its in enumerate(other, start=1):
            ways = [table[row - 1, column] + 1, table[row, column - 1] + 1]
            ways.append(table[row - 1, column - 1] + (letter != its))
            if row > 1 and column > 1 and one[row - 2 : row] == its + other[column - 2]:
                ways.append(table[row - 2, column - 2] + 1)
            table[row, column] = min(ways)
    assert is_near(one, other, allowed) is (table[len(one), len(other)] <= allowed)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text("abcd", min_size=4, max_size=12), st.data())
def test_no_name_that_is_near_is_left_out_before_it_is_compared(
    word: str, data: st.DataObject
) -> None:
    """Wherever the errors are; letters are inserted, deleted, replaced or swapped."""
    asked = word
    for _ in range(errors_allowed(word)):
        at = data.draw(st.integers(0, len(asked) - 1))
        put, left = data.draw(
            st.sampled_from([("x", 0), ("", 1), ("x", 1), (asked[at : at + 2][::-1], 2)])
        )
        asked = asked[:at] + put + asked[at + left :]
    is_found = is_near(asked, word, errors_allowed(asked))
    for name in (word, f"Zz {word.upper()}"):
        catalogue: Any = [SimpleNamespace(name=name), SimpleNamespace(name="zzzz")]
        assert misspelt(asked, catalogue) == catalogue[:is_found]


def test_a_search_for_typing_errors_is_cheap_and_lets_others_go_on(
    asker: Any,  # noqa: ANN401 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand of the longest names, alike but for an error at either end: few comparisons.

    Letter by letter they took seconds of the event loop.
    """
    name = "n" + "ab" * 95
    asker.serve(
        "alike", "USD", [type(asker.goods[0])(f"{name}{n:04d}", 1, 1) for n in range(1_000)]
    )
    compared: list[str] = []
    turns = [0]
    is_near_in_full = entities.is_near

    def turn(_handle: object) -> None:
        turns.append(len(compared))

    def counted(one: str, other: str, allowed: int) -> bool:
        compared.append(other)
        if len(compared) == turns[-1] + 1:
            asyncio.get_running_loop().call_soon(turn, None)
        return is_near_in_full(one, other, allowed)

    monkeypatch.setattr(entities, "is_near", counted)
    answer = asker.ask("alike", "customer", f"price of m{name[1:]}zzzz")
    assert answer.text == f'There is no item "m{name[1:]}zzzz".'
    assert len(compared) == 13 * 1_000
    assert turns == list(range(0, 13 * 1_000 + 1, 13 * 50))


def test_a_name_that_shares_no_part_with_the_words_is_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many words names have: a search for a part is much cheaper."""
    monkeypatch.delattr(entities, "is_near")
    catalogue: Any = [SimpleNamespace(name="abcdefgh badcfehg " * 10)]
    assert misspelt("mnopqrst", catalogue) == []


def test_the_item_of_exactly_this_name_is_meant_and_else_ten_are_shown(asker: Any) -> None:  # noqa: ANN401 - the fixture
    """Among many whose names contain the words."""
    kind = type(asker.goods[0])
    goods = [kind(f"Lamp {number:02d}", 100, 1) for number in range(11)]
    asker.serve("eleven", "USD", goods)
    asker.serve("twelve", "USD", [*goods, kind("LAMP", 100, 1)])
    assert len(asker.ask("eleven", "customer", "price of lamp").rows) == 10
    for words in ("lamp", "lamps"):
        assert asker.ask("twelve", "customer", f"price of {words}").text == "LAMP costs USD 1.00."


def test_a_question_reads_no_more_pages_than_it_must(asker: Any) -> None:  # noqa: ANN401 - the fixture
    """One more than is shown tells whether there are more; a page holds a thousand."""
    kind = type(asker.goods[0])
    asker.serve("parts", "USD", [kind(f"Part {n:04d}", 500, 5) for n in range(1_200)])
    for question, pages in (
        ("list all items", [1, 51]),
        ("top 3 items", [1, 4]),
        ("top 3 sellers", [3]),
        ("price of part 0007", [1_000]),
        ("price of part", [1_000]),
        ("price of xxxxxx", [1_000, 1_000]),
        ("how many items are there", [1_000, 1_000]),
    ):
        asker.pages.clear()
        asker.ask("parts", "producer", question)
        assert asker.pages == pages, question


def test_typing_errors_are_looked_for_in_the_first_thousand_names(asker: Any) -> None:  # noqa: ANN401 - the fixture
    """By name, wherever they are kept; two that fit are asked back, however far apart."""
    kind = type(asker.goods[0])
    fill = [kind(f"N{n:04d}", 1, 1) for n in range(997)]
    names = ("Zxqlamp", "Zwqtable", "Amelon")
    asker.serve("thousand", "USD", [kind(name, 1, 1) for name in names] + fill)
    asker.serve("more", "USD", [kind(name, 1, 1) for name in (*names, "Amelan")] + fill)

    def answer(catalogue: str, question: str) -> str:
        return str(asker.ask(catalogue, "customer", question).text)

    assert answer("thousand", "price of zxqlmp") == "Zxqlamp costs USD 0.01."
    assert answer("more", "price of zxqlmp") == 'There is no item "zxqlmp".'
    assert answer("more", "price of zwqtble") == "Zwqtable costs USD 0.01."
    asker.serve("apart", "USD", [kind("Lampe", 1, 1), *fill, kind("Rampe", 1, 1)])
    assert answer("apart", "price of xampe").startswith('Several items fit "xampe"')


def test_only_an_item_that_is_not_there_is_told_in_words() -> None:
    """Every other refusal of the inventory is the caller's."""

    class Refusing:
        def __init__(self, reason: Reason) -> None:
            self.reason = reason

        async def item(self, _item_id: int) -> None:
            raise Refused("no", self.reason)

    for reason, raised in (
        (Reason.ITEM_NOT_FOUND, UnresolvedItem),
        (Reason.OVERLOADED, Refused),
    ):
        reader = InventoryReader(Refusing(reason))  # type: ignore[arg-type]  # it refuses
        with pytest.raises(raised):
            asyncio.run(reader.item(Reference(item_id=7)))


def test_a_name_of_the_longest_kind_is_found(asker: Any) -> None:  # noqa: ANN401 - the fixture
    """In the plural too, which is longer than any name."""
    name = "lamp " * 39 + "shade"
    asker.serve("longest", "USD", [type(asker.goods[0])(name, 1, 1), *asker.goods])
    for words in (name, f"{name}s"):
        assert len(name) == 200
        assert asker.ask("longest", "customer", f"price of {words}").text.startswith(name)
        assert asker.ask("longest", "customer", f"{words}").text.startswith(name)


def test_plurals_are_tried() -> None:
    """Regular ones, and a few that are not."""
    assert "rose bush" in spellings("rose bushes")
    assert "battery" in spellings("batteries")
    for plural, singular in (("mice", "mouse"), ("knives", "knife"), ("shelves", "shelf")):
        assert f"wireless {singular}" in spellings(f"wireless {plural}")
    assert "leaf" in spellings("leaves")
    assert spellings("glass") == ["glass"]


def test_a_large_catalogue_is_read_page_by_page(asker: Any) -> None:  # noqa: ANN401 - the fixture
    """More than a page of items: counted whole, shown in part, and said so."""
    goods = [asker_goods(number) for number in range(2_345)]
    asker.serve("large", "USD", goods)
    cheap = asker.ask("large", "customer", "show items under 2")
    assert cheap.text == "The first 50 items; there are more."
    listed = asker.ask("large", "customer", "list all items")
    assert listed.text == "The first 50 items; there are more."
    assert len(listed.rows) == 50
    assert asker.ask("large", "customer", "how many items are there").text == (
        "There are 2,345 items."
    )


def asker_goods(number: int) -> Any:  # noqa: ANN401 - a record of the fixture's module
    """Return one of many items; the first hundred cost less than two dollars."""

    class Goods:
        name = f"Part {number:05d}"
        price_minor = 100 if number < 100 else 500
        quantity = number
        orders = sold = week = month = 0

    return Goods()
