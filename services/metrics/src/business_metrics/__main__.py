"""Runs the metrics service: `python -m business_metrics`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 the address
cannot be listened on.
"""

import asyncio
import signal
import sys

import structlog
from inventory_client import Inventory
from pydantic import ValidationError
from telemetry import logs, metrics
from wire.faults import Faults, serving
from wire.probes import Probes
from wire.settings import refusals

from business_metrics.collector import registry
from business_metrics.config import Config
from business_metrics.reading import CALL_SECONDS_MAX, KeyUnusable, Reader, key_of

_log = structlog.get_logger()


async def _run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; scrapes are answered on threads of their own."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    key_of(config.metrics_key_file)  # a wrong path is said at the start, not at the first scrape
    with Inventory(
        config.metrics_gateway, timeout=CALL_SECONDS_MAX, ignore_proxy=True
    ) as inventory:
        reader = Reader(inventory, config.metrics_key_file)
        faults = Faults()
        server = serving(faults)
        probes = Probes(server)
        try:
            if config.metrics_health_listen:
                server.add_insecure_port(config.metrics_health_listen)
            metrics.serve(config.metrics_listen, registry(reader.read), lambda: faults.count)
        except (OSError, RuntimeError) as error:
            sys.stderr.write(f"metrics: cannot listen on {config.metrics_listen}: {error}\n")
            return 6
        await server.start()
        await probes.begin()
        _log.info("serving", address=config.metrics_listen)
        await stopped.wait()
        await probes.end()
        await server.stop(None)
    return 0


def main() -> int:
    """Run the metrics service; return the exit status."""
    try:
        config = Config()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        sys.stderr.write(refusals("metrics", error))
        return 2
    logs.configure("metrics", config.log_level, config.log_format)
    try:
        return asyncio.run(_run(config))
    except KeyUnusable as error:
        sys.stderr.write(f"metrics: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
