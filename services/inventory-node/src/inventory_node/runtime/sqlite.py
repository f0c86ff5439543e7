"""The database of one member: synchronous, whole, and the only module that knows SQLite.

One connection writes (a flush is one transaction). One connection reads by key for the machine. One
connection answers questions, each batch in one read transaction. Each hash or copy has a connection
of its own. `journal_mode=WAL, synchronous=FULL`: a flush is synced when it returns.
"""

import hashlib
import json
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, fields
from importlib import resources
from pathlib import Path

from inventory.raft.v1 import forward_pb2
from wire.text import folded

from inventory_node.core.events import StoreAnswer
from inventory_node.errors import DatabaseError, DatabaseFull, QueryRefused
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import (
    Header,
    ItemRecord,
    PeriodRow,
    Remembered,
    SessionRecord,
    UserRecord,
)
from inventory_node.runtime.pages import Row
from inventory_node.runtime.queries import (
    ITEM_COLUMNS,
    SESSION_COLUMNS,
    USER_COLUMNS,
    Queries,
    to_item,
    to_session,
    to_user,
)
from inventory_node.runtime.volume import has_no_space

APPLICATION_ID = 0x494E5654  # "INVT"
SCHEMA_VERSION = 5
HASHED = {  # every table of the state, by its primary key
    "header": "id",
    "users": "id",
    "sessions": "id",
    "items": "id",
    "ledger": "id",
    "sales": "item_id, hour",
    "requests": "period, request_id",
    "request_periods": "number",
    "audit": "id",
}
NOT_HASHED = {("items", "folded_name")}  # each member derives this column for itself
_HEADER_FIELDS = tuple(field.name for field in fields(Header))  # in the order of the columns
PAGES_PER_STEP = 256  # of a copy, so that a copy never holds the interpreter long
ROWS_PER_REST = 50  # of a hash, which runs on every member at once and must not delay other work


Error = sqlite3.Error  # any use of a database may raise this
# SQLite's codes for a write that a quota refuses, for a file that cannot be made or grown, and for
# a broken disk. The code of a write without space is SQLITE_FULL.
PERHAPS_FULL = (
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_CANTOPEN,
)


def _ran_out(error: BaseException, folder: Path) -> bool:
    """Tell whether an error is a lack of space in `folder`; call before files are removed."""
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL or (code in PERHAPS_FULL and has_no_space(folder))


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=30,
    )
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


