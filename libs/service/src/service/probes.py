"""gRPC health of a stateless service, under the names that Kubernetes asks for.

`startup`: it serves. `liveness`: its loop turns, to its very end, since being restarted while it
drains would cut the calls under way. `readiness`, and the names of its services: it wants calls;
false while it drains. The empty name, the whole server, is as `readiness`.
"""

from collections.abc import Sequence

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

LIVENESS = "liveness"
READINESS = "readiness"
STARTUP = "startup"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Probes:
    """The health of one service."""

    def __init__(self, server: grpc.aio.Server, services: Sequence[str] = ()) -> None:
        """Answer for a server, and for its services by their full names."""
        self._servicer = health.aio.HealthServicer()
        self._ready = ("", READINESS, *services)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def mark_ready(self) -> None:
        """Show that it is started, lives and wants calls."""
        for name in (STARTUP, LIVENESS, *self._ready):
            await self._servicer.set(name, _SERVING)

    async def mark_serving(self, name: str, *, serves: bool) -> None:
        """Answer under a name of its own."""
        await self._servicer.set(name, _SERVING if serves else _NOT_SERVING)

    async def mark_draining(self) -> None:
        """Send clients elsewhere; it still lives."""
        for name in self._ready:
            await self._servicer.set(name, _NOT_SERVING)
