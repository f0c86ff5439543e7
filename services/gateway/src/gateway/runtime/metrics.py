"""What Prometheus reads of a gateway; docs/metrics.md lists all of it."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.router import Router


class GatewayCollector(Collector):
    """Reads the core when it is asked."""

    def __init__(self, core: Router) -> None:
        """Read `core`."""
        self._core = core

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are."""
        core = self._core
        gauges = (
            ("has_leader", "1 while a leader is known.", bool(core.leader)),
            ("term", "The term of the leader that is followed.", core.term),
            ("pending_requests", "Requests that are not answered.", len(core.pending)),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"inventory_gateway_{name}", text, value=value)
        yield CounterMetricFamily(
            "inventory_gateway_retries", "Requests sent again to a member.", value=core.retries
        )
        requests = CounterMetricFamily(
            "inventory_gateway_requests", "Requests, by what became of them.", labels=["result"]
        )
        requests.add_metric(["answered"], core.pending.answered_count)
        requests.add_metric(["unanswered"], core.pending.unanswered_count)
        requests.add_metric(["overloaded"], core.pending.overloaded_count)
        yield requests


def registry(core: Router) -> CollectorRegistry:
    """Return the registry of a gateway."""
    made = CollectorRegistry()
    made.register(GatewayCollector(core))
    return made
