"""When the state is flushed to the database, and which log entries may then be cut.

Apply changes memory. A flush writes all changes since the last flush in one transaction. A flush is
due by count, by age, or because a waiter needs the flush: a query, a checkpoint, the end of the
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

SLOW_TIMES = 6  # a slow flush is remembered for this many times the limit of a hung flush


class LogTail:
    """How much of the log is kept below the applied index, for slow followers.

    - No entry above the durable index is cut, so a restart finds every entry that it replays.
    - No entry above the pin is cut, so a peer can follow on from the snapshot sent to it.
    """

    def __init__(self, settings: NodeSettings, entries: Iterable[Entry]) -> None:
        """Begin with the applied entries that the log still holds, oldest first."""
        self._settings = settings
        self._kept: deque[tuple[int, int]] = deque()  # index, payload bytes
        self._bytes = 0
        for entry in entries:
            self.applied(entry)

    def applied(self, entry: Entry) -> None:
        """Count the next applied entry."""
        self._kept.append((entry.index, len(entry.payload)))
        self._bytes += len(entry.payload)

    def clear(self) -> None:
        """Forget all entries: a snapshot took the log's place."""
        self._kept.clear()
        self._bytes = 0

    def release(self, durable_index: int, pinned_index: int | None) -> int:
        """Release entries that the log need not keep; return the index of the last, 0 for none."""
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
    """Applied commands that no flush has taken, and how urgent their flush is."""

    def __init__(self, settings: NodeSettings) -> None:
        """Start with nothing applied."""
        self._settings = settings
        self._commands = 0
        self._age_ticks = 0  # of the oldest command
        self._hurried_index = 0

    def __bool__(self) -> bool:
        """Whether there is an unflushed command."""
        return self._commands > 0

    def count(self, commands: int) -> None:
        """Count commands that were applied."""
        self._commands += commands

    def hurry(self, index: int) -> None:
        """Make a flush due until everything up to `index` is durable."""
        self._hurried_index = max(self._hurried_index, index)

    def tick(self) -> None:
        """Age the unflushed commands by a tick."""
        self._age_ticks += bool(self._commands)

    def clear(self) -> None:
        """Forget the commands: a flush took them, or another state replaced them."""
        self._commands = self._age_ticks = 0

    def is_due(self, durable_index: int) -> bool:
        """Tell whether a flush is due."""
        return (
            self._commands >= self._settings.flush_commands_max
            or self._age_ticks >= self._settings.flush_age_ticks_max
            or self._hurried_index > durable_index
        )


@dataclass(slots=True)
class Checkpoint:
    """The last checkpoint, from its entry to the hash of the state at that entry."""

    index: int = 0  # of the last checkpoint applied to this state since the start
    waits: bool = False  # for a flush to take the changes exactly at `index`
    is_hash_due: bool = False  # once that flush is durable
    previous_index: int = 0  # of the checkpoint before the waiting checkpoint

    def begin(self, index: int) -> None:
        """Let a checkpoint wait at `index`."""
        self.waits = True
        self.previous_index, self.index = self.index, index

    def abandon(self) -> None:
        """Abandon the waiting checkpoint: there is no space to flush."""
        if self.waits:
            self.waits = False
            self.index = self.previous_index

    def changes_taken(self) -> None:
        """Note that a flush took the changes; a waiting checkpoint's hash follows the flush."""
        self.is_hash_due, self.waits = self.waits, False


@dataclass(frozen=True, slots=True)
class Taken:
    """The content of the outstanding flush."""

    index: int  # applied up to this index
    changes: Changes


