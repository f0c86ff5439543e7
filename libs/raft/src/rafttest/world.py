"""The world of one seed: the faults, the load, and the order of the events."""

from dataclasses import dataclass, replace
from random import Random

from raft import AddLearner, Promote, RaftSettings, RawNode, Remove
from raft.messages import Configuration, Message
from raft.progress import UNBOUNDED
from raft.ready import RaftRole

from rafttest.disk import CoreDisk
from rafttest.member import CoreMember, CoreSurroundings
from rafttest.network import CoreNetwork, LinkFaults
from rafttest.properties import Properties, PropertyViolation

CHAOS_ROUNDS = 300
EVENTS_MIN = 1_000  # a smaller cluster has fewer events a round, and more rounds
CHAOS_ROUNDS_MAX = 3_000
CALM_ROUNDS_MAX = 1500  # one entry an append, one append under way
KEPT_ENTRIES_MAX = 3
NEWCOMERS_MAX = 2
RESUME = 0.06  # probability a round, so small that a pause outlasts elections


@dataclass(slots=True, kw_only=True)
class FaultRates:
    """Probabilities of faults and of their end in one round, drawn once a seed."""

    crash: float
    restart: float
    partition: float
    heal: float
    pause: float
    strike: float  # at a leader: a crash, a pause or a partition around the leader


@dataclass(slots=True, kw_only=True)
class LoadRates:
    """Probabilities of what clients and callers do in one round, drawn once a seed."""

    propose: float
    read: float
    flush: float
    compact: float
    transfer: float  # at a leader
    follower_read: float  # at each other member
    change: float  # at a leader


