"""A member's database as records; its tables agree with each other and with the memory.

The statements here name every column, so that a column that the product writes and reads at another
one's place shows. `imbalances` compares the tables of one database with each other: levels,
statistics and counters follow from the ledger, the users and the requests. `strangers` compares the
memory of a machine with the tables that its last flush wrote.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from inventory.v1 import auth_pb2
from inventory_node.machine import Machine, request_table
from inventory_node.machine.changes import Movement
from inventory_node.machine.records import (
    AuditRow,
    Header,
    ItemRecord,
    PeriodRow,
    Remembered,
    SessionRecord,
    UserRecord,
)
from inventory_node.machine.request_table import second_of, slots_of
from inventory_node.machine.sessions import SESSIONS_MAX
from inventory_node.runtime.sqlite import Database
from wire import audit
from wire.text import folded

from sim.violation import SafetyViolation

HOUR_MS = 3_600_000
Row = tuple[Any, ...]
_HEADER = tuple(field.name for field in fields(Header))
_ITEM = tuple(field.name for field in fields(ItemRecord))
_USER = tuple(field.name for field in fields(UserRecord))
_SESSION = tuple(field.name for field in fields(SessionRecord))
_EMPTYING = "".join(
    f"DELETE FROM {table};"  # noqa: S608 - our own names
    for table in (
        "header",
        "users",
        "sessions",
        "items",
        "ledger",
        "sales",
        "requests",
        "request_periods",
        "audit",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Every row of a database that is part of the state."""

    header: Header
    items: Mapping[int, ItemRecord]
    folded_names: Mapping[int, str]  # by item
    users: Mapping[int, UserRecord]
    sessions: Mapping[int, SessionRecord]
    ledger: Sequence[Movement]
    sales: Mapping[tuple[int, int], int]  # units, by item and hour
    requests: Mapping[tuple[int, str], Remembered]  # by period and request id
    periods: Mapping[int, PeriodRow]
    audit: Sequence[AuditRow]


def tables_of(database: Database) -> Tables:
    """Read every table."""

    def rows(columns: Sequence[str], table: str) -> list[Row]:
        sql = f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2"  # noqa: S608 - our own names
        found: list[Row] = database._writer.execute(sql).fetchall()
        return found

    headers = rows(_HEADER, "header")
    items = [ItemRecord(**dict(zip(_ITEM, row, strict=True))) for row in rows(_ITEM, "items")]
    users = [UserRecord(**dict(zip(_USER, row, strict=True))) for row in rows(_USER, "users")]
    for user in users:
        user.disabled = bool(user.disabled)
        user.must_change_password = bool(user.must_change_password)
    sessions = [
        SessionRecord(**dict(zip(_SESSION, row, strict=True))) for row in rows(_SESSION, "sessions")
    ]
    ledger = [Movement(*row) for row in rows(Movement._fields, "ledger")]
    requests = [Remembered(*row) for row in rows(Remembered._fields, "requests")]
    return Tables(
        header=Header(**dict(zip(_HEADER, headers[0], strict=True))) if headers else Header(),
        items={item.id: item for item in items},
        folded_names=dict(rows(("id", "folded_name"), "items")),
        users={user.id: user for user in users},
        sessions={one.id: one for one in sessions},
        ledger=ledger,
        sales={(item, hour): n for item, hour, n in rows(("item_id", "hour", "units"), "sales")},
        requests={
            one[:2]: one._replace(administration=bool(one.administration)) for one in requests
        },
        periods={row[0]: PeriodRow(*row) for row in rows(PeriodRow._fields, "request_periods")},
        audit=[AuditRow(*row) for row in rows(AuditRow._fields, "audit")],
    )


def empty(database: Database) -> None:
    """Delete every row, so that a database serves for many short histories."""
    database._writer.executescript(f"BEGIN; {_EMPTYING} COMMIT;")


