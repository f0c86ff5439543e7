"""The ports by which a member perceives and reports: clocks, random numbers, the observer."""

from collections.abc import Callable, Sequence
from random import Random

from inventory_node.machine import Applied
from raft.messages import Entry
from raft.ready import Leadership

from sim.evidence import Evidence
from sim.trace import text_of
from sim.violation import SafetyViolation

EPOCH_MS = 1_700_000_000_000


class Senses:
    """The `Clock`, `Random` and `Observer` ports.

    - The steady clock never goes back, whatever becomes of the wall clock.
    """

    def __init__(
        self, evidence: Evidence, random: Random, name: str, own_id: Callable[[], int]
    ) -> None:
        """Begin with a correct clock; `own_id` returns the member's id, which may change."""
        self._evidence = evidence
        self._random = random
        self._name = name
        self._own_id = own_id
        self.skew_ms = 0
        self._rate_per_mille = 1000
        self._set_at_us = self._elapsed_us = 0

    def drift(self, rate_per_mille: int) -> None:
        """Let the clocks run at another rate."""
        self._elapsed_us = self._now_us()
        self._set_at_us = self._evidence.timeline.now_us
        self._rate_per_mille = rate_per_mille

    def real_us(self, own_us: int) -> int:
        """Return how long in virtual time so much time of the member's own clock takes."""
        return own_us * 1000 // self._rate_per_mille

    def _now_us(self) -> int:
        passed = self._evidence.timeline.now_us - self._set_at_us
        return self._elapsed_us + passed * self._rate_per_mille // 1000

    def elapsed_ms(self) -> int:
        """Return the time that has passed by the own clock."""
        return self._now_us() // 1000

    def now_ms(self) -> int:
        """Return the member's own wall-clock time."""
        return EPOCH_MS + self._now_us() // 1000 + self.skew_ms

    def below(self, bound: int) -> int:
        """Draw from 0 to bound - 1."""
        return self._random.randrange(bound)

    def applied(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Show the checks what was applied."""
        self._evidence.checks.applied(self._own_id(), entry, outcomes)

    def filled_up(self, *, is_full: bool) -> None:
        """Note whether there is space."""
        self._note(f"full {is_full}")

    def warned(self, what: str, detail: str) -> None:
        """Note it; that states differ is what no fault of this world may come to."""
        self._note(f"{what}: {detail}")
        if what == "diverged":
            raise SafetyViolation(f"{self._name} diverged: {detail}")
        self._evidence.coverage["leaders with a clock ahead"] += what == "clock_ahead"

    def lead_changed(self, leadership: Leadership, leader: str) -> None:
        """Note who leads."""
        del leader  # its id is enough
        self._note(text_of(leadership))

    def _note(self, text: str) -> None:
        self._evidence.note(self._name, text)
