"""Sessions: what a log-in starts, its refresh tokens renew, and a log-out ends.

A session belongs to a user and to the epoch that the user had at the log-in, so whatever raises the
epoch ends all sessions of that user. Every command and question names its session, and is refused
when the session has ended.

A refresh token holds two secrets, of which the log knows the SHA-256: the secret of the family,
which stays, and the secret that serves once. Whoever presents the family's secret with another
secret than the next one has an old refresh token, which somebody else has used: that ends the
session, for both of them (RFC 9700 §4.14.2). Who does not know the family's secret ends nothing.

Ends are kept as absence: an ended session is in no memory and in no row.
"""

from collections.abc import Iterable
from dataclasses import fields
from hmac import compare_digest
from operator import attrgetter

from google.rpc import status_pb2
from inventory.raft.v1 import log_pb2, raw_pb2
from inventory.v1 import auth_pb2
from wire import errors

from inventory_node.machine import users
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Records, SessionRecord, UserRecord
from inventory_node.machine.state_cache import StateCache
from inventory_node.machine.stock import Context

SESSIONS_MAX = 32  # of a user
IDLE_MS_MAX = 30 * 24 * 3_600_000  # since the last refresh, by the log's time
ADMINISTRATIONS = frozenset({"start_session", "refresh_session", "end_sessions"})
USERS_MAX = 100_000  # whose sessions are in memory after a flush

_session_row = attrgetter(*(field.name for field in fields(SessionRecord)))
_age = attrgetter("refresh_ms", "id")


def is_recent(refresh_ms: int, stamp_ms: int) -> bool:
    """Tell whether a session that was refreshed at `refresh_ms` goes on, at a time of the log."""
    return stamp_ms - refresh_ms <= IDLE_MS_MAX


def ended() -> status_pb2.Status:
    """Return the refusal of what names a session that has ended, or that never was."""
    return errors.token_invalid("belongs to a session that has ended")


class SessionTable:
    """The sessions of every user, by user and id.

    - A user has SESSIONS_MAX sessions at most.
    - A session that is not durable is in memory, with all sessions of its user.
    - An id is given once, and ids ascend.
    """

    def __init__(self, records: Records, next_id: int) -> None:
        """Start with the database's sessions, which are loaded on demand."""
        self._records = records
        self.next_id = next_id
        self._users: dict[int, dict[int, SessionRecord]] = {}  # by user, then by id
        self._unwritten: dict[int, SessionRecord | None] = {}  # by id; None: it has ended
        self._touched: set[int] = set()  # users of the unwritten
        self._taken: list[set[int]] = []  # likewise, of what is on its way to the database

    def of(self, user_id: int) -> dict[int, SessionRecord]:
        """Return a user's sessions by id, to read; those that are too old too."""
        found = self._users.get(user_id)
        if found is None:
            found = {one.id: one for one in self._records.sessions(user_id)} if user_id > 0 else {}
            self._users[user_id] = found
        return found

    def check(self, user_id: int, session_id: int, stamp_ms: int) -> status_pb2.Status | None:
        """Return why a user's session does not go on, or None."""
        sessions = self._users.get(user_id)
        session = (self.of(user_id) if sessions is None else sessions).get(session_id)
        return None if session is not None and is_recent(session.refresh_ms, stamp_ms) else ended()

    def living(self, user: UserRecord, stamp_ms: int) -> list[SessionRecord]:
        """Return the sessions of a user that go on, in the order of their ids."""
        found = self.of(user.id).values()
        return [
            one for one in found if one.epoch == user.epoch and is_recent(one.refresh_ms, stamp_ms)
        ]

    def add(self, session: SessionRecord) -> None:
        """Add the session with the next id."""
        self.of(session.user_id)[session.id] = session
        self.next_id = session.id + 1
        self._note(session.user_id, session.id, session)

    def change(self, session: SessionRecord) -> None:
        """Note that a session was changed in place."""
        self._note(session.user_id, session.id, session)

    def end(self, sessions: Iterable[SessionRecord]) -> None:
        """End sessions."""
        for session in list(sessions):
            del self._users[session.user_id][session.id]
            self._note(session.user_id, session.id, None)

    def _note(self, user_id: int, session_id: int, session: SessionRecord | None) -> None:
        self._unwritten[session_id] = session
        self._touched.add(user_id)

    def take(self, changes: Changes) -> None:
        """Move the unwritten changes into `changes`."""
        unwritten, self._unwritten = self._unwritten, {}
        changes.sessions = [_session_row(one) for one in unwritten.values() if one is not None]
        changes.ended_sessions = [key for key, one in unwritten.items() if one is None]
        self._taken.append(self._touched)
        self._touched = set()

    def flushed(self) -> None:
        """Drop clean sessions when there are many; the oldest take is durable."""
        del self._taken[0]
        if len(self._users) > USERS_MAX:
            kept = self._touched.union(*self._taken)
            self._users = {key: one for key, one in self._users.items() if key in kept}


