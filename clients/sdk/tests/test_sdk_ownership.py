"""A client that is used where it cannot work says so at once, instead of hanging."""

import asyncio
import copy
import inspect
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from inventory_client import (
    AsyncInventory,
    Inventory,
    OutcomeUnknown,
    Unavailable,
    UsageError,
    ownership,
)
from inventory_client.ownership import Ownership, Process

PROGRAM = Path(__file__).with_name("forking.py")
PROGRAM_SECONDS_MAX = 60
DEAD = "127.0.0.1:1"  # nobody listens there
METHODS = {
    name
    for name, _ in inspect.getmembers(AsyncInventory, callable)
    if not name.startswith("_") and name != "close"
}


@pytest.fixture
def silent() -> Iterator[str]:
    """Yield an address where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def forked(what: str) -> list[str]:
    """Run the program that forks; return its lines."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(PROGRAM), what],
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM_SECONDS_MAX,
    )
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("client", ["blocking", "asynchronous"])
def test_every_method_says_at_once_that_the_process_was_forked(client: str) -> None:
    """The child ends as it wants to, and the parent goes on."""
    lines = forked(client)
    told = dict(line.split(" ", 1) for line in lines if not line.startswith("parent"))
    assert told.pop("child") == "7"
    assert told.keys() == METHODS | {"begun"}
    for said in told.values():
        assert said.startswith("UsageError: This process was forked from process ")
        assert "nothing was sent" in said
        assert "spawn" in said
    parent = [line for line in lines if line.startswith("parent")]
    assert all(line.startswith("parent Unavailable") for line in parent), parent


@pytest.mark.slow
def test_a_client_that_the_child_makes_says_it_too() -> None:
    """Else gRPC would crash the child, or never answer it."""
    told, child = forked("another")
    assert told.startswith("mine UsageError: This process was forked from process ")
    assert child == "child 7"


@pytest.mark.slow
def test_a_client_that_was_not_used_before_the_fork_works_after_it() -> None:
    """A server makes its client at import, and its workers are forked after that."""
    *told, child = forked("unused")
    assert [line.split(":")[0] for line in told] == ["mine Unavailable"] * 2
    assert child == "child 7"


def test_a_client_belongs_to_the_loop_of_its_first_call() -> None:
    """Made outside of any loop it may be; used on two it may not."""
    inventory = AsyncInventory(DEAD, timeout=0.05)

    async def work() -> None:
        with pytest.raises(Unavailable):
            await inventory.status()

    async def elsewhere() -> None:
        for call in (inventory.status, inventory.close, lambda: inventory.order_item(1, 1)):
            with pytest.raises(UsageError, match="another event loop"):
                await call()
        with pytest.raises(UsageError, match="another event loop"):
            await anext(inventory.items())

    async def both() -> None:
        await work()
        await asyncio.to_thread(asyncio.run, elsewhere())
        await inventory.close()

    asyncio.run(both())


def test_a_closed_client_says_so() -> None:
    """To every method; closing it again does nothing."""

    async def work() -> None:
        inventory = AsyncInventory(DEAD)
        await inventory.close()
        await inventory.close()
        for call in (inventory.status, lambda: inventory.order_item(1, 1)):
            with pytest.raises(UsageError, match="closed"):
                await call()
        with pytest.raises(UsageError, match="closed"):
            await anext(inventory.items())

    asyncio.run(work())
    blocking = Inventory(DEAD)
    blocking.close()
    blocking.close()
    with pytest.raises(UsageError, match="closed"):
        blocking.order_item(1, 1)
    with pytest.raises(UsageError, match="closed"):
        next(blocking.items())


def test_closing_ends_what_is_under_way(silent: str) -> None:
    """As what it is: a read without an answer, a mutation with an unknown outcome."""

    async def work() -> None:
        inventory = AsyncInventory(silent, unary=True)
        calls = [
            asyncio.ensure_future(inventory.status()),
            asyncio.ensure_future(inventory.order_item(1, 1, request_id="mine")),
        ]
        await asyncio.sleep(0)
        await inventory.close()
        read, order = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
        assert type(read) is Unavailable
        assert isinstance(order, OutcomeUnknown)
        assert order.request_id == "mine"

    asyncio.run(work())


