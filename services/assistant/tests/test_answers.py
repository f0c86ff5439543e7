"""Each answer at the bounds of what it shows, from a reader that remembers what it was asked."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from assistant.answers import answer
from assistant.errors import ForeignWords
from assistant.literals import Amount
from assistant.query import (
    CountItems,
    ListItems,
    LowStock,
    Overview,
    Query,
    Reference,
    Restock,
    ShowItem,
    ShowSales,
    Suggest,
)
from inventory_client import Money


class Reader:
    """Has so many items, all alike, and so many units of each sold in a month."""

    def __init__(self, count: int, *, month: int = 0, deleted: bool = False) -> None:
        """Remember the limit and the other arguments of each call."""
        self.count = count
        self.stock = SimpleNamespace(
            id=7, name="Lamp", price=Money("USD", 100), quantity=5, delete_time=deleted or None
        )
        self.sold = SimpleNamespace(
            item_id=7, item_name="Lamp", units_sold=month, units_sold_last_30_days=month,
            revenue=Money("USD", 100 * month),
        )  # fmt: skip
        self.asked: list[tuple[Any, dict[str, Any]]] = []

    async def currency(self) -> str:
        """Return dollars."""
        return "USD"

    async def items(self, limit: int, **filters: Any) -> list[Any]:  # noqa: ANN401 - what was asked
        """Return `limit` items, and one more where there are more."""
        self.asked.append((limit, filters))
        return [self.stock] * min(self.count, limit + 1)

    async def item(self, _reference: Reference) -> Any:  # noqa: ANN401 - an item
        """Return the item."""
        return self.stock

    async def stats(self, _item_id: int) -> Any:  # noqa: ANN401 - a record
        """Return what it sold."""
        return self.sold

    async def all_stats(self, order_by: str, limit: int) -> list[Any]:
        """Return what all sold."""
        self.asked.append((limit, {"order_by": order_by}))
        return [self.sold] * self.count

    async def totals(self, low: int) -> Any:  # noqa: ANN401 - a record
        """Return totals in which everything is a thousand."""
        self.asked.append((low, {}))
        money = Money("USD", 1_000)
        names = (
            "item_count total_quantity low_stock_count out_of_stock_count order_count units_sold"
        )
        return SimpleNamespace(
            **dict.fromkeys(names.split(), 1_000), stock_value=money, revenue=money
        )


def told(query: Query, reader: Any) -> tuple[str, int]:  # noqa: ANN401 - a reader
    """Return the text of an answer, and how many rows it has."""
    rendered = asyncio.run(answer(query, reader))
    return rendered.text, len(rendered.rows)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "There are 0 items."),
        (1, "There is 1 item."),
        (2, "There are 2 items."),
        (10_000, "There are 10,000 items."),
        (10_001, "There are more than 10,000 items."),
    ],
)
def test_ten_thousand_items_are_counted(count: int, text: str) -> None:
    """Beyond, the answer says so."""
    assert told(CountItems(), Reader(count)) == (text, 0)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "No item is out of stock."),
        (1, "1 item is out of stock."),
        (50, "50 items are out of stock."),
        (51, "The first 50 items of those out of stock; there are more."),
    ],
)
def test_fifty_items_of_a_level_are_shown(count: int, text: str) -> None:
    """Those with the fewest on hand."""
    assert told(LowStock("out", 0), Reader(count)) == (text, min(count, 50))


@pytest.mark.parametrize(("kind", "least"), [("out", 0), ("critical", 0), ("low", 1)])
def test_what_is_low_is_not_out(kind: str, least: int) -> None:
    """What is critical may be."""
    reader = Reader(1)
    told(LowStock(kind, 9), reader)
    wanted = {"quantity_min": least, "quantity_max": 9, "order_by": "quantity"}
    assert reader.asked == [(50, wanted)]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "Nothing needs restocking: every item has more than 10 on hand."),
        (1, "1 item to restock; enough for 30 days."),
        (20, "20 items to restock; enough for 30 days."),
        (21, "20 items to restock; enough for 30 days; there are more."),
    ],
)
def test_twenty_items_are_restocked(count: int, text: str) -> None:
    """Each takes one more call."""
    reader = Reader(count)
    assert told(Restock(), reader) == (text, min(count, 20))
    assert reader.asked == [(20, {"quantity_max": 10, "order_by": "quantity"})]


@pytest.mark.parametrize(
    ("month", "suggested"), [(0, "15"), (20, "15"), (21, "16"), (1_505, "1,500")]
)
def test_a_restock_lasts_for_a_month_like_the_last(month: int, suggested: str) -> None:
    """Twenty on hand at least; what is on hand is not bought again."""
    [row] = asyncio.run(answer(Restock(), Reader(1, month=month))).rows  # type: ignore[arg-type]  # it reads
    assert row == ("7", "Lamp", "5", suggested)


def test_low_is_ten_in_the_totals_too() -> None:
    """As in what is restocked."""
    reader = Reader(0)
    told(Overview(), reader)
    told(ShowSales(None, 5, worst=False), reader)
    told(ShowSales(None, 6, worst=True), reader)
    assert reader.asked == [
        (10, {}),
        (5, {"order_by": "units_sold desc"}),
        (10, {}),
        (6, {"order_by": "units_sold"}),
        (10, {}),
    ]


@pytest.mark.parametrize(
    ("limit", "text"), [(3, "3 items."), (2, "The first 2 items; there are more.")]
)
def test_a_list_says_when_there_are_more(limit: int, text: str) -> None:
    """And not where it shows the last."""
    assert told(ListItems(limit=limit), Reader(3)) == (text, min(limit, 3))


def test_below_the_smallest_amount_are_the_items_that_cost_nothing() -> None:
    """Below nothing is no item, and none is asked for."""
    cent, nothing = Amount("0.01", ""), Amount("0", "")
    assert told(ListItems(price_max=cent, below=True), Reader(1)) == ("1 item.", 1)
    reader = Reader(1)
    assert told(ListItems(price_max=nothing, below=True), reader) == ("No item fits.", 0)
    assert reader.asked == []


def test_a_name_that_no_item_has_is_not_understood() -> None:
    """A name that items have, none of them within the bounds, is."""

    class Bounded(Reader):
        async def items(self, limit: int, **filters: Any) -> list[Any]:  # noqa: ANN401 - what was asked
            found = await super().items(limit, **filters)
            return [] if "price_max" in filters else found

    query = ListItems(name="lamp", price_max=Amount("1", ""))
    reader = Bounded(1)
    assert told(query, reader) == ("No item fits.", 0)
    assert reader.asked[-1] == (1, {"name_contains": "lamp"})
    with pytest.raises(ForeignWords, match="lamp"):
        told(query, Bounded(0))


@pytest.mark.parametrize("what", ["all", "price", "stock"])
@pytest.mark.parametrize("deleted", [False, True])
def test_an_item_that_is_deleted_is_said_to_be(*, what: str, deleted: bool) -> None:
    """Whatever was asked of the item."""
    text, rows = told(ShowItem(Reference(7), what), Reader(1, deleted=deleted))
    assert (text.endswith(". It is deleted."), rows) == (deleted, 1)
    assert (
        text.removesuffix(" It is deleted.")
        == {
            "all": "Lamp costs USD 1.00, 5 on hand.",
            "price": "Lamp costs USD 1.00.",
            "stock": "Lamp: 5 on hand.",
        }[what]
    )


def test_what_is_suggested_is_in_stock() -> None:
    """One on hand suffices; nothing popular is suggested before the first sale."""
    reader = Reader(0)
    assert told(Suggest("any", 3), reader) == ("Nothing is in stock at the moment.", 0)
    assert reader.asked == [(3, {"quantity_min": 1, "order_by": "quantity desc"})]
    for count in (0, 2):
        text = "Nothing has been sold yet, so nothing is popular."
        assert told(Suggest("popular", 3), Reader(count)) == (text, 0)
