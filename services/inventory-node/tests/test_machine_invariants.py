"""What the rules exclude ends the process: going on would fork the replicas."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import inventory_pb2
from inventory_node.errors import StateInvariantViolation
from inventory_node.machine import (
    RULES_VERSION,
    AdminOutcome,
    Machine,
    MutationOutcome,
    state_cache,
)
from inventory_node.machine.records import ItemRecord, Records, UserRecord
from inventory_node.runtime.sqlite import Database
from raft.messages import EntryKind
from sim import histories
from sim.machines import (
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    START_MS,
    WATCHER,
    EmptyRecords,
    Hand,
    adjust,
    by,
    entry,
    first_state,
    open_database,
    order,
    place,
    started,
    usd,
)
from sim.tables import check_flushed


class CountingRecords:
    """The records of a database, and which of them were read."""

    def __init__(self, records: Records) -> None:
        """Read from these."""
        self._records = records
        self.header, self.request, self.periods = records.header, records.request, records.periods
        self.sessions = records.sessions
        self.items: list[int] = []
        self.users: list[int | str] = []

    def item(self, item_id: int) -> ItemRecord | None:
        """Return an item."""
        self.items.append(item_id)
        return self._records.item(item_id)

    def user(self, user_id: int) -> UserRecord | None:
        """Return a user."""
        self.users.append(user_id)
        return self._records.user(user_id)

    def user_by_name(self, folded_name: str) -> UserRecord | None:
        """Return a user; while nothing is in the database, nothing is counted."""
        user = self._records.user_by_name(folded_name)
        self.users += [folded_name] if user is not None else []
        return user


def add_items(hand: Hand, count: int) -> None:
    """Add items, all in one entry."""
    ids = (f"item {hand.machine.applied_index} {number}" for number in range(count))
    hand.apply(*(by(PRODUCER, histories.add(one, "Desk", "", usd(1), 1)) for one in ids))


def password(user_id: int, epoch: int = 1) -> log_pb2.Command:
    """Return a user's change of the user's own password."""
    return histories.administrate(user_id, epoch, histories.set_password(f"{epoch}", user_id))


def read_item(hand: Hand, item_id: int) -> None:
    """Ask for an item that is there."""
    query = forward_pb2.Query(get_item=inventory_pb2.GetItemRequest(item_id=item_id))
    answer = hand.machine.answer(
        forward_pb2.Question(user_id=WATCHER, epoch=1, session_id=WATCHER, query=query)
    )
    assert isinstance(answer, MutationOutcome)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Open an empty database."""
    opened = open_database(tmp_path / "state.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("index", [0, 1, 3])
def test_an_entry_out_of_order_is_impossible(index: int) -> None:
    """Neither a gap nor an entry twice."""
    machine = started().machine
    with pytest.raises(StateInvariantViolation, match="cannot follow"):
        machine.apply(entry(index, START_MS))


def test_a_term_never_falls() -> None:
    """Log Matching would be broken below."""
    machine = Machine(EmptyRecords())
    machine.apply(replace(entry(1, START_MS, first_state()), term=5))
    with pytest.raises(StateInvariantViolation, match="cannot follow"):
        machine.apply(replace(entry(2, START_MS), term=4))


def test_time_never_goes_back() -> None:
    """The same time again is fine: stamps are the greater of clock and last stamp."""
    machine = started().machine
    machine.apply(entry(2, START_MS))
    with pytest.raises(StateInvariantViolation, match="turns time back"):
        machine.apply(entry(3, START_MS - 1))


def test_rules_of_a_later_version_are_not_guessed() -> None:
    """The message says what to do."""
    machine = started().machine
    with pytest.raises(StateInvariantViolation, match="install the version"):
        machine.apply(entry(2, START_MS, rules_version=RULES_VERSION + 1))


def test_a_level_below_nothing_is_impossible() -> None:
    """Bounds let no item into an order twice; were one there, no member goes on."""
    hand = started()
    with pytest.raises(StateInvariantViolation, match="on hand"):
        hand.mutate(CUSTOMER, place("a", (1, 60), (1, 60)))


def test_other_kinds_of_entries_change_nothing_but_the_position() -> None:
    """A leader's first entry and a configuration have no commands; the next entry follows."""
    hand = started()
    machine = hand.machine
    for index, kind in ((2, EntryKind.NOOP), (3, EntryKind.CONFIGURATION)):
        assert machine.apply(replace(entry(index, 0), term=2, kind=kind, payload=b"")) == []
    assert (machine.applied_index, machine.applied_term, machine.stamp_ms) == (3, 2, START_MS)
    changes = machine.take_changes()
    assert changes is not None
    assert (changes.header.applied_index, changes.header.applied_term) == (3, 2)
    assert machine.take_changes() is None


def test_before_its_first_command_a_cluster_has_nothing(database: Database) -> None:
    """No time, no money, no counts; the first ids are 1."""
    machine = Machine(database)
    check_flushed(machine, database)
    assert machine.take_changes() is None
    assert (machine.applied_index, machine.applied_term, machine.stamp_ms) == (0, 0, 0)
    assert machine.apply(replace(entry(1, 0), kind=EntryKind.NOOP, payload=b"")) == []
    changes = machine.take_changes()
    assert changes is not None
    header = asdict(changes.header)
    assert {name for name, value in header.items() if value == 1} == {
        "applied_index", "applied_term", "next_item_id", "next_user_id", "next_ledger_id",
        "next_period", "next_session_id", "next_audit_id",
    }  # fmt: skip
    assert {name for name, value in header.items() if value == ""} == {
        "cluster_id", "currency", "audit_hash",
    }  # fmt: skip
    assert {value for value in header.values() if value not in (1, "")} == {0}


def test_a_first_state_that_breaks_a_rule_is_impossible() -> None:
    """The configuration is checked before it is proposed; the message says what is wrong."""
    command = first_state()
    command.administration.initialize.items[1].price.currency_code = "EUR"
    with pytest.raises(StateInvariantViolation, match=r"hold a bad one: .*USD"):
        Hand().apply(command)


class TestMemory:
    """Hot state is bounded, and nothing that is not durable leaves it."""

    def test_what_is_taken_and_not_durable_stays(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An eviction between take and flush would read an older level from the database."""
        monkeypatch.setattr(state_cache, "ITEMS_MAX", 0)
        monkeypatch.setattr(state_cache, "USERS_MAX", 0)
        hand = started(database)
        hand.flush(database)
        assert not hand.machine._cache._items
        assert not hand.machine._cache._users
        hand.mutate(CUSTOMER, order("a", 1, 10))
        first = hand.machine.take_changes()
        hand.mutate(CUSTOMER, order("b", 2, 10))
        hand.apply(password(SECOND_CUSTOMER))
        second = hand.machine.take_changes()
        hand.mutate(CUSTOMER, order("c", 3, 10))
        hand.apply(password(PRODUCER))
        assert first is not None
        assert second is not None
        database.flush(first)
        hand.machine.flushed()
        assert set(hand.machine._cache._items) == {2, 3}
        assert set(hand.machine._cache._users) == {SECOND_CUSTOMER, PRODUCER}
        for user_id in (SECOND_CUSTOMER, PRODUCER):
            assert isinstance(hand.apply(password(user_id, epoch=2))[0], AdminOutcome)
        database.flush(second)
        hand.machine.flushed()
        assert set(hand.machine._cache._items) == {3}
        assert PRODUCER in hand.machine._cache._users
        outcome = hand.apply(by(CUSTOMER, place("d", (1, 1), (2, 1), (3, 1))))[0]
        assert isinstance(outcome, MutationOutcome)
        lines = inventory_pb2.Outcome.FromString(outcome.outcome).place_order.order.lines
        assert [line.on_hand_after for line in lines] == [89, 89, 89]

    def test_changes_do_not_follow_what_is_applied_after_their_take(
        self, database: Database
    ) -> None:
        """A flush runs in its own thread while apply goes on."""
        hand = started(database)
        changes = hand.machine.take_changes()
        hand.mutate(PRODUCER, adjust("a", 1, 5))
        assert changes is not None
        assert [row[4] for row in changes.items] == [100, 100, 100]  # the quantity
        assert changes.header.applied_index == 1

    def test_an_id_that_was_never_given_is_not_looked_up(self) -> None:
        """A flood of unknown ids does not reach the database."""

        class NoPoints(EmptyRecords):
            def item(self, _item_id: int) -> None:
                raise LookupError("asked for an item that cannot be there")

            def user(self, _user_id: int) -> None:
                raise LookupError("asked for a user who cannot be there")

        hand = Hand(NoPoints())
        hand.apply(first_state())
        for item_id in (-1, 0, 4, 5):
            hand.mutate(CUSTOMER, order(f"item {item_id}", item_id))
        for user_id in (-1, 0, 6, 7):
            hand.mutate(user_id, order(f"user {user_id}", 1))

    def test_reads_do_not_fill_memory_without_end(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With no write there is no flush to let items go."""
        loading = CountingRecords(database)
        hand = started(loading)
        add_items(hand, 9)
        hand.flush(database)
        monkeypatch.setattr(state_cache, "ITEMS_MAX", 3)
        hand.machine.reload()
        for item_id in range(1, 13):
            read_item(hand, item_id)
            assert len(hand.machine._cache._items) <= 2 * state_cache.ITEMS_MAX + 1
        assert loading.items == [*range(1, 13)]
        loading.items.clear()
        for item_id in range(12, 7, -1):
            read_item(hand, item_id)
        assert loading.items == []

    def test_a_record_is_loaded_once(self, database: Database) -> None:
        """By id or by name: a login and an order read nothing twice."""
        loading = CountingRecords(database)
        hand = started(loading)
        hand.flush(database)
        hand.machine.reload()
        for number in range(3):
            hand.mutate(CUSTOMER, order(f"{number}", 2))
            for name in ("customer", "admin"):
                query = forward_pb2.Query(
                    get_credential=forward_pb2.GetCredential(folded_name=name)
                )
                hand.machine.answer(forward_pb2.Question(query=query))
        assert loading.items == [2]
        assert loading.users == [CUSTOMER, "admin"]

    def test_memory_that_is_full_is_kept_and_one_record_more_sheds_the_oldest(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Twice the surplus goes, so that shedding is rare; what came last stays."""
        loading = CountingRecords(database)
        hand = started(loading)
        add_items(hand, 3)
        monkeypatch.setattr(state_cache, "ITEMS_MAX", 6)
        monkeypatch.setattr(state_cache, "USERS_MAX", 5)
        hand.flush(database)
        for item_id in range(1, 7):
            read_item(hand, item_id)
        assert (loading.items, loading.users) == ([], [])
        add_items(hand, 1)
        hand.flush(database)
        for item_id in range(7, 0, -1):
            read_item(hand, item_id)
        assert (loading.items, loading.users) == ([2, 1], [])
        monkeypatch.setattr(state_cache, "USERS_MAX", 4)
        hand.apply()
        hand.flush(database)
        read_item(hand, 7)
        assert loading.users == [WATCHER]
