"""Eight clients order while members die: nothing is lost, doubled or oversold, and nobody notices.

Real processes, sockets, disks and signals, from the command that users run.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.judging import judge
from chaos.up import Up, kill

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run one cluster for all faults: each test starts from the state that the test before left."""
    with Up(tmp_path_factory.mktemp("chaos") / "data") as running:
        yield running


def test_the_leader_is_killed_five_times(up: Up, tmp_path: Path) -> None:
    """SIGKILL the leader, let it come back, five times: no client sees an error in its 5 s."""

    async def faults() -> None:
        for _ in range(5):
            leader = await asyncio.to_thread(up.leader)
            kill(leader.pid)
            await asyncio.to_thread(up.wait_until_whole, besides={leader.pid})

    tally = judge(up, tmp_path, faults)
    assert tally.unknown == []


@pytest.mark.long
def test_the_leader_is_asked_to_stop_five_times(up: Up, tmp_path: Path) -> None:
    """SIGTERM: the leader hands over before it ends, and no client errs."""

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


@pytest.mark.long
def test_the_leader_is_stopped_for_three_seconds(up: Up, tmp_path: Path) -> None:
    """SIGSTOP: requests move from the open sockets to the new leader, and no client errs."""

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


@pytest.mark.long
def test_a_second_start_finds_the_same_data(up: Up) -> None:
    """A clean stop and a start change nothing that was acknowledged."""
    before = [(item.id, item.quantity) for item in up.watcher.items()]
    orders = [order.id for order in up.watcher.orders()]
    assert up.stop() == 0
    up.start()
    assert [(item.id, item.quantity) for item in up.watcher.items()] == before
    assert [order.id for order in up.watcher.orders()] == orders
