"""Five hundred seeded clusters: faults, then recovery."""

import pytest
from rafttest import run
from rafttest.__main__ import main
from rafttest.world import EVENTS_MIN

CHUNK_SEEDS = 50
CHUNKS = range(0, 500, CHUNK_SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [*CHUNKS[:2], *(pytest.param(first, marks=pytest.mark.long) for first in CHUNKS[2:])],
)
def test_seeds_hold(first: int) -> None:
    """The safety properties hold after every event, and the cluster recovers."""
    for seed in range(first, first + CHUNK_SEEDS):
        try:
            world = run(seed)
            assert world.properties.events >= EVENTS_MIN
        except Exception as error:
            error.add_note(f"run it again with: make sim-core SEED={seed}")
            raise


def test_a_seed_gives_the_same_run_twice() -> None:
    """A seed decides every event of its run."""
    first, second = run(7), run(7)
    assert first.round == second.round
    assert first.properties.entries == second.properties.entries
    assert first.properties.checksums == second.properties.checksums


def test_the_program_counts_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    """The program prints the number of seeds that it ran."""
    assert main(["--seeds", "1", "--first", "7", "--jobs", "1"]) == 0
    assert "1 of 1 seeds" in capsys.readouterr().out
