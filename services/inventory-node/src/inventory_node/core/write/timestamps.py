"""The stamp that a leader writes into an entry: its own clock, but never less than the log's time.

The log's time never goes back. A stamp that is days ahead would let request ids of today count as
forgotten, long after the clock is right again. So a stamp leaps only by a clock that a majority's
clocks agree with. A member learns of the agreement within a second of following a leader, or of
leading.

A leader whose clock is behind would stop the log's time, and after some seconds refuse every new
request id as one of the future. So the log's time goes on by the leader's steady clock as long as
another member's clock has reached it: two witnesses against one clock.
"""

from collections.abc import Iterable

from inventory.raft.v1 import raw_pb2
from raft.messages import Entry, EntryKind

from inventory_node.core.clock_skew import ClockSkew
from inventory_node.core.settings import NodeSettings
from inventory_node.ports import Clock


class TimestampOracle:
    """Draws the stamps of a leader.

    - A stamp is never less than that of any command entry that this log held, or of the snapshot.
    - No stamp is drawn while the log's time is unknown. A stamp that leaps is drawn only if this
      member's clock is trusted.

    An entry counts even if another leader's entry replaced it, so stamps only ever err upwards.
    """

    def __init__(
        self,
        settings: NodeSettings,
        clock: Clock,
        snapshot_ms: int,
        entries: Iterable[Entry],
    ) -> None:
        """Begin with the state's own time and the entries behind the state."""
        self._settings = settings
        self._clock = clock
        self.clock_skew = ClockSkew(clock, settings.clock_ahead_ms_max)
        self._last_ms = snapshot_ms
        self._unread: Entry | None = None
        self._held = False
        self._noted_ms = clock.elapsed_ms()  # when the latest stamp was drawn or arrived
        self.note(entries)

    def note(self, entries: Iterable[Entry]) -> None:
        """Note entries that were added to the log; the newest command has the latest stamp."""
        for entry in entries:
            if entry.kind is EntryKind.COMMAND:
                self._unread = entry
                self._noted_ms = self._clock.elapsed_ms()

    def hold(self) -> None:
        """Draw no stamp until the snapshot is installed: its state holds the log's time."""
        self._held = True

    def replaced(self, stamp_ms: int) -> None:
        """Take the time of the state that replaced the old state."""
        self._held = False
        self._last_ms = max(self._last_ms, stamp_ms)
        self._noted_ms = self._clock.elapsed_ms()

    def next_ms(self) -> int | None:
        """Return the next entry's stamp, milliseconds since 1970; None if none may be drawn."""
        now_ms, last_ms = self._clock.now_ms(), self._read_ms()
        leaps = now_ms - last_ms > self._settings.clock_leap_ms_max
        if self._held or (leaps and not self.clock_skew.is_trusted):
            return None
        elapsed_ms = self._clock.elapsed_ms()
        steady_ms = last_ms + elapsed_ms - self._noted_ms
        self._last_ms = max(last_ms, now_ms, min(steady_ms, self.clock_skew.witness_ms()))
        self._noted_ms = elapsed_ms
        return self._last_ms

    def _read_ms(self) -> int:
        """Return the latest stamp of the log."""
        if self._unread is not None:
            batch = raw_pb2.RawBatch.FromString(self._unread.payload)
            self._last_ms = max(self._last_ms, batch.stamp_ms)
            self._unread = None
        return self._last_ms
