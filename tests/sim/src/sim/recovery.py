"""The end of a run: a quorum alone has to work again, then all of them, and all is judged."""

from collections.abc import Sequence
from random import Random

from linearizability import Operation as Judged
from linearizability import check
from linearizability.history import NEVER_NS
from raft import quorum
from raft.messages import Configuration
from raft.ready import Role

from sim.checks import State, check_history
from sim.clients import Client, Read
from sim.clients import Operation as Asked
from sim.process import Process
from sim.violation import LivenessViolation, SafetyViolation
from sim.world import ADMIN, GATEWAYS, World

QUORUM_TICKS_MAX = 400  # ten seconds, to elect, to catch up and to commit a write
ANSWERS_TICKS_MAX = 400
AGREE_TICKS_MAX = 800
JOIN_TICKS_MAX = 1_600  # for those whose disks are empty, one after the other
CHECKPOINT_TICKS = 40  # between two tries


def recover(world: World) -> str:
    """Require that the cluster works again; return the hash of the state that all have."""
    for client in world.clients:
        client.stopping = True
    world.misfortune.end_all()
    members = smallest_quorum(world)
    _leave_alone(world, members)
    _work_again(world, members)
    world.network.heal()
    for process in world.processes.values():
        if not process.alive and not process.is_spare:
            process.start()
    return _agree(world)


def smallest_quorum(world: World) -> list[Process]:
    """Choose voters with safe disks that are a majority, whichever configuration is in force.

    That is the one that was applied last, or one that somebody's log holds behind it.
    """
    safe = [one for one in world.processes.values() if one.has_run and not world.is_frail(one)]
    held = [one.configuration for one in safe]
    newer = [known for index, known in held if index > world.checks.configuration_index]
    configurations = [world.checks.configuration, *newer]
    chosen = list(safe)
    random = Random(f"{world.plan.seed} quorum")
    for process in random.sample(safe, len(safe)):
        fewer = [one for one in chosen if one is not process]
        if all(_is_quorum(fewer, configuration) for configuration in configurations):
            chosen = fewer
    if not all(_is_quorum(chosen, configuration) for configuration in configurations):
        raise RuntimeError(f"the plan left no safe quorum of {configurations}")
    return chosen


def _is_quorum(members: Sequence[Process], configuration: Configuration) -> bool:
    return quorum.reached(configuration.voters, [one.id for one in members])


def _leave_alone(world: World, members: Sequence[Process]) -> None:
    """Heal these, and let the others neither hear nor be heard."""
    world.network.heal()
    names = {process.name for process in members}
    others = world.processes.keys() - names
    world.network.cut(sorted({*names, *GATEWAYS}), sorted(others))
    world.network.cut(sorted(others), sorted({*names, *GATEWAYS}))
    for process in members:
        if not process.alive:
            process.start()
    world.trace.add(world.timeline.now_us, "world", f"only {sorted(names)}")


def _work_again(world: World, members: Sequence[Process]) -> None:
    """Wait until they have a leader, answered everybody, committed a write, and are level."""
    whom = sorted(process.name for process in members)
    world.run_until(
        lambda: any(process.role is Role.LEADER for process in members),
        QUORUM_TICKS_MAX,
        f"{whom} elect a leader",
    )
    clients = world.clients
    world.run_until(
        lambda: all(client.idle for client in clients), ANSWERS_TICKS_MAX, f"{whom} answer"
    )
    probe(world, clients[0], whom)
    world.run_until(lambda: are_level(members), QUORUM_TICKS_MAX, f"{whom} are level")


def probe(world: World, client: Client, whom: Sequence[str]) -> None:
    """Require a committed write."""
    client.mutate()
    world.run_until(lambda: client.idle, QUORUM_TICKS_MAX, f"{whom} commit a write")


def are_level(members: Sequence[Process]) -> bool:
    """Tell whether one leads, and all hold and have applied what it holds."""
    nodes = [process.raft for process in members if process.raft is not None]
    leaders = [node for node in nodes if node.role is Role.LEADER]
    if len(leaders) != 1 or len(nodes) < len(members):
        return False
    last_index = leaders[0].last_index
    return all(node.applied_index == node.last_index == last_index for node in nodes)


def _agree(world: World) -> str:
    """Wait until all who take part are level, and have the same state."""

    def level() -> bool:
        taking_part = participants(world)
        return are_level(taking_part) and len(taking_part) == count(world)

    def joined() -> bool:
        voters = world.checks.configuration.voters
        return level() and all(one.id in voters and not one.removed for one in world.running())

    world.run_until(joined, JOIN_TICKS_MAX, "all who run are voters, and level")
    for _ in range(AGREE_TICKS_MAX // CHECKPOINT_TICKS):
        world.checkpoint()
        _pass(world, CHECKPOINT_TICKS)
        hashes = [one.node.view().state_hash for one in participants(world) if one.node is not None]
        if len({one.index for one in hashes}) == 1 and hashes[0].index and level():
            if len({one.sha256 for one in hashes}) > 1:
                raise SafetyViolation(f"states differ: {hashes}")
            return hashes[0].sha256
    raise LivenessViolation("the members do not come to one index")


def _pass(world: World, ticks: int) -> None:
    world.timeline.run_until(world.timeline.now_us + ticks * 25_000)


def participants(world: World) -> list[Process]:
    """Return who takes part, by the newest configuration that was applied."""
    known = world.checks.configuration
    members = known.voters | known.learners
    return [process for process in world.running() if process.id in members]


def count(world: World) -> int:
    """Return how many members there should be that take part."""
    known = world.checks.configuration
    return len(known.voters | known.learners)


def judge(world: World) -> None:
    """Compare what clients were told with each other, and with what is there."""
    history = [operation for client in world.clients for operation in client.history]
    start = world.start_levels
    for process in participants(world):
        state: State = process.audit(ADMIN, start)
        check_history(history, start, state)
    reads = [read for client in world.clients for read in client.reads]
    verdict = check([*map(_mutation, filter(_counts, history)), *_looks(reads)], start)
    if not verdict.ok:
        raise SafetyViolation(f"not linearizable: {verdict.explanation}")


def _counts(operation: Asked) -> bool:
    return operation.refused in {"", "INSUFFICIENT_STOCK"}


def _mutation(operation: Asked) -> Judged:
    is_known = operation.return_us is not None
    return Judged(
        client=operation.client,
        kind=operation.kind,
        call_ns=operation.call_us * 1000,
        return_ns=operation.return_us * 1000 if operation.return_us is not None else NEVER_NS,
        ok=operation.acknowledged if is_known else None,
        changes=operation.changes,
        seen=operation.levels,
        request_id=operation.request_id,
    )


def _looks(reads: Sequence[Read]) -> list[Judged]:
    return [
        Judged(
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
