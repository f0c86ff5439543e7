"""The shared stream of mutations, by itself: frames, retries, time, and what ends it.

The call is a list of frames and a queue of answers, and the clock is handed in.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from google.rpc import code_pb2, status_pb2
from inventory.v1 import inventory_pb2
from inventory_client import InventoryError, OutcomeUnknown, Refused, stream
from inventory_client.errors import LogInFailed
from inventory_client.stream import SubmitStream
from wire import errors
from wire.channels import ACCEPTED_KEY
from wire.errors import details_of

SECONDS_MAX = 5  # for a test
TURNS = 20  # of the loop, after which nothing moves by itself
LONG = 600.0
BOUND = 65_536  # bytes of a mutation
DONE = inventory_pb2.Outcome(order_item=inventory_pb2.OrderItemResponse(order_id=7))
UNKNOWN = "The outcome is unknown; send it again with the same request id."
GONE = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="gone")


class FakeCall:
    """One stream: what was written, and the answers that are read."""

    def __init__(self, gateway: "FakeGateway") -> None:
        """Begin open."""
        self.frames: list[inventory_pb2.SubmitRequest] = []
        self.is_cancelled = False
        self._gateway = gateway
        self._answers: asyncio.Queue[object] = asyncio.Queue()

    async def initial_metadata(self) -> tuple[tuple[str, str], ...]:
        """Accept the stream, once the gateway does."""
        await self._gateway.accepts.wait()
        return ((ACCEPTED_KEY, "1"),)

    async def write(self, frame: bytes) -> None:
        """Keep a frame, and answer it as the gateway does."""
        if self._gateway.is_broken:
            self._gateway.is_broken = False
            raise grpc.aio.UsageError("broken")
        self.frames.append(inventory_pb2.SubmitRequest.FromString(frame))
        self._gateway.answer(self, self.frames[-1])

    def say(self, *results: tuple[int, inventory_pb2.Outcome]) -> None:
        """Answer mutations, by correlation id."""
        response = inventory_pb2.SubmitResponse()
        for number, outcome in results:
            response.results.add(correlation_id=number, outcome=outcome)
        self._answers.put_nowait(response.SerializeToString())

    def end(self) -> None:
        """End the stream without a word."""
        self._answers.put_nowait(StopAsyncIteration())

    def cancel(self) -> bool:
        """End the stream from this side."""
        self.is_cancelled = True
        self._answers.put_nowait(asyncio.CancelledError())
        return True

    def __aiter__(self) -> "FakeCall":
        """Read the answers."""
        return self

    async def __anext__(self) -> object:
        """Return the next answer."""
        found = await self._answers.get()
        if isinstance(found, BaseException):
            raise found
        return found


class FakeGateway:
    """Stands for a client's `Caller`: opens streams, drops tokens, counts what was served."""

    def __init__(self) -> None:
        """Answer nothing."""
        self.calls: list[FakeCall] = []
        self.answer: Callable[[FakeCall, inventory_pb2.SubmitRequest], None] = lambda *_: None
        self.accepts = asyncio.Event()
        self.accepts.set()
        self.is_broken = False  # the next write fails
        self.refusals: list[BaseException] = []  # of streams, in turn
        self.timeouts: list[float] = []
        self.served = 0
        self.may_drop = False
        self.dropped: list[str | None] = []
        self.now = 1_000.0
        self.pauses: list[int] = []  # the attempts before which a stream, or a mutation, paused
        self.session = SimpleNamespace(note_success=self._note_success)
        self.ownership = SimpleNamespace(enter=lambda: None)

    def _note_success(self) -> None:
        self.served += 1

    def drop(self, token: str | None, status: status_pb2.Status) -> bool:
        """Tell whether another token can be got."""
        self.dropped.append(token)
        return self.may_drop and token == "token" and errors.reason_of(status) is not None  # noqa: S105 - of nobody

    async def stream(self, _method: str, timeout: float) -> tuple[str, FakeCall]:
        """Open a stream."""
        self.timeouts.append(timeout)
        if self.refusals:
            raise self.refusals.pop(0)
        self.calls.append(FakeCall(self))
        return "token", self.calls[-1]

    @property
    def frames(self) -> list[inventory_pb2.SubmitRequest]:
        """All frames, of all streams."""
        return [frame for call in self.calls for frame in call.frames]


def answering(outcome: inventory_pb2.Outcome) -> Callable[..., None]:
    """Answer every mutation so."""

    def answer(call: FakeCall, frame: inventory_pb2.SubmitRequest) -> None:
        call.say(*((one.correlation_id, outcome) for one in frame.submissions))

    return answer


def failing(status: status_pb2.Status) -> inventory_pb2.Outcome:
    """Return a refusal as an outcome."""
    return inventory_pb2.Outcome(error=status)


