"""Judges a file: `python -m linearizability HISTORY ITEM=LEVEL…`; exit status 1 when it is not.

Exit status 2 when the search gave up, and nothing is proven.
"""

import sys
from pathlib import Path

from linearizability.checker import check_file


def main(arguments: list[str]) -> int:
    """Print the verdict."""
    path, *levels = arguments
    initial = {int(item): int(level) for item, _, level in (text.partition("=") for text in levels)}
    verdict = check_file(Path(path), initial)
    word, status = "NOT linearizable", 1
    if verdict.ok:
        word, status = "linearizable", 0
    elif verdict.gave_up:
        word, status = "NOT PROVEN", 2
    sys.stdout.write(f"{word}: {verdict.operations} operations, {verdict.partitions} partitions\n")
    sys.stdout.write(f"{verdict.explanation}\n" if verdict.explanation else "")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
