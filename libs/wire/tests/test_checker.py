"""Checks of message types that are made here: each kind of field, with and without bounds."""

from collections.abc import Mapping
from typing import Any

import pytest
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from inventory.v1 import options_pb2
from wire.checker import checker
from wire.errors import invalid_field

FIELD = descriptor_pb2.FieldDescriptorProto
INTEGERS: dict[str, Any] = {"type": FIELD.TYPE_INT64, "label": FIELD.LABEL_REPEATED}
OF_INNER: dict[str, Any] = {"type": FIELD.TYPE_MESSAGE, "type_name": ".made.Inner"}


def add_field(message: descriptor_pb2.DescriptorProto, **field: Any) -> None:  # noqa: ANN401 - a field's own
    """Add a field whose bounds and behavior, where given, are `bounds` and `behavior`."""
    bounds, behavior = field.pop("bounds", {}), field.pop("behavior", [])
    made = message.field.add(**({"label": FIELD.LABEL_OPTIONAL} | field))
    made.options.Extensions[options_pb2.bounds].CopyFrom(options_pb2.Bounds(**bounds))
    made.options.Extensions[field_behavior_pb2.field_behavior].extend(behavior)
    if made.proto3_optional:
        made.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{made.name}")


def kind_of(inner: Mapping[str, Any] | None = None, **field: Any) -> Descriptor:  # noqa: ANN401 - a field's own
    """Return a message type with the field `made`, and beside it a type with the field `inner`."""
    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", syntax="proto3")
    add_field(file.message_type.add(name="Made"), name="made", number=1, **field)
    within = {"type": FIELD.TYPE_INT64} if inner is None else inner
    add_field(file.message_type.add(name="Inner"), name="inner", number=1, **within)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindMessageTypeByName("made.Made")


def problem_of(kind: Descriptor, **fields: Any) -> str | None:  # noqa: ANN401 - values of the fields
    """Return the field and the rule of a refusal, None for no refusal."""
    check = checker(kind)
    assert check is not None
    problem = check(message_factory.GetMessageClass(kind)(**fields), "")
    return None if problem is None else str(problem.message)


def rule(field: str, problem: str) -> str:
    """Return the sentence of a refusal."""
    return str(invalid_field(field, problem).message)


@pytest.mark.parametrize(
    "field",
    [
        {"type": FIELD.TYPE_BYTES, "bounds": {"max_characters": 5}},
        {"type": FIELD.TYPE_BYTES, "bounds": {"min_bytes": 5}},
        {"type": FIELD.TYPE_BYTES, "bounds": {"min": 5}},
        {"type": FIELD.TYPE_STRING, "bounds": {"min": 5}},
        {"type": FIELD.TYPE_STRING, "bounds": {"min_characters": 5}},
        {"type": FIELD.TYPE_STRING, "bounds": {"min_bytes": 5}},
        {"type": FIELD.TYPE_INT64, "bounds": {"max_characters": 5}},
        INTEGERS | {"bounds": {"max": 5}},
        INTEGERS | {"bounds": {"min_items": 5}},
        INTEGERS | {"bounds": {"unique_by": "a"}},
        OF_INNER | {"bounds": {"max_items": 5}},
        {
            "type": FIELD.TYPE_STRING,
            "proto3_optional": True,
            "bounds": {"format": options_pb2.FORMAT_NAME, "max_characters": 5},
        },
    ],
)
def test_bounds_that_no_check_would_look_at_are_a_fault_of_the_schema(field: Any) -> None:  # noqa: ANN401 - a case
    """Else a field would be open though its schema says that it is not."""
    with pytest.raises(TypeError, match=r"made\.Made\.made"):
        checker(kind_of(**field))


@pytest.mark.parametrize(
    "field",
    [
        {"type": FIELD.TYPE_BYTES},
        {"type": FIELD.TYPE_INT64, "proto3_optional": True},
        INTEGERS,
        OF_INNER,
        OF_INNER | {"label": FIELD.LABEL_REPEATED},
    ],
)
def test_a_type_whose_messages_may_hold_anything_has_no_check(field: Any) -> None:  # noqa: ANN401 - a case
    """A check that finds nothing would be run for each message."""
    assert checker(kind_of(**field)) is None


