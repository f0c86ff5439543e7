"""What is wrong with a cluster, and what to do about it: facts in, sentences out. Pure.

Each rule is a function and yields findings of one or two kinds. Every finding names a runbook: a
page below docs/runbooks that begins where the finding's remedy ends.
"""

import enum
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inventory.v1 import cluster_pb2

from cluster_health.facts import Facts, behind, lead_of, voters_of
from cluster_health.serving import COMMIT_MS_MAX, LAG_ENTRIES_MAX

CLOCK_SKEW_MS_MAX = 1_000
ELECTIONS_MAX = 5  # in ELECTIONS_MS, are too many: a rolling restart makes up to three
ELECTIONS_MS = 600_000
FREE_PERCENT_LOW = 15
FREE_PERCENT_CRITICAL = 5

JOINING = cluster_pb2.MEMBER_STANDING_JOINING


class Severity(enum.StrEnum):
    """How soon somebody has to look."""

    CRITICAL = "critical"  # clients notice the problem, or data is in danger
    WARNING = "warning"  # clients would notice one more fault
    NOTICE = "notice"  # the cluster is as it was asked to be


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: str  # a stable name, for programs
    severity: Severity
    says: str  # what is wrong, one sentence
    remedy: str  # what to do, a sentence or two
    runbook: str  # docs/runbooks/<runbook>.md
    about: str = ""  # the member or the term, if a kind may come several times


Rule = Callable[[Facts], Iterator[Finding]]


def findings(facts: Facts) -> list[Finding]:
    """Return everything that is wrong, the worst first."""
    if facts.paused:
        return [_PAUSED]
    found = [finding for rule in RULES for finding in rule(facts)]
    worst = list(Severity)
    return sorted(found, key=lambda one: worst.index(one.severity))


_PAUSED = Finding(
    kind="paused",
    severity=Severity.NOTICE,
    says="The members are paused: there are to be none, and nothing is written or read.",
    remedy="Set replicaCount to what it was before; the members keep their data and their votes.",
    runbook="paused",
)

_WAIT = (
    "Wait some seconds: an election may be under way. If it stays, look at the network between "
    "the members."
)


def _two_leaders(facts: Facts) -> Iterator[Finding]:
    for term, names in sorted(facts.led.items()):
        if len(names) > 1:
            yield Finding(
                kind="two_leaders",
                severity=Severity.CRITICAL,
                says=(
                    f"{_listed(names)} both led term {term}. That cannot be: acknowledged writes "
                    "may be lost."
                ),
                remedy=(
                    "Stop the gateways, keep every volume as it is, and look for a member whose "
                    "volume was put back from an older copy."
                ),
                runbook="two-leaders",
                about=str(term),
            )


def _states_differ(facts: Facts) -> Iterator[Finding]:
    by_index: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for name, member in facts.there.items():
        if member.HasField("state_hash"):
            by_index[member.state_hash.index][name] = member.state_hash.sha256
    for index, hashes in sorted(by_index.items()):
        (most, count), *others = Counter(hashes.values()).most_common()
        if not others:
            continue
        differ = [name for name in hashes if hashes[name] != most or count * 2 <= len(hashes)]
        yield Finding(
            kind="states_differ",
            severity=Severity.CRITICAL,
            says=(
                f"The state at index {index} is not the same everywhere: {_listed(differ)} "
                f"{'differs' if len(differ) == 1 else 'differ'} from the others."
            ),
            remedy=(
                "Restart the member that differs from the majority: it sets its data aside and "
                "joins anew. Where no majority agrees, stop the gateways and keep a copy of every "
                "volume."
            ),
            runbook="states-differ",
            about=str(index),
        )


def _diverged(facts: Facts) -> Iterator[Finding]:
    for name, member in facts.there.items():
        if member.diverged:
            yield Finding(
                kind="diverged",
                severity=Severity.CRITICAL,
                says=f"{name} took itself out of service: {member.diverged}.",
                remedy="Restart it: it sets its data aside on its volume and joins anew.",
                runbook="states-differ",
                about=name,
            )


