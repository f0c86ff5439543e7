"""Mutations in bulk over one stream: each with its own outcome, in any order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeAlias

import grpc.aio  # noqa: TC002 - named by a string
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, raw_pb2
from inventory.v1 import inventory_pb2
from wire import bounds, errors
from wire.sizes import request_bytes_max

from gateway.auth import Principal
from gateway.errors import RequestRefused, malformed
from gateway.requests import Answer
from gateway.runtime.driver import TIMEOUT_DEFAULT_MS, Driver, now_ms
from gateway.shares import Share

IN_FLIGHT_MAX = 4_096
SUBMISSIONS_PER_FRAME_MAX = 512
RESULTS_PER_FRAME_MAX = 512
MUTATION_BYTES_MAX = request_bytes_max(inventory_pb2.Mutation.DESCRIPTOR)
RESULT_BYTES_PER_FRAME_MAX = 1 << 20  # one result may pass it: gRPC's clients take 4 MiB

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Submission:
    """One client's stream.

    - Every submission gets one result, with its correlation id.
    - While IN_FLIGHT_MAX submissions have no written result, no further submission is read; nor
      while the user's share of the gateway is used up.
    - The token is verified when the stream is opened. A stream that outlives its token goes on: the
      members look at epoch and session of each mutation, and the server ends each stream in time.
    """

    def __init__(
        self,
        driver: Driver,
        principal: Principal,
        share: Share,
        note_refusal: Callable[[status_pb2.Status], None] = lambda _: None,
    ) -> None:
        """Speak for one user, who has `share` of the gateway; each refusal is noted."""
        self._note_refusal = note_refusal
        self._driver = driver
        self._principal = principal
        self._share = share
        self._counted = 0  # submissions of this stream, in the share
        self._in_flight: dict[int, int] = {}  # correlation id: the router's number
        self._results: deque[tuple[int, bytes]] = deque()
        self._has_results = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._all_read = False

    async def run(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Serve the stream to its end; raise RequestRefused for a frame that cannot be parsed."""
        writer = asyncio.ensure_future(self._write(context))
        try:
            async for raw in requests:
                await self._share.has_room.wait()  # another stream may have taken what was left
                self._read(raw)
                await self._has_room.wait()
                await self._share.has_room.wait()
            self._all_read = True
            self._has_results.set()
            await writer
        finally:
            writer.cancel()
            for number in self._in_flight.values():
                self._driver.router.cancel(number)
            self._share.change_submissions(-self._counted)
            await asyncio.gather(writer, return_exceptions=True)

    def _read(self, raw: bytes) -> None:
        try:
            request = raw_pb2.RawSubmitRequest.FromString(raw)
        except DecodeError:
            raise malformed() from None
        if len(request.submissions) > SUBMISSIONS_PER_FRAME_MAX:
            most = SUBMISSIONS_PER_FRAME_MAX
            raise RequestRefused(errors.invalid_field("submissions", f"must be at most {most}"))
        now = now_ms()
        for submission in request.submissions:
            correlation_id = submission.correlation_id
            timeout_ms = TIMEOUT_DEFAULT_MS
            if submission.HasField("timeout"):
                timeout_ms = bounds.milliseconds(submission.timeout)
            problem = self._problem(submission, timeout_ms)
            if problem is not None:
                self._refuse(correlation_id, problem)
                continue
            command = raw_pb2.RawCommand(
                user_id=self._principal.user_id,
                epoch=self._principal.epoch,
                session_id=self._principal.session_id,
                mutation=submission.mutation,
            ).SerializeToString()
            self._in_flight[correlation_id] = 0
            number = self._driver.propose(
                command,
                now + timeout_ms,
                partial(self._on_reply, correlation_id),
                self._principal.user_id,
            )
            if correlation_id in self._in_flight:
                self._in_flight[correlation_id] = number
        self._update_room()

    def _update_room(self) -> None:
        held = len(self._in_flight) + len(self._results)
        self._share.change_submissions(held - self._counted)
        self._counted = held
        if held < IN_FLIGHT_MAX:
            self._has_room.set()
        else:
            self._has_room.clear()

    def _problem(self, submission: raw_pb2.RawSubmission, timeout_ms: int) -> bounds.Problem:
        if submission.correlation_id in self._in_flight:
            return errors.invalid_field("correlation_id", "is in flight already")
        if len(submission.mutation) > MUTATION_BYTES_MAX:
            return errors.invalid_field("mutation", f"must have up to {MUTATION_BYTES_MAX} bytes")
        try:
            mutation = inventory_pb2.Mutation.FromString(submission.mutation)
        except DecodeError:
            return errors.invalid_field("mutation", "cannot be parsed")
        return bounds.check_timeout(timeout_ms) or bounds.check_mutation(mutation)

    def _refuse(self, correlation_id: int, status: status_pb2.Status) -> None:
        self._note_refusal(status)
        outcome = inventory_pb2.Outcome(error=status).SerializeToString()
        self._results.append((correlation_id, outcome))
        self._has_results.set()

    def _on_reply(self, correlation_id: int, answer: Answer) -> None:
        self._in_flight.pop(correlation_id, None)
        if isinstance(answer, forward_pb2.Reply):
            if answer.HasField("outcome"):
                self._results.append((correlation_id, answer.outcome))
                self._has_results.set()
                return
            answer = answer.error
        self._refuse(correlation_id, answer)

    async def _write(self, context: Context) -> None:
        while not (self._all_read and not self._in_flight and not self._results):
            await self._has_results.wait()
            self._has_results.clear()
            while self._results:
                frame = self._frame()
                self._update_room()
                await context.write(frame.SerializeToString())

    def _frame(self) -> raw_pb2.RawSubmitResponse:
        frame = raw_pb2.RawSubmitResponse()
        size = 0
        while (
            self._results
            and len(frame.results) < RESULTS_PER_FRAME_MAX
            and size < RESULT_BYTES_PER_FRAME_MAX
        ):
            correlation_id, outcome = self._results.popleft()
            frame.results.add(correlation_id=correlation_id, outcome=outcome)
            size += len(outcome)
        return frame
