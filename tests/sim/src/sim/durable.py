"""What a member certainly has on its disk: the batches whose sync has ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from inventory_node.ports import DiskOperation
from inventory_node.wal import Recovered, WriteAheadLog
from raft.messages import Entry, HardState, SnapshotMeta


@dataclass(frozen=True, slots=True)
class Written:
    """One batch of the log, as the log planned it."""

    hard_state: HardState | None
    install: SnapshotMeta | None
    entries: tuple[Entry, ...]


class WatchedLog(WriteAheadLog):
    """The log that ships, which also says what its last plan was for."""

    written: Written | None = None
    previous_term = 0  # of the entry before those of `written`

    def append(
        self,
        hard_state: HardState | None,
        install: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> tuple[DiskOperation, ...]:
        """See `WriteAheadLog.append`."""
        if install is not None:
            self.previous_term = install.term
        elif entries:
            self.previous_term = self._outline.term_at(entries[0].index - 1)
        operations = super().append(hard_state, install, entries)
        self.written = Written(hard_state, install, tuple(entries))
        return operations


@dataclass(slots=True)
class Durable:
    """The synced part of a member's log.

    - An entry at index i replaces everything from i on.
    """

    hard_state: HardState = field(default_factory=lambda: HardState(0, 0))
    base_index: int = 0
    terms: dict[int, int] = field(default_factory=dict)  # by index
    last_index: int = 0
    pending: Written | None = None  # may be on disk: it is being written, or its sync failed

    @classmethod
    def found(cls, recovered: Recovered) -> "Durable":
        """Start from what a start of the member has found."""
        terms = {entry.index: entry.term for entry in recovered.entries}
        last_index = recovered.base_index + len(terms)
        return cls(recovered.hard_state, recovered.base_index, terms, last_index)

    def take(self, written: Written) -> bool:
        """Take a batch whose sync has ended; tell whether it replaced entries."""
        self.pending = None
        self.hard_state = written.hard_state or self.hard_state
        if written.install is not None:
            self.base_index = self.last_index = written.install.index
            self.terms.clear()
        replaced = False
        if written.entries:
            first = written.entries[0].index
            for index in range(first, self.last_index + 1):
                self.terms.pop(index, None)
                replaced = True
            self.terms.update((entry.index, entry.term) for entry in written.entries)
            self.last_index = written.entries[-1].index
        return replaced

    def holds(self, index: int, term: int) -> bool:
        """Tell whether an entry is synced here, or covered by a snapshot that is."""
        return index <= self.base_index or self.terms.get(index) == term

    def forgotten_by(self, found: "Durable") -> str:
        """Return what a later start misses of what was synced; empty when it has everything.

        The batch that was not synced yet may be there as well, as a whole: a vote where there was
        none, and entries in the place of others, which may be of an earlier term (Raft §5.3).
        """
        missing = self._missing_in(found)
        if not missing or self.pending is None:
            return missing
        also = replace(self, terms=dict(self.terms))
        also.take(self.pending)
        return missing if also._missing_in(found) else ""

    def _missing_in(self, found: "Durable") -> str:
        before, after = self.hard_state, found.hard_state
        is_same_term = after.term == before.term
        if after.term < before.term or (is_same_term and before.vote not in (0, after.vote)):
            return f"it had {before} and has {after}"
        for index in range(found.base_index + 1, self.last_index + 1):
            known = self.terms.get(index)
            term = found.terms.get(index)
            if known is not None and term != known:
                return f"it had an entry {index} of term {known} and has one of {term}"
        return ""
