"""The checks of the state machine notice changed tables, counted refusals and repeated retries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inventory.v1 import inventory_pb2
from inventory_node.machine import commands
from inventory_node.machine.state_cache import StateCache
from inventory_node.runtime.sqlite import HASHED, Database
from sim.histories import administrate, checkpoint
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    Hand,
    adjust,
    by,
    open_database,
    order,
    place,
    started,
    uuid7,
)
from sim.tables import check_flushed
from sim.violation import SafetyViolation

UNKNOWN_ELSEWHERE = {("ledger", "user_id")}  # the plain rules alone know who it was


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Open an empty database."""
    opened = open_database(tmp_path / "state.db")
    yield opened
    opened.close()


@pytest.fixture
def hand(database: Database) -> Hand:
    """Return a machine over `database`, with some work done and flushed."""
    made = started(database)
    made.mutate(CUSTOMER, order("a", 1, 3))
    made.mutate(CUSTOMER, place(uuid7(made.stamp_ms, 1), (2, 1), (3, 2)))
    made.mutate(PRODUCER, adjust("b", 1, 10))
    made.flush(database)
    return made


@pytest.mark.parametrize("table", HASHED)
def test_one_changed_value_in_any_column_shows(hand: Hand, database: Database, table: str) -> None:
    """A change that no other table contradicts contradicts the memory."""
    hand.apply(administrate(0, 0, checkpoint("c")))  # leaves a record in the audit log
    hand.flush(database)
    check_flushed(hand.machine, database)
    run = database._writer.execute
    rows = run(f"PRAGMA table_info({table})").fetchall()
    for _, column, kind, *_, is_key in rows:
        if kind == "BLOB" or is_key or (table, column) in UNKNOWN_ELSEWHERE:
            continue
        change = "+ 1" if kind == "INTEGER" else "|| 'x'"
        run(f"CREATE TEMP TABLE before AS SELECT * FROM {table}")  # noqa: S608 - our own names
        run("BEGIN")
        run(f"UPDATE {table} SET {column} = {column} {change}")  # noqa: S608 - our own names
        run("COMMIT")
        with pytest.raises(SafetyViolation):
            check_flushed(hand.machine, database)
        run("BEGIN")
        run(f"DELETE FROM {table}")  # noqa: S608 - our own names
        run(f"INSERT INTO {table} SELECT * FROM before")  # noqa: S608 - our own names
        run("COMMIT")
        run("DROP TABLE before")
        check_flushed(hand.machine, database)


@pytest.mark.parametrize("kind", ["order_item", "place_order", "adjust_stock"])
@pytest.mark.parametrize("counter", ["orders", "next_ledger_id", "admins", "next_user_id"])
def test_a_refusal_that_counts_is_seen(
    monkeypatch: pytest.MonkeyPatch, kind: str, counter: str
) -> None:
    """The check finds a rule that counts something before the rule refuses."""
    rule = commands._RULES[kind]

    def counting(cache: StateCache, request: Any, context: Any) -> inventory_pb2.Outcome:  # noqa: ANN401 - as the rule's
        setattr(cache, counter, getattr(cache, counter) + 1)
        return rule(cache, request, context)

    monkeypatch.setitem(commands._RULES, kind, counting)
    hand = started()
    wanted = {
        "order_item": order("a", 1, 10**6),
        "place_order": place("a", (1, 1), (2, 10**6)),
        "adjust_stock": adjust("a", 1, -(10**6)),
    }
    with pytest.raises(SafetyViolation, match="changes nothing"):
        hand.mutate(ADMIN, wanted[kind])


@pytest.mark.parametrize("field", ["name", "price_minor", "quantity", "update_ms", "delete_ms"])
def test_a_refusal_that_changes_an_item_is_seen(
    monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """The rule changes the item and does not mark the item as unwritten."""
    rule = commands._RULES["order_item"]

    def changing(cache: StateCache, request: Any, context: Any) -> inventory_pb2.Outcome:  # noqa: ANN401 - as the rule's
        outcome = rule(cache, request, context)
        setattr(cache.item(request.item_id), field, 7)
        return outcome

    monkeypatch.setitem(commands._RULES, "order_item", changing)
    hand = started()
    with pytest.raises(SafetyViolation, match="changes nothing"):
        hand.mutate(CUSTOMER, order("a", 1, 10**6))


def test_a_retry_that_is_done_again_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remembered request must change nothing."""
    hand = started()
    hand.mutate(CUSTOMER, order("a"))
    monkeypatch.setattr(hand.machine._requests, "remember", lambda *_, **__: None)
    with pytest.raises(SafetyViolation, match="changes nothing"):
        hand.apply(by(CUSTOMER, order("b")))
