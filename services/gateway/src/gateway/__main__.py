"""Runs a gateway: `python -m gateway`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 an address
cannot be listened on.
"""

import asyncio
import gc
import signal
import sys
from pathlib import Path

import structlog
import uvloop
from pydantic import ValidationError
from telemetry import logs, metrics
from wire.faults import Faults
from wire.settings import refusals
from wire.tasks import until_first

from gateway.auth import Passwords, Tokens
from gateway.config import Config
from gateway.router import Router, Settings
from gateway.runtime.api import Api
from gateway.runtime.assistant import Assistant
from gateway.runtime.driver import Driver
from gateway.runtime.links import MemberLinks
from gateway.runtime.metrics import registry
from gateway.runtime.server import AddressTaken, Server

_log = structlog.get_logger()


class Unusable(Exception):  # noqa: N818 - what is the case
    """A setting that names nothing usable, in one clear line."""


def _secret(path: Path) -> str:
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise Unusable(f"a key cannot be read: {error}") from error
    if not secret:
        raise Unusable(f"the key {path} is empty")
    return secret


async def _run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    token_key = _secret(config.token_key_file)
    links = MemberLinks(config.members, _secret(config.cluster_key_file))
    core = Router(Settings(tuple(config.members)), links)
    driver = Driver(core)
    passwords = Passwords(token_key)
    assistant = Assistant(config.gateway_assistant)
    api = Api(driver, links, Tokens(token_key), passwords)
    faults = Faults()
    server = Server(config.gateway_listen, api, assistant, faults, config.gateway_leave_seconds)
    if config.metrics_listen:
        try:
            metrics.serve(config.metrics_listen, registry(core), lambda: faults.count)
        except OSError as error:
            raise AddressTaken(f"cannot listen on {config.metrics_listen}: {error}") from error
    await server.start()
    driver.start()
    _log.info("serving", address=config.gateway_listen)
    gc.collect()
    gc.freeze()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await until_first(
        server.serve_until(stopped),
        server.show(core),
        links.run(core, driver.ran),
    )
    driver.stop()
    await links.close()
    await assistant.close()
    passwords.close()


def main() -> int:
    """Run the gateway; return the exit status."""
    try:
        config = Config()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        sys.stderr.write(refusals("gateway", error))
        return 2
    logs.configure("gateway", config.log_level, config.log_format)
    try:
        uvloop.run(_run(config))
    except Unusable as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    except AddressTaken as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
