"""A member's process: a whole node on simulated ports, that can be killed, paused and started.

A pod, so to say: it has a name for good, and a disk. Who it is as a member stands on the disk; with
another disk it is another member.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Protocol

from inventory.raft.v1 import forward_pb2, membership_pb2
from inventory.v1 import inventory_pb2
from inventory_node import wal
from inventory_node.core.events import (
    Answered,
    Continue,
    Copied,
    DiskDone,
    DiskFailed,
    DiskFull,
    Event,
    Hashed,
    Installed,
    Staged,
    StopRequested,
    StoreFailed,
    StoreFull,
    Tick,
)
from inventory_node.core.node import Halted, Node, NodeSettings, Ports
from inventory_node.machine import Machine
from inventory_node.ports import (
    CreateFile,
    DiskOperation,
    PeerMessage,
    RemoveFile,
    RenameFile,
    SnapshotHeader,
    WriteAt,
)
from raft import RawNode
from raft.messages import Configuration
from raft.ready import RaftRole

from sim.checks import Checks, State
from sim.coverage import Coverage
from sim.disk import SECTOR_BYTES, SimDisk
from sim.durable import Durable, WatchedLog
from sim.joining import Joiner
from sim.network import Network
from sim.ports import ChunkAnswer, DiskPort, Senses, StorePort, TransportPort
from sim.store import NO_SPACE, SimStore
from sim.timeline import Timeline
from sim.trace import Trace, describe
from sim.violation import SafetyViolation

TICK_US = 25_000
TURN_US = 5  # between an event and the Continue that it makes necessary
DISK_US_MAX = (250, 2_000, 15_000)  # of one operation; each member's disk has one of these
SEGMENT_BYTES = 1 << 13  # small, so that a run rolls and cuts
RESTART_US = (50_000, 400_000)  # until a process that halted is started again
RELAPSE_OPERATIONS_MAX = 5  # of the disk, from a start until the power goes again


class Surroundings(Protocol):
    """What a process reaches of the world; `sim.world` is it."""

    timeline: Timeline
    network: Network
    trace: Trace
    checks: Checks
    coverage: Coverage
    events: int  # that members handled

    def carry(self, sender: "Process", message: PeerMessage) -> None:
        """Bring a message to a member."""
        ...

    def reply(self, member: str, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Bring a frame to a gateway."""
        ...

    def stream_snapshot(
        self, sender: "Process", peer: int, term: int, header: SnapshotHeader, path: str
    ) -> None:
        """Bring a file to a member, in chunks."""
        ...

    def answer_chunk(self, member: "Process", answer: ChunkAnswer) -> None:
        """Bring the answer to a chunk to who sent it."""
        ...

    def ask_change(
        self,
        asker: "Process",
        request: membership_pb2.ChangeRequest,
        told: Callable[[membership_pb2.ChangeResponse], None],
    ) -> None:
        """Ask every other member for a change; `told` hears each answer that comes."""
        ...

    def ended(self, process: "Process", *, restart: bool) -> None:
        """See the end of a process; with `restart` somebody has to start it again."""
        ...

    def next_session(self) -> int:
        """Return a number for a gateway's stream."""
        ...

    def next_member(self) -> int:
        """Return an id that no member ever had."""
        ...


@dataclass(slots=True)
class Life:
    """One run of a member's process; what is under way for an earlier one goes nowhere."""

    over: bool = False


@dataclass(slots=True)
class Troubles:
    """What is wrong with a member's machine."""

    disk_factor: int = 1  # how much slower its disk is
    disk_hangs: int = 0  # how many faults make it hang
    crash_after: int | None = None  # so many operations of the disk the power goes
    crash_behind: str = ""  # the power goes behind the next such: "write", "folder" or "install"
    relapses: int = 0  # at so many more starts it goes again soon: recovery is cut short
    power_returns: bool = False  # by itself, and then the process starts
    shortages: int = 0  # how many faults leave it no space for a snapshot
    log_flipped: bool = False  # the log on disk is not what was written
    store_fails: bool = False  # the next transaction fails

    def disarm(self) -> None:
        """Let the power stay."""
        self.crash_after = None
        self.crash_behind = ""
        self.relapses = 0
        self.power_returns = False

    def heal(self) -> None:
        """Let all be over, but for what is damaged for good."""
        self.disarm()
        self.disk_factor = 1
        self.disk_hangs = self.shortages = 0
        self.store_fails = False

    def relapse(self, random: Random) -> None:
        """See a start: the power may go again within what it does first."""
        if self.relapses:
            self.relapses -= 1
            self.crash_after = random.randrange(RELAPSE_OPERATIONS_MAX)

    def power_goes(self) -> bool:
        """Count an operation of the disk; tell whether the power goes before it."""
        if self.crash_after is None:
            return False
        self.crash_after -= 1
        if self.crash_after >= 0:
            return False
        self.crash_after = None
        return True

    def tears(self, operation: DiskOperation | None) -> bool:
        """Tell whether the power goes right after this operation, before its sync."""
        match operation:
            case WriteAt(data=data) if len(data) > SECTOR_BYTES:
                found = "write"
            case CreateFile() | RenameFile() | RemoveFile():
                found = "folder"
            case _:
                return False
        return self.trips(found)

    def trips(self, found: str) -> bool:
        """Tell whether the power goes behind this, and let that happen once."""
        if self.crash_behind != found:
            return False
        self.crash_behind = ""
        return True