@pytest.mark.parametrize(
    ("bounds", "within", "beyond", "problem"),
    [
        ({"min": 0}, [0, 2**62], [-1], "must not be negative"),
        ({"min": 1}, [1, 2**62], [0, -1], "must be positive"),
        ({"min": 2}, [2, 2**62], [1], "must be 2 or more"),
        ({"min": 2, "max": 5}, [2, 5], [1, 6], "must be 2 to 5"),
        ({"min": 2, "max": 5, "is_signed": True}, [2, -2, 5, -5], [1, -1, 6, -6],
         "must be 2 to 5 up or down"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_optional", [False, True])
def test_a_number_is_bounded(
    bounds: Any, within: list[int], beyond: list[int], problem: str, *, is_optional: bool  # noqa: ANN401 - a case
) -> None:  # fmt: skip
    """At both ends; one that may be absent only where it is present."""
    kind = kind_of(type=FIELD.TYPE_INT64, bounds=bounds, proto3_optional=is_optional)
    assert {problem_of(kind, made=value) for value in within} == {None}
    assert {problem_of(kind, made=value) for value in beyond} == {rule("made", problem)}
    if is_optional:
        assert problem_of(kind) is None


def test_a_text_that_may_be_absent_is_bounded() -> None:
    """Where it is present."""
    text = kind_of(type=FIELD.TYPE_STRING, proto3_optional=True, bounds={"max_characters": 5})
    assert problem_of(text, made="x" * 5) is None
    assert problem_of(text, made="x" * 6) == rule("made", "must have up to 5 characters")


@pytest.mark.parametrize(
    ("bounds", "within", "beyond", "problem"),
    [
        ({"max_bytes": 5}, [b"", b"\xff" * 5], [b"\xff" * 6], "must have up to 5 bytes"),
        ({"min_bytes": 2, "max_bytes": 5}, [b"\xff" * 2, b"\xff" * 5], [b"", b"\xff", b"\xff" * 6],
         "must have 2 to 5 bytes"),
        ({"min_bytes": 5, "max_bytes": 5}, [b"\xff" * 5], [b"", b"\xff" * 4, b"\xff" * 6],
         "must have 5 bytes"),
    ],
)  # fmt: skip
def test_bytes_are_bounded(
    bounds: Any, within: list[bytes], beyond: list[bytes], problem: str  # noqa: ANN401 - a case
) -> None:  # fmt: skip
    """By how many there are, which need not be text."""
    kind = kind_of(type=FIELD.TYPE_BYTES, bounds=bounds)
    assert {problem_of(kind, made=value) for value in within} == {None}
    assert {problem_of(kind, made=value) for value in beyond} == {rule("made", problem)}


def test_a_list_of_numbers_is_bounded() -> None:
    """By how many there are."""
    kind = kind_of(**INTEGERS, bounds={"min_items": 1, "max_items": 2})
    assert {problem_of(kind, made=[7] * count) for count in (1, 2)} == {None}
    sizes = {problem_of(kind, made=[7] * count) for count in (0, 3)}
    assert sizes == {rule("made", "must be 1 to 2")}


@pytest.mark.parametrize("label", [FIELD.LABEL_OPTIONAL, FIELD.LABEL_REPEATED])
def test_what_a_message_holds_is_bounded(label: int) -> None:
    """A refusal names the way to it."""
    inner = {"type": FIELD.TYPE_INT64, "bounds": {"min": 1}}
    kind = kind_of(inner, **OF_INNER, label=label)
    several = label == FIELD.LABEL_REPEATED
    assert problem_of(kind) is None
    for value, problem in ((1, None), (0, rule("made.inner", "must be positive"))):
        held = {"inner": value}
        assert problem_of(kind, made=[held] if several else held) == problem


def test_what_is_required_must_be_there() -> None:
    """Whatever it holds."""
    kind = kind_of(**OF_INNER, behavior=[field_behavior_pb2.REQUIRED])
    assert problem_of(kind, made={"inner": 0}) is None
    absent = problem_of(kind)
    assert absent is not None
    assert absent.startswith("The field made must be given")
