"""How far the members' clocks are from each other, as their leader measures it.

A member's clock is compared half a round trip after it was asked (Cristian's algorithm), on the
leader's steady clock. An answer that waited somewhere is not used. A clock is compared with the
latest time that a majority of the voters has reached, so a single wrong clock does not move that
time. A clock counts as ahead only if a majority of other members measured it ahead.

A clock is kept as what it is ahead of the leader's steady clock. That number jumps when the clock
is set, and when its machine was suspended. What was measured before a jump counts for nothing.
"""

from collections.abc import Iterable, Mapping

from inventory_node.ports import Clock

ROUND_TRIP_MS_MAX = 1_500  # an older answer is off by up to half of its age
MEASURED_MS_MAX = 10_000  # what was measured earlier counts for nothing


class ClockSkew:
    """How far clocks are ahead of this member's steady one, and so of each other.

    - A skew is off by at most half of `ROUND_TRIP_MS_MAX`.
    - No skew is told unless a majority of the voters was measured lately.
    - This member's clock is trusted from when a majority's clocks were found to agree with it,
      until they do not or somebody sets it.
    """

    def __init__(self, clock: Clock, ahead_ms_max: int) -> None:
        """Start with nothing measured; who is ahead by more than that is not trusted."""
        self._clock = clock
        self._ahead_ms_max = ahead_ms_max
        self._others: dict[int, tuple[int, int]] = {}  # ahead by ms; measured at, steady ms
        self._own_ms = self._ahead_ms()  # as it was at the last `tick`
        self._set_at_ms: int | None = None  # when it had jumped, steady ms
        self._is_trusted = False
        self.is_ahead = False  # of the voters' time by too much, when that was last found

    @property
    def is_trusted(self) -> bool:
        """Whether this clock was found right, and nobody has set it since."""
        return self._is_trusted and not self._was_set

    def clear(self) -> None:
        """Forget what others' clocks were: another member measures."""
        self._others.clear()

    def measured(self, member: int, sent_ms: int, clock_ms: int) -> None:
        """Take a member's answer to what was asked at `sent_ms` on this member's steady clock."""
        self.tick()
        arrived_ms = self._clock.elapsed_ms()
        round_trip_ms = arrived_ms - sent_ms
        if 0 <= round_trip_ms <= ROUND_TRIP_MS_MAX:
            self._others[member] = (clock_ms + round_trip_ms // 2 - arrived_ms, arrived_ms)

    def skews_ms(self, own_id: int, voters: Iterable[int]) -> Mapping[int, int]:
        """Return how far each member measured lately is ahead of the voters' time.

        Empty when no majority is known.
        """
        since_ms = self._clock.elapsed_ms() - MEASURED_MS_MAX
        others = {} if self._was_set else self._others
        ahead = {one: ms for one, (ms, at) in others.items() if at >= since_ms}
        ahead[own_id] = self._ahead_ms()
        everybody = set(voters)
        known = sorted(ms for one, ms in ahead.items() if one in everybody)
        majority = len(everybody) // 2 + 1
        if len(known) < majority:
            return {}
        reached = known[-majority]
        return {one: ms - reached for one, ms in ahead.items()}

    def ahead(self, own_id: int, voters: Iterable[int]) -> frozenset[int]:
        """Return whose clocks are ahead of the voters' time by too much."""
        skews = self.skews_ms(own_id, voters)
        return frozenset(one for one, ms in skews.items() if ms > self._ahead_ms_max)

    def found(self, skew_ms: int | None, *, by_leader: bool = False) -> None:
        """Learn this clock's skew, if it is known.

        What a leader says may be as old as what it measured, so it counts for nothing for so long
        after this clock was set.
        """
        self.tick()
        now_ms, set_at_ms = self._clock.elapsed_ms(), self._set_at_ms
        was_set = set_at_ms is not None and now_ms - set_at_ms <= MEASURED_MS_MAX
        if skew_ms is None or (by_leader and was_set):
            self.is_ahead = False
            return
        self.is_ahead = skew_ms > self._ahead_ms_max
        self._is_trusted = not self.is_ahead

    def tick(self) -> None:
        """Forget what was measured where this clock was set since the last tick."""
        if self._was_set:
            self._others.clear()
            self._is_trusted = False
            self._set_at_ms = self._clock.elapsed_ms()
        self._own_ms = self._ahead_ms()

    @property
    def _was_set(self) -> bool:
        """Whether this clock jumped since the last tick."""
        return abs(self._ahead_ms() - self._own_ms) > self._ahead_ms_max

    def _ahead_ms(self) -> int:
        return self._clock.now_ms() - self._clock.elapsed_ms()
