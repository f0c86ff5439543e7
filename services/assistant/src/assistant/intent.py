"""The kind of a question, by the question's words. The first rule that matches decides.

A number after "top", "first" or "best" is a count. A number is an id only in "item 3", "id 3" and
"#3". A question that no rule matches is not understood.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from assistant.coverage import unaccounted
from assistant.literals import AMOUNT, Amount, amounts, quoted, whole
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

LOW_DEFAULT = 10
CRITICAL_DEFAULT = 5
LIMIT_DEFAULT = 5
LIMIT_MAX = 100

_ID = re.compile(r"(?:\b(?:item|product|id|no|number)\s*(?:id|number|no)?\s*#?|#)\s*(\d[\d,]*)\b")
_COUNT = re.compile(
    r"\b(?:top|first|best|worst|show me|suggest|recommend|cheapest|priciest|bottom)\s+(?:me\s+)?"
    r"(?:the\s+)?(\d+)\b|\b(\d+)\s+(?:\w+\s+){0,2}(?:items?|products?|things?|sellers?|cheapest|best)\b"
)
_UNDER = r"(?:under|below|(?<!no )less than|cheaper than|lower than|<)"
_AT_MOST = r"(?:at most|up to|no more than|max(?:imum)?(?: of)?|within|<=)"
_OVER = r"(?:over|above|(?<!no )more than|dearer than|pricier than|higher than|>)"
_AT_LEAST = r"(?:at least|from|no less than|min(?:imum)?(?: of)?|starting at|>=)"
# Words that name no item.
_STOP = frozenset(
    """
    a about all an and any are available be been before by can check cost costs could count
    current days detail details did do does earn earned empty find for forecast from get give gone
    hand has have how i id in info information inventory is it item items last lasts left level
    list long look made make many me much my need now of on one our out over please price priced
    product products profit quantity remaining report revenue run runs sale sales search see
    sell selling sells show sold some statistics stats stock stocked supply tell than that the
    there this till to units until up us want was we were what when which will with would you
    your
    """.split()  # noqa: SIM905 - it is read as text
)


# Commands that would change something, and exclusions: to answer a part of these would be to guess.
_NOT_A_QUESTION = re.compile(
    r"^(?:please |can you |could you |i want to )*"
    r"(?:delete|remove|add|set|update|change|increase|decrease|cancel|order(?! anew)|buy(?! in))\b"
    r"|\brestock\b.*\d|\b(?:not|except|excluding|without|other than|neither)\b"
)
_ORDER = re.compile(
    r"\b(?:(?:(?:sort|rank|order)(?:ed)?\s+)?by|in order of)\s+(?:the\s+|their\s+)?"
    r"(price|cost|name|quantity|stock|level)s?\b"
)
_SORTED = {"price": "price", "cost": "price", "name": "name"}  # every other word: by quantity
_UPWARD = re.compile(r"\b(?:bottom|cheap\w*|least|lowest|fewest|worst|ascending|asc|rising)\b")
_DOWNWARD = re.compile(r"\b(?:top|best|most|highest|dearest|priciest|descending|desc|falling)\b")
_FILLER = re.compile(
    r"\b(?:between|anything|something|everything|things?|goods|stuff|articles?|costing|costs?|prices?|"
    r"worth|budget|or less|or more|only|cheap\w*|cheapest|expensive|least|most|lowest|highest|pric\w+|"
    r"dearest|suggest\w*|recommend\w*|advise|ideas?|buy|should|gift\w*|range|top|first|best|under|"
    r"over|inexpensive|affordable|bargains?|premium|luxury|popular|spend|afford|k)\b"
)
_VERB = re.compile(r"^(?:display|view|describe|predict)\s")  # elsewhere these may name an item


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A question that no query accounts for; `words`: the words that are left over, if known."""

    words: tuple[str, ...] = ()


def understand(text: str) -> Query | NotUnderstood:
    """Return the query of a normalised question."""
    ids = {match[1] for match in _ID.finditer(text)}
    if _NOT_A_QUESTION.search(text) or len(ids) > 1:
        return NotUnderstood()
    for pattern, make in _RULES:
        if pattern.search(text):
            query = make(text)
            if query is not None:
                left = unaccounted(text, query)
                return NotUnderstood(tuple(dict.fromkeys(left))) if left else query
    return NotUnderstood()


def reference(text: str) -> Reference | None:
    """Return the item that a text names: by id, in quotes, or by the words outside `_STOP`."""
    match = _ID.search(text)
    if match:
        return Reference(item_id=whole(match[1]))
    name = quoted(text)
    if name is not None:
        return Reference(words=name)
    words = [word for word in re.findall(r"[\w\-&]+", text) if word not in _STOP]
    return Reference(words=" ".join(words)) if words else None


def limit(text: str, default: int) -> int:
    """Return how many items a text asks for."""
    match = _COUNT.search(text)
    if match is None or _ID.search(text):
        return default
    return max(1, min(int(match[1] or match[2]), LIMIT_MAX))


