"""The service: a question's stages in their order; refusals of the inventory become answers."""

import time
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.rpc import status_pb2
from inventory.v1 import assistant_pb2, assistant_pb2_grpc, inventory_pb2_grpc
from wire import bounds, errors
from wire.channels import abort, status_of

from assistant.answers import answer
from assistant.calls import InventoryReader
from assistant.errors import ForeignWords, LiteralError, UnresolvedItem
from assistant.intent import NotUnderstood, understand
from assistant.metrics import QuestionCounts
from assistant.normalise import normalise
from assistant.query import describe
from assistant.rendering import Rendered, candidates, not_understood

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AssistantApi(assistant_pb2_grpc.AssistantServiceServicer):
    """Answers with the rights of the user who asks."""

    def __init__(self, channel: grpc.aio.Channel, counts: QuestionCounts) -> None:
        """Ask the gateway behind `channel`; count in `counts`."""
        self._stub: Any = inventory_pb2_grpc.InventoryServiceStub(channel)
        self._counts = counts

    async def GetPrediction(
        self, request: assistant_pb2.GetPredictionRequest, context: Context
    ) -> assistant_pb2.GetPredictionResponse:
        """Answer a question."""
        started = time.perf_counter()
        result = "refused"
        try:
            answer = await self._answer(request, context)
            result = "answered" if answer.understood else "not_understood"
        finally:
            self._counts.count(result, time.perf_counter() - started)
        return answer

    async def _answer(
        self, request: assistant_pb2.GetPredictionRequest, context: Context
    ) -> assistant_pb2.GetPredictionResponse:
        problem = bounds.check(request)
        if problem is not None:
            await abort(context, problem)
        metadata = [
            (key, str(value))
            for key, value in context.invocation_metadata() or ()
            if key == "authorization"
        ]
        try:
            return await predict(request.question, InventoryReader(self._stub, metadata))
        except grpc.aio.AioRpcError as error:
            status = status_of(error)
            if status is not None:
                await abort(context, of_a_question(status))
            await context.abort(error.code(), error.details() or "the inventory does not answer")
            raise


def of_a_question(status: status_pb2.Status) -> status_pb2.Status:
    """Return an inventory's refusal without advice on `read_options`, which no question takes."""
    reason = errors.reason_of(status)
    if reason not in (errors.Reason.NO_QUORUM, errors.Reason.DEADLINE):
        return status
    reachable = reason is errors.Reason.DEADLINE
    return errors.not_read(reachable=reachable, is_stale_ok=False, may_be_stale=False)


async def predict(question: str, reader: InventoryReader) -> assistant_pb2.GetPredictionResponse:
    """Pass a question through all stages."""
    try:
        query = understand(normalise(question))
    except LiteralError as error:
        text = f"That cannot be meant so: {error}."
        return Rendered(text).response("", 0, understood=False)
    if isinstance(query, NotUnderstood):
        return not_understood(query.words).response("", 0, understood=False)
    understood = describe(query)
    try:
        rendered = await answer(query, reader)
    except ForeignWords as foreign:
        return not_understood([foreign.words]).response("", 0, understood=False)
    except UnresolvedItem as unresolved:
        rendered = candidates(str(unresolved), unresolved.candidates)
    except LiteralError as error:
        rendered = Rendered(f"That cannot be meant so: {error}.")
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        rendered = Rendered(
            "Sales and totals are for producers and admins; ask about items and prices instead."
        )
    return rendered.response(understood, reader.revision)
