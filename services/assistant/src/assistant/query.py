"""The queries: one frozen record for each kind. `describe` says a query back in a fixed form."""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from assistant.literals import Amount


@dataclass(frozen=True, slots=True)
class Reference:
    """An item as the question names it: by id, or by words of its name."""

    item_id: int | None = None
    words: str = ""
    is_certain: bool = True  # the question is about an item; if False, it may be about anything

    def __str__(self) -> str:
        """Return "item=2" or 'item="mouse"'."""
        return f"item={self.item_id}" if self.item_id is not None else f'item="{self.words}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class ListItems:
    """Items by price, level and name, sorted."""

    price_min: Amount | None = None
    price_max: Amount | None = None
    above: bool = False  # the lower bound is "over", not "at least"
    below: bool = False  # the upper bound is "under", not "at most"
    quantity_min: int | None = None
    quantity_max: int | None = None
    name: str = ""
    order_by: str = "id"
    limit: int = 50


@dataclass(frozen=True, slots=True)
class CountItems:
    """How many items there are."""


@dataclass(frozen=True, slots=True)
class ShowItem:
    """One item: all of it, its price, or its level."""

    item: Reference
    what: str = "all"  # all, price, stock


@dataclass(frozen=True, slots=True)
class Forecast:
    """When an item runs out."""

    item: Reference


@dataclass(frozen=True, slots=True)
class Overview:
    """The inventory in a few numbers."""


@dataclass(frozen=True, slots=True)
class LowStock:
    """Items that are low, critically low, or out."""

    kind: str  # low, critical, out
    threshold: int  # the most that is on hand
    below: bool = False  # the question said "under" the number after the threshold


@dataclass(frozen=True, slots=True)
class Restock:
    """Which items to order anew, and how many of each."""


@dataclass(frozen=True, slots=True)
class ShowSales:
    """The sales of one item, or of all items."""

    item: Reference | None
    limit: int
    worst: bool


@dataclass(frozen=True, slots=True)
class Profit:
    """The profit, which is not known, since costs are not."""

    item: Reference | None


@dataclass(frozen=True, slots=True)
class Suggest:
    """Something to buy, or to do."""

    kind: str  # cheap, expensive, popular, any
    limit: int


@dataclass(frozen=True, slots=True)
class Help:
    """What can be asked."""


Query: TypeAlias = (
    ListItems
    | CountItems
    | ShowItem
    | Forecast
    | Overview
    | LowStock
    | Restock
    | ShowSales
    | Profit
    | Suggest
    | Help
)


def describe(query: Query) -> str:  # noqa: C901, PLR0911 - an arm a kind
    """Return a query in a fixed form, such as "items price<500 sort=price"."""
    match query:
        case ListItems():
            return _describe_list(query)
        case CountItems():
            return "count items"
        case ShowItem():
            return f"show {query.what} {query.item}"
        case Forecast():
            return f"forecast {query.item}"
        case Overview():
            return "overview"
        case LowStock():
            return f"stock {query.kind} threshold={query.threshold}"
        case Restock():
            return "restock"
        case ShowSales():
            which = str(query.item) if query.item else "all"
            order = "worst" if query.worst else "best"
            return f"sales {which}" + ("" if query.item else f" {order} limit={query.limit}")
        case Profit():
            return f"profit {query.item or 'all'}"
        case Suggest():
            return f"suggest {query.kind} limit={query.limit}"
        case Help():
            return "help"
        case _:
            assert_never(query)


def _describe_list(query: ListItems) -> str:
    parts = ["items"]
    if query.name:
        parts.append(f'name~"{query.name}"')
    if query.price_min is not None:
        parts.append(f"price>{'' if query.above else '='}{_shown(query.price_min)}")
    if query.price_max is not None:
        parts.append(f"price<{'' if query.below else '='}{_shown(query.price_max)}")
    if query.quantity_min is not None:
        parts.append(f"quantity>={query.quantity_min}")
    if query.quantity_max is not None:
        parts.append(f"quantity<={query.quantity_max}")
    parts.append(f"sort={query.order_by.replace(' ', '-')}")
    return " ".join([*parts, f"limit={query.limit}"])


def _shown(amount: Amount) -> str:
    return amount.text.replace(",", "") + ("k" if amount.thousands else "")
