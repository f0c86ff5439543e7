"""Judges a file: `python -m linearizability HISTORY ITEM=LEVEL…`; exit status 1 when it is not."""

import sys
from pathlib import Path

from linearizability.checker import check_file


def main(arguments: list[str]) -> int:
    """Print the verdict."""
    path, *levels = arguments
    initial = {int(item): int(level) for item, _, level in (text.partition("=") for text in levels)}
    verdict = check_file(Path(path), initial)
    word = "linearizable" if verdict.ok else "NOT linearizable"
    sys.stdout.write(f"{word}: {verdict.operations} operations, {verdict.partitions} partitions\n")
    sys.stdout.write(f"{verdict.explanation}\n" if verdict.explanation else "")
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
