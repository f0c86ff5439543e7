"""How often things happened in a run: what never happens is not tested."""

from collections import Counter
from collections.abc import Iterable

from sim.faults import FaultKind

# What a run counts, besides the kinds of faults; a test sees that each of them happens.
HAPPENINGS = (
    "elections",
    "transfers completed",
    "snapshots installed",
    "snapshots refused",
    "snapshots cut short",
    "snapshots flipped",
    "switches finished at a start",
    "snapshots resumed",
    "segments removed",
    "logs truncated",
    "torn tails cut",
    "damaged logs refused",
    "power lost in a repair",
    "unsynced sectors lost",
    "unsynced folder changes lost",
    "syncs failed",
    "transactions failed",
    "flushes without space",
    "copies without space",
    "chunks without space",
    "segments without space",
    "members removed",
    "members joined",
    "members promoted",
    "data set aside",
    "stops with leave",
    "stops without leave",
    "changes refused",
    "messages lost",
    "messages doubled",
    "messages overtaken",
    "messages cut off",
    "links broken",
    "requests tried again",
    "outcomes left unknown",
    "refused for want of stock",
    "reads by followers",
    "checkpoints compared",
    "leaders deposed",
    "leaders with a clock ahead",
    "leaders that could not lead",
    "halts",
    "snapshots taken amid a flush",
    "flushes due in an install",
    "transfers with a learner ahead",
    "leaders deposed with many commands",
    "many commands sent to no leader",
    "members replaced within a term",
    "links broken amid requests",
)
# What needs several troubles at once: a run counts it too, and may do without.
RARITIES = (
    "changes taken back",
    "own removals taken back",
    "elected after an own removal taken back",
    "unwritten entries replaced",
)


class Coverage(Counter[str]):
    """Counts by name; the names are `HAPPENINGS`, `RARITIES` and `fault …`."""

    def fault(self, kind: FaultKind) -> None:
        """Count a fault that had an effect."""
        self[f"fault {kind.value}"] += 1

    def missing(self) -> list[str]:
        """Return what never happened."""
        return [name for name in names() if not self[name] and name not in RARITIES]


def names() -> Iterable[str]:
    """Return every name that is counted."""
    return (*HAPPENINGS, *RARITIES, *(f"fault {kind.value}" for kind in FaultKind))
