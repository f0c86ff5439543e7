"""Run seeds and say how to run a failing one again: `python -m rafttest --seeds N --first S`."""

import argparse
import sys
import traceback

from raft import InvariantViolation

from rafttest.properties import PropertyViolation
from rafttest.world import run

PROGRESS_SEEDS = 50


def say(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds; return 0 when all hold, 1 when one does not."""
    parser = argparse.ArgumentParser(prog="rafttest", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    options = parser.parse_args(arguments)
    failed = entries = 0
    for count, seed in enumerate(range(options.first, options.first + options.seeds), 1):
        try:
            entries += run(seed).properties.commit_index
        except (InvariantViolation, PropertyViolation) as error:
            failed += 1
            traceback.print_exc(limit=-4)
            say(f"seed {seed}: {error}\nrun it again with: make sim-core SEED={seed}")
        if count % PROGRESS_SEEDS == 0 or count == options.seeds:
            say(f"{count} of {options.seeds} seeds, {entries} entries, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
