"""Blocking calls: an asyncio client on a loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from inventory_client.aio import AsyncInventory
from inventory_client.errors import UsageError
from inventory_client.ownership import Ownership, Unpicklable

Result = TypeVar("Result")
FINISH_SECONDS_MAX = 0.5
SLICE_SECONDS = 0.2  # of a wait, after which signals are handled


class LoopThread:
    """A loop in a thread of its own, which the first call starts; any thread may call.

    - No work is given to the loop after the loop was closed.
    """

    def __init__(self) -> None:
        """Start without a thread."""
        self.ownership = Ownership()
        self._turn = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` on the loop and return its result; raise UsageError, or what `work` raises."""
        try:
            self.ownership.claim()  # before the lock: a forked child may inherit it locked
            with self._turn:
                self.ownership.claim()
                future = asyncio.run_coroutine_threadsafe(work, self._started())
        except UsageError:
            work.close()
            raise
        return _result_of(future)

    def _started(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which the first call starts."""
        if self._running is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="inventory-client", daemon=True)
            thread.start()
            self._running = loop, thread
        return self._running[0]

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Run `last`, and end the thread."""
        if self.ownership.is_elsewhere:
            last.close()
            return
        with self._turn:
            running, self._running = self._running, None
            self.ownership.is_closed = True
        if running is None:
            last.close()
            return
        loop, thread = running
        _result_of(asyncio.run_coroutine_threadsafe(last, loop))
        _result_of(asyncio.run_coroutine_threadsafe(_finish(), loop))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class BlockingCalls(Unpicklable):
    """The base of every method of the blocking client."""

    _inventory: AsyncInventory
    _loop_thread: LoopThread

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._loop_thread.wait(work)

    def _iterate(self, source: AsyncIterator[Result]) -> Iterator[Result]:
        async def following() -> Result:
            return await anext(source)

        while True:
            try:
                yield self._wait(following())
            except StopAsyncIteration:
                return


def _result_of(future: Future[Result]) -> Result:
    """Wait for a result, in slices.

    Python handles a signal that arrives just before a wait only after the wait. So without slices,
    Ctrl-C would do nothing until an answer comes.
    """
    while True:
        try:
            return future.result(SLICE_SECONDS)
        except TimeoutError:
            if future.done():
                return future.result()  # the call's own TimeoutError, or a later result


async def _finish() -> None:
    """Let every other task of the loop end, so that no task is dropped with the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, late = await asyncio.wait(others, timeout=FINISH_SECONDS_MAX)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
