"""The content of a log without payloads: enough to write the next record and the next header."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import TypeVar

from raft.messages import Configuration, Entry, HardState, SnapshotMeta

T = TypeVar("T")


class Outline:
    """Positions, terms and configurations of the log after its records.

    - Entries go from `base_index` + 1 to `last_index` without a gap.
    - The runs of equal terms, and the configurations, ascend by index. The first run and the first
      configuration are at or below `base_index`, so every position from there on has both.
    """

    def __init__(
        self,
        position: tuple[int, int],
        configuration: Configuration,
        hard_state: HardState,
        installed: SnapshotMeta | None,
    ) -> None:
        """Begin after `position`, an (index, term), where `configuration` holds."""
        self.hard_state = hard_state
        self.installed = installed
        self._set_base(position, configuration)

    def _set_base(self, position: tuple[int, int], configuration: Configuration) -> None:
        self.base_index = self.last_index = position[0]
        self._runs = [position]  # (first index, term)
        self._configurations = [(position[0], configuration)]

    def term_at(self, index: int) -> int:
        """Return the term of the entry at `index`, from base_index to last_index."""
        self._check(index)
        return self._runs[bisect_right(self._runs, index, key=_first) - 1][1]

    def configuration_at(self, index: int) -> Configuration:
        """Return the newest configuration at or before `index`, from base_index to last_index."""
        self._check(index)
        place = bisect_right(self._configurations, index, key=_first) - 1
        return self._configurations[place][1]

    @property
    def last_term(self) -> int:
        """Return the term of the last entry, or of the base without an entry."""
        return self._runs[-1][1]

    @property
    def configuration(self) -> Configuration:
        """Return the newest configuration."""
        return self._configurations[-1][1]

    def append(self, entry: Entry, configuration: Configuration | None) -> None:
        """Append an entry; `configuration` when the entry is a configuration."""
        if entry.index != self.last_index + 1:
            raise ValueError(f"entry {entry.index} does not follow {self.last_index}")
        if entry.term < self.last_term:
            raise ValueError(f"entry {entry.index} goes back to term {entry.term}")
        self.last_index = entry.index
        if entry.term != self.last_term:
            self._runs.append((entry.index, entry.term))
        if configuration is not None:
            self._configurations.append((entry.index, configuration))

    def reset(self, position: tuple[int, int], configuration: Configuration) -> None:
        """End the log at `position`; at or below the base, the log begins at `position`.

        A log that is read from a later segment on begins with the last state of the earlier
        segments. Part of that state may have been replaced since: then the base goes back.
        """
        index = position[0]
        if index <= self.base_index:
            self._set_base(position, configuration)
            return
        if (self.term_at(index), self.configuration_at(index)) != (position[1], configuration):
            raise ValueError(f"the log ends at {index} with another term or configuration")
        self.last_index = index
        self._runs = _up_to(self._runs, index)
        self._configurations = _up_to(self._configurations, index)

    def install(self, meta: SnapshotMeta) -> None:
        """Replace the content by a snapshot."""
        self.installed = meta
        self._set_base((meta.index, meta.term), meta.configuration)

    def compact(self, index: int) -> None:
        """Cut off the entries up to `index`, or as far as the log goes."""
        index = min(index, self.last_index)
        if index <= self.base_index:
            return
        self._runs = [(index, self.term_at(index)), *_above(self._runs, index)]
        kept = _above(self._configurations, index)
        self._configurations = [(index, self.configuration_at(index)), *kept]
        self.base_index = index

    def _check(self, index: int) -> None:
        if not self.base_index <= index <= self.last_index:
            raise ValueError(f"{index} is not within {self.base_index}..{self.last_index}")


def _first(pair: tuple[int, object]) -> int:
    return pair[0]


def _up_to(pairs: Iterable[tuple[int, T]], index: int) -> list[tuple[int, T]]:
    return [pair for pair in pairs if pair[0] <= index]


def _above(pairs: Iterable[tuple[int, T]], index: int) -> list[tuple[int, T]]:
    return [pair for pair in pairs if pair[0] > index]
