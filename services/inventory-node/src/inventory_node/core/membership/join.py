"""What a member asks about itself: for a part, for a vote, and whether it was removed.

Whoever runs it looks from time to time, sends what it is given to the other members, and hands in
what a leader answers.
"""

from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2

from inventory_node.wal import Identity

ALONE_TIMES = 4  # looks without a leader, until a member asks whether it still takes part


class Joining:
    """How one member comes to take part, and learns that it does so no longer.

    - A part and a vote are asked for only where the member is to join by itself (`auto`).
    - It was removed when a leader says so, and never by its own log: that may hold a removal which
      another leader takes back (Raft §5.3), and until then this member may be the only one that can
      be elected (dissertation §4.2.2); or it may end before the entry that added the member.
    """

    def __init__(self, identity: Identity, address: str, *, auto: bool) -> None:
        """Ask for this member, which others find at `address`."""
        self.was_removed = False
        self._identity = identity
        self._address = address
        self._auto = auto
        self._alone = 0  # looks in a row that knew of no leader

    def look(self, member: cluster_pb2.Member) -> membership_pb2.Join | None:
        """Return what to ask, if anything, given how the member sees itself."""
        self._alone = 0 if member.leader else self._alone + 1
        match member.standing:
            case cluster_pb2.MEMBER_STANDING_REMOVED:
                return self.question(member.term, is_empty=False)
            case cluster_pb2.MEMBER_STANDING_VOTER:
                is_alone = self._alone >= ALONE_TIMES
                return self.question(member.term, is_empty=False) if is_alone else None
            case _:
                join = self.question(member.term, is_empty=not member.last_log_index)
                join.is_learner = False
                return join if self._auto else None

    def question(self, term: int, *, is_empty: bool) -> membership_pb2.Join:
        """Return the question how this member, which is in `term`, takes part.

        It asks for no vote. A leader of an earlier term does not answer it.
        """
        identity = self._identity
        return membership_pb2.Join(
            member_id=identity.member_id,
            name=identity.name,
            address=self._address,
            is_empty=is_empty,
            is_learner=True,
            term=term,
        )

    def told(self, standing: membership_pb2.Standing.ValueType) -> None:
        """Take a leader's answer."""
        self.was_removed = standing == membership_pb2.STANDING_REMOVED
