"""Reads that any member may answer: each is asked of the members in turn, and hedged.

If a member has kept a read for `hedge_after_ms`, the read is asked of another member too, and the
first answer counts. A read that a member sent back goes to the leader if the leader can be reached,
else to the next member. A read that every reachable member sent back pauses before it starts over.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence

from gateway.requests import Request

LEADER = ""  # names the leader, whoever it is, as the receiver of a batch


class HedgedReads:
    """The reads that wait for any member.

    - All reads of a batch were sent back by the same members, so one member can be chosen for all.
    """

    def __init__(self, hedge_after_ms: int, batch_max: int) -> None:
        """Start with no read; `batch_max`: reads of one batch."""
        self._hedge_after_ms = hedge_after_ms
        self._batch_max = batch_max
        self._now_ms = 0
        self._waiting: deque[Request] = deque()
        self._turn = 0  # the place of the member that was chosen last
        self._asked: deque[tuple[int, Request, str]] = deque()  # hedged when, and who has the read
        self._paused: deque[tuple[int, Request]] = deque()  # until when, and which read

    def append(self, request: Request) -> None:
        """Queue a read after all others."""
        self._waiting.append(request)

    def prepend(self, request: Request) -> None:
        """Queue a read before all others."""
        self._waiting.appendleft(request)

    def drop_done(self, pending_count: int) -> None:
        """Drop the reads that are done, if more are queued than `pending_count` explains."""
        if len(self._waiting) > 2 * pending_count:
            self._waiting = deque(one for one in self._waiting if not one.is_done)

    def tick(self, now_ms: int) -> int:
        """Let time pass: queue again what is due; return how many reads are hedged."""
        self._now_ms = now_ms
        while self._paused and self._paused[0][0] <= now_ms:
            self._waiting.append(self._paused.popleft()[1])
        hedged = 0
        while self._asked and self._asked[0][0] <= now_ms:
            _, request, member = self._asked.popleft()
            if not request.is_done and request.member == member:
                hedged += 1
                self._waiting.append(request)
        return hedged

    def schedule_hedge(self, request: Request, member: str) -> None:
        """Have a read hedged if `member` still has it after `hedge_after_ms`."""
        self._asked.append((self._now_ms + self._hedge_after_ms, request, member))

    def take_batches(
        self, members: Sequence[str], reachable: Collection[str], *, has_leader: bool
    ) -> Iterator[tuple[str, list[Request]]]:
        """Yield a member, or LEADER, and the reads to ask it, until no waiting read can be sent.

        `has_leader`: the leader can be reached.
        """
        while self._waiting:
            tried = self._waiting[0].tried
            if tried and has_leader:
                yield LEADER, [self._take_first()]
            elif member := self._choose_member(members, reachable, tried):
                yield member, self._take_batch(tried)
            elif tried:
                until_ms = self._now_ms + self._hedge_after_ms
                self._paused.append((until_ms, self._take_first()))
            else:
                break
        if has_leader and self._paused:
            paused, self._paused = self._paused, deque()
            yield LEADER, [request for _, request in paused]

    def _take_first(self) -> Request:
        """Take the first read out of the queue; any member may be asked for it again."""
        request = self._waiting.popleft()
        request.forget_tried()
        return request

    def _take_batch(self, tried: Collection[str]) -> list[Request]:
        """Take the reads at the front of the queue that the same members sent back."""
        batch: list[Request] = []
        while self._waiting and len(batch) < self._batch_max and self._waiting[0].tried == tried:
            request = self._waiting.popleft()
            if not request.is_done:
                batch.append(request)
        return batch

    def _choose_member(
        self, members: Sequence[str], reachable: Collection[str], tried: Collection[str]
    ) -> str:
        """Move the turn to the next reachable member outside `tried`; return it, empty for none."""
        for _ in members:
            self._turn = (self._turn + 1) % len(members)
            member = members[self._turn]
            if member in reachable and member not in tried:
                return member
        return ""
