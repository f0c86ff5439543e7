"""Runs seeds and prints what they came to; the exit status is 1 when one failed."""

import argparse
import sys
import tempfile
from pathlib import Path

from sim.checks import SafetyViolation
from sim.world import Summary, World


def line(summary: Summary) -> str:
    """Return what a run came to, as one line."""
    faults = " ".join(fault.kind.value for fault in summary.faults)
    return (
        f"seed {summary.seed}: {summary.digest} after {summary.events} events, "
        f"{summary.entries} entries in {summary.terms} terms, {summary.orders} orders, "
        f"{summary.operations} operations in {summary.attempts} attempts, {summary.reads} reads, "
        f"{summary.snapshots} snapshots; faults: {faults or 'none'}"
    )


def run(seed: int, *, trace: bool) -> bool:
    """Run one seed; tell whether it went well."""
    with tempfile.TemporaryDirectory(prefix="sim-") as folder:
        world = World(seed, Path(folder), keep_trace=trace)
        try:
            summary = world.run()
        except SafetyViolation as violation:
            sys.stdout.write(f"seed {seed}: FAILED: {violation}\n")
            sys.stdout.writelines(f"  {fault}\n" for fault in world.faults)
            return False
        finally:
            if trace:
                sys.stdout.writelines(f"{event}\n" for event in world.trace.lines)
            world.close()
    sys.stdout.write(f"{line(summary)}\n")
    return True


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--trace", action="store_true", help="print every event")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    results = [run(seed, trace=arguments.trace) for seed in seeds]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
