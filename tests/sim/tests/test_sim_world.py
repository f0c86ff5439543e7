"""Whole runs: the same seed gives the same trace, and nothing acknowledged is lost or doubled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sim.faults import Fault, FaultKind
from sim.world import Summary, World

CRASH_AND_PARTITION = (
    Fault(at_us=1_500_000, lasts_us=900_000, kind=FaultKind.POWER, member=0),
    Fault(at_us=3_500_000, lasts_us=1_500_000, kind=FaultKind.ISOLATE, member=0),
)


def run(seed: int, folder: Path, faults: tuple[Fault, ...] | None = None) -> Summary:
    """Run a seed, with these faults instead of its own where they are given."""
    world = World(seed, folder, faults=faults)
    try:
        return world.run()
    finally:
        world.close()


@pytest.mark.slow
def test_a_crash_and_a_partition_run_twice_to_the_same_trace(tmp_path: Path) -> None:
    """The leader loses power, and with it what was not synced; then the next one is cut off."""
    first = run(7, tmp_path / "first", CRASH_AND_PARTITION)
    second = run(7, tmp_path / "second", CRASH_AND_PARTITION)
    assert first == second
    assert first.terms >= 3
    assert first.orders > 50
    assert first.attempts > first.operations  # some had to be asked for again
    assert first.reads > 10


@pytest.mark.slow
def test_another_seed_is_another_run(tmp_path: Path) -> None:
    """The digest is of the trace, and the trace is of the seed."""
    first = run(7, tmp_path / "first", CRASH_AND_PARTITION)
    assert first.digest != run(8, tmp_path / "second", CRASH_AND_PARTITION).digest


@pytest.mark.slow
def test_the_trace_does_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    """Another process, with other hashes of strings, prints the digest of this one."""
    here = run(3, tmp_path)
    for hash_seed in ("1", "4242"):
        printed = subprocess.run(
            [sys.executable, "-m", "sim", "--seed", "3"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"seed 3: {here.digest} after {here.events} events" in printed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
def test_nothing_is_lost_doubled_or_oversold(seed: int, tmp_path: Path) -> None:
    """Crashes, pauses, partitions and clock jumps, drawn from the seed; `World.run` checks it."""
    summary = run(seed, tmp_path)
    assert summary.orders
