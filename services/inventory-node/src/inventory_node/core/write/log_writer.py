"""The log's disk: one job at a time; obligations that arrive meanwhile form the next job.

This is the whole group commit: no timer gathers obligations, the previous sync does.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from raft.messages import AppendReply, Entry, HardState, Message, SnapshotMeta
from raft.ready import Mark, Ready

from inventory_node.core.write.retried_job import RetriedJob
from inventory_node.ports import DiskOperation, LogDisk
from inventory_node.wal import WriteAheadLog

MESSAGES_MAX = 256  # that wait for one sync; more are reduced to the newest (`_newest`)


@dataclass(slots=True)
class LogBatch:
    """Obligations of one or more Readies that one sync fulfils; empty for upkeep of the log."""

    hard_state: HardState | None = None
    install: SnapshotMeta | None = None
    entries: list[Entry] = field(default_factory=list)
    mark: Mark | None = None
    messages: list[Message] = field(default_factory=list)

    def merge(self, ready: Ready) -> None:
        """Merge a later Ready; a Ready with a snapshot only goes into an empty batch."""
        self.hard_state = ready.hard_state or self.hard_state
        self.install = ready.install or self.install
        if ready.entries:
            self._replace_from(ready.entries[0].index)
            self.entries += ready.entries
        self.owe(ready)

    def owe(self, ready: Ready) -> None:
        """Take the messages that wait for this sync, and the mark that the sync makes durable."""
        self.mark = ready.mark or self.mark
        self.messages += ready.after_sync
        if len(self.messages) > MESSAGES_MAX:  # the disk is full or hangs, and peers go on asking
            self.messages = _newest(self.messages)

    def _replace_from(self, index: int) -> None:
        """Drop unwritten entries that a later entry at `index` replaces (Raft §5.3)."""
        if self.entries and self.entries[-1].index >= index:
            del self.entries[max(0, index - self.entries[0].index) :]


def _newest(messages: Sequence[Message]) -> list[Message]:
    """Keep one message of each kind to each member: the last, or the furthest acceptance."""
    kept: dict[tuple[type[Message], int, bool], Message] = {}
    for message in messages:
        key = (type(message), message.recipient, any(_accepted(message)))
        kept[key] = max(message, kept.pop(key, message), key=_accepted)
    return list(kept.values())


def _accepted(message: Message) -> tuple[int, int]:
    """Return the term and the index that a message accepts; zeros if it accepts no entry."""
    if isinstance(message, AppendReply) and message.accepted:
        return message.term, message.index
    return 0, 0


class LogWriter:
    """Gives batches to the disk, in order.

    - At most one job is outstanding, so a batch is written only after the previous sync.
    - A message that waits for a sync is sent with its batch or later, never before.
    - A mark is returned only when its batch is synced.
    - The messages that wait for one sync are bounded. Consensus bounds the entries.
    - While a job waits for space, superfluous segments are removed.
    - Recovered entries count as synced only once `repaired`: they may have been in memory alone.
    """

    def __init__(
        self, log: WriteAheadLog, disk: LogDisk, repair: Sequence[DiskOperation], retry_ticks: int
    ) -> None:
        """Begin with the recovery's repair; every other job queues behind the repair."""
        self._log = log
        self._disk = disk
        self._queue: deque[LogBatch] = deque()
        self._job = RetriedJob(retry_ticks)
        self._outstanding: LogBatch | None = None  # of the job
        self._cut_index = 0  # asked for and not yet planned
        self._operations: Sequence[DiskOperation] = ()  # of the job
        self.repaired = not repair
        self._makes_room = False  # the disk removes segments in the middle of the outstanding job
        if repair:
            self._run(LogBatch(), repair)

    @property
    def idle(self) -> bool:
        """Whether everything taken is synced."""
        return self._outstanding is None and not self._queue

    @property
    def is_full(self) -> bool:
        """Whether the outstanding job waits for space."""
        return self._job.is_full

    @property
    def is_at_rest(self) -> bool:
        """Whether everything taken is synced, or the disk has no space."""
        return self.idle or self.is_full

    def accept(self, ready: Ready) -> tuple[Message, ...]:
        """Take over a Ready's durable part; return the messages that need not wait for a sync."""
        if ready.hard_state is None and ready.install is None and not ready.entries:
            return self._accept_messages(ready)
        if not self._queue or ready.install is not None:
            self._queue.append(LogBatch())
        self._queue[-1].merge(ready)
        return ()

    def _accept_messages(self, ready: Ready) -> tuple[Message, ...]:
        newest = self._queue[-1] if self._queue else self._outstanding
        if newest is None:
            return ready.after_sync
        newest.owe(ready)
        return ()

    def cut(self, index: int) -> None:
        """Let segments wholly below `index` go; the caller's state is durable that far."""
        self._cut_index = max(self._cut_index, index)

    def start(self) -> None:
        """Give the disk its next job unless a job is outstanding."""
        if self._outstanding is not None:
            if self._job.rests and self._outstanding.install is None:
                self._make_room()
            return
        if operations := self._removals(keeps=1):
            self._run(LogBatch(), operations)
            return
        if self._queue:
            batch = self._queue.popleft()
            self._run(batch, self._log.append(batch.hard_state, batch.install, batch.entries))

    def _removals(self, keeps: int) -> Sequence[DiskOperation]:
        """Return the operations that remove superfluous segments, but for the last `keeps`."""
        if not self._cut_index:
            return ()
        operations = self._log.cut(self._cut_index, keeps)
        if operations or keeps == 1:
            self._cut_index = 0
        return operations

    def _make_room(self) -> None:
        """Remove segments while a job waits for space for a segment that is not on the disk yet.

        Not while the job records a snapshot: the planned log already counts without the entries
        before the snapshot.
        """
        if operations := self._removals(keeps=2):
            self._makes_room = True
            self._disk.submit(operations, self._job.interrupt())

    def _run(self, batch: LogBatch, operations: Sequence[DiskOperation]) -> None:
        self._operations = operations
        self._outstanding = batch
        self._disk.submit(operations, self._job.begin())

    def done(self, ticket: int) -> LogBatch | None:
        """Return the batch that is synced; None if `ticket` does not end the outstanding job."""
        if not self._job.owns(ticket):
            return None
        if self._makes_room:
            self._makes_room = False
            self._disk.submit(self._operations, self._job.interrupt())
            return None
        batch, self._outstanding = self._outstanding, None
        self._operations = ()
        self._job.end()
        self.repaired = True
        return batch

    def tick(self) -> None:
        """Age the outstanding job; retry a job that found no space once its backoff is over."""
        self._job.tick()
        if self._job.is_retry_due:
            self._disk.submit(self._operations, self._job.ticket)

    def hangs(self, ticks_max: int) -> bool:
        """Tell whether the outstanding job takes longer than `ticks_max`."""
        return self._job.age_ticks > ticks_max

    def full(self, ticket: int) -> None:
        """Note that the outstanding job found no space; no operation of the job was done."""
        if self._job.owns(ticket):
            self._job.run_out()
