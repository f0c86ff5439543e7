"""Log retention for peers that receive a snapshot, and the backoff after a failed snapshot."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from raft import RawNode
from raft.messages import Entry
from raft.view import Follower

# Bytes of the log that are kept, in memory and on disk, for a peer that is sent a snapshot or
# catches up after the snapshot. Not a multiple of the database's size: memory does not grow with
# the database. An eighth of the chart's limit for a member, a minute of orders at the highest pace
# measured, and hours at a shop's pace.
PINNED_BYTES_MAX = 256 << 20
ROUND_TICKS = 4  # a peer that lags by no more has caught up; far shorter than the log tail
SILENT_ROUNDS_MAX = 100  # for a peer that restarts, or is busy with the state that it got
ENTRY_BYTES = 200  # of memory that an entry takes besides its payload, as measured
DOUBLINGS_MAX = 4  # of the backoff after a failed snapshot


@dataclass(slots=True)
class Pin:
    """The part of the log that is kept for one peer."""

    index: int  # all entries above it are kept
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
    """The parts of the log that are kept for peers during a snapshot, and while the peers catch up.

    - A peer has at most one pin. A pin that keeps more than `PINNED_BYTES_MAX` ends.
    - A peer catches up in rounds (dissertation §4.2.1). The peer's pin ends when the peer holds
      every entry that was committed `ROUND_TICKS` before.
    - The pin of a peer that is no follower, or that needs another snapshot, ends at the next round.
      The pin of a peer that is absent for more than `SILENT_ROUNDS_MAX` rounds in a row ends.
    """

    def __init__(self) -> None:
        """Start without a pin."""
        self._pins: dict[int, Pin] = {}
        self._ticks = 0  # of the round

    @property
    def index(self) -> int | None:
        """The index above which the log is kept for all pins; None without a pin."""
        return min((pin.index for pin in self._pins.values()), default=None)

    def __contains__(self, peer: int) -> bool:
        """Whether the log keeps entries for a peer."""
        return peer in self._pins

    def pin(self, peer: int, index: int) -> None:
        """Keep the entries after `index` for a peer that is to get a snapshot."""
        self._pins[peer] = Pin(index)

    def catch_up(self, peer: int, commit_index: int) -> None:
        """Keep the pin of a peer that has the snapshot, until the peer holds the log from there."""
        if peer in self._pins:
            self._pins[peer].goal_index = commit_index

    def unpin(self, peer: int) -> None:
        """End a peer's pin."""
        self._pins.pop(peer, None)

    def keep_only(self, peer: int | None) -> None:
        """End the pins of all other peers."""
        self._pins = {one: pin for one, pin in self._pins.items() if one == peer}

    def grown(self, entries: Sequence[Entry]) -> Collection[int]:
        """Count new entries; end the pins that keep too much, and return their peers."""
        if not self._pins:
            return ()
        size = sum(ENTRY_BYTES + len(entry.payload) for entry in entries)
        for pin in self._pins.values():
            pin.size += size
        given_up = [peer for peer, pin in self._pins.items() if pin.size > PINNED_BYTES_MAX]
        for peer in given_up:
            self.unpin(peer)
        return given_up

    def tick(self, raft: RawNode) -> None:
        """Count a tick; every `ROUND_TICKS` a round ends."""
        self._ticks = (self._ticks + 1) % ROUND_TICKS
        if self._ticks or not self._pins:
            return
        followers, commit_index = raft.followers, raft.commit_index
        for peer, pin in list(self._pins.items()):
            if pin.end_round(followers.get(peer), commit_index):
                self.unpin(peer)


class Backoff:
    """How long peers wait after a failed snapshot."""

    def __init__(self, retry_ticks: int) -> None:
        """Begin with no waiting peer; `retry_ticks` is the first wait."""
        self._retry_ticks = retry_ticks
        self.longest_ticks = retry_ticks << DOUBLINGS_MAX
        self._failures: dict[int, int] = {}  # in a row
        self._ticks: dict[int, int] = {}  # ticks left, by peer

    def defer(self, peer: int) -> None:
        """Let a peer wait, longer after each failure in a row."""
        failures = self._failures.get(peer, 0)
        self._failures[peer] = failures + 1
        self._ticks[peer] = self._retry_ticks << min(failures, DOUBLINGS_MAX)

    def succeeded(self, peer: int) -> None:
        """End a peer's wait: the peer has a snapshot, and its failures count no longer."""
        self._failures.pop(peer, None)
        self._ticks.pop(peer, None)

    def clear(self) -> None:
        """End the waits of all peers."""
        self._failures.clear()
        self._ticks.clear()

    def is_over(self, peer: int) -> bool:
        """Tell whether a peer need not wait."""
        return peer not in self._ticks

    def tick(self) -> None:
        """Count a tick of every wait."""
        self._ticks = {peer: left - 1 for peer, left in self._ticks.items() if left > 1}
