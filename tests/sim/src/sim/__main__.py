"""Runs seeds on every core, and says what they came to.

The exit status is 1 when a seed failed, or when in many of them something never happened.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from sim.coverage import Coverage, names
from sim.faults import SimFault
from sim.run import SimResult, run_seed
from sim.seeds import PROGRESS_SECONDS, results
from sim.shrink import shrink

COVERED_SEEDS = 200  # in so many seeds everything happens


def say(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def shortened(result: SimResult) -> tuple[SimFault, ...]:
    """Return the fewest faults of a seed that failed with which it still fails in that way."""

    def fails(faults: Sequence[SimFault]) -> bool:
        return run_seed(result.seed, faults=faults).kind == result.kind

    return shrink(result.plan.faults, fails)


def line(result: SimResult) -> str:
    """Return what a run came to, as one line."""
    return (
        f"seed {result.seed}: {result.digest} after {result.events} events, {result.entries} "
        f"entries in {result.terms} terms, {result.operations} operations, {result.reads} reads, "
        f"{len(result.plan.faults)} faults"
    )


def tell_failure(result: SimResult) -> None:
    """Say what failed, and with which faults."""
    say(f"seed {result.seed} FAILED: {result.violation}")
    say(f"seed {result.seed}: looking for the fewest faults with which it fails")
    faults = shortened(result)
    say(f"seed {result.seed} still fails with {len(faults)} of {len(result.plan.faults)} faults:")
    for fault in faults:
        say(f"  {fault}")
    say(f"run it again with: make sim SEED={result.seed}")


def many(seeds: Sequence[int], jobs: int) -> bool:
    """Run seeds; tell whether all held."""
    began = told = time.monotonic()
    coverage, events, fewest, failed, done = Coverage(), 0, sys.maxsize, [], 0
    for result in results(seeds, jobs):
        if result is not None:
            done += 1
            events += result.events
            fewest = min(fewest, result.events)
            coverage.update(result.coverage)
            if not result.ok:
                failed.append(result.seed)
                tell_failure(result)
        now = time.monotonic()
        if now - told > PROGRESS_SECONDS:
            told = now
            say(f"{done} of {len(seeds)} seeds, {len(failed)} failed")
    seconds = time.monotonic() - began
    say(
        f"{done} seeds in {seconds:.0f} s on {jobs} cores: {done / seconds:.2f} seeds/s, "
        f"{done / seconds / jobs:.2f} a core, "
        f"{events // max(1, done)} events a seed ({fewest} at least), "
        f"{events / seconds:.0f} events/s; "
        f"{len(failed)} failed{': ' if failed else ''}{' '.join(map(str, sorted(failed)))}"
    )
    for name in names():
        say(f"  {coverage[name]:>9} {name}")
    missing = coverage.missing() if done >= COVERED_SEEDS else []
    if missing:
        say(f"never happened in {done} seeds: {', '.join(missing)}")
    return not failed and not missing


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="on how many cores")
    parser.add_argument("--trace", action="store_true", help="print every event of one seed")
    options = parser.parse_args()
    if options.seeds > 1:
        return 0 if many(range(options.seed, options.seed + options.seeds), options.jobs) else 1
    result = run_seed(options.seed, keep_trace=options.trace)
    if options.trace:
        sys.stdout.writelines(f"{event}\n" for event in result.lines)
    say(line(result))
    if not result.ok:
        tell_failure(result)
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
