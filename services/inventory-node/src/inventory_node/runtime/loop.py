"""The node's one thread: events in, one after the other, frames out.

Events gather in a queue, from links on this thread and from disk and database threads. A
turn handles the queued events, up to a bound, and then sends the frames of all of them at once.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

from inventory_node.core import events
from inventory_node.core.node import Node
from inventory_node.errors import Halted

TICK_SECONDS = 0.025
TICKS_AT_ONCE_MAX = 4  # after a pause of the process; further missed ticks are skipped
EVENTS_PER_TURN_MAX = 256


class Loop:
    """Drives a node.

    - `Node.handle` is called on the loop's thread only, for one event at a time.
    - At most one wake-up is scheduled, however many events come.
    - After a pause a few ticks are made up, the rest is skipped.
    """

    def __init__(self) -> None:
        """Prepare; events gather until `run`."""
        self._loop = asyncio.get_running_loop()
        self._queue: deque[events.Event] = deque()
        self._lock = threading.Lock()
        self._scheduled = False
        self._send: Callable[[], None] = lambda: None
        self._node: Node | None = None
        self._tick_due = 0.0
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.lag_seconds = 0.0  # how late the last tick was
        self.busy_seconds = 0.0  # duration of all turns

    @property
    def waiting_events(self) -> int:
        """How many events wait for a turn."""
        return len(self._queue)

    def run(self, node: Node, send: Callable[[], None]) -> None:
        """Begin to handle events; `send` sends the frames of a turn."""
        self._node = node
        self._send = send
        self._tick_due = self._loop.time() + TICK_SECONDS
        self._loop.call_later(TICK_SECONDS, self._tick)
        self._wake()

    def post(self, event: events.Event) -> None:
        """Queue an event, from the loop's own thread."""
        self._queue.append(event)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def emit(self, event: events.Event) -> None:
        """Queue an event, from any thread."""
        with self._lock:
            self._queue.append(event)
            if self._scheduled:
                return
            self._scheduled = True
        self._loop.call_soon_threadsafe(self._turn)

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _tick(self) -> None:
        if self.ended.done():
            return
        late = self._loop.time() - self._tick_due
        missed = min(int(late / TICK_SECONDS), TICKS_AT_ONCE_MAX - 1)
        self.lag_seconds = max(late, 0.0)
        for _ in range(1 + missed):
            self.post(events.Tick())
        self._tick_due = max(self._tick_due + TICK_SECONDS * (1 + missed), self._loop.time())
        self._loop.call_at(self._tick_due, self._tick)

    def _turn(self) -> None:
        self._scheduled = False
        node = self._node
        if node is None or self.ended.done():
            return
        started = time.perf_counter()
        try:
            for _ in range(min(len(self._queue), EVENTS_PER_TURN_MAX)):
                node.handle(self._queue.popleft())
        except Halted as halted:
            self.ended.set_exception(halted)
            return
        except Exception as error:
            # The event was handled in part: the node cannot go on from that state.
            self.ended.set_exception(error)
            raise
        self._send()
        self.busy_seconds += time.perf_counter() - started
        if node.stopped:
            self.ended.set_result(None)
        elif node.busy:
            self.post(events.Continue())
        elif self._queue:
            self._wake()
