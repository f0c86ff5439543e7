"""A member's process: a whole node on simulated ports, which can be killed, paused and started.

The process keeps its name for good, as a pod does. Its id as a member stands on its disk: with
another disk the process is another member.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from shutil import rmtree

from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from inventory_node import wal
from inventory_node.core.events import (
    Answered,
    Continue,
    Copied,
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
from inventory_node.core.membership.join import DataVerdict
from inventory_node.core.node import Node, NodeSettings, Ports
from inventory_node.errors import Halted, LogDamaged, LogForeign
from inventory_node.ports import (
    WriteAt,
)
from raft import RawNode
from raft.messages import Configuration
from raft.ready import RaftRole

from sim.checks import FinalState
from sim.durable import Durable, WatchedLog
from sim.host import Host
from sim.membership_requests import DataQuestions, DepartureQuestions, StandingQuestions
from sim.ports import DiskPort, StorePort, TransportPort
from sim.rarities import Rarities
from sim.senses import Senses
from sim.store import NO_SPACE, SimStore
from sim.surroundings import Life, ProcessSurroundings
from sim.trace import text_of
from sim.violation import SafetyViolation
from sim.watched_machine import WatchedMachine

TICK_US = 25_000
TURN_US = 5  # between an event and the Continue that it makes necessary
SEGMENT_BYTES = 1 << 13  # small, so that a run rolls and cuts
BOOKS_EVERY = 7  # events: what is counted wrongly stays so; looking costs as much as handling
RESTART_US = (50_000, 400_000)  # until a process that halted is started again


class SimProcess:
    """One member's process, disk and database.

    - Nothing that belongs to an earlier life reaches a later one.
    - A paused process handles nothing; events that arrive meanwhile wait, in order.
    - After each event, the checks see the node before it handles the next.
    """

    def __init__(
        self,
        settings: NodeSettings,
        founders: Mapping[int, str],
        folder: Path,
        world: ProcessSurroundings,
        random: Random,
    ) -> None:
        """Make an empty disk, bootstrapped with the founders as voters; `start` runs the node."""
        self.settings = settings
        self.founders = founders
        self.world = world
        self.random = random
        self.life = self._new_life(over=True)
        senses = Senses(world.evidence, random, self.name, lambda: self.id)
        self.host = Host(folder, random, senses)
        self.has_run = False
        self._last_configuration = (0, Configuration(frozenset(founders)))  # when it ended
        self._bootstrap()

    def _new_life(self, *, over: bool = False) -> Life:
        return Life(over=over, rarities=Rarities(self.world.evidence.coverage))

    def _bootstrap(self) -> None:
        log = wal.recover(self.host.disk, segment_bytes=SEGMENT_BYTES).log
        identity = wal.Identity(self.settings.cluster_id, self.id, self.name)
        self.host.disk.submit(log.bootstrap(identity, Configuration(frozenset(self.founders))), 0)
        self.host.disk.drain()
        self.host.finished.clear()

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
    def _is_awake(self) -> bool:
        """Whether the node handles events."""
        return self.life.node is not None and not self.life.paused

    @property
    def is_spare(self) -> bool:
        """Whether the process is no founder and never ran."""
        return not self.has_run and self.id not in self.founders

    @property
    def configuration(self) -> tuple[int, Configuration]:
        """Return the newest configuration that the member's log holds, with its index."""
        if self.life.node is not None:
            found = self.life.node._raft._state.log.configurations
            return found.index, found.current
        return self._last_configuration

    def fill(self, *, is_full: bool) -> None:
        """Take the space of the disk away, or give it back."""
        self.host.disk.is_full = is_full
        if self.life.store is not None:
            self.life.store.is_full = is_full

    @property
    def raft(self) -> RawNode | None:
        """The consensus of a process that runs."""
        return self.life.node._raft if self.life.node is not None else None

    @property
    def role(self) -> RaftRole:
        """Return the role of the member; of a process that does not run, follower."""
        return self.life.node._raft.role if self.life.node is not None else RaftRole.FOLLOWER

    def start(self) -> None:
        """Run the node on what disk and database hold; give a damaged log up instead.

        The process first asks the other members about its data, and sets useless data aside.
        """
        self._note("start")
        try:
            recovered = self._recovered()
        except (LogDamaged, LogForeign) as refusal:
            if not self.host.troubles.log_flipped:
                raise
            self._note(f"{refusal}")
            self.world.evidence.coverage["damaged logs refused"] += 1
            self.replace_disk()
            recovered = self._recovered()
        self.life = self._new_life()
        self.has_run = True
        self.host.troubles.relapse(self.random)
        if recovered.hard_state.term or recovered.entries or recovered.base_index:
            DataQuestions(self, recovered, partial(self._open, recovered)).ask()
        else:  # its log has just been begun
            self._run(recovered)

    def _recovered(self) -> wal.Recovered:
        return WatchedLog(SEGMENT_BYTES).recover(self.host.disk)

    def _open(self, recovered: wal.Recovered, verdict: DataVerdict) -> None:
        """Continue from the data of before, or from none."""
        if verdict is DataVerdict.SET_ASIDE:
            self.world.evidence.applied_log.set_aside(self.id)
            self.replace_disk()
            recovered = self._recovered()
        self._run(recovered)
        self._handle_waiting()

    def _run(self, recovered: wal.Recovered) -> None:
        if not isinstance(recovered.log, WatchedLog):
            raise TypeError("recovery made a log of another class")
        self.life.log = recovered.log
        self.world.evidence.coverage["torn tails cut"] += self._is_torn(recovered)
        installed = recovered.installed_index
        self.life.store = SimStore(self.host.folder, installed)
        self.life.store.is_full = self.host.disk.is_full
        self.world.evidence.coverage["switches finished at a start"] += self.life.store.has_switched
        machine = WatchedMachine(self.life.store)
        durable = Durable.found(recovered)
        self.world.evidence.checks.started(
            self.id, durable, recovered.entries, machine.applied_index
        )
        ports = Ports(
            disk=DiskPort(self, durable),
            store=StorePort(self, self.life.store),
            transport=TransportPort(self),
            observer=self.host.senses,
            clock=self.host.senses,
            random=self.host.senses,
        )
        self.life.node = Node(self.settings, ports, recovered, machine)
        self.life.node.allow_campaigns(allowed=True)
        life = self.life
        self.later(self.random.randrange(TICK_US), lambda: self._tick(life))
        StandingQuestions(self).start()

    def _is_torn(self, recovered: wal.Recovered) -> bool:
        """Tell whether a repair changes anything."""
        return any(
            self.host.disk.read(one.name)[one.offset :] != one.data
            for one in recovered.repair
            if isinstance(one, WriteAt)
        )

    def end(self, *, power: bool, restart: bool = False) -> None:
        """End the process at once, and with `power` the machine that it runs on."""
        self._note("power off" if power else "ended")
        self.life.over = True
        self.life.paused = False
        self.life.waiting.clear()
        self.host.finished.clear()
        self.life.changes.clear()
        if power:
            changes, sectors = self.host.disk.crash(self.random)
            self.world.evidence.coverage["unsynced folder changes lost"] += changes
            self.world.evidence.coverage["unsynced sectors lost"] += sectors
        else:
            self.host.disk.kill()
        self._last_configuration = self.configuration
        if self.life.store is not None:
            self.life.store.close()
        self.life.node = self.life.store = None
        self.world.ended(self, restart=restart)

    def replace_disk(self) -> None:
        """Become another member, on an empty disk. The process must have ended."""
        self._note("empty disk")
        self.host.disk.wipe()
        self.host.troubles.log_flipped = False
        self._last_configuration = (0, Configuration(frozenset(self.founders)))
        rmtree(self.host.folder, ignore_errors=True)
        self.settings = replace(self.settings, member_id=self.world.numbers.next_member())
        self._bootstrap()

    def stop(self) -> None:
        """Ask the process to end, as SIGTERM does.

        A process that starts ends at once, and so does one that is asked a second time.
        """
        stop = partial(self.deliver, StopRequested())
        if self.life.is_stopping or self.life.node is None:
            stop()
        else:
            DepartureQuestions(self, stop).start()
        self.life.is_stopping = True

    def heal(self) -> None:
        """Run, on a machine without faults."""
        self.host.heal()
        self.fill(is_full=False)
        if self.alive and self.life.is_stopping:
            self.end(power=False)  # as SIGKILL after a while
        if not self.alive:
            self.start()
        elif self.life.paused:
            self.resume()

    def pause(self) -> None:
        """Stop handling events, as SIGSTOP does."""
        self._note("paused")
        self.life.paused = True

    def resume(self) -> None:
        """Handle the events that waited, and continue."""
        self._note("resumed")
        self.life.paused = False
        self._handle_waiting()

    def _handle_waiting(self) -> None:
        """Handle the events that waited while the process was paused or opened its data."""
        while self.life.waiting and self._is_awake:
            self._handle(self.life.waiting.popleft())

    def deliver(self, event: Event) -> None:
        """Give the node an event, unless there is no process to take it."""
        if not self.alive:
            return
        if not self._is_awake:
            if not isinstance(event, Tick) or not self.life.waiting:
                self.life.waiting.append(event)
            return
        self._handle(event)

    def _handle(self, event: Event) -> None:
        node = self.life.node
        if node is None:
            return
        self.world.evidence.events += 1
        self._note(text_of(event))
        self._report(event)
        self.life.rarities.begin(node)
        try:
            node.handle(event)
        except Halted as halted:
            self._halt(event, halted)
            return
        self.life.rarities.seen(event, node)
        if self.world.evidence.events % BOOKS_EVERY == 0:
            self.world.evidence.checks.balanced(node)
        self.world.evidence.checks.settled(node._raft)
        if node.stopped:
            self.end(power=False)
        elif node.busy:
            self.later(TURN_US, lambda: self.deliver(Continue()))

    def _halt(self, event: Event, halted: Halted) -> None:
        """End as the node wants to; a node may halt only after its disk or database has failed."""
        self._note(f"halted: {halted}")
        if not isinstance(event, DiskFailed | StoreFailed):
            raise SafetyViolation(f"{self.name} halted: {halted}") from halted
        self.world.evidence.coverage["halts"] += 1
        self.end(power=False, restart=True)

    def _report(self, event: Event) -> None:
        """Report to the checks what an event itself shows."""
        match event:
            case Installed() if self.life.store is not None:
                self.world.evidence.applied_log.jumped(
                    self.id, self.life.store.header().applied_index
                )
                self.world.evidence.coverage["snapshots installed"] += 1
            case Hashed():
                self.world.evidence.applied_log.hashed(self.id, event.index, event.sha256)
            case StoreFailed():
                self.world.evidence.coverage["transactions failed"] += 1
            case StoreFull():
                self.world.evidence.coverage["flushes without space"] += 1
            case Copied(path=""):
                self.world.evidence.coverage["copies without space"] += 1
            case Staged() if event.problem == NO_SPACE:
                self.world.evidence.coverage["chunks without space"] += 1
            case DiskFull():
                self.world.evidence.coverage["segments without space"] += 1
            case _:
                pass

    def _tick(self, life: Life) -> None:
        if life.over:
            return
        self.deliver(Tick())
        self.later(self.host.senses.real_us(TICK_US), lambda: self._tick(life))

    def later(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something in this life, or not at all."""
        life = self.life
        self.world.timeline.after(delay_us, lambda: None if life.over else action())

    def audit(self, user_id: int, items: Iterable[int]) -> FinalState:
        """Read stock and orders from the database, past the node, as a user who may see them.

        The tables of the database must agree with each other.
        """
        if self.life.store is not None:
            self.life.store.check_balance()
        found = {item: self.life.store.item(item) for item in items} if self.life.store else {}
        on_hand = {key: item.quantity for key, item in found.items() if item is not None}
        orders: list[tuple[int, int, int]] = []
        question = forward_pb2.Question(user_id=user_id, epoch=1, session_id=user_id)
        question.query.list_orders.page_size = 1000
        while True:
            page = inventory_pb2.ListOrdersResponse.FromString(self._ask(question))
            orders += [
                (order.id, line.item_id, line.quantity)
                for order in page.orders
                for line in order.lines
            ]
            if not page.next_page_token:
                return FinalState(on_hand, tuple(orders))
            question.query.list_orders.page_token = page.next_page_token

    def _ask(self, question: forward_pb2.Question) -> bytes:
        if self.life.store is None:
            raise RuntimeError(f"{self.name} does not run")
        self.life.store.answer([(0, question)])
        event = self.life.store.step()
        while not isinstance(event, Answered):
            event = self.life.store.step()
            if event is None:
                raise RuntimeError(f"{self.name} does not answer")
        if event.answers[0].error:
            raise RuntimeError(f"{self.name} does not answer: {event}")
        return event.answers[0].response

    def _note(self, text: str) -> None:
        self.world.evidence.note(self.name, text)
