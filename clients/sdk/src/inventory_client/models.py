"""What calls return: frozen records, with whole numbers for money and quantities."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from google.protobuf.timestamp_pb2 import Timestamp
from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2

from inventory_client.enums import MemberRole, Role, Standing
from inventory_client.money import Money


@dataclass(frozen=True, slots=True)
class Reads:
    """How fresh the state must be that reads are answered from: one of three."""

    options: inventory_pb2.ReadOptions

    @classmethod
    def linearizable(cls) -> Self:
        """See everything that was acknowledged before the read began."""
        return cls(inventory_pb2.ReadOptions())

    @classmethod
    def stale(cls) -> Self:
        """See what some member holds, however old; answered without a majority too."""
        return cls(inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_STALE))

    @classmethod
    def bounded(cls, max_staleness: timedelta) -> Self:
        """See everything that was acknowledged so long before the read, or later."""
        options = inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_BOUNDED_STALENESS)
        options.max_staleness.FromTimedelta(max_staleness)
        return cls(options)


def _time(wire: Timestamp) -> datetime:
    return wire.ToDatetime(UTC)


@dataclass(frozen=True, slots=True)
class Item:
    """An item and its level."""

    id: int
    name: str
    description: str
    price: Money
    quantity: int
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None  # None unless it is deleted

    @classmethod
    def from_wire(cls, wire: inventory_pb2.Item) -> Self:
        """Read an item."""
        return cls(
            wire.id,
            wire.name,
            wire.description,
            Money.from_wire(wire.price),
            wire.quantity,
            _time(wire.create_time),
            _time(wire.update_time),
            _time(wire.delete_time) if wire.HasField("delete_time") else None,
        )


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A level that was changed."""

    item_id: int
    on_hand_after: int
    revision: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An order of one item."""

    order_id: int
    on_hand_after: int
    total: Money
    revision: int

    @classmethod
    def from_wire(cls, wire: inventory_pb2.OrderItemResponse) -> Self:
        """Read the response to OrderItem."""
        total = Money.from_wire(wire.total)
        return cls(wire.order_id, wire.on_hand_after, total, wire.revision)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order."""

    item_id: int
    quantity: int
    unit_price: Money
    on_hand_after: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order with its lines."""

    id: int
    user_id: int
    lines: tuple[OrderLine, ...]
    total: Money
    create_time: datetime

    @classmethod
    def from_wire(cls, wire: inventory_pb2.Order) -> Self:
        """Read an order."""
        lines = tuple(
            OrderLine(
                line.item_id, line.quantity, Money.from_wire(line.unit_price), line.on_hand_after
            )
            for line in wire.lines
        )
        total = Money.from_wire(wire.total)
        return cls(wire.id, wire.user_id, lines, total, _time(wire.create_time))


@dataclass(frozen=True, slots=True)
class ItemStats:
    """What one item sold."""

    item_id: int
    item_name: str
    quantity: int
    order_count: int
    units_sold: int
    revenue: Money
    units_sold_last_day: int
    units_sold_last_7_days: int
    units_sold_last_30_days: int

    @classmethod
    def from_wire(cls, wire: inventory_pb2.ItemStats) -> Self:
        """Read one item's statistics."""
        return cls(
            wire.item_id,
            wire.item_name,
            wire.quantity,
            wire.order_count,
            wire.units_sold,
            Money.from_wire(wire.revenue),
            wire.units_sold_last_day,
            wire.units_sold_last_7_days,
            wire.units_sold_last_30_days,
        )


@dataclass(frozen=True, slots=True)
class InventoryStats:
    """Totals over all items, of one revision."""

    item_count: int
    total_quantity: int
    stock_value: Money
    low_stock_count: int
    out_of_stock_count: int
    order_count: int
    units_sold: int
    revenue: Money
    revision: int

    @classmethod
    def from_wire(cls, wire: inventory_pb2.GetInventoryStatsResponse) -> Self:
        """Read the totals."""
        return cls(
            wire.item_count,
            wire.total_quantity,
            Money.from_wire(wire.stock_value),
            wire.low_stock_count,
            wire.out_of_stock_count,
            wire.order_count,
            wire.units_sold,
            Money.from_wire(wire.revenue),
            wire.revision,
        )


