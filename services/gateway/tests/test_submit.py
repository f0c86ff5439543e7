"""One client's stream of mutations: what is read, what is refused, and when reading stops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from gateway.auth import Principal
from gateway.runtime.driver import Refused
from gateway.runtime.submit import IN_FLIGHT_MAX, SUBMISSIONS_PER_FRAME_MAX, Submission
from inventory.v1 import inventory_pb2
from wire.errors import reason_of

FRAMES = 3 * IN_FLIGHT_MAX // SUBMISSIONS_PER_FRAME_MAX


def frame(first: int, count: int) -> bytes:
    """Return a frame of submissions that hold nothing, so that each is refused at once."""
    request = inventory_pb2.SubmitRequest()
    for number in range(first, first + count):
        request.submissions.add(correlation_id=number)
    return request.SerializeToString()


class Client:
    """Sends frames; reads results when it is let."""

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
    """Serve the client; nothing that it sends comes as far as the driver."""
    nobody: Any = None
    context: Any = client
    await Submission(nobody, Principal(1, 1, expires=2**40)).run(client.requests(), context)


@pytest.mark.slow
def test_who_does_not_read_is_not_read_from() -> None:
    """Results that wait for the client are bounded, refusals among them; then all arrive."""

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
        with pytest.raises(Refused) as caught:
            await serve(Client(made()))
        assert reason_of(caught.value.status) == "INVALID_FIELD"

    asyncio.run(asyncio.wait_for(work(), 20))
