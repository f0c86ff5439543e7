"""The gateway's gRPC server: the clients' services, health under every name, reflection.

Beside the names that every service has, health answers for `reads` and `writes`: whether this
gateway reaches a leader. Linearizable reads go to the leader as writes do, so both answer alike.
"""

import asyncio

from grpc_health.v1 import health
from service import reflection
from service.faults import Faults, make_server
from service.probes import Probes
from service.process import listen_on

from gateway.router import Router
from gateway.runtime.api import ASSISTANT, AUTH, CLUSTER, INVENTORY, Api
from gateway.runtime.assistant import Assistant

DRAIN_SECONDS = 2.0
# Clients are asked to connect anew so often (give or take a tenth), so that they find gateways that
# were added, and leave one that is going without losing a call. Streams stay as long as they like.
CONNECTION_SECONDS = 10
SERVICES = (INVENTORY, AUTH, CLUSTER, ASSISTANT)
WORKS = ("reads", "writes")
LOOK_SECONDS = 0.1


class GatewayServer:
    """Listens from its making on, serves from `start` on."""

    def __init__(
        self,
        listen: str,
        api: Api,
        assistant: Assistant,
        faults: Faults,
        leave_seconds: float = 0,
    ) -> None:
        """Listen on host:port; raise AddressInUse. `leave_seconds`: see `serve_until`."""
        age = ("grpc.max_connection_age_ms", CONNECTION_SECONDS * 1_000)
        self._server = make_server(faults, (age,))
        self._leave_seconds = leave_seconds
        self._is_leaving = False
        self._server.add_generic_rpc_handlers((*api.handlers(), assistant.handler()))
        self._probes = Probes(self._server, SERVICES)
        reflection.enable(self._server, (*SERVICES, health.SERVICE_NAME))
        listen_on(self._server, listen)

    async def start(self) -> None:
        """Serve."""
        await self._probes.mark_ready()
        for name in WORKS:
            await self._probes.mark_serving(name, serves=False)
        await self._server.start()

    async def publish_health(self, core: Router) -> None:
        """Answer for reads and writes as the core sees the leader, for ever."""
        shown = False
        while True:
            serves = core.reaches_leader and not self._is_leaving
            if serves != shown:
                shown = serves
                for name in WORKS:
                    await self._probes.mark_serving(name, serves=serves)
            await asyncio.sleep(LOOK_SECONDS)

    async def serve_until(self, stopped: asyncio.Event) -> None:
        """Wait for the end; then send clients elsewhere and let the calls under way finish.

        A server that stops cancels what comes in before its client has heard of it. So it serves
        for `leave_seconds` more, while connections age and clients connect to others.
        """
        await stopped.wait()
        self._is_leaving = True
        await self._probes.mark_draining()
        await asyncio.sleep(self._leave_seconds)
        await self._server.stop(DRAIN_SECONDS)
