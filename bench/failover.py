"""How long orders stop when the leader dies, or is asked to stop: to the next acknowledged order.

Four customers order one at a time without pause while the leader gets SIGKILL, or with `--graceful`
SIGTERM, again and again; each time `inventory up` starts it anew, and the next signal waits until
three members have caught up. The time runs from just before the signal to the first order that was
sent after it and acknowledged. Beside it, what callers felt: the latency of every order that was
under way in the second that began with the signal.
"""

import asyncio
import os
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from chaos.up import Up
from inventory_client import AsyncInventory

GOAL_SECONDS = 1.0  # the median
GRACEFUL_GOAL_SECONDS = 0.3
GRACEFUL_P99_GOAL_SECONDS = 0.3  # of the orders meanwhile
CUSTOMERS = 4
MEANWHILE_SECONDS = 1.0


@dataclass(slots=True)
class Felt:
    """What signals cost, in seconds."""

    gaps: list[float] = field(default_factory=list)  # one a signal
    latencies: list[float] = field(default_factory=list)  # of the orders meanwhile, of all signals


async def order_always(inventory: AsyncInventory, acknowledged: list[tuple[float, float]]) -> None:
    """Order without end; keep when each acknowledged order was sent and answered."""
    while True:
        sent = time.perf_counter()
        await inventory.order_item(1, 1)
        acknowledged.append((sent, time.perf_counter()))


async def feel(
    up: Up, acknowledged: list[tuple[float, float]], number: signal.Signals, felt: Felt
) -> None:
    """Send the leader a signal; note what it cost."""
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
    felt.gaps.append(min(after) - killed)
    felt.latencies += [
        answered - sent
        for sent, answered in acknowledged
        if answered > killed and sent < killed + MEANWHILE_SECONDS
    ]
    acknowledged.clear()


async def measure(up: Up, kills: int, number: signal.Signals) -> Felt:
    """Order all the while and send the leader a signal, `kills` times."""
    async with AsyncInventory(up.address, timeout=30) as customer:
        await customer.login("Gayathri", "password1")
        acknowledged: list[tuple[float, float]] = []
        tasks = [
            asyncio.create_task(order_always(customer, acknowledged)) for _ in range(CUSTOMERS)
        ]
        felt = Felt()
        for turn in range(kills):
            await feel(up, acknowledged, number, felt)
            milliseconds = felt.gaps[-1] * 1_000
            typer.echo(f"{number.name} {turn + 1} of {kills}: {milliseconds:.0f} ms", err=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return felt


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
        felt = runner.run(measure(up, kills, signal.SIGTERM if graceful else signal.SIGKILL))
    gaps, latencies = felt.gaps, felt.latencies
    typer.echo(
        f"failover of {kills}: median {statistics.median(gaps):.3f} s (goal "
        f"{GRACEFUL_GOAL_SECONDS if graceful else GOAL_SECONDS:.3f}), "
        f"min {min(gaps):.3f}, max {max(gaps):.3f}, load {os.getloadavg()[0]:.1f}"
    )
    goal = f" (goal {GRACEFUL_P99_GOAL_SECONDS:.3f})" if graceful else ""
    typer.echo(
        f"{len(latencies)} orders meanwhile: p50 {statistics.median(latencies):.3f} s, "
        f"p99 {statistics.quantiles(latencies, n=100)[98]:.3f} s{goal}, max {max(latencies):.3f} s"
    )


if __name__ == "__main__":
    typer.run(main)
