"""Runs the assistant: `python -m assistant`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 an address
cannot be listened on.
"""

import asyncio
import signal
import sys

import structlog
import uvloop
from grpc_health.v1 import health
from inventory.v1 import assistant_pb2_grpc
from pydantic import ValidationError
from telemetry import logs, metrics
from wire import reflection
from wire.channels import straight_channel
from wire.faults import Faults, serving
from wire.probes import Probes
from wire.settings import refusals

from assistant.api import AssistantApi
from assistant.config import Config
from assistant.metrics import Metrics

DRAIN_SECONDS = 1
SERVICE = "inventory.v1.AssistantService"

_log = structlog.get_logger()


async def _run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT."""
    channel = straight_channel(config.assistant_gateway)
    faults = Faults()
    server = serving(faults)
    counted = Metrics()
    api = AssistantApi(channel, counted)
    assistant_pb2_grpc.add_AssistantServiceServicer_to_server(api, server)
    probes = Probes(server, [SERVICE])
    reflection.enable(server, (SERVICE, health.SERVICE_NAME))
    await probes.begin()
    try:
        server.add_insecure_port(config.assistant_listen)
    except RuntimeError as error:
        sys.stderr.write(f"assistant: cannot listen on {config.assistant_listen}: {error}\n")
        return 6
    try:
        if config.metrics_listen:
            metrics.serve(config.metrics_listen, counted.registry, lambda: faults.count)
    except OSError as error:
        sys.stderr.write(f"assistant: cannot listen on {config.metrics_listen}: {error}\n")
        return 6
    await server.start()
    _log.info("serving", address=config.assistant_listen)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    await probes.end()
    await server.stop(DRAIN_SECONDS)
    await channel.close()
    return 0


def main() -> int:
    """Run the assistant; return the exit status."""
    try:
        config = Config()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        sys.stderr.write(refusals("assistant", error))
        return 2
    logs.configure("assistant", config.log_level, config.log_format)
    return uvloop.run(_run(config))


if __name__ == "__main__":
    sys.exit(main())
