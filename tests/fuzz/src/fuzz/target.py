"""What a target is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parents[2] / "corpus"


def _no_seeds() -> list[bytes]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzTarget:
    """One decoder.

    - `judge` takes any bytes; whatever it raises is a bug.
    """

    name: str
    judge: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]] = _no_seeds  # what an honest encoder makes
    bytes_max: int = 4_096
    mutations: int = 2_000  # of a short run
    lines_per_byte: int = 200  # of Python, at most, beside LINES_AT_ONCE of `judging`

    @property
    def corpus(self) -> Path:
        """The folder of the target's kept inputs."""
        return CORPUS / self.name

    def known(self) -> list[bytes]:
        """Return the kept inputs and the seeds."""
        kept = [path.read_bytes() for path in sorted(self.corpus.glob("*"))]
        return kept + self.seeds()
