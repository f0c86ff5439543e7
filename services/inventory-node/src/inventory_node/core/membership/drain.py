"""Who may stop for a while, as the leader sees it.

Whoever runs a member asks it to stop without knowing what a majority needs: two pods are deleted
at once, or one while another is still being replaced. So a member that is asked to stop asks the
leader first, again and again for as long as its grace lasts, and serves on meanwhile.
"""

from collections.abc import Set as AbstractSet

from raft import RawNode

from inventory_node.ports import Clock

ASKED_MS = 1_000  # who asked so lately still wants to go
GONE_MS = 2_000  # from a leave on, until the member's silence or its return speaks for itself
BEHIND_ENTRIES_MAX = 256  # of what is committed: a member that lacks more commits nothing soon


class Drain:
    """Keeps a majority that holds what is committed, as far as leaving is up to the members.

    - A voter may go when those that stay are such a majority.
    - It may go as well when there is none even with it, or when all that would stay want to go too:
      then its staying serves nobody.
    - One that was let go does not count as staying until it is heard of anew. Nor does one that the
      member which asks does not reach: it sees a connection close before the leader misses a reply.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with nobody leaving."""
        self._clock = clock
        self._asked: dict[int, int] = {}  # when, by member id
        self._gone: dict[int, int] = {}  # until when, by member id

    def may_leave(self, member: int, reached: AbstractSet[int], raft: RawNode) -> bool:
        """Tell whether a member that asks, and reaches these, may go; ask on the leader only."""
        now_ms = self._clock.elapsed_ms()
        self._asked[member] = now_ms
        voters = raft.configuration.voters
        if member not in voters:
            return True
        majority = len(voters) // 2 + 1
        there = {raft.id, *reached} & voters - {member}
        staying = [one for one in sorted(there) if self._stays(one, raft, now_ms)]
        if len(staying) >= majority:
            self._gone[member] = now_ms + GONE_MS
            return True
        is_broken = len(staying) + 1 < majority
        all_go = all(now_ms - self._asked.get(one, -ASKED_MS) < ASKED_MS for one in staying)
        return is_broken or all_go

    def _stays(self, member: int, raft: RawNode, now_ms: int) -> bool:
        """Tell whether a voter answers, was not let go, and holds what is committed."""
        if now_ms < self._gone.get(member, 0):
            return False
        if member == raft.id:
            return True
        follower = raft.followers[member]
        behind = raft.commit_index - follower.match_index
        return follower.is_present and behind <= BEHIND_ENTRIES_MAX
