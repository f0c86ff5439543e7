"""The database keeps what a flush wrote, whole or not at all, and refuses what is not its own."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from inventory_node.errors import DatabaseError
from inventory_node.machine.changes import Changes, Movement
from inventory_node.machine.records import Header
from inventory_node.runtime import sqlite as sqlite_module
from inventory_node.runtime.sqlite import HASHED, Database, Error, Pinned, verify
from sim.histories import administrate, checkpoint
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    Hand,
    adjust,
    open_database,
    order,
    place,
    started,
    uuid7,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the database goes."""
    return tmp_path / "state.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """Open an empty database."""
    opened = open_database(path)
    yield opened
    opened.close()


@pytest.fixture
def hand(database: Database) -> Hand:
    """Return a machine over it, with some work done and flushed."""
    made = started(database)
    made.mutate(CUSTOMER, order("a", 1, 3))
    made.mutate(CUSTOMER, place(uuid7(made.stamp_ms, 1), (2, 1), (3, 2)))
    made.mutate(PRODUCER, adjust("b", 1, 10))
    made.flush(database)
    return made


def sha256(database: Database) -> str:
    """Hash the state as flushed."""
    pinned = database.pin()
    found = pinned.sha256()
    pinned.close()
    return found


def test_a_flush_is_synced_in_full(path: Path) -> None:
    """WAL with a sync at every commit; there is no switch that says otherwise."""
    database = Database(path)
    pragma = database._writer.execute
    assert pragma("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert pragma("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    database.close()


def test_every_record_comes_back_as_it_was(hand: Hand, database: Database) -> None:
    """Header, items, users and requests, by key."""
    cache = hand.machine._cache
    for item_id in (1, 2, 3):
        assert database.item(item_id) == cache.item(item_id)
    assert database.user(ADMIN) == database.user_by_name("admin") == cache.user(ADMIN)
    header = database.header()
    assert (header.applied_index, header.applied_term, header.stamp_ms) == (4, 1, hand.stamp_ms)
    assert (header.cluster_id, header.currency, header.digits) == ("cluster", "USD", 2)
    assert (header.next_item_id, header.next_user_id, header.next_ledger_id) == (4, 6, 8)
    assert (header.admins, header.next_period, header.orders) == (1, 3, 2)
    remembered = database.request([2, 1], "a")
    assert remembered is not None
    assert remembered == hand.machine._requests.find(0, CUSTOMER, "a")
    assert database.request([2], "a") is database.request([1], "b") is None
    second = hand.stamp_ms // 1_000
    assert database.periods() == [
        (1, CUSTOMER, second, second, 2),
        (2, PRODUCER, second, 0, 1),
    ]


def test_what_is_not_there_is_not_found(database: Database) -> None:
    """An empty database has the header of an empty state."""
    assert database.header() == Header()
    assert database.item(1) is None
    assert database.user(1) is None
    assert database.user_by_name("admin") is None
    assert database.request([1], "a") is None
    assert database.periods() == []


def test_a_flush_that_fails_leaves_nothing(hand: Hand, database: Database) -> None:
    """The header and everything else are one transaction."""
    before = sha256(database)
    movement = Movement(99, 0, 1, 1, 1, 1, 0, 1)
    changes = Changes(header=Header(applied_index=9), movements=[movement, movement])
    with pytest.raises(Error):
        database.flush(changes)
    assert sha256(database) == before
    assert database.header().applied_index == hand.machine.applied_index


def test_a_level_below_nothing_is_refused_by_the_table_too(database: Database) -> None:
    """The last net below the machine's own check."""
    hand = started(database)
    changes = hand.machine.take_changes()
    assert changes is not None
    row = list(changes.items[0])
    row[4] = -1  # the quantity
    changes.items[0] = tuple(row)
    with pytest.raises(Error, match="CHECK"):
        database.flush(changes)


@pytest.mark.parametrize("table", HASHED)
def test_every_table_is_part_of_the_hash(hand: Hand, database: Database, table: str) -> None:
    """One changed value, in any column that is a number, is another hash."""
    hand.apply(administrate(0, 0, checkpoint("c")))  # leaves a record in the audit log
    hand.flush(database)
    before = sha256(database)
    numbers = [
        row[1]
        for row in database._writer.execute(f"PRAGMA table_info({table})")
        if row[2] == "INTEGER" and not row[5]
    ]
    for column in numbers:
        database._writer.execute("BEGIN")
        database._writer.execute(f"UPDATE {table} SET {column} = {column} + 1")  # noqa: S608 - our own names
        database._writer.execute("COMMIT")
        changed = sha256(database)
        assert changed != before
        before = changed


def test_no_table_is_forgotten_by_the_hash(database: Database) -> None:
    """A table that is added belongs to the state, unless members derive it for themselves."""
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    assert {row[0] for row in database._writer.execute(sql)} == {*HASHED, "derived"}