def _no_leader(facts: Facts) -> Iterator[Finding]:
    lead = lead_of(facts)
    if lead is not None:
        if facts.waiting_ms >= COMMIT_MS_MAX:
            yield Finding(
                kind="no_commit",
                severity=Severity.CRITICAL,
                says=(
                    f"{lead.name} leads and has committed nothing for "
                    f"{facts.waiting_ms // 1_000} s, though something waits."
                ),
                remedy="Look at the disks of the members and at the network between them.",
                runbook="no-leader",
            )
        return
    voters = voters_of(facts)
    answer = [name for name in voters if name in facts.there]
    empty = [name for name, one in facts.there.items() if one.standing == JOINING]
    if empty and any(one.term for name, one in facts.there.items() if name not in empty):
        yield Finding(
            kind="volumes_lost",
            severity=Severity.CRITICAL,
            says=(
                f"No majority has its data: {_listed(empty)} {_came(empty)} up on an empty volume."
            ),
            remedy=(
                "Nothing is elected on empty volumes. Bring back a volume that was lost, so that a "
                "majority has its data."
            ),
            runbook="volumes-lost",
        )
    if not voters:
        yield _nobody_says(facts)
        return
    needed = len(voters) // 2 + 1
    enough = len(answer) >= needed
    yield Finding(
        kind="no_leader",
        severity=Severity.CRITICAL,
        says=(
            f"No majority follows a leader: {len(answer)} of {len(voters)} voters answer, and it "
            f"takes {needed}."
        ),
        remedy=_WAIT if enough else "Start the members that do not answer.",
        runbook="no-leader",
    )


def _nobody_says(facts: Facts) -> Finding:
    """Return the finding that nobody leads, if no member ever told who has a vote."""
    there = len(facts.there)
    should = f"; there should be {facts.replicas}" if facts.replicas else ""
    if not there:
        says, remedy = "no member answers", "Start the members; their logs say why they ended."
    else:
        says = f"{there} {'answers' if there == 1 else 'answer'}, and none says who has a vote"
        some_are_silent = there < (facts.replicas or len(facts.members))
        remedy = "Start the members that do not answer." if some_are_silent else _WAIT
    return Finding(
        kind="no_leader",
        severity=Severity.CRITICAL,
        says=f"No majority follows a leader: {says}{should}.",
        remedy=remedy,
        runbook="no-leader",
    )


