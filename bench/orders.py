"""Orders a second and their latency: three members, synced on a majority, one client process.

Starts the whole system by `inventory up` in a directory of its own, then orders with a number of
orders always in flight, each level for a few seconds, unary and through the SDK's stream. Prints a
table with the goals beside what was measured. Everything shares this machine, the client too.
"""

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from chaos.up import Up
from inventory_client import AsyncInventory, Inventory, Money
from rich.console import Console
from rich.table import Table

LEVELS = (1, 16, 64, 256, 2048)
GOALS = {("unary", 64): 2_000, ("sdk", 256): 13_000}  # orders a second
WARM_SECONDS = 1.0
STOCK = 10**9


@dataclass(frozen=True, slots=True)
class Measured:
    """One level."""

    way: str
    in_flight: int
    orders: int
    seconds: float
    latencies_ms: list[float]
    load: float

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """Latency that `percent` of the orders stayed under."""
        return statistics.quantiles(self.latencies_ms, n=100)[percent - 1]


async def order_until(
    inventory: AsyncInventory, items: list[int], start: int, until: float, latencies: list[float]
) -> None:
    """Order one item after the other until the clock says `until`, keeping each latency."""
    at = start
    while (before := time.perf_counter()) < until:
        await inventory.order_item(items[at % len(items)], 1)
        latencies.append((time.perf_counter() - before) * 1_000)
        at += 1


async def measure(
    address: str, items: list[int], way: str, in_flight: int, seconds: float
) -> Measured:
    """Keep `in_flight` orders under way for `seconds`, after a second of warming up."""
    async with AsyncInventory(address, unary=way == "unary", timeout=30) as inventory:
        await inventory.login("Gayathri", "password1")

        async def phase(length: float) -> tuple[list[float], float]:
            latencies: list[float] = []
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(in_flight):
                    work = order_until(inventory, items, number, began + length, latencies)
                    group.create_task(work)
            return latencies, time.perf_counter() - began

        await phase(WARM_SECONDS)
        latencies, took = await phase(seconds)
    return Measured(way, in_flight, len(latencies), took, latencies, os.getloadavg()[0])


def stock_up(up: Up, items: int) -> list[int]:
    """Add the items that are ordered; return their ids."""
    with Inventory(up.address) as keeper:
        keeper.login("Sarthak", "password2")
        price = Money("USD", 199)
        return [keeper.add_item(f"Item {number}", "", price, STOCK).id for number in range(items)]


def show(results: list[Measured]) -> None:
    """Print what was measured beside the goals."""
    table = Table("way", "in flight", "orders/s", "goal", "p50 ms", "p99 ms", "load")
    for one in results:
        goal = GOALS.get((one.way, one.in_flight))
        table.add_row(
            one.way,
            f"{one.in_flight:,}",
            f"{one.rate:,.0f}",
            f"{goal:,}" if goal else "",
            f"{one.percentile_ms(50):.1f}",
            f"{one.percentile_ms(99):.1f}",
            f"{one.load:.1f}",
        )
    Console(width=None if Console().is_terminal else 100).print(table)


def main(
    seconds: Annotated[float, typer.Option(help="Length of each level.")] = 5,
    way: Annotated[list[str] | None, typer.Option(help="unary, sdk; both by default.")] = None,
    level: Annotated[list[int] | None, typer.Option(help="In flight; five by default.")] = None,
    items: Annotated[int, typer.Option(help="How many are ordered; 1: all want the same.")] = 1_000,
) -> None:
    """Measure orders a second on this machine."""
    with (
        # Closed last: gRPC's poller outlives every channel of the process.
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory(prefix="inventory-bench-") as folder,
        Up(Path(folder) / "data") as up,
    ):
        ids = stock_up(up, items)
        results = [
            runner.run(measure(up.address, ids, one_way, in_flight, seconds))
            for one_way in way or ["unary", "sdk"]
            for in_flight in level or LEVELS
        ]
    show(results)


if __name__ == "__main__":
    typer.run(main)
