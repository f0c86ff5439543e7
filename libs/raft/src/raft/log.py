"""The log of one member: the entries held, the entries handed out, and the entries synced."""

from collections.abc import Sequence

from raft.configurations import ConfigurationCodec, Configurations
from raft.errors import ProtocolViolation
from raft.messages import Configuration, Entry, EntryKind


class RaftLog:
    """The entries after a base. The base is the last entry that was cut off, or index 0.

    - Indexes have no gap: position i of the list holds the entry `base_index + 1 + i`. `last_index`
      is `base_index` plus the length of the list.
    - The term of an entry is at least the term of the entry before (Raft §5.3).
    - `synced_index` <= `handed_index` <= `last_index`.
    - No entry at or below `base_index` is appended, replaced or returned.
    - `configurations` holds the configuration of the base, and the configurations of the held
      entries.
    """

    __slots__ = (
        "_entries",
        "base_index",
        "base_term",
        "configurations",
        "handed_index",
        "last_index",
        "synced_index",
        "truncations",
    )

    def __init__(
        self,
        base_index: int,
        base_term: int,
        entries: Sequence[Entry],
        configuration: Configuration,
        codec: ConfigurationCodec,
    ) -> None:
        """Hold the entries that recovery found; all of the entries are synced.

        `configuration` is the configuration at the base.
        """
        self.configurations = Configurations(base_index, configuration, codec)
        self.base_index = base_index
        self.base_term = base_term
        self._entries: list[Entry] = []
        self.last_index = self.handed_index = self.synced_index = base_index
        self.append(entries)
        self.handed_index = self.synced_index = self.last_index
        self.truncations = 0  # how often entries that may be handed out were taken back

    @property
    def first_index(self) -> int:
        """Return the first held index, or the index of the next entry if the log is empty."""
        return self.base_index + 1

    @property
    def last_term(self) -> int:
        """Return the term of the last entry, or of the base if the log is empty."""
        return self._entries[-1].term if self._entries else self.base_term

    def term_at(self, index: int) -> int | None:
        """Return the term at an index or at the base; None if the log does not hold the index."""
        position = index - self.base_index - 1
        if position == -1:
            return self.base_term
        if 0 <= position < len(self._entries):
            return self._entries[position].term
        return None

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries behind the last; raise ProtocolViolation on a gap or a falling term."""
        index, term = self.last_index, self.last_term
        for entry in entries:
            if entry.index != index + 1 or entry.term < term:
                raise ProtocolViolation(
                    f"entry {entry.index} of term {entry.term} cannot follow {index} of {term}"
                )
            index, term = entry.index, entry.term
            if entry.kind is EntryKind.CONFIGURATION:
                self.configurations.append(entry)
        self._entries.extend(entries)
        self.last_index = index

    def truncate(self, index: int) -> None:
        """Remove the entry at `index` and all entries behind `index` (Raft §5.3)."""
        if index <= self.base_index:
            raise ProtocolViolation(f"entry {index} is cut off and cannot be replaced")
        del self._entries[index - self.base_index - 1 :]
        self.truncations += 1
        self.last_index = index - 1
        self.handed_index = min(self.handed_index, index - 1)
        self.synced_index = min(self.synced_index, index - 1)
        self.configurations.truncate(index)

    def compact(self, index: int) -> None:
        """Cut off all entries up to `index`, so that `index` is the base (Raft §7)."""
        term = self.term_at(index)
        if term is None or index > self.synced_index:
            raise ProtocolViolation(f"the log cannot be cut at {index}: it is not synced there")
        del self._entries[: index - self.base_index]
        self.base_index, self.base_term = index, term
        self.configurations.compact(index)

    def replace(self, index: int, term: int, configuration: Configuration) -> None:
        """Replace the whole log by a base: the last entry that a snapshot covers (Raft §7)."""
        self._entries.clear()
        self.truncations += 1
        self.base_index, self.base_term = index, term
        self.last_index = self.handed_index = self.synced_index = index
        self.configurations.replace(index, configuration)

    def slice(self, first: int, last: int) -> tuple[Entry, ...]:
        """Return the entries from `first` to `last`, both included."""
        if first <= self.base_index:
            raise ProtocolViolation(f"entry {first} is cut off and cannot be read")
        base = self.base_index + 1
        return tuple(self._entries[first - base : last + 1 - base])

    def page(self, first: int, count_max: int, bytes_max: int) -> tuple[tuple[Entry, ...], int]:
        """Return entries from `first` on, and the bytes of their payloads.

        At most `count_max` entries and `bytes_max` bytes are returned. The first entry is returned
        even if the entry alone exceeds `bytes_max`.
        """
        entries = self.slice(first, min(self.last_index, first + count_max - 1))
        sizes = [len(entry.payload) for entry in entries]
        total = sum(sizes)
        while total > bytes_max and len(sizes) > 1:
            total -= sizes.pop()
        return entries[: len(sizes)], total

    def hand_out(self) -> tuple[Entry, ...]:
        """Return the entries that were not handed out before."""
        entries = self.slice(self.handed_index + 1, self.last_index)
        self.handed_index = self.last_index
        return entries

    def first_of_term_at(self, index: int) -> int:
        """Return the first held index whose term is the term at `index`."""
        term = self.term_at(index)
        while index > self.first_index and self.term_at(index - 1) == term:
            index -= 1
        return index

    def last_up_to_term(self, term: int, index: int) -> int:
        """Return the last index, `index` at most, whose term is at most `term`.

        The base is returned if every held entry has a higher term.
        """
        index = min(index, self.last_index)
        while index > self.base_index and self._entries[index - self.first_index].term > term:
            index -= 1
        return index

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Tell whether a log with this end is at least as up to date as this log (Raft §5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)
