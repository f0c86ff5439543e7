"""The loop in a thread of its own: what it runs, and what is left of it after it was closed."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from inventory_client import UsageError
from inventory_client.waiting import BlockingCalls, LoopThread


async def nothing() -> None:
    """Do nothing."""


def is_closed(work: Any) -> bool:  # noqa: ANN401 - a coroutine
    """Tell whether a coroutine was ended, so that nobody is warned of it."""
    return inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


async def running() -> asyncio.AbstractEventLoop:
    """Return the loop that runs this."""
    return asyncio.get_running_loop()


def test_one_thread_runs_the_loop_and_ends_with_it() -> None:
    """It is named, and a program that forgets to close ends all the same."""
    before = set(threading.enumerate())
    one = LoopThread()
    loop = one.wait(running())
    assert one.wait(running()) is loop
    [thread] = set(threading.enumerate()) - before
    assert (thread.name, thread.daemon) == ("inventory-client", True)
    one.close(nothing())
    assert not thread.is_alive()
    assert loop.is_closed()
    again, late = nothing(), running()
    one.close(again)
    with pytest.raises(UsageError, match="closed"):
        one.wait(late)
    assert is_closed(again)
    assert is_closed(late)


def test_what_a_call_raises_is_raised() -> None:
    """Its own TimeoutError, too, which is not the end of a slice."""

    async def late() -> None:
        raise TimeoutError("of the call")

    one = LoopThread()
    with pytest.raises(TimeoutError, match="of the call"):
        one.wait(late())
    one.close(nothing())


def test_a_result_is_waited_for_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal is handled after a fifth of a second at most."""
    slices: list[float | None] = []

    def result(timeout: float | None = None) -> str:
        slices.append(timeout)
        if len(slices) < 4:
            raise TimeoutError
        return "found"

    def handed_over(work: Any, _loop: object) -> Any:  # noqa: ANN401 - a coroutine, a future
        work.close()
        return SimpleNamespace(result=result, done=lambda: len(slices) == 3)

    one = LoopThread()
    loop = one.wait(running())
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "run_coroutine_threadsafe", handed_over)
        assert one.wait(running()) == "found"  # type: ignore[comparison-overlap]  # of the fake
    assert slices == [0.2, 0.2, 0.2, None]
    one.close(nothing())
    assert loop.is_closed()


def test_a_client_that_cannot_work_says_so_whoever_holds_the_lock() -> None:
    """A forked child inherits the lock as it was; another thread may close in between."""
    one, early, late = LoopThread(), running(), running()
    one.ownership.is_closed = True
    with one._turn, pytest.raises(UsageError):
        one.wait(early)
    answers = iter([None])

    def claim() -> None:
        if next(answers, False) is False:
            raise UsageError("closed meanwhile")

    other: Any = LoopThread()
    other.ownership = SimpleNamespace(claim=claim)
    with pytest.raises(UsageError, match="closed meanwhile"):
        other.wait(late)
    assert is_closed(early)
    assert is_closed(late)


def test_a_forked_child_closes_nothing() -> None:
    """Not even the lock is taken, which its parent may hold."""
    one: Any = LoopThread()
    one.ownership = SimpleNamespace(is_elsewhere=True)
    last = nothing()
    with one._turn:
        one.close(last)
    assert is_closed(last)


def test_closing_lets_every_task_and_generator_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends by itself, what has to be cancelled, and what fails at that."""
    ended: list[str] = []
    waits: list[float | None] = []
    kept: list[object] = []
    wait = asyncio.wait

    async def waited(tasks: Any, *, timeout: float | None = None) -> object:  # noqa: ANN401 - of asyncio
        waits.append(timeout)
        return await wait(tasks, timeout=0.01)

    async def quick() -> None:
        await asyncio.sleep(0)
        ended.append("quick")

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            ended.append("slow")

    async def faulty() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("faulty")
            raise ValueError("at the end")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def begin() -> None:
        source = numbers()
        await anext(source)
        kept.append(source)
        kept.extend(asyncio.ensure_future(one) for one in (faulty(), slow(), quick()))

    monkeypatch.setattr(asyncio, "wait", waited)
    one = LoopThread()
    one.wait(begin())
    one.close(nothing())
    assert sorted(ended) == ["faulty", "generator", "quick", "slow"]
    assert ended[-1] == "generator"
    assert waits == [0.5]


def test_a_blocking_iteration_takes_one_after_the_other() -> None:
    """It ends where the asynchronous one ends."""

    async def numbers() -> AsyncIterator[int]:
        for number in (1, 2, 3):
            await asyncio.sleep(0)
            yield number

    client = BlockingCalls()
    client._loop_thread = LoopThread()
    assert list(client._iterate(numbers())) == [1, 2, 3]
    client._loop_thread.close(nothing())
