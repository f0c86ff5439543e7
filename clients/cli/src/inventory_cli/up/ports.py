"""The ports of `inventory up`: the same at every start, unless an option moves them."""

import errno
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from inventory_cli.errors import UpError
from inventory_cli.up.layout import INTERNAL, MEMBERS, PAGE, PROCESSES, metrics_of

PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class PortRow:
    """Consecutive ports, one for each of `names`; `option` sets the first port."""

    option: str
    first: int
    names: tuple[str, ...]


# The defaults are below the ports that systems give to outgoing connections. The gateway's is not:
# clients know it.
GATEWAY = PortRow("--port", 50_051, ("gateway",))
HEALTH = PortRow("--health-port", 18_080, (PAGE,))
HEALTH_GRPC = PortRow("--health-grpc-port", 18_081, ("health",))
INTERNAL_ROW = PortRow("--internal-port", 18_083, (INTERNAL,))
ASSISTANT = PortRow("--assistant-port", 18_082, ("assistant",))
NODES = PortRow("--members-port", 18_090, MEMBERS)
METRICS = PortRow(
    "--metrics-port",
    19_090,
    tuple(metrics_of(name) for name in ("metrics", *(p for p in PROCESSES if p != "metrics"))),
)
ROWS = (GATEWAY, INTERNAL_ROW, HEALTH, HEALTH_GRPC, ASSISTANT, NODES, METRICS)


def claim(firsts: Mapping[PortRow, int], kept: Mapping[str, int]) -> dict[str, int]:
    """Return every port by its name; raise UpError if a port is taken, or given twice.

    `firsts`: the first port of each row. 0 takes any free ports, those in `kept` if they are free.
    """
    wanted = {
        name: first + place if first else 0
        for row, first in firsts.items()
        for place, name in enumerate(row.names)
    }
    options = {name: row.option for row in firsts for name in row.names}
    _refuse_twins(wanted, options)
    found: dict[str, int] = {}
    refused: dict[str, OSError] = {}
    with ExitStack() as held:  # all are held at once, so that a free port is given once
        for name, port in sorted(wanted.items(), key=lambda one: one[1] == 0):
            probe = held.enter_context(socket.socket())
            try:
                found[name] = _bound(probe, port, 0 if port else kept.get(name, 0))
            except OSError as error:
                refused[name] = error
    if refused:
        raise UpError(_refusal(wanted, options, refused))
    return found


def _bound(probe: socket.socket, port: int, preferred: int) -> int:
    """Bind to a loopback port and return it; 0: bind to the preferred port, or to any."""
    if preferred:
        try:
            return _bound(probe, preferred, 0)
        except OSError:
            return _bound(probe, 0, 0)
    if port:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", port))
    return int(probe.getsockname()[1])


def _refuse_twins(wanted: Mapping[str, int], options: Mapping[str, str]) -> None:
    owners: dict[int, str] = {}
    for name, port in wanted.items():
        if port and port in owners:
            both = f"{options[owners[port]]} and {options[name]}"
            raise UpError(f"port {port} is given twice, by {both}")
        owners[port] = name


def _refusal(
    wanted: Mapping[str, int], options: Mapping[str, str], refused: Mapping[str, OSError]
) -> str:
    """Return a sentence: the ports that cannot be used, their names, the options that move them."""
    sentences = [
        f"port {wanted[name]} is taken ({name.replace('/', ' ')})"
        if error.errno == errno.EADDRINUSE
        else f"port {wanted[name]} cannot be used ({name.replace('/', ' ')}): {error.strerror}"
        for name, error in refused.items()
    ]
    moving = _distinct(options[name] for name in refused)
    return f"{'; '.join(sentences)}; give another one with {', '.join(moving)}"


def _distinct(options: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(options))
