"""What goes wrong in a run, when, and to whom: a plan, drawn from the seed.

Several troubles may overlap. Each seed draws which kinds it uses at all, so that some runs are full
of one of them (swarm testing, Groce et al., 2012). Fewer than half of the founders are frail: only
their disks are ever lost or damaged, and the `operators` never let the frail ones become half of
the voters. So what a majority has synced is always held by a voter whose disk is intact, and a loss
is always a bug.
"""

import enum
from dataclasses import dataclass
from random import Random

FIRST_US = 700_000  # before it nothing goes wrong
REST_US_MAX = 1_200_000  # from the beginning of one fault to the next
LASTS_US = (20_000, 1_500_000)
MORE_US = 10_000_000  # of faults, where a seed has them to its end, however long it goes on
FOUNDERS = (3, 3, 3, 5)  # one of these
LEADER = 0  # in the place of a member: whoever leads when the fault begins


class FaultKind(enum.Enum):
    """What can go wrong for one member, or for all."""

    POWER = "power"  # it loses power: unsynced sectors may be lost
    CRASH = "crash"  # the same, between two operations of its disk
    KILL = "kill"  # its process ends, the machine goes on
    STOP = "stop"  # SIGTERM; it starts again
    PAUSE = "pause"  # SIGSTOP, then SIGCONT
    BLACKOUT = "blackout"  # every member loses power at once
    ISOLATE = "isolate"  # nothing reaches it, nothing leaves it
    APART = "apart"  # as ISOLATE, but gateways still reach it
    ASIDE = "aside"  # it and a gateway hear each other, and nobody else
    DEAF = "deaf"  # nothing reaches it
    MUTE = "mute"  # nothing leaves it
    SPLIT = "split"  # two groups that do not hear each other
    ONE_WAY = "one-way"  # two groups, of which one does not hear the other
    DROP = "drop"  # many messages are lost
    DUPLICATE = "duplicate"  # many messages come twice
    DELAY = "delay"  # everything is late
    REORDER = "reorder"  # messages overtake each other
    SLOW_DISK = "slow-disk"
    HUNG_DISK = "hung-disk"  # nothing that its disk is asked for ends before the fault does
    SYNC_ERROR = "sync-error"  # an fdatasync fails; the process ends, and starts again
    STORE_ERROR = "store-error"  # a transaction fails; the process ends, and starts again
    DISK_FULL = "disk-full"  # one has no space at all, or all too little for a snapshot
    LOST_DISK = "lost-disk"  # it comes back empty
    LOG_FLIP = "log-flip"  # a bit of the log on disk is another one
    SNAPSHOT_FLIP = "snapshot-flip"  # bits of snapshots on their way are others
    CLOCK_JUMP = "clock-jump"  # its wall clock jumps, for good
    CLOCK_DRIFT = "clock-drift"  # its clocks run too fast or too slow
    TRANSFER = "transfer"  # an operator hands the lead over
    REMOVE = "remove"  # an operator removes a member
    ADD = "add"  # an operator starts another member, which joins


OFTEN = (FaultKind.CRASH, FaultKind.ASIDE)  # more than others: few of them strike where it hurts
DISK_LOSSES = (FaultKind.LOST_DISK, FaultKind.LOG_FLIP)  # for frail members only


@dataclass(frozen=True, slots=True)
class SimFault:
    """One fault; member `LEADER` is whoever leads at that time."""

    at_us: int
    lasts_us: int
    kind: FaultKind
    member: int  # the number in its name
    draw: int = 0  # where its details are drawn from, so that they do not depend on other faults

    def __str__(self) -> str:
        """Return it as one line."""
        whom = f"node-{self.member}" if self.member else "the leader"
        return (
            f"{self.at_us / 1e6:9.6f} s for {self.lasts_us / 1e6:8.6f} s: {self.kind.value} "
            f"of {whom} ({self.draw})"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed decides beforehand. A shortened plan differs in `faults` alone."""

    seed: int
    duration_us: int  # of the part with faults, at least
    founders: int  # members, numbered from 1
    frail: frozenset[int]  # founders whose disks may be lost
    faults: tuple[SimFault, ...]  # those that the run does not come to do not begin


def draw_plan(seed: int, *, duration_us: int = 7_000_000) -> Plan:
    """Draw the plan of a seed."""
    random = Random(f"plan {seed}")
    founders = random.choice(FOUNDERS)
    members = list(range(1, founders + 1))
    frail = frozenset(random.sample(members, (founders - 1) // 2))
    kinds = [kind for kind in FaultKind if random.getrandbits(1)] or list(FaultKind)
    if FaultKind.CRASH in kinds:
        kinds += [
            FaultKind.CRASH
        ] * 2  # it tears a batch only where there is one of several sectors
    faults: list[SimFault] = []
    at_us = FIRST_US
    rest_us_max = random.choice((REST_US_MAX // 4, REST_US_MAX // 2, REST_US_MAX))
    last_us = duration_us + random.choice((0, MORE_US))
    while True:
        at_us += random.randrange(rest_us_max)
        lasts_us = random.randrange(*LASTS_US)
        if at_us > last_us:
            return Plan(seed, duration_us, founders, frail, tuple(faults))
        kind = random.choice(kinds)
        likely = sorted(frail) if kind in DISK_LOSSES else [LEADER, LEADER, *members]
        faults.append(
            SimFault(at_us, lasts_us, kind, random.choice(likely), random.getrandbits(32))
        )