@dataclass(frozen=True, slots=True)
class User:
    """Who may do what."""

    id: int
    name: str
    role: Role
    disabled: bool
    create_time: datetime

    @classmethod
    def from_wire(cls, wire: auth_pb2.User) -> Self:
        """Read a user."""
        role = Role.from_wire(wire.role)
        return cls(wire.id, wire.name, role, wire.disabled, _time(wire.create_time))


@dataclass(frozen=True, slots=True)
class StateHash:
    """A member's hash of its state at a checkpoint; members that agree have equal ones."""

    index: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Volume:
    """Where a member keeps its data."""

    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Election:
    """A leader that a member learned of."""

    term: int
    leader: str  # a member's name
    see_time: datetime  # by the member's own clock


@dataclass(frozen=True, slots=True)
class Member:
    """A member as it sees itself; of one that is not reachable only name and address are known."""

    name: str
    address: str
    reachable: bool
    role: MemberRole
    term: int
    leader: str
    commit_index: int
    applied_index: int
    durable_index: int
    pid: int
    version: str
    state_hash: StateHash | None
    standing: Standing
    id: int  # its volume's; a member on an empty one has another
    voters: tuple[str, ...]  # by name, as this member knows them
    diverged: str = ""  # why its state keeps it out of service; empty: it does not
    clock_skew_ms: int | None = None  # ahead of the median of the voters' clocks; None: unknown
    volume: Volume | None = None
    elections: tuple[Election, ...] = ()  # the last ones that its process saw, the oldest first
    caught_up: bool = False  # it has applied what was committed when it met its leader

    @classmethod
    def from_wire(cls, wire: cluster_pb2.Member) -> Self:
        """Read a member."""
        found, space = wire.state_hash, wire.volume
        return cls(
            wire.name,
            wire.address,
            wire.reachable,
            MemberRole.from_wire(wire.role) if wire.reachable else MemberRole.UNKNOWN,
            wire.term,
            wire.leader,
            wire.commit_index,
            wire.applied_index,
            wire.durable_index,
            wire.pid,
            wire.version,
            StateHash(found.index, found.sha256) if wire.HasField("state_hash") else None,
            Standing.from_wire(wire.standing) if wire.reachable else Standing.UNKNOWN,
            wire.id,
            tuple(wire.voters),
            wire.diverged,
            wire.clock_skew_ms if wire.HasField("clock_skew_ms") else None,
            Volume(space.size_bytes, space.free_bytes) if wire.HasField("volume") else None,
            tuple(
                Election(one.term, one.leader, one.see_time.ToDatetime(UTC))
                for one in wire.elections
            ),
            wire.caught_up,
        )


@dataclass(frozen=True, slots=True)
class Status:
    """The cluster behind the gateway."""

    cluster_id: str
    leader: str  # a member's name, empty when none leads
    members: tuple[Member, ...]
    gateway: str = ""  # the host name of the one that answered

    @classmethod
    def from_wire(cls, wire: cluster_pb2.GetStatusResponse) -> Self:
        """Read the response to GetStatus."""
        members = tuple(Member.from_wire(member) for member in wire.members)
        return cls(wire.cluster_id, wire.leader, members, wire.gateway)


@dataclass(frozen=True, slots=True)
class Answer:
    """The assistant's answer."""

    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    query: str  # the question as it was understood
    revision: int
    understood: bool

    @classmethod
    def from_wire(cls, wire: assistant_pb2.GetPredictionResponse) -> Self:
        """Read the response to GetPrediction."""
        rows = tuple(tuple(row.cells) for row in wire.rows)
        return cls(wire.text, tuple(wire.columns), rows, wire.query, wire.revision, wire.understood)
