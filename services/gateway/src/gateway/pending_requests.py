"""The requests that have no answer yet: their numbers, their deadlines, their one answer."""

import heapq
from collections.abc import Iterator

from inventory.raft.v1 import forward_pb2
from wire import errors

from gateway.contention import Contention
from gateway.requests import Answer, OnReply, Request


class PendingRequests:
    """Requests by number, from their arrival to their answer.

    - Every admitted request is answered once, unless it is cancelled.
    - At most `pending_max` requests are pending. A further request is refused as OVERLOADED.
    """

    def __init__(self, pending_max: int) -> None:
        """Start with no request."""
        self._pending_max = pending_max
        self._requests: dict[int, Request] = {}
        self._deadlines: list[tuple[int, int]] = []  # a heap of (deadline, number)
        self._last_number = 0
        self.contention = Contention()
        self.answered_count = 0  # by a member, whatever the answer
        self.unanswered_count = 0  # had no answer by their deadline
        self.overloaded_count = 0  # refused, since too many requests were pending

    def __len__(self) -> int:
        """Return how many requests have no answer."""
        return len(self._requests)

    def get(self, number: int) -> Request | None:
        """Return a pending request; None for one that was answered or cancelled."""
        return self._requests.get(number)

    def held_by(self, member: str) -> list[Request]:
        """Return the requests that a member has, in the order of their arrival."""
        return [request for request in self._requests.values() if request.member == member]

    def admit(
        self,
        command: bytes,
        question: forward_pb2.Question | None,
        deadline_ms: int,
        on_reply: OnReply,
        user_id: int = 0,
    ) -> Request:
        """Keep a request under a number of its own; past the bound, refuse it at once instead."""
        self._last_number += 1
        request = Request(self._last_number, command, question, on_reply, user_id)
        if len(self._requests) >= self._pending_max:
            self.overloaded_count += 1
            request.is_done = True
            on_reply(errors.overloaded())
            return request
        self._requests[request.id] = request
        if question is None:
            self.contention.begin(user_id)
        heapq.heappush(self._deadlines, (deadline_ms, request.id))
        return request

    def answer(self, request: Request, reply: forward_pb2.Reply) -> None:
        """Give a request its member's reply."""
        self.answered_count += 1
        self._finish(request, reply)

    def take_overdue(self, now_ms: int) -> Iterator[Request]:
        """Yield each request whose deadline has passed; the caller ends it by `expire`."""
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            request = self._requests.get(heapq.heappop(self._deadlines)[1])
            if request is not None:
                yield request

    def expire(self, request: Request, *, reachable: bool) -> None:
        """Tell a request's caller why there is no answer; `reachable`: a leader can be asked."""
        self.unanswered_count += 1
        self._finish(request, request.overdue_status(reachable=reachable))

    def cancel(self, number: int) -> Request | None:
        """Forget a request whose caller has gone, and return it; None where it is not pending."""
        request = self._requests.pop(number, None)
        if request is not None:
            self._end(request)
        return request

    def _finish(self, request: Request, answer: Answer) -> None:
        del self._requests[request.id]
        self._end(request)
        request.on_reply(answer)

    def _end(self, request: Request) -> None:
        request.is_done = True
        if request.question is None:
            self.contention.end(request.user_id)
