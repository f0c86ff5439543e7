"""Replays the run that catches each mutant, or searches for a run; exit status 1 on an escape."""

import argparse
import sys
import time

from mutants import MUTANTS, Mutant
from mutants.catching import holds


def say(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def replay(mutant: Mutant) -> bool:
    """Run the catch of a mutant; return whether it finds the mutant, and nothing without it."""
    began = time.monotonic()
    found = mutant.replay() if holds(mutant.catch) else ""
    seconds = time.monotonic() - began
    verdict = f"caught by {mutant.catch}: {found}" if found else f"ESCAPES {mutant.catch}"
    say(f"{mutant.room}: {mutant.name}: {seconds:.1f} s, {verdict}")
    return bool(found)


def search(mutant: Mutant) -> bool:
    """Search for a run that catches a mutant; return whether there is one."""
    began = time.monotonic()
    result = mutant.search()
    seconds = time.monotonic() - began
    if result is None:
        say(f"{mutant.room}: {mutant.name}: ESCAPES, {seconds:.1f} s")
        return False
    catch, runs, found = result
    say(f"{mutant.room}: {mutant.name}: {seconds:.1f} s, run {runs}, {catch}: {found}")
    return True


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("--search", action="store_true", help="from the first seed on")
    parser.add_argument("--only", default="", help="mutants whose room and name contain this")
    options = parser.parse_args()
    chosen = [one for one in MUTANTS if options.only in f"{one.room}: {one.name}"]
    began = time.monotonic()
    try_one = search if options.search else replay
    escaped = [mutant.name for mutant in chosen if not try_one(mutant)]
    seconds = time.monotonic() - began
    say(
        f"{len(chosen)} mutants in {seconds:.0f} s, {len(escaped)} escaped"
        f"{': ' if escaped else ''}{', '.join(escaped)}"
    )
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
