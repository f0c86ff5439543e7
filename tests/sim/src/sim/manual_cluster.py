"""Members whose every sync, flush and message is let go by hand.

The simulator's world lets things happen by seed; here a test says itself what happens next, to show
one order of events: a sync that does not end, a message that does not arrive. The nodes, logs,
consensus and state machines are the real ones.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from inventory.raft.v1 import forward_pb2, log_pb2, membership_pb2
from inventory.v1 import auth_pb2, cluster_pb2
from inventory_node import wal
from inventory_node.core.events import (
    Continue,
    DiskDone,
    DiskFull,
    Event,
    Forwarded,
    SessionOpened,
    Tick,
    arrival,
)
from inventory_node.core.membership.bootstrap import founding_of
from inventory_node.core.node import Node, NodeSettings, Ports
from inventory_node.machine import Applied
from inventory_node.ports import Contact, PeerMessage, SnapshotHeader
from raft.messages import Configuration, Entry
from raft.ready import Leadership

from sim.disk import SimDisk
from sim.store import SimStore
from sim.watched_machine import WatchedMachine

GATEWAY = 7  # the session that a test speaks on unless it says otherwise
# The id of a cluster whose first members are the three of a cluster by default.
CLUSTER_ID = founding_of(("node-1", "node-2", "node-3")) + "0123456789abcdef"
CUSTOMER = 1  # the user id of the first state's customer
SEGMENT_BYTES = 1 << 14
ROUNDS_MAX = 10_000
Change = Callable[[NodeSettings], NodeSettings]


@dataclass(slots=True)
class HandClock:
    """A clock that stands still until time passes, or until it is set."""

    ms: int = 1_700_000_000_000
    wrong_ms: int = 0  # by how much it was set ahead

    def now_ms(self) -> int:
        """Return the time as set."""
        return self.ms + self.wrong_ms

    def elapsed_ms(self) -> int:
        """Return the time that has passed: tests never take it back."""
        return self.ms


@dataclass(slots=True)
class HandRandom:
    """Chance that always falls the same way, so that the member with the least times out first."""

    value: int

    def below(self, bound: int) -> int:
        """Return `value`, or the largest allowed."""
        return min(self.value, bound - 1)


@dataclass(slots=True, kw_only=True)
class HandTransport:
    """What a member said, kept for the test to look at and to deliver."""

    messages: list[PeerMessage] = field(default_factory=list)
    frames: list[tuple[int, forward_pb2.ForwardResponse]] = field(default_factory=list)
    streams: list[tuple[int, int, SnapshotHeader, str]] = field(default_factory=list)
    chunk_answers: list[tuple[int, int, int, bool, str]] = field(default_factory=list)
    contacts: dict[int, Contact] = field(default_factory=dict)
    changes: dict[int, membership_pb2.ChangeResponse] = field(default_factory=dict)  # by ticket

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Keep messages to peers."""
        self.messages += messages

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Keep a frame to a gateway."""
        self.frames.append((session, response))

    def meet(self, contacts: Mapping[int, Contact]) -> None:
        """Keep who joined later than the first members."""
        self.contacts = dict(contacts)

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Keep an answer to a change."""
        self.changes[ticket] = response

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Keep what is to be streamed."""
        self.streams.append((peer, term, header, path))

    def end_snapshots(self) -> None:
        """Forget what is to be streamed."""
        self.streams.clear()

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Keep an answer to a chunk."""
        self.chunk_answers.append((peer, index, taken, installed, problem))


