"""Who may stop for a while: `Drain` decides on the leader, `Departure` on the member itself.

Whoever runs a member asks it to stop without knowing what a majority needs: two pods are deleted
at once, or one while another is still being replaced. So a member that is asked to stop asks the
leader first, again and again for as long as its grace lasts, and serves on meanwhile.
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

    def grant_leave(self, member: int, reached: AbstractSet[int], raft: RawNode) -> bool:
        """Let a member go that asks, and reaches these, or not; return which. Leader only."""
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


@dataclass(frozen=True, slots=True)
class Decided:
    """Whether the member may stop at once."""

    may_leave: bool


@dataclass(frozen=True, slots=True)
class AskReach:
    """Ask these members, by id, whom they reach; hand the answers to `Departure.hear_reach`."""

    members: frozenset[int]


@dataclass(frozen=True, slots=True)
class AskSelf:
    """Ask the own node for this; hand its answer to `Departure.hear_self`."""

    request: membership_pb2.ChangeRequest


@dataclass(frozen=True, slots=True)
class AskLeader:
    """Ask the other members for this, one of which leads; hand the answer to `hear_leader`."""

    request: membership_pb2.ChangeRequest


DepartureStep = Decided | AskReach | AskSelf | AskLeader


class Departure:
    """Whether a member that was asked to stop may do so, as far as it can tell by itself.

    - A member without a vote does not ask, nor one that is alone: nobody needs it.
    - The others go on without it only where they reach one another, which the leader cannot see.
    - Each try begins with `begin`, and ends with `Decided`.
    """

    def __init__(self, cluster_id: str) -> None:
        """Ask for a member of this cluster."""
        self._cluster_id = cluster_id
        self._member = cluster_pb2.Member()

    def begin(self, member: cluster_pb2.Member, reached: AbstractSet[int]) -> DepartureStep:
        """Begin a try, given how the member sees itself, and the ids of those that it reaches.

        Where it reaches no majority itself, the leader judges what the others reach.
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
        """Take what the members say of themselves; None where one refuses this member's key.

        A key that was changed keeps nobody from stopping.
        """
        if described is not None and not self._are_joined(described):
            return Decided(may_leave=False)
        return self._question(reached)

    def _are_joined(self, described: Iterable[Described | None]) -> bool:
        """Tell whether a majority of the voters reach a majority without this member.

        One that does not say whom it reaches is taken to reach everybody.
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
        """Take the own node's answer, which may lead."""
        if answer.HasField("not_leader"):
            return AskLeader(asked.request)
        return self._decide(answer)

    def hear_leader(
        self, answer: membership_pb2.ChangeResponse | None, reached: AbstractSet[int]
    ) -> Decided:
        """Take the leader's answer; None where nobody leads.

        Those that are left may then be about to elect somebody: a member that they may need stays.
        """
        if answer is None:
            return Decided(may_leave=len(reached) + 1 < self._majority)
        return self._decide(answer)

    def _decide(self, answer: membership_pb2.ChangeResponse) -> Decided:
        # A leader of an earlier version refuses the question itself, and would for ever.
        is_refused = answer.HasField("error") and reason_of(answer.error) is Reason.CHANGE_REFUSED
        return Decided(may_leave=not is_refused)
