"""When the state is written to the database, and when the log may forget what the database holds.

Apply changes memory; a flush writes everything changed since the last one in one transaction. It
is due by count, by age, or because someone waits for it: a query, a checkpoint, the end of the
process.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from raft.messages import Entry

from inventory_node.core.settings import NodeSettings
from inventory_node.core.write.retried_job import RetriedJob
from inventory_node.machine import Machine
from inventory_node.machine.changes import Changes
from inventory_node.ports import Store

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

    def clear(self) -> None:
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


class Unflushed:
    """What is applied and not taken by a flush, and how urgent it is."""

    def __init__(self, settings: NodeSettings) -> None:
        """Start with nothing applied."""
        self._settings = settings
        self._commands = 0
        self._age_ticks = 0  # of the oldest of them
        self._hurried_index = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self._commands > 0

    def add(self, commands: int) -> None:
        """Count commands that were applied."""
        self._commands += commands

    def hurry(self, index: int) -> None:
        """Let everything up to `index` become durable soon."""
        self._hurried_index = max(self._hurried_index, index)

    def tick(self) -> None:
        """Let what is there age."""
        self._age_ticks += bool(self._commands)

    def clear(self) -> None:
        """See all of it taken, or given up for another state."""
        self._commands = self._age_ticks = 0

    def is_due(self, durable_index: int) -> bool:
        """Tell whether it is to be flushed."""
        return (
            self._commands >= self._settings.flush_commands_max
            or self._age_ticks >= self._settings.flush_age_ticks_max
            or (self._commands > 0 and self._hurried_index > durable_index)
        )


@dataclass(slots=True)
class Checkpoint:
    """The last checkpoint, from its entry to the hash of the state there."""

    index: int = 0  # of the last one applied to this state since the start
    waits: bool = False  # for a flush to take the changes exactly where it stands
    is_hash_due: bool = False  # once that flush is durable
    previous_index: int = 0  # of the one before the one that waits

    def begin(self, index: int) -> None:
        """Let a checkpoint wait at `index`."""
        self.waits = True
        self.previous_index, self.index = self.index, index

    def give_up(self) -> None:
        """Wait no longer: there is no space to flush."""
        if self.waits:
            self.waits = False
            self.index = self.previous_index

    def changes_taken(self) -> None:
        """See the changes taken where it stands."""
        self.is_hash_due, self.waits = self.waits, False


@dataclass(frozen=True, slots=True)
class Taken:
    """What the outstanding flush writes."""

    index: int  # applied up to there
    changes: Changes


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
        self.held = False  # by a snapshot that waits to replace the state
        self._unflushed = Unflushed(settings)
        self._job = RetriedJob(settings.full_retry_ticks)  # the outstanding flush
        self._taken: Taken | None = None  # by the outstanding flush
        self._slow_ticks = 0  # for which it counts as slow
        self._checkpoint = Checkpoint()

    @property
    def checkpoint_index(self) -> int:
        """The index of the last checkpoint applied to this state since the start."""
        return self._checkpoint.index

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
        return not self._unflushed and self.idle

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
        return self._checkpoint.waits

    def applied(self, entry: Entry, commands: int) -> None:
        """Count an applied entry; one without commands counts as one."""
        self._unflushed.add(max(1, commands))
        self._tail.applied(entry)

    def hurry(self, index: int) -> None:
        """Let everything up to `index` become durable soon."""
        self._unflushed.hurry(index)

    def checkpoint(self) -> None:
        """Hash the state where it stands."""
        if not self.is_full:
            self._checkpoint.begin(self._machine.applied_index)

    def tick(self) -> None:
        """Let what is not flushed age; a flush that found no space is tried again now and then."""
        self._unflushed.tick()
        self._slow_ticks = max(0, self._slow_ticks - 1)
        self._job.tick()
        if self._job.is_retry_due and self._taken is not None:
            self._store.flush(self._taken.changes, self._job.ticket)
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
            self._checkpoint.give_up()

    def start(self) -> None:
        """Begin a flush when one is due and none is outstanding."""
        if self.held or not self.idle:
            return
        if not self._checkpoint.waits and not self._unflushed.is_due(self.durable_index):
            return
        changes = self._machine.take_changes()
        self._checkpoint.changes_taken()
        self._unflushed.clear()
        if changes is None:
            self._hash()
            return
        self._taken = Taken(self._machine.applied_index, changes)
        self._store.flush(changes, self._job.begin())

    def finished(self, ticket: int) -> bool:
        """Note that the outstanding flush is durable; False when `ticket` names another."""
        if self._taken is None or not self._job.owns(ticket):
            return False
        self._job.end()
        self._machine.flushed()
        self.durable_index = self._taken.index
        self._taken = None
        self._hash()
        return True

    def give_up(self, pinned_index: int | None) -> int:
        """Return up to where the log may be compacted; 0 when nothing is to go."""
        return self._tail.give_up(self.durable_index, pinned_index)

    def replaced(self) -> None:
        """Begin anew with a state that came as a snapshot."""
        self._tail.clear()
        self.durable_index = self._machine.applied_index
        self._unflushed.clear()
        self._checkpoint = Checkpoint()
        self.held = False

    def _hash(self) -> None:
        if self._checkpoint.is_hash_due:
            self._checkpoint.is_hash_due = False
            self._store.hash(self._job.ticket)
