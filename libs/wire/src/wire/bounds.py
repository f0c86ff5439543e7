"""The bounds of messages. Nothing out of bounds enters the log.

The schema states the bounds, and `wire.checker` compiles the checks. A check looks at the message
alone. A rule that depends on the state (is there enough?) is decided where the message is applied.
"""

from google.protobuf import duration_pb2
from google.protobuf.message import Message
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2, inventory_pb2, options_pb2

from wire.checker import (
    PRICE_MINOR_MAX,
    STALENESS_MS_MAX,
    Problem,
    bounds_of,
    checker,
    field_checker,
    of_read_options,
    updated_fields,
)
from wire.errors import invalid_field

__all__ = [
    "PRICE_MINOR_MAX",
    "STALENESS_MS_MAX",
    "Problem",
    "check",
    "check_administration",
    "check_item_name",
    "check_mutation",
    "check_query",
    "check_read_options",
    "check_timeout",
    "milliseconds",
    "staleness_ms",
    "updated_fields",
]


def _bounds(message: type[Message], field: str) -> options_pb2.Bounds:
    return bounds_of(message.DESCRIPTOR.fields_by_name[field])


NAME_CHARACTERS_MAX = _bounds(inventory_pb2.Item, "name").max_characters
DESCRIPTION_CHARACTERS_MAX = _bounds(inventory_pb2.Item, "description").max_characters
QUANTITY_MAX = _bounds(inventory_pb2.AddItemRequest, "quantity").max
LINES_MAX = _bounds(inventory_pb2.PlaceOrderRequest, "lines").max_items
REQUEST_ID_BYTES_MAX = _bounds(inventory_pb2.AddItemRequest, "request_id").max_bytes
PASSWORD_BYTES_MAX = _bounds(auth_pb2.CreateUserRequest, "password").max_bytes
TIMEOUT_MS_MAX = 600_000  # of a call, and of a mutation on a stream


def check(message: Message) -> Problem:
    """Return the problem of a message of any type, or None."""
    found = checker(message.DESCRIPTOR)
    return found(message, "") if found is not None else None


def _field(message: Message, field: str) -> Problem:
    """Check one field of a message alone."""
    found = field_checker(message.DESCRIPTOR, field)
    return found(message, "") if found is not None else None


def check_item_name(name: str) -> Problem:
    """Return the problem of an item's name, or None."""
    return _field(inventory_pb2.Item(name=name), "name")


def check_mutation(mutation: inventory_pb2.Mutation) -> Problem:
    """Return the problem of a mutation, or None."""
    kind = mutation.WhichOneof("operation")
    if kind is None:
        return invalid_field("mutation", "holds no operation that is known here")
    return check(getattr(mutation, kind))


def check_administration(administration: log_pb2.Administration) -> Problem:
    """Return the problem of an administration, or None."""
    kind = administration.WhichOneof("operation")
    if kind is None:
        return invalid_field("administration", "holds no operation that is known here")
    return _field(administration, "request_id") or check(getattr(administration, kind))


def check_query(query: forward_pb2.Query) -> Problem:
    """Return the problem of a query, or None."""
    kind = query.WhichOneof("query")
    if kind is None:
        return invalid_field("query", "holds no query that is known here")
    return check(getattr(query, kind))


def check_read_options(options: inventory_pb2.ReadOptions) -> Problem:
    """Return the problem of a read's options, or None."""
    return of_read_options(options, "read_options")


def staleness_ms(options: inventory_pb2.ReadOptions) -> int:
    """Return the maximal staleness of a bounded read, in milliseconds."""
    return milliseconds(options.max_staleness)


def check_timeout(timeout_ms: int) -> Problem:
    """Return the problem of the timeout of a mutation on a stream, or None."""
    if not 0 < timeout_ms <= TIMEOUT_MS_MAX:
        return invalid_field("timeout", f"must be 1 ms to {TIMEOUT_MS_MAX // 60_000} minutes")
    return None


def milliseconds(duration: duration_pb2.Duration) -> int:
    """Return a duration in whole milliseconds, rounded down."""
    return duration.seconds * 1_000 + duration.nanos // 1_000_000
