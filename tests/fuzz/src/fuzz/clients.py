"""Bytes of clients: requests, streams, tokens, addresses, questions in plain language."""

import asyncio
import ipaddress
from functools import cache
from typing import Any

import jwt
from assistant.errors import LiteralError
from assistant.intent import NotUnderstood, understand
from assistant.normalise import normalise
from assistant.query import describe
from gateway.auth import EPOCH_MAX, USER_ID_MAX, Principal, Tokens
from gateway.errors import RequestRefused, TokenRefused
from gateway.runtime.parsing import parse_within_bounds
from gateway.runtime.submit import Submission
from gateway.shares import Share
from gateway.sources import NOWHERE, source_of
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from inventory.raft.v1 import raw_pb2
from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2
from wire.bounds import check_mutation
from wire.text import folded

from fuzz.target import FuzzTarget

STATUS_BYTES_MAX = 1_024  # a refusal travels in a header
KEY = "a key that all the gateways share"
NOBODY = Principal(1, 1, expires=2**40)
QUESTION_CHARACTERS_MAX = 200


@cache
def _requests() -> tuple[type[Message], ...]:
    """Return the request of every method of the public API, and the mutation of a stream."""
    methods = (
        method
        for file in (assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    )
    kinds = [
        GetMessageClass(method.input_type) for method in methods if not method.client_streaming
    ]
    return (inventory_pb2.Mutation, *kinds)


def _judge_request(data: bytes) -> None:
    kinds = _requests()
    kind = kinds[data[0] % len(kinds)] if data else kinds[0]
    try:
        request = parse_within_bounds(kind, data[1:])
    except RequestRefused as refused:
        size = len(refused.status.SerializeToString())
        if size > STATUS_BYTES_MAX:
            raise AssertionError(f"a refusal of {size} bytes") from refused
        return
    if isinstance(request, inventory_pb2.Mutation):
        check_mutation(request)


def _seed_requests() -> list[bytes]:
    price = {"currency_code": "USD", "units": 12, "nanos": 500_000_000}
    mutation = inventory_pb2.Mutation()
    mutation.order_item.request_id, mutation.order_item.item_id = "r", 1
    item = inventory_pb2.AddItemRequest(request_id="r", name="Lamp", price=price, quantity=3)
    return [b"\0" + mutation.SerializeToString()] + [
        bytes([number]) + item.SerializeToString() for number in range(len(_requests()))
    ]


class _Unanswered:
    """A driver whose members answer nothing."""

    def propose(self, *_: object) -> int:
        """Take a command."""
        return 1


@cache
def _frames_of() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def _submit(data: bytes) -> None:
    driver: Any = _Unanswered()
    submission = Submission(driver, NOBODY, Share())
    submission._read(data)
    written = sum(1 for _ in submission._results) + len(submission._in_flight)
    sent = len(raw_pb2.RawSubmitRequest.FromString(data).submissions)
    if written > sent:
        raise AssertionError("a submission has two results")


def _judge_submissions(data: bytes) -> None:
    try:
        _frames_of().run_until_complete(_submit(data))
    except RequestRefused:
        return


def _seed_submissions() -> list[bytes]:
    request = inventory_pb2.SubmitRequest()
    for number in range(3):
        one = request.submissions.add(correlation_id=number)
        one.mutation.order_item.request_id, one.mutation.order_item.item_id = f"r{number}", 1
        one.timeout.seconds = 2
    return [request.SerializeToString()]


def _judge_token(data: bytes) -> None:
    """Take a whole token, or the claims of one with a right signature."""
    tokens = Tokens(KEY)
    if data[:1] == b"\1":
        text = jwt.api_jws.encode(data[1:], KEY, algorithm="HS256")
    else:
        text = data[1:].decode("utf-8", "replace")
    try:
        known = tokens.verify(text)
    except TokenRefused:
        return
    if not (0 < known.user_id <= USER_ID_MAX and 0 <= known.epoch <= EPOCH_MAX):
        raise AssertionError(f"a token speaks for {known}")


def _seed_tokens() -> list[bytes]:
    claims = b'{"sub": "7", "epoch": 1, "name": "a", "iat": 1, "exp": 4000000000}'
    whole = jwt.api_jws.encode(claims, KEY, algorithm="HS256")
    return [b"\0" + whole.encode(), b"\1" + claims]


def _judge_address(data: bytes) -> None:
    peer, *forwarded = data[1:].decode("latin-1").split("\n")
    source = source_of(peer, forwarded, data[0] % 9 if data else 0)
    if source != NOWHERE:
        ipaddress.ip_network(source)


def _judge_question(data: bytes) -> None:
    text = data.decode("utf-8", "replace")[:QUESTION_CHARACTERS_MAX]
    try:
        query = understand(normalise(text))
    except LiteralError:
        return
    if not isinstance(query, NotUnderstood):
        describe(query)


def _judge_text(data: bytes) -> None:
    """Names are compared by a form that is the form of itself."""
    form = folded(data.decode("utf-8", "replace"))
    if folded(form) != form:
        raise AssertionError(f"{form!r} has another form")


TARGETS = (
    FuzzTarget(name="requests", judge=_judge_request, seeds=_seed_requests),
    FuzzTarget(name="submissions", judge=_judge_submissions, seeds=_seed_submissions),
    FuzzTarget(name="tokens", judge=_judge_token, seeds=_seed_tokens),
    FuzzTarget(
        name="addresses",
        judge=_judge_address,
        seeds=lambda: [
            b"\0ipv4:10.0.0.1:5",
            b"\1ipv6:%5B::1%5D:5\n10.0.0.9, 203.0.113.7",
            b"\2ipv6:[fe80::1%25eth0]:5\n::ffff:10.0.0.9,2001:db8::1\n10.0.0.1",
        ],
    ),
    FuzzTarget(
        name="questions",
        judge=_judge_question,
        seeds=lambda: [
            b"show items between 100 and 1.5k sorted by price",
            b"suggest me cheap items",
            b'how many of "desk lamp" are left, and when do we run out of item 2?',
            b"profit of the last two hundred and five days",
        ],
        bytes_max=800,
        lines_per_byte=2_000,
    ),
    FuzzTarget(
        name="names",
        judge=_judge_text,
        seeds=lambda: ["Öl".encode(), "a\u200db\u0301 ß\u202e".encode()],
        bytes_max=512,
    ),
)
