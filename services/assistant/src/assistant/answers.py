"""The answer to each kind of query: calls of the inventory in, text and rows out."""

from typing import assert_never

from inventory_client import Item, ItemStats, Money
from wire.money import digits_of

from assistant.calls import InventoryReader
from assistant.entities import spellings
from assistant.errors import ForeignWords
from assistant.query import (
    CountItems,
    Forecast,
    Help,
    ListItems,
    LowStock,
    Overview,
    Profit,
    Query,
    Restock,
    ShowItem,
    ShowSales,
    Suggest,
)
from assistant.rendering import Rendered, examples, items, plural

COVER_DAYS = 30  # how long a suggested restock lasts at the current rate
RESTOCK_MIN = 20  # suggested for an item without sales
COUNTED_MAX = 10_000  # items; beyond, the answer says "more than"
LOW = 10
SHOWN_MAX = 50  # rows of a level
RESTOCKED_MAX = 20  # items, each of which takes one call
WEEK_DAYS = 7
MONTH_DAYS = 30


async def answer(query: Query, reader: InventoryReader) -> Rendered:  # noqa: C901, PLR0911 - an arm a kind
    """Answer a query."""
    match query:
        case ListItems():
            return await _list(query, reader)
        case CountItems():
            return await _count(reader)
        case ShowItem():
            return await _show(query, reader)
        case Forecast():
            return await _forecast(query, reader)
        case Overview():
            return await _overview(reader)
        case LowStock():
            return await _low(query, reader)
        case Restock():
            return await _restock(reader)
        case ShowSales():
            return await _sales(query, reader)
        case Profit():
            return await _profit(query, reader)
        case Suggest():
            return await _suggest(query, reader)
        case Help():
            return Rendered(examples())
        case _:
            assert_never(query)


async def _list(query: ListItems, reader: InventoryReader) -> Rendered:
    currency = await reader.currency()
    digits = digits_of(currency)
    price_min = price_max = None
    if query.price_min is not None:
        price_min = Money(currency, query.price_min.minor(currency, digits) + query.above)
    if query.price_max is not None:
        price_max = Money(currency, query.price_max.minor(currency, digits) - query.below)
        if price_max.minor < 0:
            return Rendered("No item fits.")
    found: list[Item] = []
    for spelling in spellings(query.name):
        found = found or await reader.items(
            query.limit,
            name_contains=spelling,
            price_min=price_min,
            price_max=price_max,
            quantity_min=query.quantity_min,
            quantity_max=query.quantity_max,
            order_by=query.order_by,
        )
    if not found and query.name:
        await _check_name(query.name, reader)
    if not found:
        return Rendered("No item fits.")
    if len(found) > query.limit:
        shown = found[: query.limit]
        if query.order_by.startswith("price") and query.limit == 1:
            return items(shown, f"{shown[0].name} at {shown[0].price}.")
        if query.order_by.startswith("price") and not (query.price_min or query.price_max):
            extreme = "most expensive" if query.order_by.endswith("desc") else "cheapest"
            return items(shown, f"The {query.limit:,} {extreme} items.")
        return items(shown, f"The first {plural(query.limit, 'item')}; there are more.")
    return items(found, f"{plural(len(found), 'item')}.")


async def _check_name(name: str, reader: InventoryReader) -> None:
    """Raise ForeignWords for words that are in no item's name: the words may mean anything."""
    for spelling in spellings(name):
        if await reader.items(1, name_contains=spelling):
            return
    raise ForeignWords(name)


async def _count(reader: InventoryReader) -> Rendered:
    found = await reader.items(COUNTED_MAX)
    if len(found) > COUNTED_MAX:
        return Rendered(f"There are more than {plural(COUNTED_MAX, 'item')}.")
    verb = "is" if len(found) == 1 else "are"
    return Rendered(f"There {verb} {plural(len(found), 'item')}.")


async def _show(query: ShowItem, reader: InventoryReader) -> Rendered:
    item = await reader.item(query.item)
    gone = " It is deleted." if item.delete_time is not None else ""
    if query.what == "price":
        return items([item], f"{item.name} costs {item.price}.{gone}")
    if query.what == "stock":
        return items([item], f"{item.name}: {item.quantity:,} on hand.{gone}")
    text = f"{item.name} costs {item.price}, {item.quantity:,} on hand.{gone}"
    return items([item], text)


def days_left(stats: ItemStats) -> tuple[int, str] | None:
    """Return how many full days the stock lasts, and the sales that this is computed from."""
    for sold, days in (
        (stats.units_sold_last_7_days, WEEK_DAYS),
        (stats.units_sold_last_30_days, MONTH_DAYS),
    ):
        if sold:
            return stats.quantity * days // sold, f"{plural(sold, 'unit')} sold in {days} days"
    return None


