"""`inventory up`."""

import contextlib
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from inventory_cli.terminal import say
from inventory_cli.up.layout import PROCESSES, Currency, Layout, UpError, environments, is_free
from inventory_cli.up.pids import PidFiles
from inventory_cli.up.processes import Child, Children
from inventory_cli.up.readiness import Readiness
from inventory_cli.up.view import LineView, LiveView, Watcher

TURN_SECONDS = 0.2
READY_SECONDS_MAX = 60.0


def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Begin with demo users and items (first start only).")
    ] = False,
    port: Annotated[
        int, typer.Option(envvar="INVENTORY_UP_PORT", help="The gateway's.", min=1, max=65_535)
    ] = 50_051,
    data: Annotated[
        Path, typer.Option(envvar="INVENTORY_UP_DATA", help="Where everything is kept.")
    ] = Path(".inventory"),
    restart: Annotated[
        bool, typer.Option(help="Start a process that died again, after 3 s.")
    ] = True,
    currency: Currency = "USD",
) -> None:
    """Run three nodes and all that is around them on this machine, until Ctrl-C."""
    layout = Layout(data.absolute())
    try:
        lock = layout.lock()
        with lock:
            children = _prepare(layout, lock.fileno(), port, currency, demo=demo, restart=restart)
            _run(layout, port, children)
    except UpError as error:
        say(f"inventory up: {error}", err=True)
        raise typer.Exit(1) from error


def _prepare(
    layout: Layout, lock: int, port: int, currency: str, *, demo: bool, restart: bool
) -> Children:
    if not is_free(port):
        raise UpError(f"port {port} is taken; give another one with --port")
    try:
        layout.prepare(currency, demo=demo)
        settings = environments(layout, port, layout.ports())
    except OSError as error:
        raise UpError(f"the data directory {layout.data} cannot be written: {error}") from error
    children = [Child(name, settings[name], layout.run / f"{name}.log", lock) for name in PROCESSES]
    return Children(children, restart=restart)


def _run(layout: Layout, port: int, children: Children) -> None:
    """Run until a signal ends it."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it: it goes on
        signal.signal(signal.SIGHUP, stop)
    address = f"127.0.0.1:{port}"
    ready = f"ready: try `inventory --address {address} {layout.login()}`"
    watcher = Watcher(address, layout.secret("health.key"))
    heading = f"inventory at {address}, data in {layout.data}"
    view = LiveView(children, heading) if sys.stdout.isatty() else LineView(children, heading)
    pids = PidFiles(layout)
    with contextlib.ExitStack() as ending:  # the last first, and each whatever the others raise
        ending.callback(_say_stopped)
        ending.callback(view.close)
        ending.callback(pids.forget, children)
        ending.callback(watcher.wait)
        ending.callback(children.stop)
        ending.callback(watcher.end)
        children.start()
        watcher.start()
        _watch(ready, children, watcher, view, pids, stopped)


def _say_stopped() -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone, the disk full
        say("stopped", err=True)


def _watch(
    ready: str,
    children: Children,
    watcher: Watcher,
    view: LiveView | LineView,
    pids: PidFiles,
    stopped: threading.Event,
) -> None:
    """Show what happens; say `ready` once it is, and give up when it never is."""
    began = time.monotonic()
    readiness = Readiness(children)
    while not stopped.wait(TURN_SECONDS):
        children.watch()
        pids.keep(children)
        was_ready = readiness.is_ready
        readiness.look(watcher.status, time.monotonic())
        if readiness.is_ready and not was_ready:
            view.say(ready)
            view.say(f"how it is: http://{children.page}/")
        elif not readiness.is_ready and time.monotonic() - began > READY_SECONDS_MAX:
            words = "; ".join(f"{c.name}: {c.last_words()}" for c in children.children)
            raise UpError(f"{_obstacle(watcher)} after {READY_SECONDS_MAX:.0f} s: {words}")
        view.draw(watcher.status, readiness.troubles())


def _obstacle(watcher: Watcher) -> str:
    """Say what is missing for the system to be ready."""
    if watcher.status is None:
        return f"nobody says how the members are ({watcher.trouble or 'no answer'})"
    if not watcher.status.leader:
        return "nobody leads"
    return f"{watcher.status.leader} leads and no majority follows"
