"""The disk of one member: the synced state, and the writes that wait for a sync."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raft import Restored
from raft.configurations import PLAIN
from raft.messages import Configuration, Entry, EntryKind, HardState, Message, SnapshotMeta
from raft.ready import Mark


@dataclass(frozen=True, slots=True)
class Image:
    """The state of a state machine: a checksum of the entries up to `index`."""

    index: int
    term: int
    checksum: int


def configurations_of(entries: Iterable[Entry]) -> list[tuple[int, Configuration]]:
    """Return the configurations among entries, each with the index of its entry."""
    return [
        (entry.index, PLAIN.decode(entry.payload))
        for entry in entries
        if entry.kind is EntryKind.CONFIGURATION
    ]


def upto(
    configurations: Iterable[tuple[int, Configuration]], index: int
) -> list[tuple[int, Configuration]]:
    """Return the configurations up to an index."""
    return [pair for pair in configurations if pair[0] <= index]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBatch:
    """The part of one Ready that goes to the disk, and the messages that wait for the sync."""

    hard_state: HardState | None
    install: SnapshotMeta | None
    image: Image | None  # the staged state, if `install` is set
    entries: tuple[Entry, ...]
    mark: Mark | None
    after_sync: tuple[Message, ...]
    due: int  # the round of the sync; a late batch before this batch delays it


class CoreDisk:
    """Syncs batches in the order of the writes. A crash keeps a prefix of the batches.

    - `image.index` >= `base_index`: the log reaches back to the durable state.
    - `restored` returns only batches that were synced, or kept by a crash.
    """

    def __init__(self, configuration: Configuration) -> None:
        """Begin as the empty disk of a member of a cluster."""
        self.hard_state = HardState(0, 0)
        self.configuration = configuration  # at `base_index`
        self.base_index = self.base_term = 0
        self.entries: list[Entry] = []
        self.image = Image(0, 0, 0)
        self.queue: deque[WriteBatch] = deque()

    @property
    def last_index(self) -> int:
        """Return the last synced index."""
        return self.base_index + len(self.entries)

    def holds(self, index: int, term: int) -> bool:
        """Tell whether an entry is synced, or covered by a synced snapshot."""
        if index <= self.base_index:
            return True
        return index <= self.last_index and self.entries[index - self.base_index - 1].term == term

    def sync_first(self) -> WriteBatch:
        """Make the oldest batch durable, and return the batch."""
        batch = self.queue.popleft()
        self._write(batch)
        return batch

    def crash(self, kept: int) -> None:
        """Keep the first `kept` batches, and lose the batches behind them."""
        for _ in range(kept):
            self._write(self.queue.popleft())
        self.queue.clear()

    def flush(self, image: Image) -> None:
        """Make the applied state durable, unless a snapshot below the state is not synced."""
        if not any(batch.install for batch in self.queue):
            self.image = image

    def cut(self, index: int) -> None:
        """Remove the log up to `index`, which the durable state covers."""
        if index > self.base_index:
            self.base_term = self.entries[index - self.base_index - 1].term
            self.configuration = upto(self.configurations(), index)[-1][1]
            del self.entries[: index - self.base_index]
            self.base_index = index

    def configurations(self) -> list[tuple[int, Configuration]]:
        """Return the synced configurations, the base's first, each with its index."""
        return [(self.base_index, self.configuration), *configurations_of(self.entries)]

    def restored(self) -> Restored:
        """Return the state that a member restores at a start."""
        return Restored(
            hard_state=self.hard_state,
            configuration=self.configuration,
            base_index=self.base_index,
            base_term=self.base_term,
            entries=tuple(self.entries),
            applied_index=self.image.index,
        )

    def _write(self, batch: WriteBatch) -> None:
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
        if batch.install is not None and batch.image is not None:
            self.configuration = batch.install.configuration
            self.base_index, self.base_term = batch.install.index, batch.install.term
            self.entries.clear()
            self.image = batch.image
        self._append(batch.entries)

    def _append(self, entries: Sequence[Entry]) -> None:
        """Append entries; an entry at index i replaces all entries from i on."""
        if entries:
            del self.entries[entries[0].index - self.base_index - 1 :]
            self.entries.extend(entries)
