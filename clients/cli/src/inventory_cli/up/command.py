"""`inventory up`."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from inventory_cli.errors import UpError
from inventory_cli.terminal import say
from inventory_cli.up import places, ports
from inventory_cli.up.layout import INTERNAL, PROCESSES, Currency, Layout, environments, path_of
from inventory_cli.up.pids import PidFiles
from inventory_cli.up.processes import Child, Children
from inventory_cli.up.readiness import Readiness
from inventory_cli.up.view import LineView, LiveView, StatusPoller
from inventory_cli.values import whole

TURN_SECONDS = 0.2
READY_SECONDS_MAX = 60.0


def _port(row: ports.PortRow, words: str) -> Any:  # noqa: ANN401 - what typer makes of it
    """Return the option for the first port of a row."""
    name = row.option.removeprefix("--").replace("-", "_").upper()
    last = ports.PORT_MAX - len(row.names) + 1
    return typer.Option(
        row.option,
        envvar=f"INVENTORY_UP_{name}",
        help=f"{words} 0: any that is free.",
        parser=whole(0, last),
    )


def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Begin with demo users and items (first start only).")
    ] = False,
    port: Annotated[int, _port(ports.GATEWAY, "The gateway's.")] = ports.GATEWAY.first,
    internal_port: Annotated[
        int, _port(ports.INTERNAL_ROW, "The gateway's for the other processes.")
    ] = ports.INTERNAL_ROW.first,
    health_port: Annotated[int, _port(ports.HEALTH, "The health page's.")] = ports.HEALTH.first,
    health_grpc_port: Annotated[
        int, _port(ports.HEALTH_GRPC, "Of health by gRPC.")
    ] = ports.HEALTH_GRPC.first,
    assistant_port: Annotated[
        int, _port(ports.ASSISTANT, "The assistant's.")
    ] = ports.ASSISTANT.first,
    members_port: Annotated[
        int, _port(ports.NODES, "The first of three in a row, the members'.")
    ] = ports.NODES.first,
    metrics_port: Annotated[
        int,
        _port(ports.METRICS, "The first of seven in a row, of the metrics of every process."),
    ] = ports.METRICS.first,
    data: Annotated[
        Path,
        typer.Option(envvar="INVENTORY_UP_DATA", help="Where everything is kept.", parser=path_of),
    ] = Path(".inventory"),
    tls: Annotated[
        bool, typer.Option("--tls", help="Serve clients by TLS; the start names the CA file.")
    ] = False,
    restart: Annotated[
        bool, typer.Option(help="Start a process that died again, after 3 s.")
    ] = True,
    currency: Currency = "USD",
) -> None:
    """Run three nodes and all that is around them on this machine, until Ctrl-C."""
    layout = Layout(data.absolute())
    firsts = {
        ports.GATEWAY: port,
        ports.INTERNAL_ROW: internal_port,
        ports.HEALTH: health_port,
        ports.HEALTH_GRPC: health_grpc_port,
        ports.ASSISTANT: assistant_port,
        ports.NODES: members_port,
        ports.METRICS: metrics_port,
    }
    try:
        lock = layout.lock()
        with lock:
            found = ports.claim(firsts, layout.kept_ports())
            settings = _prepare(layout, found, currency, demo=demo, tls=tls)
            children = [
                Child(
                    name=name,
                    environment=settings[name],
                    log=layout.run / f"{name}.log",
                    lock=lock.fileno(),
                )
                for name in PROCESSES
            ]
            _run(layout, found, Children(children, restart=restart), tls=tls)
    except UpError as error:
        say(f"inventory up: {error}", err=True)
        raise typer.Exit(1) from error


def _prepare(
    layout: Layout, found: Mapping[str, int], currency: str, *, demo: bool, tls: bool
) -> dict[str, dict[str, str]]:
    """Make what is missing below the data directory; return every process's settings."""
    try:
        layout.prepare(currency, demo=demo)
        layout.keep_ports(found)
    except OSError as error:
        raise UpError(f"the data directory {layout.data} cannot be written: {error}") from error
    return environments(layout, found, tls=tls)


def _run(layout: Layout, found: Mapping[str, int], children: Children, *, tls: bool) -> None:
    """Run the system until a signal ends it."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if (
        signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    ):  # nohup ignores SIGHUP, so that the system goes on
        signal.signal(signal.SIGHUP, stop)
    address = f"127.0.0.1:{found['gateway']}"
    trusting = f" --ca-file {layout.pki.trusted_path}" if tls else ""
    ready = f"ready: try `inventory --address {address}{trusting} {places.login_command(layout)}`"
    poller = StatusPoller(f"127.0.0.1:{found[INTERNAL]}", layout)
    heading = f"inventory at {address}, data in {layout.data}"
    view = LiveView(children, heading) if sys.stdout.isatty() else LineView(children, heading)
    pids = PidFiles(layout)
    with contextlib.ExitStack() as ending:  # called last to first, also if one of them raises
        ending.callback(_say_stopped)
        ending.callback(view.close)
        ending.callback(pids.forget, children)
        ending.callback(poller.wait)
        ending.callback(children.stop)
        ending.callback(poller.stop)
        for line in places.lines(layout, found):
            view.say(line)
        children.start()
        poller.start()
        _watch(ready, children, poller, view, pids, stopped)


def _say_stopped() -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone, the disk full
        say("stopped", err=True)


def _watch(
    ready: str,
    children: Children,
    poller: StatusPoller,
    view: LiveView | LineView,
    pids: PidFiles,
    stopped: threading.Event,
) -> None:
    """Show what happens, and `ready` when the system is ready; raise UpError if it never is."""
    began = time.monotonic()
    readiness = Readiness(children)
    while not stopped.wait(TURN_SECONDS):
        children.watch()
        pids.keep(children)
        was_ready = readiness.is_ready
        readiness.update(poller.status, time.monotonic())
        if readiness.is_ready and not was_ready:
            view.say(ready)
        elif not readiness.is_ready and time.monotonic() - began > READY_SECONDS_MAX:
            words = "; ".join(f"{c.name}: {c.last_words()}" for c in children.children)
            raise UpError(f"{_obstacle(poller)} after {READY_SECONDS_MAX:.0f} s: {words}")
        view.draw(poller.status, readiness.troubles())


def _obstacle(poller: StatusPoller) -> str:
    """Return what the system lacks to be ready."""
    if poller.status is None:
        return f"nobody says how the members are ({poller.trouble or 'no answer'})"
    if not poller.status.leader:
        return "nobody leads"
    return f"{poller.status.leader} leads and no majority follows"
