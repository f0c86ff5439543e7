"""Whom the members follow as their leader, and which members hear from that leader."""

from collections.abc import Collection

from inventory.raft.v1 import forward_pb2


class LeaderView:
    """The leadership that a gateway follows.

    - The highest term wins. Within one term, a view that names a leader wins.
    - While no leader is named, the view of a member that is gone does not count: a crash can undo a
      candidate's term, and the other members may go on in the term before.
    """

    def __init__(self) -> None:
        """Start with no leader, and no member's view."""
        self.term = 0
        self.leader = ""  # empty while none is known
        self._views: dict[str, forward_pb2.Leadership] = {}  # by member; open links only

    def update(self, member: str, view: forward_pb2.Leadership) -> bool:
        """Keep a member's view; return whether this changed the followed leader or term."""
        self._views[member] = view
        return self._follow(view)

    def forget(self, member: str) -> None:
        """Forget a member's view, and the term too if nobody leads and no other view has it."""
        self._views.pop(member, None)
        if not self.leader:
            self.term = 0
            for view in self._views.values():
                self._follow(view)

    def forget_leader(self) -> None:
        """Know no leader until a view of a later term names one."""
        self.leader = ""

    def _follow(self, view: forward_pb2.Leadership) -> bool:
        is_known = view.term == self.term and (self.leader or not view.leader)
        if view.term < self.term or is_known:
            return False
        self.term, self.leader = view.term, view.leader
        return True

    def ways_to(self, member: str, ways: Collection[str]) -> list[str]:
        """Return the members of `ways` that may relay a stream to the leader.

        Members that hear from the leader come first. Empty if `member` is not the leader: a stream
        to a follower is not worth a detour.
        """
        if member != self.leader:
            return []
        hearing = {name for name, view in self._views.items() if view.leader == member}
        return sorted(ways, key=lambda name: (name not in hearing, name))
