"""Who had best lead: what keeps each member from leading well, and to whom a leader hands over.

A member's log may be whole, and it may be elected, while its disk is full, its clock wrong, or its
database slow. Members tell their leader how they are (`surveys.py`).
"""

import enum
from collections.abc import Iterable, Mapping

from raft import RawNode
from raft.ready import Role

from inventory_node.core.clock_skew import Clocks
from inventory_node.core.snapshot.transfer import Incoming, Outgoing
from inventory_node.core.write.disk_space import Space
from inventory_node.core.write.flusher import Flushing
from inventory_node.ports import SurveyReply


class Burden(enum.IntEnum):
    """What keeps a member from leading well, the worst last."""

    NONE = 0
    POOR = 1  # a slow database, no space for a copy
    AHEAD = 2  # a clock by which it would stamp nothing for long, or wrongly
    STUCK = 3  # it can write nothing


class Succession:
    """Weighs the members of a term.

    - A leader is relieved by a member with a lesser burden than its own, by what that one said in
      this term: so the lead does not go round.
    """

    def __init__(
        self,
        space: Space,
        flushing: Flushing,
        incoming: Incoming,
        outgoing: Outgoing,
        clocks: Clocks,
    ) -> None:
        """Begin in no term."""
        self._space = space
        self._flushing = flushing
        self._incoming = incoming
        self._outgoing = outgoing
        self._clocks = clocks
        self._term = 0
        self._replies: Mapping[int, SurveyReply] = {}

    @property
    def is_stuck(self) -> bool:
        """Whether nothing can be written: for want of space, or of a state that is to come."""
        return self._space.is_full or self._incoming.installing

    @property
    def _is_poor(self) -> bool:
        """Whether others might do better: the database hangs, or a peer's copy found no space."""
        return self._flushing.hangs or self._outgoing.is_short

    @property
    def is_at_risk(self) -> bool:
        """Whether it was so until a while ago, or nearly.

        Members that are slow by turns would hand the lead round and round.
        """
        return self._is_poor or self._flushing.is_slow

    def begin(self, term: int, replies: Mapping[int, SurveyReply]) -> None:
        """Lead in a term, in which `replies` grows."""
        self._term, self._replies = term, replies

    def relieve(self, raft: RawNode) -> None:
        """Hand the lead to a member with a lesser burden, where there is one."""
        burden = self._own()
        leads = raft.role is Role.LEADER and raft.term == self._term
        if leads and burden:
            self._hand_over(raft, self._best(raft, self._replies, Burden(burden - 1)))

    def leave(self, raft: RawNode) -> None:
        """Hand the lead to whoever had best have it."""
        self._hand_over(raft, self.successor(raft))

    def successor(self, raft: RawNode) -> int:
        """Return who had best lead: the least burdened, then who holds most; 0: anybody."""
        return self._best(raft, raft.followers, max(Burden))

    @staticmethod
    def _hand_over(raft: RawNode, successor: int) -> None:
        if successor and not raft.transferring:
            raft.transfer(successor)

    def _own(self) -> Burden:
        if self.is_stuck:
            return Burden.STUCK
        if self._clocks.is_ahead:
            return Burden.AHEAD
        return Burden.POOR if self._is_poor else Burden.NONE

    def _of(self, peer: int, ahead: frozenset[int]) -> Burden:
        reply = self._replies.get(peer)
        if reply is not None and reply.is_stuck:
            return Burden.STUCK
        if peer in ahead:
            return Burden.AHEAD
        return Burden.POOR if reply is not None and reply.is_at_risk else Burden.NONE

    def _best(self, raft: RawNode, peers: Iterable[int], most: Burden) -> int:
        """Return the best of some peers that are not burdened more; 0 where nobody can lead."""
        voters = raft.configuration.voters
        ahead = self._clocks.ahead(raft.id, voters)
        found: list[tuple[Burden, int, int]] = []
        for peer in voters.intersection(peers):
            follower, reply = raft.followers.get(peer), self._replies.get(peer)
            if follower is None or not follower.is_present or follower.needs_snapshot:
                continue  # the log alone does not bring it up
            if reply is None or not reply.is_diverged:
                found.append((self._of(peer, ahead), -follower.match_index, peer))
        burden, _, best = min(found, default=(Burden.NONE, 0, 0))
        return best if burden <= most else 0