def test_closing_in_one_thread_ends_the_calls_of_the_others(silent: str) -> None:
    """None of them waits for a loop that has ended, however they meet."""
    ended: list[type[BaseException]] = []

    def order(inventory: Inventory, begun: threading.Barrier) -> None:
        begun.wait()
        while True:
            try:
                inventory.order_item(1, 1)
            except OutcomeUnknown as error:
                ended.append(type(error))
            except UsageError as error:
                ended.append(type(error))
                return

    for unary in (False, True):
        begun = threading.Barrier(5)
        with ThreadPoolExecutor(4) as threads:
            inventory = Inventory(silent, unary=unary)
            orders = [threads.submit(order, inventory, begun) for _ in range(4)]
            begun.wait()
            inventory.close()
            for one in orders:
                one.result(timeout=10)
    assert ended.count(UsageError) == 8
    assert set(ended) <= {UsageError, OutcomeUnknown}


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("client", [Inventory, AsyncInventory])
def test_a_client_is_not_pickled(
    client: type[Inventory | AsyncInventory], copied: Callable[[object], object]
) -> None:
    """Whoever hands it to another process hands over its address and token instead."""
    with pytest.raises(TypeError, match="address and its token"):
        copied(client(DEAD))


class TestOwner:
    """One process and one loop, by themselves; the process's number is handed in."""

    @pytest.fixture(autouse=True)
    def process(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Stand for the number of the running process; 7 makes each client."""
        numbers = [7]
        monkeypatch.setattr(ownership, "PROCESS", Process())
        monkeypatch.setattr("os.getpid", lambda: numbers[0])
        return numbers

    def test_a_forked_child_is_told_who_its_parent_is(self, process: list[int]) -> None:
        """About its parent's client, and about a client that it makes itself."""
        owner, unused = Ownership(), Ownership()
        owner.check()
        assert not owner.is_elsewhere
        for _ in range(2):
            owner.claim()
        process[0] = 8
        assert (owner.is_elsewhere, unused.is_elsewhere) == (True, False)
        unused.check()
        for ask in (owner.check, owner.claim, unused.claim):
            with pytest.raises(UsageError) as told:
                ask()
            assert str(told.value) == (
                "This process was forked from process 7, which had used an inventory client before,"
                " and gRPC does not work in such a child; nothing was sent. Start the process by"
                " `spawn` or `forkserver` (multiprocessing.get_context), or fork before the first"
                " call, and make a client in the child process."
            )
        assert not owner.leave()
        process[0] = 7
        owner.claim()
        assert not owner.is_closed

    def test_a_client_is_closed_with_its_parent(self) -> None:
        """Closing the child leaves the parent as it is; a sentence says what to do."""
        parent = Ownership()
        child = Ownership(parent)
        child.is_closed = True
        parent.check()
        parent.is_closed, child.is_closed = True, False
        for closed in (parent, child):
            with pytest.raises(UsageError) as told:
                closed.check()
            assert str(told.value) == "This client is closed; nothing was sent. Make another one."

    def test_only_a_client_with_a_loop_has_a_connection_to_end(self) -> None:
        """Once; a client that was never used is closed all the same."""
        unused, used = Ownership(), Ownership()
        assert unused.is_closed is False

        async def work() -> list[bool]:
            used.enter()
            return [unused.leave(), unused.leave(), used.leave(), used.leave()]

        assert asyncio.run(work()) == [False, False, True, False]
        assert unused.is_closed
        assert used.is_closed

    def test_a_child_shares_the_loop_of_its_parent(self) -> None:
        """Its channel belongs to that loop, whoever of them calls first."""
        parent = Ownership()
        child = Ownership(parent)

        async def work(owner: Ownership) -> None:
            owner.enter()

        asyncio.run(work(child))
        with pytest.raises(UsageError) as told:
            asyncio.run(work(parent))
        assert str(told.value) == (
            "This client belongs to another event loop, and nothing was sent. Make one client on"
            " each loop, or use `Inventory`, which any thread may call."
        )
