"""Members that die at each step of a write, under load: nothing is lost, doubled or oversold.

SIGKILL lets the page cache live, so these tests show the order of steps and what a start makes of
half of them; what a disk loses is for the simulator.
"""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos.cluster import ProcessCluster
from chaos.judging import judge
from inventory_node.runtime.failpoints import POINTS

pytestmark = pytest.mark.slow
NAMES = ("node-0", "node-1", "node-2")
TAIL_ENTRIES = 32
REACH_SECONDS = 20  # then it is arranged again
REACH_SECONDS_MAX = 60
ATTEMPTS = 5
CLIENTS = 3
POLL_SECONDS = 0.1
SLEEP_MS = 3


@dataclass(frozen=True, slots=True)
class Death:
    """Where a member dies: the point, the number of passes before, and whether the member leads."""

    point: str
    passes: int = 0
    leads: bool = False

    def setting(self, attempt: int = 0) -> str:
        """Return the failpoint that kills the member, after more passes with every attempt."""
        return f"{self.point}={self.passes << attempt}*off->kill"


GROUPS: dict[str, Sequence[Death]] = {
    "log": (
        Death("before-wal-write", 20),
        Death("after-wal-write", 100, leads=True),
        Death("before-wal-sync", 100, leads=True),
        Death("after-wal-sync", 20),
        Death("before-segment-creation"),
        Death("after-segment-creation"),
        Death("before-segment-removal"),
        Death("after-segment-removal"),
    ),
    "network and state": (
        Death("before-send", 100, leads=True),
        Death("after-send", 20),
        Death("after-send", 100, leads=True),
        Death("before-apply", 20),
        Death("after-apply", 100, leads=True),
        Death("before-flush"),
        Death("after-flush"),
        Death("before-checkpoint"),
        Death("after-checkpoint"),
    ),
    "snapshots": (
        Death("before-snapshot-save", leads=True),
        Death("after-snapshot-save", leads=True),
        Death("before-snapshot-chunk"),
        Death("after-snapshot-chunk"),
        Death("before-snapshot-install"),
        Death("after-snapshot-install"),
    ),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessCluster]:
    """Run one cluster for all tests: small segments and a short tail, so that both go often."""
    with ProcessCluster(
        tmp_path_factory.mktemp("failpoints") / "data",
        INVENTORY_RAFT_SEGMENT_BYTES=str(32 << 10),
        INVENTORY_RAFT_TAIL_ENTRIES=str(TAIL_ENTRIES),
    ) as running:
        yield running


def die(cluster: ProcessCluster, name: str, death: Death) -> None:
    """Let a member that does not run die where it is meant to; it is not started again.

    On a busy machine the lead may move before the point is reached, and somebody else sends the
    snapshot: then all of it is arranged again.
    """
    for _ in range(ATTEMPTS):
        arrange(cluster, name, death)
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert cluster.wait_until_dead(name, REACH_SECONDS) == -signal.SIGKILL, name
            break
        cluster.kill(name)
    assert f'"{death.point}"' in cluster.last_words(name)


def arrange(cluster: ProcessCluster, name: str, death: Death) -> None:
    """Start a member that is to die, and make the member pass the point."""
    if "snapshot" in death.point and not death.leads:
        # The stream of the death before would go on, and what it brings may be installed by then.
        cluster.start(name)
        cluster.wait_until_whole()
        leave_behind(cluster, name)
    cluster.start(name, death.setting())
    if death.leads:
        lead(cluster, name, death)
    if death.point.endswith("snapshot-save"):
        behind = next(other for other in NAMES if other != name)
        leave_behind(cluster, behind)
        cluster.start(behind)
    if death.point.endswith("checkpoint"):
        cluster.wait_until_whole()  # a snapshot would take the entry's place
        cluster.watcher.checkpoint()


def leave_behind(cluster: ProcessCluster, name: str) -> None:
    """Kill a member, and let the other members go on until their logs begin above its log."""
    goal = cluster.leader().applied + 2 * TAIL_ENTRIES
    cluster.kill(name)
    deadline = time.monotonic() + REACH_SECONDS_MAX
    while not any(one.role == "leader" and one.durable >= goal for one in cluster.members()):
        assert time.monotonic() < deadline, cluster.words()
        time.sleep(POLL_SECONDS)


def lead(cluster: ProcessCluster, name: str, death: Death) -> None:
    """Let a member that was just started lead; on a busy machine the member may die before."""
    for attempt in range(1, ATTEMPTS):
        if cluster.lead(name):
            return
        cluster.wait_until_dead(name)
        cluster.start(name, death.setting(attempt))
    assert cluster.lead(name)


@pytest.mark.parametrize(
    "group",
    ["log", *(pytest.param(group, marks=pytest.mark.long) for group in GROUPS if group != "log")],
)
def test_a_member_dies_at_each_step_of_a_write(
    cluster: ProcessCluster, tmp_path: Path, group: str
) -> None:
    """Each start finds what the death before left, and the member dies at the next step."""
    name = NAMES[list(GROUPS).index(group)]

    async def faults() -> None:
        await asyncio.to_thread(cluster.stop, name)
        for death in GROUPS[group]:
            await asyncio.to_thread(die, cluster, name, death)
        await asyncio.to_thread(cluster.start, name)
        await asyncio.to_thread(cluster.wait_until_whole)

    judge(cluster, tmp_path, faults, CLIENTS)


def test_every_failpoint_is_one_of_them() -> None:
    """None is left out."""
    assert {death.point for deaths in GROUPS.values() for death in deaths} == set(POINTS)


@pytest.mark.parametrize(
    "setting",
    [
        "before-wal-sync=sleep(8);after-send=sleep(3);before-flush=sleep(40)",
        ";".join(f"{point}=sleep({SLEEP_MS})" for point in POINTS),
    ],
    ids=["long at some", "shortly at each"],
)
@pytest.mark.long
def test_members_that_wait_at_every_step_are_slow_and_right(
    cluster: ProcessCluster, tmp_path: Path, setting: str
) -> None:
    """Some milliseconds at each step, on all three at once: no client errs.

    Where those of snapshots are among them, one is sent to a follower that was left behind, and the
    state is hashed.
    """

    def behind() -> None:
        leader = cluster.leader().name
        name = next(one for one in NAMES if one != leader)
        leave_behind(cluster, name)
        cluster.start(name, setting)
        cluster.wait_until_whole()
        cluster.watcher.checkpoint()

    async def faults() -> None:
        for name in NAMES:
            await asyncio.to_thread(cluster.stop, name)
            await asyncio.to_thread(cluster.start, name, setting)
            await asyncio.to_thread(cluster.wait_until_whole)
        if "snapshot" in setting:
            await asyncio.to_thread(behind)

    tally = judge(cluster, tmp_path, faults, CLIENTS)
    assert tally.unknown == []
