"""Whole runs: the same seed gives the same trace, and nothing acknowledged is lost or doubled."""

import os
import subprocess
import sys

import pytest
from sim import FaultKind, SimFault, SimResult, run_seed
from sim.coverage import Coverage
from sim.world import EVENTS_MIN

CRASH_AND_PARTITION = (
    SimFault(at_us=1_500_000, lasts_us=900_000, kind=FaultKind.POWER, member=0),
    SimFault(at_us=3_500_000, lasts_us=1_500_000, kind=FaultKind.ISOLATE, member=0),
)
SLOW_DISKS = tuple(  # each of these makes them forty times slower
    SimFault(at_us, lasts_us=1_500_000, kind=FaultKind.SLOW_DISK, member=member, draw=draw)
    for at_us, draw in ((3_000_000, 5), (3_100_000, 6), (3_200_000, 10))
    for member in (1, 2, 3)
)
SEEDS = range(200, 240)  # in them everything happens that a run counts
FEW_SEEDS = range(160, 166)


@pytest.fixture(scope="module")
def results() -> list[SimResult]:
    """Run the seeds once for all tests that look at results."""
    return [run_seed(seed) for seed in SEEDS]


@pytest.mark.slow
@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_a_seed_holds(seed: int) -> None:
    """A few, each by itself."""
    result = run_seed(seed)
    assert result.ok, result.violation


@pytest.mark.slow
@pytest.mark.long
def test_nothing_is_lost_doubled_or_oversold(results: list[SimResult]) -> None:
    """All of the faults, drawn from the seed, several at a time; a run checks itself."""
    assert [(result.seed, result.violation) for result in results if not result.ok] == []


@pytest.mark.slow
@pytest.mark.long
def test_everything_happens_sooner_or_later(results: list[SimResult]) -> None:
    """A fault that never comes, or never has an effect, tests nothing."""
    coverage = Coverage()
    for result in results:
        coverage.update(result.coverage)
    assert coverage.missing() == []


@pytest.mark.slow
def test_a_crash_and_a_partition_run_twice_to_the_same_trace() -> None:
    """The leader loses power and unsynced data; then the next leader is cut off."""
    first = run_seed(7, faults=CRASH_AND_PARTITION, keep_trace=True)
    second = run_seed(7, faults=CRASH_AND_PARTITION, keep_trace=True)
    assert first == second
    assert first.ok
    assert first.terms >= 3
    assert first.operations > 50
    assert first.coverage["requests tried again"]
    assert first.reads > 10
    assert len(first.lines) > first.events >= EVENTS_MIN


@pytest.mark.slow
def test_disks_that_several_faults_slow_are_well_when_those_are_over() -> None:
    """An operation that began during the faults does not take much longer than the faults."""
    result = run_seed(85, faults=SLOW_DISKS)
    assert result.ok, result.violation


@pytest.mark.slow
def test_another_seed_is_another_run() -> None:
    """The digest is of the trace, and the trace is of the seed."""
    first = run_seed(7, faults=CRASH_AND_PARTITION)
    assert first.digest != run_seed(8, faults=CRASH_AND_PARTITION).digest


@pytest.mark.slow
def test_the_trace_does_not_depend_on_the_hash_seed() -> None:
    """A process with another hash seed prints the same digest."""
    here = run_seed(3)
    for hash_seed in ("1", "4242"):
        printed = subprocess.run(
            [sys.executable, "-m", "sim", "--seed", "3"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"seed 3: {here.digest} after {here.events} events" in printed
