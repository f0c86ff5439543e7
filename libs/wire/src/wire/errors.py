"""Refusals: one list of reasons, and for each reason the code and the sentence.

A refusal is a value, `google.rpc.Status`, with one `google.rpc.ErrorInfo`: a stable reason, the
domain "inventory", and details as strings. The sentence says what happened, to what, and what to
do. Programs read the reason and the details (AIP-193). A RESOURCE_EXHAUSTED refusal also has a
`google.rpc.RetryInfo`: the earliest time for a retry (AIP-194).
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "inventory"
STALE = "CONSISTENCY_STALE"
RETRY_WITH = "retry_with"  # a detail: the consistency that needs no majority
OVERLOADED_RETRY_MS = 100
RATE_LIMITED_RETRY_MS = 200
SHOWN_CHARACTERS_MAX = 64  # of a caller's own text in a refusal, which must fit into a header
SENTENCE_CHARACTERS_MAX = 1_000
DISK_FULL_RETRY_MS = 1_000


class Reason(enum.StrEnum):
    """Why a request was refused; a client may rely on these names."""

    ITEM_NOT_FOUND = "ITEM_NOT_FOUND"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    USER_NOT_FOUND = "USER_NOT_FOUND"
    ITEM_DELETED = "ITEM_DELETED"
    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    QUANTITY_CHANGED = "QUANTITY_CHANGED"
    QUANTITY_TOO_LARGE = "QUANTITY_TOO_LARGE"
    TOTAL_TOO_LARGE = "TOTAL_TOO_LARGE"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    PRICE_NOT_REPRESENTABLE = "PRICE_NOT_REPRESENTABLE"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    REQUEST_ID_EXPIRED = "REQUEST_ID_EXPIRED"
    REQUEST_ID_IN_FUTURE = "REQUEST_ID_IN_FUTURE"
    USER_EXISTS = "USER_EXISTS"
    USER_DELETED = "USER_DELETED"
    INVALID_FIELD = "INVALID_FIELD"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"  # noqa: S105 - a reason, not a secret
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a reason, not a secret
    ROLE_NOT_ALLOWED = "ROLE_NOT_ALLOWED"
    PASSWORD_CHANGE_NEEDED = "PASSWORD_CHANGE_NEEDED"  # noqa: S105 - a reason, not a secret
    LAST_ADMIN = "LAST_ADMIN"
    NOT_INITIALIZED = "NOT_INITIALIZED"
    NO_QUORUM = "NO_QUORUM"
    OVERLOADED = "OVERLOADED"
    RATE_LIMITED = "RATE_LIMITED"
    LOGIN_LIMITED = "LOGIN_LIMITED"
    DISK_FULL = "DISK_FULL"
    MEMBER_NOT_FOUND = "MEMBER_NOT_FOUND"
    CHANGE_REFUSED = "CHANGE_REFUSED"
    DEADLINE = "DEADLINE"
    INTERNAL = "INTERNAL"


CODES: Mapping[Reason, int] = MappingProxyType(
    {
        Reason.ITEM_NOT_FOUND: code_pb2.NOT_FOUND,
        Reason.ORDER_NOT_FOUND: code_pb2.NOT_FOUND,
        Reason.USER_NOT_FOUND: code_pb2.NOT_FOUND,
        Reason.ITEM_DELETED: code_pb2.FAILED_PRECONDITION,
        Reason.INSUFFICIENT_STOCK: code_pb2.FAILED_PRECONDITION,
        Reason.QUANTITY_CHANGED: code_pb2.ABORTED,
        Reason.QUANTITY_TOO_LARGE: code_pb2.FAILED_PRECONDITION,
        Reason.TOTAL_TOO_LARGE: code_pb2.FAILED_PRECONDITION,
        Reason.CURRENCY_MISMATCH: code_pb2.INVALID_ARGUMENT,
        Reason.PRICE_NOT_REPRESENTABLE: code_pb2.INVALID_ARGUMENT,
        Reason.REQUEST_ID_REUSED: code_pb2.INVALID_ARGUMENT,
        Reason.REQUEST_ID_EXPIRED: code_pb2.FAILED_PRECONDITION,
        Reason.REQUEST_ID_IN_FUTURE: code_pb2.INVALID_ARGUMENT,
        Reason.USER_EXISTS: code_pb2.ALREADY_EXISTS,
        Reason.USER_DELETED: code_pb2.FAILED_PRECONDITION,
        Reason.INVALID_FIELD: code_pb2.INVALID_ARGUMENT,
        Reason.INVALID_PAGE_TOKEN: code_pb2.INVALID_ARGUMENT,
        Reason.INVALID_CREDENTIALS: code_pb2.UNAUTHENTICATED,
        Reason.TOKEN_INVALID: code_pb2.UNAUTHENTICATED,
        Reason.ROLE_NOT_ALLOWED: code_pb2.PERMISSION_DENIED,
        Reason.PASSWORD_CHANGE_NEEDED: code_pb2.PERMISSION_DENIED,
        Reason.LAST_ADMIN: code_pb2.FAILED_PRECONDITION,
        Reason.NOT_INITIALIZED: code_pb2.UNAVAILABLE,
        Reason.NO_QUORUM: code_pb2.UNAVAILABLE,
        Reason.OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
        Reason.RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
        Reason.LOGIN_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
        Reason.DISK_FULL: code_pb2.RESOURCE_EXHAUSTED,
        Reason.MEMBER_NOT_FOUND: code_pb2.NOT_FOUND,
        Reason.CHANGE_REFUSED: code_pb2.FAILED_PRECONDITION,
        Reason.DEADLINE: code_pb2.DEADLINE_EXCEEDED,
        Reason.INTERNAL: code_pb2.INTERNAL,
    }
)


def shown(value: str) -> str:
    """Return as much of a caller's text as a refusal repeats."""
    return value if len(value) <= SHOWN_CHARACTERS_MAX else f"{value[:SHOWN_CHARACTERS_MAX]}…"


