"""What calls return: frozen records, with whole numbers for money and quantities.

Made by tools/generate_client.py from proto/inventory/v1; change the schema instead.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2

from inventory_client.money import Money
from inventory_client.words import Word

__all__ = [
    "Adjusted",
    "Answer",
    "AuditRecord",
    "Election",
    "InventoryStats",
    "Item",
    "ItemStats",
    "Member",
    "MemberRole",
    "Order",
    "OrderLine",
    "Placed",
    "Role",
    "Sessions",
    "Standing",
    "StateHash",
    "Status",
    "User",
    "UserSession",
    "Volume",
]


class Role(Word):
    """What a user may do.

    `UNKNOWN`: not said, or of a later version.
    """

    UNKNOWN = ""
    # Orders, and reads items and its own orders.
    CUSTOMER = "customer"
    # Keeps items and their stock, and reads everything about them.
    PRODUCER = "producer"
    # Everything, users included.
    ADMIN = "admin"
    # A service: reads, and changes nothing.
    MACHINE = "machine"
    # Reads items, stock and statistics, nobody's orders, and changes nothing.
    VIEWER = "viewer"

    @classmethod
    def from_wire(cls, wire: auth_pb2.Role.ValueType) -> Self:
        """Read Role."""
        return cls._read(auth_pb2.Role.DESCRIPTOR, "ROLE_", wire)

    def to_wire(self) -> auth_pb2.Role.ValueType:
        """Return the number of the word."""
        return auth_pb2.Role.Value(f"ROLE_{self.name}") if self else auth_pb2.Role.ROLE_UNSPECIFIED


class MemberRole(Word):
    """What a member is in consensus; unspecified where the member is not reachable.

    `UNKNOWN`: not said, or of a later version.
    """

    UNKNOWN = ""
    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"

    @classmethod
    def from_wire(cls, wire: cluster_pb2.MemberRole.ValueType) -> Self:
        """Read MemberRole."""
        return cls._read(cluster_pb2.MemberRole.DESCRIPTOR, "MEMBER_ROLE_", wire)

    def to_wire(self) -> cluster_pb2.MemberRole.ValueType:
        """Return the number of the word."""
        return (
            cluster_pb2.MemberRole.Value(f"MEMBER_ROLE_{self.name}")
            if self
            else cluster_pb2.MemberRole.MEMBER_ROLE_UNSPECIFIED
        )


class Standing(Word):
    """How a member takes part; unspecified where the member is not reachable.

    `UNKNOWN`: not said, or of a later version.
    """

    UNKNOWN = ""
    VOTER = "voter"
    # Follows, and has no vote.
    LEARNER = "learner"
    # Took part once.
    REMOVED = "removed"
    # Asks to take part, or waits for `inventory cluster add`.
    JOINING = "joining"

    @classmethod
    def from_wire(cls, wire: cluster_pb2.MemberStanding.ValueType) -> Self:
        """Read MemberStanding."""
        return cls._read(cluster_pb2.MemberStanding.DESCRIPTOR, "MEMBER_STANDING_", wire)

    def to_wire(self) -> cluster_pb2.MemberStanding.ValueType:
        """Return the number of the word."""
        return (
            cluster_pb2.MemberStanding.Value(f"MEMBER_STANDING_{self.name}")
            if self
            else cluster_pb2.MemberStanding.MEMBER_STANDING_UNSPECIFIED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in, and what the role allows."""

    id: int = 0
    # As given. It names one user that is not deleted, in every case and composition, and
    # holds what an item's name may.
    name: str = ""
    role: Role = Role.UNKNOWN
    disabled: bool = False
    create_time: datetime
    # Absent unless deleted.
    delete_time: datetime | None = None
    # Whether the user may do nothing but set another password.
    must_change_password: bool = False

    @classmethod
    def from_wire(cls, wire: auth_pb2.User) -> Self:
        """Read User."""
        return cls(
            id=wire.id,
            name=wire.name,
            role=Role.from_wire(wire.role),
            disabled=wire.disabled,
            create_time=wire.create_time.ToDatetime(UTC),
            delete_time=wire.delete_time.ToDatetime(UTC) if wire.HasField("delete_time") else None,
            must_change_password=wire.must_change_password,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSession:
    """A log-in that has not ended."""

    id: int = 0
    user_id: int = 0
    # As the log-in gave it.
    label: str = ""
    # The address that the log-in came from.
    source: str = ""
    create_time: datetime
    # The last time; at first, `create_time`.
    refresh_time: datetime

    @classmethod
    def from_wire(cls, wire: auth_pb2.UserSession) -> Self:
        """Read UserSession."""
        return cls(
            id=wire.id,
            user_id=wire.user_id,
            label=wire.label,
            source=wire.source,
            create_time=wire.create_time.ToDatetime(UTC),
            refresh_time=wire.refresh_time.ToDatetime(UTC),
        )


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of a user that have not ended."""

    sessions: tuple[UserSession, ...]
    # The caller's.
    current_session_id: int
    revision: int

    @classmethod
    def from_wire(cls, wire: auth_pb2.ListSessionsResponse) -> Self:
        """Read ListSessionsResponse."""
        return cls(
            tuple(UserSession.from_wire(one) for one in wire.sessions),
            wire.current_session_id,
            wire.revision,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """What was done, or refused, that concerns who may do what.

    Records are numbered without a gap; of more than 100,000 the oldest are gone.
    """

    id: int = 0
    # Of the inventory.
    time: datetime
    # The log position that made the record.
    revision: int = 0
    # What it is about: `login`, `authority`, the administration's name such as `create_user`,
    # or the change of the members such as `remove_member`; `left_out`: events that were too
    # many.
    kind: str = ""
    # `OK`, or the reason of the refusal.
    outcome: str = ""
    # The user who did it; 0: the inventory itself, or nobody who is known.
    actor_id: int = 0
    # The user's name at that time; of a log-in, the name that was given.
    actor: str = ""
    # The user whom it concerns, 0: none.
    subject_id: int = 0
    # The name, role, member or call that it is about.
    detail: str = ""
    # The address it came from, as far as a gateway knows.
    source: str = ""
    request_id: str = ""
    # Of how many like events.
    event_count: int = 0
    # SHA-256, in hexadecimal, of the record before; empty before the first.
    previous_hash: str = ""
    # SHA-256 of that hash and of this record, see docs/adr/0019.
    hash: str = ""

    @classmethod
    def from_wire(cls, wire: auth_pb2.AuditRecord) -> Self:
        """Read AuditRecord."""
        return cls(
            id=wire.id,
            time=wire.time.ToDatetime(UTC),
            revision=wire.revision,
            kind=wire.kind,
            outcome=wire.outcome,
            actor_id=wire.actor_id,
            actor=wire.actor,
            subject_id=wire.subject_id,
            detail=wire.detail,
            source=wire.source,
            request_id=wire.request_id,
            event_count=wire.event_count,
            previous_hash=wire.previous_hash,
            hash=wire.hash,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item and what is on hand of it."""

    id: int = 0
    # 1 to 200 characters, shown as given. Not blank, no space at either end, no controls,
    # format characters, line separators, private or unassigned characters.
    name: str = ""
    description: str = ""
    price: Money
    # On hand.
    quantity: int = 0
    create_time: datetime
    update_time: datetime
    # Absent unless deleted.
    delete_time: datetime | None = None

    @classmethod
    def from_wire(cls, wire: inventory_pb2.Item) -> Self:
        """Read Item."""
        return cls(
            id=wire.id,
            name=wire.name,
            description=wire.description,
            price=Money.from_wire(wire.price),
            quantity=wire.quantity,
            create_time=wire.create_time.ToDatetime(UTC),
            update_time=wire.update_time.ToDatetime(UTC),
            delete_time=wire.delete_time.ToDatetime(UTC) if wire.HasField("delete_time") else None,
        )


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A level that was changed."""

    item_id: int
    on_hand_after: int
    revision: int

    @classmethod
    def from_wire(
        cls, wire: inventory_pb2.AdjustStockResponse | inventory_pb2.SetStockResponse
    ) -> Self:
        """Read AdjustStockResponse or SetStockResponse."""
        return cls(wire.item_id, wire.on_hand_after, wire.revision)


@dataclass(frozen=True, slots=True)
class Placed:
    """An order of one item."""

    order_id: int
    on_hand_after: int
    total: Money
    revision: int

    @classmethod
    def from_wire(cls, wire: inventory_pb2.OrderItemResponse) -> Self:
        """Read OrderItemResponse."""
        return cls(wire.order_id, wire.on_hand_after, Money.from_wire(wire.total), wire.revision)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order."""

    item_id: int
    quantity: int
    unit_price: Money
    on_hand_after: int

    @classmethod
    def from_wire(cls, wire: inventory_pb2.PlacedLine) -> Self:
        """Read PlacedLine."""
        return cls(
            wire.item_id, wire.quantity, Money.from_wire(wire.unit_price), wire.on_hand_after
        )


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
        """Read Order."""
        return cls(
            wire.id,
            wire.user_id,
            tuple(OrderLine.from_wire(one) for one in wire.lines),
            Money.from_wire(wire.total),
            wire.create_time.ToDatetime(UTC),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStats:
    """What one item sold."""

    item_id: int = 0
    item_name: str = ""
    # On hand.
    quantity: int = 0
    order_count: int = 0
    units_sold: int = 0
    revenue: Money
    # Sold in the days before `as_of_time`.
    units_sold_last_day: int = 0
    units_sold_last_7_days: int = 0
    units_sold_last_30_days: int = 0
    # Absent: never ordered.
    first_order_time: datetime | None = None
    last_order_time: datetime | None = None
    # The log's time at the response's revision.
    as_of_time: datetime
    # The item's.
    create_time: datetime

    @classmethod
    def from_wire(cls, wire: inventory_pb2.ItemStats) -> Self:
        """Read ItemStats."""
        return cls(
            item_id=wire.item_id,
            item_name=wire.item_name,
            quantity=wire.quantity,
            order_count=wire.order_count,
            units_sold=wire.units_sold,
            revenue=Money.from_wire(wire.revenue),
            units_sold_last_day=wire.units_sold_last_day,
            units_sold_last_7_days=wire.units_sold_last_7_days,
            units_sold_last_30_days=wire.units_sold_last_30_days,
            first_order_time=wire.first_order_time.ToDatetime(UTC)
            if wire.HasField("first_order_time")
            else None,
            last_order_time=wire.last_order_time.ToDatetime(UTC)
            if wire.HasField("last_order_time")
            else None,
            as_of_time=wire.as_of_time.ToDatetime(UTC),
            create_time=wire.create_time.ToDatetime(UTC),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryStats:
    """Totals over all items, of one revision."""

    # Items that are not deleted, as every count of items here.
    item_count: int = 0
    total_quantity: int = 0
    stock_value: Money
    low_stock_count: int = 0
    out_of_stock_count: int = 0
    order_count: int = 0
    units_sold: int = 0
    revenue: Money
    as_of_time: datetime
    revision: int = 0

    @classmethod
    def from_wire(cls, wire: inventory_pb2.GetInventoryStatsResponse) -> Self:
        """Read GetInventoryStatsResponse."""
        return cls(
            item_count=wire.item_count,
            total_quantity=wire.total_quantity,
            stock_value=Money.from_wire(wire.stock_value),
            low_stock_count=wire.low_stock_count,
            out_of_stock_count=wire.out_of_stock_count,
            order_count=wire.order_count,
            units_sold=wire.units_sold,
            revenue=Money.from_wire(wire.revenue),
            as_of_time=wire.as_of_time.ToDatetime(UTC),
            revision=wire.revision,
        )


@dataclass(frozen=True, slots=True)
class StateHash:
    """A member's hash of its state at a checkpoint; members that agree have equal ones."""

    index: int
    # Hexadecimal.
    sha256: str

    @classmethod
    def from_wire(cls, wire: cluster_pb2.StateHash) -> Self:
        """Read StateHash."""
        return cls(wire.index, wire.sha256)


@dataclass(frozen=True, slots=True)
class Volume:
    """Where a member keeps its data."""

    size_bytes: int
    # For a process without privileges.
    free_bytes: int

    @classmethod
    def from_wire(cls, wire: cluster_pb2.Volume) -> Self:
        """Read Volume."""
        return cls(wire.size_bytes, wire.free_bytes)


@dataclass(frozen=True, slots=True)
class Election:
    """A leader that a member learned of."""

    term: int
    # A member's name.
    leader: str
    # When this member learned of it, by its own clock.
    see_time: datetime

    @classmethod
    def from_wire(cls, wire: cluster_pb2.Election) -> Self:
        """Read Election."""
        return cls(wire.term, wire.leader, wire.see_time.ToDatetime(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member as it sees itself.

    Of a member that is not reachable, only name and address are known.
    """

    name: str = ""
    id: int = 0
    # Host:port.
    address: str = ""
    # What follows is absent when not.
    reachable: bool = False
    role: MemberRole = MemberRole.UNKNOWN
    term: int = 0
    # The name of the leader that this member knows, or empty.
    leader: str = ""
    commit_index: int = 0
    applied_index: int = 0
    # Flushed to the database.
    durable_index: int = 0
    first_log_index: int = 0
    last_log_index: int = 0
    pid: int = 0
    version: str = ""
    # Of the newest checkpoint that this member has hashed.
    state_hash: StateHash | None = None
    standing: Standing = Standing.UNKNOWN
    # By name, as this member knows them; in order.
    voters: tuple[str, ...] = ()
    # Likewise.
    learners: tuple[str, ...] = ()
    # Why this member is out of service: at one index its state differs from that of a
    # majority of the voters. Empty: it does not, as far as it has been compared.
    diverged: str = ""
    # How far its clock is ahead of the median of the voters' clocks, as the leader measured
    # it; absent: not measured.
    clock_skew_ms: int | None = None
    # Absent until it was looked at.
    volume: Volume | None = None
    # The last 16 that this process saw, the oldest first.
    elections: tuple[Election, ...] = ()
    # It knows a leader, and has applied what that one had committed when it was met: it can
    # take another member's place.
    caught_up: bool = False

    @classmethod
    def from_wire(cls, wire: cluster_pb2.Member) -> Self:
        """Read Member."""
        return cls(
            name=wire.name,
            id=wire.id,
            address=wire.address,
            reachable=wire.reachable,
            role=MemberRole.from_wire(wire.role),
            term=wire.term,
            leader=wire.leader,
            commit_index=wire.commit_index,
            applied_index=wire.applied_index,
            durable_index=wire.durable_index,
            first_log_index=wire.first_log_index,
            last_log_index=wire.last_log_index,
            pid=wire.pid,
            version=wire.version,
            state_hash=StateHash.from_wire(wire.state_hash)
            if wire.HasField("state_hash")
            else None,
            standing=Standing.from_wire(wire.standing),
            voters=tuple(wire.voters),
            learners=tuple(wire.learners),
            diverged=wire.diverged,
            clock_skew_ms=wire.clock_skew_ms if wire.HasField("clock_skew_ms") else None,
            volume=Volume.from_wire(wire.volume) if wire.HasField("volume") else None,
            elections=tuple(Election.from_wire(one) for one in wire.elections),
            caught_up=wire.caught_up,
        )


@dataclass(frozen=True, slots=True)
class Status:
    """The cluster behind the gateway."""

    cluster_id: str
    # In order of name.
    members: tuple[Member, ...]
    # The leader of the highest term seen, or empty.
    leader: str
    # The host name of the gateway that answered.
    gateway: str

    @classmethod
    def from_wire(cls, wire: cluster_pb2.GetStatusResponse) -> Self:
        """Read GetStatusResponse."""
        return cls(
            wire.cluster_id,
            tuple(Member.from_wire(one) for one in wire.members),
            wire.leader,
            wire.gateway,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The assistant's answer."""

    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    # The question as it was understood, such as "items price<=500.00 sort=price".
    query: str = ""
    # 0 when nothing was read.
    revision: int = 0
    understood: bool = False

    @classmethod
    def from_wire(cls, wire: assistant_pb2.GetPredictionResponse) -> Self:
        """Read GetPredictionResponse."""
        return cls(
            text=wire.text,
            columns=tuple(wire.columns),
            rows=tuple(tuple(one.cells) for one in wire.rows),
            query=wire.query,
            revision=wire.revision,
            understood=wire.understood,
        )