def imbalances(tables: Tables) -> Iterator[str]:
    """Yield each contradiction between tables of one database."""
    yield from _unlike("header", asdict(tables.header) | _counters(tables), asdict(tables.header))
    yield from _unlike("levels and statistics", _items(tables), tables.items)
    yield from _unlike("sales", _sales(tables.ledger), tables.sales)
    yield from _lines(tables)
    problem = audit.problem_of(row._asdict() for row in tables.audit)
    ends = (tables.audit[-1].id + 1, tables.audit[-1].hash) if tables.audit else (1, "")
    if problem or ends != (tables.header.next_audit_id, tables.header.audit_hash):
        yield f"the audit log ends with {ends}: {problem}"
    folds = {item.id: folded(item.name) for item in tables.items.values()}
    yield from _unlike("folded names", folds, tables.folded_names)
    yield from _periods(tables)
    yield from _sessions(tables)


def _sessions(tables: Tables) -> Iterator[str]:
    """Yield what the sessions contradict in the users, or in what a user may have."""
    owners = Counter(one.user_id for one in tables.sessions.values())
    if not owners.keys() <= tables.users.keys():
        yield f"sessions belong to {owners}, and the users are {list(tables.users)}"
    if max(owners.values(), default=0) > SESSIONS_MAX:
        yield f"a user has more sessions than a user may: {owners}"
    if max(tables.sessions, default=0) >= tables.header.next_session_id:
        yield f"session {max(tables.sessions)} is there, next {tables.header.next_session_id}"
    for one in tables.sessions.values():
        if not one.create_ms <= one.refresh_ms <= tables.header.stamp_ms:
            yield f"{one} is of another time than {tables.header.stamp_ms}"


def _periods(tables: Tables) -> Iterator[str]:
    """Yield each contradiction between periods of requests, or between periods and requests."""
    slots: dict[int, int] = defaultdict(int)
    for one in tables.requests.values():
        slots[one.period] += slots_of(one.outcome)
        second = second_of(one.request_id)
        period = tables.periods.get(one.period)
        if period is None or second > period.newest_second:
            yield f"{one} is remembered in {period}"
    found = {number: period.slots for number, period in tables.periods.items() if period.slots}
    yield from _unlike("slots of periods", slots, found)
    for user_id in {period.user_id for period in tables.periods.values()}:
        own = [one for one in tables.periods.values() if one.user_id == user_id]
        keys = Counter(
            one.request_id for one in tables.requests.values() if tables.periods[one.period] in own
        )
        if max(keys.values(), default=0) > 1:
            yield f"user {user_id} has an id twice in {keys}"
        if not all(one.slots for one in own[1:]):
            yield f"of user {user_id} more than the first period is empty: {own}"
        if sum(one.slots for one in own) > max(request_table.SHARE_MAX, own[-1].slots):
            yield f"user {user_id} holds more than a user may: {own}"
    begins = [one.begin_second for one in tables.periods.values()]
    if begins != sorted(begins) or max(tables.periods, default=0) >= tables.header.next_period:
        yield f"the periods are not in order: {tables.periods}, next {tables.header.next_period}"


def _lines(tables: Tables) -> Iterator[str]:
    """Yield each contradiction of a line of the ledger to the lines before it, or to the users."""
    levels: dict[int, int] = defaultdict(int)
    before: Movement | None = None
    for line in tables.ledger:
        levels[line.item_id] += line.delta
        goes_on = before is not None and before.order_id == line.order_id
        is_begun = line.order_id in {0, line.id}
        is_alike = before is not None and before.user_id == line.user_id
        if (
            levels[line.item_id] != line.on_hand_after
            or line.user_id not in {0, *tables.users}
            or (line.unit_price_minor and not line.order_id)
            or not (is_begun or (goes_on and is_alike))
        ):
            yield f"{line} cannot follow {before}; on hand are {levels[line.item_id]}"
        before = line