@dataclass(slots=True)
class HandObserver:
    """What a member has applied since it started."""

    entries: list[Entry] = field(default_factory=list)
    outcomes: list[tuple[Applied, ...]] = field(default_factory=list)
    leaderships: list[Leadership] = field(default_factory=list)
    fills: list[bool] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Keep an entry and its outcomes."""
        self.entries.append(entry)
        self.outcomes.append(tuple(outcomes))

    def filled_up(self, *, is_full: bool) -> None:
        """Keep whether there is space."""
        self.fills.append(is_full)

    def warned(self, what: str, detail: str) -> None:
        """Keep what an operator has to know."""
        self.warnings.append((what, detail))

    def lead_changed(self, leadership: Leadership, leader: str) -> None:
        """Keep a view of the leadership."""
        del leader  # its id is enough
        self.leaderships.append(leadership)


class _Nothing(random.Random):
    """Chance that keeps none of what may be lost."""

    def getrandbits(self, _k: int, /) -> int:
        return 0


class HandMember:
    """One node with its ports in hand.

    `disk_held` and `store_held` keep `settle` from letting its jobs go, `cut_off` keeps its
    messages from arriving, both ways.
    """

    def __init__(self, settings: NodeSettings, folder: Path) -> None:
        """Make an empty disk, bootstrapped with all members as voters, and start."""
        self.settings = settings
        self.folder = folder
        self.inbox: deque[Event] = deque()
        self.disk = self._empty_disk()
        self.clock = HandClock()
        self.transport = HandTransport()
        self.disk_held = self.store_held = self.cut_off = False
        self._bootstrap()
        self.start()

    def _empty_disk(self) -> SimDisk:
        return SimDisk(
            lambda ticket: self.inbox.append(DiskDone(ticket)),
            lambda ticket: self.inbox.append(DiskFull(ticket)),
        )

    def wipe_log(self) -> None:
        """Put an empty disk in the place of this member's, bootstrapped anew."""
        self.disk = self._empty_disk()
        self._bootstrap()

    def log_entries(self) -> tuple[Entry, ...]:
        """Read the entries that the log holds."""
        return wal.recover(self.disk, segment_bytes=SEGMENT_BYTES).entries

    def _bootstrap(self) -> None:
        settings = self.settings
        log = wal.recover(self.disk, segment_bytes=SEGMENT_BYTES).log
        identity = wal.Identity(settings.cluster_id, settings.member_id, settings.name)
        self.disk.submit(log.bootstrap(identity, Configuration(frozenset(settings.members))), 0)
        self.disk.drain()
        self.inbox.clear()

    def start(self) -> None:
        """Start the process on what the disk and the database hold."""
        recovered = wal.recover(self.disk, segment_bytes=SEGMENT_BYTES)
        installed = recovered.installed_index
        self.store = SimStore(self.folder, installed)
        self.observer = HandObserver()
        ports = Ports(
            disk=self.disk,
            store=self.store,
            transport=self.transport,
            clock=self.clock,
            random=HandRandom(self.settings.member_id),
            observer=self.observer,
        )
        self.node = Node(self.settings, ports, recovered, WatchedMachine(self.store))
        self.node.allow_campaigns(allowed=True)

    def crash(self) -> None:
        """End the process; nothing survives that was not synced, and no unfinished flush."""
        self.disk.crash(_Nothing())
        self.store.close()
        self.inbox.clear()
        self.transport = HandTransport()

    def handle(self, event: Event) -> None:
        """Give the node one event, and the turns that it asks for."""
        self.node.handle(event)
        for _ in range(ROUNDS_MAX):
            if not self.node.busy:
                return
            self.node.handle(Continue())
        raise RuntimeError("the node stays busy")

    def ask(
        self,
        *commands: log_pb2.Command,
        questions: Iterable[forward_pb2.Question] = (),
        session: int = GATEWAY,
        first_id: int = 1,
    ) -> None:
        """Send a frame of commands, numbered from `first_id`, and questions."""
        proposals = [
            forward_pb2.Proposal(id=number, command=command.SerializeToString())
            for number, command in enumerate(commands, start=first_id)
        ]
        request = forward_pb2.ForwardRequest(proposals=proposals, questions=questions)
        self.handle(Forwarded(session, request))

    def replies(self, session: int = GATEWAY) -> dict[int, forward_pb2.Reply]:
        """Return what a session was answered so far, by the request's id; each once."""
        found: dict[int, forward_pb2.Reply] = {}
        for asker, frame in self.transport.frames:
            for reply in frame.replies if asker == session else ():
                if reply.id in found:
                    raise RuntimeError(f"request {reply.id} was answered twice")
                found[reply.id] = reply
        return found

    @property
    def leads(self) -> bool:
        """Whether this member takes itself for the leader."""
        return self.node.view().role == cluster_pb2.MEMBER_ROLE_LEADER

    def work(self) -> bool:
        """Let go what is not held: disk, store, inbox; return whether there was any."""
        if not self.disk_held and self.disk.busy:
            self.disk.drain()
        while not self.store_held and (done := self.store.step()) is not None:
            self.inbox.append(done)
        if not self.inbox:
            return False
        while self.inbox:
            self.handle(self.inbox.popleft())
        return True


