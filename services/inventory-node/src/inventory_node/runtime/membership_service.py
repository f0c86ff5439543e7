"""Passes requests for membership changes to the node, and the node's answers back."""

import asyncio
from collections.abc import Callable

from inventory.raft.v1 import membership_pb2

from inventory_node.core import events

Told = Callable[[membership_pb2.ChangeResponse], None]


class MembershipService:
    """The requests that the node has not answered.

    - A caller that is gone, or whose time is up, does not learn the outcome.
    """

    def __init__(self, post: Callable[[events.Event], None]) -> None:
        """Start without a waiting caller."""
        self._post = post
        self._last = 0
        self._waiting: dict[int, Told] = {}

    def begin(self, request: membership_pb2.ChangeRequest, told: Told) -> int:
        """Ask this member's own node; return a ticket. `told` gets the answer, if there is one."""
        self._last += 1
        self._waiting[self._last] = told
        self._post(events.ChangeAsked(self._last, request))
        return self._last

    def forget(self, ticket: int) -> None:
        """Forget a caller that waits no longer."""
        self._waiting.pop(ticket, None)

    async def ask_change(
        self, request: membership_pb2.ChangeRequest
    ) -> membership_pb2.ChangeResponse:
        """Ask this member's own node, and wait for the answer."""
        answer: asyncio.Future[membership_pb2.ChangeResponse]
        answer = asyncio.get_running_loop().create_future()
        ticket = self.begin(request, answer.set_result)
        try:
            return await answer
        finally:
            self.forget(ticket)

    def answer_change(self, ticket: int, response: membership_pb2.ChangeResponse) -> None:
        """Answer a caller that still waits."""
        told = self._waiting.pop(ticket, None)
        if told is not None:
            told(response)
