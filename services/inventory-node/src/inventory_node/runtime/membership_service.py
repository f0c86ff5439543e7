"""Serves membership changes over gRPC."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc.aio  # noqa: TC002 - for the types
from inventory.raft.v1 import membership_pb2, membership_pb2_grpc
from wire import errors

from inventory_node.core import events
from inventory_node.runtime.api import Gate

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class MembershipService(membership_pb2_grpc.MembershipServiceServicer):
    """Serves `Change`: passes requests to the node, and the node's answers back."""

    def __init__(self, gate: Gate, cluster_id: str, post: Callable[[events.Event], None]) -> None:
        """Start without a waiting caller."""
        self._gate = gate
        self._cluster_id = cluster_id
        self._post = post
        self._last = 0
        self._waiting: dict[int, asyncio.Future[membership_pb2.ChangeResponse]] = {}

    async def Change(  # noqa: N802 - named by gRPC
        self, request: membership_pb2.ChangeRequest, context: Context
    ) -> membership_pb2.ChangeResponse:
        """Make one change; a caller whose deadline passed does not learn the outcome."""
        await self._gate.check(context)
        if request.cluster_id != self._cluster_id:
            problem = errors.invalid_field("cluster_id", "names another cluster")
            return membership_pb2.ChangeResponse(error=problem)
        return await self.ask_change(request)

    async def ask_change(
        self, request: membership_pb2.ChangeRequest
    ) -> membership_pb2.ChangeResponse:
        """Ask this member's own node."""
        self._last += 1
        ticket = self._last
        answer: asyncio.Future[membership_pb2.ChangeResponse]
        answer = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        try:
            self._post(events.ChangeAsked(ticket, request))
            return await answer
        finally:
            del self._waiting[ticket]

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Answer a caller that still waits."""
        waiting = self._waiting.get(ticket)
        if waiting is not None and not waiting.done():
            waiting.set_result(response)
