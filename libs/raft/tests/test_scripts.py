"""Transcripts that are read in review: `UPDATE_SCRIPTS=1` writes the transcripts anew."""

import os
from pathlib import Path

import pytest
from rafttest.script import rerun

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.script"))
COMMENT_COLUMNS_MAX = 100
STEP_COMMANDS_MAX = 3


def test_there_are_scripts() -> None:
    """An empty folder would pass every test below."""
    assert len(SCRIPTS) >= 12


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_as_written(path: Path) -> None:
    """The commands of a script cause what the transcript says."""
    written = path.read_text()
    happened = rerun(written)
    if os.environ.get("UPDATE_SCRIPTS"):
        path.write_text(happened)
        return
    assert happened == written


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_comment_stands_before_each_step(path: Path) -> None:
    """A script begins with a comment on the whole; a step is a comment and a few commands."""
    whole, *steps = path.read_text().split("\n\n")
    assert all(line.startswith("# ") for line in whole.splitlines())
    for step in steps:
        lines = step.splitlines()
        assert lines[0].startswith("# "), f"no comment before {lines[0]!r}"
        commands = [line for line in lines if line.startswith("> ")]
        assert 1 <= len(commands) <= STEP_COMMANDS_MAX, f"{len(commands)} commands: {lines[0]!r}"
        comments = [line for line in lines if line.startswith("#")]
        assert lines[: len(comments)] == comments, f"a comment within the step {lines[0]!r}"
        assert max(map(len, comments)) <= COMMENT_COLUMNS_MAX


def test_comments_and_steps_stay_when_a_transcript_is_written_anew() -> None:
    """Only the lines below a command are replaced."""
    text = "# Whole.\n\n# A step\n# of two.\n> cluster 1\n> tick 1\nold\n\n# Next.\n> log\n"
    assert rerun(text) == (
        "# Whole.\n\n# A step\n# of two.\n> cluster 1\nnothing\n> tick 1\nnothing\n\n"
        "# Next.\n> log\n1: 0/0\n"
    )


def test_a_lost_message_is_shown_with_the_reason() -> None:
    """A message is lost by a cut link, a member that is down, a crash, or the command `lose`."""
    text = "\n\n".join(
        f"# Step.\n> {command}"
        for command in (
            "cluster 3",
            "tick 1 10",
            "lose 2",
            "isolate 3",
            "crash 2",
            "tick 1 12",
            "crash 1",
        )
    )
    lost = [line for line in rerun(text).splitlines() if " -x " in line]
    assert [line[line.index("(") :] for line in lost] == [
        "(lost: dropped)",
        "(lost: 3 is cut off)",
        "(lost: 2 is down)",
        "(lost: 3 is cut off)",
    ]
