"""The gateway's gRPC server: the clients' services, health under every name, reflection.

Besides the names that every service has, health answers under `reads` and `writes` whether this
gateway reaches a leader. Both names answer alike, since linearizable reads go to the leader as
writes do.
"""

import asyncio
from collections.abc import Mapping

from grpc_health.v1 import health
from service import reflection
from service.faults import Faults
from service.probes import Probes
from service.process import listen_on
from service.serving import make_server
from wire.tls import ServerTls

from gateway.router import Router
from gateway.runtime.api import ASSISTANT, AUTH, CLUSTER, INVENTORY, Api
from gateway.runtime.assistant import Assistant

DRAIN_SECONDS = 2.0
# The server asks each client to connect anew after this time (give or take a tenth). So clients
# find gateways that were added, and leave a gateway that stops without losing a call. What is under
# way then has GRACE_SECONDS to end: more than the longest call may take. A `Submit` stream that
# lasts longer is cut, and its client sends what is unanswered on another stream.
CONNECTION_SECONDS = 10
GRACE_SECONDS = 660
SERVICES = (INVENTORY, AUTH, CLUSTER, ASSISTANT)
WORKS = ("reads", "writes")
HEALTH_SECONDS = 0.1


class GatewayServer:
    """The server: it listens as soon as it is made, and serves from `start` on."""

    def __init__(
        self,
        ports: Mapping[str, ServerTls | None],
        api: Api,
        assistant: Assistant,
        faults: Faults,
        leave_seconds: float = 0,
    ) -> None:
        """Listen on each host:port as `ports` says; raise AddressInUse.

        `leave_seconds`: see `serve_until`.
        """
        age = (
            ("grpc.max_connection_age_ms", CONNECTION_SECONDS * 1_000),
            ("grpc.max_connection_age_grace_ms", GRACE_SECONDS * 1_000),
        )
        self._server = make_server(faults, age, api.gate.admitted)
        self._leave_seconds = leave_seconds
        self._is_leaving = False
        self._server.add_generic_rpc_handlers((*api.handlers(), assistant.handler()))
        self._probes = Probes(self._server, SERVICES)
        reflection.enable(self._server, (*SERVICES, health.SERVICE_NAME))
        for listen, tls in ports.items():
            listen_on(self._server, listen, tls)

    async def start(self) -> None:
        """Serve."""
        await self._probes.mark_ready()
        for name in WORKS:
            await self._probes.mark_serving(name, serves=False)
        await self._server.start()

    async def publish_health(self, router: Router) -> None:
        """Keep the health of reads and writes as the router reaches the leader, for ever."""
        shown = False
        while True:
            serves = router.reaches_leader and not self._is_leaving
            if serves != shown:
                shown = serves
                for name in WORKS:
                    await self._probes.mark_serving(name, serves=serves)
            await asyncio.sleep(HEALTH_SECONDS)

    async def serve_until(self, stopped: asyncio.Event) -> None:
        """Serve until `stopped`; then send clients elsewhere and let the calls under way finish.

        A server that stops cancels calls of clients that do not know yet that it stops. So this
        server serves for `leave_seconds` more, while its connections age and its clients connect
        to other gateways.
        """
        await stopped.wait()
        self._is_leaving = True
        await self._probes.mark_draining()
        await asyncio.sleep(self._leave_seconds)
        await self._server.stop(DRAIN_SECONDS)