def refusal(reason: Reason, message: str, **details: str | int) -> status_pb2.Status:
    """Make a refusal; the status details are one ErrorInfo.

    The same refusal has the same bytes in every process: members store a refusal as an outcome.
    A refusal repeats little of what it refuses: callers who do not read would have it all kept.
    """
    info = error_details_pb2.ErrorInfo(
        reason=reason,
        domain=DOMAIN,
        metadata={name: shown(str(value)) for name, value in details.items()},
    )
    sentence = message[:SENTENCE_CHARACTERS_MAX]
    status = status_pb2.Status(code=CODES[reason], message=sentence)
    status.details.add().Pack(info, deterministic=True)  # a map has no order
    return status


def _info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo | None:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info) and info.domain == DOMAIN:
            return info
    return None


def reason_of(status: status_pb2.Status) -> Reason | None:
    """Return the reason of a refusal; None for a status of other origin or a later version."""
    info = _info_of(status)
    if info is None or info.reason not in Reason.__members__:
        return None
    return Reason(info.reason)


def details_of(status: status_pb2.Status) -> dict[str, str]:
    """Return the details of a refusal, by name."""
    info = _info_of(status)
    return dict(info.metadata) if info is not None else {}


def retry_ms_of(status: status_pb2.Status) -> int | None:
    """Return the earliest delay before a retry, in milliseconds; None without a RetryInfo."""
    info = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return int(info.retry_delay.ToMilliseconds())
    return None


def _not_before(status: status_pb2.Status, retry_ms: int) -> status_pb2.Status:
    """Add the earliest delay before a retry to a refusal."""
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(retry_ms)
    status.details.add().Pack(info)
    return status


def item_not_found(item_id: int) -> status_pb2.Status:
    """Say that no item has the id."""
    return refusal(
        Reason.ITEM_NOT_FOUND,
        f"There is no item {item_id}; list the items to see which there are.",
        item_id=item_id,
    )


def order_not_found(order_id: int) -> status_pb2.Status:
    """Say that no order has the id, or the order is another user's."""
    return refusal(
        Reason.ORDER_NOT_FOUND,
        f"There is no order {order_id} of yours; list your orders to see which there are.",
        order_id=order_id,
    )


def user_not_found(user_id: int) -> status_pb2.Status:
    """Say that no user has the id."""
    return refusal(
        Reason.USER_NOT_FOUND,
        f"There is no user {user_id}; list the users to see which there are.",
        user_id=user_id,
    )


def item_deleted(item_id: int) -> status_pb2.Status:
    """Say that the item is archived."""
    return refusal(
        Reason.ITEM_DELETED,
        f"Item {item_id} is deleted; add it anew under another id.",
        item_id=item_id,
    )


def insufficient_stock(item_id: int, requested: int, available: int) -> status_pb2.Status:
    """Say that the level is below the requested quantity."""
    return refusal(
        Reason.INSUFFICIENT_STOCK,
        f"Item {item_id} has {available} on hand and {requested} were requested; "
        f"ask for {available} or fewer.",
        item_id=item_id,
        requested=requested,
        available=available,
    )


def quantity_changed(item_id: int, expected: int, actual: int) -> status_pb2.Status:
    """Say that the level differs from the expected quantity of a compare-and-set."""
    return refusal(
        Reason.QUANTITY_CHANGED,
        f"Item {item_id} has {actual} on hand, not {expected}; read it again and decide anew.",
        item_id=item_id,
        expected=expected,
        actual=actual,
    )


