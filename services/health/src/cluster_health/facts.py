"""What is known of the cluster at one moment. Nothing here is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inventory.v1 import cluster_pb2

Member = cluster_pb2.Member

LEADER = cluster_pb2.MEMBER_ROLE_LEADER
VOTER = cluster_pb2.MEMBER_STANDING_VOTER
LEARNER = cluster_pb2.MEMBER_STANDING_LEARNER


@dataclass(frozen=True, slots=True)
class Canary:
    """What became of the newest try that ended."""

    ok: bool
    seconds: float
    why: str = ""  # it failed; one sentence


@dataclass(frozen=True, slots=True)
class KnownMembership:
    """Who takes part, as a member knew it that was in this term and had the log to this index."""

    term: int
    last_log_index: int
    voters: tuple[str, ...]
    learners: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found. Members are by name; one that does not answer is None."""

    members: Mapping[str, Member | None]
    at_ms: int = 0  # milliseconds since 1970
    led: Mapping[int, frozenset[str]] = field(default_factory=dict)  # term: who was seen to lead it
    membership: KnownMembership | None = None  # the newest that was said; None: nobody ever did
    waiting_ms: int = 0  # for how long the leader's oldest entry was not committed
    gateway: bool = True  # whether it answers
    assistant: bool | None = None  # None: there is none
    writes: Canary | None = None  # None: no try has ended
    reads: Canary | None = None
    replicas: int | None = None  # how many members there should be; None: not said
    pods: int | None = None  # how many were started; None: unknown

    @property
    def there(self) -> dict[str, Member]:
        """Those that answer."""
        return {name: one for name, one in self.members.items() if one is not None}

    @property
    def paused(self) -> bool:
        """Whether there are to be no members, and none answers."""
        return self.replicas == 0 and not self.there


@dataclass(frozen=True, slots=True)
class Lead:
    """A leader whom a majority of the voters follows in its term."""

    name: str
    term: int
    commit_index: int
    voters: tuple[str, ...]


def lead_of(facts: Facts) -> Lead | None:
    """Return the lead of the highest term; None when no majority follows anybody."""
    there = facts.there
    leaders = [name for name, one in there.items() if one.role == LEADER]
    for name in sorted(leaders, key=lambda one: there[one].term, reverse=True):
        leader = there[name]
        follow = [
            voter
            for voter in leader.voters
            if voter in there and (there[voter].term, there[voter].leader) == (leader.term, name)
        ]
        if len(follow) * 2 > len(leader.voters):
            return Lead(name, leader.term, leader.commit_index, tuple(leader.voters))
    return None


def membership_of(facts: Facts) -> KnownMembership | None:
    """Return who takes part: as the lead has it, or who knows or knew the highest term.

    None where nobody ever said. The first members are no answer: some may have left since.
    """
    lead = lead_of(facts)
    if lead is not None:
        return _as_known_to(facts.there[lead.name])
    before = [facts.membership] if facts.membership is not None else []
    said = before + [_as_known_to(one) for one in facts.there.values() if one.voters]
    return max(said, key=lambda one: (one.term, one.last_log_index), default=None)


def _as_known_to(member: Member) -> KnownMembership:
    return KnownMembership(
        member.term, member.last_log_index, tuple(member.voters), tuple(member.learners)
    )


def voters_of(facts: Facts) -> tuple[str, ...]:
    """Return whose votes count; nobody's where nobody ever said."""
    membership = membership_of(facts)
    return membership.voters if membership is not None else ()


def behind(member: Member, lead: Lead) -> int:
    """Return how many entries the leader has committed that the member has not applied."""
    return max(0, lead.commit_index - member.applied_index)
