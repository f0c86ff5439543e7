"""The rules of the state machine once more, plainly: what each command must come to.

Nothing is cached, counted ahead or flushed: levels, statistics and counters are sums over a ledger,
and the memory of requests is a list of periods. A `PlainMachine` takes the entries that
a `Machine` takes, and returns what that has to return.

Caveat: the bounds of a message are not checked here either, since nothing out of bounds enters the
log.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from uuid import UUID

from google.protobuf.message import Message
from google.rpc import status_pb2
from google.type import money_pb2
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine import AdminOutcome, Applied, MutationOutcome, RefusedCommand
from inventory_node.machine import request_table as limits
from inventory_node.machine.changes import Movement
from inventory_node.machine.records import (
    AuditRow,
    ItemRecord,
    Remembered,
    SessionRecord,
    UserRecord,
)
from raft.messages import Entry, EntryKind
from wire import errors

from sim.seats import seats

Outcome = inventory_pb2.Outcome
NANOS = 10**9
PRICE_MINOR_MAX = 10**12
QUANTITY_MAX = 10**9
REVENUE_MINOR_MAX = 10**18
HOUR_MS = 3_600_000
IDLE_MS = 30 * 24 * HOUR_MS
SESSIONS_MAX = 32
ROLES: dict[int, str] = {
    auth_pb2.ROLE_CUSTOMER: "customer",
    auth_pb2.ROLE_PRODUCER: "producer",
    auth_pb2.ROLE_ADMIN: "admin",
    auth_pb2.ROLE_MACHINE: "machine",
    auth_pb2.ROLE_VIEWER: "viewer",
}
KEEPERS, BUYERS, ADMINS = "producer or admin", "customer or admin", "admin"
PROBER = "health"
PROBERS = "admin, or the machine user health"


class RefusedPlainly(Exception):  # noqa: N818 - what became of a command is its name
    """A command that is refused, with its status."""

    def __init__(self, status: status_pb2.Status) -> None:
        """Carry the status."""
        super().__init__(status.message)
        self.status = status


def second_of_id(request_id: str) -> int:
    """Return the second of a UUIDv7 in its written form; 0 for an id without a time."""
    try:
        found = UUID(request_id)
    except ValueError:
        return 0
    if str(found) != request_id or found.version != 7:  # RFC 9562
        return 0
    return (found.int >> 80) // 1_000


@dataclass(slots=True)
class PlainPeriod:
    """Requests of one user in one period; a forgotten period leaves the newest time of its ids."""

    number: int
    user_id: int
    begin: int
    newest: int = 0
    requests: dict[str, Remembered] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How much the requests count."""
        return sum(slots_of(one.outcome) for one in self.requests.values())


def slots_of(outcome: bytes) -> int:
    """Return how much a request counts: 1, and 1 more for each whole 512 bytes."""
    return 1 + len(outcome) // 512


