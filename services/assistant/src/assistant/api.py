"""The service: a question's stages in their order; refusals of the inventory become answers."""

import time
from typing import Any, TypeAlias

import grpc.aio  # noqa: TC002 - for the type of a context
from google.rpc import code_pb2, status_pb2
from inventory.v1 import assistant_pb2, assistant_pb2_grpc
from inventory_client import AsyncInventory, InventoryError, NotAllowed, is_token
from wire import bounds, errors
from wire.channels import abort, bearer

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

    def __init__(self, inventory: AsyncInventory, counts: QuestionCounts) -> None:
        """Ask over the channel of `inventory`; count in `counts`."""
        self._inventory = inventory
        self._counts = counts

    async def GetPrediction(
        self, request: assistant_pb2.GetPredictionRequest, context: Context
    ) -> assistant_pb2.GetPredictionResponse:
        """Answer a question; the question is counted before its caller hears of the outcome."""
        started = time.perf_counter()
        result = "refused"
        try:
            outcome = await self._answer(request, bearer(context.invocation_metadata()))
            if isinstance(outcome, assistant_pb2.GetPredictionResponse):
                result = "answered" if outcome.understood else "not_understood"
        finally:
            self._counts.count(result, time.perf_counter() - started)
        if isinstance(outcome, status_pb2.Status):
            await abort(context, outcome)
        return outcome

    async def _answer(
        self, request: assistant_pb2.GetPredictionRequest, token: str | None
    ) -> assistant_pb2.GetPredictionResponse | status_pb2.Status:
        """Return the answer, or the refusal of a question that has none."""
        problem = bounds.check(request)
        if problem is not None:
            return problem
        caller = self._inventory.as_user(token if token and is_token(token) else None)
        try:
            return await predict(request.question, InventoryReader(caller))
        except InventoryError as error:
            return of_a_question(error)
        finally:
            await caller.close()


def of_a_question(error: InventoryError) -> status_pb2.Status:
    """Return an inventory's refusal without advice on `read_options`, which no question takes."""
    status = error.status
    if status is None:
        return status_pb2.Status(code=code_pb2.UNAVAILABLE, message=str(error))
    is_late = status.code == code_pb2.DEADLINE_EXCEEDED
    if is_late or error.reason == errors.Reason.NO_QUORUM:
        return errors.not_read(reachable=is_late, is_stale_ok=False, may_be_stale=False)
    return status


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
    except NotAllowed as refused:
        if refused.reason == errors.Reason.PASSWORD_CHANGE_NEEDED:
            raise
        rendered = Rendered(
            "Sales and totals are for producers, viewers and admins; "
            "ask of items and prices instead."
        )
    return rendered.response(understood, reader.revision)
