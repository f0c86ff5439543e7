"""What no test takes: how it is found in a report of coverage.py, and what is excepted."""

import tomllib

from mutation.branches import END, Untaken, untaken
from mutation.targets import ROOM, read_targets

SOURCE = """def first(a):
    if a:
        return 1
    while a:
        a = b(a)
"""


def test_lines_and_branches_are_told_by_their_text() -> None:
    """A branch to a line that is untaken itself is not told twice."""
    file = {"missing_lines": [3], "missing_branches": [[2, 3], [4, 5], [4, -1]]}
    assert list(untaken(SOURCE, file)) == [
        Untaken("return 1", number=3),
        Untaken("while a:", "a = b(a)", 4),
        Untaken("while a:", END, 4),
    ]


def test_every_exception_is_of_a_target_and_has_a_reason() -> None:
    """A line that is gone takes its exception with it."""
    sources = {target.module: target.path.read_text() for target in read_targets()}
    for module, rows in tomllib.loads((ROOM / "untaken.toml").read_text()).items():
        lines = {line.strip() for line in sources[module].splitlines()} | {END, ""}
        for row in rows:
            assert {row["line"], row.get("leads_to", "")} <= lines, row
            assert row["reason"]
