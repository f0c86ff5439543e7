"""Questions that need the database, answered from one read transaction."""

from dataclasses import fields

from google.protobuf.message import Message
from google.type import money_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from wire import errors, money
from wire.text import folded

from inventory_node.errors import QueryRefused
from inventory_node.machine import audit, sessions, stock, users
from inventory_node.machine.records import (
    AuditRow,
    Header,
    ItemRecord,
    SessionRecord,
    UserRecord,
)
from inventory_node.machine.state_cache import HOUR_MS
from inventory_node.runtime.pages import Row, Select, page_of

LOW_STOCK_DEFAULT = 10
HOURS_PER_DAY = 24
LINES_MAX = 100
INTEGER_MAX = 2**63 - 1  # of SQLite, and of the wire
# Products and sums that may pass 64 bits are computed in parts; each part's sum stays below 2**63
# for nine million items.
PRICE_PART = 10**6
QUANTITY_PART = 10**3
REVENUE_PART = 10**9

ITEM_COLUMNS = (
    "id, name, description, price_minor, quantity, create_ms, update_ms, delete_ms, "
    "order_count, units_sold, revenue_minor, first_order_ms, last_order_ms"
)
USER_COLUMNS = (
    "id, name, role, epoch, disabled, create_ms, password_hash, folded_name, delete_ms, "
    "must_change_password"
)
_SESSION_FIELDS = tuple(field.name for field in fields(SessionRecord))
SESSION_COLUMNS = ", ".join(_SESSION_FIELDS)
_ITEM_ORDERS = {
    "": "id",
    "id": "id",
    "name": "folded_name",
    "price": "price_minor",
    "quantity": "quantity",
}
_ITEM_FIELDS = tuple(field.name for field in fields(ItemRecord))  # in the order of ITEM_COLUMNS
_USER_FIELDS = tuple(field.name for field in fields(UserRecord))
_TEXTS = frozenset({"folded_name"})
_STATS_ORDERS = {"": "id", "item_id": "id", "units_sold": "units_sold", "revenue": "revenue_minor"}


def to_user(row: Row) -> UserRecord:
    """Return a row of USER_COLUMNS as a record."""
    user = UserRecord(**dict(zip(_USER_FIELDS, row, strict=True)))
    user.disabled = bool(user.disabled)
    user.must_change_password = bool(user.must_change_password)
    return user


def to_item(row: Row) -> ItemRecord:
    """Return a row of ITEM_COLUMNS as a record."""
    return ItemRecord(**dict(zip(_ITEM_FIELDS, row, strict=True)))


def to_session(row: Row) -> SessionRecord:
    """Return a row of SESSION_COLUMNS as a record."""
    return SessionRecord(**dict(zip(_SESSION_FIELDS, row, strict=True)))


