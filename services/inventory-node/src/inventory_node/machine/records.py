"""What is kept: the records of the state, and point reads of those that are not in memory."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The scalars of the state; a fresh one stands before the first entry."""

    applied_index: int = 0
    applied_term: int = 0
    stamp_ms: int = 0  # the log's time: of the last command entry
    cluster_id: str = ""  # empty: not initialized
    currency: str = ""  # ISO 4217
    digits: int = 0  # decimals of the currency
    next_item_id: int = 1
    next_user_id: int = 1
    next_ledger_id: int = 1
    admins: int = 0  # users that are admins and not disabled
    request_floor: int = 0  # the newest bucket of request ids that was forgotten
    requests: int = 0  # how many are remembered
    orders: int = 0  # how many were placed


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
    """A user; `epoch` goes up whenever its tokens end."""

    id: int
    name: str
    role: int  # inventory.v1.Role
    epoch: int
    disabled: bool
    create_ms: int
    password_hash: str
    folded_name: str  # by which names are compared (`wire.text`)


class Remembered(NamedTuple):
    """What became of a request."""

    bucket: int  # the second in which its id was made; 0 when the id does not tell
    user_id: int
    request_id: str
    second: int  # it goes with all others of this second
    digest: bytes  # of the mutation's bytes
    outcome: bytes  # as it was returned
    administration: bool  # an AdministrationOutcome, not an Outcome


class Records(Protocol):
    """Point reads of the durable state, by key, blocking; asked when memory does not know."""

    def header(self) -> Header:
        """Return the scalars as last flushed."""
        ...

    def item(self, item_id: int) -> ItemRecord | None:
        """Return an item of its own, deleted ones too."""
        ...

    def user(self, user_id: int) -> UserRecord | None:
        """Return a user, disabled ones too."""
        ...

    def user_by_name(self, folded_name: str) -> UserRecord | None:
        """Return a user, disabled ones too."""
        ...

    def request(self, bucket: int, user_id: int, request_id: str) -> Remembered | None:
        """Return what is remembered; `bucket` is 0 for an id that has no time of its own."""
        ...

    def buckets(self) -> dict[int, int]:
        """Return how many requests each second holds, oldest first."""
        ...
