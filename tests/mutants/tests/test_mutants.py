"""No planted bug escapes, and what catches it is right about everything else."""

import pytest
from mutants import MUTANTS, Mutant
from mutants.catching import holds

each = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{one.room}-{one.name}")


@pytest.mark.slow
@each
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    """By the run that is named, which finds nothing without it."""
    assert mutant.replay(), f"escapes {mutant.catch}; look with make mutants SEARCH=1"
    assert holds(mutant.catch)


def test_names_say_which() -> None:
    """A mutant that is named twice hides another one; a script and a seed may catch the same."""
    assert len({(mutant.name, type(mutant.catch)) for mutant in MUTANTS}) == len(MUTANTS)


@each
def test_a_mutant_says_what_it_does(mutant: Mutant) -> None:
    """In one sentence."""
    assert mutant.plant.__doc__
