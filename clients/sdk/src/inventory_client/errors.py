"""The exceptions of calls without a result, by what the caller can do."""

import time
from collections.abc import Mapping

from google.rpc import code_pb2, status_pb2
from wire.errors import Reason, details_of, reason_of, span


class InventoryError(Exception):
    """A call without a result; the message says what happened and what to do."""

    def __init__(
        self,
        message: str,
        reason: str = "",
        details: Mapping[str, str] | None = None,
        request_id: str | None = None,
        status: status_pb2.Status | None = None,
    ) -> None:
        """Carry the stable reason, its details, the mutation's request id, and the status."""
        super().__init__(message)
        self.reason = reason
        self.details = dict(details or {})
        self.request_id = request_id
        self.status = status  # as received, for programs that pass it on; None: nothing came


class Refused(InventoryError):
    """The inventory refused the call, and nothing changed.

    The refusal holds for the whole call. A mutation with an unanswered attempt ends as Refused only
    if the log itself refuses the mutation, and as OutcomeUnknown otherwise. A refusal says nothing
    about an earlier call with the same request id.
    """


class Unauthenticated(Refused):
    """No user is logged in, or the token is not valid any more: log in."""


class NotAllowed(Refused):
    """The user's role does not allow the call."""


class Unavailable(InventoryError):
    """No answer came in time."""


class OutcomeUnknown(Unavailable):
    """A mutation that may or may not have taken effect: send it again with its request id.

    `reason` is the reason of the last attempt's refusal, if the attempt was refused. Request ids
    belong to a user: a mutation that is sent again as another user is another mutation.
    """


class OutcomeForgotten(OutcomeUnknown):
    """The inventory has forgotten request ids of this age: the outcome can never be told.

    Look whether the mutation took effect, and send it with another request id if not. An id that
    was made just before has such a time only if the clock that made the id is far behind. The
    message says so of this machine's clock. The mutation may have taken effect all the same: its id
    may have been remembered at the first attempt of a gateway, and forgotten at the second.
    """


class UsageError(RuntimeError):
    """A client was used where it cannot work, and nothing was sent: a fault of the program.

    After the client was closed, on another event loop, or in a forked process.
    """


class LogInFailed(Exception):
    """No token could be got; the call was not sent."""

    def __init__(self, status: status_pb2.Status) -> None:
        """Carry why."""
        super().__init__(status.message)
        self.status = status


CLOCK_SECONDS_MIN = 60  # a smaller difference from the inventory's clock is not reported

UNKNOWN_CODES = frozenset(
    {
        code_pb2.UNAVAILABLE,
        code_pb2.DEADLINE_EXCEEDED,
        code_pb2.CANCELLED,
        code_pb2.UNKNOWN,
        code_pb2.INTERNAL,
    }
)
# CANCELLED comes from the far side: a call that the caller ends raises CancelledError instead. A
# saturated server resets streams with CANCELLED; trying again is safe, as always.
RETRIED_CODES = frozenset({code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED, code_pb2.CANCELLED})

# Without a reason of the inventory, a broken connection: a gateway that ends resets its streams.
BROKEN_CODES = frozenset({code_pb2.UNKNOWN, code_pb2.INTERNAL})

# The reasons with which only the log's rules refuse a mutation: see `is_final`.
LOG_REASONS = frozenset(
    {
        Reason.ITEM_NOT_FOUND,
        Reason.USER_NOT_FOUND,
        Reason.ITEM_DELETED,
        Reason.INSUFFICIENT_STOCK,
        Reason.QUANTITY_CHANGED,
        Reason.QUANTITY_TOO_LARGE,
        Reason.TOTAL_TOO_LARGE,
        Reason.CURRENCY_MISMATCH,
        Reason.PRICE_NOT_REPRESENTABLE,
        Reason.REQUEST_ID_REUSED,
        Reason.REQUEST_ID_IN_FUTURE,
        Reason.USER_EXISTS,
        Reason.USER_DELETED,
        Reason.SESSION_NOT_FOUND,
        Reason.LAST_ADMIN,
    }
)


def may_try_again(status: status_pb2.Status) -> bool:
    """Tell whether the same call may yet get an answer."""
    is_broken = status.code in BROKEN_CODES and reason_of(status) is None
    return status.code in RETRIED_CODES or is_broken


def tells_nothing(status: status_pb2.Status) -> bool:
    """Tell whether a mutation may have taken effect although its attempt ended with `status`."""
    return status.code in UNKNOWN_CODES


def is_final(status: status_pb2.Status) -> bool:
    """Tell whether a refusal answers for every attempt of a mutation, not only for the last.

    A refusal by a rule does. The log looks a request id up before the rules: had an earlier attempt
    taken effect, the answer would be that attempt's outcome. Authority is looked at before the
    request id, so a user who may no longer do something is not told of earlier attempts. A gateway,
    or a member with a full queue or volume, refuses an attempt before the attempt reaches the log,
    and knows nothing of earlier attempts. So the rules' reasons are listed, and no other reason is
    final: neither authority's (ROLE_NOT_ALLOWED, TOKEN_INVALID, PASSWORD_CHANGE_NEEDED), nor a
    gateway's or a member's (INVALID_FIELD, SESSION_ENDED), nor a later version's, nor a
    proxy's refusal.
    """
    return reason_of(status) in LOG_REASONS


def error_of(
    status: status_pb2.Status, request_id: str | None, *, unanswered: bool = False
) -> InventoryError:
    """Return the exception for a status that ended a call.

    `request_id` is a mutation's, None for a call that changes nothing. `unanswered`: an earlier
    attempt got no answer, so only a final refusal refuses the whole call.
    """
    kind, message = _kind_of(status, request_id), status.message + _clock_of(status)
    if request_id and unanswered and issubclass(kind, Refused) and not is_final(status):
        kind = OutcomeUnknown
        message = (
            "An attempt went unanswered, so the outcome is unknown; send it again with the same "
            f"request id. The last attempt was refused: {message}"
        )
    return kind(message, reason_of(status) or "", details_of(status), request_id, status)


def _clock_of(status: status_pb2.Status) -> str:
    """Return a sentence about this machine's clock if the clock explains a refused request id."""
    inventory_time = details_of(status).get("inventory_time", "")
    if not inventory_time.isdecimal():
        return ""
    behind = int(inventory_time) - int(time.time())
    if abs(behind) < CLOCK_SECONDS_MIN:
        return ""
    way = "behind" if behind > 0 else "ahead of"
    return f" The clock of this machine is {span(abs(behind))} {way} the inventory's."


def _kind_of(status: status_pb2.Status, request_id: str | None) -> type[InventoryError]:
    if reason_of(status) is Reason.REQUEST_ID_EXPIRED:
        return OutcomeForgotten
    if tells_nothing(status):
        return OutcomeUnknown if request_id else Unavailable
    if status.code == code_pb2.UNAUTHENTICATED:
        return Unauthenticated
    if status.code == code_pb2.PERMISSION_DENIED:
        return NotAllowed
    return Refused
