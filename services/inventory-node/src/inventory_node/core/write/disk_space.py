"""What a member does whose disk is full: nothing new is taken, what is held stays, reads go on.

The log meets a full disk where its next segment is to be preallocated, the database where it
flushes. Both keep what they were given and try again now and then, so the member goes on by itself
once there is space. A leader without any lets a member lead that has some (`leader_fitness.py`).
"""

from inventory_node.core.events import DiskFull, StoreFull
from inventory_node.core.write.flusher import Flusher
from inventory_node.core.write.log_writer import LogWriter
from inventory_node.ports import Observer


class DiskSpace:
    """Knows whether log and database have found space."""

    def __init__(self, log_writer: LogWriter, flusher: Flusher, observer: Observer) -> None:
        """Begin with space enough."""
        self._log_writer = log_writer
        self._flusher = flusher
        self._observer = observer
        self._was_full = False

    @property
    def is_full(self) -> bool:
        """Whether something waits for space."""
        return self._log_writer.is_full or self._flusher.is_full

    def ran_out(self, event: DiskFull | StoreFull) -> None:
        """Keep what could not be written."""
        if isinstance(event, DiskFull):
            self._log_writer.full(event.ticket)
        else:
            self._flusher.full(event.ticket)

    def report(self) -> None:
        """Tell the observer when the space has run out, and when there is space again."""
        if self.is_full is not self._was_full:
            self._was_full = self.is_full
            self._observer.filled_up(is_full=self.is_full)
