"""One install for all scenarios, with its witness; the table of what was measured at the end."""

import os
import sys
from collections.abc import Iterator

import pytest
from chaos import machines, report, witness
from chaos.release import Release
from chaos.up import ROOT


@pytest.fixture(scope="session")
def table() -> Iterator[report.Table]:
    """Collect what is measured; print it, and write it down where that is asked for."""
    made = report.Table()
    yield made
    sys.stdout.write(f"\n{made.markdown()}\n")
    report.write(ROOT / "docs" / "operating.md", made)


@pytest.fixture(scope="session")
def release(table: report.Table) -> Iterator[Release]:  # noqa: ARG001 - printed after all is gone
    """Install once, with the witness on a node of its own; leave nothing behind."""
    os.chdir(ROOT)
    made = Release()
    with machines.reserved(made) as node:
        made.entrance = node or ""
        try:
            made.install()
            witness.place(made, node)
            yield made
        finally:
            made.remove()