class Flusher:
    """Decides on flushes and knows what is durable.

    - At most one flush is outstanding.
    - `durable_index` is the applied index of the last durable flush, never more.
    - The state is hashed at exactly the index of a checkpoint. Nothing is applied between the
      checkpoint and the take of its changes. Nothing is flushed between the checkpoint's flush and
      the start of the hash's read transaction.
    - Nothing is flushed while a snapshot waits to replace the state.
    - A checkpoint that finds no space is abandoned: the next checkpoint is hashed.
    """

    def __init__(
        self, settings: NodeSettings, machine: Machine, store: Store, tail: LogTail
    ) -> None:
        """Begin with a state whose applied entries are all durable."""
        self._settings = settings
        self._tail = tail
        self._machine = machine
        self._store = store
        self.durable_index = machine.applied_index
        self.held = False  # by a snapshot that waits to replace the state
        self._unflushed = Unflushed(settings)
        self._job = RetriedJob(settings.full_retry_ticks)  # the outstanding flush
        self._taken: Taken | None = None  # by the outstanding flush
        self._slow_ticks = 0  # remaining ticks for which the database counts as slow
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
        """Whether every applied entry is flushed."""
        return not self._unflushed and self.idle

    @property
    def is_at_rest(self) -> bool:
        """Whether no flush can be done: all is flushed, space is short, or a snapshot is awaited.

        At the end of the process, the log holds the entries that are not flushed.
        """
        return self.is_durable or self.is_full or self.held

    @property
    def blocks_apply(self) -> bool:
        """Whether a checkpoint waits for a flush to take its changes."""
        return self._checkpoint.waits

    def applied(self, entry: Entry, commands: int) -> None:
        """Count an applied entry; an entry without commands counts as one command."""
        self._unflushed.count(max(1, commands))
        self._tail.applied(entry)

    def hurry(self, index: int) -> None:
        """Make a flush due until everything up to `index` is durable."""
        self._unflushed.hurry(index)

    def checkpoint(self) -> None:
        """Hash the state at the applied index, unless the database waits for space."""
        if not self.is_full:
            self._checkpoint.begin(self._machine.applied_index)

    def tick(self) -> None:
        """Age unflushed commands; retry a flush that found no space once its backoff is over."""
        self._unflushed.tick()
        self._slow_ticks = max(0, self._slow_ticks - 1)
        self._job.tick()
        if self._job.is_retry_due and self._taken is not None:
            self._store.flush(self._taken.changes, self._job.ticket)
        if self._job.age_ticks > self._settings.flush_hung_ticks // 2:
            self._slow_ticks = SLOW_TIMES * self._settings.flush_hung_ticks

    @property
    def hangs(self) -> bool:
        """Whether the outstanding flush takes longer than `flush_hung_ticks`."""
        return self._job.age_ticks > self._settings.flush_hung_ticks

    @property
    def is_slow(self) -> bool:
        """Whether a flush hung or nearly hung lately: the next flush may hang, too."""
        return self._slow_ticks > 0

    def full(self, ticket: int) -> None:
        """Note that the outstanding flush found no space and wrote nothing."""
        if self._job.owns(ticket):
            self._job.run_out()
            self._checkpoint.abandon()

    def start(self) -> None:
        """Begin a flush when a flush is due and none is outstanding."""
        if self.held or not self.idle:
            return
        is_due = self._checkpoint.waits or self._unflushed.is_due(self.durable_index)
        if is_due and (changes := self._machine.take_changes()) is not None:
            self._checkpoint.changes_taken()
            self._unflushed.clear()
            self._taken = Taken(self._machine.applied_index, changes)
            self._store.flush(changes, self._job.begin())

    def finished(self, ticket: int) -> bool:
        """Note that the outstanding flush is durable; False when `ticket` names another flush."""
        if self._taken is None or not self._job.owns(ticket):
            return False
        self._job.end()
        self._machine.flushed()
        self.durable_index = self._taken.index
        self._taken = None
        if self._checkpoint.is_hash_due:
            self._store.hash(ticket)
        return True

    def release_log(self, pinned_index: int | None) -> int:
        """Release entries that the log need not keep; return the index of the last, 0 for none."""
        return self._tail.release(self.durable_index, pinned_index)

    def replaced(self) -> None:
        """Begin anew with a state that came as a snapshot."""
        self._tail.clear()
        self.durable_index = self._machine.applied_index
        self._unflushed.clear()
        self._checkpoint = Checkpoint()
        self.held = False
