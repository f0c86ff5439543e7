"""One state machine, and entries for it made by hand: no log, no consensus, no network.

A `Hand` holds a machine over records, numbers its entries and keeps its time, so that a test says
only what is asked for and looks at what comes of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.rpc import status_pb2
from google.type import money_pb2
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine import AdminOutcome, Applied, Machine, MutationOutcome
from inventory_node.machine.records import (
    Header,
    ItemRecord,
    PeriodRow,
    Records,
    Remembered,
    SessionRecord,
    UserRecord,
)
from inventory_node.runtime.sqlite import Database
from raft.messages import Entry, EntryKind
from wire import money

from sim.seats import seats
from sim.watched_machine import WatchedMachine

CUSTOMER, PRODUCER, ADMIN, WATCHER, SECOND_CUSTOMER = 1, 2, 3, 4, 5  # user ids of `first_state`
START_MS = 1_700_000_000_000
STOCK = 100  # of each of the first three items
PRICES_MINOR = (1_250, 1, 99_999)


class EmptyRecords:
    """The `Records` port without a record, for a machine that is never flushed."""

    def header(self) -> Header:
        """Return the header of an empty state."""
        return Header()

    def item(self, _item_id: int) -> ItemRecord | None:
        """Return nothing."""
        return None

    def user(self, _user_id: int) -> UserRecord | None:
        """Return nothing."""
        return None

    def user_by_name(self, _folded_name: str) -> UserRecord | None:
        """Return nothing."""
        return None

    def sessions(self, _user_id: int) -> list[SessionRecord]:
        """Return nothing."""
        return []

    def request(self, _periods: Sequence[int], _request_id: str) -> Remembered | None:
        """Return nothing."""
        return None

    def periods(self) -> list[PeriodRow]:
        """Return nothing."""
        return []


def open_database(path: Path) -> Database:
    """Open a database that syncs nothing: that SQLite keeps its promise is not tested here."""
    database = Database(path)
    database._writer.execute("PRAGMA synchronous=OFF")
    return database


def uuid7(stamp_ms: int, number: int) -> str:
    """Return the UUIDv7 (RFC 9562) of a time, told from others of that time by a number."""
    digits = f"{stamp_ms:012x}7{number >> 62 & 0xFFF:03x}{0x8000 | number >> 48 & 0x3FFF:04x}"
    digits += f"{number & 0xFFFFFFFFFFFF:012x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def usd(minor: int) -> money_pb2.Money:
    """Return cents as money."""
    return money.from_minor(minor, "USD", 2)


def first_state() -> log_pb2.Command:
    """Return the first command: a user of each role and a second customer, and three items."""
    administration = log_pb2.Administration(request_id="initialize")
    initialize = administration.initialize
    initialize.cluster_id = "cluster"
    initialize.currency.code, initialize.currency.minor_digits = "USD", 2
    for name, role in (
        ("customer", auth_pb2.ROLE_CUSTOMER),
        ("producer", auth_pb2.ROLE_PRODUCER),
        ("admin", auth_pb2.ROLE_ADMIN),
        ("watcher", auth_pb2.ROLE_MACHINE),
        ("second", auth_pb2.ROLE_CUSTOMER),
    ):
        initialize.users.add(
            name=name, folded_name=name, role=role, password_hash=f"hash of {name}"
        )
    for number, price_minor in enumerate(PRICES_MINOR, start=1):
        initialize.items.add(name=f"Item {number}", price=usd(price_minor), quantity=STOCK)
    return log_pb2.Command(administration=administration)


def order(request_id: str, item_id: int = 1, quantity: int = 1) -> inventory_pb2.Mutation:
    """Return an order of one item."""
    request = inventory_pb2.OrderItemRequest(
        request_id=request_id, item_id=item_id, quantity=quantity
    )
    return inventory_pb2.Mutation(order_item=request)


def place(request_id: str, *lines: tuple[int, int]) -> inventory_pb2.Mutation:
    """Return an order of (item id, quantity) lines."""
    request = inventory_pb2.PlaceOrderRequest(request_id=request_id)
    for item_id, quantity in lines:
        request.lines.add(item_id=item_id, quantity=quantity)
    return inventory_pb2.Mutation(place_order=request)


def adjust(request_id: str, item_id: int, delta: int) -> inventory_pb2.Mutation:
    """Return an adjustment of stock."""
    request = inventory_pb2.AdjustStockRequest(request_id=request_id, item_id=item_id, delta=delta)
    return inventory_pb2.Mutation(adjust_stock=request)


def by(user_id: int, mutation: inventory_pb2.Mutation, epoch: int = 1) -> log_pb2.Command:
    """Return a user's command."""
    return log_pb2.Command(user_id=user_id, epoch=epoch, session_id=user_id, mutation=mutation)


def entry(index: int, stamp_ms: int, *commands: log_pb2.Command, rules_version: int = 1) -> Entry:
    """Return an entry of the log."""
    batch = log_pb2.Batch(stamp_ms=stamp_ms, rules_version=rules_version, commands=commands)
    return Entry(index, 1, EntryKind.COMMAND, batch.SerializeToString())


def result_of(applied: Applied) -> inventory_pb2.Outcome | status_pb2.Status:
    """Return what became of a mutation: an outcome, or a refusal, kept or not, as its status."""
    if isinstance(applied, MutationOutcome):
        outcome = inventory_pb2.Outcome.FromString(applied.outcome)
        return outcome.error if outcome.HasField("error") else outcome
    if isinstance(applied, AdminOutcome):
        raise TypeError("an administration is not a mutation")
    return status_pb2.Status.FromString(applied.status)


@dataclass(slots=True)
class Hand:
    """A machine, and the entries that it is given; `applied` keeps every outcome."""

    records: Records = field(default_factory=EmptyRecords)
    stamp_ms: int = START_MS
    machine: Machine = field(init=False)
    applied: list[Applied] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Continue from the index of the database."""
        self.machine = WatchedMachine(self.records)

    def apply(self, *commands: log_pb2.Command) -> list[Applied]:
        """Apply one entry of these commands."""
        outcomes = self.machine.apply(
            entry(self.machine.applied_index + 1, self.stamp_ms, *commands)
        )
        self.applied += outcomes
        return outcomes

    def mutate(
        self, user_id: int, mutation: inventory_pb2.Mutation, epoch: int = 1
    ) -> inventory_pb2.Outcome | status_pb2.Status:
        """Apply one mutation and return what became of it."""
        return result_of(self.apply(by(user_id, mutation, epoch))[0])

    def seat(self, *user_ids: int) -> None:
        """Give users who were created a session each, under the user's id; see `sim.seats`."""
        users = (self.machine._cache.user(user_id) for user_id in user_ids)
        for session in seats((user for user in users if user is not None), self.stamp_ms):
            self.machine._sessions.add(session)

    def flush(self, database: Database) -> None:
        """Write what was applied to the database, and tell the machine that it is written."""
        changes = self.machine.take_changes()
        if changes is not None:
            database.flush(changes)
            self.machine.flushed()


def started(records: Records | None = None) -> Hand:
    """Return a machine that has applied `first_state`."""
    hand = Hand(records or EmptyRecords())
    hand.apply(first_state())
    return hand
