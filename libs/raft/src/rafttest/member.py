"""One member: a core, its disk, its state machine, and the obligations of its caller."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from raft import Accepted, RaftSettings, RawNode
from raft.membership import Change
from raft.messages import (
    AppendReply,
    Entry,
    EntryKind,
    InstallSnapshot,
    Message,
    SnapshotMeta,
)
from raft.ready import RaftRole, Ready

from rafttest.disk import CoreDisk, Image, WriteBatch, configurations_of, upto
from rafttest.properties import Properties


@dataclass(slots=True, kw_only=True)
class CoreSnapshotStream:
    """A snapshot under way from a leader to a follower."""

    sender: "CoreMember"
    life: int  # of the sender: a restarted sender has forgotten its streams
    recipient: int
    term: int
    meta: SnapshotMeta
    image: Image
    due: int
    deadline: int
    arrived: bool = False


@dataclass(slots=True, kw_only=True)
class CoreSurroundings:
    """The parts of the world that a member uses."""

    random: Random
    properties: Properties
    disks: dict[int, CoreDisk]
    send: Callable[[Message], None]
    round: Callable[[], int]
    streams: list[CoreSnapshotStream]
    sync_rounds_max: int


class CoreMember:
    """Fulfils the obligations of a caller, as late as the core's manual allows."""

    def __init__(self, settings: RaftSettings, disk: CoreDisk, world: CoreSurroundings) -> None:
        """Start for the first time."""
        self.settings = settings
        self.disk = disk
        self.world = world
        self.life = 0
        self.is_paused = False
        self.staged: dict[tuple[int, int], Image] = {}
        self.node: RawNode | None = None
        self.start()

    def start(self) -> None:
        """Start from the disk."""
        self.life += 1
        self.is_paused = False
        self.image = self.disk.image
        self.unapplied: list[Entry] = []
        self.proposed: dict[int, int] = {}  # index to term of the entries that clients wait for
        self.configurations = self.disk.configurations()
        self.node = RawNode(self.settings, self.disk.restored())
        self.seen_commit_index = self.node.commit_index
        self.fulfil()

    def crash(self) -> None:
        """Stop at once; a random prefix of the unsynced batches is kept."""
        self.node = None
        self.staged.clear()
        self.disk.crash(self.world.random.randint(0, len(self.disk.queue)))

    @property
    def running(self) -> RawNode:
        """Return the core; raise LookupError if the member is down."""
        if self.node is None:
            raise LookupError(f"member {self.settings.id} is down")
        return self.node

    def step(self, message: Message) -> None:
        """Process a message."""
        self.running.step(message)
        self.fulfil()

    def tick(self) -> None:
        """Count a tick."""
        self.running.tick()
        self.fulfil()

    def propose(self, payloads: list[bytes]) -> None:
        """Propose entries, and wait for the entries if they are accepted."""
        match self.running.propose(payloads):
            case Accepted(first_index, term):
                for index in range(first_index, first_index + len(payloads)):
                    self.proposed[index] = term
            case _:
                pass
        self.fulfil()

    def change(self, change: Change) -> bool:
        """Begin a membership change; tell whether the change began."""
        accepted = self.running.change(change)
        self.fulfil()
        return isinstance(accepted, Accepted)

    def transfer(self, target: int) -> None:
        """Begin a leadership transfer, if this member leads."""
        self.running.transfer(target)
        self.fulfil()

    def read(self, context: int) -> None:
        """Ask for a read index."""
        self.world.properties.read_began(context)
        if not self.running.read(context):
            self.world.properties.reads.pop(context)
        self.fulfil()

    def fulfil(self) -> None:
        """Fulfil the obligations of every Ready, and check the properties."""
        self.world.properties.events += 1
        node = self.running
        self.world.properties.consistent(node)
        while (ready := node.ready()) is not None:
            self._judge(node, ready)
            for message in ready.at_once:
                self.world.properties.directed(message, node.configuration)
                self._leave(message)
            self._write(ready)
            if ready.install is not None:
                self.unapplied.clear()
                self.image = self.staged[ready.install.index, ready.install.term]
                node.applied(self.image.index)
            self.unapplied.extend(ready.committed)
            for read in ready.reads:
                self.world.properties.read_confirmed(read.context, read.index)
            for context in ready.dropped_reads:
                self.world.properties.reads.pop(context)
            for peer in ready.snapshots:
                self._stream(node, peer)

    def _judge(self, node: RawNode, ready: Ready) -> None:
        properties = self.world.properties
        if node.commit_index > self.seen_commit_index:
            properties.advanced(node, self.seen_commit_index + 1, self.world.disks)
            self.seen_commit_index = node.commit_index
        if ready.install is not None:
            self.configurations = [(ready.install.index, ready.install.configuration)]
        if ready.entries:
            previous_term = node.term_at(ready.entries[0].index - 1) or 0
            properties.appended(node.id, previous_term, ready.entries)
            self._configure(node, ready.entries)
        properties.configured(node, self.configurations[-1][1])
        if node.role is RaftRole.LEADER:
            properties.led(node)
            properties.bounded(node, self.settings)

    def _configure(self, node: RawNode, entries: tuple[Entry, ...]) -> None:
        """Track the configurations of the log, as a caller's own log does."""
        self.configurations = upto(self.configurations, entries[0].index - 1)
        for index, configuration in configurations_of(entries):
            if node.role is RaftRole.LEADER:
                self.world.properties.changed(node, *self.configurations[-1], configuration)
            self.configurations.append((index, configuration))

    def _leave(self, message: Message) -> None:
        self.world.properties.left(message, self.disk)
        self.world.send(message)

    def _write(self, ready: Ready) -> None:
        """Queue a write. The messages of `after_sync` wait for all queued writes."""
        if ready.mark is None and not self.disk.queue:
            for message in ready.after_sync:
                self._leave(message)
            return
        if ready.mark is None and not ready.after_sync:
            return
        image = None
        if ready.install is not None:
            image = self.staged[ready.install.index, ready.install.term]
        self.disk.queue.append(
            WriteBatch(
                hard_state=ready.hard_state,
                install=ready.install,
                image=image,
                entries=ready.entries,
                mark=ready.mark,
                after_sync=ready.after_sync,
                due=self.world.round() + self.world.random.randint(0, self.world.sync_rounds_max),
            )
        )

    def sync(self) -> None:
        """Sync the batches that are due, with one sync and one mark."""
        done = []
        while self.disk.queue and self.disk.queue[0].due <= self.world.round():
            done.append(self.disk.sync_first())
            for message in done[-1].after_sync:
                self._leave(message)
                if isinstance(message, AppendReply) and message.accepted:
                    self._installed(message)
        marks = [batch.mark for batch in done if batch.mark is not None]
        if marks:
            # A mark is cumulative, so the last mark covers all batches.
            self.running.persisted(marks[-1])
            self.fulfil()

    def apply(self, count: int) -> None:
        """Apply at most `count` committed entries, and acknowledge them to the clients."""
        properties = self.world.properties
        entries, self.unapplied = self.unapplied[:count], self.unapplied[count:]
        for entry in entries:
            if entry.index != self.image.index + 1:
                raise LookupError(f"entry {entry.index} handed out after {self.image.index}")
            checksum = zlib.crc32(b"%d:" % entry.term + entry.payload, self.image.checksum)
            self.image = Image(entry.index, entry.term, checksum)
            properties.applied(self.settings.id, self.image, self.disk)
            if self.proposed.pop(entry.index, 0) == entry.term and entry.kind is EntryKind.COMMAND:
                properties.acknowledged(entry.index)
        if entries:
            self.running.applied(self.image.index)
            self.fulfil()

    def flush(self) -> None:
        """Make the applied state durable."""
        self.disk.flush(self.image)

    def compact(self, kept: int) -> None:
        """Cut the log below the durable state, and keep some entries."""
        index = self.disk.image.index - kept
        if index > self.disk.base_index:
            self.running.compact(index)
            self.disk.cut(index)
            self.fulfil()

    def _stream(self, node: RawNode, peer: int) -> None:
        world = self.world
        due = world.round() + 1 + world.random.randint(0, 8)
        configuration = node.configuration_at(self.image.index)
        meta = SnapshotMeta(self.image.index, self.image.term, configuration)
        world.streams.append(
            CoreSnapshotStream(
                sender=self,
                life=self.life,
                recipient=peer,
                term=node.term,
                meta=meta,
                image=self.image,
                due=due,
                deadline=due + 20,
            )
        )

    def receive(self, stream: CoreSnapshotStream) -> None:
        """Receive the last byte of a snapshot, which is then verified and synced in staging."""
        self.staged[stream.meta.index, stream.meta.term] = stream.image
        stream.arrived = True
        self.step(
            InstallSnapshot(stream.sender.settings.id, self.settings.id, stream.term, stream.meta)
        )

    def _installed(self, reply: AppendReply) -> None:
        """End the streams of the snapshots that the sender of the reply holds on disk."""
        for stream in self.world.streams:
            is_waiting = stream.arrived and stream.deadline and stream.recipient == reply.sender
            if is_waiting and reply.index >= stream.meta.index:
                self.end(stream, installed=True)

    def end(self, stream: CoreSnapshotStream, *, installed: bool) -> None:
        """Tell the sender of a stream once how the stream ended."""
        stream.deadline = 0
        sender = stream.sender
        if sender.node is not None and sender.life == stream.life:
            sender.node.snapshot_sent(stream.recipient, stream.meta.index, installed=installed)
            sender.fulfil()
