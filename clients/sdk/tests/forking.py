"""A program that uses a client and forks; `test_sdk_ownership.py` runs it and reads its lines.

The argument says what it does. Nobody listens at its address: a call that is sent ends as
Unavailable, and a call that hangs in the child is ended by an alarm.
"""

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from inventory_client import AsyncInventory, Inventory, InventoryError, Money, UsageError

ADDRESS = "127.0.0.1:1"
TIMEOUT_SECONDS = 0.2
CHILD_SECONDS_MAX = 10
CHILD_STATUS = 7
ARGUMENTS: dict[str, object] = {
    "item_id": 1, "order_id": 1, "user_id": 1, "quantity": 1, "delta": 1, "name": "x",
    "username": "x", "auth": "token", "password": "password1", "role": "customer",
    "description": "", "price": Money("USD", 1), "lines": [(1, 1)],
    "address": "127.0.0.1:2", "question": "x",
}  # fmt: skip


def calls(client: object) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield every public method but close, with arguments."""
    for name, method in inspect.getmembers(client, callable):
        if name.startswith("_") or name == "close":
            continue
        parameters = inspect.signature(method).parameters.values()
        needed = [one.name for one in parameters if one.default is one.empty]
        arguments = {one: ARGUMENTS[one] for one in needed}
        yield name, partial(method, **arguments)


def say(*words: object) -> None:
    """Write a line, at once: a forked process has its own copy of what was not written."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def told(call: Callable[[], object]) -> str:
    """Return how a call ended."""
    try:
        call()
    except (InventoryError, UsageError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


async def awaited(result: Coroutine[Any, Any, object] | AsyncIterator[object]) -> None:
    """Wait for an asynchronous call, or for the first of what it yields."""
    await (anext(result) if isinstance(result, AsyncIterator) else result)


def begun_in(call: Callable[[], object]) -> None:
    """Make a blocking call, and take the first of what it yields."""
    result = call()
    if isinstance(result, Iterator):
        next(result)


def stepped(call: Callable[[], Any]) -> None:
    """Take the first step of an asynchronous call, where its loop does not turn."""
    awaited(call()).send(None)


def forked(child: Callable[[], None]) -> None:
    """Run `child` in a forked process, which ends as a program does; print its status."""
    pid = os.fork()
    if not pid:
        signal.alarm(CHILD_SECONDS_MAX)
        child()
        sys.exit(CHILD_STATUS)
    say("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def blocking() -> None:
    """Fork beside a client that was used, with a generator that was begun."""
    with Inventory(ADDRESS, timeout=TIMEOUT_SECONDS) as inventory:
        say("parent", told(inventory.status))
        begun = inventory.items()

        def child() -> None:
            for name, call in calls(inventory):
                say(name, told(partial(begun_in, call)))
            say("begun", told(lambda: next(begun)))
            with inventory:
                pass
            inventory.close()

        forked(child)
        say("parent", told(inventory.status))


def asynchronous() -> None:
    """Fork on the loop of a client that was used; the child asks on the same loop and another."""

    async def work() -> None:
        async with AsyncInventory(ADDRESS, timeout=TIMEOUT_SECONDS) as inventory:

            def child() -> None:
                for name, call in calls(inventory):
                    say(name, told(partial(stepped, call)))
                asyncio.events._set_running_loop(None)
                say("begun", told(lambda: asyncio.run(awaited(inventory.items()))))
                asyncio.run(inventory.close())

            [ended] = await asyncio.gather(inventory.status(), return_exceptions=True)
            say("parent", type(ended).__name__)
            forked(child)

    asyncio.run(work())


def another() -> None:
    """Make a client in the child of a process that has used one."""
    with Inventory(ADDRESS, timeout=TIMEOUT_SECONDS) as inventory:
        told(inventory.status)

        def child() -> None:
            with Inventory(ADDRESS, timeout=TIMEOUT_SECONDS) as mine:
                say("mine", told(mine.status))

        forked(child)


def unused() -> None:
    """Make clients, fork, and use them in the child, as a server with workers does."""
    inventory = Inventory(ADDRESS, timeout=TIMEOUT_SECONDS)
    other = AsyncInventory(ADDRESS, timeout=TIMEOUT_SECONDS)

    def child() -> None:
        say("mine", told(inventory.status))
        say("mine", told(lambda: asyncio.run(awaited(other.status()))))
        inventory.close()

    forked(child)


if __name__ == "__main__":
    {one.__name__: one for one in (blocking, asynchronous, another, unused)}[sys.argv[1]]()
