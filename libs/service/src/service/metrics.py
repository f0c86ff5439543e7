"""Metrics for Prometheus, over HTTP in a thread of their own."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from service.errors import AddressInUse


class InternalErrors(Collector):
    """The one metric that every process has: how many exceptions no handler expected."""

    def __init__(self, count: Callable[[], int]) -> None:
        """Call `count` at each scrape."""
        self._count = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the number of exceptions since the start."""
        yield CounterMetricFamily(
            "inventory_internal_errors",
            "Exceptions that no handler expected; each is in the log.",
            value=self._count(),
        )


def serve(listen: str, registry: CollectorRegistry, internal_errors: Callable[[], int]) -> None:
    """Serve /metrics on host:port; raise AddressInUse. An empty address serves nothing."""
    registry.register(InternalErrors(internal_errors))
    if not listen:
        return
    host, _, port = listen.rpartition(":")
    try:
        start_http_server(int(port), addr=host, registry=registry)
    except OSError as error:
        raise AddressInUse(listen, error.strerror) from error
