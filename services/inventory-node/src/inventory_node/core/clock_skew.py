"""How far the members' clocks are from each other, as the leader measures the clocks.

The leader takes a member's clock reading as made half a round trip after the survey (Cristian's
algorithm), on the leader's steady clock. An answer with a long round trip is not used. The voters'
time is the latest time that a majority of the voters has reached, so a single wrong clock does not
move the voters' time. A clock counts as ahead only if a majority of other members measured it
ahead.

A clock is stored as its lead over the leader's steady clock. The lead jumps when the clock is set,
and when its machine was suspended. Measurements from before a jump are dropped.
"""

from collections.abc import Iterable, Mapping

from inventory_node.ports import Clock

ROUND_TRIP_MS_MAX = 1_500  # a slower answer is not used: it is off by up to half of its round trip
MEASURED_MS_MAX = 10_000  # older measurements are not used


class ClockSkew:
    """How far the members' clocks are ahead of this member's steady clock, and so of each other.

    - A skew is off by at most half of `ROUND_TRIP_MS_MAX`.
    - No skew is returned unless a majority of the voters was measured lately.
    - This member's clock is trusted once a majority's clocks agreed with this clock, until the
      clocks disagree or this clock is set.
    """

    def __init__(self, clock: Clock, ahead_ms_max: int) -> None:
        """Start without measurements; a clock more than `ahead_ms_max` ahead is not trusted."""
        self._clock = clock
        self._ahead_ms_max = ahead_ms_max
        self._others: dict[int, tuple[int, int]] = {}  # lead in ms, and when measured, steady ms
        self._own_ms = self._ahead_ms()  # this clock's lead at the last `tick`
        self._set_at_ms: int | None = None  # when a jump was last noticed, steady ms
        self._is_trusted = False
        self.is_ahead = False  # whether this clock was too far ahead when its skew was last found

    @property
    def is_trusted(self) -> bool:
        """Whether this clock was found right, and was not set since."""
        return self._is_trusted and not self._was_set

    def clear(self) -> None:
        """Forget the other members' clocks: another member measures."""
        self._others.clear()

    def measured(self, member: int, sent_ms: int, clock_ms: int) -> None:
        """Take a member's answer to the survey sent at `sent_ms`, on this member's steady clock."""
        self.tick()
        arrived_ms = self._clock.elapsed_ms()
        round_trip_ms = arrived_ms - sent_ms
        if 0 <= round_trip_ms <= ROUND_TRIP_MS_MAX:
            self._others[member] = (clock_ms + round_trip_ms // 2 - arrived_ms, arrived_ms)

    def witness_ms(self) -> int:
        """Return the latest time on another member's clock, as measured lately; 0 if none was."""
        elapsed_ms = self._clock.elapsed_ms()
        since_ms = elapsed_ms - MEASURED_MS_MAX
        return max(
            (ms + elapsed_ms for ms, at in self._others.values() if at >= since_ms), default=0
        )

    def skews_ms(self, own_id: int, voters: Iterable[int]) -> Mapping[int, int]:
        """Return how far each lately measured member is ahead of the voters' time.

        Empty when fewer than a majority of the voters were measured lately.
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
        """Return the members whose clocks are ahead of the voters' time by more than allowed."""
        skews = self.skews_ms(own_id, voters)
        return frozenset(one for one, ms in skews.items() if ms > self._ahead_ms_max)

    def found(self, skew_ms: int | None, *, by_leader: bool = False) -> None:
        """Take this clock's skew; None if the skew is unknown.

        A leader's skew may rest on measurements that are `MEASURED_MS_MAX` old. So a leader's skew
        is ignored for that long after this clock was set.
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
        """Forget all measurements if this clock was set since the last tick."""
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