def _prices(text: str) -> Query | None:
    between = re.search(r"\bbetween\b(.+)\band\b(.+)|\bfrom\b(.+)\bto\b(.+)", text)
    name = _name(text)
    if between:
        low, high = (part for part in between.groups() if part)
        first, second = amounts(low), amounts(high)
        if first and second:
            least, most = sorted((first[-1], second[0]), key=Amount.size)
            return ListItems(price_min=least, price_max=most, name=name, order_by="price")
    exactly = re.search(
        rf"\b(?:for|(?<!starting )at|costing|priced at|cost) (?:exactly )?({AMOUNT.pattern})$", text
    )
    if exactly:
        [price] = amounts(exactly[1])
        name = _name(text[: exactly.start()])
        return ListItems(price_min=price, price_max=price, name=name, order_by="price")
    bounds: dict[str, object] = {}
    for field, word, strict in (
        ("price_max", _UNDER, "below"),
        ("price_max", _AT_MOST, ""),
        ("price_min", _OVER, "above"),
        ("price_min", _AT_LEAST, ""),
    ):
        match = re.search(rf"(?<!\w){word}\s+((?:[$€£¥₹]\s?)?\d.*)", text)
        if match and field not in bounds:
            bounds[field] = amounts(match[1])[0]
            if strict:
                bounds[strict] = True
    if not bounds:
        return None
    return ListItems(name=name, order_by="price", **bounds)  # type: ignore[arg-type]  # by name


def _name(text: str) -> str:
    """Return the words besides bounds, amounts and counts: a part of a name, or nothing."""
    rest = text
    for phrase in (_UNDER, _AT_MOST, _OVER, _AT_LEAST):
        rest = re.sub(rf"(?<!\w){phrase}(?!\w)", " ", rest)
    rest = AMOUNT.sub(" ", rest)
    found = reference(_FILLER.sub(" ", rest))
    return found.words if found else ""


def _sorted(text: str) -> Query | None:
    """Return items in the order that a text asks for; "top" is downward, the default upward."""
    word, *_ = _ORDER.findall(text)
    rest = _ORDER.sub("", text)
    order_by = _SORTED.get(word, "quantity")
    downward = _DOWNWARD.search(rest) is not None
    if downward and (_UPWARD.search(rest) or order_by == "name"):
        return None  # both directions at once, or the best of names: the direction is not said
    bounded = _prices(rest)
    listed = bounded if isinstance(bounded, ListItems) else ListItems(name=_direct(rest))
    return replace(
        listed,
        order_by=f"{order_by} desc" if downward else order_by,
        limit=limit(rest, listed.limit),
    )


def _direct(text: str) -> str:
    """Return the name in a text, without the text's words of direction."""
    return _name(_UPWARD.sub(" ", _DOWNWARD.sub(" ", text)))


def _extreme(order_by: str) -> Callable[[str], Query | None]:
    def make(text: str) -> Query | None:
        return ListItems(name=_name(text), order_by=order_by, limit=limit(text, 1))

    return make


def _levels(text: str) -> Query | None:
    fewer = re.search(
        rf"(?:(?<!no )fewer than|{_UNDER})\s+(\d[\d,]*)\s+(?:in stock|left|on hand|units)", text
    )
    if fewer:
        return ListItems(quantity_max=whole(fewer[1]) - 1, order_by="quantity")
    more = re.search(rf"{_OVER}\s+(\d[\d,]*)\s+(?:in stock|left|on hand|units)", text)
    if more:
        return ListItems(quantity_min=whole(more[1]) + 1, order_by="quantity desc")
    return None


def _threshold(kind: str, default: int) -> Callable[[str], Query | None]:
    def make(text: str) -> Query | None:
        match = re.search(
            r"(?:(under|below|(?<!no )(?:less|fewer) than)|threshold(?: of)?)\s+(\d[\d,]*)", text
        )
        if match is None:
            return LowStock(kind, default)
        below = match[1] is not None
        return LowStock(kind, max(whole(match[2]) - below, 0), below)

    return make


def _show(what: str) -> Callable[[str], Query | None]:
    def make(text: str) -> Query | None:
        found = reference(_VERB.sub("", text))
        return ShowItem(found, what) if found is not None else None

    return make


def _perhaps(text: str) -> Query | None:
    """Return an item by all words of a text; the text may be about something else."""
    found = reference(text)
    return ShowItem(replace(found, is_certain=False)) if found is not None else None


def _forecast(text: str) -> Query | None:
    found = reference(_VERB.sub("", text))
    return Forecast(found) if found is not None else None


def _sales(text: str) -> Query | None:
    worst = re.search(r"\b(?:worst|least|slow\w*|bottom)\b", text) is not None
    ranked = re.sub(r"\b(?:best-sell\w*|top|best|worst|most|least|popular|overall|total|slow\w*|bottom|sellers?|"
                    r"ranking|so far|sellings?|figures?|overview)\b|\d+", " ", text)  # fmt: skip
    found = Reference(item_id=whole(m[1])) if (m := _ID.search(text)) else reference(ranked)
    return ShowSales(found, limit(text, LIMIT_DEFAULT), worst)


