"""gRPC health, under three names, as Kubernetes asks for it.

`startup`: the log is replayed. `liveness`: the loop turns; never leadership, quorum or a slow disk,
or a restart would make a bad day worse. `readiness`: a leader is known and what is committed is
applied; false while the process ends.
"""

from grpc_health.v1 import health, health_pb2
from inventory.v1 import cluster_pb2

LAG_ENTRIES_MAX = 10_000

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Probes:
    """The health of one member."""

    def __init__(self) -> None:
        """Begin alive and neither started nor ready."""
        self.servicer = health.aio.HealthServicer()

    async def begin(self) -> None:
        """Show that the process lives."""
        for name in ("", "startup", "readiness"):
            await self.servicer.set(name, _NOT_SERVING)
        await self.servicer.set("liveness", _SERVING)

    async def show(self, member: cluster_pb2.Member, *, started: bool, ending: bool) -> None:
        """Show the member as it is."""
        behind = member.commit_index - member.applied_index
        ready = started and not ending and bool(member.leader) and behind <= LAG_ENTRIES_MAX
        await self.servicer.set("startup", _SERVING if started else _NOT_SERVING)
        for name in ("", "readiness"):
            await self.servicer.set(name, _SERVING if ready else _NOT_SERVING)
