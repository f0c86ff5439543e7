"""Simulated disks, links and plans behave as the real ones do."""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest
from inventory_node.ports import (
    CreateFile,
    DiskOperation,
    RemoveFile,
    RenameFile,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from sim.disk import SimDisk
from sim.faults import DISK_LOSSES, FaultKind, draw_plan
from sim.host import RELAPSE_OPERATIONS_MAX, Troubles
from sim.network import End, NetworkConditions, SimLink, SimNetwork
from sim.shrink import shrink
from sim.timeline import Timeline
from sim.trace import Trace

CALM = NetworkConditions(lost_per_mille=0, doubled_per_mille=0)


def drained(*operations: DiskOperation) -> SimDisk:
    """Return a disk on which these operations were done."""
    disk = SimDisk(lambda _: None)
    disk.submit(operations, 1)
    disk.drain()
    return disk


def contents_after_crashes(make: Callable[[], SimDisk]) -> Iterator[dict[str, bytes]]:
    """Yield the content of a disk after each of many different crashes."""
    for seed in range(40):
        disk = make()
        disk.crash(Random(seed))
        yield {name: disk.read(name) for name in disk.names()}


def test_a_crash_keeps_what_was_synced() -> None:
    """File and folder both."""

    def disk() -> SimDisk:
        return drained(CreateFile("a", 1024), WriteAt("a", 0, b"x"), SyncFile("a"), SyncFolder())

    assert all(files["a"][:1] == b"x" for files in contents_after_crashes(disk))


def test_a_crash_keeps_any_subset_of_unsynced_sectors() -> None:
    """Each of four, in every combination, sooner or later."""

    def disk() -> SimDisk:
        return drained(CreateFile("a", 1024), SyncFolder(), WriteAt("a", 0, b"x" * 1024))

    seen = {(f["a"][:1], f["a"][512:513]) for f in contents_after_crashes(disk)}
    assert seen == {(b"x", b"x"), (b"x", b"\0"), (b"\0", b"x"), (b"\0", b"\0")}


def test_a_crash_keeps_the_first_few_changes_of_an_unsynced_folder() -> None:
    """A renamed file has its old name, has its new name, or is gone."""

    def disk() -> SimDisk:
        return drained(CreateFile("a", 512), RenameFile("a", "b"), RemoveFile("b"))

    assert {tuple(files) for files in contents_after_crashes(disk)} == {(), ("a",), ("b",)}


def test_a_killed_process_leaves_what_it_wrote_in_the_page_cache() -> None:
    """A power failure after the kill can still take the written bytes."""
    disk = drained(CreateFile("a", 512), SyncFolder(), WriteAt("a", 0, b"x"))
    disk.kill()
    assert disk.read("a")[:1] == b"x"


def test_a_file_is_created_once() -> None:
    """A second creation of the same file fails, as with O_EXCL."""
    disk = drained(CreateFile("a", 512))
    disk.submit([CreateFile("a", 512)], 2)
    with pytest.raises(FileExistsError):
        disk.drain()


def test_actions_of_one_time_run_as_they_were_given() -> None:
    """Ties never depend on chance."""
    timeline = Timeline()
    ran: list[int] = []
    for number in range(5):
        timeline.after(10, partial(ran.append, number))
    timeline.after(5, lambda: ran.append(-1))
    timeline.run_until(10)
    assert ran == [-1, 0, 1, 2, 3, 4]
    assert timeline.now_us == 10


def linked() -> tuple[Timeline, SimNetwork, SimLink, list[str]]:
    """Return a link, and a list of what happens at the link's ends."""
    timeline = Timeline()
    network = SimNetwork(timeline, Random(1), conditions=CALM)
    seen: list[str] = []
    client = End("client", lambda: seen.append("client closed"))
    server = End("server", lambda: seen.append("server closed"))
    return timeline, network, SimLink(network, timeline, client, server), seen


def test_a_link_keeps_order() -> None:
    """Messages have different delays and arrive in the order in which they were sent."""
    timeline, _, link, seen = linked()
    for number in range(20):
        link.to_server(partial(seen.append, str(number)))
    timeline.run_until(1_000_000)
    assert seen == [str(number) for number in range(20)]


def test_a_link_breaks_when_a_partition_swallows_something() -> None:
    """Each end notices the break once, and nothing arrives after the break."""
    timeline, network, link, seen = linked()
    network.cut(["client"], ["server"])
    link.to_server(lambda: seen.append("arrived"))
    timeline.run_until(2_000_000)
    assert sorted(seen) == ["client closed", "server closed"]
    network.heal()
    link.to_server(lambda: seen.append("arrived"))
    timeline.run_until(3_000_000)
    assert sorted(seen) == ["client closed", "server closed"]


def test_datagrams_are_lost_and_doubled() -> None:
    """About as often as the weather says."""
    timeline = Timeline()
    conditions = NetworkConditions(lost_per_mille=100, doubled_per_mille=100)
    network = SimNetwork(timeline, Random(1), conditions=conditions)
    arrived: list[int] = []
    for number in range(1000):
        network.send("a", "b", partial(arrived.append, number))
    timeline.run_until(1_000_000)
    assert 850 < len(set(arrived)) < 950
    assert 50 < len(arrived) - len(set(arrived)) < 150


def test_cuts_and_storms_add_up() -> None:
    """Each ends by itself."""
    network = SimNetwork(Timeline(), Random(1), conditions=CALM)
    cuts = [network.cut(["a"], ["b", "c"]), network.cut(["a"], ["b"])]
    network.mend(cuts[0])
    assert not network.passes("a", "b")
    assert network.passes("a", "c")
    network.mend(cuts[1])
    assert network.passes("a", "b")
    storm = NetworkConditions(lost_per_mille=7)
    network.storm(storm)
    network.storm(NetworkConditions(doubled_per_mille=8))
    assert (network.conditions.lost_per_mille, network.conditions.doubled_per_mille) == (7, 8)
    network.calm(storm)
    assert network.conditions.lost_per_mille == NetworkConditions().lost_per_mille


def test_plans_leave_a_majority_of_disks_intact() -> None:
    """Only frail members lose their disks, and they are fewer than half."""
    plans = [draw_plan(seed) for seed in range(200)]
    for plan in plans:
        assert 2 * len(plan.frail) < plan.founders
        for fault in plan.faults:
            assert fault.kind not in DISK_LOSSES or fault.member in plan.frail
    assert {fault.kind for plan in plans for fault in plan.faults} == set(FaultKind)


def test_some_faults_outlast_the_run() -> None:
    """Recovery begins while faults last; in half of the seeds all faults end before."""
    plans = [draw_plan(seed) for seed in range(200)]
    lasting = [
        plan
        for plan in plans
        if any(fault.at_us + fault.lasts_us > plan.duration_us for fault in plan.faults)
    ]
    on_and_on = [plan for plan in plans if plan.faults[-1].at_us > plan.duration_us]
    assert len(lasting) > 180
    assert 60 < len(on_and_on) < 140


def test_healing_some_leaves_the_others_cut_off() -> None:
    """Healed members reach each other, and do not reach the other members."""
    timeline = Timeline()
    network = SimNetwork(timeline, Random(1))
    names = ["a", "b", "c", "d"]
    for name in names:
        network.cut([name], names)
    network.heal_among({"a", "b"})
    assert [(x, y) for x in names for y in names if x != y and network.passes(x, y)] == [
        ("a", "b"),
        ("b", "a"),
    ]


def test_a_trap_stays_over_restarts_until_the_machine_is_healed() -> None:
    """The power goes again after as many starts as were drawn."""
    troubles = Troubles(relapses=2)
    for _ in range(2):
        troubles.relapse(Random(1))
        assert any(troubles.count_operation() for _ in range(RELAPSE_OPERATIONS_MAX))
    troubles.relapse(Random(1))
    assert not any(troubles.count_operation() for _ in range(RELAPSE_OPERATIONS_MAX))
    healed = Troubles(relapses=1, crash_after=1, disk_factor=3, disk_hangs=1, log_flipped=True)
    healed.heal()
    assert healed == Troubles(log_flipped=True)


def test_shrinking_keeps_what_is_needed() -> None:
    """And nothing else."""
    assert shrink(range(40), lambda kept: {3, 17, 31} <= set(kept)) == (3, 17, 31)
    assert shrink(range(40), lambda _: True) == ()


def test_a_failed_sync_leaves_pages_that_count_as_clean() -> None:
    """Reads show the pages until the power goes; a later sync does not write the pages."""
    failed: list[int] = []
    disk = SimDisk(lambda _: None, failed=failed.append)
    disk.submit([CreateFile("a", 512), SyncFolder(), WriteAt("a", 0, b"x")], 1)
    disk.drain()
    disk.is_failing = True
    disk.submit([SyncFile("a")], 2)
    disk.drain()
    disk.submit([SyncFile("a")], 3)
    disk.drain()
    assert failed == [2]
    assert disk.read("a")[:1] == b"x"
    disk.crash(Random(1))
    assert disk.read("a")[:1] == b"\0"


def test_a_flipped_bit_is_durable() -> None:
    """The flipped bit differs after a crash, too."""
    disk = drained(CreateFile("a", 512), SyncFolder(), WriteAt("a", 0, b"xy"), SyncFile("a"))
    assert disk.flip(Random(1))
    disk.crash(Random(1))
    found = int.from_bytes(disk.read("a")[:2]) ^ int.from_bytes(b"xy")
    assert found.bit_count() == 1


def test_the_digest_is_of_every_line() -> None:
    """Lines that the trace does not keep change the digest, too."""
    traces = [Trace(keep=1), Trace(keep=1), Trace(keep=1)]
    for trace, first in zip(traces, "aab", strict=True):
        trace.note(1, "x", first)
        trace.note(2, "x", "same")
    assert traces[0].digest == traces[1].digest != traces[2].digest
    assert list(traces[0].lines) == list(traces[2].lines)
