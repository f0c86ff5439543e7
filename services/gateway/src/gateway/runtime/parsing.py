"""Clients' messages, read within their bounds, and handlers whose refusals become statuses."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from wire import bounds, errors
from wire.channels import abort
from wire.sizes import request_bytes_max

from gateway.errors import RequestRefused, malformed

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Parsed = TypeVar("Parsed", bound=Message)
Behavior = Callable[[bytes, Context], Awaitable[bytes]]


def parse(kind: type[Parsed], raw: bytes) -> Parsed:
    """Read a client's message; raise RequestRefused."""
    most = request_bytes_max(kind.DESCRIPTOR)
    if len(raw) > most:
        raise RequestRefused(errors.invalid_field("request", f"must have up to {most} bytes"))
    try:
        return kind.FromString(raw)
    except DecodeError:
        raise malformed() from None


def parse_within_bounds(kind: type[Parsed], raw: bytes) -> Parsed:
    """Read a client's message, and check what it holds; raise RequestRefused."""
    request = parse(kind, raw)
    problem = bounds.check(request)
    if problem is not None:
        raise RequestRefused(problem)
    return request


def unary(behavior: Behavior) -> "grpc.RpcMethodHandler[bytes, bytes]":
    """Make a handler of raw bytes whose refusals become gRPC statuses."""

    async def handle(raw: bytes, context: Context) -> bytes:
        try:
            return await behavior(raw, context)
        except RequestRefused as refused:
            await abort(context, refused.status)

    return grpc.unary_unary_rpc_method_handler(handle)
