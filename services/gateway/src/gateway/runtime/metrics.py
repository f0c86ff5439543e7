"""What Prometheus reads of a gateway; docs/metrics.md lists all of it."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.router import Router


class GatewayCollector(Collector):
    """Reads the router at each scrape."""

    def __init__(self, router: Router, refusals: Callable[[], Mapping[str, int]]) -> None:
        """Read `router`, and how many calls were refused, by reason."""
        self._router = router
        self._refusals = refusals

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        router = self._router
        gauges = (
            ("has_leader", "1 while a leader is known.", bool(router.leader)),
            ("term", "The term of the leader that is followed.", router.term),
            ("pending_requests", "Requests that are not answered.", len(router.pending)),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"inventory_gateway_{name}", text, value=value)
        yield CounterMetricFamily(
            "inventory_gateway_retries", "Requests sent again to a member.", value=router.retries
        )
        requests = CounterMetricFamily(
            "inventory_gateway_requests", "Requests, by what became of them.", labels=["result"]
        )
        requests.add_metric(["answered"], router.pending.answered_count)
        requests.add_metric(["unanswered"], router.pending.unanswered_count)
        requests.add_metric(["overloaded"], router.pending.overloaded_count)
        yield requests
        refusals = CounterMetricFamily(
            "inventory_gateway_refusals",
            "Calls refused before they reached a member, by reason.",
            labels=["reason"],
        )
        for reason, count in self._refusals().items():
            refusals.add_metric([reason], count)
        yield refusals


def registry(router: Router, refusals: Callable[[], Mapping[str, int]]) -> CollectorRegistry:
    """Return the registry of a gateway."""
    made = CollectorRegistry()
    made.register(GatewayCollector(router, refusals))
    return made
