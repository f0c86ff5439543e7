"""Pages of a list (AIP-158): cut by rows and by bytes, and linked by tokens.

- Pages are cut by key, not by count. A page token holds the last row's sort key and id, so pages
  stay right while rows come and go.
- A token also holds a fingerprint of its question, so a token of another question is refused.
- A page is full at `PAGE_BYTES_MAX`, however few rows the page holds. A page holds at least one
  row.
- The longest token that is issued is accepted (`PAGE_TOKEN_BYTES_MAX`).
"""

import base64
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol, TypeAlias

from google.protobuf.message import Message
from wire import errors

from inventory_node.errors import QueryRefused

PAGE_DEFAULT = 50
PAGE_MAX = 1_000
# Clients of gRPC take 4 MiB by default. The rest is for the token, and for other answers of a
# member in the same frame (`replies.FRAME_BYTES_MAX`).
PAGE_BYTES_MAX = 3 << 20
ROW_OVERHEAD_BYTES = 5  # the tag and the length of a row of up to 256 MiB

_HEAD = struct.Struct(">8sq")  # the fingerprint, and the last row's id
_NUMBER = struct.Struct(">q")

Row: TypeAlias = tuple[Any, ...]
Select: TypeAlias = Callable[[str, Sequence[object]], list[Row]]
Place: TypeAlias = tuple[int | str, int]  # a row's sort key and id


class Paged(Protocol):
    """A response that holds one page."""

    next_page_token: str

    def ByteSize(self) -> int:  # noqa: N802 - protobuf's
        """Return the bytes of the response so far."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page begins, how the page is sorted, and how many rows it has at most."""

    column: str
    descending: bool
    rows_max: int
    after: Place | None  # of the last row of the page before
    fingerprint: bytes

    def rows(
        self, select: Select, columns: str, table: str, condition: str, values: Sequence[object]
    ) -> list[Row]:
        """Return each row's sort key, id and columns, and one row more than the page may have."""
        way, beyond = ("DESC", "<") if self.descending else ("ASC", ">")
        keys = ["id"] if self.column == "id" else [self.column, "id"]
        place = list(self.after or ())[-len(keys) :]
        if place:
            condition += f" AND ({', '.join(keys)}) {beyond} ({', '.join('?' * len(keys))})"
        order = ", ".join(f"{key} {way}" for key in keys)
        return select(
            f"SELECT {self.column}, id, {columns} FROM {table} WHERE {condition} "
            f"ORDER BY {order} LIMIT ?",
            [*values, *place, self.rows_max + 1],
        )

    def fill(
        self,
        response: Paged,
        field: "Container",
        rows: Iterable[Row],
        shown: Callable[[Row], Message],
    ) -> None:
        """Put rows of `rows` into a response's `field` until the page is full.

        `shown` makes a message of a row's columns. The response gets a token if rows are left over.
        """
        last: Place | None = None
        size = response.ByteSize()
        for count, (key, row_id, *columns) in enumerate(rows):
            message = shown(tuple(columns))
            size += message.ByteSize() + ROW_OVERHEAD_BYTES
            if last is not None and (count == self.rows_max or size > PAGE_BYTES_MAX):
                response.next_page_token = self.token(last)
                return
            field.append(message)
            last = (key, row_id)

    def token(self, last: Place) -> str:
        """Return the token of the page behind the row `last`."""
        key, row_id = last
        if self.column == "id":
            text = b""
        else:
            text = key.encode() if isinstance(key, str) else _NUMBER.pack(key)
        return base64.urlsafe_b64encode(_HEAD.pack(self.fingerprint, row_id) + text).decode()


class Container(Protocol):
    """A repeated field."""

    def append(self, value: Any, /) -> None:  # noqa: ANN401 - messages of one type
        """Add a message."""
        ...


def page_of(
    request: Any,  # noqa: ANN401 - any message with pages
    columns: dict[str, str],
    order_by: str,
    *,
    texts: frozenset[str] = frozenset(),
) -> Page:
    """Read a request's page; raise QueryRefused on an order or a token that does not hold.

    `columns`: the column of each order. `texts`: the columns that hold text, not numbers.
    """
    name, _, way = order_by.strip().partition(" ")
    if name not in columns or way.strip() not in ("", "asc", "desc"):
        choices = ", ".join(filter(None, columns))
        raise QueryRefused(
            errors.invalid_field("order_by", f"must be one of {choices}, maybe with desc")
        )
    same = type(request)()
    same.CopyFrom(request)
    same.ClearField("page_token")
    same.ClearField("page_size")
    question = same.DESCRIPTOR.full_name.encode() + same.SerializeToString(deterministic=True)
    fingerprint = blake2b(question, digest_size=8).digest()
    column = columns[name]
    after = None
    if request.page_token:
        after = _read_token(request.page_token, fingerprint, column, is_text=column in texts)
    rows_max = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)
    return Page(column, way.strip() == "desc", rows_max, after, fingerprint)


def _read_token(token: str, fingerprint: bytes, column: str, *, is_text: bool) -> Place:
    """Return a token's place, which SQLite can compare; the token's bytes are the caller's."""
    try:
        found = base64.b64decode(token, altchars=b"-_", validate=True)
        known, row_id = _HEAD.unpack_from(found)
        rest = found[_HEAD.size :]
        key: int | str
        if column == "id":
            key, is_whole = row_id, not rest
        elif is_text:
            key, is_whole = rest.decode(), True
        else:
            (key,), is_whole = _NUMBER.unpack(rest), True
    except (ValueError, struct.error):  # the errors of base64 and Unicode are ValueErrors
        raise QueryRefused(errors.invalid_page_token()) from None
    if known != fingerprint or not is_whole:
        raise QueryRefused(errors.invalid_page_token())
    return key, row_id