def quantity_too_large(item_id: int, quantity: int, most: int) -> status_pb2.Status:
    """Say that the level would exceed the maximum of an item."""
    return refusal(
        Reason.QUANTITY_TOO_LARGE,
        f"Item {item_id} would have {quantity} on hand, and {most} is the most; add less.",
        item_id=item_id,
        quantity=quantity,
    )


def total_too_large() -> status_pb2.Status:
    """Say that an order's total would exceed the maximum."""
    return refusal(
        Reason.TOTAL_TOO_LARGE,
        "The order's total is too large to be recorded; order less, in several orders.",
    )


def currency_mismatch(expected: str, actual: str) -> status_pb2.Status:
    """Say that a price is not in the cluster's currency."""
    return refusal(
        Reason.CURRENCY_MISMATCH,
        f"The price is in {actual or 'no currency'} and this inventory is kept in {expected}; "
        f"send it in {expected}.",
        expected=expected,
        actual=actual,
    )


def price_not_representable(digits: int) -> status_pb2.Status:
    """Say that a price is finer than the currency's minor unit."""
    return refusal(
        Reason.PRICE_NOT_REPRESENTABLE,
        f"The price is finer than the currency's minor unit; give at most {digits} decimals.",
        digits=digits,
    )


def request_id_reused(request_id: str) -> status_pb2.Status:
    """Say that the id was used before with another payload."""
    return refusal(
        Reason.REQUEST_ID_REUSED,
        f"Request id {request_id!r} was used for another request; make a new id for this one.",
        request_id=request_id,
    )


def span(seconds: int) -> str:
    """Return the distance of two times, such as "25 hours"; rounded down, in one unit."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}s"
    return f"{seconds} seconds"


def request_id_expired(request_id: str, made: int, now: int) -> status_pb2.Status:
    """Say that the id may be forgotten, or was made by a clock that is behind.

    `made`: the time that the id carries. `now`: the inventory's time. Both are seconds since 1970.
    """
    behind = span(max(0, now - made))
    return refusal(
        Reason.REQUEST_ID_EXPIRED,
        f"Request id {request_id!r} carries a time {behind} behind the inventory's, and this "
        "user's requests of that time are forgotten, so the outcome is unknown. If the id was made "
        f"just now, the clock that made it is {behind} behind the inventory's: set it right. In "
        "either case look whether the request took effect, and send it with a new id if not.",
        request_id=request_id,
        id_time=made,
        inventory_time=now,
    )


def request_id_in_future(request_id: str, made: int, now: int) -> status_pb2.Status:
    """Say that the id was made by a clock that is ahead; for times see `request_id_expired`.

    The inventory's time never goes back, so no earlier attempt with the id took effect either.
    """
    return refusal(
        Reason.REQUEST_ID_IN_FUTURE,
        f"Request id {request_id!r} carries a time {span(made - now)} ahead of the inventory's, "
        "and nothing was done. The clock that made it is ahead of the inventory's: set it right, "
        "and send the request with a new id.",
        request_id=request_id,
        id_time=made,
        inventory_time=now,
    )


def user_exists(username: str) -> status_pb2.Status:
    """Say that the name is taken, maybe by a disabled user."""
    return refusal(
        Reason.USER_EXISTS,
        f"There is a user {username!r} already, who may be disabled; choose another name.",
        username=username,
    )


def user_deleted(user_id: int) -> status_pb2.Status:
    """Say that the user is deleted for good."""
    return refusal(
        Reason.USER_DELETED,
        f"User {user_id} is deleted for good; create another user, who may have the same name.",
        user_id=user_id,
    )


def password_change_needed(user_id: int) -> status_pb2.Status:
    """Say that the user has to set a password of its own before anything else."""
    return refusal(
        Reason.PASSWORD_CHANGE_NEEDED,
        f"User {user_id} was given a password by somebody else, and may do nothing before it has "
        "set its own; set another password, and log in with it.",
        user_id=user_id,
    )


def invalid_field(field: str, problem: str) -> status_pb2.Status:
    """Say that a field is out of its bounds; `problem` continues "the field"."""
    return refusal(Reason.INVALID_FIELD, f"The field {field} {problem}.", field=field)


def invalid_page_token() -> status_pb2.Status:
    """Say that the token was not made by the same query."""
    return refusal(
        Reason.INVALID_PAGE_TOKEN,
        "The page token does not belong to this query; begin again without one.",
    )


def invalid_credentials() -> status_pb2.Status:
    """Say that name or password is wrong, without saying which of the two."""
    return refusal(
        Reason.INVALID_CREDENTIALS,
        "The user name or the password is wrong; check both and log in again.",
    )


def token_invalid(problem: str) -> status_pb2.Status:
    """Say that the bearer token is not valid; `problem` continues "the token"."""
    return refusal(Reason.TOKEN_INVALID, f"The token {problem}; log in again.")


def role_not_allowed(role: str, needed: str) -> status_pb2.Status:
    """Say that the user's role does not allow the call."""
    return refusal(
        Reason.ROLE_NOT_ALLOWED,
        f"The role {role} may not do this; it takes {needed}.",
        role=role,
        needed=needed,
    )


