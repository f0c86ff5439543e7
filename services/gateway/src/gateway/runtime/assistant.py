"""Forwards questions in plain language to the assistant, so that clients know one address."""

from typing import Any, TypeAlias

import grpc
import grpc.aio
from inventory.v1 import assistant_pb2
from wire.bounds import TIMEOUT_MS_MAX
from wire.channels import DETAILS_KEY, abort, straight_channel

from gateway.errors import RequestRefused
from gateway.runtime.driver import TIMEOUT_DEFAULT_MS
from gateway.runtime.parsing import parse_within_bounds

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
METHOD = "/inventory.v1.AssistantService/GetPrediction"


class Assistant:
    """The assistant behind the gateway, if the settings name one."""

    def __init__(self, address: str) -> None:
        """Open a channel to `address`; an empty one means that there is no assistant."""
        self._channel = straight_channel(address) if address else None

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service's handler, for a server."""
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            self._predict
        )
        return grpc.method_handlers_generic_handler(
            "inventory.v1.AssistantService", {"GetPrediction": method}
        )

    async def _predict(self, raw: bytes, context: Context) -> bytes:
        if self._channel is None:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED, "This inventory runs without an assistant."
            )
        try:
            parse_within_bounds(assistant_pb2.GetPredictionRequest, raw)
        except RequestRefused as refused:
            await abort(context, refused.status)
        metadata = tuple(
            (key, value)
            for key, value in context.invocation_metadata() or ()
            if key == "authorization"
        )
        left = context.time_remaining()
        timeout = TIMEOUT_DEFAULT_MS / 1_000 if left is None else min(left, TIMEOUT_MS_MAX / 1_000)
        try:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            call = self._channel.unary_unary(METHOD)
            answer: bytes = await call(raw, metadata=metadata, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            details = [pair for pair in error.trailing_metadata() or () if pair[0] == DETAILS_KEY]
            context.set_trailing_metadata(tuple(details))
            message = error.details() or "The assistant does not answer; try again."
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                message = "The assistant does not answer; try again in a moment."
            await context.abort(error.code(), message)
        return answer

    async def close(self) -> None:
        """End the channel."""
        if self._channel is not None:
            await self._channel.close()
