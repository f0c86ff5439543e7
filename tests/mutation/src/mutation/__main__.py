"""Tries the edits of modules; exit status 1 where a survivor of a judged module is unexplained."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch

from mutation.branches import measure
from mutation.ledger import (
    Judged,
    examine,
    judged_by,
    read_equivalents,
    score_of,
    write_scores,
)
from mutation.targets import ROOT, Target, read_targets
from mutation.trials import NOT_RUN, SURVIVED, UNREACHED


def say(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def changed_since(commit: str) -> set[str]:
    """Return the files that differ from a commit, below the root."""
    found = subprocess.run(  # noqa: S603 - our own arguments
        ["git", "diff", "--name-only", commit, "--"],  # noqa: S607 - the git of this machine
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(found.stdout.splitlines())


def chosen(targets: Sequence[Target], module: str, since: str) -> list[Target]:
    """Return the targets that are asked for: by name, by what changed, or those that are judged."""
    if module:
        return [one for one in targets if fnmatch(one.module, module)]
    judged = [one for one in targets if one.is_judged]
    if since:
        changed = changed_since(since)
        return [one for one in judged if one.path.relative_to(ROOT).as_posix() in changed]
    return judged


def show(one: Judged) -> None:
    """Show a survivor as a difference."""
    say(f"  {one.verdict} in {one.function or 'the module'}, line {one.line}:")
    for sign, text in (("-", one.was), ("+", one.now)):
        for line in text.splitlines():
            say(f"    {sign} {line}")


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument(
        "--module", default="", help="a name, or a pattern: inventory_node.machine.*"
    )
    parser.add_argument("--since", default="", help="judged modules that differ from this commit")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="start no trial after these")
    parser.add_argument("--fresh", action="store_true", help="try again what is kept")
    parser.add_argument("--survivors", action="store_true", help="keep what other tests killed")
    parser.add_argument("--scores", action="store_true", help="write the table of docs/testing.md")
    parser.add_argument("--branches", action="store_true", help="measure branches, change nothing")
    options = parser.parse_args()
    targets = chosen(read_targets(), options.module, options.since)
    if options.branches:
        return measure(targets)
    deadline = time.monotonic() + 60 * options.minutes
    scores, unexplained = [], 0
    for target in targets:
        began = time.monotonic()
        results = examine(target, deadline, is_fresh=options.fresh, keeps_killed=options.survivors)
        if all(one.verdict != NOT_RUN for one in results):
            try:
                results = judged_by(read_equivalents(target.module), results)
            except ValueError as error:
                parser.exit(1, f"mutation: {target.module}: {error}\n")
        survivors = [one for one in results if one.verdict in {SURVIVED, UNREACHED}]
        for one in survivors:
            show(one)
        score = score_of(target.module, results)
        say(
            f"{target.module}: {score.killed} killed, {score.survived} survived,"
            f" {score.equivalent} equivalent, {score.not_run} not run, {score.percent},"
            f" {time.monotonic() - began:.1f} s"
        )
        scores.append(score)
        unexplained += len(survivors) if target.is_judged and not score.not_run else 0
    if options.scores:
        write_scores([score for score in scores if not score.not_run])
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
