"""What Prometheus reads of one member, gathered when it asks; docs/metrics.md lists all of it."""

from collections.abc import Callable, Iterator

from inventory.v1 import cluster_pb2
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Counts:
    """What is counted as it happens."""

    __slots__ = ("applied_commands", "applied_entries", "elections")

    def __init__(self) -> None:
        """Start at zero."""
        self.applied_entries = 0
        self.applied_commands = 0
        self.elections = 0


class NodeCollector(Collector):
    """Reads the member's own view."""

    def __init__(
        self,
        view: Callable[[], cluster_pb2.Member],
        counts: Counts,
        loop_lag_seconds: Callable[[], float],
    ) -> None:
        """Ask these at each scrape."""
        self._view = view
        self._counts = counts
        self._lag = loop_lag_seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are."""
        member = self._view()
        gauges = (
            ("leader", "1 while this member leads.", member.role == cluster_pb2.MEMBER_ROLE_LEADER),
            ("term", "The current term.", member.term),
            ("commit_index", "The last index known to be committed.", member.commit_index),
            ("applied_index", "The last index applied.", member.applied_index),
            ("durable_index", "The last index flushed to the database.", member.durable_index),
            ("log_first_index", "The first index that the log holds.", member.first_log_index),
            ("log_last_index", "The last index of the log.", member.last_log_index),
            ("loop_lag_seconds", "How late the last tick was handled.", self._lag()),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"inventory_node_{name}", text, value=value)
        counters = (
            ("applied_entries", "Log entries applied.", self._counts.applied_entries),
            ("applied_commands", "Commands applied.", self._counts.applied_commands),
            ("leader_changes", "Changes of the leader or term seen.", self._counts.elections),
        )
        for name, text, value in counters:
            yield CounterMetricFamily(f"inventory_node_{name}", text, value=value)


def registry(collector: Collector) -> CollectorRegistry:
    """Return a registry of one collector."""
    made = CollectorRegistry()
    made.register(collector)
    return made
