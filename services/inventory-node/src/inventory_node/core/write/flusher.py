"""When the state is written to the database, and when the log may forget what the database holds.

Apply changes memory; a flush writes everything changed since the last one in one transaction. It
is due by count, by age, or because someone waits for it: a query, a checkpoint, the end of the
process.
"""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from raft.messages import Entry

from inventory_node.core.settings import NodeSettings
from inventory_node.core.write.retried_job import RetriedJob
from inventory_node.machine import Machine
from inventory_node.ports import Store

if TYPE_CHECKING:
    from inventory_node.machine.changes import Changes


SLOW_TIMES = 6  # as long as a flush that hangs, a slow one is remembered


class LogTail:
    """How much of the log is kept below the applied index, for followers that are slow.

    - Nothing above the durable index is given up, so a restart finds every entry that it replays.
    - Nothing above the pin is given up, so a peer can follow on from the snapshot sent to it.
    """

    def __init__(self, settings: NodeSettings, entries: Iterable[Entry]) -> None:
        """Begin with the applied entries that the log still holds, oldest first."""
        self._settings = settings
        self._kept: deque[tuple[int, int]] = deque()  # index, payload bytes
        self._bytes = 0
        for entry in entries:
            self.applied(entry)

    def applied(self, entry: Entry) -> None:
        """See the next applied entry."""
        self._kept.append((entry.index, len(entry.payload)))
        self._bytes += len(entry.payload)

    def replaced(self) -> None:
        """Forget all: a snapshot took the log's place."""
        self._kept.clear()
        self._bytes = 0

    def give_up(self, durable_index: int, pinned_index: int | None) -> int:
        """Return up to where the log may be compacted; 0 when nothing is to go."""
        limit = durable_index if pinned_index is None else min(durable_index, pinned_index)
        index = 0
        while self._kept and self._kept[0][0] <= limit and self._is_long():
            index, size = self._kept.popleft()
            self._bytes -= size
        return index

    def _is_long(self) -> bool:
        return (
            len(self._kept) > self._settings.log_tail_entries
            or self._bytes > self._settings.log_tail_bytes
        )


class Flusher:
    """Decides on flushes and knows what is durable.

    - At most one flush is outstanding.
    - `durable_index` is the applied index of the last flush that is durable, never more.
    - The state is hashed at exactly the index of a checkpoint: nothing is applied between the
      checkpoint and the take of its changes, nothing is flushed between its flush and the pin.
    - Nothing is flushed while a snapshot waits to replace the state.
    - A checkpoint that finds no space is not waited for: the next one is hashed.
    """

    def __init__(
        self, settings: NodeSettings, machine: Machine, store: Store, tail: LogTail
    ) -> None:
        """Begin with a state that is as durable as it is applied."""
        self._settings = settings
        self._tail = tail
        self._machine = machine
        self._store = store
        self.durable_index = machine.applied_index
        self._commands = 0  # applied and not taken
        self._age_ticks = 0  # of the oldest of them
        self._asked_index = 0
        self._job = RetriedJob(settings.full_retry_ticks)  # the outstanding flush
        self._taking_index = 0  # of the outstanding flush
        self._taken: Changes | None = None  # likewise
        self._slow_ticks = 0  # for which it counts as slow
        self._checkpoint_waits = False
        self._hash_due = False
        self.checkpoint_index = 0  # of the last checkpoint applied to this state since the start
        self._hashed_before = 0  # the same, before the one that waits
        self.held = False  # by a snapshot that waits to replace the state

    @property
    def idle(self) -> bool:
        """Whether no flush is outstanding."""
        return not self._job.is_outstanding

    @property
    def is_full(self) -> bool:
        """Whether the outstanding flush found no space."""
        return self._job.is_full

    @property
    def is_durable(self) -> bool:
        """Whether all that is applied is flushed."""
        return not self._commands and self.idle

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is being flushed that could be: at the end, the log has the rest."""
        return self.is_durable or self.is_full or self.held

    @property
    def flushed_index(self) -> int:
        """The index up to which a question to the store sees everything."""
        return self._machine.applied_index if self.is_durable else self.durable_index

    @property
    def blocks_apply(self) -> bool:
        """Whether a checkpoint waits to be taken exactly where it stands."""
        return self._checkpoint_waits

    def applied(self, entry: Entry, commands: int) -> None:
        """Count an applied entry; one without commands counts as one."""
        self._commands += max(1, commands)
        self._tail.applied(entry)

    def ask(self, index: int) -> None:
        """Ask for everything up to `index` to become durable soon."""
        self._asked_index = max(self._asked_index, index)

    def checkpoint(self) -> None:
        """Hash the state where it stands."""
        if not self.is_full:
            self._checkpoint_waits = True
            self._hashed_before = self.checkpoint_index
            self.checkpoint_index = self._machine.applied_index

    def tick(self) -> None:
        """Let what is not flushed age; a flush that found no space is tried again now and then."""
        if self._commands:
            self._age_ticks += 1
        self._slow_ticks = max(0, self._slow_ticks - 1)
        if self._job.tick() and self._taken is not None:
            self._store.flush(self._taken, self._job.ticket)
        if self._job.age_ticks > self._settings.flush_hung_ticks // 2:
            self._slow_ticks = SLOW_TIMES * self._settings.flush_hung_ticks

    @property
    def hangs(self) -> bool:
        """Whether the database keeps a flush for long."""
        return self._job.age_ticks > self._settings.flush_hung_ticks

    @property
    def is_slow(self) -> bool:
        """Whether it did so, or nearly, until a while ago: it may again."""
        return self._slow_ticks > 0

    def full(self, ticket: int) -> None:
        """Learn that the outstanding flush found no space; nothing of it was written."""
        if self._job.owns(ticket):
            self._job.run_out()
            if self._checkpoint_waits:
                self._checkpoint_waits = False
                self.checkpoint_index = self._hashed_before

    def start(self) -> None:
        """Begin a flush when one is due and none is outstanding."""
        if self.held or not self.idle or not self._due():
            return
        changes = self._machine.take_changes()
        self._hash_due, self._checkpoint_waits = self._checkpoint_waits, False
        self._commands = self._age_ticks = 0
        if changes is None:
            self._hash()
            return
        self._taking_index = self._machine.applied_index
        self._taken = changes
        self._store.flush(changes, self._job.begin())

    def finished(self, ticket: int) -> bool:
        """Note that the outstanding flush is durable; False when `ticket` names another."""
        if not self._job.owns(ticket):
            return False
        self._job.end()
        self._taken = None
        self._machine.flushed()
        self.durable_index = self._taking_index
        self._hash()
        return True

    def give_up(self, pinned_index: int | None) -> int:
        """Return up to where the log may be compacted; 0 when nothing is to go."""
        return self._tail.give_up(self.durable_index, pinned_index)

    def replaced(self) -> None:
        """Begin anew with a state that came as a snapshot."""
        self._tail.replaced()
        self.durable_index = self._machine.applied_index
        self._commands = self._age_ticks = self.checkpoint_index = 0
        self._checkpoint_waits = self._hash_due = self.held = False

    def _due(self) -> bool:
        return (
            self._checkpoint_waits
            or self._commands >= self._settings.flush_commands_max
            or self._age_ticks >= self._settings.flush_age_ticks_max
            or (self._commands > 0 and self._asked_index > self.durable_index)
        )

    def _hash(self) -> None:
        if self._hash_due:
            self._hash_due = False
            self._store.hash(self._job.ticket)
