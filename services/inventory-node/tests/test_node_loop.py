"""The loop: what it hands to the node, when, and what it makes of a pause."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from inventory_node.core import events
from inventory_node.errors import Halted
from inventory_node.runtime import loop as loop_module
from inventory_node.runtime.loop import EVENTS_PER_TURN_MAX, TICKS_AT_ONCE_MAX, Loop


class FakeNode:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.handled: list[events.Event] = []
        self.threads: set[int] = set()
        self.busy = False
        self.stopped = False
        self.problem: Exception | None = None

    def handle(self, event: events.Event) -> None:
        """Keep an event; raise what was asked for."""
        self.handled.append(event)
        self.threads.add(threading.get_ident())
        if isinstance(event, events.Continue):
            self.busy = False
        if isinstance(event, events.StopRequested):
            self.stopped = True
        if self.problem is not None:
            raise self.problem

    def of(self, kind: type[events.Event]) -> int:
        """Count events of a kind."""
        return sum(isinstance(event, kind) for event in self.handled)


def drive(scenario: Callable[[Loop, FakeNode, list[int]], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on a loop whose sends are kept, by how much was handled before each."""

    async def whole() -> None:
        node = FakeNode()
        sends: list[int] = []
        loop = Loop()
        await scenario(loop, node, sends)

    asyncio.run(whole())


def start(loop: Loop, node: FakeNode, sends: list[int]) -> None:
    """Begin, with the fake in the node's place."""
    loop.run(node, lambda: sends.append(len(node.handled)))  # type: ignore[arg-type]  # a fake


async def turns(count: int = 3) -> None:
    """Let what is scheduled happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_events_wait_until_there_is_a_node() -> None:
    """Peers may speak while this member still reads its log."""

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        loop.post(events.SessionOpened(1))
        loop.post(events.SessionOpened(2))
        await turns()
        assert loop.waiting_events == 2
        start(loop, node, sends)
        await turns()
        assert node.handled == [events.SessionOpened(1), events.SessionOpened(2)]

    drive(scenario)


def test_a_turns_frames_leave_together() -> None:
    """One send for all that was handled, not one an event."""

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        start(loop, node, sends)
        await turns()
        sends.clear()
        for number in range(10):
            loop.post(events.SessionOpened(number))
        await turns()
        assert sends == [10]

    drive(scenario)


def test_a_turn_is_bounded() -> None:
    """The rest comes with the next turn, so that sockets and timers have theirs."""

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        start(loop, node, sends)
        await turns()
        sends.clear()
        for number in range(EVENTS_PER_TURN_MAX + 1):
            loop.post(events.SessionOpened(number))
        await turns(4)
        assert sends == [EVENTS_PER_TURN_MAX, EVENTS_PER_TURN_MAX + 1]

    drive(scenario)


def test_a_busy_node_goes_on_behind_what_waits() -> None:
    """Heartbeats are answered between two turns of a long work."""

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        start(loop, node, sends)
        await turns()
        node.busy = True
        loop.post(events.SessionOpened(1))
        await turns()
        assert node.handled == [events.SessionOpened(1), events.Continue()]

    drive(scenario)


def test_threads_emit_and_the_loops_thread_handles() -> None:
    """Nothing is lost, whoever emits while a turn is under way."""
    threads, each = 4, 500

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        start(loop, node, sends)

        def emit() -> None:
            for number in range(each):
                loop.emit(events.DiskDone(number))

        async with asyncio.TaskGroup() as group:
            for _ in range(threads):
                group.create_task(asyncio.to_thread(emit))
        while node.of(events.DiskDone) < threads * each:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0)
        assert node.threads == {threading.get_ident()}

    asyncio.run(asyncio.wait_for(_within(scenario), timeout=30))


async def _within(
    scenario: Callable[[Loop, FakeNode, list[int]], Coroutine[Any, Any, None]],
) -> None:
    await scenario(Loop(), FakeNode(), [])


def test_many_events_are_one_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wake-up of the loop from a thread costs a system call."""

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        start(loop, node, sends)
        await turns()
        woken: list[object] = []
        running = asyncio.get_running_loop()
        monkeypatch.setattr(running, "call_soon_threadsafe", lambda *args: woken.append(args))
        for number in range(100):
            loop.emit(events.DiskDone(number))
        assert len(woken) == 1

    drive(scenario)


def test_a_pause_is_not_lived_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """After seconds of SIGSTOP a few ticks are made up, not one for every interval missed."""
    now = [100.0]

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        running = asyncio.get_running_loop()
        later: list[float] = []
        monkeypatch.setattr(running, "time", lambda: now[0])
        monkeypatch.setattr(running, "call_later", lambda *_: None)
        monkeypatch.setattr(running, "call_at", lambda when, _: later.append(when))
        start(loop, node, sends)
        now[0] += loop_module.TICK_SECONDS + 3
        loop._tick()
        await turns()
        assert node.of(events.Tick) == TICKS_AT_ONCE_MAX
        assert loop.lag_seconds == pytest.approx(3)
        assert later == [now[0]]  # the next tick is due at once, the one after it an interval later
        loop._tick()
        await turns()
        assert node.of(events.Tick) == TICKS_AT_ONCE_MAX + 1
        assert later[1] == pytest.approx(now[0] + loop_module.TICK_SECONDS)
        monkeypatch.undo()

    drive(scenario)


def test_a_halted_node_ends_the_loop() -> None:
    """The reason comes out of `ended`, and nothing is handled after it."""

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        start(loop, node, sends)
        await turns()
        node.problem = Halted("the disk is gone")
        loop.post(events.Tick())
        await turns()
        with pytest.raises(Halted, match="the disk is gone"):
            await loop.ended
        before = len(node.handled)
        loop.post(events.Tick())
        await turns()
        assert len(node.handled) == before

    drive(scenario)


def test_a_stopped_node_ends_the_loop() -> None:
    """After the frames of its last turn have left."""

    async def scenario(loop: Loop, node: FakeNode, sends: list[int]) -> None:
        start(loop, node, sends)
        loop.post(events.StopRequested())
        await loop.ended
        assert sends[-1] == len(node.handled)

    drive(scenario)