def _counters(tables: Tables) -> dict[str, int]:
    """Return the counters of the header that follow from other tables."""
    admins = [
        user
        for user in tables.users.values()
        if user.role == auth_pb2.ROLE_ADMIN and not user.disabled and not user.delete_ms
    ]
    return {
        "next_item_id": len(tables.items) + 1,
        "next_user_id": len(tables.users) + 1,
        "next_ledger_id": len(tables.ledger) + 1,
        "admins": len(admins),
        "orders": len({line.order_id for line in tables.ledger if line.order_id}),
    }


def _items(tables: Tables) -> dict[int, ItemRecord]:
    """Return the items with the levels and statistics that follow from the ledger."""
    found = {}
    for item in tables.items.values():
        moved = [line for line in tables.ledger if line.item_id == item.id]
        sold = [line for line in moved if line.order_id]
        found[item.id] = ItemRecord(
            id=item.id,
            name=item.name,
            description=item.description,
            price_minor=item.price_minor,
            quantity=sum(line.delta for line in moved),
            create_ms=item.create_ms,
            update_ms=item.update_ms,
            delete_ms=item.delete_ms,
            order_count=len(sold),
            units_sold=-sum(line.delta for line in sold),
            revenue_minor=-sum(line.delta * line.unit_price_minor for line in sold),
            first_order_ms=sold[0].stamp_ms if sold else 0,
            last_order_ms=sold[-1].stamp_ms if sold else 0,
        )
    return found


