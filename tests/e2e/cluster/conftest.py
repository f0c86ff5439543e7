"""One install of the chart and its witness for all scenarios; the table of measurements."""

import os
import sys
from collections.abc import Iterator

import pytest
from chaos import machines, report, witness
from chaos.release import Release
from chaos.up import ROOT


@pytest.fixture(scope="session")
def table() -> Iterator[report.Table]:
    """Collect the measurements; print the table, and write it into a document if asked."""
    made = report.Table()
    yield made
    sys.stdout.write(f"\n{made.markdown()}\n")
    report.write(ROOT / "docs" / "operating.md", made)


@pytest.fixture(scope="session")
def release(table: report.Table) -> Iterator[Release]:  # noqa: ARG001 - printed after all is gone
    """Install the release once, with the witness on a node of its own; remove all of it."""
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