def check_administration(
    table: SessionTable,
    cache: StateCache,
    command: raw_pb2.RawCommand,
    request: log_pb2.Administration,
    stamp_ms: int,
) -> status_pb2.Status | None:
    """Return why a user may not administrate, or None; users end their own sessions."""
    user_id = command.user_id
    match request.WhichOneof("operation"):
        case "start_session" | "refresh_session" if user_id != users.CLUSTER:
            return errors.role_not_allowed("user", "the gateway itself")
        case "refresh_session":
            asked = request.refresh_session
            found = of_family(table, cache.user(asked.user_id), asked, stamp_ms)
            return errors.session_ended() if found is None else None
        case "end_sessions" if request.end_sessions.user_id == user_id:
            holder = users.holder(cache.user(user_id), command.epoch)
            return None if isinstance(holder, UserRecord) else holder
        case _:
            return users.check_administration(cache, user_id, command.epoch, request)


def administer(
    table: SessionTable, cache: StateCache, request: log_pb2.Administration, context: Context
) -> log_pb2.AdministrationOutcome | status_pb2.Status:
    """Start, refresh or end sessions, as one of ADMINISTRATIONS asks."""
    outcome = log_pb2.AdministrationOutcome(revision=context.revision)
    if request.HasField("end_sessions"):
        user = cache.user(request.end_sessions.user_id)
        count = end(table, user, request.end_sessions, context.stamp_ms)
        if isinstance(count, status_pb2.Status):
            return count
        outcome.ended_sessions = count
        return outcome
    found: log_pb2.SessionOutcome | status_pb2.Status
    if request.HasField("start_session"):
        user = cache.user(request.start_session.user_id)
        found = start(table, user, request.start_session, context.stamp_ms)
    else:
        found = refresh(table, request.refresh_session, context.stamp_ms)
    if isinstance(found, status_pb2.Status):
        return found
    outcome.session.CopyFrom(found)
    return outcome


def start(
    table: SessionTable, user: UserRecord | None, request: log_pb2.StartSession, stamp_ms: int
) -> log_pb2.SessionOutcome | status_pb2.Status:
    """Start a session; one more than a user may have ends the one refreshed longest ago."""
    if user is None or user.disabled or user.delete_ms or user.epoch != request.epoch:
        return errors.invalid_credentials()  # the password was another one, or nobody's, since
    going = table.living(user, stamp_ms)
    kept = {one.id for one in sorted(going, key=_age)[-(SESSIONS_MAX - 1) :]}
    table.end(one for one in table.of(user.id).values() if one.id not in kept)
    session = SessionRecord(
        id=table.next_id,
        user_id=user.id,
        epoch=user.epoch,
        create_ms=stamp_ms,
        refresh_ms=stamp_ms,
        label=request.label,
        source=request.source,
        family_hash=request.family_hash,
        secret_hash=request.secret_hash,
    )
    table.add(session)
    return log_pb2.SessionOutcome(session=message(session), epoch=user.epoch)


def going(
    table: SessionTable, user: UserRecord | None, session_id: int, stamp_ms: int
) -> SessionRecord | None:
    """Return a user's session; None where it has ended, or is another's."""
    if user is None or user.disabled or user.delete_ms:
        return None
    session = table.of(user.id).get(session_id)
    if session is None or session.epoch != user.epoch:
        return None
    return session if is_recent(session.refresh_ms, stamp_ms) else None


def of_family(
    table: SessionTable, user: UserRecord | None, request: log_pb2.RefreshSession, stamp_ms: int
) -> SessionRecord | None:
    """Return the session that goes on and that a refresh token is of, or None."""
    session = going(table, user, request.session_id, stamp_ms)
    is_own = session is not None and compare_digest(session.family_hash, request.family_hash)
    return session if is_own else None


def refresh(
    table: SessionTable, request: log_pb2.RefreshSession, stamp_ms: int
) -> log_pb2.SessionOutcome:
    """Let the next secret serve in place of the one that `of_family` found used.

    A secret that is not the session's own was used before, and ends the session.
    """
    session = table.of(request.user_id)[request.session_id]
    if not compare_digest(session.secret_hash, request.secret_hash):
        table.end([session])
        return log_pb2.SessionOutcome()
    session.secret_hash = request.next_secret_hash
    session.refresh_ms = stamp_ms
    table.change(session)
    return log_pb2.SessionOutcome(session=message(session), epoch=session.epoch)


def end(
    table: SessionTable,
    user: UserRecord | None,
    request: auth_pb2.EndSessionsRequest,
    stamp_ms: int,
) -> int | status_pb2.Status:
    """End one session of a user, or all; return how many."""
    if user is None:
        return errors.user_not_found(request.user_id)
    if user.delete_ms:
        return errors.user_deleted(request.user_id)
    going = table.living(user, stamp_ms)
    if request.session_id:
        going = [one for one in going if one.id == request.session_id]
        if not going:
            return errors.session_not_found(request.session_id)
    table.end(going)
    return len(going)


def message(session: SessionRecord) -> auth_pb2.UserSession:
    """Return a session for the wire, which no secret of it leaves."""
    shown = auth_pb2.UserSession(
        id=session.id, user_id=session.user_id, label=session.label, source=session.source
    )
    shown.create_time.FromMilliseconds(session.create_ms)
    shown.refresh_time.FromMilliseconds(session.refresh_ms)
    return shown
