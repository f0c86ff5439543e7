"""Whether the members hold the same state: hashes at one index, compared with a majority's hash.

A `Checkpoint` in the log makes every member hash its state at exactly the checkpoint's index. Equal
logs give equal states. So two hashes that differ at one index mean that a member's database is not
what the log made of it: a disk, a hand, or a bug has changed the database. The hash of a majority
of the voters counts as right.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from inventory.v1 import cluster_pb2

CHECKPOINTS_KEPT = 8
REST_SHARE = 10  # pause after a hash, in durations of the hash: a large state takes minutes
SHOWN = 12  # characters of a hash that tell hashes apart


class DivergenceDetector:
    """The hashes of this member, and on the leader the hashes of the other members.

    - A verdict takes a majority of the voters with one hash at one index.
    - A member with another hash at the index has diverged, until its state is replaced.
    - The newest few checkpoints are kept.
    """

    def __init__(self, quarantined: str) -> None:
        """Start with no hash; `quarantined`: why an earlier start was out of service."""
        self.newest = cluster_pb2.StateHash()
        self.problem = quarantined  # empty: no divergence is known
        self.is_compared = False  # with a majority, since the start
        self._own: dict[int, str] = {}  # by index, oldest first
        self._told: dict[int, dict[int, str]] = {}  # by index and member
        self._replaced_index = 0

    def hashed(self, index: int, sha256: str) -> None:
        """Take the hash of this member's state at an index."""
        if index >= self._replaced_index:
            self.newest = cluster_pb2.StateHash(index=index, sha256=sha256)
            self._own[index] = sha256
            _shorten(self._own)

    def told(self, member: int, index: int, sha256: str) -> None:
        """Take another member's hash."""
        if index:
            self._told.setdefault(index, {})[member] = sha256
            _shorten(self._told)

    def clear_others(self) -> None:
        """Forget the other members' hashes: another member surveys."""
        self._told.clear()

    def at(self, index: int, own_id: int) -> dict[int, str]:
        """Return all known hashes at an index, by member."""
        hashes = dict(self._told.get(index, {}))
        if index in self._own:
            hashes[own_id] = self._own[index]
        return hashes

    def judge(self, index: int, hashes: Mapping[int, str], voters: Collection[int]) -> bool:
        """Compare the own state at `index` with the others; return whether it just diverged."""
        own = self._own.get(index)
        known = [sha256 for member, sha256 in hashes.items() if member in voters]
        quorum = len(voters) // 2 + 1
        if own is None or len(known) < quorum:
            return False
        self.is_compared = True
        sha256, count = Counter(known).most_common(1)[0]
        if count < quorum or sha256 == own or self.problem:
            return False
        self.problem = (
            f"its state at index {index} has the hash {own[:SHOWN]}, and {count} of "
            f"{len(voters)} voters have {sha256[:SHOWN]}"
        )
        return True

    def judge_own(self, own_id: int, voters: Collection[int]) -> bool:
        """Compare the own state with the others' hashes; return whether it just diverged."""
        known = self.problem
        for index in self._own:
            self.judge(index, self.at(index, own_id), voters)
        return self.problem != known

    def replaced(self, index: int) -> None:
        """Begin anew with a state that came as a snapshot at `index`."""
        self.problem = ""
        self.is_compared = False
        self.newest = cluster_pb2.StateHash()
        self._own.clear()
        self._replaced_index = index


def _shorten(kept: dict[int, str] | dict[int, dict[int, str]]) -> None:
    while len(kept) > CHECKPOINTS_KEPT:
        del kept[min(kept)]


class Schedule:
    """When a leader puts a checkpoint into the log.

    - A periodic checkpoint is due only if an entry was applied since the last checkpoint.
    - Two checkpoints of a leader are at least `gap_ticks` apart.
    - Members hash a small part of the time, however large their states are.
    """

    def __init__(self, period_ticks: int, gap_ticks: int) -> None:
        """Start as if the last checkpoint was long ago."""
        self._period_ticks = period_ticks
        self._gap_ticks = gap_ticks
        self._quiet_ticks = max(period_ticks, gap_ticks)  # since the last was applied or proposed
        self._hash_ticks = 0  # duration of this member's last hash
        self._seen_index = 0  # of the last applied checkpoint

    def pass_tick(self, checkpoint_index: int, *, is_hashing: bool = False) -> None:
        """Count a tick; `checkpoint_index`: of the last checkpoint that was applied."""
        self._quiet_ticks += 1
        if checkpoint_index != self._seen_index:
            self._seen_index = checkpoint_index
            self._quiet_ticks = 0
        if is_hashing:
            self._hash_ticks = self._quiet_ticks

    def is_due(self, applied_index: int, *, wanted: bool) -> bool:
        """Tell whether a checkpoint is due; `wanted`: a state was not compared since its start."""
        if wanted and self._quiet_ticks >= self._gap_ticks:
            return True
        changed = applied_index > self._seen_index
        return changed and self._quiet_ticks >= max(
            self._period_ticks, REST_SHARE * self._hash_ticks
        )

    def proposed(self) -> None:
        """Note that a checkpoint was proposed."""
        self._quiet_ticks = 0
