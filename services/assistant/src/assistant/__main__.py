"""Runs the assistant: `python -m assistant`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 an address
cannot be listened on.
"""

import asyncio
import sys

import structlog
from grpc_health.v1 import health
from inventory.v1 import assistant_pb2_grpc
from inventory_client import AsyncInventory, ClientCertificate
from pki.identities import Kind, ProcessIdentity
from service import metrics, process, reflection
from service.faults import Faults
from service.probes import Probes
from service.serving import make_server

from assistant.api import AssistantApi
from assistant.config import AssistantConfig
from assistant.metrics import QuestionCounts

DRAIN_SECONDS = 1
READ_SECONDS_MAX = 4  # of each call that a question makes
SERVICE = "inventory.v1.AssistantService"

_log = structlog.get_logger()


async def _run(config: AssistantConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    process.contexts_of(config, ProcessIdentity(Kind.ASSISTANT))
    gateway = ProcessIdentity(Kind.GATEWAY).dns_name
    inventory = AsyncInventory(
        config.assistant_gateway,
        timeout=READ_SECONDS_MAX,
        ignore_proxy=True,
        ca_file=config.tls_trusted_file,
        certificate=ClientCertificate(config.tls_certificate_file, config.tls_key_file, gateway),
    )
    faults = Faults()
    server = make_server(faults)
    counted = QuestionCounts()
    api = AssistantApi(inventory, counted)
    assistant_pb2_grpc.add_AssistantServiceServicer_to_server(api, server)
    probes = Probes(server, [SERVICE])
    reflection.enable(server, (SERVICE, health.SERVICE_NAME))
    await probes.mark_ready()
    process.listen_on(server, config.assistant_listen)
    metrics.serve(config.metrics_listen, counted.registry, lambda: faults.count)
    await server.start()
    _log.info("serving", address=config.assistant_listen)
    stopped = asyncio.Event()
    process.on_stop(stopped.set)
    await stopped.wait()
    await probes.mark_draining()
    await server.stop(DRAIN_SECONDS)
    await inventory.close()


def main() -> int:
    """Run the assistant; return the exit status."""
    return process.run("assistant", AssistantConfig, _run)  # type: ignore[arg-type]  # from the environment


if __name__ == "__main__":
    sys.exit(main())