class Queries:
    """Answers within one read transaction, whose header has the revision."""

    def __init__(self, select: Select, header: Header) -> None:
        """Answer from the rows that `select` returns."""
        self._select = select
        self._header = header

    def answer(  # noqa: PLR0911 - one return a kind
        self, question: forward_pb2.Question
    ) -> Message:
        """Return the response; raise QueryRefused."""
        if not self._header.cluster_id:
            raise QueryRefused(errors.not_initialized())
        kind = question.query.WhichOneof("query") or ""
        user = self._asker(question, kind)
        request = getattr(question.query, kind)
        match kind:
            case "get_all_items":
                return self._get_all_items(request)
            case "get_order":
                return self._get_order(request.order_id, user)
            case "list_orders":
                return self._list_orders(request, user)
            case "get_item_stats":
                return self._get_item_stats(request.item_id)
            case "list_item_stats":
                return self._list_item_stats(request)
            case "get_inventory_stats":
                return self._get_inventory_stats(request)
            case "list_users":
                return self._list_users(request)
            case "list_audit_records":
                return self._list_audit_records(request)
            case _:
                raise QueryRefused(errors.invalid_field("query", "is answered elsewhere"))

    def _asker(self, question: forward_pb2.Question, kind: str) -> UserRecord:
        """Return the user who asks; raise QueryRefused if the user may not."""
        rows = self._select(f"SELECT {USER_COLUMNS} FROM users WHERE id = ?", [question.user_id])
        user = users.holder(to_user(rows[0]) if rows else None, question.epoch)
        if not isinstance(user, UserRecord):
            raise QueryRefused(user)
        rows = self._select(
            "SELECT refresh_ms FROM sessions WHERE id = ? AND user_id = ?",
            [question.session_id, user.id],
        )
        if not rows or not sessions.is_recent(rows[0][0], self._header.stamp_ms):
            raise QueryRefused(sessions.ended())
        refused = users.check_query(user, kind)
        if refused is not None:
            raise QueryRefused(refused)
        return user

    def _money(self, minor: int) -> money_pb2.Money:
        return money.from_minor(minor, self._header.currency, self._header.digits)

    def _minor(self, field: str, price: money_pb2.Money) -> int:
        if price.currency_code not in ("", self._header.currency):
            raise QueryRefused(errors.currency_mismatch(self._header.currency, price.currency_code))
        try:
            minor = money.to_minor(price, self._header.digits)
        except money.MoneyError as error:
            raise QueryRefused(errors.invalid_field(field, f"does not hold: {error}")) from None
        return max(-1, min(minor, INTEGER_MAX))  # no price is beyond these bounds

    def _get_all_items(
        self, request: inventory_pb2.GetAllItemsRequest
    ) -> inventory_pb2.GetAllItemsResponse:
        page = page_of(request, _ITEM_ORDERS, request.order_by, texts=_TEXTS)
        condition, values = self._item_condition(request.filter)
        response = inventory_pb2.GetAllItemsResponse(
            revision=self._header.applied_index, currency_code=self._header.currency
        )
        rows = page.rows(self._select, ITEM_COLUMNS, "items", condition, values)
        page.fill(response, response.items, rows, self._item)
        return response

    def _item(self, row: Row) -> inventory_pb2.Item:
        return stock.message(to_item(row), self._header.currency, self._header.digits)

    def _item_condition(self, wanted: inventory_pb2.ItemFilter) -> tuple[str, list[object]]:
        conditions, values = ["delete_ms = 0"], list[object]()
        if wanted.name_contains:
            conditions.append("instr(folded_name, ?) > 0")
            values.append(folded(wanted.name_contains))
        if wanted.HasField("price_min"):
            conditions.append("price_minor >= ?")
            values.append(self._minor("price_min", wanted.price_min))
        if wanted.HasField("price_max"):
            conditions.append("price_minor <= ?")
            values.append(self._minor("price_max", wanted.price_max))
        if wanted.HasField("quantity_min"):
            conditions.append("quantity >= ?")
            values.append(wanted.quantity_min)
        if wanted.HasField("quantity_max"):
            conditions.append("quantity <= ?")
            values.append(wanted.quantity_max)
        return " AND ".join(conditions), values

    def _order(self, order_id: int) -> inventory_pb2.Order | None:
        rows = self._select(
            "SELECT item_id, user_id, delta, on_hand_after, unit_price_minor, stamp_ms "
            "FROM ledger WHERE id BETWEEN ? AND ? AND order_id = ? ORDER BY id",
            [order_id, min(order_id + LINES_MAX - 1, INTEGER_MAX), order_id],
        )
        if not rows:
            return None
        total = sum(-row[2] * row[4] for row in rows)
        order = inventory_pb2.Order(id=order_id, user_id=rows[0][1], total=self._money(total))
        order.create_time.FromMilliseconds(rows[0][5])
        for item_id, _, delta, after, unit_price, _ in rows:
            order.lines.add(
                item_id=item_id,
                quantity=-delta,
                unit_price=self._money(unit_price),
                on_hand_after=after,
            )
        return order

    def _get_order(self, order_id: int, user: UserRecord) -> inventory_pb2.GetOrderResponse:
        order = self._order(order_id)
        is_own = order is not None and order.user_id == user.id
        if order is None or not (is_own or user.role in users.KEEPERS):
            raise QueryRefused(errors.order_not_found(order_id))
        return inventory_pb2.GetOrderResponse(order=order, revision=self._header.applied_index)

    def _list_orders(
        self, request: inventory_pb2.ListOrdersRequest, user: UserRecord
    ) -> inventory_pb2.ListOrdersResponse:
        page = page_of(request, {"id": "id"}, "id desc")
        is_keeper = user.role in users.KEEPERS
        condition = "order_id = id" if is_keeper else "order_id = id AND user_id = ?"
        response = inventory_pb2.ListOrdersResponse(revision=self._header.applied_index)
        rows = page.rows(self._select, "id", "ledger", condition, [] if is_keeper else [user.id])
        page.fill(response, response.orders, rows, self._listed_order)
        return response

    def _listed_order(self, row: Row) -> inventory_pb2.Order:
        return self._order(row[0]) or inventory_pb2.Order(id=row[0])

    def _stats(self, item: ItemRecord) -> inventory_pb2.ItemStats:
        hour = self._header.stamp_ms // HOUR_MS
        day, week, month = (hour - days * HOURS_PER_DAY for days in (1, 7, 30))
        last_day, last_week, last_month = self._select(
            "SELECT coalesce(sum(units) FILTER (WHERE hour > ?), 0), "
            "coalesce(sum(units) FILTER (WHERE hour > ?), 0), coalesce(sum(units), 0) "
            "FROM sales WHERE item_id = ? AND hour > ?",
            [day, week, item.id, month],
        )[0]
        stats = inventory_pb2.ItemStats(
            item_id=item.id,
            item_name=item.name,
            quantity=item.quantity,
            order_count=item.order_count,
            units_sold=item.units_sold,
            revenue=self._money(item.revenue_minor),
            units_sold_last_day=last_day,
            units_sold_last_7_days=last_week,
            units_sold_last_30_days=last_month,
        )
        stats.as_of_time.FromMilliseconds(self._header.stamp_ms)
        stats.create_time.FromMilliseconds(item.create_ms)
        if item.order_count:
            stats.first_order_time.FromMilliseconds(item.first_order_ms)
            stats.last_order_time.FromMilliseconds(item.last_order_ms)
        return stats

    def _get_item_stats(self, item_id: int) -> inventory_pb2.GetItemStatsResponse:
        rows = self._select(f"SELECT {ITEM_COLUMNS} FROM items WHERE id = ?", [item_id])
        if not rows:
            raise QueryRefused(errors.item_not_found(item_id))
        return inventory_pb2.GetItemStatsResponse(
            stats=self._stats(to_item(rows[0])), revision=self._header.applied_index
        )

    def _list_item_stats(
        self, request: inventory_pb2.ListItemStatsRequest
    ) -> inventory_pb2.ListItemStatsResponse:
        page = page_of(request, _STATS_ORDERS, request.order_by)
        response = inventory_pb2.ListItemStatsResponse(revision=self._header.applied_index)
        rows = page.rows(self._select, ITEM_COLUMNS, "items", "delete_ms = 0", [])
        page.fill(response, response.stats, rows, lambda row: self._stats(to_item(row)))
        return response

    def _get_inventory_stats(
        self, request: inventory_pb2.GetInventoryStatsRequest
    ) -> inventory_pb2.GetInventoryStatsResponse:
        low = request.low_stock_threshold or LOW_STOCK_DEFAULT
        count, quantity, few, none, high, price_high, quantity_high, rest = self._select(
            "SELECT count(*), coalesce(sum(quantity), 0), "
            "count(*) FILTER (WHERE quantity BETWEEN 1 AND ?1), "
            "count(*) FILTER (WHERE quantity = 0), "
            "coalesce(sum((price_minor / ?2) * (quantity / ?3)), 0), "
            "coalesce(sum((price_minor / ?2) * (quantity % ?3)), 0), "
            "coalesce(sum((price_minor % ?2) * (quantity / ?3)), 0), "
            "coalesce(sum((price_minor % ?2) * (quantity % ?3)), 0) "
            "FROM items WHERE delete_ms = 0",
            [low, PRICE_PART, QUANTITY_PART],
        )[0]
        value = (high * QUANTITY_PART + price_high) * PRICE_PART
        value += quantity_high * QUANTITY_PART + rest
        units, revenue_high, revenue_rest = self._select(
            "SELECT coalesce(sum(units_sold), 0), coalesce(sum(revenue_minor / ?1), 0), "
            "coalesce(sum(revenue_minor % ?1), 0) FROM items",
            [REVENUE_PART],
        )[0]
        most = INTEGER_MAX * 10**self._header.digits
        response = inventory_pb2.GetInventoryStatsResponse(
            item_count=count,
            total_quantity=quantity,
            stock_value=self._money(min(value, most)),
            low_stock_count=few,
            out_of_stock_count=none,
            order_count=self._header.orders,
            units_sold=units,
            revenue=self._money(min(revenue_high * REVENUE_PART + revenue_rest, most)),
            revision=self._header.applied_index,
        )
        response.as_of_time.FromMilliseconds(self._header.stamp_ms)
        return response

    def _list_users(self, request: auth_pb2.ListUsersRequest) -> auth_pb2.ListUsersResponse:
        page = page_of(request, {"": "id"}, "")
        response = auth_pb2.ListUsersResponse(revision=self._header.applied_index)
        condition = "1" if request.show_deleted else "delete_ms = 0"
        rows = page.rows(self._select, USER_COLUMNS, "users", condition, [])
        page.fill(response, response.users, rows, lambda row: users.message(to_user(row)))
        return response

    def _list_audit_records(
        self, request: auth_pb2.ListAuditRecordsRequest
    ) -> auth_pb2.ListAuditRecordsResponse:
        page = page_of(request, {"id": "id"}, request.order_by or "id desc")
        given = {
            "actor_id = ?": request.actor_id,
            "kind = ?": request.kind,
            "time_ms >= ?": request.begin_ms,
            "time_ms < ?": request.end_ms,
        }
        wanted = {condition: value for condition, value in given.items() if value}
        condition = " AND ".join(wanted) or "1"
        response = auth_pb2.ListAuditRecordsResponse(revision=self._header.applied_index)
        columns = ", ".join(AuditRow._fields)
        rows = page.rows(self._select, columns, "audit", condition, list(wanted.values()))
        page.fill(response, response.records, rows, lambda row: audit.message(AuditRow._make(row)))
        return response
