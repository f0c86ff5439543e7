"""Three whole nodes, a gateway and clients in one thread, in virtual time, from one seed.

`World(seed, folder).run()` is a whole run: members start, clients order, faults come and go; then
everything heals, the clients learn what became of their last operations, and the end is judged.
Nothing depends on the machine, the folder, the wall clock or the hash seed: two runs of a seed have
the same trace.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2
from inventory_node.core import NodeSettings
from inventory_node.events import Forwarded
from inventory_node.machine import Applied
from inventory_node.ports import PeerMessage, SnapshotHeader
from raft.messages import Entry
from raft.ready import Role

from sim.checks import Checks, SafetyViolation, check_history, check_order
from sim.clients import Client, Horizon
from sim.faults import Fault, FaultKind, draw_faults
from sim.gateway import GatewayProcess
from sim.network import Network, Weather
from sim.process import ChunkAnswer, Process
from sim.streams import SnapshotStreams
from sim.timeline import Timeline
from sim.trace import Trace

MEMBERS: Mapping[int, str] = {1: "node-1", 2: "node-2", 3: "node-3"}
GATEWAY = "gateway"
CLUSTER_ID = "cluster"
ITEMS = 3
STOCK = 200  # of each item at the start
CLIENTS = 2
CUSTOMER, ADMIN = 1, 2  # user ids, in the order of the first state
CALM_US = 1_000_000  # before the first fault
HEAL_US = 1_000_000  # after the last, before anything is asked of the end
END_US_MAX = 20_000_000  # for the clients to learn their outcomes, and for members to agree
TRACE_LINES = 2_000  # kept to look at when a run fails
NO_SESSION = 0  # of nobody
NO_PASSWORD = "$argon2id$none"  # noqa: S105 - a hash that no password has


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    seed: int
    digest: str  # of the trace
    events: int
    faults: tuple[Fault, ...]
    terms: int
    entries: int  # applied
    operations: int  # answered
    orders: int  # acknowledged
    attempts: int
    reads: int  # answered
    snapshots: int
    state_hash: str


class World:
    """One run. It is what the processes reach of each other (`sim.process.Surroundings`)."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        duration_us: int = 8_000_000,
        faults: Sequence[Fault] | None = None,
        keep_trace: bool = False,
    ) -> None:
        """Draw the faults of `seed`, unless they are given; databases live below `folder`."""
        self.seed = seed
        self.random = Random(f"world {seed}")
        self.timeline = Timeline()
        self.trace = Trace(keep=None if keep_trace else TRACE_LINES)
        self.checks = Checks()
        self.network = Network(self.timeline, self.random, Weather())
        self.duration_us = duration_us
        self.faults = (
            tuple(faults)
            if faults is not None
            else draw_faults(
                self.random, first_us=CALM_US, last_us=duration_us, members=len(MEMBERS)
            )
        )
        self.members = {
            member: Process(settings_of(member), folder / name, self)
            for member, name in MEMBERS.items()
        }
        self.streams = SnapshotStreams(self.timeline, self.network, self.members)
        self.gateway = GatewayProcess(GATEWAY, self, self.members, ADMIN)
        horizon = Horizon(ITEMS)
        self.clients = [
            Client(number, self.timeline, self.random, self.gateway, horizon)
            for number in range(1, CLIENTS + 1)
        ]

    def run(self) -> Summary:
        """Run to the end; raise SafetyViolation when something is wrong."""
        for process in self.members.values():
            process.start()
        self.gateway.start()
        # Clients come with tokens, so their users are there before them.
        self._run_until(lambda: bool(self.checks.commands), "a leader makes the first state")
        for client in self.clients:
            client.start()
        for fault in self.faults:
            self.timeline.after(fault.at_us - self.timeline.now_us, partial(self._begin, fault))
        self.timeline.run_until(self.duration_us)
        self._heal()
        for client in self.clients:
            client.stopping = True
        self._run_until(lambda: all(client.idle for client in self.clients), "clients get answers")
        state_hash = self._agree()
        history = [operation for client in self.clients for operation in client.history]
        answered = [operation for operation in history if operation.return_us is not None]
        start = dict.fromkeys(range(1, ITEMS + 1), STOCK)
        reads = [read for client in self.clients for read in client.reads]
        check_order(history, reads, start)
        for process in self.members.values():
            check_history(history, start, process.audit(ADMIN, start))
        self.close()
        return Summary(
            seed=self.seed,
            digest=self.trace.digest,
            events=self.trace.count,
            faults=self.faults,
            terms=len(self.checks.leaders),
            entries=len(self.checks.applied),
            operations=len(answered),
            orders=sum(operation.acknowledged and operation.is_order for operation in answered),
            attempts=sum(operation.attempts for operation in history),
            reads=len(reads),
            snapshots=self.streams.installed,
            state_hash=state_hash,
        )

    def close(self) -> None:
        """Close the databases."""
        for process in self.members.values():
            if process.alive:
                process.end(power=False)

    def leader(self) -> Process | None:
        """Return the member that leads the highest term."""
        leaders = [
            (process.node.view().term, process.id)
            for process in self.members.values()
            if process.node is not None and process.role is Role.LEADER
        ]
        return self.members[max(leaders)[1]] if leaders else None

    # Faults.

    def _begin(self, fault: Fault) -> None:
        leader = self.leader()
        member = fault.member or (leader.id if leader else 1)
        process, name = self.members[member], MEMBERS[member]
        peers = [other for other in MEMBERS.values() if other != name]
        others = [*peers, GATEWAY]
        self.trace.add(self.timeline.now_us, "fault", f"{fault.kind.value} {name}")
        match fault.kind:
            case FaultKind.POWER | FaultKind.KILL:
                self._end(member, power=fault.kind is FaultKind.POWER)
            case FaultKind.BLACKOUT:
                for each in self.members:
                    self._end(each, power=True)
            case FaultKind.PAUSE:
                process.pause()
            case FaultKind.ISOLATE:
                self.network.cut([name], others)
                self.network.cut(others, [name])
            case FaultKind.APART:
                self.network.cut([name], peers)
                self.network.cut(peers, [name])
            case FaultKind.DEAF:
                self.network.cut(others, [name])
            case FaultKind.MUTE:
                self.network.cut([name], others)
            case FaultKind.CLOCK:
                process.skew_ms += self.random.randrange(-30_000, 30_000)
        self.timeline.after(fault.lasts_us, self._heal)

    def _end(self, member: int, *, power: bool) -> None:
        self.members[member].end(power=power)
        self.streams.forget(member)
        self.gateway.member_ended(member)

    def _heal(self) -> None:
        """End every fault."""
        self.trace.add(self.timeline.now_us, "fault", "healed")
        self.network.heal()
        for process in self.members.values():
            if not process.alive:
                process.start()
            elif process.paused:
                process.resume()

    # The end.

    def _run_until(self, holds: Callable[[], bool], what: str) -> None:
        limit = self.timeline.now_us + END_US_MAX
        while not holds():
            if self.timeline.now_us > limit:
                raise SafetyViolation(f"seed {self.seed}: not within {END_US_MAX} us: {what}")
            self.timeline.run_until(self.timeline.now_us + 10_000)

    def _agree(self) -> str:
        """Let members hash their states at one index; return the hash that all must have."""
        self.timeline.run_until(self.timeline.now_us + HEAL_US)
        for attempt in range(10):
            leader = self.leader()
            if leader is not None:
                leader.deliver(Forwarded(NO_SESSION, checkpoint(attempt)))
            self.timeline.run_until(self.timeline.now_us + HEAL_US)
            nodes = [process.node for process in self.members.values()]
            hashes = [node.view().state_hash for node in nodes if node is not None]
            if len({(one.index, one.sha256) for one in hashes}) == 1 and hashes[0].index:
                return hashes[0].sha256
            if len({one.index for one in hashes}) == 1 and hashes[0].index:
                raise SafetyViolation(f"seed {self.seed}: states differ: {hashes}")
        raise SafetyViolation(f"seed {self.seed}: the members do not come to one index")

    # What processes reach of the world.

    def carry(self, sender: int, recipient: int, message: PeerMessage) -> None:
        """Bring a message to a member."""
        process = self.members[recipient]
        self.network.send(MEMBERS[sender], MEMBERS[recipient], lambda: process.hear(message))

    def reply(self, member: int, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Bring a frame to the gateway."""
        self.gateway.frame(member, session, response)

    def stream_snapshot(
        self, member: int, peer: int, term: int, header: SnapshotHeader, path: str
    ) -> None:
        """Bring a file to a member, in chunks."""
        self.streams.begin(member, peer, term, header, path)

    def answer_chunk(self, member: int, answer: ChunkAnswer) -> None:
        """Bring the answer to a chunk to who sent it."""
        self.streams.answer(member, answer)

    def started(self, member: int, applied_index: int) -> None:
        """See that a member begins with the state at an index."""
        self.checks.started(member, applied_index)

    def applied(self, member: int, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """See an entry that a member applied, and what it came to."""
        self.checks.entry(member, entry, outcomes)

    def settled(self, member: int) -> None:
        """See that a member has handled an event."""
        process = self.members[member]
        self.checks.member(member, process.role, process.term, process.last_index)


def settings_of(member: int) -> NodeSettings:
    """Return a member's settings: bounds so small that a run meets them."""
    return NodeSettings(
        name=MEMBERS[member],
        member_id=member,
        cluster_id=CLUSTER_ID,
        members=MEMBERS,
        initialize=first_state().SerializeToString(),
        flush_commands_max=16,
        flush_age_ticks_max=8,
        log_tail_entries=12,
        log_tail_bytes=1 << 14,
        checkpoint_ticks=80,
        checkpoint_gap_ticks=80,
    )


def first_state() -> log_pb2.Administration:
    """Return the first state: a customer, an admin, and a few items."""
    administration = log_pb2.Administration(request_id="initialize")
    first = administration.initialize
    first.cluster_id = CLUSTER_ID
    first.currency.code = "INR"
    first.currency.minor_digits = 2
    for name, role in (("customer", auth_pb2.ROLE_CUSTOMER), ("admin", auth_pb2.ROLE_ADMIN)):
        first.users.add(name=name, role=role, password_hash=NO_PASSWORD)
    for number in range(1, ITEMS + 1):
        item = first.items.add(name=f"item {number}", quantity=STOCK)
        item.price.currency_code = "INR"
        item.price.units = 100 * number
    return administration


def checkpoint(attempt: int) -> forward_pb2.ForwardRequest:
    """Return a frame with the command to hash the state."""
    command = log_pb2.Command()
    command.administration.request_id = f"checkpoint-{attempt}"
    command.administration.checkpoint.SetInParent()
    proposal = forward_pb2.Proposal(id=1, command=command.SerializeToString())
    return forward_pb2.ForwardRequest(proposals=[proposal])
