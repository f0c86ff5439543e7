"""Exceptions that no handler expected: the caller gets INTERNAL, with an id.

The caller gets the id and no word of the exception. The log has the exception's trace beside the
same id, and a metric counts the exceptions. `serving` puts this into
every gRPC server: gRPC's own servers answer UNKNOWN, with the exception's text, and log nothing.
"""

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from wire import errors
from wire.channels import abort

from service.errors import UnparsableRequest

ERROR_ID_BYTES = 4

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Found: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Parse = Callable[[bytes], Any]

_log = structlog.get_logger()


class Faults(grpc.aio.ServerInterceptor):
    """The unexpected exceptions of one process.

    - A refusal, a cancellation, and an exception of a call whose caller has gone pass unchanged.
    - Bytes that cannot be parsed are the caller's fault: INVALID_FIELD, before the handler runs.
    - Every other exception is logged and counted once.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0
        self._watched: dict[str, Handler] = {}  # by method; as many as are served

    def record(self, where: str, error: Exception) -> status_pb2.Status:
        """Log and count an exception that left `where`; return what its caller is told."""
        self.count += 1
        error_id = secrets.token_hex(ERROR_ID_BYTES)
        _log.error("internal_error", error_id=error_id, where=where, exc_info=error)
        return errors.internal(error_id)

    def watch_links(self) -> None:
        """Record exceptions that end a connection of the running loop; others are the loop's."""
        asyncio.get_running_loop().set_exception_handler(self._record_of_loop)

    def _record_of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "protocol" in context and isinstance(error, Exception):
            self.record(str(context["message"]), error)
        else:
            loop.default_exception_handler(context)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        """See `grpc.aio.ServerInterceptor`."""
        method = handler_call_details.method
        if method not in self._watched:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # gRPC answers UNIMPLEMENTED
            self._watched[method] = self._watch(method, handler)
        return self._watched[method]

    def _watch(self, method: str, handler: Handler) -> Handler:
        """Return the handler with its parsing, its behaviour and its serializing watched.

        Messages that a behaviour returns or yields are serialized here. Messages that a behaviour
        writes to its context are serialized by gRPC, which raises problems to the behaviour.
        """
        # The stubs know neither the four behaviours nor the serializers.
        known: Any = handler
        parse: Parse = known.request_deserializer or bytes
        serialize: Callable[[Any], bytes] = known.response_serializer or bytes
        kind = f"{_arity(known.request_streaming)}_{_arity(known.response_streaming)}"
        behave: Callable[[Any, Context], Any] = getattr(known, kind)

        def parsed(request: Any) -> Any:  # noqa: ANN401 - bytes or a stream of bytes in, messages out
            return _Requests(request, parse) if known.request_streaming else _parsed(request, parse)

        async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - a message
            async with self._watching(method, context):
                response = await behave(parsed(request), context)
                return response if known.response_streaming else serialize(response)

        async def generate(request: Any, context: Context) -> AsyncIterator[bytes]:  # noqa: ANN401
            async with self._watching(method, context):
                async for response in behave(parsed(request), context):
                    yield serialize(response)

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        if inspect.isasyncgenfunction(behave):
            made: Handler = make(generate)
        elif known.response_streaming:
            made = make(answer, response_serializer=known.response_serializer)
        else:
            made = make(answer)
        return made

    @asynccontextmanager
    async def _watching(self, method: str, context: Context) -> AsyncIterator[None]:
        """Turn an exception that is raised within into a refusal; a refusal passes unchanged."""
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except NotImplementedError:  # a method of the stub that the service leaves out
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served here")
        except UnparsableRequest:
            await abort(context, errors.invalid_field("request", "cannot be parsed"))
        except Exception as error:
            if context.done() and isinstance(error, _GONE):
                raise
            status = self.record(method, error)
            if not context.done():
                await abort(context, status)
            raise


# The exceptions of a call that was ended by its caller or by the end of the server.
_GONE = (grpc.aio.BaseError, asyncio.InvalidStateError)


def _parsed(raw: bytes, parse: Parse) -> Any:  # noqa: ANN401 - a message
    try:
        return parse(raw)
    except DecodeError as error:
        raise UnparsableRequest from error


class _Requests:
    """A stream of messages out of a stream of bytes."""

    def __init__(self, raw: AsyncIterator[bytes], parse: Parse) -> None:
        """Parse each message of `raw` by `parse`."""
        self._raw = aiter(raw)
        self._parse = parse

    def __aiter__(self) -> "_Requests":
        """Return the stream itself, which is its own iterator."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - a message
        """Return the next message; raise UnparsableRequest."""
        return _parsed(await anext(self._raw), self._parse)


def _arity(is_stream: bool) -> str:  # noqa: FBT001 - as gRPC has it
    return "stream" if is_stream else "unary"
