"""Whom the members take for the leader, and who hears that leader."""

from collections.abc import Collection

from inventory.raft.v1 import forward_pb2


class LeaderView:
    """The leadership that a gateway follows.

    - The highest term wins, and within one term a leader that is named.
    - The word of a member that is gone counts no more while no leader is named: a crash can undo a
      candidate's term, and the others may go on in the term before.
    """

    def __init__(self) -> None:
        """Start knowing nobody."""
        self.term = 0
        self.leader = ""  # empty while none is known
        self._views: dict[str, forward_pb2.Leadership] = {}  # by the members that can be heard

    def heard(self, member: str, view: forward_pb2.Leadership) -> bool:
        """Take a member's view; tell whether another leader or term is followed from here on."""
        self._views[member] = view
        return self._follow(view)

    def lost(self, member: str) -> None:
        """Forget how a member saw the leadership."""
        self._views.pop(member, None)
        if not self.leader:
            self.term = 0
            for view in self._views.values():
                self._follow(view)

    def renounce(self) -> None:
        """Know no leader until a later view names one: the followed member does not lead."""
        self.leader = ""

    def _follow(self, view: forward_pb2.Leadership) -> bool:
        is_known = view.term == self.term and (self.leader or not view.leader)
        if view.term < self.term or is_known:
            return False
        self.term, self.leader = view.term, view.leader
        return True

    def ways_to(self, member: str, ways: Collection[str]) -> list[str]:
        """Return who of `ways` may carry a stream on to a leader, those that hear it first.

        Empty where the member does not lead: the stream is not worth a detour then.
        """
        if member != self.leader:
            return []
        hearing = {name for name, view in self._views.items() if view.leader == member}
        return sorted(ways, key=lambda name: (name not in hearing, name))
