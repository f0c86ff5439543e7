"""How far the members' clocks are from each other, as their leader measures it.

A member's clock is compared half a round trip after it was asked (Cristian's algorithm), on the
leader's steady clock, so an answer that waited somewhere says nothing and is not used. What one
clock is held against is the median of the voters': a single wrong one does not move it.
"""

from collections.abc import Iterable, Mapping

from inventory_node.ports import Clock

ROUND_TRIP_MS_MAX = 500  # an older answer is off by up to half of its age
MEASURED_MS_MAX = 10_000  # what was measured earlier counts for nothing


class Clocks:
    """The offsets of the other clocks from this member's.

    - An offset is off by at most half of `ROUND_TRIP_MS_MAX`.
    - No skew is told unless a majority of the voters was measured lately.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with nothing measured."""
        self._clock = clock
        self._offsets: dict[int, tuple[int, int]] = {}  # ahead by ms; measured at, steady ms

    def clear(self) -> None:
        """Forget all: another member measures."""
        self._offsets.clear()

    def measured(self, member: int, sent_ms: int, clock_ms: int) -> None:
        """Take a member's answer to what was asked at `sent_ms` on this member's steady clock."""
        arrived_ms = self._clock.elapsed_ms()
        round_trip_ms = arrived_ms - sent_ms
        if 0 <= round_trip_ms <= ROUND_TRIP_MS_MAX:
            offset_ms = clock_ms + round_trip_ms // 2 - self._clock.now_ms()
            self._offsets[member] = (offset_ms, arrived_ms)

    def skews_ms(self, own_id: int, voters: Iterable[int]) -> Mapping[int, int]:
        """Return how far each member measured lately is ahead of the voters' median.

        Of an even number the later of the two in the middle counts: so nobody is ahead unless a
        majority is behind. Empty when no majority is known.
        """
        since_ms = self._clock.elapsed_ms() - MEASURED_MS_MAX
        offsets = {one: ms for one, (ms, at) in self._offsets.items() if at >= since_ms}
        offsets[own_id] = 0
        everybody = set(voters)
        known = sorted(ms for one, ms in offsets.items() if one in everybody)
        if len(known) <= len(everybody) // 2:
            return {}
        median = known[len(known) // 2]
        return {one: ms - median for one, ms in offsets.items()}