async def _forecast(query: Forecast, reader: InventoryReader) -> Rendered:
    item = await reader.item(query.item)
    stats = await reader.stats(item.id)
    if not stats.quantity:
        return Rendered(f"{item.name} is out of stock already.")
    left = days_left(stats)
    if left is None:
        return Rendered(
            f"{item.name}: {stats.quantity:,} on hand and none sold in the last 30 days, so no end "
            "can be told."
        )
    days, why = left
    return Rendered(
        f"{item.name} is out of stock in about {plural(days, 'day')}: "
        f"{stats.quantity:,} on hand, {why}."
    )


async def _overview(reader: InventoryReader) -> Rendered:
    totals = await reader.totals(LOW)
    rows = (
        ("items", f"{totals.item_count:,}"),
        ("units on hand", f"{totals.total_quantity:,}"),
        ("stock value", str(totals.stock_value)),
        ("low on stock", f"{totals.low_stock_count:,}"),
        ("out of stock", f"{totals.out_of_stock_count:,}"),
        ("orders", f"{totals.order_count:,}"),
        ("units sold", f"{totals.units_sold:,}"),
        ("revenue", str(totals.revenue)),
    )
    text = f"{plural(totals.item_count, 'item')}, stock worth {totals.stock_value}."
    return Rendered(text, ("what", "value"), rows)


async def _low(query: LowStock, reader: InventoryReader) -> Rendered:
    least = 0 if query.kind in ("out", "critical") else 1
    found = await reader.items(
        SHOWN_MAX, quantity_min=least, quantity_max=query.threshold, order_by="quantity"
    )
    what = {
        "low": f"low on stock ({query.threshold} or fewer)",
        "critical": f"critical ({query.threshold} or fewer, or none)",
        "out": "out of stock",
    }[query.kind]
    if not found:
        return Rendered(f"No item is {what}.")
    if len(found) > SHOWN_MAX:
        text = f"The first {plural(SHOWN_MAX, 'item')} of those {what}; there are more."
        return items(found[:SHOWN_MAX], text)
    verb = "is" if len(found) == 1 else "are"
    return items(found, f"{plural(len(found), 'item')} {verb} {what}.")


async def _restock(reader: InventoryReader) -> Rendered:
    rows = []
    found = await reader.items(RESTOCKED_MAX, quantity_max=LOW, order_by="quantity")
    for item in found[:RESTOCKED_MAX]:
        stats = await reader.stats(item.id)
        month = stats.units_sold_last_30_days
        suggested = max(month * COVER_DAYS // MONTH_DAYS, RESTOCK_MIN) - item.quantity
        rows.append((str(item.id), item.name, f"{item.quantity:,}", f"{suggested:,}"))
    if not rows:
        return Rendered(f"Nothing needs restocking: every item has more than {LOW} on hand.")
    more = "; there are more" if len(found) > RESTOCKED_MAX else ""
    text = f"{plural(len(rows), 'item')} to restock; enough for {COVER_DAYS} days{more}."
    return Rendered(text, ("id", "name", "on hand", "suggested"), tuple(rows))


async def _sales(query: ShowSales, reader: InventoryReader) -> Rendered:
    if query.item is not None:
        item = await reader.item(query.item)
        stats = await reader.stats(item.id)
        return Rendered(
            f"{item.name}: {plural(stats.units_sold, 'unit')} sold in "
            f"{plural(stats.order_count, 'order')}, revenue {stats.revenue}."
        )
    order = "units_sold" if query.worst else "units_sold desc"
    found = await reader.all_stats(order, query.limit)
    totals = await reader.totals(LOW)
    rows = tuple(
        (str(one.item_id), one.item_name, f"{one.units_sold:,}", str(one.revenue)) for one in found
    )
    text = f"{plural(totals.units_sold, 'unit')} sold, revenue {totals.revenue}."
    return Rendered(text, ("id", "name", "units sold", "revenue"), rows)


async def _profit(query: Profit, reader: InventoryReader) -> Rendered:
    unknown = "Profit is not known: costs are not recorded here."
    if query.item is not None:
        item = await reader.item(query.item)
        stats = await reader.stats(item.id)
        return Rendered(f"{unknown} The revenue of {item.name} is {stats.revenue}.")
    totals = await reader.totals(LOW)
    return Rendered(f"{unknown} The revenue is {totals.revenue}.")


async def _suggest(query: Suggest, reader: InventoryReader) -> Rendered:
    if query.kind == "popular":
        best = [
            one for one in await reader.all_stats("units_sold desc", query.limit) if one.units_sold
        ]
        if not best:
            return Rendered("Nothing has been sold yet, so nothing is popular.")
        rows = tuple((str(one.item_id), one.item_name, f"{one.units_sold:,}") for one in best)
        return Rendered("The most popular items.", ("id", "name", "units sold"), rows)
    order = {"cheap": "price", "expensive": "price desc", "any": "quantity desc"}[query.kind]
    found = (await reader.items(query.limit, quantity_min=1, order_by=order))[: query.limit]
    if not found:
        return Rendered("Nothing is in stock at the moment.")
    text = {
        "cheap": "The cheapest items in stock.",
        "expensive": "The finest items in stock.",
        "any": "Items that are well in stock.",
    }[query.kind]
    return items(found, text)
