"""A large catalogue, loaded in chunks while the members keep electing nobody.

Adds items through the SDK's stream, and reports how long it took, whether the leadership ever
changed, how slow the slowest read beside it was, and how long a restart takes with it.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from chaos.up import Up, kill
from inventory_client import AsyncInventory, Money

AT_ONCE = 1_024
PRICE = Money("USD", 1_999)


async def add(inventory: AsyncInventory, numbers: "asyncio.Queue[int]") -> None:
    """Add items until there are no numbers left."""
    while not numbers.empty():
        number = numbers.get_nowait()
        await inventory.add_item(f"Part {number:07d}", "loaded in bulk", PRICE, 100)


async def look(inventory: AsyncInventory, slowest: list[float]) -> None:
    """Read an item again and again; keep the slowest time in seconds."""
    while True:
        before = time.perf_counter()
        await inventory.get_item(1)
        slowest[0] = max(slowest[0], time.perf_counter() - before)
        await asyncio.sleep(0.05)


async def load(up: Up, items: int) -> tuple[float, float]:
    """Load; return the seconds it took and the slowest read beside it."""
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for number in range(items):
        numbers.put_nowait(number)
    slowest = [0.0]
    async with (
        AsyncInventory(up.address, timeout=60) as keeper,
        AsyncInventory(up.address, timeout=60, unary=True) as reader,
    ):
        await keeper.login("Sarthak", "password2")
        await reader.login("Gayathri", "password1")
        began = time.perf_counter()
        looking = asyncio.create_task(look(reader, slowest))
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(add(keeper, numbers))
        took = time.perf_counter() - began
        looking.cancel()
    return took, slowest[0]


def main(items: Annotated[int, typer.Option(help="How many.")] = 1_000_000) -> None:
    """Load a large catalogue on this machine."""
    with (
        # Closed last: gRPC's poller outlives every channel of the process.
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory(prefix="inventory-bench-") as folder,
        Up(Path(folder) / "data") as up,
    ):
        before = up.leader()
        term = up.watcher.get_status().members[0].term
        took, slowest = runner.run(load(up, items))
        status = up.watcher.get_status()
        after = [member.term for member in status.members]
        typer.echo(
            f"{items:,} items in {took:.0f} s ({items / took:,.0f} a second), slowest read beside "
            f"it {slowest * 1_000:.0f} ms, term {term} before and {after} after, "
            f"load {os.getloadavg()[0]:.1f}"
        )
        kill(before.pid)
        began = time.perf_counter()
        up.wait_until_whole(besides={before.pid})
        typer.echo(
            f"a killed member was back and caught up after {time.perf_counter() - began:.1f} s"
        )
        count = up.watcher.stats().item_count
        typer.echo(f"items counted by the database: {count:,}")


if __name__ == "__main__":
    typer.run(main)
