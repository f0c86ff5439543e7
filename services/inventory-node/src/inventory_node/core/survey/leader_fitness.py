"""Each member's impairment, and the member to which an impaired leader hands over.

A member with a whole log may be elected while its disk is full, its clock wrong, or its database
slow. Members tell their leader their impairments (`rounds.py`).
"""

import enum
from collections.abc import Iterable, Mapping

from raft import RawNode
from raft.ready import RaftRole

from inventory_node.core.clock_skew import ClockSkew
from inventory_node.core.snapshot.transfer import Incoming, Outgoing
from inventory_node.core.write.disk_space import DiskSpace
from inventory_node.core.write.flusher import Flusher
from inventory_node.ports import SurveyReply


class Impairment(enum.IntEnum):
    """A condition that keeps a member from leading well, the worst last."""

    NONE = 0
    POOR = 1  # a slow database, no space for a copy
    AHEAD = 2  # a clock so far ahead that its stamps would be wrong, or withheld
    STUCK = 3  # the member can write nothing


class LeaderFitness:
    """Weighs the members of a term.

    - A leader hands over only to a member with a lesser impairment than its own, by the member's
      reply of this term. So the lead does not go round.
    """

    def __init__(
        self,
        space: DiskSpace,
        flusher: Flusher,
        incoming: Incoming,
        outgoing: Outgoing,
        clock_skew: ClockSkew,
    ) -> None:
        """Begin in no term."""
        self._disk_space = space
        self._flusher = flusher
        self._incoming = incoming
        self._outgoing = outgoing
        self._clock_skew = clock_skew
        self._term = 0
        self._replies: Mapping[int, SurveyReply] = {}

    @property
    def is_stuck(self) -> bool:
        """Whether nothing can be written: space is short, or a snapshot is being installed."""
        return self._disk_space.is_full or self._incoming.installing

    @property
    def _is_poor(self) -> bool:
        """Whether others might lead better: the database hangs, or a peer's copy found no space."""
        return self._flusher.hangs or self._outgoing.is_short

    @property
    def is_at_risk(self) -> bool:
        """Whether this member is poor, or its database was slow lately.

        Without this memory, members that are slow by turns would hand the lead round and round.
        """
        return self._is_poor or self._flusher.is_slow

    def lead(self, term: int, replies: Mapping[int, SurveyReply]) -> None:
        """Begin to lead in `term`; `replies` grows during the term."""
        self._term, self._replies = term, replies

    def relieve(self, raft: RawNode) -> None:
        """Hand the lead to a member with a lesser impairment, if there is one."""
        impairment = self._own()
        leads = raft.role is RaftRole.LEADER and raft.term == self._term
        if leads and impairment:
            self._hand_over(raft, self._best(raft, self._replies, Impairment(impairment - 1)))

    def transfer(self, raft: RawNode) -> None:
        """Hand the lead to the fittest successor."""
        self._hand_over(raft, self.successor(raft))

    def successor(self, raft: RawNode) -> int:
        """Return the least impaired peer, of equals the most up to date; 0: no peer is fit."""
        return self._best(raft, raft.followers, max(Impairment))

    @staticmethod
    def _hand_over(raft: RawNode, successor: int) -> None:
        if successor and not raft.transferring:
            raft.transfer(successor)

    def _own(self) -> Impairment:
        if self.is_stuck:
            return Impairment.STUCK
        if self._clock_skew.is_ahead:
            return Impairment.AHEAD
        return Impairment.POOR if self._is_poor else Impairment.NONE

    def _of(self, peer: int, ahead: frozenset[int]) -> Impairment:
        reply = self._replies.get(peer)
        if reply is not None and reply.is_stuck:
            return Impairment.STUCK
        if peer in ahead:
            return Impairment.AHEAD
        return Impairment.POOR if reply is not None and reply.is_at_risk else Impairment.NONE

    def _best(self, raft: RawNode, peers: Iterable[int], most: Impairment) -> int:
        """Return the best of `peers` with at most the impairment `most`; 0 if there is none."""
        voters = raft.configuration.voters
        ahead = self._clock_skew.ahead(raft.id, voters)
        found: list[tuple[Impairment, int, int]] = []
        for peer in voters.intersection(peers):
            follower, reply = raft.followers.get(peer), self._replies.get(peer)
            if follower is None or not follower.is_present or follower.needs_snapshot:
                continue  # the log alone does not bring this peer up to date
            if reply is None or not reply.is_diverged:
                found.append((self._of(peer, ahead), -follower.match_index, peer))
        impairment, _, best = min(found, default=(Impairment.NONE, 0, 0))
        return best if impairment <= most else 0
