"""Runs the metrics service: `python -m business_metrics`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 the address
cannot be listened on.
"""

import asyncio
import sys

import structlog
from inventory_client import ClientCertificate, Inventory, MachineCertificate
from pki.identities import Kind, ProcessIdentity
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
    process.contexts_of(config, ProcessIdentity(Kind.METRICS))
    gateway = ProcessIdentity(Kind.GATEWAY).dns_name
    with Inventory(
        config.metrics_gateway,
        MachineCertificate(USERNAME),
        timeout=CALL_SECONDS_MAX,
        ignore_proxy=True,
        ca_file=config.tls_trusted_file,
        certificate=ClientCertificate(config.tls_certificate_file, config.tls_key_file, gateway),
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
