"""Transcripts that are read in review: `UPDATE_SCRIPTS=1` writes them anew."""

import os
from pathlib import Path

import pytest
from rafttest.script import rerun

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.script"))


def test_there_are_scripts() -> None:
    """An empty folder would pass every test below."""
    assert len(SCRIPTS) >= 12


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_as_written(path: Path) -> None:
    """What the commands do is what the transcript says."""
    written = path.read_text()
    happened = rerun(written)
    if os.environ.get("UPDATE_SCRIPTS"):
        path.write_text(happened)
        return
    assert happened == written
