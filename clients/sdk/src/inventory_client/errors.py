"""What ends a call without a result, by what the caller can do about it."""

from collections.abc import Mapping

from google.rpc import code_pb2, status_pb2
from wire.errors import details_of, reason_of


class InventoryError(Exception):
    """A call that brought no result; the message says what happened and what to do."""

    def __init__(
        self,
        message: str,
        reason: str = "",
        details: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> None:
        """Carry the stable reason, its details, and the mutation's request id."""
        super().__init__(message)
        self.reason = reason
        self.details = dict(details or {})
        self.request_id = request_id


class Refused(InventoryError):
    """The inventory said no, and nothing changed."""


class Unauthenticated(Refused):
    """Nobody is logged in, or the token does not hold any more: log in."""


class NotAllowed(Refused):
    """The user's role does not allow it."""


class Unavailable(InventoryError):
    """No answer came in time."""


class OutcomeUnknown(Unavailable):
    """A mutation that may or may not have taken effect: send it again with its request id."""


UNKNOWN_CODES = frozenset(
    {
        code_pb2.UNAVAILABLE,
        code_pb2.DEADLINE_EXCEEDED,
        code_pb2.CANCELLED,
        code_pb2.UNKNOWN,
        code_pb2.INTERNAL,
    }
)
# CANCELLED is the far side's doing: a call that the caller ends raises CancelledError instead. A
# saturated server resets streams so; trying again is safe, as always.
RETRIED_CODES = frozenset({code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED, code_pb2.CANCELLED})

# Without a reason of ours, a connection that broke: a gateway that ends resets its streams.
BROKEN_CODES = frozenset({code_pb2.UNKNOWN, code_pb2.INTERNAL})


def may_try_again(status: status_pb2.Status) -> bool:
    """Tell whether the same call may yet get an answer."""
    is_broken = status.code in BROKEN_CODES and reason_of(status) is None
    return status.code in RETRIED_CODES or is_broken


def error_of(status: status_pb2.Status, request_id: str | None) -> InventoryError:
    """Return the exception for a status that ended a call."""
    reason = reason_of(status) or ""
    details = details_of(status)
    kind: type[InventoryError]
    if status.code in UNKNOWN_CODES:
        kind = OutcomeUnknown if request_id else Unavailable
    elif status.code == code_pb2.UNAUTHENTICATED:
        kind = Unauthenticated
    elif status.code == code_pb2.PERMISSION_DENIED:
        kind = NotAllowed
    else:
        kind = Refused
    return kind(status.message, reason, details, request_id)
