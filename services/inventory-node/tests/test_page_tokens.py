"""A page by itself, over one small table: its order, its size, and the tokens that it takes."""

import base64
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventory.v1 import inventory_pb2
from inventory_node.errors import QueryRefused
from inventory_node.runtime import pages
from inventory_node.runtime.pages import Page, Row
from wire import errors

COLUMNS = {"": "id", "id": "id", "number": "n", "text": "s"}
TEXTS = frozenset({"s"})
ROWS = st.lists(st.tuples(st.integers(-2, 2), st.sampled_from(["", "a", "ä", "b"])), max_size=12)
Request = inventory_pb2.GetAllItemsRequest


def page_of(request: Request) -> Page:
    """Read the page of a question for the table."""
    return pages.page_of(request, COLUMNS, request.order_by, texts=TEXTS)


def filled(page: Page, table: sqlite3.Connection, least: int) -> inventory_pb2.GetAllItemsResponse:
    """Return the page of the rows from an id on."""

    def select(text: str, values: Sequence[object]) -> list[Row]:
        return table.execute(text, values).fetchall()

    rows = page.rows(select, "id", "made", "id >= ?", [least])
    response = inventory_pb2.GetAllItemsResponse()
    page.fill(response, response.items, rows, lambda columns: inventory_pb2.Item(id=columns[0]))
    return response


def walk(request: Request, table: sqlite3.Connection, least: int) -> list[list[int]]:
    """Return the ids of each page; the order and the token of a page are read from the request."""
    found = []
    while True:
        response = filled(page_of(request), table, least)
        found.append([item.id for item in response.items])
        request.page_token = response.next_page_token
        if not request.page_token:
            return found


def table_of(rows: Sequence[tuple[int, str]]) -> sqlite3.Connection:
    """Return a table of these rows, with ids from 1 on."""
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE made (id INTEGER PRIMARY KEY, n INTEGER, s TEXT)")
    numbered = [(number, *row) for number, row in enumerate(rows, 1)]
    table.executemany("INSERT INTO made VALUES (?, ?, ?)", numbered)
    return table


@given(ROWS, st.sampled_from(list(COLUMNS)), st.sampled_from(["", " asc", "  desc "]), st.data())
def test_pages_are_the_sorted_whole(
    rows: list[tuple[int, str]], column: str, way: str, data: st.DataObject
) -> None:
    """Each row once, and as many on a page as were asked for while there are more."""
    size, least = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 4))
    keys = {number: (number, *row) for number, row in enumerate(rows, 1) if number >= least}
    place = {"": 0, "id": 0, "number": 1, "text": 2}[column]
    wanted = sorted(keys, key=lambda number: (keys[number][place], number))
    order = f" {column}{way}" if column else ""
    if "desc" in order:
        wanted.reverse()
    with closing(table_of(rows)) as table:
        found = walk(Request(order_by=order, page_size=size), table, least)
    assert found == [wanted[at : at + size] for at in range(0, max(len(wanted), 1), size)]


@pytest.mark.parametrize(("asked", "rows_max"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000)])
def test_a_page_has_a_usual_and_a_largest_size(asked: int, rows_max: int) -> None:
    """Whoever asks for none gets fifty rows, whoever asks for more gets a thousand."""
    with closing(table_of([(0, "")] * 1_100)) as table:
        assert len(walk(Request(page_size=asked), table, 0)[0]) == rows_max


def test_one_row_more_than_a_page_may_have_is_read() -> None:
    """It tells whether there is another page; any other row would be read for nothing."""
    with closing(table_of([(0, "")] * 9)) as table:

        def select(text: str, values: Sequence[object]) -> list[Row]:
            return table.execute(text, values).fetchall()

        page = page_of(Request(page_size=3))
        assert page.rows(select, "id", "made", "1", []) == [
            (1, 1, 1),
            (2, 2, 2),
            (3, 3, 3),
            (4, 4, 4),
        ]


def test_a_page_ends_before_three_mebibytes() -> None:
    """A client takes four, and other answers are in the same frame."""
    response = inventory_pb2.GetAllItemsResponse()
    large = inventory_pb2.Item(description="x" * (1 << 20))
    rows = [(number, number) for number in range(1, 6)]
    page_of(Request()).fill(response, response.items, rows, lambda _: large)
    assert len(response.items) == 2
    assert response.next_page_token


@pytest.mark.parametrize(
    "order_by", ["nothing", "name desc", "n", "id down", "id desc asc", "desc", "id,number"]
)
def test_an_order_that_there_is_not_is_refused(order_by: str) -> None:
    """The refusal names those that there are."""
    with pytest.raises(QueryRefused) as refused:
        page_of(Request(order_by=order_by))
    sentence = "must be one of id, number, text, maybe with desc"
    assert refused.value.status == errors.invalid_field("order_by", sentence)


def token_of(request: Request) -> bytes:
    """Return the bytes of the token behind the first row."""
    with closing(table_of([(7, "x"), (8, "y")])) as table:
        return base64.urlsafe_b64decode(filled(page_of(request), table, 0).next_page_token)


@pytest.mark.parametrize(
    ("order_by", "place"),
    [("", b""), ("id", b""), ("number desc", struct.pack(">q", 8)), ("text", b"x")],
)
def test_a_token_is_taken_as_it_was_issued_and_in_no_other_form(
    order_by: str, place: bytes
) -> None:
    """It holds the last row's id and key; an attacker's bytes are refused, whatever they are."""
    request = Request(order_by=order_by, page_size=1)
    token = token_of(request)
    row_id = 2 if "desc" in order_by else 1
    assert token[8:] == struct.pack(">q", row_id) + place
    request.page_token = base64.urlsafe_b64encode(token).decode()
    page_of(request)
    spoilt = [token[:15], token + b"\xff", bytes([token[0] ^ 1]) + token[1:]]
    if order_by != "text":  # else it is the place of another text
        spoilt += [token[:-1], token + b"0"]
    texts = [base64.urlsafe_b64encode(one).decode() for one in spoilt]
    for text in [*texts, "?", request.page_token + "!", request.page_token[:-1]]:
        request.page_token = text
        with pytest.raises(QueryRefused) as refused:
            page_of(request)
        assert refused.value.status == errors.invalid_page_token()


def test_a_token_belongs_to_its_question() -> None:
    """Another size is the same question; another filter or order is another one."""
    assert page_of(Request(order_by="text")).after is None
    request = Request(order_by="text", page_size=1)
    request.page_token = base64.urlsafe_b64encode(token_of(request)).decode()
    request.page_size = 20
    assert page_of(request).after == ("x", 1)
    assert page_of(request).rows_max == 20
    for other in (
        Request(order_by="text desc"),
        Request(order_by="text", filter=inventory_pb2.ItemFilter(name_contains="x")),
    ):
        other.page_token = request.page_token
        with pytest.raises(QueryRefused):
            page_of(other)
    assert request.order_by == "text", "the request itself is left as it is"


def test_a_question_of_another_kind_is_another_question() -> None:
    """Though it has the same bytes."""
    order = inventory_pb2.ListOrdersRequest(page_size=1)
    items = Request(page_size=1)
    items.page_token = base64.urlsafe_b64encode(token_of(items)).decode()
    order.page_token = items.page_token
    page_of(items)
    with pytest.raises(QueryRefused):
        pages.page_of(order, COLUMNS, "")
