"""The facts of a cluster at one moment. `findings` judges them; nothing here does."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inventory.v1 import cluster_pb2

Member = cluster_pb2.Member

LEADER = cluster_pb2.MEMBER_ROLE_LEADER
VOTER = cluster_pb2.MEMBER_STANDING_VOTER
LEARNER = cluster_pb2.MEMBER_STANDING_LEARNER


@dataclass(frozen=True, slots=True)
class Canary:
    """The result of the newest try that has ended."""

    ok: bool
    seconds: float
    why: str = ""  # why the try failed, one sentence


@dataclass(frozen=True, slots=True)
class KnownMembership:
    """The members that take part, as known to a member in `term` whose log ended at an index."""

    term: int
    last_log_index: int
    voters: tuple[str, ...]
    learners: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of one round. Members are by name; a member that does not answer is None."""

    members: Mapping[str, Member | None]
    at_ms: int = 0  # milliseconds since 1970
    led: Mapping[int, frozenset[str]] = field(
        default_factory=dict
    )  # by term: the members seen to lead it
    membership: KnownMembership | None = None  # the newest that a member told; None: no member did
    waiting_ms: int = 0  # how long the leader has had an entry without committing any
    gateway: bool = True  # whether the gateway answers
    assistant: bool | None = None  # None: the settings name none
    writes: Canary | None = None  # None: no try has ended
    reads: Canary | None = None
    replicas: int | None = None  # how many members there should be; None: not set
    pods: int | None = None  # how many members were started; None: unknown

    @property
    def there(self) -> dict[str, Member]:
        """The members that answer, by name."""
        return {name: one for name, one in self.members.items() if one is not None}

    @property
    def paused(self) -> bool:
        """Whether the cluster is meant to have no members, and no member answers."""
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
    """Return the members that take part, as the leader knows them.

    Without a leader it is as known to the member with the highest term, in this round or before.
    None if no member ever told. The settings' first members are no answer: some may have left.
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
    """Return the voters' names; empty if no member ever told who takes part."""
    membership = membership_of(facts)
    return membership.voters if membership is not None else ()


def behind(member: Member, lead: Lead) -> int:
    """Return how many entries the leader has committed and the member has not applied."""
    return max(0, lead.commit_index - member.applied_index)
