"""What one member has on disk, and what is on its way there."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raft import Restored
from raft.configurations import PLAIN
from raft.messages import Configuration, Entry, EntryKind, HardState, Message, SnapshotMeta
from raft.ready import Mark


@dataclass(frozen=True, slots=True)
class Image:
    """A state machine's state: the entries up to `index`, folded into a checksum."""

    index: int
    term: int
    checksum: int


def configurations_of(entries: Iterable[Entry]) -> list[tuple[int, Configuration]]:
    """Return the configurations among entries, with their indexes."""
    return [
        (entry.index, PLAIN.decode(entry.payload))
        for entry in entries
        if entry.kind is EntryKind.CONFIGURATION
    ]


def upto(
    configurations: Iterable[tuple[int, Configuration]], index: int
) -> list[tuple[int, Configuration]]:
    """Return those up to an index."""
    return [one for one in configurations if one[0] <= index]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBatch:
    """One Ready's part for the disk, and what waits for its sync."""

    hard_state: HardState | None
    install: SnapshotMeta | None
    image: Image | None  # with `install`: the staged state
    entries: tuple[Entry, ...]
    mark: Mark | None
    after_sync: tuple[Message, ...]
    due: int  # the round in which it is synced, if nothing before it is late


class CoreDisk:
    """Batches are synced in the order in which they were written; a crash keeps a prefix of them.

    - `image.index` >= `base_index`: the log reaches back to the durable state.
    - What `restored` returns holds nothing that was not synced, or kept by a crash.
    """

    def __init__(self, configuration: Configuration) -> None:
        """Begin as an empty member of a cluster."""
        self.hard_state = HardState(0, 0)
        self.configuration = configuration  # at `base_index`
        self.base_index = self.base_term = 0
        self.entries: list[Entry] = []
        self.image = Image(0, 0, 0)
        self.queue: deque[WriteBatch] = deque()

    @property
    def last_index(self) -> int:
        """Return the last index that is synced."""
        return self.base_index + len(self.entries)

    def holds(self, index: int, term: int) -> bool:
        """Tell whether the entry is synced, or part of what a synced snapshot covers."""
        if index <= self.base_index:
            return True
        return index <= self.last_index and self.entries[index - self.base_index - 1].term == term

    def sync_first(self) -> WriteBatch:
        """Make the oldest batch durable."""
        batch = self.queue.popleft()
        self._write(batch)
        return batch

    def crash(self, kept: int) -> None:
        """Lose what was under way, but for the first `kept` batches, which got there in time."""
        for _ in range(kept):
            self._write(self.queue.popleft())
        self.queue.clear()

    def flush(self, image: Image) -> None:
        """Make the applied state durable, unless it stands on a snapshot that is not."""
        if not any(batch.install for batch in self.queue):
            self.image = image

    def cut(self, index: int) -> None:
        """Drop the log up to `index`, which the durable state covers."""
        if index > self.base_index:
            self.base_term = self.entries[index - self.base_index - 1].term
            self.configuration = upto(self.configurations(), index)[-1][1]
            del self.entries[: index - self.base_index]
            self.base_index = index

    def configurations(self) -> list[tuple[int, Configuration]]:
        """Return those of the base and of the entries that are synced, with their indexes."""
        return [(self.base_index, self.configuration), *configurations_of(self.entries)]

    def restored(self) -> Restored:
        """Return what a member starts from."""
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
        """Put entries behind each other; one at index i replaces everything from i on."""
        if entries:
            del self.entries[entries[0].index - self.base_index - 1 :]
            self.entries.extend(entries)
