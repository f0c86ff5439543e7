"""The health of the cluster over HTTP: for probes, for programs, and as a page for people."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from service.errors import AddressInUse
from service.faults import Faults
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from cluster_health import page
from cluster_health.facts import Facts
from cluster_health.findings import findings
from cluster_health.serving import WRITES, serving

BACKLOG = 128
DRAIN_SECONDS_MAX = 1
CONNECTION_SECONDS_MAX = 30
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

Handle = Callable[[Request], Awaitable[Response]]


def bound(listen: str) -> socket.socket:
    """Listen on host:port; raise AddressInUse."""
    host, _, port = listen.rpartition(":")
    try:
        return socket.create_server((host.strip("[]"), int(port)), backlog=BACKLOG)
    except OSError as error:
        raise AddressInUse(listen, error.strerror) from error


def application(facts: Callable[[], Facts], ready: Callable[[], bool], faults: Faults) -> Starlette:
    """Return the HTTP application; `ready`: whether there are facts and the process goes on."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n", headers=HEADERS)

    async def readyz(_: Request) -> Response:
        return _verdict("ok" if ready() else "not ready", well=ready())

    async def healthz(_: Request) -> Response:
        known = facts()
        lines = [f"{one.severity}: {one.says}" for one in findings(known)]
        well = serving(known)[WRITES]
        return _verdict("\n".join(["ok" if well else "writes do not commit", *lines]), well=well)

    async def status(_: Request) -> Response:
        text = json.dumps(page.status(facts()), indent=2, ensure_ascii=False)
        return Response(text + "\n", headers=HEADERS, media_type="application/json")

    async def whole(_: Request) -> Response:
        return HTMLResponse(page.page(facts()), headers=HEADERS)

    async def part(_: Request) -> Response:
        return HTMLResponse(page.fragment(facts()), headers=HEADERS)

    async def runbook(request: Request) -> Response:
        found = page.runbook(request.path_params["name"])
        if found is None:
            return PlainTextResponse("There is no such runbook.\n", 404, headers=HEADERS)
        return HTMLResponse(found, headers=HEADERS)

    routes: list[tuple[str, Handle]] = [
        ("/livez", livez),
        ("/readyz", readyz),
        ("/healthz", healthz),
        ("/status", status),
        ("/", whole),
        ("/fragment", part),
        ("/runbooks/{name}", runbook),
        ("/page.css", _file("page.css", "text/css")),
        ("/page.js", _file("page.js", "text/javascript")),
    ]
    return Starlette(routes=[Route(path, _watched(handle, faults)) for path, handle in routes])


def _watched(handle: Handle, faults: Faults) -> Handle:
    """Return a handler that answers an exception by an id alone, and records the exception."""

    async def watched(request: Request) -> Response:
        try:
            return await handle(request)
        except Exception as error:
            said = faults.record(f"{request.method} {request.url.path}", error).message
            raise HTTPException(500, f"{said}\n", HEADERS) from error

    return watched


def _verdict(text: str, *, well: bool) -> Response:
    return PlainTextResponse(text + "\n", 200 if well else 503, headers=HEADERS)


def _file(name: str, kind: str) -> Handle:
    content = page.asset(name)

    async def handle(_: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=kind)

    return handle


class BoundedConnection(H11Protocol):
    """A connection that ends after CONNECTION_SECONDS_MAX, whatever comes on it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a socket's
        """Begin."""
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(CONNECTION_SECONDS_MAX, transport.close)


class SignallessServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change no signal handler."""
        yield


async def serve_until(stopped: asyncio.Event, app: Starlette, listening: socket.socket) -> None:
    """Serve on a socket until `stopped`; then finish the calls under way."""
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        access_log=False,
        lifespan="off",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )
    server = SignallessServer(config)
    async with asyncio.TaskGroup() as group:
        serving_ = group.create_task(server.serve(sockets=[listening]))
        await stopped.wait()
        server.should_exit = True
        await serving_
