"""What the edits of a small module are, and how they are told."""

import pytest
from mutation.edits import edits, statements
from mutation.ledger import Judged, judged_by, score_of
from mutation.targets import read_targets

SOURCE = '''"""A module."""

LIMIT = 3


class Gate:
    """Lets some through."""

    @property
    def is_open(self) -> bool:
        """Whether one more may pass."""
        if self.count > LIMIT:
            raise ValueError("never" + " seen")
        self.note()
        return True


Kind: TypeAlias = int | str
assert_never(LIMIT)
'''


def test_the_edits_of_a_module_stay_the_same() -> None:
    """What mutmut's operators make of it, and ours; nothing of what is raised."""
    assert [(edit.function, edit.line, edit.was, edit.now) for edit in edits(SOURCE)] == [
        ("", 3, "LIMIT = 3", "LIMIT = None"),
        ("", 3, "LIMIT = 3", "LIMIT = 4"),
        ("Gate.is_open", 12, "if self.count > LIMIT:", "if self.count >= LIMIT:"),
        ("Gate.is_open", 14, "self.note()", "pass"),
        ("Gate.is_open", 15, "return True", "return False"),
    ]


def test_a_line_belongs_to_the_innermost_statement() -> None:
    """Of a block it belongs to the head alone, however many lines that has."""
    source = "if (\n    a\n):\n    b(\n        1\n    )\nelse:\n    c\n"
    lines = statements(source)
    assert [lines[line] for line in (1, 2, 3)] == [range(1, 4)] * 3
    assert [lines[line] for line in (4, 5, 6)] == [range(4, 7)] * 3
    assert lines[8] == range(8, 9)


def test_a_key_is_that_of_the_function_alone() -> None:
    """A change elsewhere in the module leaves the verdicts on a function in force."""
    moved = SOURCE.replace("LIMIT = 3", "LIMIT = 3\nMORE = 4")
    inside = {edit.key for edit in edits(SOURCE) if edit.function}
    assert inside == {edit.key for edit in edits(moved) if edit.function}
    renamed = {edit.key for edit in edits(SOURCE.replace("Gate", "Door")) if edit.function}
    assert not inside & renamed


def test_an_equivalent_edit_counts_for_nothing() -> None:
    """One that is listed and does not survive is an error of the list."""
    survivor = Judged(key="1", function="f", line=1, was="a < b", now="a <= b", verdict="survived")
    killed = Judged(key="2", function="f", line=2, was="x = 1", now="x = 2", verdict="killed")
    results = [survivor, killed]
    assert score_of("m", judged_by({}, results)).percent == "50.0 %"
    assert score_of("m", judged_by({survivor.place: "why"}, results)).percent == "100.0 %"
    with pytest.raises(ValueError, match="does not survive"):
        judged_by({("f", "x = 1", "x = 2"): "why"}, results)


def test_every_target_is_there() -> None:
    """A module that is renamed takes its tests with it."""
    targets = read_targets()
    assert len({target.module for target in targets}) == len(targets)
    assert all(target.path.exists() and target.tests for target in targets)
