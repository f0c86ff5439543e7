"""How long a request may be follows from what its fields may hold."""

from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from inventory.v1 import (
    assistant_pb2,
    auth_pb2,
    cluster_pb2,
    inventory_pb2,
    options_pb2,
)
from wire.channels import REQUEST_BYTES_MAX
from wire.checker import bounds_of
from wire.sizes import SLACK_BYTES, request_bytes_max

SUBMIT = "SubmitRequest"
SCHEMA = (assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2)
WIDE = "\U0001f600"  # four bytes


def requests() -> list[Any]:
    """Return the type of each unary request, and of a mutation."""
    services = (file.DESCRIPTOR.services_by_name.values() for file in SCHEMA)
    kinds = [
        method.input_type for some in services for service in some for method in service.methods
    ]
    return [kind for kind in kinds if kind.name != SUBMIT] + [inventory_pb2.Mutation.DESCRIPTOR]


def value(field: FieldDescriptor, bounds: options_pb2.Bounds) -> Any:  # noqa: ANN401 - of the field
    """Return the longest value that a field may hold, by the schema."""
    if field.type == FieldDescriptor.TYPE_STRING:
        if bounds.max_bytes:
            return "x" * bounds.max_bytes
        return WIDE * bounds.max_characters if bounds.max_characters else "x" * 3
    return -1 if field.type in {FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32} else 1


def fill(message: Message) -> None:
    """Give each field the most that it may hold; of a choice the longest."""
    kind: Any = message.DESCRIPTOR
    for field in kind.fields:
        if field.containing_oneof is not None and not field.has_presence:
            continue
        bounds = bounds_of(field)
        if field.is_repeated:
            for _ in range(bounds.max_items):
                fill(getattr(message, field.name).add())
        elif field.message_type is not None and bounds.paths:
            getattr(message, field.name).paths.extend(bounds.paths)
        elif field.message_type is not None:
            longest = message_factory.GetMessageClass(field.message_type)()
            fill(longest)
            getattr(message, field.name).CopyFrom(longest)
        elif field.enum_type is None:
            setattr(message, field.name, value(field, bounds))


@pytest.mark.parametrize("kind", requests(), ids=lambda kind: str(kind.name))
def test_the_longest_legal_request_fits(kind: Any) -> None:  # noqa: ANN401 - a descriptor
    """And hardly more than that does, beside what a later version may add."""
    longest = message_factory.GetMessageClass(kind)()
    fill(longest)
    most = request_bytes_max(kind)
    assert longest.ByteSize() <= most - SLACK_BYTES
    assert most <= REQUEST_BYTES_MAX // 16


def test_a_request_without_a_stated_length_is_refused() -> None:
    """Whoever adds a text without bounds is told."""
    with pytest.raises(TypeError, match="does not say how many"):
        request_bytes_max(inventory_pb2.SubmitRequest.DESCRIPTOR)
    with pytest.raises(TypeError, match="does not say how long"):
        request_bytes_max(cluster_pb2.Election.DESCRIPTOR)
