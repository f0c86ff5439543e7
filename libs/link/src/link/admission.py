"""How many connections may be open whose callers have not proved themselves. Pure."""

from collections.abc import Hashable
from typing import Generic, TypeVar

UNPROVEN_MAX = 64
UNPROVEN_PER_SOURCE_MAX = 16

Waiting = TypeVar("Waiting", bound=Hashable)


class UnprovenCallers(Generic[Waiting]):
    """The connections without a proof, the oldest first.

    - There are at most `total_max`, and at most `per_source_max` from one source.
    - The oldest makes room for another. A hello takes a few milliseconds, so whoever floods a
      member has to open that many connections in that time to keep an honest caller out.
    """

    def __init__(
        self, total_max: int = UNPROVEN_MAX, per_source_max: int = UNPROVEN_PER_SOURCE_MAX
    ) -> None:
        """Start with none."""
        self._total_max = total_max
        self._per_source_max = per_source_max
        self._sources: dict[Waiting, str] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sources)

    def all(self) -> tuple[Waiting, ...]:
        """Return the connections."""
        return tuple(self._sources)

    def admit(self, connection: Waiting, source: str) -> Waiting | None:
        """Keep a connection from a source; return the connection that makes room for it, if any."""
        same = [one for one, known in self._sources.items() if known == source]
        oldest = None
        if len(same) >= self._per_source_max:
            oldest = same[0]
        elif len(self._sources) >= self._total_max:
            oldest = next(iter(self._sources))
        if oldest is not None:
            del self._sources[oldest]
        self._sources[connection] = source
        return oldest

    def forget(self, connection: Waiting) -> None:
        """Forget a connection: its caller proved itself, or is gone."""
        self._sources.pop(connection, None)
