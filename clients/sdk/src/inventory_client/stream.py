"""All concurrent mutations of one client over one stream, batched without a timer.

Everything that is queued while a frame is being written leaves as the next frame. When the stream
breaks, another stream is opened, and every unanswered mutation is sent again. The bytes and request
ids are the same, so the log applies each mutation once. The stream remembers which mutations had an
unanswered attempt, since a later refusal may say nothing about that attempt.
"""

import asyncio
import heapq
import time
from collections import deque

import grpc.aio
from google.rpc import code_pb2, status_pb2
from inventory.raft.v1 import raw_pb2
from inventory.v1 import inventory_pb2
from wire.channels import is_accepted
from wire.errors import invalid_field
from wire.outbox import Outbox

from inventory_client.calls import (
    Caller,
    backoff_seconds,
    is_cancelled,
    pause_seconds,
    status_from,
)
from inventory_client.errors import LogInFailed, error_of, may_try_again, tells_nothing

METHOD = "/inventory.v1.InventoryService/Submit"
FRAME_MAX = 512
FRAME_BYTES_MAX = 128 << 10  # the last mutation may pass it; a gateway takes REQUEST_BYTES_MAX
MUTATION_BYTES_MAX = 64 << 10  # no legal mutation is as long
SWEEP_SECONDS = 0.05
LOGIN_SECONDS_MAX = 5.0
GRACE_SECONDS = 0.2  # wait for the gateway, which knows why a deadline passed


class Waiting:
    """One mutation without an answer.

    `is_sent`: the mutation was sent on the open stream, and its answer is awaited there.
    `unanswered`: an earlier attempt got no answer, or an answer that tells nothing about the
    outcome.
    """

    __slots__ = (
        "attempt", "future", "give_up", "is_sent", "number", "raw", "request_id", "unanswered",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        raw: bytes,
        request_id: str,
        give_up: float,
        future: asyncio.Future[inventory_pb2.Outcome],
    ) -> None:
        """Hold the serialized mutation; `give_up` is on the monotonic clock."""
        self.number = number
        self.raw = raw
        self.request_id = request_id
        self.give_up = give_up
        self.future = future
        self.attempt = 0
        self.is_sent = False
        self.unanswered = False