class Process:
    """One member's process, disk and database.

    - Nothing that belongs to an earlier life reaches a later one.
    - A paused process handles nothing; what arrives meanwhile waits, in order.
    """

    def __init__(
        self,
        settings: NodeSettings,
        founders: Mapping[int, str],
        folder: Path,
        world: Surroundings,
        random: Random,
    ) -> None:
        """Make an empty disk, bootstrapped with the founders as voters; `start` runs the node."""
        self.settings = settings
        self.founders = founders
        self.world = world
        self.random = random
        self.life = Life(over=True)
        self.paused = False
        self.removed = False  # and knows it
        self.has_run = False
        self.is_stopping = False  # SIGTERM came
        self._last_configuration = (0, Configuration(frozenset(founders)))  # when it ended
        self.troubles = Troubles()
        self.senses = Senses(self)
        self.disk_us_max = random.choice(DISK_US_MAX)
        self._folder = folder
        self._waiting: deque[Event] = deque()
        self.finished: list[Event] = []  # of the disk
        self.disk = SimDisk(
            lambda ticket: self.finished.append(DiskDone(ticket)),
            lambda ticket: self.finished.append(DiskFull(ticket)),
            lambda ticket: self.finished.append(DiskFailed(ticket, "simulated")),
        )
        self.changes: dict[int, Callable[[membership_pb2.ChangeResponse], None]] = {}  # by ticket
        self.log: WatchedLog | None = None
        self.store: SimStore | None = None
        self.node: Node | None = None
        self._bootstrap()

    def _bootstrap(self) -> None:
        log = wal.recover(self.disk, segment_bytes=SEGMENT_BYTES).log
        identity = wal.Identity(self.settings.cluster_id, self.id, self.name)
        self.disk.run(log.bootstrap(identity, Configuration(frozenset(self.founders))), 0)
        self.disk.drain()
        self.finished.clear()

    @property
    def id(self) -> int:
        """Return the member's id."""
        return self.settings.member_id

    @property
    def name(self) -> str:
        """Return the name, which outlives the disk."""
        return self.settings.name

    @property
    def alive(self) -> bool:
        """Whether the process runs, paused or not."""
        return not self.life.over

    @property
    def is_spare(self) -> bool:
        """Whether it is none of the founders, and never ran."""
        return not self.has_run and self.id not in self.founders

    @property
    def configuration(self) -> tuple[int, Configuration]:
        """Return the newest configuration that the member's log holds, with its index."""
        if self.node is not None:
            found = self.node._raft._state.log.configurations
            return found.index, found.current
        return self._last_configuration

    def fill(self, *, is_full: bool) -> None:
        """Let the disk have no space, or have it again."""
        self.disk.is_full = is_full
        if self.store is not None:
            self.store.is_full = is_full

    @property
    def raft(self) -> RawNode | None:
        """The consensus of a process that runs."""
        return self.node._raft if self.node is not None else None

    @property
    def role(self) -> RaftRole:
        """Return what the member takes itself for; a process that is gone follows."""
        return self.node._raft.role if self.node is not None else RaftRole.FOLLOWER

    def start(self) -> None:
        """Run the node on what disk and database hold; a damaged log is given up instead."""
        self._note("start")
        try:
            recovered = WatchedLog(SEGMENT_BYTES).recover(self.disk)
        except (wal.LogDamaged, wal.LogForeign) as refusal:
            if not self.troubles.log_flipped:
                raise
            self._note(f"{refusal}")
            self.world.coverage["damaged logs refused"] += 1
            self.replace_disk()
            recovered = WatchedLog(SEGMENT_BYTES).recover(self.disk)
        self.life = Life()
        self.has_run = True
        self.paused = self.is_stopping = False
        self.troubles.relapse(self.random)
        if not isinstance(recovered.log, WatchedLog):
            raise TypeError("recovery made a log of another class")
        self.log = recovered.log
        self.world.coverage["torn tails cut"] += self._is_torn(recovered)
        installed = recovered.installed.index if recovered.installed else 0
        self.store = SimStore(self._folder, installed)
        self.store.is_full = self.disk.is_full
        self.world.coverage["switches finished at a start"] += self.store.has_switched
        machine = Machine(self.store)
        durable = Durable.found(recovered)
        self.world.checks.started(self.id, durable, recovered.entries, machine.applied_index)
        ports = Ports(
            disk=DiskPort(self, durable),
            store=StorePort(self, self.store),
            transport=TransportPort(self),
            observer=self.senses,
            clock=self.senses,
            random=self.senses,
        )
        self.node = Node(self.settings, ports, recovered, machine)
        self.node.allow_campaigns(allowed=True)
        life = self.life
        self.later(self.random.randrange(TICK_US), lambda: self._tick(life))
        Joiner(self).start()

    def _is_torn(self, recovered: wal.Recovered) -> bool:
        """Tell whether a repair changes anything."""
        return any(
            self.disk.read(one.name)[one.offset :] != one.data
            for one in recovered.repair
            if isinstance(one, WriteAt)
        )

    def end(self, *, power: bool, restart: bool = False) -> None:
        """End the process at once, and with `power` the machine that it runs on."""
        self._note("power off" if power else "ended")
        self.life.over = True
        self.paused = False
        self._waiting.clear()
        self.finished.clear()
        self.changes.clear()
        if power:
            changes, sectors = self.disk.crash(self.random)
            self.world.coverage["unsynced folder changes lost"] += changes
            self.world.coverage["unsynced sectors lost"] += sectors
        else:
            self.disk.kill()
        self._last_configuration = self.configuration
        if self.store is not None:
            self.store.close()
        self.node = self.store = None
        self.world.ended(self, restart=restart)

    def replace_disk(self) -> None:
        """Be another member, on an empty disk; the process must have ended."""
        self._note("empty disk")
        self.disk.wipe()
        self.troubles.log_flipped = False
        self.removed = False
        self._last_configuration = (0, Configuration(frozenset(self.founders)))
        rmtree(self._folder, ignore_errors=True)
        self.settings = replace(self.settings, member_id=self.world.next_member())
        self._bootstrap()

    def stop(self) -> None:
        """Ask the process to end, as SIGTERM does."""
        self.is_stopping = True
        self.deliver(StopRequested())

    def heal(self) -> None:
        """Run, on a machine with which all is well."""
        self.troubles.heal()
        self.disk.is_failing = False
        self.fill(is_full=False)
        self.senses.drift(1000)
        if self.alive and self.is_stopping:
            self.end(power=False)  # as SIGKILL after a while
        if not self.alive:
            self.start()
        elif self.paused:
            self.resume()

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
        node = self.node
        if node is None:
            return
        self.world.events += 1
        self._note(describe(event))
        self._look(event)
        try:
            node.handle(event)
        except Halted as halted:
            self._halt(event, halted)
            return
        self.world.checks.settled(node._raft)
        if node.stopped:
            self.end(power=False)
        elif node.busy:
            self.later(TURN_US, lambda: self.deliver(Continue()))

    def _halt(self, event: Event, halted: Halted) -> None:
        """End as the node wants it, which it may only where disk or database failed."""
        self._note(f"halted: {halted}")
        if not isinstance(event, DiskFailed | StoreFailed):
            raise SafetyViolation(f"{self.name} halted: {halted}") from halted
        self.world.coverage["halts"] += 1
        self.end(power=False, restart=True)

    def _look(self, event: Event) -> None:
        """Tell the checks of what an event says by itself."""
        match event:
            case Installed() if self.store is not None:
                self.world.checks.jumped(self.id, self.store.header().applied_index)
                self.world.coverage["snapshots installed"] += 1
            case Hashed():
                self.world.checks.hashed(self.id, event.index, event.sha256)
            case StoreFailed():
                self.world.coverage["transactions failed"] += 1
            case StoreFull():
                self.world.coverage["flushes without space"] += 1
            case Copied(path=""):
                self.world.coverage["copies without space"] += 1
            case Staged() if event.problem == NO_SPACE:
                self.world.coverage["chunks without space"] += 1
            case DiskFull():
                self.world.coverage["segments without space"] += 1
            case _:
                pass

    def _tick(self, life: Life) -> None:
        if life.over:
            return
        self.deliver(Tick())
        self.later(self.senses.real_us(TICK_US), lambda: self._tick(life))

    def later(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something in this life, or not at all."""
        life = self.life
        self.world.timeline.after(delay_us, lambda: None if life.over else action())

    def audit(self, user_id: int, items: Iterable[int]) -> State:
        """Read stock and orders from the database, past the node, as a user who may see them."""
        found = {item: self.store.item(item) for item in items} if self.store else {}
        on_hand = {key: item.quantity for key, item in found.items() if item is not None}
        orders: list[tuple[int, int, int]] = []
        question = forward_pb2.Question(user_id=user_id, epoch=1)
        question.query.list_orders.page_size = 1000
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
            raise RuntimeError(f"{self.name} does not run")
        self.store.ask([(0, question)])
        event = self.store.step()
        while not isinstance(event, Answered):
            event = self.store.step()
            if event is None:
                raise RuntimeError(f"{self.name} does not answer")
        if event.answers[0].error:
            raise RuntimeError(f"{self.name} does not answer: {event}")
        return event.answers[0].response

    def _note(self, text: str) -> None:
        self.world.trace.add(self.world.timeline.now_us, self.name, text)
