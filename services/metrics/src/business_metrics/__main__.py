"""Runs the metrics service: `python -m business_metrics`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 the address
cannot be listened on.
"""

import asyncio
import sys

import structlog
from inventory_client import Inventory, KeyFile
from service import metrics, process
from service.faults import Faults
from service.probes import Probes
from service.serving import make_server

from business_metrics.collector import registry
from business_metrics.config import MetricsConfig
from business_metrics.reading import CALL_SECONDS_MAX, USERNAME, Reader

_log = structlog.get_logger()


async def _run(config: MetricsConfig) -> None:
    """Serve until SIGTERM or SIGINT; scrapes are answered on threads of their own."""
    stopped = asyncio.Event()
    process.on_stop(stopped.set)
    # A wrong path is said at the start, not at the first scrape.
    process.secret_in(config.metrics_key_file)
    auth = KeyFile(USERNAME, config.metrics_key_file)
    with Inventory(
        config.metrics_gateway, auth, timeout=CALL_SECONDS_MAX, ignore_proxy=True
    ) as inventory:
        reader = Reader(inventory)
        faults = Faults()
        server = make_server(faults)
        probes = Probes(server)
        if config.metrics_health_listen:
            process.listen_on(server, config.metrics_health_listen)
        metrics.serve(config.metrics_listen, registry(reader.read), lambda: faults.count)
        await server.start()
        await probes.mark_ready()
        _log.info("serving", address=config.metrics_listen)
        await stopped.wait()
        await probes.mark_draining()
        await server.stop(None)


def main() -> int:
    """Run the metrics service; return the exit status."""
    return process.run("metrics", MetricsConfig, _run)  # type: ignore[arg-type]  # from the environment


if __name__ == "__main__":
    sys.exit(main())
