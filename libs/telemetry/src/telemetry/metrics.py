"""Metrics for Prometheus, over HTTP in a thread of their own."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class InternalErrors(Collector):
    """The one metric that every process has: what no handler expected."""

    def __init__(self, count: Callable[[], int]) -> None:
        """Read `count` when it is asked."""
        self._count = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield how many there were."""
        yield CounterMetricFamily(
            "inventory_internal_errors",
            "Exceptions that no handler expected; each is in the log.",
            value=self._count(),
        )


def serve(listen: str, registry: CollectorRegistry, internal_errors: Callable[[], int]) -> None:
    """Serve /metrics on host:port; raises OSError when the port is taken."""
    registry.register(InternalErrors(internal_errors))
    host, _, port = listen.rpartition(":")
    start_http_server(int(port), addr=host, registry=registry)
