"""Metrics for Prometheus, over HTTP in threads of their own, of which there are few."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from socketserver import ThreadingMixIn
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from service.errors import AddressInUse

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONNECTIONS_MAX = 32  # each has a thread
SILENT_SECONDS_MAX = 5.0  # of a connection, until it ends


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


class SilentHandler(WSGIRequestHandler):
    """Answers a request, writes nothing to stderr, and waits for nobody for long."""

    timeout: ClassVar[float | None] = SILENT_SECONDS_MAX

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as it is inherited
        """Write nothing."""


class MetricsServer(ThreadingMixIn, WSGIServer):
    """An HTTP server with a bounded number of connections.

    - For one connection more than CONNECTIONS_MAX the oldest one ends. So who keeps connections
      open keeps nobody out.
    """

    daemon_threads = True
    request_queue_size = 128  # who connects while others flood does not wait for a repeated SYN

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - as it is inherited
        """Serve as `wsgiref.simple_server.make_server` says."""
        self._open: dict[socket.socket, None] = {}  # the oldest first
        self._turn = threading.Lock()
        super().__init__(*arguments, **named)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as it is inherited
        """Begin to serve a connection."""
        with self._turn:
            self._open[request] = None
            if len(self._open) > CONNECTIONS_MAX:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _end(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as it is inherited
        """End a connection."""
        with self._turn:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as it is inherited
        """Say nothing of a connection that broke."""


def _end(connection: socket.socket) -> None:
    """Have the thread of a connection find it ended."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return


Pages = Mapping[str, Callable[[], bytes]]  # what makes a page of JSON, by its path


def with_pages(app: "WSGIApplication", pages: Pages) -> "WSGIApplication":
    """Return an app that has pages of JSON besides those of `app`."""

    def found(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        page = pages.get(environ.get("PATH_INFO", ""))
        if page is None:
            return app(environ, start_response)
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [page()]

    return found


def serve(
    listen: str,
    registry: CollectorRegistry,
    internal_errors: Callable[[], int],
    pages: Pages = MappingProxyType({}),
) -> None:
    """Serve /metrics and `pages` on host:port; raise AddressInUse.

    An empty address serves nothing.
    """
    registry.register(InternalErrors(internal_errors))
    if not listen:
        return
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        kind: type[WSGIServer] = type("FamilyServer", (MetricsServer,), {"address_family": family})
        server: WSGIServer = make_server(
            str(address[0]),
            int(port),
            with_pages(make_wsgi_app(registry), pages),
            kind,
            SilentHandler,
        )
    except OSError as error:
        raise AddressInUse(listen, error.strerror) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