class Database:
    """The state in one file.

    - When a flush returns, the flush is durable as a whole, or not there at all.
    - A read transaction sees one flushed state; its header says which state.
    """

    def __init__(self, path: Path) -> None:
        """Open a file, made if missing; raise DatabaseError on a file of another program.

        DatabaseFull: the file can be opened once there is space.
        """
        self.path = path
        writer: sqlite3.Connection | None = None
        try:
            writer = self._writer = _connect(path)
            self._prepare()
        except sqlite3.Error as error:
            ran_out = _ran_out(error, path.parent)
            if writer is not None:
                writer.close()
            if ran_out:
                raise DatabaseFull(f"there is no space to open the database {path}") from error
            raise DatabaseError(
                f"the database {path} cannot be opened: {error}; remove this member's data and "
                "let it copy a peer's"
            ) from error
        self._points = _connect(path, read_only=True)
        self._questions = _connect(path, read_only=True)

    def _prepare(self) -> None:
        writer = self._writer
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=4000")
        found = writer.execute("PRAGMA application_id").fetchone()[0]
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if not found and not version:
            schema = resources.files(__package__).joinpath("schema.sql").read_text()
            writer.executescript(
                f"BEGIN; PRAGMA application_id={APPLICATION_ID}; "
                f"PRAGMA user_version={SCHEMA_VERSION}; {schema} COMMIT;"
            )
        elif (found, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise DatabaseError(
                f"{self.path} is not an inventory database of version {SCHEMA_VERSION}; start the "
                "program that wrote it"
            )
        self._derive()

    def _derive(self) -> None:
        """Fold the names of items again if another version of Unicode folded the names.

        A file may come from another member, or from this member before an upgrade of Python.
        """
        writer, version = self._writer, unicodedata.unidata_version
        if writer.execute("SELECT unicode FROM derived").fetchone() == (version,):
            return
        writer.create_function("folded", 1, folded, deterministic=True)
        writer.executescript(
            "BEGIN IMMEDIATE; "
            "UPDATE items SET folded_name = folded(name) WHERE folded_name <> folded(name); "
            f"REPLACE INTO derived VALUES (1, '{version}'); COMMIT;"
        )

    def close(self) -> None:
        """Close the connections."""
        self._points.close()
        self._questions.close()
        self._writer.close()

    def flush(self, changes: Changes) -> None:
        """Write all of `changes` in one synced transaction; DatabaseFull without space."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._write(changes)
            self._writer.execute("COMMIT")
        except BaseException as error:
            if self._writer.in_transaction:  # some errors end the transaction by themselves
                self._writer.execute("ROLLBACK")
            if _ran_out(error, self.path.parent):
                raise DatabaseFull(f"no space for {self.path}") from error
            raise

    def _write(self, changes: Changes) -> None:
        run = self._writer.executemany
        header = changes.header
        run(f"REPLACE INTO header VALUES (1{', ?' * 15})", [astuple(header)])
        items = [(*item, folded(str(item[1]))) for item in changes.items]
        run(f"REPLACE INTO items VALUES (?{', ?' * 13})", items)
        run(
            "UPDATE items SET quantity = ?, order_count = ?, units_sold = ?, revenue_minor = ?, "
            "first_order_ms = ?, last_order_ms = ? WHERE id = ?",
            changes.levels,
        )
        run(f"REPLACE INTO users VALUES (?{', ?' * 9})", changes.users)
        run(f"REPLACE INTO sessions VALUES (?{', ?' * 8})", changes.sessions)
        run("DELETE FROM sessions WHERE id = ?", [(one,) for one in changes.ended_sessions])
        run(f"INSERT INTO ledger VALUES (?{', ?' * 7})", changes.movements)
        run(
            "INSERT INTO sales VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET units = units + excluded.units",
            changes.sales,
        )
        run(f"INSERT INTO requests VALUES (?{', ?' * 4})", changes.requests)
        forgotten = [(number,) for number in changes.forgotten_periods]
        run("DELETE FROM requests WHERE period = ?", forgotten)
        run("DELETE FROM request_periods WHERE number = ?", forgotten)
        run(f"REPLACE INTO request_periods VALUES (?{', ?' * 4})", changes.periods)
        run(f"INSERT INTO audit VALUES (?{', ?' * 13})", changes.audit)
        run("DELETE FROM audit WHERE id < ?", [(changes.audit_first,)])

    def header(self) -> Header:
        """Return the scalars as last flushed."""
        return _header(self._points)

    def item(self, item_id: int) -> ItemRecord | None:
        """Return an item, as a fresh record."""
        sql = f"SELECT {ITEM_COLUMNS} FROM items WHERE id = ?"
        row = self._points.execute(sql, (item_id,)).fetchone()
        return None if row is None else to_item(row)

    def user(self, user_id: int) -> UserRecord | None:
        """Return a user, as a fresh record."""
        return self._user("id = ?", user_id)

    def user_by_name(self, folded_name: str) -> UserRecord | None:
        """Return a user that is not deleted, as a fresh record."""
        return self._user("folded_name = ? AND delete_ms = 0", folded_name)

    def _user(self, condition: str, key: int | str) -> UserRecord | None:
        sql = f"SELECT {USER_COLUMNS} FROM users WHERE {condition}"
        row = self._points.execute(sql, (key,)).fetchone()
        return None if row is None else to_user(row)

    def sessions(self, user_id: int) -> list[SessionRecord]:
        """Return a user's sessions, as fresh records."""
        sql = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE user_id = ? ORDER BY id"
        return [to_session(row) for row in self._points.execute(sql, (user_id,))]

    def request(self, periods: Sequence[int], request_id: str) -> Remembered | None:
        """Return a remembered request of one of the periods."""
        row = self._points.execute(
            "SELECT * FROM requests WHERE request_id = ? "
            "AND period IN (SELECT value FROM json_each(?))",
            (request_id, json.dumps(periods)),
        ).fetchone()
        return None if row is None else Remembered._make((*row[:-1], bool(row[-1])))

    def periods(self) -> list[PeriodRow]:
        """Return the periods of the request table, in the order of their numbers."""
        sql = "SELECT * FROM request_periods ORDER BY number"
        return [PeriodRow._make(row) for row in self._points.execute(sql)]

    def answer(
        self, questions: Sequence[tuple[int, forward_pb2.Question]]
    ) -> tuple[StoreAnswer, ...]:
        """Answer (ticket, question)s from one read transaction."""
        connection = self._questions

        def select(sql: str, values: Sequence[object]) -> list[Row]:
            return connection.execute(sql, values).fetchall()

        connection.execute("BEGIN")
        try:
            queries = Queries(select, _header(connection))
            return tuple(_answer(queries, ticket, question) for ticket, question in questions)
        finally:
            connection.execute("COMMIT")

    def pin(self) -> "Pinned":
        """Pin the flushed state; later flushes do not show in the pinned state."""
        connection = _connect(self.path, read_only=True)
        connection.execute("BEGIN")
        return Pinned(connection, _header(connection))


class Pinned:
    """A read transaction that later flushes do not change. The caller closes it."""

    def __init__(self, connection: sqlite3.Connection, header: Header) -> None:
        """Hold a transaction that has begun to read."""
        self._connection = connection
        self.header = header

    def sha256(self, rest: Callable[[], None] = lambda: None) -> str:
        """Hash every logical row, table after table, each in primary-key order.

        The database joins many rows into one text while other threads have the interpreter. `rest`
        is called after each text.
        """
        digest = hashlib.sha256()
        for table, key in HASHED.items():
            digest.update(table.encode())
            for text in self._portions(table, key):
                digest.update(text.encode())
                rest()
        return digest.hexdigest()

    def _portions(self, table: str, key: str) -> Iterator[str]:
        """Yield the rows of a table as text, a line each, `ROWS_PER_REST` at a time."""
        columns = self._connection.execute(f"PRAGMA table_info({table})")
        # Text is hashed as its bytes in hexadecimal: a quoted text would end at a zero byte.
        row = " || ',' || ".join(
            name if kind == "INTEGER" else f"hex(CAST({name} AS BLOB))"
            for _, name, kind, *_ in columns
            if (table, name) not in NOT_HASHED
        )
        after, last = "1", ()
        while True:
            end = self._connection.execute(
                f"SELECT {key} FROM {table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET ?",
                (*last, ROWS_PER_REST - 1),
            ).fetchone()
            upto = "1" if end is None else f"({key}) <= ({_places(end)})"
            [text] = self._connection.execute(
                f"SELECT group_concat({row}, char(10)) FROM "
                f"(SELECT * FROM {table} WHERE {after} AND {upto} ORDER BY {key})",
                (*last, *(end or ())),
            ).fetchone()
            if text is not None:
                yield text + "\n"
            if end is None:
                return
            after, last = f"({key}) > ({_places(end)})", end

    @property
    def size(self) -> int:
        """How many bytes a copy has."""
        pages, page_bytes = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "page_size")
        )
        return pages * page_bytes

    def copy(self, path: Path) -> None:
        """Copy the pinned state into a file of its own, without a write-ahead file beside it.

        Nothing is synced: the copy may be lost, and a sync would keep the log's disk busy.
        DatabaseFull: there was no space for the copy, and no part of the copy is left.
        """
        path.unlink(missing_ok=True)
        try:
            self._copy(path)
        except sqlite3.Error as error:
            ran_out = _ran_out(error, path.parent)
            for left in (path, path.with_name(f"{path.name}-journal")):
                left.unlink(missing_ok=True)
            if ran_out:
                raise DatabaseFull(f"no space for {path}") from error
            raise

    def _copy(self, path: Path) -> None:
        target = sqlite3.connect(path, isolation_level=None)
        try:
            target.execute("PRAGMA synchronous=OFF")
            self._connection.backup(target, pages=PAGES_PER_STEP)
            target.execute("PRAGMA journal_mode=DELETE")
        finally:
            target.close()

    def close(self) -> None:
        """End the transaction."""
        self._connection.close()


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def verify(path: Path, applied_index: int) -> str:
    """Return the problem of a received database file, or an empty string."""
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None
        )
        try:
            found = connection.execute("PRAGMA quick_check").fetchone()[0]
            if found != "ok":
                return f"its pages are damaged: {found}"
            index = _header(connection).applied_index
        finally:
            connection.close()
    except (sqlite3.Error, ValueError, TypeError) as error:  # of rows that are no header too
        return f"it is not a database of a state: {error}"
    return "" if index == applied_index else f"it holds index {index}, not {applied_index}"


def _header(connection: sqlite3.Connection) -> Header:
    row = connection.execute("SELECT * FROM header").fetchone()
    return Header() if row is None else Header(**dict(zip(_HEADER_FIELDS, row[1:], strict=True)))


def _answer(queries: Queries, ticket: int, question: forward_pb2.Question) -> StoreAnswer:
    try:
        response = queries.answer(question)
    except QueryRefused as refusal:
        return StoreAnswer(ticket, b"", refusal.status.SerializeToString())
    return StoreAnswer(ticket, response.SerializeToString(), b"")
