"""Each target bears its corpus, and the same few thousand mutations of it each time."""

import pytest
from fuzz.judging import Broken, judge_all, judge_closely
from fuzz.mutations import mutations
from fuzz.target import CORPUS, FuzzTarget
from fuzz.targets import TARGETS

SEED = 19
CORPUS_BYTES_MAX = 64 << 10  # of one target


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_bears_what_is_known_and_mutations_of_it(name: str) -> None:
    """No exception but the declared one, no work and no memory out of proportion."""
    judge_all(TARGETS[name], SEED)


def test_every_corpus_has_a_target_and_is_small() -> None:
    """What is kept is read in review, and by nobody once it is large."""
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
    for folder in CORPUS.iterdir():
        assert sum(path.stat().st_size for path in folder.iterdir()) <= CORPUS_BYTES_MAX


def test_the_same_seed_draws_the_same_mutations() -> None:
    """A failure is repeated by its seed."""
    drawn = [list(mutations([b"known", b"other"], seed, 50, 64)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(one) <= 64 for one in drawn[0])


def raises(data: bytes) -> None:
    """Fail as a decoder does that indexes before it looks."""
    if data:
        data[len(data)]


def hangs(data: bytes) -> None:
    """Work by the square of the input."""
    for _ in data:
        for _ in data:
            pass


def hoards(data: bytes) -> None:
    """Keep much more than came."""
    bytearray(len(data) << 16)


@pytest.mark.parametrize("judge", [raises, hangs, hoards])
def test_a_broken_decoder_is_noticed(judge: object) -> None:
    """The net has no holes: an exception, a hang and a hoard are each found."""
    target = FuzzTarget(name="broken", judge=judge, seeds=lambda: [bytes(900)])  # type: ignore[arg-type]
    with pytest.raises(Broken):
        judge_all(target, SEED)


def reads_once(data: bytes) -> None:
    """Work in proportion."""
    for _ in data:
        pass


def test_an_honest_decoder_passes() -> None:
    """Work in proportion to the input is no hang."""
    target = FuzzTarget(name="honest", judge=reads_once)
    judge_closely(target, bytes(4_096))
