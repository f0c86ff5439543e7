"""Eight clients order while members die: nothing is lost, doubled or oversold, and nobody notices.

Real processes, sockets, disks and signals, from the command that users run.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from chaos import verdict, workload
from chaos.up import Up, kill
from inventory_client import Inventory, Money
from linearizability import check_file

CUSTOMERS = [("Gayathri", "password1"), ("Sushma", "password3")] * 4
KEEPER = ("Sarthak", "password2")
WORK_SECONDS = 1.5
PLENTY = 10**6
SCARCE = 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One cluster for all faults: each run starts from what the one before left."""
    with Up(tmp_path_factory.mktemp("chaos") / "data") as running:
        yield running


def open_shop(up: Up) -> tuple[workload.Shop, dict[int, int]]:
    """Add the items of a run; return them and what they start with."""
    with Inventory(up.address) as keeper:
        keeper.login(*KEEPER)
        counts = (PLENTY, SCARCE, PLENTY, PLENTY)
        items = [
            keeper.add_item(f"Thing {number}", "", Money("USD", 250), count).id
            for number, count in enumerate(counts)
        ]
    shop = workload.Shop(items[0], items[1], (items[2], items[3]))
    return shop, dict(zip(items, counts, strict=True))


def judge(up: Up, tmp_path: Path, faults: Callable[[], Awaitable[None]]) -> workload.Tally:
    """Run the workload through `faults`; check everything that holds whatever the faults were."""
    shop, started_with = open_shop(up)
    before = {order.id for order in up.watcher.orders()}
    recorder = workload.Recorder(tmp_path / "history.jsonl")

    async def scenario() -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(workload.run(up.address, CUSTOMERS[:7], KEEPER, shop, recorder, stop))
            await asyncio.sleep(WORK_SECONDS)
            try:
                await faults()
                await asyncio.sleep(WORK_SECONDS)
            finally:
                stop.set()

    asyncio.run(scenario())
    recorder.close()
    tally = recorder.tally
    assert not tally.unresolved
    verdict.check_orders(up.watcher, tally, before)
    verdict.check_stock(up.watcher, recorder.path, started_with)
    up.wait_until_whole()
    verdict.check_hashes(up)
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


def test_the_leader_is_killed_five_times(up: Up, tmp_path: Path) -> None:
    """SIGKILL the leader, let it come back, five times: no client sees an error in its 5 s."""

    async def faults() -> None:
        for _ in range(5):
            leader = await asyncio.to_thread(up.leader)
            kill(leader.pid)
            await asyncio.to_thread(up.wait_until_whole, besides={leader.pid})

    tally = judge(up, tmp_path, faults)
    assert tally.unknown == []


def test_the_leader_is_asked_to_stop_five_times(up: Up, tmp_path: Path) -> None:
    """SIGTERM: it hands over first, so that another leads before it is gone; no client errs."""

    async def faults() -> None:
        for _ in range(5):
            leader = await asyncio.to_thread(up.leader)
            os.kill(leader.pid, signal.SIGTERM)
            await asyncio.to_thread(up.wait_until_whole, besides={leader.pid})

    tally = judge(up, tmp_path, faults)
    assert tally.unknown == []


def test_all_three_are_killed_at_once(up: Up, tmp_path: Path) -> None:
    """SIGKILL every member: errors are allowed while nobody is there, losses are not."""

    async def faults() -> None:
        pids = {member.pid for member in await asyncio.to_thread(up.members)}
        assert len(pids) == 3
        for pid in pids:
            kill(pid)
        await asyncio.to_thread(up.wait_until_whole, besides=pids)

    judge(up, tmp_path, faults)


def test_the_leader_is_stopped_for_three_seconds(up: Up, tmp_path: Path) -> None:
    """SIGSTOP: its sockets still accept, yet requests move to the new leader; no client errs."""

    async def faults() -> None:
        leader = await asyncio.to_thread(up.leader)
        os.kill(leader.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(3)
        finally:
            os.kill(leader.pid, signal.SIGCONT)
        await asyncio.to_thread(up.wait_until_whole)

    tally = judge(up, tmp_path, faults)
    assert tally.unknown == []


def test_a_second_start_finds_the_same_data(up: Up) -> None:
    """Stopping cleanly and starting again changes nothing that was acknowledged."""
    before = [(item.id, item.quantity) for item in up.watcher.items()]
    orders = [order.id for order in up.watcher.orders()]
    assert up.stop() == 0
    up.start()
    assert [(item.id, item.quantity) for item in up.watcher.items()] == before
    assert [order.id for order in up.watcher.orders()] == orders
