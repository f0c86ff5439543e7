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
        """Whether a leader hands over, to a member that is better off.

        It has no space, not even for a copy that a peer waits for, or its database hangs or is
        still to switch to a snapshot.
        """
        is_behind = self._flushing.hangs or self.is_replacing
        return self.is_full or self._outgoing.is_short or is_behind

    @property
    def is_at_risk(self) -> bool:
        """Whether another had better not hand the lead to this member.

        Members whose databases are slow by turns would hand it round and round.
        """
        return self.is_stuck or self._flushing.is_slow

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
