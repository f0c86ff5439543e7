"""The answer under each name of gRPC health. Pure."""

from cluster_health.facts import LEARNER, VOTER, Facts, Lead, Member, behind, lead_of

CLUSTER = "cluster"
WRITES = "writes"
READS = "reads"
NODE = "node/"

COMMIT_MS_MAX = 3_000
LAG_ENTRIES_MAX = 10_000


def serving(facts: Facts) -> dict[str, bool]:
    """Return whether each name serves, by name."""
    lead = lead_of(facts)
    answers = {
        CLUSTER: lead is not None and facts.waiting_ms < COMMIT_MS_MAX,
        WRITES: facts.writes is not None and facts.writes.ok,
        READS: facts.reads is not None and facts.reads.ok,
    }
    answers |= {NODE + name: _is_well(one, lead) for name, one in facts.members.items()}
    return answers


def _is_well(member: Member | None, lead: Lead | None) -> bool:
    """Return whether a member takes part, knows a leader and is not far behind it."""
    if member is None or member.diverged or member.standing not in (VOTER, LEARNER):
        return False
    if not member.leader:
        return False
    return lead is None or behind(member, lead) <= LAG_ENTRIES_MAX
