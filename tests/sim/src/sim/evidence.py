"""What a run shows: its trace, the checks, and how often things happened."""

from collections.abc import Mapping

from raft.messages import Configuration

from sim.checks import AppliedLog, Checks
from sim.coverage import Coverage
from sim.ledger import Ledger
from sim.timeline import Timeline
from sim.trace import Trace


class Evidence:
    """All that a run is judged by.

    Each part of the world reports here what it does, at once and once. A report raises
    SafetyViolation where the run has broken a property; nothing catches that before `sim.run`.
    """

    def __init__(
        self,
        timeline: Timeline,
        trace: Trace,
        start_levels: Mapping[int, int],
        voters: Configuration,
    ) -> None:
        """Start with nothing seen of a cluster with this stock, founded by these."""
        self.timeline = timeline
        self.trace = trace
        self.coverage = Coverage()
        self.ledger = Ledger(dict(start_levels), self.coverage)
        self.checks = Checks(self.ledger, self.coverage, voters)
        self.events = 0  # that members handled

    @property
    def applied_log(self) -> AppliedLog:
        """What was applied anywhere."""
        return self.checks.applied_log

    def note(self, who: str, text: str) -> None:
        """Add a line to the trace."""
        self.trace.note(self.timeline.now_us, who, text)