async def turn() -> None:
    """Let everything go on that can."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


Work = Callable[[FakeGateway, SubmitStream], Awaitable[None]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], None]:
    """Return what runs a test's work; the stream has to leave no task, timer or complaint."""

    async def scenario(work: Work) -> None:
        complaints: list[object] = []
        loop: Any = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        gateway: Any = FakeGateway()
        clock = SimpleNamespace(monotonic=lambda: gateway.now)

        def pause(attempt: int, *_: object) -> float:
            gateway.pauses.append(attempt)
            return 0.0

        monkeypatch.setattr(stream, "time", clock)
        monkeypatch.setattr(stream, "backoff_seconds", pause)
        monkeypatch.setattr(stream, "pause_seconds", pause)
        submitting = SubmitStream(gateway)
        async with asyncio.timeout(SECONDS_MAX) as limit:
            await work(gateway, submitting)
            await submitting.close("Bye.")
            await turn()
            left = {one.when() for one in loop._scheduled if not one.cancelled()}
            assert left == {limit.when()}
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert complaints == []
        assert all(one.is_cancelled for one in gateway.calls)

    def running(work: Work) -> None:
        asyncio.run(scenario(work))

    return running


def submit(
    submitting: SubmitStream, raw: bytes = b"", timeout: float = LONG
) -> asyncio.Task[inventory_pb2.Outcome]:
    """Submit in a task of its own."""
    return asyncio.ensure_future(submitting.submit(raw, "mine", timeout))


def raw_order(size: int) -> bytes:
    """Return a mutation of so many bytes."""
    request = inventory_pb2.OrderItemRequest(request_id="")
    overhead = 2 * (1 + 3)  # two lengths of three bytes, and two tags
    request.request_id = "x" * (size - overhead)
    raw = inventory_pb2.Mutation(order_item=request).SerializeToString()
    assert len(raw) == size
    return raw


async def error_of(waiting: asyncio.Task[inventory_pb2.Outcome]) -> InventoryError:
    """Return what a mutation ends with."""
    with pytest.raises(InventoryError) as ended:
        await waiting
    return ended.value


def test_frames_are_bounded_by_count_and_by_bytes(run: Callable[[Work], None]) -> None:
    """512 mutations, or what passes 128 KiB; each with the time that its caller still has."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        gateway.accepts.clear()
        gateway.answer = answering(DONE)
        sizes = [1, BOUND, BOUND, BOUND, BOUND - 1, 50_000, 50_000]
        large = [submit(submitting, raw_order(size) if size > 1 else b"") for size in sizes]
        small = [
            submit(submitting, b"", timeout) for timeout in [1.2345, 61.0, 0.0, *[9.0] * 1_100]
        ]
        await turn()
        gateway.accepts.set()
        for outcome in await asyncio.gather(*large, *small):
            assert outcome == DONE
        frames = [frame.submissions for frame in gateway.frames]
        assert [len(one) for one in frames[:2]] == [3, 3]
        assert [len(one) for one in frames[2:]] == [512, 512, 80]
        times = [one.timeout for frame in frames for one in frame][len(sizes) :][:3]
        assert [(one.seconds, one.nanos) for one in times] == [
            (1, 234_000_000), (61, 0), (0, 1_000_000),
        ]  # fmt: skip
        numbers = Counter(one.correlation_id for frame in frames for one in frame)
        assert set(numbers.values()) == {1}
        assert gateway.served == len(large) + len(small)
        assert gateway.timeouts == [5.0]

    run(work)


def test_a_mutation_that_is_too_long_is_refused_by_itself(run: Callable[[Work], None]) -> None:
    """The longest that members take is sent."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        gateway.answer = answering(DONE)
        assert await submit(submitting, raw_order(BOUND)) == DONE
        error = await error_of(submit(submitting, raw_order(BOUND + 1)))
        assert type(error) is Refused
        assert str(error) == f"The field mutation is over {BOUND} bytes long."
        assert (error.details, error.request_id) == ({"field": "mutation"}, "mine")
        assert len(gateway.frames) == 1

    run(work)


def test_who_gave_up_is_passed_over(run: Callable[[Work], None]) -> None:
    """In the queue, and among the answers."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        gateway.accepts.clear()
        gone, first, second = (submit(submitting) for _ in range(3))
        await turn()
        gone.cancel()
        await turn()
        gateway.accepts.set()
        await turn()
        [frame] = gateway.frames
        one, other = (submission.correlation_id for submission in frame.submissions)
        gateway.calls[0].say((999, DONE), (one, DONE), (one, DONE), (other, DONE))
        assert [await first, await second] == [DONE, DONE]
        assert gateway.served == 2

    run(work)


def test_a_mutation_is_tried_again_until_its_time_is_up(run: Callable[[Work], None]) -> None:
    """Its pauses grow by its own attempts; one that ends with the time is not begun."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        answer = answering(failing(errors.overloaded()))

        def late(call: FakeCall, frame: inventory_pb2.SubmitRequest) -> None:
            gateway.now += 1.0
            answer(call, frame)

        gateway.answer = late
        error = await error_of(submit(submitting, timeout=3.0))
        assert (type(error), error.reason) == (Refused, "OVERLOADED")
        assert gateway.pauses == [0, 1, 2]
        assert len(gateway.calls) == 1

    run(work)


