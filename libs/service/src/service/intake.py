"""What a call costs before its handler runs: who calls is looked at first, and a body has to come.

gRPC's own servers read the request of a unary call before anybody may refuse the call. So here each
unary request is read as a stream of one message: on the wire both are the same.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio
from wire import errors
from wire.channels import abort

from service.errors import CallRefused

BODY_SECONDS_MAX = 5.0  # until the request of a unary call has come whole
REFUSAL_SECONDS = 0.5
HELD_MAX = 2_000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Found: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
# Opened for each call by its method and context, and closed with the call; raises CallRefused.
Gate = Callable[[str, Context], AbstractContextManager[object]]


def open_gate(method: str, context: Context) -> AbstractContextManager[None]:
    """Let every call pass."""
    del method, context
    return nullcontext()


class SlowRefusals:
    """Keeps refused calls waiting for a moment, so that who calls again at once gains nothing.

    - At most HELD_MAX calls are kept waiting; further ones are refused at once.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._held = 0

    async def pause(self) -> None:
        """Wait before a refusal."""
        if self._held >= HELD_MAX:
            return
        self._held += 1
        try:
            await asyncio.sleep(REFUSAL_SECONDS)
        finally:
            self._held -= 1


class Intake(grpc.aio.ServerInterceptor):
    """Lets calls in by a gate, and reads their requests.

    - No byte of a request is read before the gate is passed.
    - A unary request that has not come within BODY_SECONDS_MAX ends its call.
    - A refusal at the gate is a slow one.
    """

    def __init__(self, gate: Gate = open_gate) -> None:
        """Let in by `gate`."""
        self._gate = gate
        self._refusals = SlowRefusals()
        self._let_in: dict[str, Handler] = {}  # by method; as many as are served

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        """See `grpc.aio.ServerInterceptor`."""
        method = handler_call_details.method
        if method not in self._let_in:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._let_in[method] = self._guarded(method, handler)
        return self._let_in[method]

    def _guarded(self, method: str, handler: Handler) -> Handler:
        known: Any = handler  # the stubs know neither the four behaviours nor the serializers
        answers = "stream" if known.response_streaming else "unary"
        kind = f"{'stream' if known.request_streaming else 'unary'}_{answers}"
        behave: Callable[[Any, Context], Any] = getattr(known, kind)

        async def taken(requests: Any, context: Context) -> Any:  # noqa: ANN401 - or a stream
            return requests if known.request_streaming else await _body(requests, context)

        async def answer(requests: Any, context: Context) -> Any:  # noqa: ANN401 - a message
            try:
                with self._gate(method, context):
                    return await behave(await taken(requests, context), context)
            except CallRefused as refused:
                await self._refusals.pause()
                await abort(context, refused.status)

        async def generate(requests: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
            try:
                with self._gate(method, context):
                    async for response in behave(await taken(requests, context), context):
                        yield response
            except CallRefused as refused:
                await self._refusals.pause()
                await abort(context, refused.status)

        make = getattr(grpc, f"stream_{answers}_rpc_method_handler")
        made: Handler = make(
            generate if inspect.isasyncgenfunction(behave) else answer,
            request_deserializer=known.request_deserializer,
            response_serializer=known.response_serializer,
        )
        return made


async def _body(requests: AsyncIterator[Any], context: Context) -> Any:  # noqa: ANN401 - a message
    """Return the one message of a unary request."""
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await anext(aiter(requests))
    except StopAsyncIteration:
        await abort(context, errors.invalid_field("request", "is missing"))
    except TimeoutError:
        await _end_late(context)


async def _end_late(context: Context) -> NoReturn:
    seconds = int(BODY_SECONDS_MAX)
    await context.abort(
        grpc.StatusCode.DEADLINE_EXCEEDED, f"The request did not come whole within {seconds} s."
    )
    raise RuntimeError("abort returned")  # for the type checker: abort never returns
