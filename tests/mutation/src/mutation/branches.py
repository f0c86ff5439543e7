"""Which branches of the targets no test takes, by coverage.py."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutation.targets import ROOT, Target


def measure(targets: Sequence[Target]) -> int:
    """Run the tests of the targets once, and list lines and branches that none of them takes."""
    tests = sorted({str(path) for target in targets for path in target.tests})
    included = ",".join(str(target.path) for target in targets)
    with tempfile.TemporaryDirectory() as folder:
        data = f"--data-file={Path(folder) / 'coverage'}"
        run = (
            "run",
            "--branch",
            data,
            f"--include={included}",
            "-m",
            "pytest",
            "-q",
            "--no-header",
        )
        status = _coverage(*run, "-p", "no:cacheprovider", "-m", "not cluster and not long", *tests)
        return status or _coverage("report", data, "--show-missing")


def _coverage(*arguments: str) -> int:
    """Run coverage.py as a process."""
    command = (sys.executable, "-m", "coverage", *arguments)
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own arguments
