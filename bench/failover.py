"""How long orders stop when the leader dies, or is asked to stop: to the next acknowledged order.

Four customers order one at a time without pause while the leader gets SIGKILL, or with `--graceful`
SIGTERM, again and again; each time `inventory up` starts it anew, and the next signal waits until
three members have caught up. The time runs from just before the signal to the first order that was
sent after it and acknowledged.
"""

import asyncio
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from chaos.up import Up
from inventory_client import AsyncInventory

GOAL_SECONDS = 1.0  # the median
GRACEFUL_GOAL_SECONDS = 0.3
CUSTOMERS = 4


async def order_always(inventory: AsyncInventory, acknowledged: list[tuple[float, float]]) -> None:
    """Order without end; keep when each acknowledged order was sent and answered."""
    while True:
        sent = time.perf_counter()
        await inventory.order_item(1, 1)
        acknowledged.append((sent, time.perf_counter()))


async def gap(up: Up, acknowledged: list[tuple[float, float]], number: signal.Signals) -> float:
    """Send the leader a signal; return the seconds until the next acknowledged order."""
    leader = await asyncio.to_thread(up.leader)
    await asyncio.sleep(0.5)
    killed = time.perf_counter()
    os.kill(leader.pid, number)
    while True:
        await asyncio.sleep(0.05)
        after = [answered for sent, answered in acknowledged if sent > killed]
        if after:
            break
    await asyncio.to_thread(up.wait_until_whole, besides={leader.pid})
    acknowledged.clear()
    return min(after) - killed


async def measure(up: Up, kills: int, number: signal.Signals) -> list[float]:
    """Order all the while and send the leader a signal, `kills` times."""
    async with AsyncInventory(up.address, timeout=30) as customer:
        await customer.login("Gayathri", "password1")
        acknowledged: list[tuple[float, float]] = []
        tasks = [
            asyncio.create_task(order_always(customer, acknowledged)) for _ in range(CUSTOMERS)
        ]
        gaps = []
        for turn in range(kills):
            gaps.append(await gap(up, acknowledged, number))
            typer.echo(f"{number.name} {turn + 1} of {kills}: {gaps[-1] * 1_000:.0f} ms", err=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return gaps


def main(
    *,
    kills: Annotated[int, typer.Option(help="How often the leader dies.")] = 20,
    graceful: Annotated[bool, typer.Option("--graceful", help="By SIGTERM.")] = False,
) -> None:
    """Measure failover time on this machine."""
    with (
        # Closed last: gRPC's poller outlives every channel of the process.
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory(prefix="inventory-bench-") as folder,
        Up(Path(folder) / "data") as up,
    ):
        up.watcher.adjust_stock(1, 10**8)
        gaps = runner.run(measure(up, kills, signal.SIGTERM if graceful else signal.SIGKILL))
    typer.echo(
        f"failover of {kills}: median {statistics.median(gaps):.3f} s (goal "
        f"{GRACEFUL_GOAL_SECONDS if graceful else GOAL_SECONDS:.3f}), "
        f"min {min(gaps):.3f}, max {max(gaps):.3f}, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    typer.run(main)
