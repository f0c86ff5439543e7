"""What Prometheus reads of the cluster and the business; docs/metrics.md lists all of it.

Labels are bounded: members by name, the roles, one currency.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from inventory_client import InventoryStats, Member, Status
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from business_metrics.reading import Reading, ReadResult

PREFIX = "inventory_"
ROLES = ("leader", "follower", "pre_candidate", "candidate", "unreachable")


class ClusterCollector(Collector):
    """Reads the gateway at each scrape; the metrics of a read without an answer are absent."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        """Call `read` at each scrape, on the scraper's thread."""
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of one reading."""
        reading = self._read()
        yield from _reads({"status": reading.status, "stats": reading.stats})
        if reading.status.value is not None:
            yield from _cluster(reading.status.value)
            yield from _members(reading.status.value)
        if reading.stats.value is not None:
            yield from _business(reading.stats.value)


def registry(read: Callable[[], Reading]) -> CollectorRegistry:
    """Return the registry of a metrics service."""
    made = CollectorRegistry()
    made.register(ClusterCollector(read))
    return made


def _by(label: str, name: str, text: str, values: Iterator[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[label])
    for of, value in values:
        family.add_metric([of], value)
    return family


def _reads(answers: dict[str, ReadResult[Status] | ReadResult[InventoryStats]]) -> Iterator[Metric]:
    yield _by(
        "read",
        "metrics_read_success",
        "1 when the gateway answered this read.",
        ((name, answer.value is not None) for name, answer in answers.items()),
    )
    yield _by(
        "read",
        "metrics_read_seconds",
        "How long this read took.",
        ((name, answer.seconds) for name, answer in answers.items()),
    )


def is_voter(member: Member) -> bool:
    """Return whether a member is a voter; a member that does not answer is taken for one."""
    return member.standing in {"voter", ""}


def hashes_differ(status: Status) -> bool:
    """Return whether two members hashed different states at one index."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for member in status.members:
        if member.state_hash is not None:
            found[member.state_hash.index].add(member.state_hash.sha256)
    return any(len(hashes) > 1 for hashes in found.values())


def _cluster(status: Status) -> Iterator[Metric]:
    voters = [member for member in status.members if is_voter(member)]
    gauges = [
        ("cluster_has_leader", "1 while a leader is known.", bool(status.leader)),
        ("cluster_voters", "Members whose votes count.", len(voters)),
        ("cluster_voters_reachable", "Those that answer.", sum(m.reachable for m in voters)),
    ]
    there = [member for member in status.members if member.reachable]
    if there:  # else no member tells its term or its hash, and 0 would be wrong for both
        gauges += [
            ("cluster_term", "The highest term.", max(member.term for member in there)),
            ("cluster_state_hashes_differ", "1 when members disagree.", hashes_differ(status)),
        ]
    for name, text, value in gauges:
        yield GaugeMetricFamily(PREFIX + name, text, value=value)
    roles = Counter(member.role or "unreachable" for member in status.members)
    yield _by("role", "cluster_members", "Members by role.", ((r, roles[r]) for r in ROLES))


def _members(status: Status) -> Iterator[Metric]:
    there = [member for member in status.members if member.reachable]
    committed = max((m.commit_index for m in there if m.name == status.leader), default=None)
    yield _by(
        "member",
        "member_reachable",
        "1 while the member answers.",
        ((member.name, member.reachable) for member in status.members),
    )
    if committed is not None:
        yield _by(
            "member",
            "member_lag_entries",
            "Entries that the leader has committed and the member has not applied.",
            ((member.name, max(0, committed - member.applied_index)) for member in there),
        )
    yield _by(
        "member",
        "member_unflushed_entries",
        "Entries that the member has applied and not flushed to its database.",
        ((member.name, max(0, member.applied_index - member.durable_index)) for member in there),
    )
    yield _by(
        "member",
        "member_hashed_index",
        "The index of the member's newest state hash; 0 without any.",
        ((m.name, m.state_hash.index if m.state_hash is not None else 0) for m in there),
    )


def _business(stats: InventoryStats) -> Iterator[Metric]:
    gauges = (
        ("revision", "The log's index that these totals are of.", stats.revision),
        ("items", "Items that are not deleted.", stats.item_count),
        ("stock_units", "Units on hand.", stats.total_quantity),
        ("low_stock_items", "Items with 1 to 10 on hand.", stats.low_stock_count),
        ("out_of_stock_items", "Items with none on hand.", stats.out_of_stock_count),
    )
    for name, text, value in gauges:
        yield GaugeMetricFamily(PREFIX + name, text, value=value)
    counters = (
        ("orders", "Orders since the cluster began.", stats.order_count),
        ("units_sold", "Units sold since the cluster began.", stats.units_sold),
    )
    for name, text, total in counters:
        yield CounterMetricFamily(PREFIX + name, text, value=total)
    worth = GaugeMetricFamily(
        PREFIX + "stock_value_minor_units", "What is on hand is worth.", labels=["currency"]
    )
    worth.add_metric([stats.stock_value.currency], stats.stock_value.minor)
    yield worth
    revenue = CounterMetricFamily(
        PREFIX + "revenue_minor_units", "Revenue since the cluster began.", labels=["currency"]
    )
    revenue.add_metric([stats.revenue.currency], stats.revenue.minor)
    yield revenue
