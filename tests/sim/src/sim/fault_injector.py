"""Begins and ends the faults of a plan."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from sim.compound_faults import CompoundFaults
from sim.faults import FaultKind, SimFault
from sim.host import Troubles
from sim.network import Cut, NetworkConditions
from sim.operators import Operators
from sim.process import SimProcess
from sim.world import SimWorld

SKEW_MS_MAX = 120_000
DRIFT_PER_MILLE = (500, 900, 1100, 1500)
CRASH_OPERATIONS_MAX = 16  # of the disk, until the power goes
SLOWER = (3, 10, 40)
LASTING = (0, 0, 1, 3)  # how often the power goes again where it goes by itself
ON_A_PROCESS = frozenset(  # what has an effect on one that runs
    {
        FaultKind.ISOLATE,
        FaultKind.APART,
        FaultKind.ASIDE,
        FaultKind.DEAF,
        FaultKind.MUTE,
        FaultKind.SLOW_DISK,
        FaultKind.HUNG_DISK,
        FaultKind.SYNC_ERROR,
        FaultKind.STORE_ERROR,
        FaultKind.DISK_FULL,
        FaultKind.CLOCK_JUMP,
        FaultKind.CLOCK_DRIFT,
    }
)
STORMS = (FaultKind.DROP, FaultKind.DUPLICATE, FaultKind.DELAY, FaultKind.REORDER)
Ending = Callable[[], None]
Beginning = Callable[[FaultKind, SimProcess, Random], Ending | None]


def nothing() -> None:
    """Do nothing: the end of a fault that has no end, or that ends by itself."""


class FaultInjector:
    """Begins each fault of a plan in its time, and ends the fault.

    - A fault's details depend on its own draw alone, so that a plan can be shortened.
    - A fault that begins is ended once: by its time, or by whoever heals the world after `leave`.
    - A fault counts in the coverage only if it had an effect.
    """

    def __init__(self, world: SimWorld, operators: Operators) -> None:
        """Strike `world`."""
        self._world = world
        self._operators = operators
        self._compound_faults = CompoundFaults(world, operators)
        self._endings: dict[SimFault, Ending] = {}
        self._is_over = False

    def begin(self, fault: SimFault) -> None:
        """Let a fault begin, and end in its time; it counts where it has an effect."""
        if self._is_over:
            return
        world = self._world
        process = self._whom(fault)
        counts = process.alive or fault.kind not in ON_A_PROCESS
        random = Random(fault.draw)
        world.evidence.note("fault", f"{fault.kind.value} {process.name}")
        ending = self._strike(fault, process, random)
        if ending is None:
            world.evidence.note("fault", f"{fault.kind.value} has no effect")
            return
        if counts:
            world.evidence.coverage.fault(fault.kind)
        self._endings[fault] = ending
        world.timeline.after(fault.lasts_us, lambda: self._end(fault))

    def leave(self) -> None:
        """Begin and end no more faults. What has begun stays until recovery heals it."""
        self._is_over = True
        self._endings.clear()
        self._world.streams.flips = 0

    def _end(self, fault: SimFault) -> None:
        ending = self._endings.pop(fault, None)
        if ending is not None:
            world = self._world
            world.evidence.note("fault", f"{fault.kind.value} is over")
            ending()

    def _whom(self, fault: SimFault) -> SimProcess:
        """Return the process that a fault strikes: the leader, or the process of a number."""
        leader = self._world.leader()
        if not fault.member and leader is not None:
            return leader
        return self._world.process(fault.member or 1)

    def _strike(self, fault: SimFault, process: SimProcess, random: Random) -> Ending | None:
        """Begin a fault; return what ends it, None if it has no effect."""
        kind = fault.kind
        if kind in (FaultKind.TRANSFER, FaultKind.REMOVE, FaultKind.ADD):
            asked = self._operators.act(kind, process, random)
            return self._compound_faults.compound(fault, process, nothing) if asked else None
        if kind in (FaultKind.SPLIT, FaultKind.ONE_WAY):
            return self._compound_faults.split_pair(fault) or self._split(kind, random)
        if kind is FaultKind.SNAPSHOT_FLIP:
            return self._flip_snapshots()
        if kind in STORMS:
            return self._storm(kind, random)
        ending = self._ail(kind, process, random)
        return self._compound_faults.compound(fault, process, ending) if ending else None

    def _ail(self, kind: FaultKind, process: SimProcess, random: Random) -> Ending | None:
        """Begin a fault of one process; see `_strike`."""
        begin: Beginning
        match kind:
            case FaultKind.POWER | FaultKind.KILL | FaultKind.BLACKOUT:
                begin = self._crash
            case FaultKind.STOP | FaultKind.PAUSE | FaultKind.CRASH:
                begin = self._disturb
            case FaultKind.LOST_DISK | FaultKind.LOG_FLIP:
                begin = self._lose
            case FaultKind.ISOLATE | FaultKind.APART | FaultKind.DEAF | FaultKind.MUTE:
                begin = self._cut_off
            case FaultKind.ASIDE:
                begin = self._strand
            case FaultKind.SLOW_DISK | FaultKind.HUNG_DISK:
                begin = self._impairment
            case FaultKind.DISK_FULL:
                begin = self._fill
            case FaultKind.SYNC_ERROR | FaultKind.STORE_ERROR:
                begin = self._fail
            case _:
                begin = self._mislead
        return begin(kind, process, random)

    def _crash(self, kind: FaultKind, process: SimProcess, _: Random) -> Ending | None:
        is_blackout = kind is FaultKind.BLACKOUT
        struck = self._world.running() if is_blackout else [process]
        ended = [one for one in struck if one.alive]
        for one in ended:
            one.end(power=kind is not FaultKind.KILL)
        return (lambda: self._start(ended)) if ended else None

    def _start(self, processes: Sequence[SimProcess]) -> None:
        for process in processes:
            if not process.alive:
                process.start()

    def _disturb(self, kind: FaultKind, process: SimProcess, random: Random) -> Ending | None:
        if not process.alive:
            return None
        match kind:
            case FaultKind.PAUSE:
                process.pause()
                return lambda: process.resume() if process.life.paused else None
            case FaultKind.STOP:
                process.stop()
            case _:
                self._set_trap(process.host.troubles, random)

        def over() -> None:
            if not process.host.troubles.power_returns:
                process.host.troubles.disarm()
            if process.alive and kind is FaultKind.STOP:
                process.end(power=False)  # as SIGKILL after a while
            self._start([process])

        return over

    def _set_trap(self, troubles: Troubles, random: Random) -> None:
        """Let the power fail at a drawn operation of the disk; some traps outlast the fault."""
        troubles.crash_behind = random.choice(("", "write", "write", "folder", "install"))
        if not troubles.crash_behind:
            troubles.crash_after = random.randrange(CRASH_OPERATIONS_MAX)
        troubles.relapses = random.choice(LASTING)
        troubles.power_returns = troubles.relapses > 0 or troubles.crash_behind == "install"

    def _lose(self, kind: FaultKind, process: SimProcess, random: Random) -> Ending | None:
        if not self._world.is_frail(process):
            return None
        if kind is FaultKind.LOG_FLIP:
            if not process.host.disk.flip(random):
                return None
            process.host.troubles.log_flipped = True
        if process.alive:
            process.end(power=True)
        if kind is FaultKind.LOST_DISK:
            process.replace_disk()
        return lambda: self._start([process])

    def _cut_off(self, kind: FaultKind, process: SimProcess, _: Random) -> Ending:
        network, name = self._world.network, process.name
        peers, gateways = self._world.names()
        others = [*peers, *gateways] if kind is not FaultKind.APART else peers
        cuts = []
        if kind is not FaultKind.DEAF:
            cuts.append(network.cut([name], others))
        if kind is not FaultKind.MUTE:
            cuts.append(network.cut(others, [name]))
        return partial(self._mend, cuts)

    def _strand(self, _: FaultKind, process: SimProcess, random: Random) -> Ending:
        """Cut off a member together with a gateway: the member may still think that it leads."""
        peers, gateways = self._world.names()
        aside = {process.name, random.choice(gateways)}
        others = [name for name in (*peers, *gateways) if name not in aside]
        network = self._world.network
        both = sorted(aside)
        return partial(self._mend, [network.cut(both, others), network.cut(others, both)])

    def _mend(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            self._world.network.mend(cut)

    def _split(self, kind: FaultKind, random: Random) -> Ending:
        network = self._world.network
        peers, gateways = self._world.names()
        names = [*peers, *gateways]
        random.shuffle(names)
        at = random.randrange(1, len(names))
        cuts = [network.cut(names[:at], names[at:])]
        if kind is FaultKind.SPLIT:
            cuts.append(network.cut(names[at:], names[:at]))
        return partial(self._mend, cuts)

    def _storm(self, kind: FaultKind, random: Random) -> Ending:
        network = self._world.network
        often = random.choice((50, 150, 300))
        match kind:
            case FaultKind.DROP:
                conditions = NetworkConditions(lost_per_mille=often)
            case FaultKind.DUPLICATE:
                conditions = NetworkConditions(doubled_per_mille=often)
            case FaultKind.DELAY:
                late_us = often * 300
                conditions = NetworkConditions(delay_us_min=late_us, delay_us_max=late_us + 5_000)
            case _:
                conditions = NetworkConditions(late_per_mille=often, late_us_max=400_000)
        network.storm(conditions)
        return lambda: network.calm(conditions)

    def _impairment(self, kind: FaultKind, process: SimProcess, random: Random) -> Ending:
        troubles = process.host.troubles
        is_hung = kind is FaultKind.HUNG_DISK
        factor = 1 if is_hung else random.choice(SLOWER)
        troubles.disk_factor *= factor
        troubles.disk_hangs += is_hung

        def over() -> None:
            troubles.disk_factor //= factor
            troubles.disk_hangs -= is_hung

        return over

    def _fill(self, _: FaultKind, process: SimProcess, random: Random) -> Ending:
        """Leave one member no space, or all members too little for a snapshot: volumes are alike.

        Sometimes the leader is spared: it makes a snapshot, and nobody has space to take it.
        """
        if random.getrandbits(1):
            process.fill(is_full=True)
            return lambda: process.fill(is_full=False)
        world = self._world
        spared = world.leader() if random.getrandbits(1) else None
        struck = [one.host.troubles for one in world.processes.values() if one is not spared]
        for troubles in struck:
            troubles.shortages += 1

        def over() -> None:
            for troubles in struck:
                troubles.shortages -= 1

        return over

    def _fail(self, kind: FaultKind, process: SimProcess, _: Random) -> Ending:
        if kind is FaultKind.SYNC_ERROR:
            process.host.disk.is_failing = True
        else:
            process.host.troubles.store_fails = True

        def over() -> None:
            process.host.disk.is_failing = process.host.troubles.store_fails = False
            self._start([process])

        return over

    def _mislead(self, kind: FaultKind, process: SimProcess, random: Random) -> Ending:
        senses = process.host.senses
        if kind is FaultKind.CLOCK_JUMP:
            senses.skew_ms = random.randrange(-SKEW_MS_MAX, SKEW_MS_MAX)
            return nothing
        senses.drift(random.choice(DRIFT_PER_MILLE))
        return lambda: senses.drift(1000)

    def _flip_snapshots(self) -> Ending:
        streams = self._world.streams
        streams.flips += 1

        def over() -> None:
            streams.flips -= 1

        return over
