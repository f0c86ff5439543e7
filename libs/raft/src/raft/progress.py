"""A leader's knowledge of one follower."""

import enum
from collections import deque

UNBOUNDED = 1 << 62  # bytes


class ProgressState(enum.Enum):
    """The way a leader sends appends to a follower."""

    PROBE = "probe"  # one append at a time, until the logs are known to agree at an index
    REPLICATE = "replicate"  # appends without waiting for replies
    SNAPSHOT = "snapshot"  # no appends: the leader's log begins behind the follower's next index


class Progress:
    """A leader's `nextIndex` and `matchIndex` for one follower, and the appends under way (§5.3).

    - `match` < `next`. The follower holds all entries up to `match`. The next append begins at
      `next`.
    - In PROBE at most one append is under way, in REPLICATE at most `in_flight_max`, in SNAPSHOT
      none.
    - In REPLICATE no append is sent while `bytes_max` bytes are under way.
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
        self.is_active = True  # the follower answered since the last check of the quorum
        self.was_active = False  # the follower answered between the two checks before
        self.leaves_at = 0  # the index of the entry that removes the follower, 0 for none
        # In REPLICATE: the last index and the bytes of each append under way.
        self.in_flight: deque[tuple[int, int]] = deque()
        self.in_flight_max = in_flight_max
        self.bytes_in_flight = 0
        self.bytes_max = bytes_max

    @property
    def may_send(self) -> bool:
        """Whether the leader may send another append."""
        if self.state is ProgressState.REPLICATE:
            is_full = len(self.in_flight) >= self.in_flight_max
            return not is_full and self.bytes_in_flight < self.bytes_max
        return self.state is ProgressState.PROBE and not self.is_paused

    @property
    def is_present(self) -> bool:
        """Whether the follower holds an entry and answered since the last check but one."""
        return (self.is_active or self.was_active) and self.match > 0

    def checked(self) -> None:
        """Note a check of the quorum, and begin the time until the next check."""
        self.was_active, self.is_active = self.is_active, False

    def sent(self, last_index: int, size: int) -> None:
        """Note an append of entries of `size` bytes that ends at `last_index`."""
        if self.state is ProgressState.PROBE:
            self.is_paused = True
        else:
            self.next = last_index + 1
            self.in_flight.append((last_index, size))
            self.bytes_in_flight += size

    def accepted(self, index: int) -> bool:
        """Note that the follower holds the log up to `index`; tell whether `match` rises."""
        while self.in_flight and self.in_flight[0][0] <= index:
            self.bytes_in_flight -= self.in_flight.popleft()[1]
        self.next = max(self.next, index + 1)
        if index <= self.match:
            # A late or doubled reply must not cause a probe: each copy would cause another probe,
            # and the reply to the probe would cause the next probe.
            return False
        self.is_paused = False
        self.match = index
        return True

    def probe(self, next_index: int) -> None:
        """Send one append at a time, from `next_index` on."""
        self.state = ProgressState.PROBE
        self.next = max(next_index, self.match + 1)
        self.is_paused = False
        self._forget_flight()

    def replicate(self) -> None:
        """Send appends without waiting for replies."""
        self.state = ProgressState.REPLICATE
        self.next = self.match + 1

    def wait_for_snapshot(self) -> None:
        """Send no appends until the stream of a snapshot has ended."""
        self.state = ProgressState.SNAPSHOT
        self._forget_flight()

    def _forget_flight(self) -> None:
        self.in_flight.clear()
        self.bytes_in_flight = 0
