"""A member's process: a whole node on simulated ports, that can be killed, paused and started."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from inventory.raft.v1 import forward_pb2, peer_pb2
from inventory_node import wal
from inventory_node.codec import message_from_wire, message_to_wire
from inventory_node.core import Halted, Node, NodeSettings, Ports
from inventory_node.events import Continue, DiskDone, Event, PeerMessages, Tick
from inventory_node.machine import Applied, Machine
from inventory_node.ports import DiskOperation, SnapshotHeader, SyncFile
from raft.messages import Configuration, Entry, Message
from sim.disk import SimDisk
from sim.store import SimStore
from sim.timeline import Timeline
from sim.trace import Trace, describe

TICK_US = 25_000
TURN_US = 5  # between an event and the Continue that it makes necessary
EPOCH_MS = 1_700_000_000_000
SEGMENT_BYTES = 1 << 14  # small, so that a run rolls and cuts


class Surroundings(Protocol):
    """What a process reaches of the world; `sim.world` is it."""

    timeline: Timeline
    trace: Trace
    random: Random

    def carry(self, sender: int, recipient: int, message: Message) -> None:
        """Bring a message to a member."""
        ...

    def reply(self, member: int, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Bring a frame to the gateway."""
        ...

    def stream_snapshot(self, member: int, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Bring a file to a member, in chunks."""
        ...

    def answer_chunk(
        self, member: int, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Bring the answer to a chunk to who sent it."""
        ...

    def applied(self, member: int, entry: Entry) -> None:
        """See an entry that a member is about to apply."""
        ...

    def settled(self, member: int) -> None:
        """See that a member has handled an event."""
        ...


@dataclass(slots=True)
class Life:
    """One run of a member's process; what is under way for an earlier one goes nowhere."""

    over: bool = False


class WatchedMachine(Machine):
    """The state machine, with each entry shown to the checks before it is applied."""

    def __init__(self, store: SimStore, watch: Callable[[Entry], None]) -> None:
        """`watch` is called with every entry that is applied."""
        super().__init__(store)
        self._watch = watch

    def apply(self, entry: Entry) -> list[Applied]:
        """Show the entry, then apply it."""
        self._watch(entry)
        return super().apply(entry)


class Process:
    """One member's process, disk and database; also its ports.

    - Nothing that belongs to an earlier life reaches a later one.
    - A paused process handles nothing; what arrives meanwhile waits, in order.
    """

    def __init__(self, settings: NodeSettings, folder: Path, world: Surroundings) -> None:
        """Make an empty disk, bootstrapped with all members as voters; `start` runs the node."""
        self.settings = settings
        self.world = world
        self.life = Life(over=True)
        self.paused = False
        self.skew_ms = 0
        self._folder = folder
        self._waiting: deque[Event] = deque()
        self._finished: list[int] = []  # tickets of disk jobs
        self.disk = SimDisk(self._finished.append)
        log = wal.recover(self.disk, segment_bytes=SEGMENT_BYTES).log
        identity = wal.Identity(settings.cluster_id, settings.member_id, settings.name)
        self.disk.run(log.bootstrap(identity, Configuration(frozenset(settings.members))), 0)
        self.disk.drain()
        self._finished.clear()
        self.store: SimStore | None = None
        self.node: Node | None = None

    @property
    def id(self) -> int:
        """Return the member's id."""
        return self.settings.member_id

    @property
    def alive(self) -> bool:
        """Whether the process runs, paused or not."""
        return not self.life.over

    def start(self) -> None:
        """Run the node on what disk and database hold."""
        self.life = Life()
        self.paused = False
        self._note("start")
        recovered = wal.recover(self.disk, segment_bytes=SEGMENT_BYTES)
        installed = recovered.installed.index if recovered.installed else 0
        self.store = SimStore(self._folder, installed)
        machine = WatchedMachine(self.store, lambda entry: self.world.applied(self.id, entry))
        ports = Ports(disk=self, store=StorePort(self), transport=self, clock=self, random=self)
        self.node = Node(self.settings, ports, recovered, machine)
        self.node.campaign_allowed = True
        life = self.life
        self._later(self.world.random.randrange(TICK_US), lambda: self._tick(life))

    def end(self, *, power: bool) -> None:
        """End the process at once, and with `power` the machine that it runs on."""
        self._note("power off" if power else "killed")
        self.life.over = True
        self._waiting.clear()
        if power:
            self.disk.crash(self.world.random)
        else:
            self.disk.kill()
        if self.store is not None:
            self.store.close()
        self.node = self.store = None

    def pause(self) -> None:
        """Stop handling events, as SIGSTOP does."""
        self._note("paused")
        self.paused = True

    def resume(self) -> None:
        """Handle what waited, and go on."""
        self._note("resumed")
        self.paused = False
        while self._waiting and self.alive and not self.paused:
            self._handle(self._waiting.popleft())

    def deliver(self, event: Event) -> None:
        """Give the node an event, unless there is no process to take it."""
        if not self.alive:
            return
        if self.paused:
            if not isinstance(event, Tick) or not self._waiting:
                self._waiting.append(event)
            return
        self._handle(event)

    def _handle(self, event: Event) -> None:
        if self.node is None:
            return
        self._note(describe(event))
        try:
            self.node.handle(event)
        except Halted as halted:
            self._note(f"halted: {halted}")
            raise
        self.world.settled(self.id)
        if self.node.busy:
            self._later(TURN_US, lambda: self.deliver(Continue()))

    def _tick(self, life: Life) -> None:
        if life.over:
            return
        self.deliver(Tick())
        self.world.timeline.after(TICK_US, lambda: self._tick(life))

    def _later(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something in this life, or not at all."""
        life = self.life
        self.world.timeline.after(delay_us, lambda: None if life.over else action())

    def _note(self, text: str) -> None:
        self.world.trace.add(self.world.timeline.now_us, self.settings.name, text)

    # The Clock and Random ports.

    def now_ms(self) -> int:
        """Return the member's own wall-clock time."""
        return EPOCH_MS + self.world.timeline.now_us // 1000 + self.skew_ms

    def below(self, bound: int) -> int:
        """Draw from 0 to bound - 1."""
        return self.world.random.randrange(bound)

    # The Disk port.

    def names(self) -> list[str]:
        """List the files."""
        return self.disk.names()

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        return self.disk.read(name)

    def run(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Queue a job; its operations take their time one by one."""
        idle = not self.disk.busy
        self.disk.run(operations, ticket)
        if idle:
            self._later(self._disk_us(), self._work_disk)

    def _disk_us(self) -> int:
        return self.world.random.randrange(10, 250)

    def _work_disk(self) -> None:
        operation = self.disk.step()
        if operation is not None:
            size = 0 if isinstance(operation, SyncFile) else len(getattr(operation, "data", b""))
            self._note(f"disk {type(operation).__name__} {size}")
        finished = list(self._finished)
        self._finished.clear()
        if self.disk.busy:
            self._later(self._disk_us(), self._work_disk)
        for ticket in finished:
            self.deliver(DiskDone(ticket))

    # The Transport port.

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages, each on its own, through the codec."""
        for message in messages:
            data = message_to_wire(message).SerializeToString()
            read = message_from_wire(peer_pb2.Message.FromString(data))
            self.world.carry(self.id, message.recipient, read)

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Answer on a gateway's stream."""
        sent = forward_pb2.ForwardResponse()
        sent.CopyFrom(response)
        self.world.reply(self.id, session, sent)

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Stream a file."""
        self.world.stream_snapshot(self.id, peer, term, header, path)

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Answer the sender of a chunk."""
        self.world.answer_chunk(self.id, peer, index, taken, installed=installed, problem=problem)

    def hear(self, message: Message) -> None:
        """Take a peer's message."""
        self.deliver(PeerMessages((message,)))