def last_admin(user_id: int) -> status_pb2.Status:
    """Say that no admin would be left."""
    return refusal(
        Reason.LAST_ADMIN,
        f"User {user_id} is the last admin who can log in; create or enable another admin first.",
        user_id=user_id,
    )


def not_initialized() -> status_pb2.Status:
    """Say that the cluster's first command has not been applied yet."""
    return refusal(Reason.NOT_INITIALIZED, "The inventory is being set up; try again in a moment.")


def no_quorum() -> status_pb2.Status:
    """Say of a mutation that no leader could be reached in time."""
    return refusal(
        Reason.NO_QUORUM,
        "No majority of the inventory's members answers, so the outcome is unknown; "
        "try again with the same request id.",
    )


def members_unknown() -> status_pb2.Status:
    """Say of a membership change that no leader could be reached in time."""
    return refusal(
        Reason.NO_QUORUM,
        "No majority of the inventory's members answered in time, so it is unknown whether they "
        "changed; look at the status, and try again if not.",
    )


def retry_read(*, may_be_stale: bool) -> str:
    """Return the end of a sentence that says how to get an answer to a read."""
    other = f", or read what one member holds, however old, by read_options {STALE}"
    return f"try again{other if may_be_stale else ' in a moment'}."


def not_read(*, reachable: bool, is_stale_ok: bool, may_be_stale: bool) -> status_pb2.Status:
    """Say that no answer came in time to a call that changes nothing.

    `reachable`: a member could be asked. `is_stale_ok`: any member could have answered.
    `may_be_stale`: the call takes `read_options`, with which any member could answer; the detail
    RETRY_WITH says so, too.
    """
    details = {RETRY_WITH: STALE} if may_be_stale else {}
    who = "member" if is_stale_ok else "majority"
    return refusal(
        Reason.DEADLINE if reachable else Reason.NO_QUORUM,
        f"No {who} of the inventory's members answered in time, and nothing was changed; "
        + retry_read(may_be_stale=may_be_stale),
        **details,
    )


def member_not_found(name: str) -> status_pb2.Status:
    """Say that no member has this name."""
    return refusal(
        Reason.MEMBER_NOT_FOUND,
        f"No member {name!r} takes part; `inventory status` lists those that do.",
        member=name,
    )


def change_refused(problem: str) -> status_pb2.Status:
    """Say why a membership change was refused."""
    return refusal(
        Reason.CHANGE_REFUSED,
        f"The members stay as they are: {problem}. Mend that, or try again a little later.",
    )


def disk_full(member: str) -> status_pb2.Status:
    """Say that there is no space for a write, or for the flush that a list waits for."""
    full = refusal(
        Reason.DISK_FULL,
        f"The volume of {member} is full, so nothing is changed, and no list of what changed last "
        "is read, until there is space again; free some, or grow the volume. Reads by id go on.",
        member=member,
    )
    return _not_before(full, DISK_FULL_RETRY_MS)


def overloaded() -> status_pb2.Status:
    """Say that a queue is full; nothing was done."""
    too_much = refusal(
        Reason.OVERLOADED, "The inventory is overloaded and did nothing; try again a little later."
    )
    return _not_before(too_much, OVERLOADED_RETRY_MS)


def rate_limited() -> status_pb2.Status:
    """Say that too many requests of the user are under way; nothing was done."""
    too_many = refusal(
        Reason.RATE_LIMITED,
        "Too many requests of this user are under way, and nothing was done; "
        "wait for some answers, and try again.",
    )
    return _not_before(too_many, RATE_LIMITED_RETRY_MS)


def login_limited(retry_ms: int) -> status_pb2.Status:
    """Say that too many log-ins failed for the name, or from the address; nothing was looked at."""
    too_many = refusal(
        Reason.LOGIN_LIMITED,
        "Too many log-ins failed for this name or from this address, so this one was not looked "
        f"at; try again in {max(1, retry_ms // 1_000)} seconds.",
    )
    return _not_before(too_many, retry_ms)


def internal(error_id: str) -> status_pb2.Status:
    """Say that a fault of the inventory itself ended the call."""
    return refusal(
        Reason.INTERNAL,
        "A fault of the inventory itself ended this call, and whether it took effect is unknown; "
        f"tell whoever runs the inventory the error id {error_id}, which is in the log.",
        error_id=error_id,
    )


def deadline() -> status_pb2.Status:
    """Say of a mutation that its deadline passed."""
    return refusal(
        Reason.DEADLINE,
        "The deadline passed before the outcome was known; try again with the same request id.",
    )
