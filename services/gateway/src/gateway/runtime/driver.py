"""Runs a router on an event loop: requests of clients' calls in, one pump a turn, ticks."""

import asyncio
import time
from collections.abc import Callable

from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2
from wire import bounds

from gateway.errors import RequestRefused
from gateway.requests import Answer, OnReply
from gateway.router import Router

TICK_SECONDS = 0.01
TIMEOUT_DEFAULT_MS = 5_000
# A call is answered a margin before its caller gives up, so that the reason still arrives. The
# margin is a fifth of the caller's time, so that most of a short time is for the work, and
# MARGIN_MS_MAX at most.
MARGIN_SHARE = 5
MARGIN_MS_MAX = 50


def now_ms() -> int:
    """Return milliseconds on the monotonic clock."""
    return time.monotonic_ns() // 1_000_000


def deadline_ms(seconds_left: float | None) -> int:
    """Return when a call must be answered, in milliseconds on the monotonic clock.

    `seconds_left`: the time until the caller gives up; None: the caller set none, and
    TIMEOUT_DEFAULT_MS counts. The deadline is `bounds.TIMEOUT_MS_MAX` away at most.
    """
    left_ms = TIMEOUT_DEFAULT_MS if seconds_left is None else int(seconds_left * 1_000)
    left_ms = max(1, min(left_ms, bounds.TIMEOUT_MS_MAX))
    return now_ms() + left_ms - min(MARGIN_MS_MAX, left_ms // MARGIN_SHARE)


class Driver:
    """A router on an event loop.

    - The router is pumped once a turn of the loop, however many requests the turn brought.
    """

    def __init__(self, router: Router) -> None:
        """Run `router` on the running loop."""
        self.router = router
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._ticking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self.router.tick(now_ms())
        self._ticking = self._loop.call_later(TICK_SECONDS, self.start)

    def stop(self) -> None:
        """Stop ticking."""
        if self._ticking is not None:
            self._ticking.cancel()

    def schedule_pump(self) -> None:
        """Have the router pumped at the end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        self.router.pump()

    def propose(self, command: bytes, deadline: int, on_reply: OnReply, user_id: int) -> int:
        """Propose a serialized RawCommand, whose answer `on_reply` gets; return its number."""
        number = self.router.propose(command, deadline, on_reply, user_id)
        self.schedule_pump()
        return number

    async def apply(self, command: bytes, deadline: int, user_id: int) -> forward_pb2.Reply:
        """Propose a user's serialized RawCommand and wait for its reply; raise RequestRefused."""
        return await self._wait(
            lambda on_reply: self.router.propose(command, deadline, on_reply, user_id)
        )

    async def ask(self, question: forward_pb2.Question, deadline: int) -> forward_pb2.Reply:
        """Ask a question and wait for its reply; raise RequestRefused."""
        return await self._wait(lambda on_reply: self.router.ask(question, deadline, on_reply))

    async def _wait(self, begin: Callable[[OnReply], int]) -> forward_pb2.Reply:
        future: asyncio.Future[Answer] = self._loop.create_future()

        def on_reply(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        number = begin(on_reply)
        self.schedule_pump()
        try:
            answer = await future
        except asyncio.CancelledError:
            self.router.cancel(number)
            raise
        if isinstance(answer, status_pb2.Status):
            raise RequestRefused(answer)
        if answer.HasField("error"):
            raise RequestRefused(answer.error)
        return answer
