"""The end of a run: a quorum alone has to work again, then all of them, and all is judged."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, combinations
from random import Random

from inventory.v1 import inventory_pb2
from linearizability import JudgedOperation, check
from linearizability.history import NEVER_NS
from raft import quorum
from raft.messages import Configuration
from raft.ready import RaftRole

from sim.bookkeeping import remainders, snapshot_remainders
from sim.checks import (
    ACKNOWLEDGED_MIN,
    LINEARIZABLE_MIN,
    FinalState,
    check_history,
    check_work,
    done_of,
)
from sim.clients import RESTOCK, ClientOperation, Read, SimClient
from sim.process import SimProcess
from sim.violation import LivenessViolation, SafetyViolation
from sim.world import ADMIN, EVENTS_MIN, GATEWAYS, START_LEVELS, SimWorld

CLOCK_BEHIND_MS_MAX = 8_000  # request ids may be 10 s ahead of the log; clocks drift, too
# Each limit of ticks is some four times what the longest of some hundred seeds took.
ELECT_TICKS_MAX = 160
ANSWERS_TICKS_MAX = 300
PROBE_TICKS_MAX = 440
LEVEL_TICKS_MAX = 160
AGREE_TICKS_MAX = 320
JOIN_TICKS_MAX = 480  # for those whose disks are empty, one after the other
WORK_TICKS_MAX = 480  # until enough has happened
REST_TICKS_MAX = 200
CHECKPOINT_TICKS = 40  # between two tries


class Others(enum.Enum):
    """What becomes of the members outside of the quorum, while the quorum works without them."""

    APART = "apart"
    DEAF = "deaf"  # they are heard, and may try to disturb
    MUTE = "mute"
    UNWELL = "unwell"  # they are heard and hear; who leads is one of them, and its machine is ill


def recover(world: SimWorld) -> str:
    """Require that the cluster works again; return the hash of the state that all have."""
    for client in world.clients:
        client.stopping = True
    random = Random(f"{world.plan.seed} quorum")
    others = random.choice([*Others, Others.UNWELL, Others.UNWELL])  # who leads is often inside
    spared = world.leader() if others is Others.UNWELL else None
    members = smallest_quorum(world, random, spared)
    if others is Others.DEAF and world.leader() not in members:
        others = Others.APART  # it could still make other voters, and be heard
    _leave_alone(world, members, others, random)
    _work_again(world, members, world.running() if others is Others.UNWELL else members)
    world.network.heal()
    for process in world.processes.values():
        if not process.is_spare:
            process.heal()
    _await_voters(world)
    _work_on(world)
    state_hash = _agree(world)
    _rest(world)
    return state_hash


def smallest_quorum(world: SimWorld, random: Random, spared: SimProcess | None) -> list[SimProcess]:
    """Choose voters with safe disks that are a majority, whichever configuration is in force.

    That is the one that was applied last, or one that somebody's log holds behind it who will be
    heard. They are a majority without `spared` where that can be.
    """
    safe = [one for one in world.processes.values() if one.has_run and not world.is_frail(one)]
    held = [one.configuration for one in (*safe, spared) if one is not None]
    newer = [
        known for index, known in held if index > world.evidence.applied_log.configuration_index
    ]
    configurations = list(map(_voters, [world.evidence.applied_log.configuration, *newer]))
    chosen = list(safe)
    for process in sorted(random.sample(safe, len(safe)), key=lambda one: one is not spared):
        fewer = [one for one in chosen if one is not process]
        if _are_quorum(fewer, configurations):
            chosen = fewer
    if not _are_quorum(chosen, configurations):
        raise RuntimeError(f"the plan left no safe quorum of {configurations}")
    return chosen


def _voters(configuration: Configuration) -> Sequence[frozenset[int]]:
    """Return who may be the voters soon: the leader promotes learners, which then may be away."""
    learners = sorted(configuration.learners)
    promoted = (combinations(learners, count) for count in range(len(learners) + 1))
    return [configuration.voters.union(some) for some in chain.from_iterable(promoted)]


def _are_quorum(
    members: Sequence[SimProcess], configurations: Iterable[Iterable[frozenset[int]]]
) -> bool:
    ids = [one.id for one in members]
    return all(quorum.reached(one, ids) for one in chain.from_iterable(configurations))


def _leave_alone(
    world: SimWorld, members: Sequence[SimProcess], others: Others, random: Random
) -> None:
    """Heal the members of the quorum; leave the others dead, paused, hung, full or cut off."""
    names = {*(process.name for process in members), *GATEWAYS}
    inside, outside = sorted(names), sorted(world.processes.keys() - names)
    world.network.heal_among(names)
    if others in {Others.APART, Others.DEAF}:
        world.network.cut(inside, outside)
    if others in {Others.APART, Others.MUTE}:
        world.network.cut(outside, inside)
    leader = world.leader()
    for process in members:
        process.heal()
    _set_clocks(members)
    if others is Others.UNWELL:
        world.network.heal()
        if leader is not None and leader not in members:
            _sicken(leader, random)
    text = f"only {inside}, others {others.value}"
    world.evidence.note("world", text)


def _set_clocks(members: Sequence[SimProcess]) -> None:
    """Set the clocks of a quorum in which every clock is behind what clients take for the time.

    Nobody there could tell that the request ids of clients are not of the future. One clock that
    is not behind is enough.
    """
    senses = [process.host.senses for process in members]
    if all(one.skew_ms < -CLOCK_BEHIND_MS_MAX for one in senses):
        for one in senses:
            one.skew_ms = 0


def _sicken(leader: SimProcess, random: Random) -> None:
    """Give a leader a machine with which it cannot lead."""
    if random.getrandbits(1):
        leader.host.troubles.disk_hangs += 1
    else:
        leader.fill(is_full=True)
    leader.world.evidence.coverage["leaders that could not lead"] += 1


def _work_again(
    world: SimWorld, members: Sequence[SimProcess], leaders: Sequence[SimProcess]
) -> None:
    """Wait until one of `leaders` leads, every client is answered, and a write is applied."""
    whom = sorted(process.name for process in members)
    world.run_until(
        lambda: any(process.role is RaftRole.LEADER for process in leaders),
        ELECT_TICKS_MAX,
        f"{whom} elect a leader",
    )
    clients = world.clients
    world.run_until(
        lambda: all(client.idle for client in clients), ANSWERS_TICKS_MAX, f"{whom} answer"
    )
    probe(world, clients[0], whom)

    def level() -> bool:
        nodes = [process.raft for process in members if process.raft is not None]
        return all(node.applied_index == world.evidence.applied_log.last_index for node in nodes)

    world.run_until(level, LEVEL_TICKS_MAX, f"{whom} are level")


def probe(world: SimWorld, client: SimClient, whom: Sequence[str]) -> None:
    """Require that a probe is committed, which no rule refuses."""
    client.mutate(RESTOCK)
    world.run_until(lambda: client.idle, PROBE_TICKS_MAX, f"{whom} commit a write")
    if not client.history[-1].acknowledged:
        raise LivenessViolation(f"{whom} refuse a write: {client.history[-1]}")


def are_level(members: Sequence[SimProcess]) -> bool:
    """Tell whether one member leads, and all have applied everything that the leader holds."""
    nodes = [process.raft for process in members if process.raft is not None]
    leaders = [node for node in nodes if node.role is RaftRole.LEADER]
    if len(leaders) != 1 or len(nodes) < len(members):
        return False
    last_index = leaders[0].last_index
    return all(node.applied_index == node.last_index == last_index for node in nodes)


def _await_voters(world: SimWorld) -> None:
    """Wait until all who run are voters, and level."""

    def joined() -> bool:
        voters = world.evidence.applied_log.configuration.voters
        is_level = _are_all_level(world)
        return is_level and all(
            one.id in voters and not one.life.removed for one in world.running()
        )

    world.run_until(joined, JOIN_TICKS_MAX, "all who run are voters, and level")


def _are_all_level(world: SimWorld) -> bool:
    """Tell whether all who should take part do, and are level."""
    taking_part = participants(world)
    return are_level(taking_part) and len(taking_part) == count(world)


def _work_on(world: SimWorld) -> None:
    """Let clients work on where a run saw little before, and wait until they are answered."""

    def is_enough() -> bool:
        done = [done_of(client.history, client.reads) for client in world.clients]
        acknowledged, linearizable = map(sum, zip(*done, strict=True))
        has_worked = acknowledged >= ACKNOWLEDGED_MIN and linearizable >= LINEARIZABLE_MIN
        return world.evidence.events >= EVENTS_MIN and has_worked

    for client in world.clients:
        client.stopping = False
        client.start()
    world.run_until(is_enough, WORK_TICKS_MAX, "enough happens")
    for client in world.clients:
        client.stopping = True
    world.run_until(
        lambda: all(client.idle for client in world.clients), ANSWERS_TICKS_MAX, "all answer"
    )


def _agree(world: SimWorld) -> str:
    """Wait until all who take part are level, and have the same state."""
    for _ in range(AGREE_TICKS_MAX // CHECKPOINT_TICKS):
        world.checkpoint()
        _wait(world, CHECKPOINT_TICKS)
        hashes = [
            one.life.node.view().state_hash
            for one in participants(world)
            if one.life.node is not None
        ]
        if len({one.index for one in hashes}) == 1 and hashes[0].index and _are_all_level(world):
            if len({one.sha256 for one in hashes}) > 1:
                raise SafetyViolation(f"states differ: {hashes}")
            return hashes[0].sha256
    raise LivenessViolation("the members do not come to one index")


def _rest(world: SimWorld) -> None:
    """Wait until nothing is in flight, and nothing is counted as if it were."""

    def found() -> list[str]:
        kept = {one.name: one.remainders() for one in world.gateways}
        for process in participants(world):
            node = process.life.node
            if node is not None:
                kept[process.name] = remainders(node) + snapshot_remainders(node)
        return [f"{name}: {what}" for name, whats in kept.items() for what in whats]

    for _ in range(REST_TICKS_MAX):
        if not found():
            return
        _wait(world, 1)
    raise LivenessViolation(f"nothing is in flight, and still counted: {found()}")


def _wait(world: SimWorld, ticks: int) -> None:
    world.timeline.run_until(world.timeline.now_us + ticks * 25_000)


def participants(world: SimWorld) -> list[SimProcess]:
    """Return who takes part, by the newest configuration that was applied."""
    known = world.evidence.applied_log.configuration
    members = known.voters | known.learners
    return [process for process in world.running() if process.id in members]


def count(world: SimWorld) -> int:
    """Return how many members there should be that take part."""
    known = world.evidence.applied_log.configuration
    return len(known.voters | known.learners)


def judge(world: SimWorld) -> None:
    """Compare what clients were told with each other, and with what is there."""
    history = [operation for client in world.clients for operation in client.history]
    world.evidence.coverage["outcomes left unknown"] += sum(one.given_up for one in history)
    start = START_LEVELS
    known = [one for one in (_known(world, operation) for operation in history) if one is not None]
    for process in participants(world):
        state: FinalState = process.audit(ADMIN, start)
        check_history(known, start, state)
    reads = [read for client in world.clients for read in client.reads]
    check_work(history, reads)
    verdict = check([*map(_mutation, history), *_looks(reads)], start)
    if not verdict.ok:
        raise SafetyViolation(f"not linearizable: {verdict.explanation}")


def _known(world: SimWorld, operation: ClientOperation) -> ClientOperation | None:
    """Return an operation as it ended, also where nobody waited for that; None: it never was."""
    if not operation.given_up:
        return operation
    kept = world.evidence.ledger.outcomes.get((ADMIN, operation.request_id))
    if kept is None:
        return None
    outcome = inventory_pb2.Outcome.FromString(kept)
    found = replace(operation, return_us=world.timeline.now_us)
    found.settle(outcome, outcome.error if outcome.HasField("error") else None)
    return found


def _mutation(operation: ClientOperation) -> JudgedOperation:
    is_known = operation.return_us is not None
    return JudgedOperation(
        client=operation.client,
        kind=operation.kind,
        call_ns=operation.call_us * 1000,
        return_ns=operation.return_us * 1000 if operation.return_us is not None else NEVER_NS,
        ok=operation.acknowledged if is_known else None,
        changes=operation.changes,
        seen=operation.receipt.levels,
        request_id=operation.request_id,
    )


def _looks(reads: Sequence[Read]) -> list[JudgedOperation]:
    return [
        JudgedOperation(
            client=read.client,
            kind="get",
            call_ns=read.call_us * 1000,
            return_ns=read.return_us * 1000,
            ok=True,
            changes=(),
            seen=tuple(read.levels.items()),
            request_id=None,
        )
        for read in reads
        if read.is_linearizable
    ]
