"""What goes wrong in a run, and when: drawn from the seed, one trouble at a time.

What was synced is never lost, so a loss is always a bug.
"""

import enum
from dataclasses import dataclass
from random import Random


class FaultKind(enum.Enum):
    """What can happen to a member, or to all."""

    POWER = "power"  # it loses power: unsynced sectors may be lost
    KILL = "kill"  # its process ends, the machine goes on
    PAUSE = "pause"  # SIGSTOP, then SIGCONT
    ISOLATE = "isolate"  # nothing reaches it, nothing leaves it
    APART = "apart"  # as ISOLATE, but the gateway still reaches it
    DEAF = "deaf"  # nothing reaches it
    MUTE = "mute"  # nothing leaves it
    CLOCK = "clock"  # its wall clock jumps, for good
    BLACKOUT = "blackout"  # every member loses power at once


@dataclass(frozen=True, slots=True)
class Fault:
    """One member's trouble; member 0 is whoever leads at that time."""

    at_us: int
    lasts_us: int
    kind: FaultKind
    member: int


def draw_faults(random: Random, *, first_us: int, last_us: int, members: int) -> tuple[Fault, ...]:
    """Return faults that follow each other with a rest between, the last over at `last_us`."""
    faults: list[Fault] = []
    at = first_us + random.randrange(300_000)
    while True:
        lasts = random.randrange(50_000, 1_800_000)
        if at + lasts > last_us:
            return tuple(faults)
        kind = random.choice(list(FaultKind))
        faults.append(Fault(at, lasts, kind, random.randrange(members + 1)))
        at += lasts + random.randrange(200_000, 900_000)
