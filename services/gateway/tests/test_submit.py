"""One client's stream of mutations: what is read, what is refused, and when reading stops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from gateway import auth
from gateway.auth import Principal
from gateway.errors import RequestRefused
from gateway.requests import OnReply
from gateway.runtime import submit
from gateway.runtime.submit import IN_FLIGHT_MAX, SUBMISSIONS_PER_FRAME_MAX, Submission
from gateway.shares import Share
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from wire import errors
from wire.bounds import DESCRIPTION_CHARACTERS_MAX, NAME_CHARACTERS_MAX, TIMEOUT_MS_MAX
from wire.errors import Reason, details_of, reason_of

NOW_MS = 1_000_000
EXPIRES = 2_000  # seconds since 1970, of the token
FRAMES = 3 * IN_FLIGHT_MAX // SUBMISSIONS_PER_FRAME_MAX


def frame(first: int, count: int) -> bytes:
    """Return a frame of empty submissions, each of which is refused at once."""
    request = inventory_pb2.SubmitRequest()
    for number in range(first, first + count):
        request.submissions.add(correlation_id=number)
    return request.SerializeToString()


class Client:
    """Sends frames; reads results when `reads` is set."""

    def __init__(self, *frames: bytes) -> None:
        """Send these."""
        self.frames = frames
        self.taken = 0
        self.reads = asyncio.Event()
        self.results: list[int] = []

    async def requests(self) -> AsyncIterator[bytes]:
        """Count what is read."""
        for one in self.frames:
            self.taken += 1
            yield one

    async def write(self, raw: bytes) -> None:
        """Take results, as the server's call does: it waits for who does not read."""
        await self.reads.wait()
        response = inventory_pb2.SubmitResponse.FromString(raw)
        self.results += [result.correlation_id for result in response.results]


async def serve(client: Client) -> None:
    """Serve the client; no submission of its frames reaches the driver."""
    nobody: Any = None
    context: Any = client
    await Submission(nobody, Principal(1, 1, 1, expires=2**40), Share()).run(
        client.requests(), context
    )


@pytest.mark.slow
def test_who_does_not_read_is_not_read_from() -> None:
    """Results that wait for the client are bounded, refusals included; in the end all arrive."""

    async def work() -> None:
        client = Client(
            *(
                frame(n * SUBMISSIONS_PER_FRAME_MAX, SUBMISSIONS_PER_FRAME_MAX)
                for n in range(FRAMES)
            )
        )
        serving = asyncio.ensure_future(serve(client))
        for _ in range(10 * FRAMES):
            await asyncio.sleep(0)
        # One frame of results is with the call already, one of submissions is read at the limit.
        assert client.taken <= IN_FLIGHT_MAX // SUBMISSIONS_PER_FRAME_MAX + 2
        client.reads.set()
        await serving
        assert client.results == list(range(FRAMES * SUBMISSIONS_PER_FRAME_MAX))

    asyncio.run(asyncio.wait_for(work(), 20))


@pytest.mark.parametrize(
    "made", [lambda: b"\xff\xff", lambda: frame(0, SUBMISSIONS_PER_FRAME_MAX + 1)]
)
def test_what_is_out_of_bounds_ends_the_stream(made: Callable[[], bytes]) -> None:
    """Garbage, or more submissions than a message may hold: INVALID_FIELD."""

    async def work() -> None:
        with pytest.raises(RequestRefused) as caught:
            await serve(Client(made()))
        assert reason_of(caught.value.status) == "INVALID_FIELD"

    asyncio.run(asyncio.wait_for(work(), 20))


def mutations(count: int, timeout: Duration | None = None) -> bytes:
    """Return a frame of deletions, numbered from 1."""
    request = inventory_pb2.SubmitRequest()
    for number in range(1, count + 1):
        deletion = inventory_pb2.DeleteItemRequest(request_id=str(number), item_id=number)
        mutation = inventory_pb2.Mutation(delete_item=deletion)
        request.submissions.add(correlation_id=number, mutation=mutation, timeout=timeout)
    return request.SerializeToString()


class TakingDriver:
    """Remembers commands, and answers each at once if it has an answer."""

    def __init__(self) -> None:
        """Start with none."""
        self.deadlines_ms: list[int] = []
        self.told: list[OnReply] = []

    def propose(self, command: bytes, deadline_ms: int, told: OnReply, user_id: int) -> int:
        """Take a command."""
        assert command
        assert user_id == 1
        self.deadlines_ms.append(deadline_ms)
        self.told.append(told)
        return len(self.told)

    def answer(self) -> None:
        """Answer everything with an outcome."""
        for told in self.told:
            told(forward_pb2.Reply(outcome=inventory_pb2.Outcome().SerializeToString()))


async def refusals(
    driver: TakingDriver, requests: AsyncIterator[bytes]
) -> dict[int, status_pb2.Status]:
    """Serve a stream to its end; return the refusals, by correlation id."""
    written: list[inventory_pb2.SubmitResult] = []

    class Reader:
        """Takes results."""

        async def write(self, raw: bytes) -> None:
            """Keep them."""
            written.extend(inventory_pb2.SubmitResponse.FromString(raw).results)

    taking: Any = driver
    context: Any = Reader()
    await Submission(taking, Principal(1, 1, 1, EXPIRES), Share()).run(requests, context)
    return {one.correlation_id: one.outcome.error for one in written if one.outcome.error.code}


