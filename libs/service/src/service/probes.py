"""gRPC health of a stateless service, under the names that Kubernetes asks for.

- `startup`: the service serves.
- `liveness`: the service's event loop turns. It is true to the end of the process: a restart while
  the service drains would cut the calls under way.
- `readiness`, and the names of its gRPC services: the service takes calls; false while it drains.
- The empty name, which means the whole server, answers as `readiness` does.
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
        """Serve the health of a server and of its gRPC services; `services`: their full names."""
        self._servicer = health.aio.HealthServicer()
        self._ready = ("", READINESS, *services)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def mark_ready(self) -> None:
        """Show that the service is started, is alive and takes calls."""
        for name in (STARTUP, LIVENESS, *self._ready):
            await self._servicer.set(name, _SERVING)

    async def mark_serving(self, name: str, *, serves: bool) -> None:
        """Set what is answered under `name`."""
        await self._servicer.set(name, _SERVING if serves else _NOT_SERVING)

    async def mark_draining(self) -> None:
        """Show that the service takes no more calls, and is alive."""
        for name in self._ready:
            await self._servicer.set(name, _NOT_SERVING)
