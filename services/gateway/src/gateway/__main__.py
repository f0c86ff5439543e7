"""Runs a gateway: `python -m gateway`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 an address
cannot be listened on.
"""

import asyncio
import gc
import sys

import structlog
from pki.identities import Kind, ProcessIdentity
from service import metrics, process
from service.faults import Faults
from service.tasks import until_first
from wire.channels import is_loopback

from gateway.auth import Passwords, Tokens
from gateway.config import GatewayConfig
from gateway.login_limiter import LoginLimiter
from gateway.router import Router, RouterSettings
from gateway.runtime.accounts import Accounts
from gateway.runtime.api import Api
from gateway.runtime.assistant import Assistant
from gateway.runtime.auditing import send_audit
from gateway.runtime.driver import Driver
from gateway.runtime.gate import TokenGate
from gateway.runtime.links import MemberLinks
from gateway.runtime.members import Members
from gateway.runtime.metrics import registry
from gateway.runtime.server import GatewayServer
from gateway.runtime.sessions import JWKS_PATH, SessionCalls
from gateway.runtime.token_key import TokenKeyFile
from gateway.shares import Shares

PLAIN_TEXT = (
    "passwords and tokens can be read on the way; INVENTORY_GATEWAY_TLS_CERTIFICATE_FILE names a "
    "certificate"
)

_log = structlog.get_logger()


async def _run(config: GatewayConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    token_key = TokenKeyFile(config.token_key_file)
    contexts = process.contexts_of(config, ProcessIdentity(Kind.GATEWAY))
    links = MemberLinks(config.members, contexts)
    router = Router(RouterSettings(members=tuple(config.members)), links)
    driver = Driver(router)
    passwords = Passwords(token_key.ring)
    assistant = Assistant(config.gateway_assistant)
    members = Members(driver, links)
    tokens = Tokens(token_key.ring)
    gate = TokenGate(tokens, Shares(), config.gateway_trusted_hops)
    accounts = Accounts(driver, gate, passwords, LoginLimiter(), members)
    sessions = SessionCalls(driver, gate, tokens, token_key.ring, accounts)
    api = Api(driver, links, gate, accounts, sessions, members)
    faults = Faults()
    faults.watch_links()
    files = config.client_tls_files
    tls = process.server_tls_in(files) if files is not None else None
    if tls is None and not is_loopback(config.gateway_listen):
        _log.warning("clients_by_plain_text", address=config.gateway_listen, advice=PLAIN_TEXT)
    ports = {config.gateway_listen: tls}
    if config.gateway_internal_listen:
        ports[config.gateway_internal_listen] = process.server_tls_in(config.grpc_tls_files)
    server = GatewayServer(ports, api, assistant, faults, config.gateway_leave_seconds)
    metrics.serve(
        config.metrics_listen,
        registry(router, api.refusals),
        lambda: faults.count,
        {JWKS_PATH: sessions.json_web_key_set},
    )
    await server.start()
    driver.start()
    _log.info("serving", address=config.gateway_listen)
    gc.collect()
    gc.freeze()
    stopped = asyncio.Event()
    process.on_stop(stopped.set)
    await until_first(
        server.serve_until(stopped),
        server.publish_health(router),
        links.run(router, driver.schedule_pump),
        token_key.follow(),
        send_audit(gate.audit, driver),
    )
    driver.stop()
    links.close()
    await assistant.close()
    passwords.close()


def main() -> int:
    """Run the gateway; return the exit status."""
    return process.run("gateway", GatewayConfig, _run)  # type: ignore[arg-type]  # from the environment


if __name__ == "__main__":
    sys.exit(main())
