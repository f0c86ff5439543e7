"""Messages of every type, with whatever a caller may put in: refused or answered, never a fault."""

import inspect
import random
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2
from inventory_node.machine import AdminOutcome, MutationOutcome, RefusedCommand
from sim.machines import ADMIN, open_database
from sim.query_asker import Asker
from wire import bounds

pytestmark = pytest.mark.slow

DEPTH_MAX = 4
TEXTS = [
    "a",
    "a",
    "name",
    "price desc",
    "USD",
    "",
    " ",
    "\0",
    "\u200b",
    "\u2028",
    "\ufffe",
    "😀" * 200,
]
TEXTS += ["x" * 65, "x" * 9_000, "{}", "\U0001d1c0" * 200]
NUMBER = FieldDescriptor
BITS = {
    NUMBER.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    NUMBER.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    NUMBER.CPPTYPE_UINT32: (0, 2**32 - 1),
    NUMBER.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    NUMBER.CPPTYPE_UINT64: (0, 2**64 - 1),
}
SEEDS = st.integers(0, 2**32)  # each makes messages: to draw every field would take minutes
PER_SEED = 20


def number(draw: random.Random, least: int, most: int) -> int:
    """Return a number that means something, one at an edge, or any other."""
    edges = [one for one in (-1, 0, 1, 2, 3, 10**9, 10**12, least, most) if least <= one <= most]
    return draw.choice([*edges, draw.randint(least, most)])


def message(draw: random.Random, kind: type[Message], depth: int = DEPTH_MAX) -> Any:  # noqa: ANN401 - a message of the kind
    """Return a message of a type, as it comes from the wire; each field is there or not."""
    made: Any = kind()
    fields: list[Any] = list(kind.DESCRIPTOR.fields)
    draw.shuffle(fields)  # the last one of a oneof stays
    for field in fields:
        if draw.random() < 0.2 or (field.message_type is not None and not depth):
            continue
        if field.is_repeated:
            given = [value(draw, field, depth) for _ in range(draw.randint(0, 3))]
            getattr(made, field.name).extend(given)
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(value(draw, field, depth))
        else:
            setattr(made, field.name, value(draw, field, depth))
    return kind.FromString(made.SerializeToString())


def value(draw: random.Random, field: Any, depth: int) -> Any:  # noqa: ANN401 - whatever the field may hold
    """Return what a field may hold."""
    if field.message_type is not None:
        return message(draw, GetMessageClass(field.message_type), depth - 1)
    if field.cpp_type == NUMBER.CPPTYPE_STRING:
        is_text = field.type == NUMBER.TYPE_STRING
        return draw.choice(TEXTS) if is_text else draw.randbytes(draw.randint(0, 8))
    if field.cpp_type == NUMBER.CPPTYPE_BOOL:
        return draw.random() < 0.5
    return number(draw, *BITS[field.cpp_type])


def checks() -> list[Callable[[Any], bounds.Problem]]:
    """Return every check of a message that there is."""
    found = inspect.getmembers(bounds, inspect.isfunction)
    return [check for name, check in found if name.startswith("check_")]


def requests() -> list[type[Message]]:
    """Return the request of every method of the public API."""
    return [
        GetMessageClass(method.input_type)
        for file in (assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


@pytest.mark.parametrize("kind", requests(), ids=lambda kind: kind.DESCRIPTOR.name)
@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_a_request_is_refused_or_let_pass(kind: type[Message], seed: int) -> None:
    """Every request that a client can send, whatever it holds."""
    draw = random.Random(seed)
    for _ in range(PER_SEED):
        problem = bounds.check(message(draw, kind))
        assert problem is None or isinstance(problem, status_pb2.Status)
        if problem is not None:
            assert len(problem.SerializeToString()) < 1_024  # it travels in a header


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.__name__)
@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_a_check_refuses_or_lets_pass(check: Callable[[Any], bounds.Problem], seed: int) -> None:
    """Every check of the bounds, whatever it is given."""
    (kind,) = (hint for name, hint in typing.get_type_hints(check).items() if name != "return")
    draw = random.Random(seed)
    for _ in range(PER_SEED):
        given: Any
        if kind is str:
            given = draw.choice(TEXTS)
        elif kind is int:
            given = bounds.milliseconds(message(draw, Duration))
        else:
            given = message(draw, kind)
        problem = check(given)
        assert problem is None or isinstance(problem, status_pb2.Status)
        if problem is not None:
            assert len(problem.SerializeToString()) < 1_024  # it travels in a header


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """Return a machine over a database that has its first state."""
    database = open_database(tmp_path_factory.mktemp("hostile") / "state.db")
    yield Asker(database)
    database.close()


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_what_is_within_the_bounds_is_applied(asker: Asker, seed: int) -> None:
    """An exception here would end every member, one after the other."""
    draw = random.Random(seed)
    for _ in range(PER_SEED):
        command = message(draw, log_pb2.Command)
        kind = command.WhichOneof("kind")
        if kind == "mutation" and bounds.check_mutation(command.mutation):
            continue
        if kind == "administration" and bounds.check_administration(command.administration):
            continue
        if kind is not None:
            command.user_id, command.epoch, command.session_id = ADMIN, 1, ADMIN
            (applied,) = asker.hand.apply(command)
            assert isinstance(applied, MutationOutcome | AdminOutcome | RefusedCommand)
    asker.hand.flush(asker.database)


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_a_question_is_refused_or_answered(asker: Asker, seed: int) -> None:
    """By the bounds, from memory or from the database; the reader's thread goes on."""
    draw = random.Random(seed)
    for _ in range(PER_SEED):
        question = message(draw, forward_pb2.Question)
        if bounds.check_query(question.query) or bounds.check_read_options(question.read_options):
            continue
        for user_id, epoch in ((question.user_id, question.epoch), (ADMIN, 1), (0, 0)):
            question.user_id, question.epoch, question.session_id = user_id, epoch, user_id
            known = asker.hand.machine.answer(question)
            if known is None:
                (answer,) = asker.database.answer([(1, question)])
                assert answer.response or answer.error
            else:
                assert isinstance(known, MutationOutcome | RefusedCommand)
