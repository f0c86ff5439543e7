"""How far the members' clocks are from each other, as their leader measures it.

A member's clock is compared half a round trip after it was asked (Cristian's algorithm), on the
leader's steady clock, so an answer that waited somewhere says nothing and is not used. What one
clock is held against is the median of the voters': a single wrong one does not move it.

Clocks are kept as what they are ahead of that steady one, so that a clock that is set, the leader's
own too, is off at once by what it was set.
"""

from collections.abc import Iterable, Mapping

from inventory_node.ports import Clock

ROUND_TRIP_MS_MAX = 500  # an older answer is off by up to half of its age
MEASURED_MS_MAX = 10_000  # what was measured earlier counts for nothing


class Clocks:
    """How far clocks are ahead of this member's steady one, and so of each other.

    - A skew is off by at most half of `ROUND_TRIP_MS_MAX`.
    - No skew is told unless a majority of the voters was measured lately.
    - This member's clock is trusted from when a majority's clocks were found to agree with it,
      until they do not or somebody sets it.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with nothing measured."""
        self._clock = clock
        self._others: dict[int, tuple[int, int]] = {}  # ahead by ms; measured at, steady ms
        self._trusted_ms: int | None = None  # what this clock was ahead when it was right

    @property
    def own_ms(self) -> int:
        """What this member's clock is ahead of its steady one: it changes when it is set."""
        return self._clock.now_ms() - self._clock.elapsed_ms()

    def found(self, skew_ms: int | None, own_ms: int | None, ahead_ms_max: int) -> bool:
        """Learn the skew of this clock as it was at `own_ms`; return whether that is too much."""
        if skew_ms is None:
            return False
        is_ahead = skew_ms > ahead_ms_max
        self._trusted_ms = None if is_ahead else own_ms
        return is_ahead

    def is_trusted(self, set_ms_max: int) -> bool:
        """Tell whether this clock was right, and was set by no more than `set_ms_max` since."""
        trusted_ms = self._trusted_ms
        return trusted_ms is not None and abs(self.own_ms - trusted_ms) <= set_ms_max

    def clear(self) -> None:
        """Forget what others' clocks were: another member measures."""
        self._others.clear()

    def measured(self, member: int, sent_ms: int, clock_ms: int) -> None:
        """Take a member's answer to what was asked at `sent_ms` on this member's steady clock."""
        arrived_ms = self._clock.elapsed_ms()
        round_trip_ms = arrived_ms - sent_ms
        if 0 <= round_trip_ms <= ROUND_TRIP_MS_MAX:
            self._others[member] = (clock_ms + round_trip_ms // 2 - arrived_ms, arrived_ms)

    def skews_ms(self, own_id: int, voters: Iterable[int]) -> Mapping[int, int]:
        """Return how far each member measured lately is ahead of the voters' median.

        Of an even number the later of the two in the middle counts: so nobody is ahead unless a
        majority is behind. Empty when no majority is known.
        """
        since_ms = self._clock.elapsed_ms() - MEASURED_MS_MAX
        ahead = {one: ms for one, (ms, at) in self._others.items() if at >= since_ms}
        ahead[own_id] = self.own_ms
        everybody = set(voters)
        known = sorted(ms for one, ms in ahead.items() if one in everybody)
        if len(known) <= len(everybody) // 2:
            return {}
        median = known[len(known) // 2]
        return {one: ms - median for one, ms in ahead.items()}
