"""How long a request may be on the wire, from the bounds of the schema.

A caller's bytes are counted before they are parsed: parsing makes many times as much of them.
"""

from functools import cache
from typing import Any, TypeAlias

from google.protobuf import field_mask_pb2
from google.protobuf.descriptor import FieldDescriptor
from inventory.v1 import options_pb2

from wire.addresses import ADDRESS_CHARACTERS_MAX
from wire.checker import CURRENCY_CODE_CHARACTERS, bounds_of

Kind: TypeAlias = Any  # a descriptor, of the installed protobuf implementation

NUMBER_BYTES_MAX = 10  # of a varint
HEAD_BYTES_MAX = 8  # of a field: its tag, and the length of a text or a message
BYTES_PER_CHARACTER_MAX = 4  # of UTF-8
# For fields that a later version adds. A value that is a little too long is refused by its name.
SLACK_BYTES = 4_096
MASK = field_mask_pb2.FieldMask.DESCRIPTOR.full_name


@cache
def request_bytes_max(descriptor: Kind) -> int:
    """Return how long a request of a type may be, in bytes; raise TypeError where none is stated.

    A field of the type may hold what its bounds allow, each at most once on the wire.
    """
    return _message(descriptor) + SLACK_BYTES


def _message(descriptor: Kind) -> int:
    choices: dict[str, int] = {}
    total = 0
    for field in descriptor.fields:
        size = _field(field)
        if field.containing_oneof is None:
            total += size
        else:
            choice = field.containing_oneof.name
            choices[choice] = max(choices.get(choice, 0), size)
    return total + sum(choices.values())


def _field(field: FieldDescriptor) -> int:
    bounds = bounds_of(field)
    if not field.is_repeated:
        return HEAD_BYTES_MAX + _value(field, bounds)
    if not bounds.max_items:
        raise TypeError(f"{field.full_name}: the schema does not say how many there may be")
    return bounds.max_items * (HEAD_BYTES_MAX + _value(field, bounds))


def _value(field: FieldDescriptor, bounds: options_pb2.Bounds) -> int:
    kind = field.message_type
    if kind is not None:
        if kind.full_name == MASK:
            return sum(HEAD_BYTES_MAX + len(path) for path in bounds.paths)
        return _message(kind)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(field, bounds)
    if field.type == FieldDescriptor.TYPE_BYTES:
        raise TypeError(f"{field.full_name}: the schema does not say how long it may be")
    return NUMBER_BYTES_MAX


def _text(field: FieldDescriptor, bounds: options_pb2.Bounds) -> int:
    if bounds.max_bytes:
        return bounds.max_bytes
    if bounds.max_characters:
        return bounds.max_characters * BYTES_PER_CHARACTER_MAX
    if field.name == "currency_code":
        return CURRENCY_CODE_CHARACTERS * BYTES_PER_CHARACTER_MAX
    if bounds.format in _FORMAT_BYTES_MAX:
        return _FORMAT_BYTES_MAX[bounds.format]
    raise TypeError(f"{field.full_name}: the schema does not say how long it may be")


_FORMAT_BYTES_MAX = {
    options_pb2.FORMAT_LABEL: 63,
    options_pb2.FORMAT_ADDRESS: ADDRESS_CHARACTERS_MAX,
}
