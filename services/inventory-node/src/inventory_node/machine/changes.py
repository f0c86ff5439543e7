"""The content of one flush."""

from dataclasses import dataclass, field
from typing import NamedTuple

from inventory_node.machine.records import AuditRow, Header, PeriodRow, Remembered


class Level(NamedTuple):
    """The fields of an item that orders and adjustments change; the id is last, as in the SQL."""

    quantity: int
    order_count: int
    units_sold: int
    revenue_minor: int
    first_order_ms: int
    last_order_ms: int
    item_id: int


class Movement(NamedTuple):
    """One line of the ledger: stock that moved.

    The lines of an order are consecutive, and the order's id is the id of the order's first line.
    """

    id: int
    order_id: int  # 0: not an order
    item_id: int
    user_id: int
    delta: int
    on_hand_after: int
    unit_price_minor: int
    stamp_ms: int


class HourlySales(NamedTuple):
    """The units of one item sold in one hour, since the last flush."""

    item_id: int
    hour: int  # since 1970
    units: int


@dataclass(slots=True, kw_only=True)
class Changes:
    """All changes by apply between two takes, in the order of the log."""

    header: Header
    items: list[tuple[object, ...]] = field(default_factory=list)  # rows: the fields of Item
    levels: list[Level] = field(default_factory=list)  # of items that are not in `items`
    users: list[tuple[object, ...]] = field(default_factory=list)  # rows: the fields of User
    sessions: list[tuple[object, ...]] = field(default_factory=list)  # rows: of SessionRecord
    ended_sessions: list[int] = field(default_factory=list)  # their ids
    movements: list[Movement] = field(default_factory=list)
    sales: list[HourlySales] = field(default_factory=list)
    requests: list[Remembered] = field(default_factory=list)
    forgotten_periods: list[int] = field(default_factory=list)  # with their requests
    periods: list[PeriodRow] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)
    audit_first: int = 1  # the id of the oldest record that is kept
