"""The time that a leader writes into an entry: its own clock, but never less than the log's."""

from collections.abc import Iterable

from inventory.raft.v1 import raw_pb2
from raft.messages import Entry, EntryKind

from inventory_node.ports import Clock


class Stamps:
    """Draws the stamps of a leader.

    - A stamp is never less than that of any command entry that this log held, or of the snapshot.

    An entry that was replaced by another leader's counts too, which only ever errs upwards.
    """

    def __init__(self, clock: Clock, snapshot_ms: int, entries: Iterable[Entry]) -> None:
        """Begin with the state's own time and the entries behind it."""
        self._clock = clock
        self._last_ms = snapshot_ms
        self._unread: Entry | None = None
        self.note(entries)

    def note(self, entries: Iterable[Entry]) -> None:
        """See entries that were added to the log; the newest command has the latest stamp."""
        for entry in entries:
            if entry.kind is EntryKind.COMMAND:
                self._unread = entry

    def note_ms(self, stamp_ms: int) -> None:
        """See the time of a state that replaced this one."""
        self._last_ms = max(self._last_ms, stamp_ms)

    def next_ms(self) -> int:
        """Return the stamp of the next entry, milliseconds since 1970."""
        if self._unread is not None:
            batch = raw_pb2.RawBatch.FromString(self._unread.payload)
            self._last_ms = max(self._last_ms, batch.stamp_ms)
            self._unread = None
        self._last_ms = max(self._last_ms, self._clock.now_ms())
        return self._last_ms