def _profit(text: str) -> Query | None:
    trimmed = re.sub(
        r"\b(?:total|overall|margin|margins|profits|profitable|most|far|so)\b", " ", text
    )
    return Profit(reference(trimmed))


def _suggest(text: str) -> Query | None:
    priced = _prices(text)
    if isinstance(priced, ListItems):
        return replace(priced, quantity_min=1, limit=limit(text, 3))
    kind = "any"
    if re.search(r"\b(?:cheap\w*|inexpensive|affordable|budget|bargains?)\b", text):
        kind = "cheap"
    elif re.search(r"\b(?:expensive|premium|luxury|high-end|dear)\b", text):
        kind = "expensive"
    elif re.search(r"\b(?:popular|best\w*|top|trending)\b", text):
        kind = "popular"
    return Suggest(kind, limit(text, 3))


def _search(text: str) -> Query | None:
    found = reference(
        re.sub(
            r"\b(?:like|looking|got|called|named|containing|contain|contains|similar)\b", " ", text
        )
    )
    return ListItems(name=found.words, order_by="name") if found and found.words else None


def _rule(
    pattern: str, make: Callable[[str], Query | None]
) -> tuple[re.Pattern[str], Callable[[str], Query | None]]:
    return re.compile(pattern), make


_RULES = (
    _rule(r"^(?:help|what can (?:i|you)|how do i use|commands?|examples?)\b", lambda _: Help()),
    _rule(r"\b(?:profit\w*|margins?|earn\w*)\b", _profit),
    _rule(r"\b(?:how (?:many days|long)|when)\b.*\b(?:out of stock|run out|runs out|last|lasts|sold out|empty|gone|stock)\b|"
          r"\b(?:forecast|predict\w*|days until|days left)\b", _forecast),
    _rule(r"\b(?:restock\w*|reorder\w*|order anew|replenish\w*|buy in)\b", lambda _: Restock()),
    _rule(r"\b(?:critical\w*|urgent\w*)\b", _threshold("critical", CRITICAL_DEFAULT)),
    _rule(r"^(?:is|are) (?:the |a |an )?.+\b(?:in stock|out of stock|sold out|available)\b", _show("stock")),
    _rule(r"^(?!.*\b(?:item|id)\s*#?\d).*\b(?:out of stock|sold out|unavailable|no stock|0 stock)\b", lambda _: LowStock("out", 0)),
    _rule(r"\b(?:low (?:on |in )?stock|stock is low|low inventory|running low|low items|low stock|almost out|nearly out)\b",
          _threshold("low", LOW_DEFAULT)),
    _rule(r"\b(?:suggest\w*|recommend\w*|advise|should i buy|what to buy|ideas?)\b", _suggest),
    _rule(r"\b(?:overview|summary|summari[sz]e|dashboard|how (?:is|are) (?:the |our )?(?:inventory|business|things|shop))\b|"
          r"\b(?:stock|inventory) (?:value|worth)\b|\bworth of\b", lambda _: Overview()),
    _rule(r"\b(?:in stock|left|on hand|units)\b", _levels),
    _rule(r"\b(?:sales|sold|sell\w*|sellers?|revenue|popular|best-sell\w*)\b", _sales),
    _rule(_ORDER.pattern, _sorted),
    _rule(r"\d", _prices),
    _rule(r"\b(?:cheapest|least expensive|lowest price\w*)\b",
          _extreme("price")),
    _rule(r"\b(?:most expensive|priciest|dearest|highest price\w*)\b",
          _extreme("price desc")),
    _rule(r"\bhow many (?:different )?(?:items|products|articles)\b(?! \w+ (?:of|left))|\b(?:count|number of) (?:the )?(?:items|products)\b",
          lambda _: CountItems()),
    _rule(r"\b(?:price|cost|costs|how much (?:is|are|for|does|do))\b", _show("price")),
    _rule(r"\b(?:how many|stock of|stock for|quantity|level of|left of|available)\b", _show("stock")),
    _rule(r"^(?:show|list|get|display|give|view|see|what)?\s*(?:me\s+|us\s+)?(?:all|every\w*|the|your|our)?\s*(?:of\s+)?(?:the\s+)?"
          r"(?:items?|products?|catalogue|catalog|everything|inventory|articles|all)"
          r"(?: (?:are there|do you have|you have|there are|please|is there|we have|available))*$", lambda _: ListItems()),
    _rule(r"\b(?:top|first)\s+\d+\s+(?:items|products)\b", lambda text: ListItems(limit=limit(text, LIMIT_DEFAULT))),
    _rule(r"\b(?:search|find|look for|looking for|do you have|have you got|is there|any)\b", _search),
    _rule(r"^(?:check|show|get|display|view|see|tell me about|info|information|details|describe|item|about|#)\b", _show("all")),
    _rule("", _perhaps),
)  # fmt: skip
