"""The cache of records that apply works on: loaded on first use, flushed later.

A record that was changed stays in memory until a flush made the record durable. A clean record may
be dropped at any flush, since the database has the record.
"""

from dataclasses import fields
from operator import attrgetter

from inventory_node.errors import StateInvariantViolation
from inventory_node.machine.changes import Changes, HourlySales, Level, Movement
from inventory_node.machine.records import Header, ItemRecord, Records, UserRecord

ITEMS_MAX = 100_000  # kept after a flush; reads alone may double the items
USERS_MAX = 100_000
HOUR_MS = 3_600_000

_item_row = attrgetter(*(field.name for field in fields(ItemRecord)))
_user_row = attrgetter(*(field.name for field in fields(UserRecord)))


class Unwritten:
    """Changes since the last take, in memory alone."""

    def __init__(self) -> None:
        """Start with nothing changed."""
        self.items: dict[int, ItemRecord] = {}
        self.described: dict[int, ItemRecord] = {}  # items with changes beyond the level
        self.users: dict[int, UserRecord] = {}
        self.movements: list[Movement] = []
        self.sales: dict[tuple[int, int], int] = {}  # units, by item and hour

    def write(self, changes: Changes) -> None:
        """Write all changes into `changes`; rows are copies, since apply changes the records."""
        changes.items = [_item_row(item) for item in self.described.values()]
        changes.levels = [
            Level(
                item.quantity,
                item.order_count,
                item.units_sold,
                item.revenue_minor,
                item.first_order_ms,
                item.last_order_ms,
                item.id,
            )
            for item in self.items.values()
            if item.id not in self.described
        ]
        changes.users = [_user_row(user) for user in self.users.values()]
        changes.movements = self.movements
        changes.sales = [HourlySales(item, hour, n) for (item, hour), n in self.sales.items()]


class StateCache:
    """Items, users and the ledger's tail.

    - A record in memory is at least as recent as the database's record.
    - A changed record that is not flushed is in memory.
    - A record stays the same object while a command is applied.
    """

    def __init__(self, records: Records) -> None:
        """Start with the database's scalars; records are loaded on demand."""
        self._records = records
        self.header: Header = records.header()
        self.next_item_id = self.header.next_item_id
        self.next_user_id = self.header.next_user_id
        self.next_ledger_id = self.header.next_ledger_id
        self.admins = self.header.admins
        self.orders = self.header.orders
        self._items: dict[int, ItemRecord] = {}
        self._users: dict[int, UserRecord] = {}
        self._ids_by_name: dict[str, int] = {}
        self._unwritten = Unwritten()
        self._taken: list[Unwritten] = []  # on their way to the database

    def item(self, item_id: int) -> ItemRecord | None:
        """Return an item to read."""
        item = self._items.get(item_id)
        if item is None and 0 < item_id < self.next_item_id:
            item = self._records.item(item_id)
            if item is not None:
                self._items[item_id] = item
        return item

    def add_item(self, item: ItemRecord) -> None:
        """Add an item."""
        self._items[item.id] = item
        self._unwritten.items[item.id] = self._unwritten.described[item.id] = item
        self.next_item_id = item.id + 1

    def change_item(self, item: ItemRecord) -> None:
        """Note that the description of an item in memory was changed in place."""
        self._unwritten.items[item.id] = self._unwritten.described[item.id] = item

    def user(self, user_id: int) -> UserRecord | None:
        """Return a user to read."""
        user = self._users.get(user_id)
        if user is None and 0 < user_id < self.next_user_id:
            user = self._records.user(user_id)
            if user is not None:
                self._keep_user(user)
        return user

    def user_by_name(self, folded_name: str) -> UserRecord | None:
        """Return a user to read; folded names are unique among users that are not deleted."""
        user_id = self._ids_by_name.get(folded_name)
        if user_id is not None:
            return self._users[user_id]
        user = self._records.user_by_name(folded_name)
        if user is None or user.id in self._users:  # the user in memory gave the name up
            return None
        self._keep_user(user)
        return user

    def _keep_user(self, user: UserRecord) -> None:
        self._users[user.id] = user
        if not user.delete_ms:
            self._ids_by_name[user.folded_name] = user.id

    def add_user(self, user: UserRecord) -> None:
        """Add a user."""
        self._keep_user(user)
        self._unwritten.users[user.id] = user
        self.next_user_id = user.id + 1

    def change_user(self, user: UserRecord) -> None:
        """Note that a user in memory was changed in place; the name by `rename_user` alone."""
        self._unwritten.users[user.id] = user

    def rename_user(self, user: UserRecord, name: str, folded_name: str) -> None:
        """Give a user in memory a name that no other user has."""
        del self._ids_by_name[user.folded_name]
        user.name, user.folded_name = name, folded_name
        self._keep_user(user)
        self.change_user(user)

    def delete_user(self, user: UserRecord, stamp_ms: int) -> None:
        """Mark a user in memory as deleted; another user may have the name."""
        del self._ids_by_name[user.folded_name]
        user.delete_ms = stamp_ms
        self.change_user(user)

    def move(
        self, item: ItemRecord, user_id: int, delta: int, order_id: int, stamp_ms: int
    ) -> None:
        """Change an item's level and append to the ledger; raise on a level below zero."""
        item.quantity += delta
        if item.quantity < 0:
            raise StateInvariantViolation(f"item {item.id} would have {item.quantity} on hand")
        self._unwritten.items[item.id] = item
        self._unwritten.movements.append(
            Movement(
                self.next_ledger_id,
                order_id,
                item.id,
                user_id,
                delta,
                item.quantity,
                item.price_minor if order_id else 0,
                stamp_ms,
            )
        )
        self.next_ledger_id += 1

    def sell(self, item: ItemRecord, units: int, revenue_minor: int, stamp_ms: int) -> None:
        """Count the sale of an order line."""
        item.order_count += 1
        item.units_sold += units
        item.revenue_minor += revenue_minor
        item.first_order_ms = item.first_order_ms or stamp_ms
        item.last_order_ms = stamp_ms
        key = (item.id, stamp_ms // HOUR_MS)
        sales = self._unwritten.sales
        sales[key] = sales.get(key, 0) + units

    def take(self, changes: Changes) -> None:
        """Move the unwritten changes into `changes`."""
        self._unwritten.write(changes)
        self._taken.append(self._unwritten)
        self._unwritten = Unwritten()

    def flushed(self) -> None:
        """Drop clean records when there are many; the oldest take is durable."""
        del self._taken[0]
        self._shed_items(ITEMS_MAX)
        if len(self._users) > USERS_MAX:
            self._users, self._ids_by_name = {}, {}
            for taken in self._taken:
                self._keep_users(taken.users)
            self._keep_users(self._unwritten.users)

    def before_reading(self) -> None:
        """Drop clean items that reads have loaded; never while a command is applied."""
        if len(self._items) > 2 * ITEMS_MAX:
            self._shed_items(ITEMS_MAX)

    def _keep_users(self, users: dict[int, UserRecord]) -> None:
        for user in users.values():
            self._keep_user(user)

    def _shed_items(self, most: int) -> None:
        """Drop the clean items that were loaded first."""
        surplus = len(self._items) - most
        if surplus <= 0:
            return
        for item_id in list(self._items)[: 2 * surplus]:
            dirty = item_id in self._unwritten.items or any(
                item_id in taken.items for taken in self._taken
            )
            if not dirty:
                del self._items[item_id]
