"""Stopping for a while: `Drain` decides on the leader, `Departure` on the member itself.

The operator that stops a member does not know what a majority needs. Two pods may be deleted at
once, or one pod while another is still being replaced. So a member that is asked to stop asks the
leader first, repeatedly until its grace period ends, and serves on meanwhile.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from raft import RawNode
from wire.errors import Reason, reason_of

from inventory_node.core.membership.bootstrap import Described
from inventory_node.ports import Clock

ASKED_MS = 1_000  # a member that asked within this time still wants to stop
GONE_MS = 2_000  # a member that was let go counts as gone; afterwards its presence decides
BEHIND_ENTRIES_MAX = 256  # committed entries; a voter that lacks more helps to commit nothing soon


class Drain:
    """Keeps a majority that holds the committed entries, as far as the members decide on leaving.

    - A voter may leave when the staying voters are such a majority.
    - A voter may also leave when there is no such majority even with the voter, or when all staying
      voters want to leave, too: then its staying helps nobody.
    - A voter that was let go does not count as staying until the leader hears of it anew. A voter
      that the asking member does not reach does not count as staying: the asking member sees a
      connection close before the leader misses a reply.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with no leaving member."""
        self._clock = clock
        self._asked: dict[int, int] = {}  # when, by member id
        self._gone: dict[int, int] = {}  # until when, by member id

    def grant_leave(self, member: int, reached: AbstractSet[int], raft: RawNode) -> bool:
        """Decide whether `member`, which reaches `reached`, may leave; on the leader only."""
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
        """Tell whether a voter answers, was not let go, and holds the committed entries."""
        if now_ms < self._gone.get(member, 0):
            return False
        if member == raft.id:
            return True
        follower = raft.followers[member]
        behind = raft.commit_index - follower.match_index
        return follower.is_present and behind <= BEHIND_ENTRIES_MAX


@dataclass(frozen=True, slots=True)
class Decided:
    """Whether the member may stop at once."""

    may_leave: bool


@dataclass(frozen=True, slots=True)
class AskReach:
    """Ask these members, by id, whom they reach; pass the answers to `Departure.hear_reach`."""

    members: frozenset[int]


@dataclass(frozen=True, slots=True)
class AskSelf:
    """Send the request to the own node; pass the node's answer to `Departure.hear_self`."""

    request: membership_pb2.ChangeRequest


@dataclass(frozen=True, slots=True)
class AskLeader:
    """Send the request to the other members; pass the leader's answer to `hear_leader`."""

    request: membership_pb2.ChangeRequest


DepartureStep = Decided | AskReach | AskSelf | AskLeader


class Departure:
    """Whether a member that was asked to stop may stop, as far as the member itself can tell.

    - A member without a vote does not ask the others, nor does a lone member: no member needs it.
    - The others can go on without the member only if they reach one another. The leader cannot see
      whether they do.
    - Each try begins with `begin`, and ends with `Decided`.
    """

    def __init__(self, cluster_id: str) -> None:
        """Start for a member of this cluster."""
        self._cluster_id = cluster_id
        self._member = cluster_pb2.Member()

    def attempt(self, member: cluster_pb2.Member, reached: AbstractSet[int]) -> DepartureStep:
        """Begin a try, given the member's own view and the ids of the members that it reaches.

        If the member reaches no majority, the leader judges which members the others reach.
        """
        self._member = member
        if member.standing != cluster_pb2.MEMBER_STANDING_VOTER:
            return Decided(may_leave=True)
        if len(reached) < self._majority:
            return self._question(reached)
        return AskReach(frozenset(reached))

    @property
    def _majority(self) -> int:
        return len(self._member.voters) // 2 + 1

    def hear_reach(
        self, described: Iterable[Described | None] | None, reached: AbstractSet[int]
    ) -> DepartureStep:
        """Take the members' descriptions; None if a member refuses this member's key.

        A changed key keeps no member from stopping.
        """
        if described is not None and not self._are_joined(described):
            return Decided(may_leave=False)
        return self._question(reached)

    def _are_joined(self, described: Iterable[Described | None]) -> bool:
        """Tell whether a majority of the voters reach a majority without this member.

        A voter that does not say whom it reaches is taken to reach every voter.
        """
        there = {
            peer.member_id: peer.reached
            for peer in described
            if peer is not None and peer.name in self._member.voters
        }
        if len(there) < self._majority:
            return True
        joined = [
            member
            for member, others in there.items()
            if others is None or len({member, *others} & there.keys()) >= self._majority
        ]
        return len(joined) >= self._majority

    def _question(self, reached: AbstractSet[int]) -> AskSelf:
        leave = membership_pb2.Leave(member_id=self._member.id, reached=sorted(reached))
        return AskSelf(membership_pb2.ChangeRequest(cluster_id=self._cluster_id, leave=leave))

    def hear_self(self, asked: AskSelf, answer: membership_pb2.ChangeResponse) -> DepartureStep:
        """Take the own node's answer; the own node may be the leader."""
        if answer.HasField("not_leader"):
            return AskLeader(asked.request)
        return self._decide(answer)

    def hear_leader(
        self, answer: membership_pb2.ChangeResponse | None, reached: AbstractSet[int]
    ) -> Decided:
        """Take the leader's answer; None if no member leads.

        The remaining members may then be about to elect a leader: a member that they may need
        stays.
        """
        if answer is None:
            return Decided(may_leave=len(reached) + 1 < self._majority)
        return self._decide(answer)

    def _decide(self, answer: membership_pb2.ChangeResponse) -> Decided:
        # A leader of an earlier version refuses the question itself, and would do so for ever.
        is_refused = answer.HasField("error") and reason_of(answer.error) is Reason.CHANGE_REFUSED
        return Decided(may_leave=not is_refused)
