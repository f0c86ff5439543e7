"""The records of the state, and point reads of the records that are not in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePosition:
    """Where in the log a state stands."""

    applied_index: int = 0
    applied_term: int = 0
    stamp_ms: int = 0  # the log's time: the stamp of the last command entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(StatePosition):
    """The scalars of the state; before the first entry, the defaults hold."""

    cluster_id: str = ""  # empty: not initialized
    currency: str = ""  # ISO 4217
    digits: int = 0  # decimals of the currency
    next_item_id: int = 1
    next_user_id: int = 1
    next_ledger_id: int = 1
    admins: int = 0  # users that are admins and not disabled
    next_period: int = 1  # of the request table
    orders: int = 0  # how many orders were placed
    next_session_id: int = 1
    next_audit_id: int = 1
    audit_hash: str = ""  # of the last record of the audit log, in hexadecimal


@dataclass(slots=True, kw_only=True)
class ItemRecord:
    """An item with its level and its sales; times are milliseconds since 1970, 0 for never."""

    id: int
    name: str
    description: str
    price_minor: int
    quantity: int
    create_ms: int
    update_ms: int
    delete_ms: int = 0
    order_count: int = 0
    units_sold: int = 0
    revenue_minor: int = 0
    first_order_ms: int = 0
    last_order_ms: int = 0


@dataclass(slots=True, kw_only=True)
class UserRecord:
    """A user; `epoch` goes up whenever the user's tokens end."""

    id: int
    name: str
    role: int  # inventory.v1.Role
    epoch: int
    disabled: bool
    create_ms: int
    password_hash: str
    folded_name: str  # for the comparison of names (`wire.text`)
    delete_ms: int = 0  # 0: not deleted
    must_change_password: bool = False  # before anything else


@dataclass(slots=True, kw_only=True)
class SessionRecord:
    """A session that has not ended; it goes on while its user has the same epoch."""

    id: int
    user_id: int
    epoch: int  # of the user at the log-in
    create_ms: int
    refresh_ms: int  # the last time
    label: str
    source: str
    family_hash: bytes  # SHA-256 of the secret that all its refresh tokens hold
    secret_hash: bytes  # SHA-256 of the secret that serves next


class Remembered(NamedTuple):
    """A remembered request, with its outcome."""

    period: int  # all requests of this period are forgotten together
    request_id: str
    digest: bytes  # of the mutation's bytes
    outcome: bytes  # the outcome as it was returned
    administration: bool  # an AdministrationOutcome, not an Outcome


class AuditRow(NamedTuple):
    """A record of the audit log; see inventory.v1.AuditRecord."""

    id: int
    time_ms: int
    revision: int
    kind: str
    outcome: str
    actor_id: int
    actor: str
    subject_id: int
    detail: str
    source: str
    request_id: str
    event_count: int
    previous_hash: str
    hash: str


class PeriodRow(NamedTuple):
    """Requests that one user made one after the other; seconds are since 1970."""

    number: int  # of all users' periods, from 1 on, in the order of their begin
    user_id: int
    begin_second: int  # the log's time at the first request
    newest_second: int  # the newest time in the ids, 0: no id has a time
    slots: int  # see `request_table`; 0: the requests are forgotten


class Records(Protocol):
    """Point reads of the durable state, by key, blocking; for records that are not in memory."""

    def header(self) -> Header:
        """Return the scalars as last flushed."""
        ...

    def item(self, item_id: int) -> ItemRecord | None:
        """Return an item as a fresh record, deleted items too."""
        ...

    def user(self, user_id: int) -> UserRecord | None:
        """Return a user as a fresh record, disabled and deleted users too."""
        ...

    def user_by_name(self, folded_name: str) -> UserRecord | None:
        """Return a user that is not deleted as a fresh record, disabled users too."""
        ...

    def sessions(self, user_id: int) -> list[SessionRecord]:
        """Return a user's sessions as fresh records, in the order of their ids."""
        ...

    def request(self, periods: Sequence[int], request_id: str) -> Remembered | None:
        """Return a remembered request of one of the periods, which are one user's."""
        ...

    def periods(self) -> list[PeriodRow]:
        """Return the periods of the request table, in the order of their numbers."""
        ...
