"""Drives the core: requests in from clients' calls, one pump a turn, ticks for deadlines."""

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
# Answered so long before the caller gives up, so that the reason still arrives: a fifth of what the
# caller has left, so that most of a short time is for the work, and MARGIN_MS_MAX at most.
MARGIN_SHARE = 5
MARGIN_MS_MAX = 50


def now_ms() -> int:
    """Return milliseconds on the monotonic clock."""
    return time.monotonic_ns() // 1_000_000


def deadline_ms(seconds_left: float | None) -> int:
    """Return when a call must be answered, given the time that its caller has left.

    As far from now as `bounds.TIMEOUT_MS_MAX` allows at most; None: TIMEOUT_DEFAULT_MS.
    """
    left_ms = TIMEOUT_DEFAULT_MS if seconds_left is None else int(seconds_left * 1_000)
    left_ms = max(1, min(left_ms, bounds.TIMEOUT_MS_MAX))
    return now_ms() + left_ms - min(MARGIN_MS_MAX, left_ms // MARGIN_SHARE)


class Driver:
    """The core on an event loop.

    - The core is pumped once a turn, however many requests the turn brought.
    """

    def __init__(self, core: Router) -> None:
        """Drive `core` on the running loop."""
        self.core = core
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._ticking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self.core.tick(now_ms())
        self._ticking = self._loop.call_later(TICK_SECONDS, self.start)

    def stop(self) -> None:
        """Stop ticking."""
        if self._ticking is not None:
            self._ticking.cancel()

    def schedule_pump(self) -> None:
        """Pump at the end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        self.core.pump()

    def propose(self, command: bytes, deadline: int, on_reply: OnReply) -> int:
        """Take a command and call `on_reply` with its answer."""
        number = self.core.propose(command, deadline, on_reply)
        self.schedule_pump()
        return number

    async def apply(self, command: bytes, deadline: int) -> forward_pb2.Reply:
        """Take a command and wait for its reply; raise Refused."""
        return await self._wait(lambda on_reply: self.core.propose(command, deadline, on_reply))

    async def ask(self, question: forward_pb2.Question, deadline: int) -> forward_pb2.Reply:
        """Ask and wait for the reply; raise Refused."""
        return await self._wait(lambda on_reply: self.core.ask(question, deadline, on_reply))

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
            self.core.cancel(number)
            raise
        if isinstance(answer, status_pb2.Status):
            raise RequestRefused(answer)
        if answer.HasField("error"):
            raise RequestRefused(answer.error)
        return answer
