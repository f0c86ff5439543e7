"""A member's process: a whole node on simulated ports, that can be killed, paused and started."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

from inventory.raft.v1 import forward_pb2, membership_pb2, peer_pb2
from inventory.v1 import inventory_pb2
from inventory_node import wal
from inventory_node.codec import add_to_frame, message_from_wire, surveys_of
from inventory_node.core import Halted, Node, NodeSettings, Ports
from inventory_node.events import Answered, Continue, DiskDone, Event, Tick, arrival
from inventory_node.machine import Applied, Machine
from inventory_node.machine.changes import Changes
from inventory_node.ports import Contact, DiskOperation, PeerMessage, SnapshotHeader, SyncFile
from raft.messages import Configuration, Entry, SnapshotMeta
from raft.ready import Leadership, Role

from sim.checks import SafetyViolation, State
from sim.disk import SimDisk
from sim.network import Network
from sim.store import SimStore
from sim.timeline import Timeline
from sim.trace import Trace, describe

TICK_US = 25_000
TURN_US = 5  # between an event and the Continue that it makes necessary
EPOCH_MS = 1_700_000_000_000
DISK_US_MAX = (250, 3_000, 30_000)  # of one operation; each member's disk has one of these
SEGMENT_BYTES = 1 << 14  # small, so that a run rolls and cuts


@dataclass(frozen=True, slots=True)
class ChunkAnswer:
    """What a member says to the sender of a snapshot's chunk."""

    sender: int  # of the chunk
    index: int  # of the snapshot
    taken: int  # bytes
    installed: bool
    problem: str