@dataclass(slots=True)
class PlainRequests:
    """The memory of requests, of all users, in the order in which the periods began."""

    periods: list[PlainPeriod] = field(default_factory=list)
    next_number: int = 1

    def slots(self, user_id: int | None = None) -> int:
        """How much the requests of a user count, or of all users."""
        return sum(one.slots for one in self.periods if user_id in {None, one.user_id})

    def forget(self, stamp_ms: int) -> None:
        """Forget periods: first those that are too old, then those above the bounds."""
        oldest_begin = stamp_ms // 1_000 - limits.PERIOD_SECONDS - limits.KEPT_SECONDS - 10
        aged = [one for one in self.periods if one.begin <= oldest_begin]
        for one in aged[: limits.FORGOTTEN_PER_ENTRY_MAX]:
            self.periods.remove(one)
        if self.slots() > limits.KEPT_MAX:
            while self.slots() > limits.KEPT_MAX - limits.KEPT_MAX // 64:
                full = [one for one in self.periods if one.requests]
                oldest = {one.user_id: one for one in reversed(full)}.values()
                kept = {one.number: self.slots(one.user_id) - one.slots for one in oldest}
                self._forget(max(oldest, key=lambda one: (kept[one.number], -one.number)))

    def _forget(self, period: PlainPeriod) -> None:
        """Forget the requests of a period; its newest time stays, as the user's floor."""
        before = [
            one
            for one in self.periods
            if one.user_id == period.user_id and one.number < period.number
        ]
        period.newest = max(one.newest for one in (*before, period))
        period.requests = {}
        self.periods = [one for one in self.periods if one not in before]

    def floor(self, user_id: int, now: int) -> int:
        """Return the second up to which ids of a user may have been forgotten."""
        empty = [one for one in self.periods if one.user_id == user_id and not one.requests]
        return max([now - 86_401, *(one.newest for one in empty)])

    def find(self, user_id: int, request_id: str, raw: bytes, now: int) -> Remembered | None:
        """Return what a request came to before; raise RefusedPlainly for an id that does not do."""
        for period in self.periods:
            one = period.requests.get(request_id)
            if one is not None and period.user_id == user_id:
                if one.digest != digest_of(raw):
                    raise RefusedPlainly(errors.request_id_reused(request_id))
                return one
        second = second_of_id(request_id)
        if 0 < second <= self.floor(user_id, now):
            raise RefusedPlainly(errors.request_id_expired(request_id, second, now))
        if second > now + 10:
            raise RefusedPlainly(errors.request_id_in_future(request_id, second, now))
        return None

    def keep(
        self,
        user_id: int,
        request_id: str,
        raw: bytes,
        applied: MutationOutcome | AdminOutcome,
        now: int,
    ) -> None:
        """Remember what a request came to."""
        while 0 < self.slots(user_id) > limits.SHARE_MAX - slots_of(applied.outcome):
            self._forget(
                next(one for one in self.periods if one.user_id == user_id and one.requests)
            )
        period = next((one for one in reversed(self.periods) if one.user_id == user_id), None)
        if period is None or self._is_ended(period, now):
            period = PlainPeriod(self.next_number, user_id, now)
            self.periods.append(period)
            self.next_number += 1
        is_administration = isinstance(applied, AdminOutcome)
        period.requests[request_id] = Remembered(
            period.number, request_id, digest_of(raw), applied.outcome, is_administration
        )
        period.newest = max(period.newest, second_of_id(request_id))

    def _is_ended(self, period: PlainPeriod, now: int) -> bool:
        part = self.slots(period.user_id) / 8
        most = min(max(part, limits.PERIOD_SLOTS_MIN), limits.PERIOD_SLOTS_MAX)
        return (
            not period.requests
            or now - period.begin >= limits.PERIOD_SECONDS
            or period.slots >= most
        )


