"""The write path of one member as a whole, from an offered command to a durable state."""

from raft import RawNode
from raft.messages import Message, SnapshotMeta
from raft.ready import RaftRole, Ready

from inventory_node.core.replies import Replies
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.core.write.applier import Applier
from inventory_node.core.write.disk_space import DiskSpace
from inventory_node.core.write.flusher import Flusher, LogTail
from inventory_node.core.write.log_writer import LogWriter
from inventory_node.core.write.proposals import Proposals
from inventory_node.core.write.timestamps import TimestampOracle
from inventory_node.machine import Machine
from inventory_node.wal import Recovered


class WritePath:
    """The parts that write, and the work that concerns two parts or more.

    - A snapshot that replaces the state stops all parts at once, and all parts resume at once.
    - The log is cut only below what the database holds.
    """

    def __init__(
        self,
        settings: NodeSettings,
        ports: Ports,
        recovered: Recovered,
        machine: Machine,
        replies: Replies,
    ) -> None:
        """Take over what recovery found; the recovery's repair is the first job of the disk."""
        self._machine = machine
        self.log_writer = LogWriter(
            recovered.log, ports.disk, recovered.repair, settings.full_retry_ticks
        )
        self.timestamps = TimestampOracle(
            settings, ports.clock, machine.stamp_ms, recovered.entries
        )
        self.proposals = Proposals(settings, replies, self.timestamps)
        applied = (entry for entry in recovered.entries if entry.index <= machine.applied_index)
        self.flusher = Flusher(settings, machine, ports.store, LogTail(settings, applied))
        self.applier = Applier(
            settings, ports.observer, ports.hooks, machine, self.proposals, self.flusher
        )
        self.disk_space = DiskSpace(self.log_writer, self.flusher, ports.observer)

    @property
    def is_at_rest(self) -> bool:
        """Whether neither the log nor the database can write any more."""
        return self.log_writer.is_at_rest and self.flusher.is_at_rest

    def tick(self) -> None:
        """Count a tick in every part that measures time."""
        self.flusher.tick()
        self.log_writer.tick()
        self.timestamps.clock_skew.tick()

    def propose(self, raft: RawNode, *, is_held: bool) -> None:
        """Propose the waiting commands, on a leader; if `is_held`, the commands go on waiting."""
        self.disk_space.report()
        if self.disk_space.is_full and not raft.transferring:
            self.proposals.turn_away()
        is_held = is_held or raft.transferring
        if self.log_writer.idle and not is_held and raft.role is RaftRole.LEADER:
            self.proposals.propose(raft)

    def hold(self) -> None:
        """Wait for a snapshot that replaces the state."""
        self.applier.hold()
        self.timestamps.hold()

    def accept(self, ready: Ready) -> tuple[Message, ...]:
        """Take over writes and committed entries; return messages that need not wait for a sync."""
        free = self.log_writer.accept(ready)
        self.timestamps.note(ready.entries)
        self.applier.queue(ready.committed)
        return free

    def apply(self, raft: RawNode) -> bool:
        """Apply one turn of committed entries; return whether any entry was applied."""
        entry = self.applier.turn()
        if entry is None:
            return False
        raft.applied(entry.index)
        self.proposals.initialize(raft, self._machine, entry.term)
        return True

    def compact(self, raft: RawNode, pinned_index: int | None) -> None:
        """Cut the part of the log that the database has made superfluous."""
        if index := self.flusher.release_log(pinned_index):
            raft.compact(index)
            self.log_writer.cut(index)

    def go_on_from(self, meta: SnapshotMeta) -> None:
        """Resume from the state that a snapshot brought."""
        self.applier.reload(meta)
        self.timestamps.replaced(self._machine.stamp_ms)
        self.flusher.replaced()

    def stop(self) -> None:
        """Answer all waiting commands with a retry, and make applied entries durable."""
        self.proposals.leadership_changed(0)
        self.flusher.hurry(self._machine.applied_index)
