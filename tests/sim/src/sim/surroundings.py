"""What a member's process, its ports and the world reach of each other.

A process runs on ports, and a port serves a process. The world has processes, and a process reaches
the world. Each of them knows the others by what is here alone.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from inventory.raft.v1 import forward_pb2, membership_pb2
from inventory_node.core.events import Event
from inventory_node.core.membership.bootstrap import Described
from inventory_node.core.node import Node, NodeSettings
from inventory_node.ports import PeerMessage, SnapshotHeader
from raft import RawNode

from sim.durable import WatchedLog
from sim.evidence import Evidence
from sim.host import Host
from sim.network import SimNetwork
from sim.numbers import Numbers
from sim.rarities import Rarities
from sim.store import SimStore
from sim.timeline import Timeline


@dataclass(frozen=True, slots=True)
class ChunkAnswer:
    """What a member says to the sender of a snapshot's chunk."""

    sender: int  # of the chunk
    index: int  # of the snapshot
    taken: int  # bytes
    installed: bool
    problem: str


@dataclass(slots=True, kw_only=True)
class Life:
    """One run of a member's process; what is under way for an earlier one goes nowhere."""

    over: bool = False
    paused: bool = False
    is_stopping: bool = False  # SIGTERM came
    removed: bool = False  # and the process knows it
    node: Node | None = None
    store: SimStore | None = None
    log: WatchedLog | None = None
    waiting: deque[Event] = field(default_factory=deque)  # while no node handles events
    changes: dict[int, Callable[[membership_pb2.ChangeResponse], None]] = field(
        default_factory=dict
    )  # who waits for an answer, by ticket
    rarities: Rarities


class ProcessSurroundings(Protocol):
    """What a process reaches of the world; `sim.world` is it."""

    timeline: Timeline
    network: SimNetwork
    evidence: Evidence
    numbers: Numbers

    def carry(self, sender: "ProcessHandle", message: PeerMessage) -> None:
        """Bring a message to a member."""
        ...

    def reply(self, member: str, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Bring a frame to a gateway."""
        ...

    def stream_snapshot(
        self, sender: "ProcessHandle", peer: int, term: int, header: SnapshotHeader, path: str
    ) -> None:
        """Bring a file to a member, in chunks."""
        ...

    def answer_chunk(self, member: "ProcessHandle", answer: ChunkAnswer) -> None:
        """Bring the answer to a chunk to who sent it."""
        ...

    def ask_change(
        self,
        asker: "ProcessHandle",
        request: membership_pb2.ChangeRequest,
        told: Callable[[membership_pb2.ChangeResponse], None],
    ) -> None:
        """Ask every other member for a change; `told` hears each answer that comes."""
        ...

    def ended(self, process: "ProcessHandle", *, restart: bool) -> None:
        """See the end of a process; with `restart` somebody has to start it again."""
        ...

    def ask_self(
        self,
        process: "ProcessHandle",
        request: membership_pb2.ChangeRequest,
        told: Callable[[membership_pb2.ChangeResponse], None],
    ) -> None:
        """Ask a process's own node for a change."""
        ...

    def reached(self, process: "ProcessHandle") -> frozenset[int]:
        """Return the ids of the members that a process has streams with."""
        ...

    def describe(self, members: Iterable[int]) -> list[Described | None]:
        """Return what these say of themselves; None for one that does not run."""
        ...

    def count_others(self, process: "ProcessHandle") -> int:
        """Return how many other processes may answer."""
        ...


class ProcessHandle(Protocol):
    """What a process's ports, the members' requests and the world reach of a process.

    `sim.process.SimProcess` is it.
    """

    settings: NodeSettings
    founders: Mapping[int, str]
    world: ProcessSurroundings
    random: Random
    life: Life
    host: Host

    @property
    def id(self) -> int:
        """Return the member's id."""
        ...

    @property
    def name(self) -> str:
        """Return the name, which outlives the disk."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the process runs, paused or not."""
        ...

    @property
    def raft(self) -> RawNode | None:
        """The consensus of a process that runs."""
        ...

    def start(self) -> None:
        """Run the node on what disk and database hold."""
        ...

    def end(self, *, power: bool, restart: bool = False) -> None:
        """End the process at once, and with `power` the machine that it runs on."""
        ...

    def deliver(self, event: Event) -> None:
        """Give the node an event, unless there is no process to take it."""
        ...

    def later(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something in this life, or not at all."""
        ...