class SubmitStream:
    """One user's stream, opened on first use; a login makes another stream.

    - Every mutation ends once: with its outcome, or as unknown when its timeout passes or the
      stream is closed.
    - One task writes, one task reads; a broken stream is replaced, and no mutation is lost with it.
    - A mutation is on the open stream at most once: the gateway refuses a second one as in flight.
    """

    def __init__(self, caller: Caller) -> None:
        """Start without a stream."""
        self._caller = caller
        self._waiting: dict[int, Waiting] = {}
        self._queue: deque[Waiting] = deque()
        self._deadlines: list[tuple[float, int]] = []
        self._outbox = Outbox(self._frame)
        self._has_work = asyncio.Event()
        self._last = 0
        self._task: asyncio.Task[None] | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._trouble = ""  # why the last stream broke, until a stream brings an answer
        self._token: str | None = None  # of the open stream
        self._attempt = 0  # streams that broke since a stream brought an answer

    async def submit(self, raw: bytes, request_id: str, timeout: float) -> inventory_pb2.Outcome:
        """Send a serialized Mutation; return its outcome, or raise Refused or OutcomeUnknown.

        A mutation that is too long is refused here. A frame that the gateway cannot take would end
        the stream for all mutations.
        """
        self._caller.ownership.enter()
        if len(raw) > MUTATION_BYTES_MAX:
            too_long = invalid_field("mutation", f"is over {MUTATION_BYTES_MAX} bytes long")
            raise error_of(too_long, request_id)
        loop = asyncio.get_running_loop()
        if self._task is None:
            self._task = loop.create_task(self._run())
            self._task.add_done_callback(self._ended)
            self._sweep()
        self._last += 1
        give_up = time.monotonic() + timeout
        waiting = Waiting(self._last, raw, request_id, give_up, loop.create_future())
        self._waiting[waiting.number] = waiting
        heapq.heappush(self._deadlines, (give_up + GRACE_SECONDS, waiting.number))
        self._queue.append(waiting)
        self._has_work.set()
        self._outbox.wake()
        try:
            return await waiting.future
        finally:
            self._waiting.pop(waiting.number, None)

    async def close(self, why: str) -> None:
        """End the stream; waiting mutations end as unknown, with the message `why`."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        for waiting in self._waiting.values():
            self._unknown(waiting, why)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Pass a fault of the stream itself to all waiting mutations, instead of hiding it."""
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self._task = None
            if self._sweeper is not None:
                self._sweeper.cancel()
            for waiting in self._waiting.values():
                if not waiting.future.done():
                    waiting.future.set_exception(fault)

    def _sweep(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            waiting = self._waiting.get(heapq.heappop(self._deadlines)[1])
            if waiting is not None:
                why = f": {self._trouble}" if self._trouble else ""
                self._unknown(waiting, f"No answer came in time{why}.")
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _unknown(self, waiting: Waiting, why: str) -> None:
        status = status_pb2.Status(
            code=code_pb2.DEADLINE_EXCEEDED,
            message=f"{why} The outcome is unknown; send it again with the same request id.",
        )
        if not waiting.future.done():
            waiting.future.set_exception(error_of(status, waiting.request_id))

    async def _run(self) -> None:
        while True:
            status = await self._carry()
            self._trouble = status.message
            self._broke()
            if not may_try_again(status) and not self._caller.drop(self._token, status):
                self._fail_all(status)
            await asyncio.sleep(backoff_seconds(self._attempt))
            self._attempt += 1
            self._queue = deque(self._waiting.values())
            self._has_work.clear()
            if not self._queue:
                await self._has_work.wait()
            self._outbox.wake()

    async def _carry(self) -> status_pb2.Status:
        """Carry mutations over one stream until the stream ends; return why it ended."""
        try:
            self._token, call = await self._caller.stream(METHOD, LOGIN_SECONDS_MAX)
        except LogInFailed as failed:
            return failed.status
        writer = asyncio.ensure_future(self._write_to(call))
        try:
            async for raw in call:
                self._attempt, self._trouble = 0, ""
                ended = self._read(raw)
                if ended is not None:
                    return ended
            return status_pb2.Status(code=code_pb2.UNAVAILABLE, message="the stream ended")
        except grpc.aio.AioRpcError as error:
            return status_from(error)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return status_pb2.Status(code=code_pb2.UNAVAILABLE, message="a write failed")
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            call.cancel()

    async def _write_to(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        """Write once the stream is accepted: mutations on a refused stream would be in doubt."""
        if await is_accepted(call):
            await self._outbox.write_to(call)

    def _broke(self) -> None:
        """Mark the mutations whose answers were lost with the stream as unanswered."""
        for waiting in self._waiting.values():
            waiting.unanswered = waiting.unanswered or waiting.is_sent
            waiting.is_sent = False

    def _fail_all(self, status: status_pb2.Status) -> None:
        """Fail all mutations: the stream itself was refused, for instance its token."""
        for waiting in self._waiting.values():
            self._fail(waiting, status)
        self._waiting.clear()

    def _fail(self, waiting: Waiting, status: status_pb2.Status) -> None:
        if not waiting.future.done():
            error = error_of(status, waiting.request_id, unanswered=waiting.unanswered)
            waiting.future.set_exception(error)

    def _frame(self) -> bytes | None:
        if not self._queue:
            return None
        frame = raw_pb2.RawSubmitRequest()
        now = time.monotonic()
        size = 0
        while self._queue and len(frame.submissions) < FRAME_MAX and size < FRAME_BYTES_MAX:
            waiting = self._queue.popleft()
            if waiting.number not in self._waiting or waiting.is_sent:
                continue
            waiting.is_sent = True
            size += len(waiting.raw)
            left_ms = max(1, int((waiting.give_up - now) * 1_000))
            submission = frame.submissions.add(correlation_id=waiting.number, mutation=waiting.raw)
            timeout = submission.timeout
            timeout.seconds = left_ms // 1_000
            timeout.nanos = left_ms % 1_000 * 1_000_000
        return frame.SerializeToString()

    def _read(self, raw: bytes) -> status_pb2.Status | None:
        """Deliver results; return the refusal of the stream's token if another token can be got."""
        ended = None
        for result in raw_pb2.RawSubmitResponse.FromString(raw).results:
            waiting = self._waiting.get(result.correlation_id)
            if waiting is None or waiting.future.done():
                continue
            outcome = inventory_pb2.Outcome.FromString(result.outcome)
            if not outcome.HasField("error"):
                self._caller.session.note_success()
                waiting.future.set_result(outcome)
            elif self._caller.drop(self._token, outcome.error):
                waiting.is_sent = False  # it was not proposed, and is sent on the next stream
                ended = outcome.error
            else:
                self._refused(waiting, outcome)
        return ended

    def _refused(self, waiting: Waiting, outcome: inventory_pb2.Outcome) -> None:
        """Retry a mutation if a retry may work in the remaining time; otherwise fail it."""
        pause = pause_seconds(waiting.attempt, outcome.error)
        again = may_try_again(outcome.error)
        if not again or time.monotonic() + pause >= waiting.give_up:
            self._fail(waiting, outcome.error)
            return
        waiting.is_sent = False
        waiting.unanswered = waiting.unanswered or tells_nothing(outcome.error)
        waiting.attempt += 1
        asyncio.get_running_loop().call_later(pause, self._again, waiting)

    def _again(self, waiting: Waiting) -> None:
        """Queue a retry that is due; `_frame` skips a retry that was sent on another stream."""
        if waiting.number in self._waiting:
            self._queue.append(waiting)
            self._outbox.wake()
