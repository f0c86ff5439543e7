"""Which lines and branches of the targets no test takes, by coverage.py.

`untaken.toml` lists the exceptions. Each names a line by its text, for a branch also the line that
the branch leads to, and says why no test takes it. What is untaken and not listed is told, and so
is an exception that a test takes.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutation.targets import ROOM, ROOT, Target

END = "the end"  # where a branch leads that leaves its function


@dataclass(frozen=True, slots=True, order=True)
class Untaken:
    """A line that no test runs, or a branch from a line that no test takes."""

    line: str  # the text, without its indentation
    leads_to: str = ""  # the same of where the branch leads; empty for a line
    number: int = 0  # of the line, from 1; not part of an exception

    @property
    def place(self) -> tuple[str, str]:
        """How `untaken.toml` names it."""
        return self.line, self.leads_to


def measure(targets: Sequence[Target]) -> int:
    """Run the tests of the targets once; tell what none takes. Return an exit status.

    1: something of a judged module is untaken and no exception, or an exception is taken.
    """
    tests = sorted({str(path) for target in targets for path in target.tests})
    included = ",".join(str(target.path) for target in targets)
    with tempfile.TemporaryDirectory() as folder:
        data = f"--data-file={Path(folder) / 'coverage'}"
        run = ("run", "--branch", data, f"--include={included}", "-m", "pytest", "-q")
        markers = ("-p", "no:cacheprovider", "-m", "not cluster and not long")
        report = Path(folder) / "report.json"
        status = _coverage(*run, "--no-header", *markers, *tests)
        status = status or _coverage("json", data, "--quiet", "-o", str(report))
        return status or tell(targets, json.loads(report.read_text())["files"])


def tell(targets: Sequence[Target], files: Mapping[str, Mapping[str, Any]]) -> int:
    """Say what is untaken in each target, by the files of a report of coverage.py."""
    excepted = tomllib.loads((ROOM / "untaken.toml").read_text())
    wrong = 0
    for target in targets:
        name = target.path.relative_to(ROOT).as_posix()
        found = list(untaken(target.path.read_text(), files[name])) if name in files else []
        listed = {(row["line"], row.get("leads_to", "")) for row in excepted.get(target.module, [])}
        left = [one for one in found if one.place not in listed]
        stale = sorted(listed - {one.place for one in found})
        for one in left:
            way = f"  ->  {one.leads_to}" if one.leads_to else ""
            sys.stdout.write(f"{target.module}:{one.number}: {one.line}{way}\n")
        for line, leads_to in stale:
            sys.stdout.write(f"{target.module}: is taken, and is listed: {line} {leads_to}\n")
        sys.stdout.write(
            f"{target.module}: {len(left)} untaken, {len(found) - len(left)} excepted\n"
        )
        wrong += len(stale) + (len(left) if target.is_judged else 0)
    return 1 if wrong else 0


def untaken(source: str, file: Mapping[str, Any]) -> Iterator[Untaken]:
    """Yield what no test takes of one file, by its part of a report of coverage.py."""
    lines = source.splitlines()

    def text(number: int) -> str:
        return lines[number - 1].strip() if number > 0 else END

    missing = set(file["missing_lines"])
    for number in sorted(missing):
        yield Untaken(text(number), number=number)
    for number, leads_to in file["missing_branches"]:
        if not {number, leads_to} & missing:
            yield Untaken(text(number), text(leads_to), number)


def _coverage(*arguments: str) -> int:
    """Run coverage.py as a process."""
    command = (sys.executable, "-m", "coverage", *arguments)
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own arguments
