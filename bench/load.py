"""A large catalogue: loaded in chunks, and what the work that grows with it does to orders.

Adds items through the SDK's stream, then takes orders and reads at a steady rate (open loop: one
that is late does not delay the next) while nothing else happens, while a member that lost its
volume copies the whole state, while all members hash theirs, and while a killed member comes back.
"""

import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
import uvloop
from chaos.cluster import ProcessCluster
from chaos.watched import POLL_SECONDS, NotSettled
from inventory_client import AsyncInventory, InventoryError, Money
from rich.console import Console
from rich.table import Table

AT_ONCE = 1_024
PRICE = Money("USD", 1_999)
ORDERS_A_SECOND = 100
READS_A_SECOND = 50
GOAL_P99_MS = 50  # beside a member that copies the state
QUIET_SECONDS = 15.0
PROGRESS_SECONDS = 10.0
CAUGHT_UP_SECONDS_MAX = 600
# With a long tail a small catalogue would be copied as log entries.
SETTINGS = {"INVENTORY_RAFT_TAIL_ENTRIES": "64"}


@dataclass
class Seen:
    """What was ordered and read meanwhile."""

    what: str
    seconds: float = 0.0
    orders_ms: list[float] = field(default_factory=list)
    reads_ms: list[float] = field(default_factory=list)
    failed: int = 0


async def add(inventory: AsyncInventory, numbers: "asyncio.Queue[int]") -> None:
    """Add items until there are no numbers left."""
    while not numbers.empty():
        number = numbers.get_nowait()
        await inventory.add_item(f"Part {number:07d}", "loaded in bulk", PRICE, 100)


async def look(inventory: AsyncInventory, slowest: list[float]) -> None:
    """Read an item again and again; keep the slowest time in seconds."""
    while True:
        before = time.perf_counter()
        await inventory.item(1)
        slowest[0] = max(slowest[0], time.perf_counter() - before)
        await asyncio.sleep(0.05)


async def tell(numbers: "asyncio.Queue[int]", items: int) -> None:
    """Say how far it has come."""
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        typer.echo(f"{items - numbers.qsize():,} of {items:,} items", err=True)


async def load(address: str, items: int) -> tuple[float, float]:
    """Load; return the seconds it took and the slowest read beside it."""
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for number in range(items):
        numbers.put_nowait(number)
    slowest = [0.0]
    async with (
        AsyncInventory(address, timeout=60) as keeper,
        AsyncInventory(address, timeout=60, unary=True) as reader,
    ):
        await keeper.login("Sarthak", "password2")
        await reader.login("Gayathri", "password1")
        began = time.perf_counter()
        beside = [
            asyncio.create_task(look(reader, slowest)),
            asyncio.create_task(tell(numbers, items)),
        ]
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(add(keeper, numbers))
        took = time.perf_counter() - began
        for task in beside:
            task.cancel()
    return took, slowest[0]


Call: TypeAlias = Callable[[], Awaitable[object]]


async def make(call: Call, due: float, took_ms: list[float], seen: Seen) -> None:
    """Make a call; keep its time from when it was due."""
    try:
        await call()
    except InventoryError:
        seen.failed += 1
    took_ms.append((time.perf_counter() - due) * 1_000)


async def at_a_rate(a_second: int, call: Call, took_ms: list[float], seen: Seen) -> None:
    """Begin calls at a steady rate until cancelled; then wait for those under way."""
    began, number = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        try:
            while True:
                due = began + number / a_second
                await asyncio.sleep(due - time.perf_counter())
                group.create_task(make(call, due, took_ms, seen))
                number += 1
        except asyncio.CancelledError:
            return  # the end of it, as it is meant


async def beside(address: str, items: int, what: str, work: Callable[[], None]) -> Seen:
    """Order and read while `work` is done in a thread."""
    seen = Seen(what)
    async with AsyncInventory(address, timeout=30) as customer:
        await customer.login("Gayathri", "password1")
        turns = itertools.count()

        async def order() -> None:
            await customer.order_item(next(turns) % items + 1, 1)

        async def read() -> None:
            await customer.item(next(turns) % items + 1)

        tasks = [
            asyncio.create_task(at_a_rate(ORDERS_A_SECOND, order, seen.orders_ms, seen)),
            asyncio.create_task(at_a_rate(READS_A_SECOND, read, seen.reads_ms, seen)),
        ]
        began = time.perf_counter()
        await asyncio.to_thread(work)
        seen.seconds = time.perf_counter() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
    return seen


