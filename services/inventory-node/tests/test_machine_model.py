"""The machine against the plain rules of `sim.plain_machine`, and memory against the database.

Each history is applied by members that flush, take, restart and forget in their own ways. Every
command must come to what the plain rules say, and every flush must leave memory, tables and a
machine that is loaded from them equal.
"""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from google.type import money_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine import (
    Applied,
    Machine,
    MutationOutcome,
    RefusedCommand,
    request_table,
    state_cache,
)
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Header, PeriodRow, UserRecord
from inventory_node.runtime.sqlite import Database
from raft.messages import Entry
from sim import histories
from sim.histories import History, entries_of
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    START_MS,
    STOCK,
    WATCHER,
    EmptyRecords,
    Hand,
    adjust,
    by,
    first_state,
    open_database,
    order,
    place,
    usd,
    uuid7,
)
from sim.plain_machine import PlainMachine, is_admin, is_prober, shown_session, shown_user
from sim.tables import Tables, check_balance, check_flushed, empty
from wire import errors, money

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
STEPS = ("go on", "flush", "take", "settle", "restart")
plans = st.lists(st.sampled_from(STEPS), min_size=10, max_size=10)
squeezes = st.sampled_from(
    (
        {"KEPT_MAX": request_table.KEPT_MAX},
        {"KEPT_MAX": 8, "RESIDENT_MAX": 1, "FORGOTTEN_PER_ENTRY_MAX": 2, "PERIOD_SLOTS_MIN": 2},
        {"KEPT_MAX": 1, "RESIDENT_MAX": 0, "FORGOTTEN_PER_ENTRY_MAX": 1},
        {"SHARE_MAX": 3, "KEPT_MAX": 5, "RESIDENT_MAX": 2, "PERIOD_SLOTS_MIN": 1},
        {"SHARE_MAX": 12, "PERIOD_SLOTS_MIN": 1, "PERIOD_SLOTS_MAX": 2, "RESIDENT_MAX": 4},
    )
)
quick = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Database, Database]]:
    """Open two databases that serve for many histories."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (open_database(Path(folder) / f"{name}.db") for name in "ab")
        yield first, second
        first.close()
        second.close()


class Member:
    """A machine over a database of its own; it takes, flushes and restarts when it is told to."""

    def __init__(self, database: Database) -> None:
        """Begin with nothing."""
        empty(database)
        self.database = database
        self.hand = Hand(database)
        self.taken = list[Changes]()  # on their way to the database, oldest first
        self.log: list[tuple[Entry, list[Applied]]] = []  # with what each came to

    def apply(self, entry: Entry) -> list[Applied]:
        """Apply an entry."""
        came_to: list[Applied] = [*self.hand.machine.apply(entry)]
        self.log.append((entry, came_to))
        return came_to

    def step(self, name: str) -> None:
        """Do what a plan says."""
        match name:
            case "take":
                self.take()
            case "settle":
                self.settle()
            case "flush":
                self.flush()
            case "restart":
                self.restart()
            case _:
                pass

    def take(self) -> None:
        """Take what changed; the flush comes later."""
        changes = self.hand.machine.take_changes()
        if changes is not None:
            self.taken.append(changes)

    def settle(self) -> None:
        """Flush the oldest take; apply went on meanwhile."""
        if self.taken:
            self.database.flush(self.taken.pop(0))
            self.hand.machine.flushed()
            tables = check_balance(self.database)
            if tables.header.applied_index == self.hand.machine.applied_index:
                check_bounds(self.hand.machine)

    def flush(self) -> Tables:
        """Flush all, and compare all."""
        self.take()
        while self.taken:
            self.settle()
        return check_flushed(self.hand.machine, self.database)

    def restart(self) -> None:
        """Lose what is not flushed and apply it again; it comes to what it came to before."""
        self.taken.clear()
        self.hand = Hand(self.database)
        for entry, came_to in self.log[self.hand.machine.applied_index :]:
            assert self.hand.machine.apply(entry) == came_to


def check_bounds(machine: Machine) -> None:
    """Require that a flush of all that was applied leaves memory within its bounds."""
    cache, requests = machine._cache, machine._requests
    assert len(cache._items) <= state_cache.ITEMS_MAX
    assert len(cache._users) <= state_cache.USERS_MAX
    assert requests.resident_slots <= request_table.RESIDENT_MAX
    for item_id in range(1, cache.next_item_id):
        cache.before_reading()
        assert len(cache._items) <= 2 * state_cache.ITEMS_MAX
        assert cache.item(item_id) is not None


def check_reads(hand: Hand, plain: PlainMachine) -> None:
    """Compare what is answered from memory with the plain state."""
    for item_id in range(len(plain.stock.described) + 2):
        query = forward_pb2.Query(get_item=inventory_pb2.GetItemRequest(item_id=item_id))
        admins = [user for user in plain.users.known if is_admin(user) and session_of(plain, user)]
        if not admins:
            break
        admin = min(admins, key=lambda user: user.must_change_password)
        question = forward_pb2.Question(
            user_id=admin.id,
            epoch=admin.epoch,
            session_id=session_of(plain, admin),
            query=query,
        )
        answer = hand.machine.answer(question)
        if admin.must_change_password:
            refused = errors.password_change_needed(admin.id)
            assert answer == RefusedCommand(refused.SerializeToString())
        elif 0 < item_id <= len(plain.stock.described):
            assert isinstance(answer, MutationOutcome)
            found = inventory_pb2.GetItemResponse.FromString(answer.outcome)
            assert found == inventory_pb2.GetItemResponse(
                item=plain.stock.shown(plain.stock.described[item_id - 1]),
                revision=plain.applied_index,
            )
        else:
            refused = errors.item_not_found(item_id)
            assert answer == RefusedCommand(refused.SerializeToString())
    for user in plain.users.known:
        query = forward_pb2.Query()
        query.get_credential.folded_name = user.folded_name
        answer = hand.machine.answer(forward_pb2.Question(query=query))
        assert isinstance(answer, MutationOutcome)
        shown = forward_pb2.Credential()
        check_own_user(hand, plain, user)
        named = plain.users.named(user.folded_name)
        if named is not None and not named.disabled:
            shown.user.CopyFrom(shown_user(named))
            shown.epoch, shown.password_hash = named.epoch, named.password_hash
        assert forward_pb2.Credential.FromString(answer.outcome) == shown


def session_of(plain: PlainMachine, user: UserRecord) -> int:
    """Return a session of a user that goes on; 0 where there is none."""
    return next((one.id for one in plain.sessions.going(user, plain.stamp_ms)), 0)


def check_own_user(hand: Hand, plain: PlainMachine, user: UserRecord) -> None:
    """Compare what a user is told of itself, with a token that holds and one of another epoch."""
    for epoch in (user.epoch, user.epoch + 1):
        session_id = session_of(plain, user)
        question = forward_pb2.Question(user_id=user.id, epoch=epoch, session_id=session_id)
        question.query.get_current_user.SetInParent()
        answer = hand.machine.answer(question)
        question.query.list_sessions.SetInParent()
        listed = hand.machine.answer(question)
        is_ended = user.disabled or user.delete_ms or epoch != user.epoch or not session_id
        if is_ended:
            assert isinstance(answer, RefusedCommand)
        else:
            assert isinstance(answer, MutationOutcome)
            found = auth_pb2.GetCurrentUserResponse.FromString(answer.outcome)
            assert found == auth_pb2.GetCurrentUserResponse(
                user=shown_user(user), revision=plain.applied_index
            )
        if is_ended or user.must_change_password or is_prober(user):
            assert isinstance(listed, RefusedCommand)
        else:
            assert isinstance(listed, MutationOutcome)
            going = sorted(plain.sessions.going(user, plain.stamp_ms), key=lambda one: one.id)
            assert auth_pb2.ListSessionsResponse.FromString(
                listed.outcome
            ) == auth_pb2.ListSessionsResponse(
                sessions=map(shown_session, going),
                current_session_id=session_id,
                revision=plain.applied_index,
            )


def expected_tables(plain: PlainMachine, tables: Tables) -> Tables:
    """Return what the plain state has for tables; sums are taken from `tables`."""
    items = [plain.stock.record(item.id) for item in plain.stock.described]
    header = Header(
        applied_index=plain.applied_index,
        applied_term=1,
        stamp_ms=plain.stamp_ms,
        cluster_id=plain.cluster_id,
        currency=plain.stock.currency,
        digits=plain.stock.digits,
        next_item_id=len(items) + 1,
        next_user_id=len(plain.users.known) + 1,
        next_ledger_id=len(plain.stock.ledger) + 1,
        admins=sum(map(is_admin, plain.users.known)),
        next_period=plain.requests.next_number,
        orders=len({line.order_id for line in plain.stock.ledger if line.order_id}),
        next_session_id=plain.sessions.next_id,
        next_audit_id=len(plain.audit) + 1,
        audit_hash=plain.audit[-1].hash if plain.audit else "",
    )
    return replace(
        tables,
        header=header,
        items={item.id: item for item in items},
        users={user.id: user for user in plain.users.known},
        sessions={session.id: session for session in plain.sessions.kept},
        ledger=plain.stock.ledger,
        requests={
            (period.number, request_id): one
            for period in plain.requests.periods
            for request_id, one in period.requests.items()
        },
        periods={
            one.number: PeriodRow(one.number, one.user_id, one.begin, one.newest, one.slots)
            for one in plain.requests.periods
        },
        audit=plain.audit,
    )


def asked(kind: str, **fields: object) -> forward_pb2.Query:
    """Return a query."""
    query = forward_pb2.Query()
    request = getattr(query, kind)
    request.SetInParent()
    request.MergeFrom(type(request)(**fields))
    return query


def questions(plain: PlainMachine) -> Iterator[forward_pb2.Question]:
    """Yield a question of each kind that takes a query, for each order of its rows."""
    wanted = [asked("list_users"), asked("list_orders"), asked("get_inventory_stats")]
    for way in ("", " desc"):
        names: tuple[str, ...] = ("id", "name", "price", "quantity")
        wanted += [asked("get_all_items", order_by=name + way) for name in names]
        names = ("item_id", "units_sold", "revenue")
        wanted += [asked("list_item_stats", order_by=name + way) for name in names]
    wanted += [asked("get_item_stats", item_id=one.id) for one in plain.stock.described]
    wanted += [asked("get_order", order_id=line.id) for line in plain.stock.ledger]
    for user_id, epoch in ((ADMIN, 1), (ADMIN, 2), (CUSTOMER, 1)):
        for query in wanted:
            yield forward_pb2.Question(
                user_id=user_id, epoch=epoch, session_id=user_id, query=query
            )


@contextmanager
def squeezed(squeeze: dict[str, int]) -> Iterator[None]:
    """Let memory be as small as a squeeze says."""
    with pytest.MonkeyPatch.context() as patch:
        for name, most in squeeze.items():
            patch.setattr(request_table, name, most)
        records_max = squeeze.get("RESIDENT_MAX", state_cache.ITEMS_MAX)
        patch.setattr(state_cache, "ITEMS_MAX", records_max)
        patch.setattr(state_cache, "USERS_MAX", records_max)
        yield


def compare(
    databases: tuple[Database, Database], history: History, plan: list[str], squeeze: dict[str, int]
) -> None:
    """Let two members and the plain rules apply a history, one of them by a plan."""
    with squeezed(squeeze):
        plain, one, other = PlainMachine(), Member(databases[0]), Member(databases[1])
        for number, entry in enumerate(entries_of(history)):
            expected = plain.apply(entry)
            came_to = one.apply(entry)
            assert other.apply(entry) == came_to
            assert came_to == expected
            check_reads(one.hand, plain)
            one.step(plan[number % len(plan)])
        tables = one.flush()
        assert tables == expected_tables(plain, tables)
        assert other.flush() == tables
        every = list(enumerate(questions(plain)))
        assert databases[0].answer(every) == databases[1].answer(every)


def one_of_everything() -> History:
    """Return a history in which each rule takes a command, and refuses one for each reason.

    Users: ann is a second admin, with id 6; health is the machine user that probes, with id 7.
    """
    ann, health, unknown, minor_dear = 6, 7, 99, 10**12 + 1
    hour_begins_ms = -START_MS % HOUR_MS

    def put(item_id: int, mask: list[str] | None, **fields: object) -> inventory_pb2.Mutation:
        return histories.update(fresh(), inventory_pb2.Item(id=item_id, **fields), mask)  # type: ignore[arg-type]  # checked by protobuf

    def new(price: money_pb2.Money, quantity: int = 0) -> inventory_pb2.Mutation:
        return histories.add(fresh(), "Desk", "long", price, quantity)

    def fresh() -> str:
        return f"fresh {next(numbers)}"

    def ask(user_id: int, what: log_pb2.Administration, epoch: int = 1) -> log_pb2.Command:
        return histories.administrate(user_id, epoch, what)

    numbers = itertools.count()
    dollar, yen = usd(100), money.from_minor(1, "JPY", 0)
    keeping = [
        adjust(fresh(), 1, 5), adjust(fresh(), 1, -STOCK - 6), adjust(fresh(), 1, 10**9),
        histories.set_level(fresh(), 1, 7, None), histories.set_level(fresh(), 1, 7, 8),
        histories.set_level(fresh(), 1, 7, 7), new(dollar, 5), new(yen), new(usd(minor_dear)),
        new(money.from_minor(1, "USD", 3)), put(1, None, name="Lamp", price=dollar),
        put(1, ["description"], name="Other", description="short"), put(1, ["price"], price=yen),
        put(9, None, name="Other"), histories.delete(fresh(), 2), histories.delete(fresh(), 2),
        put(2, None, name="Other"), order(fresh(), 2), adjust(fresh(), 9, 1),
    ]  # fmt: skip
    ordering = [order(fresh(), 1), order(fresh(), 1, 2), place(fresh(), (3, 1), (1, 1))]
    refusing = [order(fresh(), 3, STOCK + 1), place(fresh(), (1, 1), (9, 1)), order(fresh(), 9)]
    users = (CUSTOMER, PRODUCER, ADMIN, WATCHER, health, unknown)
    people = [
        ask(ADMIN, histories.create(fresh(), "ann", auth_pb2.ROLE_ADMIN)),
        ask(ADMIN, histories.create(fresh(), "Ann", auth_pb2.ROLE_CUSTOMER)),
        ask(0, histories.create(fresh(), "health", auth_pb2.ROLE_MACHINE)),
        *(ask(one, histories.create(fresh(), "bob", auth_pb2.ROLE_CUSTOMER)) for one in users),
        ask(ADMIN, histories.create(fresh(), "eve", auth_pb2.ROLE_CUSTOMER), epoch=2),
        ask(ADMIN, histories.create(uuid7(START_MS, 2), "tim", auth_pb2.ROLE_PRODUCER)),
    ]
    endings = [
        ask(CUSTOMER, histories.disable(fresh(), SECOND_CUSTOMER)),
        *(ask(ADMIN, histories.disable(fresh(), one)) for one in (WATCHER, WATCHER, unknown)),
        ask(ADMIN, histories.disable(fresh(), ADMIN)),
        ask(ADMIN, histories.disable(fresh(), CUSTOMER)),
        ask(ann, histories.disable(fresh(), ann)),
    ]
    passwords = [
        ask(one, histories.set_password(fresh(), other))
        for one, other in ((CUSTOMER, CUSTOMER), (health, health), (ADMIN, health), (ADMIN, 99))
    ]
    other_way = order("again", 1, 2)
    as_admin = first_state()
    as_admin.user_id, as_admin.epoch, as_admin.session_id = ADMIN, 1, ADMIN
    timed = [order(uuid7(START_MS + ms, 1)) for ms in (-2 * DAY_MS, 0, 400_000, DAY_MS)]
    return [
        (hour_begins_ms - 1, [by(CUSTOMER, one) for one in (order("again"), *ordering)]),
        (1, [by(CUSTOMER, order(fresh(), one)) for one in (1, 1, 3)]),
        (0, [by(CUSTOMER, one) for one in (order("again"), other_way, *refusing)]),
        (1, [by(PRODUCER, one) for one in keeping]),
        (5, people),
        (0, [by(one, new(dollar)) for one in users] + [by(one, order(fresh())) for one in users]),
        (7, [histories.probe(one, 1) for one in (*users, 0)]),
        (1, [*people[:1], *people[-1:], *passwords, first_state(), as_admin]),
        (1, [by(one, order(fresh()), epoch) for one in (CUSTOMER, ADMIN) for epoch in (1, 2)]),
        (HOUR_MS, [by(ADMIN, one) for one in timed]),
        (3, [ask(ADMIN, histories.checkpoint("check")), ask(CUSTOMER, histories.checkpoint("no"))]),
        (3, [ask(ADMIN, histories.checkpoint("check")), *endings]),
        (9, [by(one, order(fresh())) for one in (WATCHER, ADMIN, ann, SECOND_CUSTOMER)]),
    ]  # fmt: skip


PLANS = ("go on", "flush", "take, go on, settle", "flush, restart", "restart, flush")


@pytest.mark.parametrize("resident_max", [request_table.RESIDENT_MAX, 2])
@pytest.mark.parametrize("plan", PLANS)
def test_one_of_everything_comes_to_what_the_plain_rules_say(
    databases: tuple[Database, Database], plan: str, resident_max: int
) -> None:
    """Every operation, and every reason to refuse it."""
    squeeze = {"KEPT_MAX": request_table.KEPT_MAX, "RESIDENT_MAX": resident_max}
    compare(databases, one_of_everything(), plan.split(", "), squeeze)


@pytest.mark.slow
@quick
@given(history=histories.histories, plan=plans, squeeze=squeezes)
def test_every_command_comes_to_what_the_plain_rules_say(
    databases: tuple[Database, Database],
    history: History,
    plan: list[str],
    squeeze: dict[str, int],
) -> None:
    """Outcomes, reads, tables and answers, whatever is flushed, forgotten and restarted."""
    compare(databases, history, plan, squeeze)


@pytest.mark.slow
@quick
@given(history=histories.request_histories, plan=plans, squeeze=squeezes)
def test_requests_are_remembered_as_the_plain_memory_says(
    databases: tuple[Database, Database],
    history: History,
    plan: list[str],
    squeeze: dict[str, int],
) -> None:
    """Ids that are known, reused, expired, ahead, evicted by age or by size; and each edge."""
    compare(databases, history, plan, squeeze)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(history=histories.rich_histories, plan=plans)
def test_the_largest_totals_are_taken_and_no_larger(
    databases: tuple[Database, Database], history: History, plan: list[str]
) -> None:
    """Of an order, of its lines together, and of all that an item sold."""
    compare(databases, history, plan, {})


@pytest.mark.long
@pytest.mark.slow
@settings(quick, max_examples=1_500, derandomize=False)
@given(
    history=st.one_of(histories.histories, histories.request_histories, histories.rich_histories),
    plan=plans,
    squeeze=squeezes,
)
def test_long_searches_find_no_command_that_comes_to_something_else(
    databases: tuple[Database, Database],
    history: History,
    plan: list[str],
    squeeze: dict[str, int],
) -> None:
    """As above, from another seed each time."""
    compare(databases, history, plan, squeeze)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(history=st.one_of(histories.histories, histories.request_histories))
def test_a_machine_that_restarts_at_any_cut_answers_the_same(
    databases: tuple[Database, Database], history: History
) -> None:
    """The entries after a flush come to the same bytes in a machine that begins there."""
    database, _ = databases
    empty(database)
    entries = entries_of(history)
    untouched, flushed = Hand(EmptyRecords()), Hand(database)
    came_to = [untouched.machine.apply(entry) for entry in entries]
    for cut, entry in enumerate(entries, start=1):
        assert flushed.machine.apply(entry) == came_to[cut - 1]
        flushed.flush(database)
        restarted = Hand(database)
        for later, expected in zip(entries[cut:], came_to[cut:], strict=True):
            assert restarted.machine.apply(later) == expected


@pytest.mark.slow
@settings(quick, max_examples=30)
@given(history=histories.request_histories, plan=plans, squeeze=squeezes)
def test_when_all_is_forgotten_nothing_is_counted(
    databases: tuple[Database, Database],
    history: History,
    plan: list[str],
    squeeze: dict[str, int],
) -> None:
    """Every count, index and table of the memory of requests returns to nothing."""
    with squeezed(squeeze):
        member = Member(databases[0])
        for number, entry in enumerate(entries_of(history)):
            member.apply(entry)
            member.step(plan[number % len(plan)])
        hand = member.hand
        hand.stamp_ms = hand.machine.stamp_ms + 3 * DAY_MS
        for _ in range(60):
            hand.apply()
        tables = member.flush()
    requests = hand.machine._requests
    assert (requests.slots, requests.resident_slots) == (0, 0)
    for held in (
        requests._periods,
        requests._shares,
        requests._taken,
        requests._unwritten.records,
        requests._unwritten.periods,
        requests._unwritten.forgotten,
        tables.requests,
        tables.periods,
    ):
        assert not held