class Surroundings(Protocol):
    """What a process reaches of the world; `sim.world` is it."""

    timeline: Timeline
    network: Network
    trace: Trace
    random: Random

    def carry(self, sender: int, recipient: int, message: PeerMessage) -> None:
        """Bring a message to a member."""
        ...

    def reply(self, member: int, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Bring a frame to the gateway."""
        ...

    def stream_snapshot(
        self, member: int, peer: int, term: int, header: SnapshotHeader, path: str
    ) -> None:
        """Bring a file to a member, in chunks."""
        ...

    def answer_chunk(self, member: int, answer: ChunkAnswer) -> None:
        """Bring the answer to a chunk to who sent it."""
        ...

    def started(self, member: int, applied_index: int) -> None:
        """See that a member begins with the state at an index."""
        ...

    def applied(self, member: int, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """See an entry that a member applied, and what it came to."""
        ...

    def settled(self, member: int) -> None:
        """See that a member has handled an event."""
        ...


@dataclass(slots=True)
class Life:
    """One run of a member's process; what is under way for an earlier one goes nowhere."""

    over: bool = False


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
        self._disk_us_max = world.random.choice(DISK_US_MAX)
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

    @property
    def role(self) -> Role:
        """Return what the member takes itself for; a process that is gone follows."""
        return self.node._raft.role if self.node is not None else Role.FOLLOWER

    @property
    def term(self) -> int:
        """Return the member's term, 0 without a process."""
        return self.node._raft.term if self.node is not None else 0

    @property
    def last_index(self) -> int:
        """Return the last index of the member's log, 0 without a process."""
        return self.node._raft.last_index if self.node is not None else 0

    def start(self) -> None:
        """Run the node on what disk and database hold."""
        self.life = Life()
        self.paused = False
        self._note("start")
        recovered = wal.recover(self.disk, segment_bytes=SEGMENT_BYTES)
        installed = recovered.installed.index if recovered.installed else 0
        self.store = SimStore(self._folder, installed)
        machine = Machine(self.store)
        self.world.started(self.id, machine.applied_index)
        ports = Ports(
            disk=self,
            store=StorePort(self, self.store),
            transport=self,
            observer=self,
            clock=self,
            random=self,
        )
        self.node = Node(self.settings, ports, recovered, machine)
        self.node.allow_campaigns(allowed=True)
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

    def audit(self, user_id: int, items: Iterable[int]) -> State:
        """Read stock and orders from the database, past the node, as a user who may see them."""
        found = {item: self.store.item(item) for item in items} if self.store else {}
        on_hand = {key: item.quantity for key, item in found.items() if item is not None}
        orders: list[tuple[int, int, int]] = []
        question = forward_pb2.Question(user_id=user_id, epoch=1)
        question.query.list_orders.page_size = 100
        while True:
            page = inventory_pb2.ListOrdersResponse.FromString(self._ask(question))
            orders += [
                (order.id, line.item_id, line.quantity)
                for order in page.orders
                for line in order.lines
            ]
            if not page.next_page_token:
                return State(on_hand, tuple(orders))
            question.query.list_orders.page_token = page.next_page_token

    def _ask(self, question: forward_pb2.Question) -> bytes:
        if self.store is None:
            raise RuntimeError(f"{self.settings.name} does not run")
        self.store.ask([(0, question)])
        event = self.store.step()
        while not isinstance(event, Answered):
            event = self.store.step()
            if event is None:
                raise RuntimeError(f"{self.settings.name} does not answer")
        if event.answers[0].error:
            raise RuntimeError(f"{self.settings.name} does not answer: {event}")
        return event.answers[0].response

    def _note(self, text: str) -> None:
        self.world.trace.add(self.world.timeline.now_us, self.settings.name, text)

    # The Observer port.

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Show the checks what was applied."""
        self.world.applied(self.id, entry, outcomes)

    def filled_up(self, *, is_full: bool) -> None:
        """Note whether there is space."""
        self._note(f"full {is_full}")

    def warned(self, what: str, detail: str) -> None:
        """Note it; that states differ is what no fault of this world may come to."""
        self._note(f"{what}: {detail}")
        if what == "diverged":
            raise SafetyViolation(f"{self.settings.name}: {detail}")

    def lead_changed(self, leadership: Leadership, leader: str) -> None:
        """Note who leads."""
        del leader  # its id is enough
        self._note(describe(leadership))

    # The Clock and Random ports.

    def meet(self, contacts: Mapping[int, Contact]) -> None:
        """Nobody joins later in this world."""
        if contacts:
            raise RuntimeError(f"{contacts} cannot be met")

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Nobody asks for changes in this world."""
        raise RuntimeError(f"change {ticket} was not asked for: {response}")

    def elapsed_ms(self) -> int:
        """Return the time that has passed in the world."""
        return self.world.timeline.now_us // 1000

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
        return self.world.random.randrange(10, self._disk_us_max)

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

    def store_job(self) -> None:
        """See that the store has been given a job; it takes its time."""
        self._later(self.world.random.randrange(200, 20_000), self._work_store)

    def _work_store(self) -> None:
        event = self.store.step() if self.store is not None else None
        if event is not None:
            # Between the end of the work and its event, a crash finds the work done.
            self._later(self.world.random.randrange(1, 500), partial(self.deliver, event))

    # The Transport port.

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Send messages, each on its own, through the codec."""
        for message in messages:
            frame = peer_pb2.PeerFrame()
            add_to_frame(frame, message)
            read = peer_pb2.PeerFrame.FromString(frame.SerializeToString())
            for one in (*map(message_from_wire, read.messages), *surveys_of(read)):
                self.world.carry(self.id, one.recipient, one)

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
        answer = ChunkAnswer(peer, index, taken, installed, problem)
        self.world.answer_chunk(self.id, answer)

    def hear(self, message: PeerMessage) -> None:
        """Take a peer's message."""
        self.deliver(arrival(message))


class StorePort:
    """The `Store` port: every job takes its time."""

    def __init__(self, process: Process, store: SimStore) -> None:
        """Stand before `store`."""
        self._process = process
        self._store = store

    def flush(self, changes: Changes, ticket: int) -> None:
        """Write changes."""
        self._store.flush(changes, ticket)
        self._process.store_job()

    def condemn(self, reason: str) -> None:
        """Mark the state."""
        self._store.condemn(reason)

    def ask(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """Answer questions."""
        self._store.ask(questions)
        self._process.store_job()

    def hash(self, ticket: int) -> None:
        """Hash the state as flushed."""
        self._store.hash(ticket)
        self._process.store_job()

    def copy(self, ticket: int) -> None:
        """Copy the flushed state."""
        self._store.copy(ticket)
        self._process.store_job()

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """Add a chunk."""
        self._store.stage(header, offset, data, ticket)
        self._process.store_job()

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """Switch to the staged snapshot."""
        self._store.install(meta, ticket)
        self._process.store_job()