def test_streams_that_break_pause_longer_until_one_brings_an_answer(
    run: Callable[[Work], None],
) -> None:
    """And with nothing to send no stream is opened."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        gateway.refusals = [LogInFailed(GONE) for _ in range(3)]
        gateway.answer = answering(DONE)
        assert await submit(submitting) == DONE
        assert gateway.pauses == [0, 1, 2]
        gateway.calls[0].end()
        await turn()
        assert (len(gateway.calls), gateway.pauses) == (1, [0, 1, 2, 0])
        assert await submit(submitting) == DONE
        assert len(gateway.calls) == 2
        gateway.calls[1].end()
        await turn()
        assert len(gateway.calls) == 2
        assert await submit(submitting) == DONE

    run(work)


@pytest.mark.parametrize("trouble", ["", "gone", "the stream ended", "a write failed"])
def test_no_answer_in_time_is_told_with_the_last_trouble(
    run: Callable[[Work], None], trouble: str
) -> None:
    """A fifth of a second late: the gateway may say why. An answer ends the trouble."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        gateway.refusals = [LogInFailed(GONE)] if trouble == "gone" else []
        gateway.is_broken = trouble == "a write failed"
        waiting = submit(submitting, timeout=1.0)
        await turn()
        if trouble == "the stream ended":
            gateway.calls[0].end()
            await turn()
        gateway.now = 1_001.1
        await asyncio.wait([waiting], timeout=0.08)
        assert not waiting.done()
        gateway.now = 1_001.0 + 0.2
        error = await error_of(waiting)
        why = f": {trouble}" if trouble else ""
        assert (type(error), error.request_id) == (OutcomeUnknown, "mine")
        assert str(error) == f"No answer came in time{why}. {UNKNOWN}"
        gateway.answer = answering(DONE)
        assert await submit(submitting) == DONE
        gateway.answer = lambda *_: None
        waiting = submit(submitting, timeout=1.0)
        await turn()
        gateway.now += LONG
        assert str(await error_of(waiting)) == f"No answer came in time. {UNKNOWN}"

    run(work)


def test_time_is_looked_at_often() -> None:
    """A caller waits for a quarter of a second at most after its time."""
    assert stream.GRACE_SECONDS + stream.SWEEP_SECONDS <= 0.25


def test_a_refused_token_is_replaced_and_its_mutations_go_with_the_next_stream(
    run: Callable[[Work], None],
) -> None:
    """All of them, though the answers came in one frame."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        over = answering(failing(errors.token_invalid("has expired")))

        def once(call: FakeCall, frame: inventory_pb2.SubmitRequest) -> None:
            gateway.answer = answering(DONE)
            over(call, frame)

        gateway.answer, gateway.may_drop = once, True
        one, other = submit(submitting), submit(submitting)
        assert [await one, await other] == [DONE, DONE]
        assert [len(frame.submissions) for frame in gateway.frames] == [2, 2]
        assert len(gateway.calls) == 2

    run(work)


def test_a_refused_stream_ends_what_waits_and_nothing_later(run: Callable[[Work], None]) -> None:
    """Each mutation is told why."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        gateway.refusals = [LogInFailed(errors.invalid_credentials())]
        gateway.answer = answering(DONE)
        for error in await asyncio.gather(*(error_of(submit(submitting)) for _ in range(2))):
            assert error.reason == "INVALID_CREDENTIALS"
        assert gateway.dropped == [None]
        assert await submit(submitting) == DONE
        assert [len(frame.submissions) for frame in gateway.frames] == [1]

    run(work)


def test_a_fault_of_the_stream_ends_what_waits_and_nothing_later(
    run: Callable[[Work], None],
) -> None:
    """The fault itself is raised; who gave up before is passed over."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        gateway.refusals = [ZeroDivisionError("a fault")]
        gateway.answer = answering(DONE)
        waiting = [submit(submitting) for _ in range(2)]
        for one in waiting:
            with pytest.raises(ZeroDivisionError, match="a fault"):
                await one
        assert await submit(submitting) == DONE

    run(work)


def test_closing_tells_why(run: Callable[[Work], None]) -> None:
    """What waits ends as unknown, with the words of whoever closes."""

    async def work(gateway: FakeGateway, submitting: SubmitStream) -> None:
        waiting = submit(submitting)
        await turn()
        assert len(gateway.frames) == 1
        await submitting.close("Bye.")
        error = await error_of(waiting)
        assert (type(error), str(error)) == (OutcomeUnknown, f"Bye. {UNKNOWN}")
        assert details_of(error.status or status_pb2.Status()) == {}

    run(work)
