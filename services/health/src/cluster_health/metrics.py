"""What Prometheus reads of the health service; docs/metrics.md lists all of it."""

from collections import Counter as Tally
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster_health.facts import Facts
from cluster_health.findings import Severity, findings
from cluster_health.serving import serving

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4)
CANARIES = ("write", "read")
RESULTS = ("ok", "failed")


class CanaryCounts:
    """Counts canaries as they end."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "inventory_health_canary_seconds",
            "From a canary's start to its end.",
            ["canary"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._canaries = Counter(
            "inventory_health_canaries",
            "Canaries, by what became of them.",
            ["canary", "result"],
            registry=self.registry,
        )
        for canary in CANARIES:
            self._seconds.labels(canary)
            for result in RESULTS:
                self._canaries.labels(canary, result)

    def count(self, canary: str, seconds: float, *, ok: bool) -> None:
        """Count a canary that ended."""
        self._seconds.labels(canary).observe(seconds)
        self._canaries.labels(canary, RESULTS[not ok]).inc()


class HealthCollector(Collector):
    """Reads the newest facts at each scrape."""

    def __init__(self, facts: Callable[[], Facts]) -> None:
        """Call `facts` at each scrape, on the scraper's thread."""
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are."""
        facts = self._facts()
        served = GaugeMetricFamily(
            "inventory_health_serving", "1 while what has this name serves.", labels=["name"]
        )
        for name, serves in serving(facts).items():
            served.add_metric([name], serves)
        yield served
        found = GaugeMetricFamily(
            "inventory_health_findings", "Things that are wrong.", labels=["severity"]
        )
        tally = Tally(one.severity for one in findings(facts))
        for severity in Severity:
            found.add_metric([severity.value], tally[severity])
        yield found
        yield GaugeMetricFamily(
            "inventory_health_paused", "1 while the members are paused, as asked.", facts.paused
        )