def wait_until_whole(cluster: ProcessCluster) -> None:
    """Wait until all are voters that have caught up: with much data it takes its time."""
    deadline = time.monotonic() + CAUGHT_UP_SECONDS_MAX
    while True:
        try:
            cluster.wait_until_whole()
        except NotSettled:
            if time.monotonic() > deadline:
                raise
        else:
            return


def follower(cluster: ProcessCluster) -> str:
    """Return the name of a member that does not lead."""
    leader = cluster.leader().name
    return next(member.name for member in cluster.members() if member.name != leader)


def kill_a_follower(cluster: ProcessCluster, *, wipe: bool) -> None:
    """Let a follower come back, with its data or without; it copies what it lacks of the state."""
    name = follower(cluster)
    cluster.kill(name)
    if wipe:
        cluster.wipe(name)
    cluster.start(name)
    wait_until_whole(cluster)


def compare(cluster: ProcessCluster) -> None:
    """Let all members hash their states."""
    index = cluster.watcher.checkpoint()
    deadline = time.monotonic() + CAUGHT_UP_SECONDS_MAX
    while time.monotonic() < deadline:
        found = [one.state_hash for one in cluster.watcher.status().members]
        if all(one is not None and one.index >= index for one in found):
            return
        time.sleep(POLL_SECONDS)
    raise NotSettled(f"not every member has hashed its state at {index}")


def show(results: list[Seen]) -> None:
    """Print what was measured."""
    times = ("p50 ms", "p99 ms", "slowest")
    table = Table("beside", "seconds", "calls", "failed", *times, *(f"read {one}" for one in times))
    table.columns[0].no_wrap = True
    for seen in results:
        shown = [
            f"{figure:.1f}"
            for took_ms in (seen.orders_ms, seen.reads_ms)
            for figure in (
                statistics.median(took_ms),
                statistics.quantiles(took_ms, n=100)[98],
                max(took_ms),
            )
        ]
        calls = len(seen.orders_ms) + len(seen.reads_ms)
        table.add_row(seen.what, f"{seen.seconds:.0f}", f"{calls:,}", str(seen.failed), *shown)
    Console(width=None if Console().is_terminal else 140).print(table)


def main(items: Annotated[int, typer.Option(help="How many.")] = 1_000_000) -> None:
    """Load a large catalogue on this machine, and work beside it."""
    with (
        # Closed last: gRPC's poller outlives every channel of the process.
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory(prefix="inventory-bench-") as folder,
        ProcessCluster(Path(folder) / "data", **SETTINGS) as cluster,
    ):
        term = cluster.watcher.status().members[0].term
        took, slowest = runner.run(load(cluster.address, items))
        after = [member.term for member in cluster.watcher.status().members]
        typer.echo(
            f"{items:,} items in {took:.0f} s ({items / took:,.0f} a second), slowest read beside "
            f"it {slowest * 1_000:.0f} ms, term {term} before and {after} after, "
            f"load {os.getloadavg()[0]:.1f}"
        )
        count = cluster.watcher.stats().item_count
        typer.echo(f"items counted by the database: {count:,}")
        scenes: tuple[tuple[str, Callable[[], None]], ...] = (
            ("nothing", lambda: time.sleep(QUIET_SECONDS)),
            ("a copy of the state to a new member", lambda: kill_a_follower(cluster, wipe=True)),
            ("every member's hash of its state", lambda: compare(cluster)),
            (
                "a killed member that is behind the log",
                lambda: kill_a_follower(cluster, wipe=False),
            ),
        )
        results = []
        for what, work in scenes:
            results.append(runner.run(beside(cluster.address, items, what, work)))
            typer.echo(f"beside {what}: {results[-1].seconds:.0f} s", err=True)
        show(results)
        after = [member.term for member in cluster.watcher.status().members]
        typer.echo(
            f"{ORDERS_A_SECOND} orders and {READS_A_SECOND} reads a second; goal beside a copy: "
            f"p99 {GOAL_P99_MS} ms; terms at the end {after}, load {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    typer.run(main)
