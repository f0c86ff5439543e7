"""What a leader keeps for peers that a snapshot brings up, and how long they wait for one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from raft import RawNode
from raft.messages import Entry
from raft.view import Follower

# Of the log, kept in memory and on disk for a peer that is sent a snapshot, or catches up after it.
# Not a multiple of the database's size: memory does not grow with that. An eighth of the chart's
# limit for a member, a minute of orders at the highest pace measured, and hours at a shop's.
PINNED_BYTES_MAX = 256 << 20
ROUND_TICKS = 4  # whoever is no further behind has caught up: far less than the log's tail
SILENT_ROUNDS_MAX = 100  # of a peer that starts again, or is busy with the state that it got
ENTRY_BYTES = 200  # of memory that an entry takes besides its payload, as measured
DOUBLINGS_MAX = 4  # of the rest after a snapshot that failed


@dataclass(slots=True)
class Pin:
    """What the log keeps for one peer."""

    index: int  # all above it
    size: int = 0  # bytes that the log took since
    goal_index: int | None = None  # that the peer is to hold next; None: its stream is under way
    silent_rounds: int = 0  # in a row

    def end_round(self, follower: Follower | None, commit_index: int) -> bool:
        """End a round; return whether the pin ends: the peer has caught up, or is given up."""
        if self.goal_index is None:
            return False
        if follower is None or follower.needs_snapshot:
            return True
        goal_index, self.goal_index = self.goal_index, commit_index
        self.silent_rounds = 0 if follower.is_present else self.silent_rounds + 1
        return follower.match_index >= goal_index or self.silent_rounds > SILENT_ROUNDS_MAX


class LogPins:
    """What the log keeps for peers that are sent a snapshot, and catch up from it afterwards.

    - A peer has one pin at most, and one that keeps more than `PINNED_BYTES_MAX` goes.
    - A peer catches up in rounds (dissertation §4.2.1): when it holds what was committed
      `ROUND_TICKS` before, its pin goes. One that takes no part or needs another snapshot is not
      waited for, and one that is absent not for long.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._pins: dict[int, Pin] = {}
        self._ticks = 0  # of the round

    @property
    def index(self) -> int | None:
        """Above which the log is kept, for all of them; None where it is not."""
        return min((pin.index for pin in self._pins.values()), default=None)

    def __contains__(self, peer: int) -> bool:
        """Whether the log keeps anything for a peer."""
        return peer in self._pins

    def begin(self, peer: int, index: int) -> None:
        """Keep what follows `index` for a peer that is to get a snapshot."""
        self._pins[peer] = Pin(index)

    def catch_up(self, peer: int, commit_index: int) -> None:
        """Keep it on: the peer has the snapshot, and gets the log from there."""
        if peer in self._pins:
            self._pins[peer].goal_index = commit_index

    def end(self, peer: int) -> None:
        """Keep nothing for a peer any more."""
        self._pins.pop(peer, None)

    def keep_only(self, peer: int | None) -> None:
        """Keep nothing for any other peer."""
        self._pins = {one: pin for one, pin in self._pins.items() if one == peer}

    def grown(self, entries: Sequence[Entry]) -> Collection[int]:
        """See the log grow; return the peers for whom that is too much."""
        if not self._pins:
            return ()
        size = sum(ENTRY_BYTES + len(entry.payload) for entry in entries)
        for pin in self._pins.values():
            pin.size += size
        given_up = [peer for peer, pin in self._pins.items() if pin.size > PINNED_BYTES_MAX]
        for peer in given_up:
            self.end(peer)
        return given_up

    def tick(self, raft: RawNode) -> None:
        """Let time pass; a round ends now and then."""
        self._ticks = (self._ticks + 1) % ROUND_TICKS
        if self._ticks or not self._pins:
            return
        followers, commit_index = raft.followers, raft.commit_index
        for peer, pin in list(self._pins.items()):
            if pin.end_round(followers.get(peer), commit_index):
                self.end(peer)


class Backoff:
    """How long peers wait after a snapshot to them has failed."""

    def __init__(self, retry_ticks: int) -> None:
        """Begin with nobody who waits; `retry_ticks` is the first rest."""
        self._retry_ticks = retry_ticks
        self.longest_ticks = retry_ticks << DOUBLINGS_MAX
        self._failures: dict[int, int] = {}  # in a row
        self._ticks: dict[int, int] = {}  # that are left

    def begin(self, peer: int) -> None:
        """Let a peer wait, longer after each failure in a row."""
        failures = self._failures.get(peer, 0)
        self._failures[peer] = failures + 1
        self._ticks[peer] = self._retry_ticks << min(failures, DOUBLINGS_MAX)

    def forget(self, peer: int) -> None:
        """Let a peer wait no more: it has one."""
        self._failures.pop(peer, None)
        self._ticks.pop(peer, None)

    def clear(self) -> None:
        """Let nobody wait any more."""
        self._failures.clear()
        self._ticks.clear()

    def is_over(self, peer: int) -> bool:
        """Tell whether a peer need not wait."""
        return peer not in self._ticks

    def tick(self) -> None:
        """Let time pass."""
        self._ticks = {peer: left - 1 for peer, left in self._ticks.items() if left > 1}