def _sales(ledger: Sequence[Movement]) -> dict[tuple[int, int], int]:
    sold: dict[tuple[int, int], int] = defaultdict(int)
    for line in ledger:
        if line.order_id:
            sold[line.item_id, line.stamp_ms // HOUR_MS] -= line.delta
    return dict(sold)


def _unlike(what: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    for key in expected.keys() | found.keys():
        if expected.get(key) != found.get(key):
            yield f"{what}: {key} should be {expected.get(key)}, and is {found.get(key)}"


def strangers(machine: Machine, tables: Tables) -> Iterator[str]:
    """Yield each difference between tables and the memory of a machine with nothing unflushed."""
    cache, requests = machine._cache, machine._requests
    header = tables.header
    counters = {
        "applied_index": machine.applied_index,
        "applied_term": machine.applied_term,
        "stamp_ms": machine.stamp_ms,
        "cluster_id": machine.cluster_id,
        "currency": machine._context.currency,
        "digits": machine._context.digits,
        "next_item_id": cache.next_item_id,
        "next_user_id": cache.next_user_id,
        "next_ledger_id": cache.next_ledger_id,
        "admins": cache.admins,
        "next_period": requests.next_period,
        "orders": cache.orders,
        "next_session_id": machine._sessions.next_id,
        "next_audit_id": machine._audit.next_id,
        "audit_hash": machine._audit.last_hash,
    }
    yield from _unlike("header in memory", counters, asdict(header))
    for item_id, item in cache._items.items():
        if item != tables.items.get(item_id):
            yield f"item in memory: {item}, and in the database {tables.items.get(item_id)}"
    for user_id, user in cache._users.items():
        if user != tables.users.get(user_id):
            yield f"user in memory: {user}, and in the database {tables.users.get(user_id)}"
    for user_id, own in machine._sessions._users.items():
        kept = {one.id: one for one in tables.sessions.values() if one.user_id == user_id}
        yield from _unlike(f"sessions of user {user_id} in memory", kept, own)
    known = [user for user in cache._users.values() if not user.delete_ms]
    names = {user.folded_name: user.id for user in known}
    yield from _unlike("users by name", names, cache._ids_by_name)
    periods = {number: period.row() for number, period in requests._periods.items()}
    yield from _unlike("periods in memory", tables.periods, periods)
    yield from _requests(machine, tables)
    yield from _points(machine, tables)
    yield from _session_points(machine, tables)


def _requests(machine: Machine, tables: Tables) -> Iterator[str]:
    """Yield each difference between tables and the memory of requests, by content and by key."""
    requests = machine._requests
    held = [one for share in requests._shares.values() for one in share.records.values()]
    for one in held:
        if one != tables.requests.get(one[:2]):
            yield f"request in memory: {one}, and in the database {tables.requests.get(one[:2])}"
    for one in tables.requests.values():
        user_id, second = tables.periods[one.period].user_id, second_of(one.request_id)
        found = requests.find(second, user_id, one.request_id)
        if found != one:
            yield f"{one} is remembered, and {found} is found"
    for number, period in requests._periods.items():
        resident = sum(slots_of(one.outcome) for one in held if one.period == number)
        if period.slots - period.absent_slots != resident:
            yield f"{period} has {resident} slots in memory"
    counted = (
        requests.slots,
        requests.resident_slots,
        {user_id: share.slots for user_id, share in requests._shares.items()},
        {
            user_id: [share.floor, *(one.number for one in share.periods)]
            for user_id, share in requests._shares.items()
        },
    )
    users = {period.user_id for period in tables.periods.values()}
    own = {
        user_id: [one for one in tables.periods.values() if one.user_id == user_id]
        for user_id in users
    }
    expected = (
        sum(one.slots for one in tables.periods.values()),
        sum(slots_of(one.outcome) for one in held),
        {user_id: sum(one.slots for one in some) for user_id, some in own.items()},
        {
            user_id: [
                0 if some[0].slots else some[0].newest_second,
                *(one.number for one in some),
            ]
            for user_id, some in own.items()
        },
    )
    if counted != expected:
        yield f"the request table counts {counted}, and holds {expected}"
    if requests._taken or machine._cache._taken or machine._sessions._taken:
        yield "all is flushed, and something counts as on its way to the database"


def _session_points(machine: Machine, tables: Tables) -> Iterator[str]:
    """Yield what the machine's records find of sessions otherwise than the tables."""
    for user_id in range(len(tables.users) + 2):
        own = [one for one in tables.sessions.values() if one.user_id == user_id]
        found = machine._records.sessions(user_id)
        if found != own:
            yield f"sessions of user {user_id} are read as {found}"


def _points(machine: Machine, tables: Tables) -> Iterator[str]:
    """Yield each difference between tables and what the machine's records find by key."""
    records = machine._records
    for item_id in range(len(tables.items) + 2):
        if records.item(item_id) != tables.items.get(item_id):
            yield f"item {item_id} is read as {records.item(item_id)}"
    for user_id in range(len(tables.users) + 2):
        user = tables.users.get(user_id)
        if records.user(user_id) != user:
            yield f"user {user_id} is read as {records.user(user_id)}"
        if user is None or user.delete_ms:
            continue
        if records.user_by_name(user.folded_name) != user:
            yield f"user {user.name} is read as {records.user_by_name(user.folded_name)}"
    for key, one in tables.requests.items():
        if records.request([0, key[0]], key[1]) != one:
            yield f"request {key} is read as {records.request([0, key[0]], key[1])}"
    if records.header() != tables.header or records.periods() != list(tables.periods.values()):
        yield f"header and periods are read as {records.header()} and {records.periods()}"


def check_balance(database: Database) -> Tables:
    """Raise SafetyViolation if tables contradict each other; return the tables."""
    tables = tables_of(database)
    for problem in imbalances(tables):
        raise SafetyViolation(f"the books of {tables.header.applied_index} disagree: {problem}")
    return tables


def check_flushed(machine: Machine, database: Database) -> Tables:
    """Raise unless memory, tables, and a machine that is loaded from them agree; return the tables.

    All that was applied is flushed.
    """
    tables = check_balance(database)
    for one in (machine, Machine(database)):
        for problem in strangers(one, tables):
            raise SafetyViolation(f"a flush at {one.applied_index} left a difference: {problem}")
    return tables