@dataclass(slots=True, kw_only=True)
class PlainStock:
    """Descriptions of items, and a ledger that levels and statistics are sums over."""

    currency: str = ""
    digits: int = 0
    revision: int = 0
    stamp_ms: int = 0
    described: list[ItemRecord] = field(default_factory=list)  # without levels and sales
    ledger: list[Movement] = field(default_factory=list)

    def done(  # noqa: PLR0911 - one return a kind
        self, kind: str, request: Message, user_id: int
    ) -> Outcome:
        """Do what a mutation asks for; raise RefusedPlainly where a rule does."""
        match request:
            case inventory_pb2.AddItemRequest():
                shown = self.added(request, user_id)
                return outcome_of(kind, revision=self.revision, item=shown)
            case inventory_pb2.UpdateItemRequest():
                shown = self._updated(request)
                return outcome_of(kind, revision=self.revision, item=shown)
            case inventory_pb2.DeleteItemRequest():
                item = self._living(request.item_id)
                item.delete_ms = item.update_ms = self.stamp_ms
                return outcome_of(kind, revision=self.revision, item=self.shown(item))
            case inventory_pb2.AdjustStockRequest():
                return self._level(kind, self._living(request.item_id), request.delta, user_id)
            case inventory_pb2.SetStockRequest():
                item = self._living(request.item_id)
                found = self.quantity(item.id)
                if request.HasField("expected_quantity") and request.expected_quantity != found:
                    expected = request.expected_quantity
                    raise RefusedPlainly(errors.quantity_changed(item.id, expected, found))
                return self._level(kind, item, request.quantity - found, user_id)
            case inventory_pb2.OrderItemRequest():
                order = self._placed([(request.item_id, request.quantity)], user_id)
                return outcome_of(
                    kind,
                    revision=self.revision,
                    order_id=order.id,
                    on_hand_after=order.lines[0].on_hand_after,
                    total=order.total,
                )
            case inventory_pb2.PlaceOrderRequest():
                lines = [(line.item_id, line.quantity) for line in request.lines]
                order = self._placed(lines, user_id)
                return outcome_of(kind, revision=self.revision, order=order)
            case _:
                raise TypeError(f"{kind} has no rule here")

    def added(self, request: inventory_pb2.AddItemRequest, user_id: int) -> inventory_pb2.Item:
        """Keep a new item."""
        item = ItemRecord(
            id=len(self.described) + 1,
            name=request.name,
            description=request.description,
            price_minor=self._price(request.price),
            quantity=0,
            create_ms=self.stamp_ms,
            update_ms=self.stamp_ms,
        )
        self.described.append(item)
        if request.quantity:
            self._move(item, request.quantity, user_id, 0)
        return self.shown(item)

    def _updated(self, request: inventory_pb2.UpdateItemRequest) -> inventory_pb2.Item:
        given = request.item
        item = self._living(given.id)
        is_set = {
            "name": bool(given.name),
            "description": bool(given.description),
            "price": given.HasField("price"),
        }
        if request.HasField("update_mask"):
            is_set = {name: name in request.update_mask.paths for name in is_set}
        price_minor = self._price(given.price) if is_set["price"] else item.price_minor
        item.price_minor = price_minor
        item.name = given.name if is_set["name"] else item.name
        item.description = given.description if is_set["description"] else item.description
        item.update_ms = self.stamp_ms
        return self.shown(item)

    def _level(self, kind: str, item: ItemRecord, delta: int, user_id: int) -> Outcome:
        before = self.quantity(item.id)
        if before + delta < 0:
            raise RefusedPlainly(errors.insufficient_stock(item.id, -delta, before))
        if before + delta > QUANTITY_MAX:
            raise RefusedPlainly(errors.quantity_too_large(item.id, before + delta, QUANTITY_MAX))
        if delta:
            self._move(item, delta, user_id, 0)
        after = before + delta
        return outcome_of(kind, revision=self.revision, item_id=item.id, on_hand_after=after)

    def _placed(self, lines: Sequence[tuple[int, int]], user_id: int) -> inventory_pb2.Order:
        items = []
        total = 0
        for item_id, quantity in lines:
            item, found = self._living(item_id), self.quantity(item_id)
            if quantity > found:
                raise RefusedPlainly(errors.insufficient_stock(item_id, quantity, found))
            total += item.price_minor * quantity
            if total + self.record(item_id).revenue_minor > REVENUE_MINOR_MAX:
                raise RefusedPlainly(errors.total_too_large())
            items.append(item)
        order_id = len(self.ledger) + 1
        order = inventory_pb2.Order(id=order_id, user_id=user_id, total=self.money(total))
        set_time(order.create_time, self.stamp_ms)
        for item, (item_id, quantity) in zip(items, lines, strict=True):
            self._move(item, -quantity, user_id, order_id)
            order.lines.add(
                item_id=item_id,
                quantity=quantity,
                unit_price=self.money(item.price_minor),
                on_hand_after=self.quantity(item_id),
            )
        return order

    def _move(self, item: ItemRecord, delta: int, user_id: int, order_id: int) -> None:
        line, after = len(self.ledger) + 1, self.quantity(item.id) + delta
        price_minor = item.price_minor if order_id else 0
        self.ledger.append(
            Movement(line, order_id, item.id, user_id, delta, after, price_minor, self.stamp_ms)
        )

    def quantity(self, item_id: int) -> int:
        """Return what is on hand of an item."""
        return sum(line.delta for line in self.ledger if line.item_id == item_id)

    def record(self, item_id: int) -> ItemRecord:
        """Return an item with its level and its sales."""
        sold = [line for line in self.ledger if line.item_id == item_id and line.order_id]
        return replace(
            self.described[item_id - 1],
            quantity=self.quantity(item_id),
            order_count=len(sold),
            units_sold=sum(-line.delta for line in sold),
            revenue_minor=sum(-line.delta * line.unit_price_minor for line in sold),
            first_order_ms=min((line.stamp_ms for line in sold), default=0),
            last_order_ms=max((line.stamp_ms for line in sold), default=0),
        )

    def units(self, item_id: int, days: int) -> int:
        """Return the units sold in the hour of the log's time and the whole hours before it."""
        begin_ms = (self.stamp_ms // HOUR_MS - 24 * days + 1) * HOUR_MS
        return -sum(
            line.delta
            for line in self.ledger
            if line.item_id == item_id and line.order_id and line.stamp_ms >= begin_ms
        )

    def _living(self, item_id: int) -> ItemRecord:
        if not 0 < item_id <= len(self.described):
            raise RefusedPlainly(errors.item_not_found(item_id))
        item = self.described[item_id - 1]
        if item.delete_ms:
            raise RefusedPlainly(errors.item_deleted(item_id))
        return item

    def _price(self, price: money_pb2.Money) -> int:
        given = price.currency_code or price.units or price.nanos
        if given and price.currency_code != self.currency:
            raise RefusedPlainly(errors.currency_mismatch(self.currency, price.currency_code))
        minor: int
        minor, rest = divmod(price.units * NANOS + price.nanos, NANOS // 10**self.digits)
        if rest or price.units * price.nanos < 0 or abs(price.nanos) >= NANOS:
            raise RefusedPlainly(errors.price_not_representable(self.digits))
        if minor > PRICE_MINOR_MAX:
            problem = f"must be at most {PRICE_MINOR_MAX} minor units"
            raise RefusedPlainly(errors.invalid_field("price", problem))
        return minor

    def money(self, minor: int) -> money_pb2.Money:
        """Return an amount for the wire."""
        nanos = minor * NANOS // 10**self.digits
        return money_pb2.Money(
            currency_code=self.currency, units=nanos // NANOS, nanos=nanos % NANOS
        )

    def shown(self, item: ItemRecord) -> inventory_pb2.Item:
        """Return an item for the wire."""
        shown = inventory_pb2.Item(
            id=item.id,
            name=item.name,
            description=item.description,
            price=self.money(item.price_minor),
            quantity=self.quantity(item.id),
        )
        set_time(shown.create_time, item.create_ms)
        set_time(shown.update_time, item.update_ms)
        if item.delete_ms:
            set_time(shown.delete_time, item.delete_ms)
        return shown


@dataclass(slots=True)
class PlainUsers:
    """The users, by id from 1 on."""

    known: list[UserRecord] = field(default_factory=list)

    def user(self, command: log_pb2.Command) -> UserRecord:
        """Return who commands; raise RefusedPlainly where the token does not hold."""
        user_id, problem = command.user_id, "names a user who is not there"
        if 0 < user_id <= len(self.known):
            user = self.known[user_id - 1]
            if user.delete_ms:
                problem = "belongs to a user who is deleted"
            elif user.disabled:
                problem = "belongs to a user who is disabled"
            elif user.epoch != command.epoch:
                problem = "was ended by a change of the user's password, role or state"
            else:
                return user
        raise RefusedPlainly(errors.token_invalid(problem))

    def found(self, user_id: int) -> UserRecord | None:
        """Return a user, or None."""
        return self.known[user_id - 1] if 0 < user_id <= len(self.known) else None

    def by_id(self, user_id: int) -> UserRecord:
        """Return a user; raise RefusedPlainly where there is none."""
        if not 0 < user_id <= len(self.known):
            raise RefusedPlainly(errors.user_not_found(user_id))
        if self.known[user_id - 1].delete_ms:
            raise RefusedPlainly(errors.user_deleted(user_id))
        return self.known[user_id - 1]

    def named(self, folded_name: str) -> UserRecord | None:
        """Return who has a name, of those that are not deleted."""
        known = (one for one in self.known if not one.delete_ms)
        return next((one for one in known if one.folded_name == folded_name), None)

    def demote(self, user: UserRecord) -> None:
        """End a user's tokens; raise RefusedPlainly for the last admin."""
        if [one for one in self.known if is_admin(one)] == [user]:
            raise RefusedPlainly(errors.last_admin(user.id))
        user.epoch += 1

    def add_user(self, new: log_pb2.NewUser, stamp_ms: int) -> UserRecord:
        """Keep a new user; raise RefusedPlainly where the name is taken."""
        if self.named(new.folded_name) is not None:
            raise RefusedPlainly(errors.user_exists(new.name))
        user = UserRecord(
            id=len(self.known) + 1,
            name=new.name,
            role=new.role,
            epoch=1,
            disabled=False,
            create_ms=stamp_ms,
            password_hash=new.password_hash,
            folded_name=new.folded_name,
            must_change_password=new.must_change_password,
        )
        self.known.append(user)
        return user


@dataclass(slots=True)
class PlainSessions:
    """The log-ins that nobody ended; those that ended by themselves are among them for a while."""

    kept: list[SessionRecord] = field(default_factory=list)
    next_id: int = 1

    def going(self, user: UserRecord, now_ms: int) -> list[SessionRecord]:
        """Return a user's sessions that go on."""
        return [
            one
            for one in self.kept
            if one.user_id == user.id
            and one.epoch == user.epoch
            and one.refresh_ms + IDLE_MS >= now_ms
        ]

    def require(self, command: log_pb2.Command, now_ms: int) -> None:
        """Raise RefusedPlainly where a command's session does not go on."""
        found = [
            one
            for one in self.kept
            if (one.id, one.user_id) == (command.session_id, command.user_id)
        ]
        if not found or now_ms > found[0].refresh_ms + IDLE_MS:
            raise RefusedPlainly(errors.token_invalid("belongs to a session that has ended"))

    def start(
        self, user: UserRecord | None, asked: log_pb2.StartSession, now_ms: int
    ) -> SessionRecord:
        """Start a session; forget those of the user that ended, and the oldest of too many."""
        if user is None or user.disabled or user.delete_ms or asked.epoch != user.epoch:
            raise RefusedPlainly(errors.invalid_credentials())
        going = sorted(self.going(user, now_ms), key=lambda one: (one.refresh_ms, one.id))
        while len(going) >= SESSIONS_MAX:
            del going[0]
        self.kept = [one for one in self.kept if one.user_id != user.id or one in going]
        self.next_id += 1
        session = SessionRecord(
            id=self.next_id - 1,
            user_id=user.id,
            epoch=user.epoch,
            create_ms=now_ms,
            refresh_ms=now_ms,
            label=asked.label,
            source=asked.source,
            family_hash=asked.family_hash,
            secret_hash=asked.secret_hash,
        )
        self.kept.append(session)
        return session

    def of_family(
        self, user: UserRecord | None, asked: log_pb2.RefreshSession, now_ms: int
    ) -> SessionRecord:
        """Return the session that a refresh token is of; raise RefusedPlainly."""
        if user is not None and not user.disabled and not user.delete_ms:
            for one in self.going(user, now_ms):
                if (one.id, one.family_hash) == (asked.session_id, asked.family_hash):
                    return one
        raise RefusedPlainly(errors.session_ended())

    def refresh(
        self, session: SessionRecord, asked: log_pb2.RefreshSession, now_ms: int
    ) -> SessionRecord | None:
        """Let the next secret serve; an old secret ends the session."""
        if session.secret_hash != asked.secret_hash:
            self.kept.remove(session)
            return None
        session.secret_hash, session.refresh_ms = asked.next_secret_hash, now_ms
        return session

    def end(self, user: UserRecord, asked: auth_pb2.EndSessionsRequest, now_ms: int) -> int:
        """End one session, or all of a user; return how many."""
        ends = [one for one in self.going(user, now_ms) if asked.session_id in {0, one.id}]
        if asked.session_id and not ends:
            raise RefusedPlainly(errors.session_not_found(asked.session_id))
        self.kept = [one for one in self.kept if one not in ends]
        return len(ends)


@dataclass(slots=True, kw_only=True)
class PlainMachine:
    """The state after the entries that were applied: stock, users, and the memory of requests."""

    applied_index: int = 0
    stamp_ms: int = 0
    cluster_id: str = ""
    stock: PlainStock = field(default_factory=PlainStock)
    users: PlainUsers = field(default_factory=PlainUsers)
    sessions: PlainSessions = field(default_factory=PlainSessions)
    requests: PlainRequests = field(default_factory=PlainRequests)
    audit: list[AuditRow] = field(default_factory=list)

    def apply(self, entry: Entry) -> list[Applied]:
        """Apply an entry."""
        self.applied_index = self.stock.revision = entry.index
        if entry.kind is not EntryKind.COMMAND:
            return []
        batch = log_pb2.Batch.FromString(entry.payload)
        self.stamp_ms = self.stock.stamp_ms = batch.stamp_ms
        self.requests.forget(batch.stamp_ms)
        return [self._command(command) for command in batch.commands]

    def _command(self, command: log_pb2.Command) -> Applied:
        try:
            return self._tried(command)
        except RefusedPlainly as refused:
            return RefusedCommand(refused.status.SerializeToString())

    def _tried(self, command: log_pb2.Command) -> Applied:
        if not self.cluster_id and command.user_id:
            raise RefusedPlainly(errors.not_initialized())
        if command.user_id:
            self.sessions.require(command, self.stamp_ms)
        match command.WhichOneof("kind"):
            case "mutation":
                return self._mutation(command)
            case "probe":
                user = self.users.user(command)
                require_own_password(user)
                if user.role != auth_pb2.ROLE_ADMIN and not is_prober(user):
                    raise RefusedPlainly(errors.role_not_allowed(ROLES[user.role], PROBERS))
                return admin(revision=self.applied_index)
            case _:
                return self._administration(command)

    def _mutation(self, command: log_pb2.Command) -> Applied:
        kind = command.mutation.WhichOneof("operation") or ""
        request = getattr(command.mutation, kind)
        raw, now = command.mutation.SerializeToString(), self.stamp_ms // 1_000
        user = self.users.user(command)
        require_role(user, BUYERS if kind in {"order_item", "place_order"} else KEEPERS)
        known = self.requests.find(command.user_id, request.request_id, raw, now)
        if known is not None:
            return again(known)
        try:
            outcome = self.stock.done(kind, request, command.user_id)
        except RefusedPlainly as refused:
            outcome = Outcome(error=refused.status)
        applied = MutationOutcome(outcome.SerializeToString())
        self.requests.keep(command.user_id, request.request_id, raw, applied, now)
        return applied

    def _administration(self, command: log_pb2.Command) -> Applied:
        request = command.administration
        if request.HasField("initialize"):
            return self._initialize(command)
        raw, now = request.SerializeToString(), self.stamp_ms // 1_000
        whose = self._require_right(command)
        known = self.requests.find(whose, request.request_id, raw, now)
        if known is not None:
            return again(known)
        applied = self._administered(request, command.user_id)
        self._record(command, applied)
        self.requests.keep(whose, request.request_id, raw, applied, now)
        return applied

    def _require_right(self, command: log_pb2.Command) -> int:
        """Return among whose requests a command is remembered; raise RefusedPlainly."""
        request = command.administration
        for kind in ("start_session", "refresh_session"):
            if request.HasField(kind):
                if command.user_id:
                    raise RefusedPlainly(errors.role_not_allowed("user", "the gateway itself"))
                whose: int = getattr(request, kind).user_id
                if kind == "refresh_session":
                    user = self.users.found(whose)
                    self.sessions.of_family(user, request.refresh_session, self.stamp_ms)
                return whose
        if command.user_id:
            user = self.users.user(command)
            is_machine = user.role == auth_pb2.ROLE_MACHINE
            if request.HasField("record_audit"):
                require_role(user, "the gateway itself")
            sets_own = request.set_password.user_id == user.id and not is_machine
            ends_own = request.end_sessions.user_id == user.id
            if not (sets_own or ends_own or request.HasField("upgrade_hash")):
                require_role(user, ADMINS)
        return command.user_id

    def _administered(self, request: log_pb2.Administration, by: int) -> AdminOutcome:
        match request.WhichOneof("operation"):
            case "checkpoint":
                found = admin(revision=self.applied_index, checkpoint_index=self.applied_index)
                return replace(found, checkpoint=True)
            case "start_session" | "refresh_session" | "end_sessions":
                return self._sat(request)
            case "create_user":
                new = request.create_user.user
                user = self.users.add_user(new, self.stamp_ms)
            case "set_password":
                user = self.users.by_id(request.set_password.user_id)
                user.password_hash = request.set_password.password_hash
                wanted = request.set_password.must_change_password
                user.must_change_password = wanted and by != user.id
                user.epoch += 1
            case "record_audit":
                return admin(revision=self.applied_index)
            case "upgrade_hash":
                user = self.users.by_id(by)
                if user.password_hash == request.upgrade_hash.replaced_hash:
                    user.password_hash = request.upgrade_hash.password_hash
            case _:
                user = self._changed_user(request)
        return admin(revision=self.applied_index, user=shown_user(user))

    def _record(self, command: log_pb2.Command, applied: AdminOutcome) -> None:
        """Add to the audit log what an administration leaves there."""
        request, subject_id = command.administration, 0
        kind = request.WhichOneof("operation") or ""
        events = list(request.record_audit.events)
        if kind in {"start_session", "refresh_session", "end_sessions", "upgrade_hash"}:
            return  # gateways report log-ins and log-outs
        if kind != "record_audit":
            subject_id = log_pb2.AdministrationOutcome.FromString(applied.outcome).user.id
            detail = {
                "create_user": f"{ROLES.get(request.create_user.user.role)} "
                f"{request.create_user.user.name}",
                "rename_user": request.rename_user.name,
                "change_role": ROLES.get(request.change_role.role, ""),
            }.get(kind, "")
            events = [
                log_pb2.AuditEvent(
                    kind=kind,
                    outcome="OK",
                    actor_id=command.user_id,
                    detail=detail,
                    source=command.source,
                    request_id=request.request_id,
                    event_count=1,
                )
            ]
        for event in events:
            known = 0 < event.actor_id <= len(self.users.known)
            name = self.users.known[event.actor_id - 1].name if known else ""
            before = self.audit[-1].hash if self.audit else ""
            row = AuditRow(
                len(self.audit) + 1,
                self.stamp_ms,
                self.applied_index,
                event.kind,
                event.outcome,
                event.actor_id,
                event.actor or name,
                subject_id,
                event.detail,
                event.source,
                event.request_id,
                event.event_count,
                before,
                "",
            )
            self.audit.append(row._replace(hash=chained(row)))

    def _changed_user(self, request: log_pb2.Administration) -> UserRecord:
        """Do what concerns who a user is, and whether and as what the user may log in."""
        kind = request.WhichOneof("operation") or ""
        asked = getattr(request, kind)
        user = self.users.by_id(asked.user_id)
        match kind:
            case "disable_user":
                if not user.disabled:
                    self.users.demote(user)
                user.disabled = True
            case "enable_user":
                user.disabled = False
            case "rename_user":
                if self.users.named(asked.folded_name) not in (None, user):
                    raise RefusedPlainly(errors.user_exists(asked.name))
                user.name, user.folded_name = asked.name, asked.folded_name
            case "change_role":
                if user.role != asked.role:
                    self.users.demote(user)
                user.role = asked.role
            case "delete_user":
                self.users.demote(user)
                user.delete_ms, user.password_hash = self.stamp_ms, ""
            case _:
                raise TypeError("an administration has no rule here")
        return user

    def _sat(self, request: log_pb2.Administration) -> AdminOutcome:
        if request.HasField("end_sessions"):
            ends = request.end_sessions
            count = self.sessions.end(self.users.by_id(ends.user_id), ends, self.stamp_ms)
            return admin(revision=self.applied_index, ended_sessions=count)
        if request.HasField("start_session"):
            starts = request.start_session
            user = self.users.found(starts.user_id)
            session: SessionRecord | None = self.sessions.start(user, starts, self.stamp_ms)
        else:
            asked = request.refresh_session
            user = self.users.found(asked.user_id)
            found = self.sessions.of_family(user, asked, self.stamp_ms)
            session = self.sessions.refresh(found, asked, self.stamp_ms)
        outcome = log_pb2.SessionOutcome()
        if session is not None:
            outcome.epoch = session.epoch
            outcome.session.CopyFrom(shown_session(session))
        return admin(revision=self.applied_index, session=outcome)

    def _initialize(self, command: log_pb2.Command) -> Applied:
        request = command.administration.initialize
        if command.user_id:
            raise RefusedPlainly(errors.role_not_allowed("user", "the cluster itself"))
        is_first = not self.cluster_id
        if is_first:
            self.cluster_id = request.cluster_id
            self.stock.currency, self.stock.digits = (
                request.currency.code,
                request.currency.minor_digits,
            )
            for new in request.users:
                if self.users.named(new.folded_name) is None:
                    self.users.add_user(new, self.stamp_ms)
            self.sessions.kept = list(seats(self.users.known, self.stamp_ms))
            self.sessions.next_id = len(self.sessions.kept) + 1
            for item in request.items:
                self.stock.added(item, 0)
        return admin(revision=self.applied_index, initialized=is_first)


def chained(row: AuditRow) -> str:
    """Return the hash of a record of the audit log."""
    fields = {key: value for key, value in row._asdict().items() if not key.endswith("hash")}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(bytes.fromhex(row.previous_hash) + text.encode()).hexdigest()


def is_admin(user: UserRecord) -> bool:
    """Tell whether a user may do all."""
    return user.role == auth_pb2.ROLE_ADMIN and not user.disabled and not user.delete_ms


def is_prober(user: UserRecord) -> bool:
    """Tell whether a user is the one that probes the cluster."""
    return user.name == PROBER and user.role == auth_pb2.ROLE_MACHINE


def require_role(user: UserRecord, roles: str) -> None:
    """Raise RefusedPlainly unless a user has one of the roles, and a password of its own."""
    require_own_password(user)
    if ROLES[user.role] not in roles.split(" or "):
        raise RefusedPlainly(errors.role_not_allowed(ROLES[user.role], roles))


def require_own_password(user: UserRecord) -> None:
    """Raise RefusedPlainly while a user has to change its password."""
    if user.must_change_password:
        raise RefusedPlainly(errors.password_change_needed(user.id))


def shown_user(user: UserRecord) -> auth_pb2.User:
    """Return a user for the wire."""
    shown = auth_pb2.User(
        id=user.id,
        name=user.name,
        role=auth_pb2.Role.ValueType(user.role),
        disabled=user.disabled,
        must_change_password=user.must_change_password,
    )
    set_time(shown.create_time, user.create_ms)
    if user.delete_ms:
        set_time(shown.delete_time, user.delete_ms)
    return shown


def shown_session(session: SessionRecord) -> auth_pb2.UserSession:
    """Return a session for the wire."""
    shown = auth_pb2.UserSession(
        id=session.id, user_id=session.user_id, label=session.label, source=session.source
    )
    set_time(shown.create_time, session.create_ms)
    set_time(shown.refresh_time, session.refresh_ms)
    return shown


def set_time(field: Message, stamp_ms: int) -> None:
    """Set a Timestamp."""
    moment = datetime.fromtimestamp(stamp_ms // 1_000, UTC).replace(
        microsecond=stamp_ms % 1_000 * 1_000
    )
    field.FromDatetime(moment)  # type: ignore[attr-defined]  # of every Timestamp


def outcome_of(kind: str, **fields: object) -> Outcome:
    """Return an outcome that is no refusal."""
    outcome = Outcome()
    response = getattr(outcome, kind)
    response.CopyFrom(type(response)(**fields))
    return outcome


def admin(**fields: object) -> AdminOutcome:
    """Return the outcome of an administration or of a probe."""
    outcome = log_pb2.AdministrationOutcome(**fields)  # type: ignore[arg-type]  # checked by protobuf
    return AdminOutcome(outcome.SerializeToString())


def again(one: Remembered) -> MutationOutcome | AdminOutcome:
    """Return what a request came to before."""
    return AdminOutcome(one.outcome) if one.administration else MutationOutcome(one.outcome)


def digest_of(raw: bytes) -> bytes:
    """Return what tells one payload from another."""
    return blake2b(raw, digest_size=16).digest()
