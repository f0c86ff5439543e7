"""One run: clients at work, faults meanwhile, and the rules that hold whatever the faults were."""

import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from inventory_client import Inventory, Money
from linearizability import check_file

from chaos import verdict, workload

CUSTOMERS = [("Gayathri", "password1"), ("Sushma", "password3")] * 4
KEEPER = ("Sarthak", "password2")
WORK_SECONDS = 1.5
PLENTY = 10**6
SCARCE = 60


class System(Protocol):
    """A running system with demo users, as processes or on a cluster."""

    @property
    def address(self) -> str:
        """The gateway's."""
        ...

    @property
    def watcher(self) -> Inventory:
        """An administrator's connection."""
        ...

    def wait_until_whole(self) -> None:
        """Wait until three members have applied all committed entries."""
        ...


def open_shop(system: System) -> tuple[workload.Shop, dict[int, int]]:
    """Add the items of a run; return the shop and the stock of each item."""
    with Inventory(system.address, insecure=True) as keeper:
        keeper.login(*KEEPER)
        counts = (PLENTY, SCARCE, PLENTY, PLENTY)
        items = [
            keeper.add_item(f"Thing {number}", "", Money("USD", 250), count).id
            for number, count in enumerate(counts)
        ]
    shop = workload.Shop(items[0], items[1], (items[2], items[3]))
    return shop, dict(zip(items, counts, strict=True))


def judge(
    system: System,
    tmp_path: Path,
    faults: Callable[[], Awaitable[None]],
    clients: int = len(CUSTOMERS),
    seed: int = 0,
) -> workload.Tally:
    """Run the workload during `faults`; check the rules that hold whatever the faults were.

    `seed` draws what clients do.
    """
    shop, started_with = open_shop(system)
    before = {order.id for order in system.watcher.orders()}
    recorder = workload.Recorder(tmp_path / "history.jsonl")

    async def scenario() -> None:
        stop = asyncio.Event()
        customers = CUSTOMERS[: clients - 1]
        # Faults come when all are at work: hashing eight passwords takes a busy machine a while.
        async with (
            workload.logged_in(system.address, customers, KEEPER, shop, recorder, seed) as workers,
            asyncio.TaskGroup() as group,
        ):
            for worker in workers:
                group.create_task(worker.run(stop, keeper=worker is workers[-1]))
            await asyncio.sleep(WORK_SECONDS)
            try:
                await faults()
                await asyncio.sleep(WORK_SECONDS)
            finally:
                stop.set()

    try:
        asyncio.run(scenario())
    finally:
        recorder.close()
    tally = recorder.tally
    assert not tally.unresolved
    assert tally.acknowledged > 0, "nothing was acknowledged"
    assert tally.reads > 0, "nothing was read"
    verdict.check_orders(system.watcher, tally, before)
    verdict.check_stock(system.watcher, recorder.path, started_with)
    system.wait_until_whole()
    verdict.check_hashes(system.watcher)
    result = check_file(recorder.path, started_with)
    assert result.ok, result.explanation
    report(tally)
    return tally


def report(tally: workload.Tally) -> None:
    """Print what the clients saw; `pytest -s` shows it."""
    counts = {
        "acknowledged": tally.acknowledged,
        "refused": tally.refused,
        "reads": tally.reads,
        "unknown": len(tally.unknown),
        "slowest_ms": tally.slowest_ns // 10**6,
    }
    sys.stdout.write(json.dumps(counts) + "\n")


def silence_seconds(history: Path) -> float:
    """Return the longest time between two acknowledged mutations of a run."""
    lines = (json.loads(line) for line in history.read_text().splitlines())
    times = sorted(
        line["return_ns"] for line in lines if line["ok"] is True and line["kind"] != "get"
    )
    pairs = itertools.pairwise(times)
    return max((later - earlier for earlier, later in pairs), default=0) / 1e9
