"""Answers of the database against the plain ones of `sim.plain_queries`: sorts and sums of all."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine.records import UserRecord
from inventory_node.runtime.sqlite import Database
from sim import histories, plain_queries
from sim.histories import History, entries_of
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    START_MS,
    Hand,
    by,
    entry,
    first_state,
    open_database,
    order,
    place,
    usd,
)
from sim.plain_machine import PlainMachine
from sim.query_asker import ANSWERS
from sim.tables import empty
from wire import bounds
from wire.errors import Reason, reason_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ITEM_ORDERS = ("", "id", "name", "price", "quantity")
STATS_ORDERS = ("", "item_id", "units_sold", "revenue")
quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """Open a database that serves for many histories."""
    with tempfile.TemporaryDirectory() as folder:
        opened = open_database(Path(folder) / "state.db")
        yield opened
        opened.close()


class Shop:
    """A machine over a database and the plain machine, which apply the same entries."""

    def __init__(self, database: Database) -> None:
        """Begin with nothing."""
        empty(database)
        self.database = database
        self.hand = Hand(database)
        self.plain = PlainMachine()

    def apply(self, stamp_ms: int, *commands: Any) -> None:  # noqa: ANN401 - of the log
        """Apply an entry and flush it."""
        one = entry(self.plain.applied_index + 1, stamp_ms, *commands)
        self.hand.machine.apply(one)
        self.plain.apply(one)
        self.hand.flush(self.database)

    def ask(self, kind: str, user_id: int = ADMIN, **fields: object) -> Any:  # noqa: ANN401 - the kind's response, or a Reason
        """Ask as a user whose token holds."""
        user = self.plain.users.known[user_id - 1]
        question = forward_pb2.Question(user_id=user_id, epoch=user.epoch, session_id=user_id)
        request = getattr(question.query, kind)
        request.SetInParent()
        request.MergeFrom(type(request)(**fields))
        (answer,) = self.database.answer([(1, question)])
        if answer.error:
            return reason_of(status_pb2.Status.FromString(answer.error))
        return ANSWERS[kind].FromString(answer.response)

    def walk(self, kind: str, field: str, size: int, user_id: int = ADMIN, **asked: object) -> Any:  # noqa: ANN401 - rows
        """Return the rows of every page, each of which but the last is full."""
        found = list[Message]()
        token = ""
        while True:
            page = self.ask(kind, user_id, page_size=size, page_token=token, **asked)
            assert page.revision == self.plain.applied_index
            rows = getattr(page, field)
            found += rows
            token = page.next_page_token
            if not token:
                return found
            assert len(rows) == size


def may_ask(user: UserRecord, role: int) -> bool:
    """Tell whether a user still has a role, and may use it."""
    is_there = not user.disabled and not user.delete_ms
    return is_there and user.role == role and not user.must_change_password


def compare_users(shop: Shop, size: int) -> None:
    """Compare the users and the audit log, walked in pages, with the plain ones."""
    plain = shop.plain
    for shown in (False, True):
        walked = shop.walk("list_users", "users", size, show_deleted=shown)
        assert walked == plain_queries.users(plain, show_deleted=shown)
    records = shop.walk("list_audit_records", "records", size)
    assert [one.hash for one in reversed(records)] == [row.hash for row in plain.audit]


def compare_answers(shop: Shop, size: int) -> None:
    """Compare every list, walked in pages, and every total with the plain ones."""
    plain = shop.plain
    for way in ("", " desc"):
        for name in ITEM_ORDERS if not way else ITEM_ORDERS[1:]:
            walked = shop.walk("get_all_items", "items", size, order_by=name + way)
            assert walked == plain_queries.items(plain, name + way)
        for name in STATS_ORDERS if not way else STATS_ORDERS[1:]:
            walked = shop.walk("list_item_stats", "stats", size, order_by=name + way)
            assert walked == plain_queries.item_stats(plain, name + way)
    compare_users(shop, size)
    every = plain_queries.orders(plain, None)
    assert shop.walk("list_orders", "orders", size) == every
    for user_id in (CUSTOMER, SECOND_CUSTOMER):
        if may_ask(plain.users.known[user_id - 1], auth_pb2.ROLE_CUSTOMER):
            own = plain_queries.orders(plain, user_id)
            assert shop.walk("list_orders", "orders", size, user_id) == own
    by_id = {one.id: one for one in every}
    for line_id in range(1, len(plain.stock.ledger) + 2):
        found = shop.ask("get_order", order_id=line_id)
        if line_id in by_id:
            assert found.order == by_id[line_id]
        else:
            assert found is Reason.ORDER_NOT_FOUND
    for item in plain.stock.described:
        found = shop.ask("get_item_stats", item_id=item.id)
        assert found.stats == plain_queries.stats(plain, item.id)
    quantities = {plain.stock.quantity(item.id) for item in plain.stock.described}
    for low in {0, 1, 9, 10, 11} | quantities:
        expected = plain_queries.inventory_stats(plain, low)
        assert shop.ask("get_inventory_stats", low_stock_threshold=low) == expected


@pytest.mark.slow
@quick
@given(history=histories.histories, size=st.integers(1, 6), gone=st.sampled_from((1, 2, 3)))
def test_every_answer_is_the_plain_one(
    database: Database, history: History, size: int, gone: int
) -> None:
    """Lists in each order, orders of each user, statistics and totals, when one item has gone."""
    shop = Shop(database)
    request = inventory_pb2.DeleteItemRequest(request_id="gone", item_id=gone)
    last = by(ADMIN, inventory_pb2.Mutation(delete_item=request))
    for one in entries_of([*history, (1, [last])]):
        shop.hand.machine.apply(one)
        shop.plain.apply(one)
    shop.hand.flush(database)
    if may_ask(shop.plain.users.known[ADMIN - 1], auth_pb2.ROLE_ADMIN):
        compare_answers(shop, size)


EDGES = sorted(
    edge + side
    for edge in (0, HOUR_MS, DAY_MS - HOUR_MS, DAY_MS, 7 * DAY_MS - HOUR_MS, 7 * DAY_MS)
    for side in (-1, 0, 1)
    if edge + side >= 0
) + sorted(
    edge + side for edge in (30 * DAY_MS - HOUR_MS, 30 * DAY_MS, 31 * DAY_MS) for side in (-1, 0, 1)
)


@pytest.mark.slow
@quick
@given(
    ages=st.lists(st.sampled_from(EDGES), min_size=1, max_size=8),
    into_ms=st.sampled_from((0, 1, HOUR_MS // 2, HOUR_MS - 1)),
)
def test_windows_hold_the_hour_and_the_whole_hours_before_it(
    database: Database, ages: list[int], into_ms: int
) -> None:
    """The last day, 7 and 30 days, with orders at each edge and a millisecond to each side.

    `into_ms`: how far into an hour the log's time is.
    """
    now_ms = (START_MS // HOUR_MS + 1) * HOUR_MS + into_ms
    shop = Shop(database)
    shop.apply(now_ms - 40 * DAY_MS, first_state())
    for number, age_ms in enumerate(sorted(ages, reverse=True)):
        shop.apply(now_ms - age_ms, by(CUSTOMER, order(f"o{number}", 1, 1 + number)))
    shop.apply(now_ms, by(ADMIN, order("another item", 2, 5)))
    for item_id in (1, 2, 3):
        found = shop.ask("get_item_stats", item_id=item_id).stats
        assert found == plain_queries.stats(shop.plain, item_id)


@pytest.mark.slow
def test_an_order_leaves_the_windows_with_its_hour(database: Database) -> None:
    """An order in the first millisecond of an hour is of the last day for 24 hours, no longer."""
    begin_ms = (START_MS // HOUR_MS + 1) * HOUR_MS
    shop = Shop(database)
    shop.apply(begin_ms, first_state())
    shop.apply(begin_ms, by(CUSTOMER, order("a", 1, 7)))
    for days, field in ((1, "last_day"), (7, "last_7_days"), (30, "last_30_days")):
        for age_ms, units in ((days * DAY_MS - 1, 7), (days * DAY_MS, 0)):
            shop.apply(begin_ms + age_ms)
            found = shop.ask("get_item_stats", item_id=1).stats
            assert getattr(found, f"units_sold_{field}") == units


@pytest.mark.slow
def test_an_order_of_as_many_lines_as_may_be_is_shown_whole(database: Database) -> None:
    """The last line of the largest order, and no line of the order behind it."""
    shop = Shop(database)
    shop.apply(START_MS, first_state())
    for number in range(bounds.LINES_MAX):
        item = inventory_pb2.AddItemRequest(request_id=f"i{number}", name="Nut", quantity=9)
        shop.apply(START_MS, by(PRODUCER, inventory_pb2.Mutation(add_item=item)))
    lines = [(4 + number, 1 + number % 3) for number in range(bounds.LINES_MAX)]
    shop.apply(START_MS, by(CUSTOMER, place("a", *lines)), by(CUSTOMER, place("b", *lines[:2])))
    expected = plain_queries.orders(shop.plain, None)
    assert [len(one.lines) for one in expected] == [2, bounds.LINES_MAX]
    assert shop.walk("list_orders", "orders", 1) == expected
    assert shop.ask("get_order", order_id=expected[1].id).order == expected[1]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "rows"), [(0, 50), (1, 1), (999, 999), (1_000, 1_000)])
def test_a_page_has_as_many_rows_as_were_asked_for(
    database: Database, size: int, rows: int
) -> None:
    """50 where nothing was said, 1,000 at most, and a token where one row is left."""
    shop = Shop(database)
    shop.apply(START_MS, first_state())
    added = []
    for number in range(rows - 3 if rows > 3 else 0):
        item = inventory_pb2.AddItemRequest(request_id=f"i{number}", name="Nut", quantity=9)
        added.append(by(PRODUCER, inventory_pb2.Mutation(add_item=item)))
    shop.apply(START_MS, *added)
    if rows > 3:
        whole = shop.ask("get_all_items", page_size=size)
        assert (len(whole.items), whole.next_page_token) == (rows, "")
    item = inventory_pb2.AddItemRequest(request_id="last", name="Nut")
    shop.apply(START_MS, by(PRODUCER, inventory_pb2.Mutation(add_item=item)))
    for asked in {size, size if size < 1_000 else 1_001}:
        page = shop.ask("get_all_items", page_size=asked)
        assert len(page.items) == rows
        assert page.next_page_token


def _changed(
    shop: Shop, draw: random.Random, number: int
) -> tuple[set[int], inventory_pb2.Mutation]:
    """Return a change of one item, or of none, and the items whose place it changes."""
    item_id = draw.randint(1, len(shop.plain.stock.described))
    mutation = inventory_pb2.Mutation()
    match draw.randrange(4):
        case 0:
            mutation.add_item.name, mutation.add_item.quantity = draw.choice("aÄbZ"), 2
            mutation.add_item.price.CopyFrom(usd(draw.randint(0, 3)))
            item_id = 0
        case 1:
            mutation.delete_item.item_id = item_id
        case 2:
            mutation.set_stock.item_id, mutation.set_stock.quantity = item_id, draw.randint(0, 3)
        case _:
            mutation.update_item.item.id = item_id
            mutation.update_item.item.name = draw.choice("aAÄbZ")
            mutation.update_item.item.price.CopyFrom(usd(draw.randint(0, 3)))
    getattr(mutation, mutation.WhichOneof("operation") or "").request_id = f"change {number}"
    return {item_id}, mutation


@pytest.mark.slow
@pytest.mark.parametrize(
    "order_by", [*ITEM_ORDERS[1:], *(f"{one} desc" for one in ITEM_ORDERS[1:])]
)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_rows_that_stay_are_seen_once_while_others_change(
    database: Database, order_by: str, size: int
) -> None:
    """Between two pages items come, go and move; one that stays is neither skipped nor doubled."""
    draw = random.Random(f"{order_by} {size}")
    shop = Shop(database)
    shop.apply(START_MS, first_state())
    for number in range(17):
        item = inventory_pb2.AddItemRequest(request_id=f"i{number}", quantity=number % 3)
        item.name, item.price.units = draw.choice("aAÄbZ"), number % 2
        item.price.currency_code = "USD"
        shop.apply(START_MS, by(PRODUCER, inventory_pb2.Mutation(add_item=item)))
    before = [item.id for item in plain_queries.items(shop.plain, order_by)]
    moved: set[int] = set()
    seen: list[int] = []
    token, number = "", 0
    while True:
        page = shop.ask("get_all_items", page_size=size, page_token=token, order_by=order_by)
        seen += [item.id for item in page.items]
        token = page.next_page_token
        if not token:
            break
        for _ in range(2 if number < 12 else 0):
            number += 1
            changed, mutation = _changed(shop, draw, number)
            moved |= changed
            shop.apply(START_MS, by(PRODUCER, mutation))
    stayed = [item_id for item_id in before if item_id not in moved]
    assert len(stayed) > 5
    assert [item_id for item_id in seen if item_id in stayed] == stayed
    if order_by.startswith("id"):
        assert len(seen) == len(set(seen))
