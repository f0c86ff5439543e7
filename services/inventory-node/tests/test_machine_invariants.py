"""What the rules exclude ends the process: going on would fork the replicas."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from inventory.v1 import inventory_pb2
from inventory_node.errors import StateInvariantViolation
from inventory_node.machine import Machine, MutationOutcome, state_cache
from inventory_node.runtime.sqlite import Database
from raft.messages import EntryKind
from sim.machines import (
    CUSTOMER,
    PRODUCER,
    START_MS,
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
)


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
        machine.apply(entry(2, START_MS, rules_version=2))


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
        second = hand.machine.take_changes()
        hand.mutate(CUSTOMER, order("c", 3, 10))
        assert first is not None
        assert second is not None
        database.flush(first)
        hand.machine.flushed()
        assert set(hand.machine._cache._items) == {2, 3}
        database.flush(second)
        hand.machine.flushed()
        assert set(hand.machine._cache._items) == {3}
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
        hand.mutate(CUSTOMER, order("a", 4))
        hand.mutate(99, order("b", 1))

    def test_reads_do_not_fill_memory_without_end(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With no write there is no flush to let items go."""
        hand = started(database)
        hand.flush(database)
        monkeypatch.setattr(state_cache, "ITEMS_MAX", 1)
        hand.machine.reload()
        for item_id in (1, 2, 3):
            hand.machine._cache.before_reading()
            assert hand.machine._cache.item(item_id) is not None
        hand.machine._cache.before_reading()
        assert len(hand.machine._cache._items) < 3