def _missing(facts: Facts) -> Iterator[Finding]:
    voters = voters_of(facts)
    missing = [name for name in voters if name not in facts.there]
    for name in missing:
        yield Finding(
            kind="member_missing",
            severity=Severity.WARNING,
            says=f"{name} has a vote and does not answer.",
            remedy=(
                "Start it; its log says why it ended. If it is gone for good, remove it: "
                f"`inventory cluster remove {name}`."
            ),
            runbook="member-missing",
            about=name,
        )
    spare = len(voters) - len(missing) - (len(voters) // 2 + 1)
    if missing and spare == 0 and lead_of(facts) is not None:
        yield Finding(
            kind="quorum_at_risk",
            severity=Severity.WARNING,
            says="One more member lost would stop every write.",
            remedy=(
                "Bring the missing members back before anything else is stopped, drained or "
                "upgraded."
            ),
            runbook="member-missing",
        )


def _apart(facts: Facts) -> Iterator[Finding]:
    lead = lead_of(facts)
    if lead is None:
        return
    for name in lead.voters:
        member = facts.there.get(name)
        if member is not None and member.leader != lead.name:
            yield Finding(
                kind="member_apart",
                severity=Severity.WARNING,
                says=f"{name} follows {member.leader or 'nobody'}, and {lead.name} leads.",
                remedy="Wait some seconds. If it stays, mend the network between them.",
                runbook="member-missing",
                about=name,
            )


def _replicas(facts: Facts) -> Iterator[Finding]:
    voters = len(voters_of(facts))
    leads = lead_of(facts) is not None
    if facts.pods and facts.pods < voters:
        yield Finding(
            kind="voters_differ",
            severity=Severity.WARNING if leads else Severity.CRITICAL,
            says=f"voters ≠ replicas: {voters} members have a vote, and {facts.pods} were started.",
            remedy=(
                f"Was it `kubectl scale`? Scale back to {voters}, then `helm upgrade` with the "
                "replicaCount that you want."
            ),
            runbook="voters-differ",
        )
    elif leads and facts.replicas and facts.replicas != voters:
        yield Finding(
            kind="voters_differ",
            severity=Severity.WARNING,
            says=(
                f"voters ≠ replicas: {voters} members have a vote, and there should be "
                f"{facts.replicas}."
            ),
            remedy=(
                f"`helm upgrade` with replicaCount {facts.replicas} removes or adds members; "
                "`kubectl scale` does not."
            ),
            runbook="voters-differ",
        )


def _lags(facts: Facts) -> Iterator[Finding]:
    lead = lead_of(facts)
    if lead is None:
        return
    for name, member in facts.there.items():
        if behind(member, lead) > LAG_ENTRIES_MAX and name in lead.voters:
            yield Finding(
                kind="member_lags",
                severity=Severity.WARNING,
                says=f"{name} is {behind(member, lead):,} entries behind.",
                remedy=(
                    "It catches up by itself when it can. If it falls back further, its disk, its "
                    "processor or its network is slower than the others'."
                ),
                runbook="member-lags",
                about=name,
            )


def _disks(facts: Facts) -> Iterator[Finding]:
    for name, member in facts.there.items():
        if not member.HasField("volume") or not member.volume.size_bytes:
            continue
        percent = 100 * member.volume.free_bytes // member.volume.size_bytes
        if percent < FREE_PERCENT_LOW:
            yield Finding(
                kind="disk_filling",
                severity=Severity.CRITICAL if percent < FREE_PERCENT_CRITICAL else Severity.WARNING,
                says=f"{name} has {percent} % of its volume left.",
                remedy=(
                    "Make the volume larger, or free space on it: a full member takes no writes."
                ),
                runbook="disk-filling",
                about=name,
            )


def _clocks(facts: Facts) -> Iterator[Finding]:
    for name, member in facts.there.items():
        if abs(member.clock_skew_ms) > CLOCK_SKEW_MS_MAX:
            way = "ahead of" if member.clock_skew_ms > 0 else "behind"
            yield Finding(
                kind="clock_skew",
                severity=Severity.WARNING,
                says=(
                    f"{name}'s clock is {abs(member.clock_skew_ms) / 1_000:.1f} s {way} the "
                    "others'."
                ),
                remedy="Mend its time synchronisation (chrony, systemd-timesyncd) on its machine.",
                runbook="clock-skew",
                about=name,
            )


def _elections(facts: Facts) -> Iterator[Finding]:
    recent = [
        one.term
        for one in recent_elections(facts)
        if facts.at_ms - one.see_time.ToMilliseconds() <= ELECTIONS_MS
    ]
    if len(recent) >= ELECTIONS_MAX:
        yield Finding(
            kind="elections",
            severity=Severity.WARNING,
            says=f"{len(recent)} elections in ten minutes; each stops writes for a moment.",
            remedy=(
                "Look for members that run short of processor time, for slow disks and for a "
                "network that loses packets."
            ),
            runbook="elections",
        )


def recent_elections(facts: Facts) -> list[cluster_pb2.Election]:
    """Return the elections that the members remember, each term once, the newest first."""
    by_term: dict[int, cluster_pb2.Election] = {}
    for member in facts.there.values():
        for one in member.elections:
            known = by_term.get(one.term)
            if known is None or one.see_time.ToNanoseconds() < known.see_time.ToNanoseconds():
                by_term[one.term] = one
    return [by_term[term] for term in sorted(by_term, reverse=True)]


def _canaries(facts: Facts) -> Iterator[Finding]:
    for kind, canary, what in (
        ("writes_fail", facts.writes, "write"),
        ("reads_fail", facts.reads, "linearizable read"),
    ):
        if canary is not None and not canary.ok:
            yield Finding(
                kind=kind,
                severity=Severity.CRITICAL,
                says=f"A {what} through the gateway fails: {canary.why}",
                remedy=(
                    "See to what else is listed here first; if there is nothing, look at the "
                    "gateway's log."
                ),
                runbook="writes-fail",
            )


def _services(facts: Facts) -> Iterator[Finding]:
    if not facts.gateway:
        yield Finding(
            kind="gateway_down",
            severity=Severity.CRITICAL,
            says="No gateway answers: clients reach nothing.",
            remedy="Start the gateway; its log says why it ended.",
            runbook="service-down",
        )
    if facts.assistant is False:
        yield Finding(
            kind="assistant_down",
            severity=Severity.WARNING,
            says="The assistant does not answer: questions in plain language are not.",
            remedy="Start the assistant; orders and stock do not need it.",
            runbook="service-down",
        )


RULES: tuple[Rule, ...] = (
    _two_leaders,
    _states_differ,
    _diverged,
    _no_leader,
    _services,
    _canaries,
    _missing,
    _replicas,
    _apart,
    _lags,
    _disks,
    _clocks,
    _elections,
)


def _listed(names: "frozenset[str] | list[str]") -> str:
    """Return "a", "a and b", "a, b and c"."""
    *first, last = sorted(names)
    return f"{', '.join(first)} and {last}" if first else last


def _came(names: list[str]) -> str:
    return "has come" if len(names) == 1 else "have come"
