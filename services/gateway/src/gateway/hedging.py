"""Reads that any member may answer: each is asked of the members in turn, and hedged.

A read that a member has kept for long is asked of another member too; the first answer counts. A
read that came back goes to the leader if one can be reached, else to the next member. A read that
came back from all members rests before it goes round again.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence

from gateway.requests import Request

LEADER = ""  # the member of a batch that is for whoever leads


class HedgedReads:
    """The reads that wait for any member.

    - Reads of one batch came back from the same members, since nothing else remembers from whom.
    """

    def __init__(self, hedge_after_ms: int, batch_max: int) -> None:
        """Start with no read; `batch_max`: reads of one frame."""
        self._hedge_after_ms = hedge_after_ms
        self._batch_max = batch_max
        self._now_ms = 0
        self.waiting: deque[Request] = deque()
        self._turn = 0  # of the last member that was asked
        self._asked: deque[tuple[int, Request, str]] = deque()  # hedged when, and who has the read
        self._resting: deque[tuple[int, Request]] = deque()  # until when

    def tick(self, now_ms: int) -> int:
        """Let time pass; return how many reads are hedged."""
        self._now_ms = now_ms
        while self._resting and self._resting[0][0] <= now_ms:
            self.waiting.append(self._resting.popleft()[1])
        hedged = 0
        while self._asked and self._asked[0][0] <= now_ms:
            _, request, member = self._asked.popleft()
            if not request.is_done and request.member == member:
                hedged += 1
                self.waiting.append(request)
        return hedged

    def asked(self, request: Request) -> None:
        """Note that a member has a read, which is hedged when the member keeps it for long."""
        self._asked.append((self._now_ms + self._hedge_after_ms, request, request.member))

    def batches(
        self, members: Sequence[str], reachable: Collection[str], *, has_leader: bool
    ) -> Iterator[tuple[str, list[Request]]]:
        """Yield whom to ask, and what: everything that waits, as far as somebody can be asked."""
        while self.waiting:
            tried = self.waiting[0].tried
            if tried and has_leader:
                yield LEADER, [self.waiting.popleft().renew()]
            elif member := self._next_member(members, reachable, tried):
                yield member, self._batch(tried)
            elif tried:
                until_ms = self._now_ms + self._hedge_after_ms
                self._resting.append((until_ms, self.waiting.popleft().renew()))
            else:
                break
        if has_leader and self._resting:
            resting, self._resting = self._resting, deque()
            yield LEADER, [request for _, request in resting]

    def _batch(self, tried: Collection[str]) -> list[Request]:
        batch: list[Request] = []
        while self.waiting and len(batch) < self._batch_max and self.waiting[0].tried == tried:
            request = self.waiting.popleft()
            if not request.is_done:
                batch.append(request)
        return batch

    def _next_member(
        self, members: Sequence[str], reachable: Collection[str], tried: Collection[str]
    ) -> str:
        """Return whose turn it is among the others that can be reached; empty for nobody."""
        for _ in members:
            self._turn = (self._turn + 1) % len(members)
            member = members[self._turn]
            if member in reachable and member not in tried:
                return member
        return ""