def test_names_are_folded_anew_under_another_version_of_unicode(tmp_path: Path) -> None:
    """What a member derives is none of the state, and never older than the program."""
    path = tmp_path / "one.db"
    database = open_database(path)
    started(database).flush(database)
    before = sha256(database)
    sql = "UPDATE items SET folded_name = 'old'; UPDATE derived SET unicode = '3.2.0'"
    database._writer.executescript(sql)
    assert sha256(database) == before
    database.close()
    database = open_database(path)
    rows = database._writer.execute("SELECT folded_name FROM items ORDER BY id").fetchall()
    assert rows == [("item 1",), ("item 2",), ("item 3",)]
    assert sha256(database) == before
    database.close()


def test_the_hash_does_not_depend_on_the_order_of_writing(tmp_path: Path) -> None:
    """Rows are hashed in the order of their keys, not of their pages."""
    hashes = []
    for name, flushes in (("one", 1), ("many", 3)):
        database = open_database(tmp_path / f"{name}.db")
        hand = started(database)
        for number in range(9):
            hand.mutate(CUSTOMER, order(uuid7(hand.stamp_ms, 9 - number), number % 3 + 1))
            if number % flushes == flushes - 1:
                hand.flush(database)
        hand.flush(database)
        hashes.append(sha256(database))
        database.close()
    assert hashes[0] == hashes[1]


def test_a_hash_rests_and_comes_to_the_same(
    hand: Hand, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All members hash at once, and the loop wants the interpreter meanwhile."""
    hand.flush(database)
    before = sha256(database)
    rests: list[None] = []
    monkeypatch.setattr(sqlite_module, "ROWS_PER_REST", 1)
    pinned = database.pin()
    assert pinned.sha256(lambda: rests.append(None)) == before
    rows = sum(
        pinned._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
        for table in HASHED
    )
    pinned.close()
    assert len(rests) == rows > 5


def test_a_pinned_state_stays_as_it_is(hand: Hand, database: Database, tmp_path: Path) -> None:
    """Flushes after the pin show neither in the hash nor in the copy."""
    before = sha256(database)
    pinned = database.pin()
    hand.mutate(CUSTOMER, order("later"))
    hand.flush(database)
    assert pinned.header.applied_index == 4
    assert pinned.sha256() == before
    pinned.copy(tmp_path / "copy.db")
    pinned.close()
    copied = open_database(tmp_path / "copy.db")
    assert sha256(copied) == before != sha256(database)
    copied.close()


class TestCopies:
    """A copy is one file, and what is received is verified before it is used."""

    @pytest.fixture
    def copy(self, hand: Hand, database: Database, tmp_path: Path) -> Path:
        """Return a copy's path."""
        assert hand.machine.applied_index == 4
        pinned: Pinned = database.pin()
        pinned.copy(tmp_path / "copy.db")
        pinned.close()
        return tmp_path / "copy.db"

    def test_a_copy_stands_alone(self, copy: Path) -> None:
        """No write-ahead file belongs to it, before and after it is verified."""
        assert verify(copy, 4) == ""
        assert [one.name for one in copy.parent.glob("copy.db*")] == ["copy.db"]

    def test_a_copy_at_another_index_is_refused(self, copy: Path) -> None:
        """The header of the stream and that of the database have to agree."""
        assert "index 4, not 5" in verify(copy, 5)

    def test_a_damaged_page_is_found(self, copy: Path) -> None:
        """One page of noise in the middle."""
        data = bytearray(copy.read_bytes())
        middle = len(data) // 8192 * 4096
        data[middle : middle + 4096] = bytes(range(256)) * 16
        copy.write_bytes(data)
        assert verify(copy, 4)

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE header SET currency = CAST(X'91' AS TEXT)",
            "DROP TABLE header; CREATE TABLE header AS SELECT 1, 2",
        ],
        ids=["noise in a text", "other columns"],
    )
    def test_a_header_of_another_kind_is_found(self, copy: Path, change: str) -> None:
        """Pages that are whole may hold anything."""
        other = sqlite3.connect(copy)
        other.executescript(change)
        other.close()
        assert "not a database" in verify(copy, 4)

    def test_another_file_is_found(self, copy: Path) -> None:
        """Something that is not a database at all, or an empty one."""
        copy.write_bytes(b"something else" * 100)
        assert "not a database" in verify(copy, 4)
        copy.write_bytes(b"")
        assert verify(copy, 4)


class TestForeignFiles:
    """The message says what to do."""

    def test_another_programs_database_is_refused(self, path: Path) -> None:
        """By its application id."""
        other = sqlite3.connect(path)
        other.execute("PRAGMA application_id=7")
        other.execute("CREATE TABLE notes (text)")
        other.close()
        with pytest.raises(DatabaseError, match="is not an inventory database"):
            Database(path)

    def test_another_versions_database_is_refused(self, path: Path) -> None:
        """By its user version."""
        open_database(path).close()
        other = sqlite3.connect(path)
        other.execute("PRAGMA user_version=99")
        other.close()
        with pytest.raises(DatabaseError, match="start the program that wrote it"):
            Database(path)

    def test_a_file_that_is_no_database_is_refused(self, path: Path) -> None:
        """With its name."""
        path.write_bytes(b"something else" * 1_000)
        with pytest.raises(DatabaseError, match=r"state\.db cannot be opened"):
            Database(path)
