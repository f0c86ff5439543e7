"""Changes of the members: asked for by gRPC here, and asked by a member that joins or leaves."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import grpc.aio  # noqa: TC002 - for the types
import structlog
from inventory.raft.v1 import membership_pb2, membership_pb2_grpc
from inventory.v1 import cluster_pb2
from wire import errors
from wire.errors import Reason, reason_of

from inventory_node.core import events
from inventory_node.core.membership.bootstrap import BootstrapRefused
from inventory_node.core.membership.join import Joining
from inventory_node.runtime.api import Gate
from inventory_node.runtime.peers import Peers

JOIN_SECONDS = 0.5  # between two tries
LEAVE_SECONDS = 0.2  # likewise

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
        return await self.ask(request)

    async def ask(self, request: membership_pb2.ChangeRequest) -> membership_pb2.ChangeResponse:
        """Ask this member itself."""
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


class Asking:
    """Asks the leader what a member has to ask about itself."""

    def __init__(self, joining: Joining, peers: Peers, cluster_id: str) -> None:
        """Ask the peers, one of which leads."""
        self._joining = joining
        self._peers = peers
        self._cluster_id = cluster_id
        self._told = ""

    async def standing(self, join: membership_pb2.Join) -> membership_pb2.Standing.ValueType | None:
        """Ask once; return how the member takes part, None when no leader says."""
        request = membership_pb2.ChangeRequest(cluster_id=self._cluster_id, join=join)
        for response in await self._peers.ask(request):
            match response.WhichOneof("result"):
                case "done":
                    return response.done.standing
                case "error":
                    self._tell(response.error.message)
                case _:
                    pass
        return None

    async def run(self, view: Callable[[], cluster_pb2.Member]) -> None:
        """Go on until the member was removed."""
        while not self._joining.was_removed:
            await asyncio.sleep(JOIN_SECONDS)
            join = self._joining.look(view())
            standing = await self.standing(join) if join is not None else None
            if standing is not None:
                self._joining.told(standing)
                self._tell(membership_pb2.Standing.Name(standing))
        _log.info("removed")

    def _tell(self, what: str) -> None:
        """Log what was answered, once for each change."""
        if what != self._told:
            self._told = what
            _log.info("joining", answer=what)


class Leaving:
    """Asks the leader whether this member may stop, for as long as it has time for that.

    - A member without a vote does not ask, nor one that is alone: nobody needs it.
    - The others go on without it only where they reach one another, which the leader cannot see.
    """

    def __init__(self, changes: Changes, peers: Peers, cluster_id: str) -> None:
        """Ask this member, which may lead, or the others."""
        self._changes = changes
        self._peers = peers
        self._cluster_id = cluster_id

    async def run(self, view: Callable[[], cluster_pb2.Member], seconds: float) -> None:
        """Return when this member may stop, or when the time is up."""
        is_told = False
        try:
            async with asyncio.timeout(seconds):
                while not await self._may_leave(view()):
                    if not is_told:
                        is_told = True
                        _log.info("leaves_later", reason="a majority needs this member")
                    await asyncio.sleep(LEAVE_SECONDS)
        except TimeoutError:
            _log.warning("leaves_all_the_same", waited_seconds=seconds)

    async def _may_leave(self, member: cluster_pb2.Member) -> bool:
        if member.standing != cluster_pb2.MEMBER_STANDING_VOTER:
            return True
        if not await self._are_joined(member.voters):
            return False
        leave = membership_pb2.Leave(member_id=member.id, reached=sorted(self._peers.reached))
        request = membership_pb2.ChangeRequest(cluster_id=self._cluster_id, leave=leave)
        answer: membership_pb2.ChangeResponse | None = await self._changes.ask(request)
        if answer is not None and answer.HasField("not_leader"):
            answer = await self._peers.ask_leader(request)
        if answer is None:  # nobody leads: those that are left may be about to elect somebody
            return len(self._peers.reached) + 1 <= len(member.voters) // 2
        # A leader of an earlier version refuses the question itself, and would for ever.
        return not answer.HasField("error") or reason_of(answer.error) is not Reason.CHANGE_REFUSED

    async def _are_joined(self, voters: Collection[str]) -> bool:
        """Tell whether a majority of these, by name, reach a majority without this member.

        One that does not say whom it reaches is taken to reach everybody. Where this member
        reaches no majority itself, that is for the leader to judge.
        """
        majority = len(voters) // 2 + 1
        reached = self._peers.reached
        if len(reached) < majority:
            return True
        try:
            described = await self._peers.describe(reached)
        except BootstrapRefused:  # a key that was changed keeps nobody from stopping
            return True
        there = {
            peer.member_id: peer.reached
            for peer in described
            if peer is not None and peer.name in voters
        }
        if len(there) < majority:
            return True
        joined = [
            member
            for member, others in there.items()
            if others is None or len({member, *others} & there.keys()) >= majority
        ]
        return len(joined) >= majority
