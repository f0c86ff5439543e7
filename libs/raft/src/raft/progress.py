"""What a leader knows of one follower."""

import enum
from collections import deque

UNBOUNDED = 1 << 62


class ProgressState(enum.Enum):
    """How a leader sends to a follower."""

    PROBE = "probe"  # one append at a time, until the logs are known to meet
    REPLICATE = "replicate"  # one append after the other, without waiting
    SNAPSHOT = "snapshot"  # nothing: the log does not reach back far enough


class Progress:
    """One follower's log, as far as replies have told.

    - `match` < `next`: the follower holds everything up to `match`, `next` is sent next.
    - In PROBE one append is under way at most, in REPLICATE `in_flight_max`, in SNAPSHOT none.
    - In REPLICATE nothing more is sent once `bytes_max` are under way.
    """

    __slots__ = (
        "bytes_in_flight",
        "bytes_max",
        "in_flight",
        "in_flight_max",
        "is_active",
        "is_paused",
        "leaves_at",
        "match",
        "next",
        "state",
        "was_active",
    )

    def __init__(self, next_index: int, in_flight_max: int, bytes_max: int = UNBOUNDED) -> None:
        """Begin to probe at `next_index`."""
        self.match = 0
        self.next = next_index
        self.state = ProgressState.PROBE
        self.is_paused = False  # in PROBE: an append is under way
        self.is_active = True  # heard from since the last check of the quorum
        self.was_active = False  # heard from between the two checks before
        self.leaves_at = 0  # of the entry that removes it, 0: it is to stay
        # In REPLICATE, of each append under way: its last index and its bytes.
        self.in_flight: deque[tuple[int, int]] = deque()
        self.in_flight_max = in_flight_max
        self.bytes_in_flight = 0
        self.bytes_max = bytes_max

    @property
    def may_send(self) -> bool:
        """Whether another append may leave."""
        if self.state is ProgressState.REPLICATE:
            is_full = len(self.in_flight) >= self.in_flight_max
            return not is_full and self.bytes_in_flight < self.bytes_max
        return self.state is ProgressState.PROBE and not self.is_paused

    @property
    def is_present(self) -> bool:
        """Whether it answered lately, one or two election timeouts ago at most, with some log."""
        return (self.is_active or self.was_active) and self.match > 0

    def checked(self) -> None:
        """Begin the time until the next check of the quorum."""
        self.was_active, self.is_active = self.is_active, False

    def sent(self, last_index: int, count: int, size: int = 0) -> None:
        """Note an append of `count` entries and `size` bytes that ends at `last_index`."""
        if self.state is ProgressState.PROBE:
            self.is_paused = True
        elif count:
            self.next = last_index + 1
            self.in_flight.append((last_index, size))
            self.bytes_in_flight += size

    def accepted(self, index: int) -> bool:
        """Note that the follower holds up to `index`; tell whether that is more than was known."""
        while self.in_flight and self.in_flight[0][0] <= index:
            self.bytes_in_flight -= self.in_flight.popleft()[1]
        self.next = max(self.next, index + 1)
        if index <= self.match:
            # A late or doubled reply sets nothing off: else each copy would send another probe,
            # whose reply would do the same.
            return False
        self.is_paused = False
        self.match = index
        return True

    def probe(self, next_index: int) -> None:
        """Go back to one append at a time, from `next_index` on."""
        self.state = ProgressState.PROBE
        self.next = max(next_index, self.match + 1)
        self.is_paused = False
        self._forget_flight()

    def replicate(self) -> None:
        """Stop waiting for replies."""
        self.state = ProgressState.REPLICATE
        self.next = self.match + 1
        self._forget_flight()

    def wait_for_snapshot(self) -> None:
        """Send nothing until a snapshot has arrived, or has failed to."""
        self.state = ProgressState.SNAPSHOT
        self._forget_flight()

    def _forget_flight(self) -> None:
        self.in_flight.clear()
        self.bytes_in_flight = 0