def test_a_stream_that_outlives_its_token_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The members look at epoch and session of each mutation; the token let the stream in."""
    now = [EXPIRES - 1]
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: now[0]))
    driver = TakingDriver()

    async def requests() -> AsyncIterator[bytes]:
        yield mutations(1)
        now[0] = EXPIRES
        yield mutations(3)
        driver.answer()

    refused = asyncio.run(asyncio.wait_for(refusals(driver, requests()), 20))
    assert len(driver.deadlines_ms) == 3
    assert sorted(refused) == [1]
    assert reason_of(refused.pop(1)) is Reason.INVALID_FIELD, "in flight: its outcome is to come"
    for status in refused.values():
        assert (reason_of(status), status.code) == (
            Reason.TOKEN_INVALID,
            code_pb2.UNAUTHENTICATED,
        )
        assert "has expired" in status.message


class FullDriver(TakingDriver):
    """Refuses some commands while it takes them, as a gateway does that holds too many."""

    def __init__(self, refused: tuple[bool, ...]) -> None:
        """Refuse these, by their place in each frame."""
        super().__init__()
        self._refused = refused
        self._waiting: list[OnReply] = []

    def propose(self, command: bytes, deadline_ms: int, told: OnReply, user_id: int) -> int:
        """Take a command, or refuse it at once."""
        number = super().propose(command, deadline_ms, told, user_id)
        if self._refused[(number - 1) % len(self._refused)]:
            told(errors.overloaded())
        else:
            self._waiting.append(told)
        return number

    def answer(self) -> None:
        """Answer what waits."""
        for told in self._waiting:
            told(forward_pb2.Reply(outcome=inventory_pb2.Outcome().SerializeToString()))
        self._waiting.clear()


@pytest.mark.parametrize("refused", list(product((False, True), repeat=3)))
def test_whenever_it_is_answered_a_submission_ends(refused: tuple[bool, ...]) -> None:
    """Its number is free again, its place in the share is given back, and the stream ends."""
    driver: Any = FullDriver(refused)
    share = Share()
    client = Client()
    client.reads.set()

    async def requests() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield mutations(3)
            driver.answer()
            await asyncio.sleep(0)

    async def work() -> None:
        context: Any = client
        await Submission(driver, Principal(1, 1, 1, expires=2**40), share).run(requests(), context)

    asyncio.run(asyncio.wait_for(work(), 20))
    assert len(driver.told) == 6
    assert sorted(client.results) == [1, 1, 2, 2, 3, 3]
    assert share.submissions == 0


@pytest.mark.parametrize(
    ("timeout", "milliseconds"),
    [
        (None, 5_000),
        (Duration(nanos=1_000_000), 1),
        (Duration(seconds=7, nanos=250_999_999), 7_250),
        (Duration(seconds=600), TIMEOUT_MS_MAX),
    ],
)
def test_each_mutation_has_its_own_time(
    monkeypatch: pytest.MonkeyPatch, timeout: Duration | None, milliseconds: int
) -> None:
    """5 s where it says nothing."""
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: EXPIRES - 1))
    monkeypatch.setattr(submit, "now_ms", lambda: NOW_MS)
    driver = TakingDriver()

    async def requests() -> AsyncIterator[bytes]:
        yield mutations(1, timeout)
        driver.answer()

    assert asyncio.run(asyncio.wait_for(refusals(driver, requests()), 20)) == {}
    assert driver.deadlines_ms == [NOW_MS + milliseconds]


def test_results_of_the_largest_items_come_in_frames_that_every_client_takes() -> None:
    """512 such results at once are over 4 MiB; each result arrives once."""
    driver = TakingDriver()
    frames: list[bytes] = []

    class Reader:
        """Takes results."""

        async def write(self, raw: bytes) -> None:
            """Keep the frame."""
            frames.append(raw)

    item = inventory_pb2.Item(name="😀" * NAME_CHARACTERS_MAX)
    item.description = "😀" * DESCRIPTION_CHARACTERS_MAX
    response = inventory_pb2.AddItemResponse(item=item)
    outcome = inventory_pb2.Outcome(add_item=response).SerializeToString()

    async def requests() -> AsyncIterator[bytes]:
        yield mutations(SUBMISSIONS_PER_FRAME_MAX)
        for told in driver.told:
            told(forward_pb2.Reply(outcome=outcome))

    async def work() -> None:
        taking: Any = driver
        context: Any = Reader()
        await Submission(taking, Principal(1, 1, 1, expires=2**40), Share()).run(
            requests(), context
        )

    asyncio.run(asyncio.wait_for(work(), 20))
    assert max(map(len, frames)) < 4 << 20
    results = [
        one for raw in frames for one in inventory_pb2.SubmitResponse.FromString(raw).results
    ]
    assert [one.correlation_id for one in results] == [*range(1, SUBMISSIONS_PER_FRAME_MAX + 1)]


@pytest.mark.parametrize(
    "timeout",
    [
        Duration(),
        Duration(nanos=999_999),
        Duration(seconds=-1),
        Duration(seconds=600, nanos=1_000_000),
        Duration(seconds=2**63 - 1),
    ],
)
def test_a_time_out_of_bounds_is_refused(
    monkeypatch: pytest.MonkeyPatch, timeout: Duration
) -> None:
    """Where no majority is, it would hold its place for as long."""
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: EXPIRES - 1))
    driver = TakingDriver()

    async def requests() -> AsyncIterator[bytes]:
        yield mutations(1, timeout)

    refused = asyncio.run(asyncio.wait_for(refusals(driver, requests()), 20))
    assert driver.deadlines_ms == []
    assert refused[1].code == code_pb2.INVALID_ARGUMENT
    assert details_of(refused[1])["field"] == "timeout"
