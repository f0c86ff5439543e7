"""A full disk: the member refuses commands, keeps what it holds, and goes on answering reads.

The log finds no space when it preallocates its next segment. The database finds no space when it
flushes. Both keep their job and retry the job after a backoff, so the member recovers by itself
once there is space. A leader without space hands the lead to a member with space
(`leader_fitness.py`).
"""

from inventory_node.core.events import DiskFull, StoreFull
from inventory_node.core.write.flusher import Flusher
from inventory_node.core.write.log_writer import LogWriter
from inventory_node.ports import Observer


class DiskSpace:
    """Knows whether log and database have space."""

    def __init__(self, log_writer: LogWriter, flusher: Flusher, observer: Observer) -> None:
        """Begin with space enough."""
        self._log_writer = log_writer
        self._flusher = flusher
        self._observer = observer
        self._was_full = False

    @property
    def is_full(self) -> bool:
        """Whether the log or the database waits for space."""
        return self._log_writer.is_full or self._flusher.is_full

    def ran_out(self, event: DiskFull | StoreFull) -> None:
        """Keep the job that found no space."""
        if isinstance(event, DiskFull):
            self._log_writer.full(event.ticket)
        else:
            self._flusher.full(event.ticket)

    def report(self) -> None:
        """Tell the observer when the space has run out, and when there is space again."""
        if self.is_full is not self._was_full:
            self._was_full = self.is_full
            self._observer.filled_up(is_full=self.is_full)
