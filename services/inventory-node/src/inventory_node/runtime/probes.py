"""gRPC health, under three names, as Kubernetes asks for it.

`startup`: the log is replayed. `liveness`: the loop turns. Liveness never depends on leadership,
quorum or a slow disk, since a restart would make a bad day worse. `readiness`: the member takes
part, a leader is known, and the entries that this leader had committed are applied. So a rollout
goes on to the next member only when this member can take its place. Readiness is false while the
process ends, and while the member is diverged.
"""

from grpc_health.v1 import health, health_pb2
from inventory.v1 import cluster_pb2

LAG_ENTRIES_MAX = 10_000

TAKING_PART = (cluster_pb2.MEMBER_STANDING_VOTER, cluster_pb2.MEMBER_STANDING_LEARNER)

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class MemberProbes:
    """The health of one member."""

    def __init__(self) -> None:
        """Begin alive and neither started nor ready."""
        self.servicer = health.aio.HealthServicer()

    async def mark_alive(self) -> None:
        """Report the process as alive, before anything is known of the member."""
        for name in ("", "startup", "readiness"):
            await self.servicer.set(name, _NOT_SERVING)
        await self.servicer.set("liveness", _SERVING)

    async def show(self, member: cluster_pb2.Member, *, ending: bool) -> None:
        """Report the health of a member whose log is replayed."""
        await self.servicer.set("startup", _SERVING)
        await self._show_ready(ready=not ending and is_ready(member))

    async def mark_draining(self) -> None:
        """Report the member as not ready; the calls under way are finished."""
        await self._show_ready(ready=False)

    async def _show_ready(self, *, ready: bool) -> None:
        for name in ("", "readiness"):
            await self.servicer.set(name, _SERVING if ready else _NOT_SERVING)


def is_ready(member: cluster_pb2.Member) -> bool:
    """Tell whether a member takes part, is not diverged, has caught up and does not lag."""
    if member.standing not in TAKING_PART or member.diverged:
        return False
    behind = member.commit_index - member.applied_index
    return member.caught_up and behind <= LAG_ENTRIES_MAX
