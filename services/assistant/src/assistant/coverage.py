"""Whether a query accounts for every word of its question: to ignore a word would be to guess.

A query accounts for a word if the word has no meaning of its own, if the kind of the query implies
the word, or if the word is part of the query's name. It accounts for a number that it holds. A
number that the question has twice must be held twice.
"""

import re
from collections import Counter
from collections.abc import Iterable

from assistant.literals import NAMES, Amount
from assistant.query import (
    CountItems,
    Forecast,
    Help,
    ListItems,
    LowStock,
    Overview,
    Profit,
    Query,
    Reference,
    Restock,
    ShowItem,
    ShowSales,
    Suggest,
)

_TOKEN = re.compile(r"\d[^\s\"()]*|[^\W\d_]+(?:['&-][^\W\d_]+)*|[^\w\s\"()]+")
_SILENT = frozenset("# $ € £ ¥ ₹ ' , . - & :".split())  # noqa: SIM905 - it is read as text


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _words(
    """
    a about all an and any are article articles at be been by can check could currently display do
    does for from get give has have here i id in is it item items know let list look me my need no
    now number of on one or our please product products see show some tell that the their there
    these they this those to us view want was we were what which will with would you your
    """
)
_PRICES = _words(
    """
    above anything at below between budget catalog catalogue cheaper cost costing costs dearer
    every everything expensive exactly few find goods higher inventory less lower max maximum
    min minimum more most least over price priced prices pricier shop starting stuff than thing
    things something under up within worth how much < > <= >=
    """
)
_OF: dict[type[Query], frozenset[str]] = {
    ListItems: _PRICES
    | _words(
        """
        bottom called cheapest contain containing contains dearest find first got highest like
        looking lowest named priciest search similar top available advise afford buy gift gifts idea
        ideas recommend should spend suggest suggestion suggestions
        """
    ),
    CountItems: _words("how many different count kinds"),
    ShowItem: _words(
        """
        available cost costs describe detail details hand how info information left level many much
        out price priced quantity remaining sold unavailable still stock stocked supply units worth
        """
    ),
    Forecast: _words(
        """
        before days day empty estimate forecast gone how last lasts left long many out predict
        prediction predicted run runs sell sold sells stock supply till until when
        """
    ),
    Overview: _words(
        """
        business dashboard goods how inventory overview overall report shop state statistics stats
        status stock stocks summarise summarize summary things total value worth much
        """
    ),
    LowStock: _words(
        """
        almost below critical critically fewer inventory less level levels low nearly out running
        sold stock than threshold unavailable under urgent urgently zero goods stocked things
        """
    ),
    Restock: _words(
        "anew buy critical goods how inventory many order reorder reordered reordering replenish "
        "replenished restock restocked restocking running low should stock suggest much"
    ),
    ShowSales: _words(
        """
        best best-seller best-sellers best-selling bottom far figures how least many money most much
        overall popular ranked ranking report revenue sale sales sell seller sellers selling sells
        slow slowest so sold statistics stats top total turnover units worst did made make
        """
    ),
    Profit: _words(
        "earn earned earning earnings far how made make margin margins money much overall profit "
        "profitable profits so total"
    ),
    Suggest: _words(
        """
        advise affordable bargain bargains best best-selling bestsellers buy cheap cheaper cheapest
        dear expensive good gift gifts idea ideas inexpensive luxury popular premium recommend
        recommendation recommendations should something spend suggest suggestion suggestions top
        trending high-end afford product what's
        """
    )
    | _PRICES,
    Help: _words("ask command commands example examples help how use"),
}
_SORTING = _words(
    "asc ascending desc descending falling order ordered rank ranked rising sort sorted fewest best"
)
_SORTED = {
    "price": _SORTING,
    "name": _SORTING | {"name", "names"},
    "quantity": _SORTING | {"quantity", "stock", "stocks", "level", "levels"},
}
_LEVELS = _words("fewer hand in left less more stock than under over units remaining below above")


def unaccounted(text: str, query: Query) -> list[str]:
    """Return the words and numbers of a normalised question that the query does not account for."""
    held = Counter(_held(query))
    known = _COMMON | _OF[type(query)]
    if isinstance(query, ListItems):
        if query.quantity_min is not None or query.quantity_max is not None:
            known |= _LEVELS
        known |= _currencies(query.price_min, query.price_max)
        known |= _SORTED.get(query.order_by.removesuffix(" desc"), frozenset())
    left = []
    for token in _TOKEN.findall(text):
        word = token.replace(",", "") if _is_number(token) else token
        if held[word] > 0:
            held[word] -= 1
        elif word not in known and word not in _SILENT:
            left.append(token)
    return left


def _is_number(token: str) -> bool:
    return re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?k?|\d+(?:\.\d+)?k?", token) is not None


def _held(query: Query) -> Iterable[str]:
    """Yield the numbers, and the words of names, that a query holds, as a question writes them."""
    match query:
        case ListItems():
            yield from (_number(one) for one in (query.price_min, query.price_max) if one)
            if query.quantity_max is not None:
                yield str(query.quantity_max + 1)
            if query.quantity_min is not None:
                yield str(query.quantity_min - 1)
            yield str(query.limit)
            yield from _TOKEN.findall(query.name)
        case LowStock():
            yield str(query.threshold + query.below)
        case ShowItem() | Forecast() | ShowSales() | Profit() if query.item is not None:
            yield from _named(query.item)
        case ShowSales() | Suggest():
            yield str(query.limit)
        case _:
            pass


def _number(amount: Amount) -> str:
    return amount.text.replace(",", "") + ("k" if amount.thousands else "")


def _named(reference: Reference) -> Iterable[str]:
    if reference.item_id is not None:
        return [str(reference.item_id)]
    return _TOKEN.findall(reference.words)


def _currencies(*amounts: Amount | None) -> frozenset[str]:
    said = {amount.currency for amount in amounts if amount is not None}
    return frozenset(name for name, currency in NAMES.items() if currency in said)
