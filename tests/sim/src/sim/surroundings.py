"""What a member's process, its ports and the world owe each other.

A process runs on ports, and a port serves a process. The world has processes, and a process calls
the world. Each of them knows the others only by the protocols of this module.
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
    """A member's answer to the sender of a snapshot's chunk."""

    sender: int  # of the chunk
    index: int  # of the snapshot
    taken: int  # bytes
    installed: bool
    problem: str


@dataclass(slots=True, kw_only=True)
class Life:
    """One run of a member's process. Whatever was under way for an earlier life is dropped."""

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
    """What a process calls of the world; `sim.world` implements it.

    A message or a frame may arrive late, twice or never; an answer comes at most once.
    """

    timeline: Timeline
    network: SimNetwork
    evidence: Evidence
    numbers: Numbers

    def carry(self, sender: "ProcessHandle", message: PeerMessage) -> None:
        """Carry a message to a member."""
        ...

    def reply(self, member: str, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Carry a frame to a gateway."""
        ...

    def stream_snapshot(
        self, sender: "ProcessHandle", peer: int, term: int, header: SnapshotHeader, path: str
    ) -> None:
        """Stream a file to a member, in chunks."""
        ...

    def answer_chunk(self, member: "ProcessHandle", answer: ChunkAnswer) -> None:
        """Carry the answer to a chunk to the sender of the chunk."""
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
        """Take note of the end of a process; with `restart` the world owes it a start."""
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
        """Return what these members say of themselves; None for one that does not run."""
        ...

    def count_others(self, process: "ProcessHandle") -> int:
        """Return how many other processes may answer."""
        ...


class ProcessHandle(Protocol):
    """What its ports, the members' requests and the world call of a process.

    `sim.process.SimProcess` implements it.
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
        """Run the node on the data of its disk and its database."""
        ...

    def end(self, *, power: bool, restart: bool = False) -> None:
        """End the process at once; with `power`, its machine too: unsynced data may be lost."""
        ...

    def deliver(self, event: Event) -> None:
        """Give the node an event; drop the event if the process does not run."""
        ...

    def later(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something after a delay; drop it if this life of the process has ended."""
        ...
