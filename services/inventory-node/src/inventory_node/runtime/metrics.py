"""The metrics of one member, gathered at each scrape of Prometheus; docs/metrics.md lists them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inventory.v1 import cluster_pb2
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from inventory_node.ports import Step
from inventory_node.runtime.hooks import Timings

PREFIX = "inventory_node_"


class NodeCounts:
    """Counts of events as the events happen."""

    __slots__ = (
        "applied_commands",
        "applied_entries",
        "candidacies",
        "elections",
        "is_full",
        "timings",
    )

    def __init__(self) -> None:
        """Start at zero."""
        self.applied_entries = 0
        self.applied_commands = 0
        self.elections = 0
        self.candidacies = 0
        self.is_full = False  # the volume has no space
        self.timings = Timings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Counts of messages, requests and queues, at one moment."""

    loop_queue_events: int = 0
    loop_busy_seconds: float = 0.0
    peers_connected: int = 0
    peer_queue_messages: int = 0
    peer_dropped_messages: int = 0
    gateway_sessions: int = 0
    gateway_queue_frames: int = 0
    proposals: int = 0
    questions: int = 0


class NodeCollector(Collector):
    """Collects metrics from the member's own view, its counts and its traffic."""

    def __init__(
        self,
        view: Callable[[], cluster_pb2.Member],
        counts: NodeCounts,
        loop_lag_seconds: Callable[[], float],
        traffic: Callable[[], Traffic] = Traffic,
    ) -> None:
        """Call these functions at each scrape, on the scraper's thread: the functions only read."""
        self._view = view
        self._counts = counts
        self._lag = loop_lag_seconds
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics."""
        counts, traffic = self._counts, self._traffic()
        yield from self._member()
        gauges = (
            ("loop_queue_events", "Events that wait for the loop.", traffic.loop_queue_events),
            ("disk_full", "1 while the volume has no space for a write.", counts.is_full),
            ("peers_connected", "Peers with a link that they accepted.", traffic.peers_connected),
            ("peer_queue_messages", "Messages to peers that wait.", traffic.peer_queue_messages),
            ("gateway_sessions", "Links of gateways.", traffic.gateway_sessions),
            ("gateway_queue_frames", "Frames to gateways that wait.", traffic.gateway_queue_frames),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(PREFIX + name, text, value=value)
        counters = (
            ("applied_entries", "Log entries applied.", counts.applied_entries),
            ("applied_commands", "Commands applied.", counts.applied_commands),
            ("leader_changes", "Changes of the leader or term seen.", counts.elections),
            ("elections", "Elections that this member stood in.", counts.candidacies),
            ("loop_busy_seconds", "Time that the node's turns took.", traffic.loop_busy_seconds),
            ("peer_dropped_messages", "Messages not sent.", traffic.peer_dropped_messages),
            ("proposals", "Commands that gateways sent here.", traffic.proposals),
            ("questions", "Questions that gateways sent here.", traffic.questions),
        )
        for name, text, total in counters:
            yield CounterMetricFamily(PREFIX + name, text, value=total)
        timings = (
            ("apply_seconds", "Applying an entry.", Step.APPLY),
            ("flush_seconds", "Flushing to the database.", Step.FLUSH_JOB),
            ("wal_sync_seconds", "Writing and syncing a batch of the log.", Step.WAL_JOB),
        )
        for name, text, step in timings:
            timing = counts.timings.of(step)
            yield SummaryMetricFamily(
                PREFIX + name, text, count_value=timing.count, sum_value=timing.seconds
            )

    def _member(self) -> Iterator[Metric]:
        member = self._view()
        gauges: tuple[tuple[str, str, float], ...] = (
            ("role", "1 follower, 2 pre-candidate, 3 candidate, 4 leader.", member.role),
            ("leader", "1 while this member leads.", member.role == cluster_pb2.MEMBER_ROLE_LEADER),
            ("term", "The current term.", member.term),
            ("commit_index", "The last index known to be committed.", member.commit_index),
            ("applied_index", "The last index applied.", member.applied_index),
            ("durable_index", "The last index flushed to the database.", member.durable_index),
            ("log_first_index", "The first index that the log holds.", member.first_log_index),
            ("log_last_index", "The last index of the log.", member.last_log_index),
            ("diverged", "1 while its state keeps it out of service.", bool(member.diverged)),
            ("clock_skew_seconds", "Clock ahead of the voters.", member.clock_skew_ms / 1000),
            ("loop_lag_seconds", "How late the last tick was handled.", self._lag()),
        )
        if member.HasField("volume"):
            gauges += (
                ("volume_size_bytes", "The size of the data's volume.", member.volume.size_bytes),
                ("volume_free_bytes", "What is free there.", member.volume.free_bytes),
            )
        for name, text, value in gauges:
            yield GaugeMetricFamily(PREFIX + name, text, value=value)


def registry(collector: Collector) -> CollectorRegistry:
    """Return a registry of one collector."""
    made = CollectorRegistry()
    made.register(collector)
    return made
