"""Runs a gateway: `python -m gateway`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 an address
cannot be listened on.
"""

import asyncio
import gc
import signal
import sys
from pathlib import Path

import grpc.aio
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import ValidationError
from telemetry import logs, metrics
from wire.channels import SERVER_OPTIONS
from wire.tasks import until_first

from gateway.auth import Passwords, Tokens
from gateway.config import Config
from gateway.core import Gateway, Settings
from gateway.runtime.api import ASSISTANT, AUTH, CLUSTER, INVENTORY, Api
from gateway.runtime.assistant import Assistant
from gateway.runtime.driver import Driver
from gateway.runtime.links import MemberLinks
from gateway.runtime.metrics import registry

DRAIN_SECONDS = 2.0
SERVICES = (INVENTORY, AUTH, CLUSTER, ASSISTANT)

_log = structlog.get_logger()


class Exit(Exception):  # noqa: N818 - the end, with a status
    """Ends the process with one clear line."""

    def __init__(self, status: int, message: str) -> None:
        """Carry the exit status."""
        super().__init__(message)
        self.status = status


def _secret(path: Path) -> str:
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise Exit(2, f"a key cannot be read: {error}") from error
    if not secret:
        raise Exit(2, f"the key {path} is empty")
    return secret


async def _run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    token_key = _secret(config.token_key_file)
    links = MemberLinks(config.members, _secret(config.cluster_key_file))
    core = Gateway(Settings(tuple(config.members)), links)
    driver = Driver(core)
    passwords = Passwords(token_key)
    assistant = Assistant(config.gateway_assistant)
    api = Api(driver, links, Tokens(token_key), passwords)
    server, probes = _server(config.gateway_listen, api, assistant)
    for name in ("", *SERVICES):
        await probes.set(name, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    if config.metrics_listen:
        metrics.serve(config.metrics_listen, registry(core))
    driver.start()
    _log.info("serving", address=config.gateway_listen)
    gc.collect()
    gc.freeze()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await until_first(
        _drained(stopped, probes, server),
        *(link.run(core, driver.ran) for link in links.links.values()),
    )
    driver.stop()
    await links.close()
    await assistant.close()
    passwords.close()


async def _drained(
    stopped: asyncio.Event, probes: health.aio.HealthServicer, server: grpc.aio.Server
) -> None:
    """Wait for the signal; then send clients elsewhere and let the calls under way end."""
    await stopped.wait()
    await probes.enter_graceful_shutdown()
    await server.stop(DRAIN_SECONDS)


def _server(
    listen: str, api: Api, assistant: Assistant
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((*api.handlers(), assistant.handler()))
    probes = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(probes, server)
    names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    try:
        server.add_insecure_port(listen)
    except RuntimeError as error:
        raise Exit(6, f"cannot listen on {listen}: is the port taken? ({error})") from error
    return server, probes


def main() -> int:
    """Run the gateway; return the exit status."""
    try:
        config = Config()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        for problem in error.errors():
            name = "INVENTORY_" + "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"gateway: {name.rstrip('_')}: {problem['msg']}\n")
        return 2
    logs.configure("gateway", config.log_level, config.log_format)
    try:
        uvloop.run(_run(config))
    except Exit as end:
        sys.stderr.write(f"gateway: {end}\n")
        return end.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