class CoreWorld:
    """A cluster, its network, its clients, and the faults that a seed chose."""

    def __init__(self, seed: int) -> None:
        """Draw the cluster, the faults and the load from the seed."""
        self.random = random = Random(seed)  # noqa: S311 - a seed must repeat its run
        self.properties = Properties()
        self.round = 0
        self.number = 0  # of the last payload or read
        self.network = CoreNetwork(
            random,
            LinkFaults(
                drop=random.choice((0.0, 0.01, 0.05, 0.15)),
                double=random.choice((0.0, 0.05, 0.2)),
                delay_rounds_max=random.choice((1, 2, 4)),
                straggle=random.choice((0.0, 0.02)),
            ),
        )
        self.faults = FaultRates(
            crash=random.choice((0.0, 0.003, 0.01)),
            restart=random.choice((0.1, 0.3)),
            partition=random.choice((0.0, 0.01)),
            heal=random.choice((0.05, 0.1)),
            pause=random.choice((0.0, 0.003)),
            strike=random.choice((0.01, 0.05, 0.1)),
        )
        # A second source of randomness: a seed without transfers, follower reads and changes draws
        # the same numbers from the first source as a seed with them.
        self.apart = apart = Random(seed ^ 0x7F4A7C15)  # noqa: S311 - as above
        self.load = LoadRates(
            propose=random.choice((0.1, 0.4, 0.8)),
            read=random.choice((0.1, 0.5)),
            flush=random.choice((0.1, 0.5)),
            compact=random.choice((0.0, 0.1, 0.4)),
            transfer=apart.choice((0.0, 0.0, 0.02, 0.1)),
            follower_read=apart.choice((0.0, 0.0, 0.1, 0.3)),
            change=apart.choice((0.0, 0.0, 0.03, 0.1)),
        )
        self.members = self._found(random.choice((1, 3, 3, 3, 3, 5, 5, 5)))

    def _found(self, size: int) -> list[CoreMember]:
        """Start a cluster of members on empty disks."""
        random = self.random
        ids = range(1, size + 1)
        self.founders = Configuration(frozenset(ids))
        self.surroundings = CoreSurroundings(
            random=random,
            properties=self.properties,
            disks={member: CoreDisk(self.founders) for member in ids},
            send=self._send,
            round=lambda: self.round,
            streams=[],
            sync_rounds_max=random.choice((0, 1, 3)),
        )
        bounds = (random.choice((1, 3, 16)), random.choice((8, 1 << 20)), random.choice((1, 2, 8)))
        timeout = random.choice((6, 10))
        self.settings = RaftSettings(
            id=1,
            election_timeout_ticks_min=timeout,
            election_timeout_ticks_max=2 * timeout,
            heartbeat_ticks=max(1, timeout // 5),
            entries_per_append_max=bounds[0],
            bytes_per_append_max=bounds[1],
            appends_in_flight_max=bounds[2],
            random=random.randrange,
            bytes_in_flight_max=self.apart.choice((3, 20, UNBOUNDED, UNBOUNDED)),
            uncommitted_bytes_max=self.apart.choice((10, 100, UNBOUNDED, UNBOUNDED)),
        )
        return [self._start(member) for member in ids]

    def _start(self, member: int) -> CoreMember:
        """Start a member for the first time."""
        settings = replace(self.settings, id=member)
        return CoreMember(settings, self.surroundings.disks[member], self.surroundings)

    def _send(self, message: Message) -> None:
        self.network.send(self.round, message)

    def run(self) -> None:
        """Run the rounds with faults, then check that the cluster recovers."""
        for rounds in range(CHAOS_ROUNDS_MAX):
            if rounds >= CHAOS_ROUNDS and self.properties.events >= EVENTS_MIN:
                break
            self.inject_faults()
            self.pass_round()
        self.recover()

    def pass_round(self) -> None:
        """Run one round: arrivals, clients, disks, state machines, clocks."""
        self.round += 1
        for message in self.network.arrivals(self.round):
            member = self.members[message.recipient - 1]
            if member.is_paused and member.node is not None:
                self.network.hold(self.round, message)
            elif member.node is not None:
                member.step(message)
        self._advance_streams()
        random, load = self.random, self.load
        for member in self.members:
            if member.node is None or member.is_paused:
                continue
            self._client(member, member.node)
            member.sync()
            if member.unapplied:
                member.apply(random.randint(1, 16))
            if random.random() < load.flush:
                member.flush()
            if random.random() < load.compact:
                member.compact(random.randint(0, KEPT_ENTRIES_MAX))
            if random.random() < 0.95:  # noqa: PLR2004 - clocks run apart
                member.tick()

    def _client(self, member: CoreMember, node: RawNode) -> None:
        """Propose and read at a member that leads its term; read at another member."""
        if node.role is not RaftRole.LEADER:
            if self.load.follower_read and self.apart.random() < self.load.follower_read:
                self.number += 1
                member.read(self.number)
            return
        random, load = self.random, self.load
        if random.random() < load.propose:
            payloads = [b"%d" % (self.number + count) for count in range(random.randint(1, 4))]
            self.number += len(payloads)
            member.propose(payloads)
        if random.random() < load.read:
            self.number += 1
            member.read(self.number)
        if self.load.transfer and self.apart.random() < self.load.transfer:
            member.transfer(self.apart.randint(0, len(self.members)))
        if self.load.change and self.apart.random() < self.load.change:
            self._change(member, node.configuration)

    def _change(self, leader: CoreMember, configuration: Configuration) -> None:
        """Try to promote a learner, or to let another member join or leave."""
        apart = self.apart
        members = configuration.voters | configuration.learners
        members_max = len(self.founders.voters) + NEWCOMERS_MAX
        strangers = [
            one
            for one in range(1, min(len(self.members) + 1, members_max) + 1)
            if one not in members
        ]
        roll = apart.random()
        if configuration.learners and roll < 0.5:  # noqa: PLR2004 - as often as all else
            leader.change(Promote(apart.choice(sorted(configuration.learners))))
        elif strangers and roll < 0.7:  # noqa: PLR2004 - growth and decline hold each other
            newcomer = apart.choice(strangers)
            if leader.change(AddLearner(newcomer)) and newcomer > len(self.members):
                self.surroundings.disks[newcomer] = CoreDisk(self.founders)
                self.members.append(self._start(newcomer))
        else:
            leader.change(Remove(apart.choice(sorted(members))))

    def _advance_streams(self) -> None:
        for stream in list(self.surroundings.streams):
            recipient = self.members[stream.recipient - 1]
            is_cut = (stream.sender.settings.id, stream.recipient) in self.network.cut
            if stream.deadline <= self.round or recipient.node is None or is_cut:
                if stream.deadline:
                    stream.sender.end(stream, installed=False)
            elif stream.due <= self.round and not stream.arrived and not recipient.is_paused:
                recipient.receive(stream)
        self.surroundings.streams[:] = [
            stream for stream in self.surroundings.streams if stream.deadline
        ]

    def inject_faults(self) -> None:
        """Begin or end faults by chance."""
        random, faults = self.random, self.faults
        ids = [member.settings.id for member in self.members]
        if random.random() < faults.partition and len(ids) > 1:
            self.network.partition(ids)
        elif random.random() < faults.heal:
            self.network.heal()
        for member in self.members:
            if member.node is None:
                if random.random() < faults.restart:
                    member.start()
            elif member.is_paused:
                self._wake(member, member.node)
            elif member.node.role is RaftRole.LEADER and random.random() < faults.strike:
                self.strike(member)
            elif random.random() < faults.crash:
                member.crash()
            elif random.random() < faults.pause:
                member.is_paused = True

    def _wake(self, member: CoreMember, node: RawNode) -> None:
        """Resume a paused member by chance; its clients act before the messages that it missed."""
        if self.random.random() < RESUME:
            member.is_paused = False
            self._client(member, node)

    def strike(self, leader: CoreMember) -> None:
        """Take a leader out of its cluster by a crash, a pause or a partition."""
        ids = [member.settings.id for member in self.members]
        match self.random.randrange(3):
            case 0:
                leader.crash()
            case 1:
                leader.is_paused = True
            case _:
                self.network.isolate(leader.settings.id, ids)

    def recover(self) -> None:
        """End all faults, and let the cluster commit one more entry.

        PropertyViolation: a member has not applied the entry in `CALM_ROUNDS_MAX` rounds.
        """
        self.network.heal()
        self.network.faults = LinkFaults(drop=0.0, double=0.0, delay_rounds_max=1, straggle=0.0)
        self.surroundings.sync_rounds_max = 0
        for member in self.members:
            member.is_paused = False
            if member.node is None:
                member.start()
        self.load.propose = self.load.read = 0.0
        self.load.transfer = self.load.follower_read = self.load.change = 0.0
        acknowledged_index = None  # at the proposal of the last entry
        for _ in range(CALM_ROUNDS_MAX):
            self.pass_round()
            if not self._agrees():
                continue
            if acknowledged_index is None:
                acknowledged_index = self.properties.acknowledged_index
            elif self.properties.acknowledged_index > acknowledged_index:
                return
            self.load.propose = 1.0
            self.pass_round()
            self.load.propose = 0.0
        states = [
            (node.id, node.role.value, node.term, node.commit_index, node.last_index)
            for node in (member.running for member in self.members)
        ]
        raise PropertyViolation(
            f"liveness: no agreement on one more entry {CALM_ROUNDS_MAX} rounds later: {states}"
        )

    def _agrees(self) -> bool:
        """Tell whether one member leads, and the members of its configuration applied its log."""
        nodes = [member.running for member in self.members]
        leaders = [node for node in nodes if node.role is RaftRole.LEADER]
        if len(leaders) != 1:
            return False
        leader = leaders[0]
        members = leader.configuration.voters | leader.configuration.learners
        return all(
            node.leader == leader.id and node.applied_index == leader.last_index
            for node in nodes
            if node.id in members
        )


def run(seed: int) -> CoreWorld:
    """Run one seed; raise PropertyViolation or ProtocolViolation if the run breaks a rule."""
    world = CoreWorld(seed)
    world.run()
    return world
