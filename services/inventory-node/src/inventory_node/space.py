"""What a member does whose disk is full: nothing new is taken, what is held stays, reads go on.

The log meets a full disk where its next segment is to be preallocated, the database where it
flushes. Both keep what they were given and try again now and then, so the member goes on by itself
once there is space. A leader without any lets a member lead that has some (`surveys.py`).
"""

from inventory_node.events import DiskFull, StoreFull
from inventory_node.flushing import Flushing
from inventory_node.journal import Journal
from inventory_node.ports import Observer
from inventory_node.snapshots import Incoming, Outgoing


class Space:
    """Knows whether log and database have found space, and are of one time."""

    def __init__(
        self,
        journal: Journal,
        flushing: Flushing,
        incoming: Incoming,
        outgoing: Outgoing,
        observer: Observer,
    ) -> None:
        """Begin with space enough."""
        self._journal = journal
        self._flushing = flushing
        self._incoming = incoming
        self._outgoing = outgoing
        self._observer = observer
        self._was_full = False

    @property
    def is_full(self) -> bool:
        """Whether something waits for space."""
        return self._journal.is_full or self._flushing.is_full

    @property
    def is_replacing(self) -> bool:
        """Whether the state is about to be another one."""
        return self._incoming.installing

    @property
    def is_stuck(self) -> bool:
        """Whether nothing can be written: for want of space, or of a state that is to come."""
        return self.is_full or self.is_replacing

    @property
    def is_poor(self) -> bool:
        """Whether others might do better: the database hangs, or a peer's copy found no space."""
        return self._flushing.hangs or self._outgoing.is_short

    @property
    def is_at_risk(self) -> bool:
        """Whether it was so until a while ago, or nearly.

        Members that are slow by turns would hand the lead round and round.
        """
        return self.is_poor or self._flushing.is_slow

    def ran_out(self, event: DiskFull | StoreFull) -> None:
        """Keep what could not be written."""
        if isinstance(event, DiskFull):
            self._journal.full(event.ticket)
        else:
            self._flushing.full(event.ticket)

    def look(self) -> bool:
        """Tell whether something waits for space; say so when that has changed."""
        if self.is_full is not self._was_full:
            self._was_full = self.is_full
            self._observer.filled_up(is_full=self.is_full)
        return self.is_full
