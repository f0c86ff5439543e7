"""Metrics for Prometheus, over HTTP in a thread of their own."""

from prometheus_client import CollectorRegistry, start_http_server


def serve(listen: str, registry: CollectorRegistry) -> None:
    """Serve /metrics on host:port; raises OSError when the port is taken."""
    host, _, port = listen.rpartition(":")
    start_http_server(int(port), addr=host, registry=registry)
