"""Whole nodes, two gateways and clients in one thread, in virtual time, from one plan.

`sim.run` lets a world live, under faults and after them. Nothing depends on the machine, the
folder, the wall clock or the hash seed: two runs of a plan have the same trace.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from random import Random

from inventory.raft.v1 import forward_pb2, log_pb2, membership_pb2
from inventory.v1 import auth_pb2
from inventory_node.core.events import ChangeAsked, Forwarded, arrival
from inventory_node.core.membership.bootstrap import Described
from inventory_node.core.node import NodeSettings
from inventory_node.ports import PeerMessage, SnapshotHeader
from raft.messages import Configuration
from raft.ready import RaftRole

from sim.clients import Habits, Horizon, SimClient
from sim.evidence import Evidence
from sim.faults import Plan
from sim.frames import check_claims
from sim.gateway import GatewayProcess
from sim.network import SimNetwork
from sim.numbers import Numbers
from sim.process import RESTART_US, TICK_US, SimProcess
from sim.streams import SnapshotStreams
from sim.surroundings import ChunkAnswer, ProcessHandle
from sim.timeline import Timeline
from sim.trace import Trace
from sim.violation import LivenessViolation

SPARES = 2  # processes that may join later
GATEWAYS = ("gateway-1", "gateway-2")
CLUSTER_ID = "cluster"
ITEMS = 3
STOCK = 30  # of each item at the start
START_LEVELS = dict.fromkeys(range(1, ITEMS + 1), STOCK)
CLIENTS = 6
RESTLESS = 1  # the client that now and then does not wait for an outcome
READERS = 2  # of them, one at each gateway
ADMIN = 2  # a user id, in the order of the first state
CHECKPOINT_SESSION = 0  # of no gateway
EVENTS_MIN = 5_000  # that members handle: a run with fewer goes on for a while
TRACE_LINES = 2_000  # kept to look at when a run fails
NO_PASSWORD = "$argon2id$none"  # noqa: S105 - a hash that no password has


class SimWorld:
    """One run. The world is what the processes call of each other (`sim.surroundings`)."""

    def __init__(self, plan: Plan, folder: Path, *, keep_trace: bool = False) -> None:
        """Databases live below `folder`."""
        self.plan = plan
        self.timeline = Timeline()
        trace = Trace(keep=None if keep_trace else TRACE_LINES)
        voters = Configuration(frozenset(self.founders))
        self.evidence = Evidence(self.timeline, trace, START_LEVELS, voters)
        coverage = self.evidence.coverage
        self.network = SimNetwork(self.timeline, self._random("network"), coverage)
        self.numbers = Numbers(plan.founders + SPARES)
        self.processes = {
            f"node-{number}": self._make_process(number, folder)
            for number in range(1, plan.founders + SPARES + 1)
        }
        self.streams = SnapshotStreams(
            self.timeline, self.network, self._random("streams"), coverage
        )
        self.gateways = [
            GatewayProcess(name, self, self.processes, plan.founders) for name in GATEWAYS
        ]
        horizon = Horizon(ITEMS)
        self.clients = [self._client(number, horizon) for number in range(CLIENTS)]
        self._closed = False

    @property
    def founders(self) -> dict[int, str]:
        """The first members' names by their ids."""
        return {number: f"node-{number}" for number in range(1, self.plan.founders + 1)}

    def _random(self, what: str) -> Random:
        """Return a generator of its own, so that one part's draws do not move another's."""
        return Random(f"{self.plan.seed} {what}")

    def _make_process(self, number: int, folder: Path) -> SimProcess:
        name = f"node-{number}"
        settings = settings_of(number, name, self.founders)
        return SimProcess(settings, self.founders, folder / name, self, self._random(name))

    def _client(self, number: int, horizon: Horizon) -> SimClient:
        gateway = self.gateways[number % len(self.gateways)]
        random = self._random(f"client {number}")
        return SimClient(
            number,
            ADMIN,
            self.timeline,
            random,
            gateway,
            horizon,
            self.evidence.ledger,
            Habits(only_reads=number >= CLIENTS - READERS, gives_up=number == RESTLESS),
        )

    def close(self) -> None:
        """Close the databases."""
        self._closed = True
        for process in self.running():
            process.end(power=False)

    # Who is who.

    def process(self, number: int) -> SimProcess:
        """Return the process with a number in its name."""
        return self.processes[f"node-{number}"]

    def by_id(self, member: int) -> SimProcess | None:
        """Return the process of a member; None if the process has another disk since."""
        return next((one for one in self.processes.values() if one.id == member), None)

    def running(self) -> list[SimProcess]:
        """Return the processes that are alive, paused or not."""
        return [one for one in self.processes.values() if one.alive]

    def names(self) -> tuple[list[str], list[str]]:
        """Return the names of members and of gateways."""
        return list(self.processes), list(GATEWAYS)

    def is_frail(self, process: SimProcess) -> bool:
        """Tell whether a process's disk may be lost."""
        return any(self.process(number) is process for number in self.plan.frail)

    def safe_voters(self, configuration: Configuration) -> frozenset[int]:
        """Return the voters whose disks are never lost: they keep every promise."""
        safe = {one.id for one in self.processes.values() if not self.is_frail(one)}
        return configuration.voters & safe

    def leader(self) -> SimProcess | None:
        """Return the member that leads the highest term."""
        leaders = [
            (process.raft.term, process.name)
            for process in self.processes.values()
            if process.raft is not None and process.role is RaftRole.LEADER
        ]
        return self.processes[max(leaders)[1]] if leaders else None

    # Time.

    def run_until(self, holds: Callable[[], bool], ticks_max: int, what: str) -> None:
        """Let time pass until something holds; raise LivenessViolation if that takes too long."""
        for _ in range(ticks_max):
            if holds():
                return
            self.timeline.run_until(self.timeline.now_us + TICK_US)
        states = [
            (raft.id, raft.role.value, raft.term, raft.commit_index, raft.last_index)
            for raft in (process.raft for process in self.running())
            if raft is not None
        ]
        raise LivenessViolation(f"not within {ticks_max} ticks: {what}; {states}")

    def checkpoint(self) -> None:
        """Let members hash their states at one index."""
        leader = self.leader()
        if leader is not None:
            frame = checkpoint(self.numbers.next_change())
            leader.deliver(Forwarded(CHECKPOINT_SESSION, frame))

    # What processes reach of the world.

    def carry(self, sender: ProcessHandle, message: PeerMessage) -> None:
        """Carry a message to a member; drop it if the process is another member by then."""
        process = self.by_id(message.recipient)
        if process is None:
            return

        def arrive() -> None:
            if process.id == message.recipient:
                if process.alive and process.life.node is not None:
                    check_claims(message, process.life.node)
                process.deliver(arrival(message))

        self.network.send(sender.name, process.name, arrive)

    def reply(self, member: str, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Carry a frame to the gateway that has the session."""
        for gateway in self.gateways:
            gateway.frame(member, session, response)

    def stream_snapshot(
        self, sender: ProcessHandle, peer: int, term: int, header: SnapshotHeader, path: str
    ) -> None:
        """Stream a file to a member, in chunks."""
        self.streams.begin((sender, self.by_id(peer)), peer, term, header, path)

    def answer_chunk(self, member: ProcessHandle, answer: ChunkAnswer) -> None:
        """Carry the answer to a chunk to the sender of the chunk."""
        self.streams.answer(member, answer)

    def ask_change(
        self,
        asker: ProcessHandle,
        request: membership_pb2.ChangeRequest,
        told: Callable[[membership_pb2.ChangeResponse], None],
    ) -> None:
        """Ask every other member for a change; `told` hears each answer that comes."""
        life = asker.life

        def hear(process: ProcessHandle, response: membership_pb2.ChangeResponse) -> None:
            arrive = partial(told, response)
            self.network.send(process.name, asker.name, lambda: None if life.over else arrive())

        for process in self.processes.values():
            if process is not asker:
                ask = partial(self.ask_self, process, request, partial(hear, process))
                self.network.send(asker.name, process.name, ask)

    def ask_self(
        self,
        process: ProcessHandle,
        request: membership_pb2.ChangeRequest,
        told: Callable[[membership_pb2.ChangeResponse], None],
    ) -> None:
        """Ask a process's own node for a change."""
        if not process.alive:
            return
        ticket = self.numbers.next_change()
        process.life.changes[ticket] = told
        process.deliver(ChangeAsked(ticket, request))

    def reached(self, process: ProcessHandle) -> frozenset[int]:
        """Return the ids of the members that a process has streams with: one may be paused."""
        passes = self.network.passes
        return frozenset(
            one.id
            for one in self.running()
            if one is not process
            and passes(one.name, process.name)
            and passes(process.name, one.name)
        )

    def describe(self, members: Iterable[int]) -> list[Described | None]:
        """Return what these members say of themselves; None for one that does not run."""
        return [self._describe(self.by_id(member)) for member in sorted(members)]

    def _describe(self, process: ProcessHandle | None) -> Described | None:
        raft = process.raft if process is not None else None
        if process is None or raft is None or process.life.paused:
            return None
        return Described(
            name=process.name,
            says=process.name,
            cluster_id=CLUSTER_ID,
            founding="",
            member_id=process.id,
            bootstrapped=True,
            term=raft.term,
            reached=self.reached(process),
        )

    def count_others(self, process: ProcessHandle) -> int:
        """Return how many other processes may answer."""
        return sum(one is not process for one in self.running())

    def ended(self, process: ProcessHandle, *, restart: bool) -> None:
        """See the end of a process; who halted is started again."""
        for gateway in self.gateways:
            gateway.member_ended(process.name)
        if restart and not self._closed:
            delay_us = process.random.randrange(*RESTART_US)
            self.timeline.after(delay_us, lambda: None if process.alive else process.start())


def settings_of(member: int, name: str, founders: dict[int, str]) -> NodeSettings:
    """Return a member's settings, with bounds so small that a run reaches them."""
    return NodeSettings(
        name=name,
        member_id=member,
        cluster_id=CLUSTER_ID,
        members=founders,
        initialize=first_state().SerializeToString(),
        flush_commands_max=16,
        flush_age_ticks_max=8,
        log_tail_entries=12,
        log_tail_bytes=1 << 14,
        full_retry_ticks=8,
        disk_hung_ticks=20,
        flush_hung_ticks=20,
        clock_leap_ms_max=30_000,
        checkpoint_ticks=80,
        checkpoint_gap_ticks=80,
        entries_per_append_max=8,
        appends_in_flight_max=4,
    )


def first_state() -> log_pb2.Administration:
    """Return the first state: a customer, an admin, and a few items."""
    administration = log_pb2.Administration(request_id="initialize")
    first = administration.initialize
    first.cluster_id = CLUSTER_ID
    first.currency.code = "INR"
    first.currency.minor_digits = 2
    for name, role in (("customer", auth_pb2.ROLE_CUSTOMER), ("admin", auth_pb2.ROLE_ADMIN)):
        first.users.add(name=name, folded_name=name, role=role, password_hash=NO_PASSWORD)
    for number in range(1, ITEMS + 1):
        item = first.items.add(name=f"item {number}", quantity=STOCK)
        item.price.currency_code = "INR"
        item.price.units = 100 * number
    return administration


def checkpoint(number: int) -> forward_pb2.ForwardRequest:
    """Return a frame with the command to hash the state."""
    command = log_pb2.Command()
    command.administration.request_id = f"checkpoint-{number}"
    command.administration.checkpoint.SetInParent()
    proposal = forward_pb2.Proposal(id=1, command=command.SerializeToString())
    return forward_pb2.ForwardRequest(proposals=[proposal])
