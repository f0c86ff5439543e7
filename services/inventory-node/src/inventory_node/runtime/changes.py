"""Changes of the members: asked for by gRPC here, and asked of others by a member that joins."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc.aio  # noqa: TC002 - for the types
import structlog
from inventory.raft.v1 import membership_pb2, membership_pb2_grpc
from inventory.v1 import cluster_pb2
from wire import errors

from inventory_node import events
from inventory_node.runtime.api import Gate
from inventory_node.runtime.peers import Peers
from inventory_node.wal import Identity

JOIN_SECONDS = 0.5  # between two tries
ALONE_TIMES = 4  # without a leader, until a voter asks whether it still is one

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_log = structlog.get_logger()


class Changes(membership_pb2_grpc.MembershipServiceServicer):
    """Serves `Change`: hands requests to the node, and its answers back."""

    def __init__(self, gate: Gate, cluster_id: str, post: Callable[[events.Event], None]) -> None:
        """Start with nobody waiting."""
        self._gate = gate
        self._cluster_id = cluster_id
        self._post = post
        self._last = 0
        self._waiting: dict[int, asyncio.Future[membership_pb2.ChangeResponse]] = {}

    async def Change(  # noqa: N802 - named by gRPC
        self, request: membership_pb2.ChangeRequest, context: Context
    ) -> membership_pb2.ChangeResponse:
        """Change one thing; a caller whose time is up does not learn what became of it."""
        await self._gate.check(context)
        if request.cluster_id != self._cluster_id:
            problem = errors.invalid_field("cluster_id", "names another cluster")
            return membership_pb2.ChangeResponse(error=problem)
        self._last += 1
        ticket = self._last
        answer: asyncio.Future[membership_pb2.ChangeResponse]
        answer = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        try:
            self._post(events.ChangeAsked(ticket, request))
            return await answer
        finally:
            del self._waiting[ticket]

    def answer(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Answer a caller that still waits."""
        waiting = self._waiting.get(ticket)
        if waiting is not None and not waiting.done():
            waiting.set_result(response)


class Joining:
    """Asks the leader how this member takes part, and to let it.

    - It asks to take part only while the member's log says that it never did, or that it follows
      without a vote, and only where it is to do so by itself.
    - A member that hears of no leader asks whether it was removed: nobody else may have told it.
    """

    def __init__(self, identity: Identity, address: str, peers: Peers) -> None:
        """Ask for this member, which others find at `address`."""
        self.was_removed = False
        self._identity = identity
        self._address = address
        self._peers = peers
        self._told = ""

    async def standing(self, *, is_empty: bool) -> membership_pb2.Standing.ValueType | None:
        """Ask once; return how the member takes part, None when no leader says."""
        request = membership_pb2.ChangeRequest(cluster_id=self._identity.cluster_id)
        request.join.member_id = self._identity.member_id
        request.join.name = self._identity.name
        request.join.address = self._address
        request.join.is_empty = is_empty
        for response in await self._peers.ask(request):
            match response.WhichOneof("result"):
                case "done":
                    return response.done.standing
                case "error":
                    self._tell(response.error.message)
                case _:
                    pass
        return None

    async def run(self, view: Callable[[], cluster_pb2.Member], *, auto: bool) -> None:
        """Go on until the member was removed; `auto`: ask for a part, and a vote, too."""
        alone = 0  # times in a row that no leader was known
        while not self.was_removed:
            await asyncio.sleep(JOIN_SECONDS)
            member = view()
            alone = 0 if member.leader else alone + 1
            if member.standing == cluster_pb2.MEMBER_STANDING_REMOVED:
                self.was_removed = True
            elif member.standing == cluster_pb2.MEMBER_STANDING_VOTER:
                if alone >= ALONE_TIMES:
                    standing = await self.standing(is_empty=False)
                    self.was_removed = standing == membership_pb2.STANDING_REMOVED
            elif auto:
                standing = await self.standing(is_empty=not member.last_log_index)
                if standing is not None:
                    self._tell(membership_pb2.Standing.Name(standing))
        _log.info("removed", name=self._identity.name)

    def _tell(self, what: str) -> None:
        """Log what was answered, once for each change."""
        if what != self._told:
            self._told = what
            _log.info("joining", answer=what)