class ManualCluster:
    """A few members and the network between them, with nothing happening by itself."""

    def __init__(self, folder: Path, count: int = 3, change: Change | None = None) -> None:
        """Start `count` members, ids from 1; `change` adjusts the settings of each."""
        self.folder = folder
        names = {number: f"node-{number}" for number in range(1, count + 1)}
        self.members: dict[int, HandMember] = {}
        for number, name in names.items():
            settings = NodeSettings(
                name=name,
                member_id=number,
                cluster_id=CLUSTER_ID,
                members=names,
                initialize=first_state().SerializeToString(),
            )
            settings = change(settings) if change else settings
            self.members[number] = HandMember(settings, folder / name)
        self.settle()

    def add_member(self, number: int, name: str = "") -> HandMember:
        """Start a member on an empty disk that knows the first ones and takes no part yet."""
        first = self.members[1].settings
        settings = replace(first, member_id=number, name=name or f"node-{number}")
        member = self.members[number] = HandMember(settings, self.folder / f"joined-{number}")
        return member

    def __getitem__(self, number: int) -> HandMember:
        """Return the member with this id."""
        return self.members[number]

    def settle(self) -> None:
        """Let everything happen that is not held or cut off, until nothing is left."""
        for _ in range(ROUNDS_MAX):
            moved = [member.work() for member in self.members.values()]
            if not self.deliver() and not any(moved):
                return
        raise RuntimeError("the members do not come to rest")

    def deliver(self) -> bool:
        """Deliver every message said so far; return whether one arrived."""
        arrived = False
        for sender in self.members.values():
            messages, sender.transport.messages = sender.transport.messages, []
            for message in messages:
                recipient = self.members.get(message.recipient)
                if recipient and not sender.cut_off and not recipient.cut_off:
                    recipient.handle(arrival(message))
                    arrived = True
        return arrived

    def elect(self, number: int) -> HandMember:
        """Tick one member until it leads, knows its clock and has initialized the state; return it.

        The others that are not cut off hear nobody for the shortest election timeout first, since
        who hears a leader votes for nobody (dissertation §4.2.3). Call it while nobody leads them.
        """
        member = self.members[number]
        for other in self.members.values():
            for _ in range(0 if other.cut_off else member.settings.election_timeout_ticks_min):
                other.handle(Tick())
        for _ in range(2 * member.settings.election_timeout_ticks_max):
            if member.leads:
                break
            member.handle(Tick())
            self.settle()
        else:
            raise RuntimeError(f"member {number} is not elected")
        self.settle()
        member.handle(Tick())  # the first survey
        self.settle()
        return member

    def pass_time(self, ticks: int, *numbers: int) -> None:
        """Let ticks pass, at the given members or at all, with everything settling between."""
        for _ in range(ticks):
            for number in numbers or self.members:
                self.members[number].handle(Tick())
            self.settle()

    def open(self, session: int = GATEWAY) -> None:
        """Open a gateway's session at every member."""
        for member in self.members.values():
            member.handle(SessionOpened(session))


def order(request_id: str, quantity: int = 1, item_id: int = 1) -> log_pb2.Command:
    """Return an order by the first customer."""
    command = log_pb2.Command(user_id=CUSTOMER, epoch=1, session_id=CUSTOMER)
    command.mutation.order_item.request_id = request_id
    command.mutation.order_item.item_id = item_id
    command.mutation.order_item.quantity = quantity
    return command


def get_item(number: int, item_id: int = 1) -> forward_pb2.Question:
    """Return a question by id, which memory can answer."""
    question = forward_pb2.Question(id=number, user_id=CUSTOMER, epoch=1, session_id=CUSTOMER)
    question.query.get_item.item_id = item_id
    return question


def get_all_items(number: int) -> forward_pb2.Question:
    """Return a question that only the database can answer."""
    question = forward_pb2.Question(id=number, user_id=CUSTOMER, epoch=1, session_id=CUSTOMER)
    question.query.get_all_items.page_size = 10
    return question


def first_state() -> log_pb2.Administration:
    """Return an Initialize with one customer (user 1), one producer (2) and one item (1)."""
    administration = log_pb2.Administration(request_id="initialize")
    initialize = administration.initialize
    initialize.cluster_id = CLUSTER_ID
    initialize.currency.code = "INR"
    initialize.currency.minor_digits = 2
    initialize.users.add(name="Gayathri", role=auth_pb2.ROLE_CUSTOMER)
    initialize.users.add(name="Sarthak", role=auth_pb2.ROLE_PRODUCER)
    item = initialize.items.add(name="Laptop", quantity=100)
    item.price.currency_code = "INR"
    item.price.units = 50_000
    return administration
