"""Run seeds, and say how to repeat a failed seed: `python -m rafttest --seeds N --first S`."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from raft import ProtocolViolation

from rafttest.properties import PropertyViolation
from rafttest.world import run

PROGRESS_SECONDS = 5.0
CHUNK_SEEDS = 8  # handed to a core at once


@dataclass(frozen=True, slots=True)
class SeedResult:
    """The result of one seed."""

    seed: int
    events: int
    entries: int  # committed
    violation: str  # empty if every property held


def run_one(seed: int) -> SeedResult:
    """Run a seed, and catch a violation."""
    try:
        properties = run(seed).properties
    except (ProtocolViolation, PropertyViolation) as error:
        return SeedResult(seed, 0, 0, "".join(traceback.format_exception(error)[-4:]))
    return SeedResult(seed, properties.events, properties.commit_index, "")


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def results(seeds: Sequence[int], jobs: int) -> Iterator[SeedResult]:
    """Run seeds on `jobs` cores, and yield the results."""
    if jobs == 1:
        yield from map(run_one, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run_one, seeds, chunksize=CHUNK_SEEDS)


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds; return 0 if every property held, else 1."""
    parser = argparse.ArgumentParser(prog="rafttest", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="on how many cores")
    options = parser.parse_args(arguments)
    began = told = time.monotonic()
    done = failed = entries = events = 0
    for result in results(range(options.first, options.first + options.seeds), options.jobs):
        done += 1
        entries += result.entries
        events += result.events
        if result.violation:
            failed += 1
            say(f"seed {result.seed}: {result.violation}")
            say(f"run it again with: make sim-core SEED={result.seed}")
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            say(f"{done} of {options.seeds} seeds, {failed} failed")
    seconds = time.monotonic() - began
    say(
        f"{done} of {options.seeds} seeds in {seconds:.0f} s on {options.jobs} cores: "
        f"{done / seconds:.1f} seeds/s, {events // done} events and {entries // done} entries a "
        f"seed; {failed} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
