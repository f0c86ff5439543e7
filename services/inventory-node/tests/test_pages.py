"""Pages: every row once, in order, within what a client takes, by tokens that are accepted."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.runtime import pages
from sim.machines import CUSTOMER, PRODUCER, by, open_database, place, usd
from sim.query_asker import Asker
from wire import bounds
from wire.text import folded

FIELDS = {
    "get_all_items": "items",
    "list_item_stats": "stats",
    "list_orders": "orders",
    "list_users": "users",
}
CLIENT_BYTES_MAX = 4 << 20  # what a client of gRPC takes by default
WIDE = "\U0001d1c0"  # a character of four bytes that folds to three of them
WORDS = ["a", "A", "b", "ä", "Ä", "a\u0308", "Чай", "чай", "z", WIDE]


def walk(asker: Asker, kind: str, **question: Any) -> Iterator[Any]:  # noqa: ANN401 - the kind's fields and rows
    """Yield the pages of a question; each token is one that the bounds accept."""
    token = ""
    while True:
        request = forward_pb2.Query()
        getattr(request, kind).MergeFrom(type(getattr(request, kind))(page_token=token, **question))
        assert bounds.check_query(request) is None
        page = asker.ask(kind, page_token=token, **question)
        assert page.ByteSize() < CLIENT_BYTES_MAX
        yield page
        token = page.next_page_token
        if not token:
            return


def ids(asker: Asker, kind: str, **question: Any) -> list[int]:  # noqa: ANN401 - the kind's fields
    """Return the id of every row of every page."""
    key = "item_id" if kind == "list_item_stats" else "id"
    return [
        getattr(row, key)
        for page in walk(asker, kind, **question)
        for row in getattr(page, FIELDS[kind])
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """Return an inventory with many ties, and the same rows in a list."""
    database = open_database(tmp_path_factory.mktemp("shop") / "state.db")
    asker = Asker(database)
    draw = random.Random(7)
    for _ in range(60):
        name = "".join(draw.choices(WORDS, k=draw.randint(1, 2)))
        asker.add_items((name, draw.randint(1, 4), draw.randint(0, 3)))
    for number in range(30):
        asker.hand.mutate(CUSTOMER, place(f"o{number}", (1, 1), (number % 2 + 2, 1)))
    for number in range(20):
        user = log_pb2.NewUser(name=f"u{number}", folded_name=f"u{number}", password_hash="h")  # noqa: S106 - of nothing
        user.role = auth_pb2.ROLE_CUSTOMER
        create = log_pb2.CreateUser(user=user)
        made = log_pb2.Administration(request_id=f"u{number}", create_user=create)
        asker.hand.apply(log_pb2.Command(administration=made))
    yield asker
    database.close()


def is_within(number: int, pair: tuple[int | None, int | None]) -> bool:
    """Tell whether a number is within bounds, each inclusive where it is given."""
    low, high = pair
    return (low is None or number >= low) and (high is None or number <= high)


KEYS = {
    "": lambda item: item.id,
    "id": lambda item: item.id,
    "name": lambda item: (folded(item.name), item.id),
    "price": lambda item: (item.price.units, item.price.nanos, item.id),
    "quantity": lambda item: (item.quantity, item.id),
}
SIZES = st.integers(0, 70)
BYTES = st.sampled_from([1, 60, 200, 1_000, pages.PAGE_BYTES_MAX])


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.sampled_from(sorted(KEYS)),
    st.booleans(),
    SIZES,
    BYTES,
    st.sampled_from(["", "a", "Ä", "чай", "nothing"]),
    st.tuples(*[st.none() | st.integers(0, 4)] * 2),
    st.tuples(*[st.none() | st.integers(0, 5)] * 2),
)
def test_pages_of_items_are_the_sorted_whole(  # noqa: PLR0913, PLR0917 - what can be asked
    shop: Asker,
    order: str,
    descending: bool,  # noqa: FBT001 - drawn
    size: int,
    bytes_max: int,
    part: str,
    quantities: tuple[int | None, int | None],
    prices: tuple[int | None, int | None],
) -> None:
    """Whatever the order, the filter, and what cuts a page: rows or bytes."""
    low, high = quantities
    wanted = inventory_pb2.ItemFilter(name_contains=part, quantity_min=low, quantity_max=high)
    for bound, price in zip((wanted.price_min, wanted.price_max), prices, strict=True):
        if price is not None:
            bound.CopyFrom(usd(price))
    whole = [item for page in walk(shop, "get_all_items") for item in page.items]
    kept = [
        item
        for item in whole
        if folded(part) in folded(item.name)
        and is_within(item.quantity, quantities)
        and is_within(100 * item.price.units + item.price.nanos // 10**7, prices)
    ]
    kept.sort(key=KEYS[order], reverse=descending)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_BYTES_MAX", bytes_max)
        order_by = f"{order or 'id'} desc" if descending else order
        seen = ids(shop, "get_all_items", order_by=order_by, page_size=size, filter=wanted)
    assert seen == [item.id for item in kept]


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_a_page_may_be_exactly_full(
    shop: Asker, monkeypatch: pytest.MonkeyPatch, kind: str, rows: int
) -> None:
    """By bytes: the last row that fits is on the page, and a byte less leaves it for the next."""
    whole = getattr(shop.ask(kind, page_size=50), FIELDS[kind])
    page = shop.ask(kind, page_size=50)
    page.ClearField(FIELDS[kind])
    page.next_page_token = ""
    full = page.ByteSize()
    full += sum(row.ByteSize() + pages.ROW_OVERHEAD_BYTES for row in whole[:rows])
    for bytes_max, expected in ((full, rows), (full - 1, max(1, rows - 1))):
        monkeypatch.setattr(pages, "PAGE_BYTES_MAX", bytes_max)
        assert len(getattr(shop.ask(kind, page_size=50), FIELDS[kind])) == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(
        [
            ("list_orders", ""),
            ("list_users", ""),
            ("list_item_stats", ""),
            ("list_item_stats", "units_sold desc"),
            ("list_item_stats", "revenue"),
        ]
    ),
    SIZES,
    BYTES,
)
def test_pages_of_other_lists_are_the_whole(
    shop: Asker, question: tuple[str, str], size: int, bytes_max: int
) -> None:
    """However they are cut."""
    kind, order_by = question
    asked = {"order_by": order_by} if order_by else {}
    (whole,) = walk(shop, kind, page_size=1_000, **asked)
    key = "item_id" if kind == "list_item_stats" else "id"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_BYTES_MAX", bytes_max)
        seen = ids(shop, kind, page_size=size, **asked)
    assert len(seen) > 20
    assert seen == [getattr(row, key) for row in getattr(whole, FIELDS[kind])]


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    """Return an asker over the first state."""
    database = open_database(tmp_path / "state.db")
    yield Asker(database)
    database.close()


@pytest.mark.parametrize("name", ["Ж" * 60, WIDE * 200, "😀" * 200, '"\\' * 100])
@pytest.mark.parametrize("order_by", ["name", "name desc"])
def test_the_longest_names_are_walked(asker: Asker, name: str, order_by: str) -> None:
    """A token that is issued is accepted, whatever the name in it."""
    asker.add_items((name, 1, 1), (name, 1, 1))
    seen = ids(asker, "get_all_items", page_size=1, order_by=order_by)
    assert sorted(seen) == [1, 2, 3, 4, 5]


def large_items(asker: Asker, count: int) -> None:
    """Add the largest items that may be."""
    item = inventory_pb2.AddItemRequest(
        name=WIDE * bounds.NAME_CHARACTERS_MAX,
        description="😀" * bounds.DESCRIPTION_CHARACTERS_MAX,
        price=usd(bounds.PRICE_MINOR_MAX - 1),  # its nanos take more than none
        quantity=bounds.QUANTITY_MAX,
    )
    commands = []
    for number in range(count):
        item.request_id = f"large {number}"
        assert bounds.check_mutation(inventory_pb2.Mutation(add_item=item)) is None
        commands.append(by(PRODUCER, inventory_pb2.Mutation(add_item=item)))
    asker.hand.apply(*commands)


@pytest.mark.slow
@pytest.mark.parametrize(
    "question",
    [
        {"kind": "get_all_items"},
        {"kind": "get_all_items", "order_by": "name"},
        {"kind": "list_item_stats", "order_by": "revenue"},
    ],
)
def test_a_thousand_of_the_largest_items_are_listed(asker: Asker, question: Any) -> None:  # noqa: ANN401 - the kind and its fields
    """In pages that every client takes."""
    large_items(asker, 1_000)
    assert len(ids(asker, page_size=1_000, **question)) == 1_003


@pytest.mark.slow
def test_a_thousand_of_the_largest_orders_are_listed(asker: Asker) -> None:
    """Of as many lines as an order may have, each of as many digits as it may have."""
    large_items(asker, bounds.LINES_MAX)
    lines = [(3 + number, 900) for number in range(1, bounds.LINES_MAX + 1)]
    for start in range(0, 1_000, 100):
        orders = (place(f"o{start + number}", *lines) for number in range(100))
        asker.hand.apply(*(by(CUSTOMER, order) for order in orders))
    seen = list(walk(asker, "list_orders", page_size=1_000))
    assert len(seen) > 1
    found = [order.id for page in seen for order in page.orders]
    assert len(found) == 1_000
    assert found == sorted(found, reverse=True)
