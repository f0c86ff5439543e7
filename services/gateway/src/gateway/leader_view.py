"""Whom the members follow as their leader, and which members hear from that leader."""

from collections.abc import Collection

from inventory.raft.v1 import forward_pb2


class LeaderView:
    """The leadership that a gateway follows.

    - A view counts if the view names a leader: in a higher term than the followed one, or in the
      same term while no leader is known.
    - A view that names no leader counts from the followed leader alone, which then leads no more.
      The term of any other member's view may be known to that member alone: a candidate whose disk
      hangs, or whose messages are lost, tells gateways of its term and no other member.
    """

    def __init__(self) -> None:
        """Start with no leader, and no member's view."""
        self.term = 0
        self.leader = ""  # empty while none is known
        self._views: dict[str, forward_pb2.Leadership] = {}  # by member; open links only

    def update(self, member: str, view: forward_pb2.Leadership) -> bool:
        """Keep a member's view; return whether this changed the followed leader or term."""
        self._views[member] = view
        if member == self.leader and not view.leader and view.term >= self.term:
            self.leader = ""
            return True
        return self._follow(view)

    def forget(self, member: str) -> None:
        """Forget the view of a member whose link is closed."""
        self._views.pop(member, None)

    def forget_leader(self) -> None:
        """Know no leader until a view of this term or a later one names a leader."""
        self.leader = ""

    def _follow(self, view: forward_pb2.Leadership) -> bool:
        is_newer = view.term > self.term or (view.term == self.term and not self.leader)
        if not view.leader or not is_newer:
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
