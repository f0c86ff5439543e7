"""Where a request goes, and when it goes there again. Synchronous: nothing here waits.

Every member pushes its view of the leadership over its link (`leader_view`). When another leader is
followed, every unanswered request moves to that leader at once, since the socket of a stopped
leader still accepts bytes. `leader_queue` makes the frames to the leader. Reads that any member may
answer go to the members in turn (`hedging`). `pending_requests` holds each request to its one
answer.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from inventory.raft.v1 import forward_pb2

from gateway.hedging import LEADER, HedgedReads
from gateway.leader_queue import FrameBounds, LeaderQueue
from gateway.leader_view import LeaderView
from gateway.pending_requests import PendingRequests
from gateway.requests import OnReply, Request, add_questions


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """Bounds of one gateway."""

    members: tuple[str, ...]  # the first members' names
    frames: FrameBounds = field(default_factory=FrameBounds)
    pending_max: int = 65_536  # requests that have no answer
    overloaded_pause_ms: int = 50  # until a request that the leader had no room for is sent again
    hedge_after_ms: int = 250  # until a read that any member may answer is asked of another member


class Links(Protocol):
    """The streams to the members."""

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """Put a frame on an open link; the frame may get lost with the link."""
        ...

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """Have links to `members` too, addresses by name; end the links to all but `known`."""
        ...


class Line(Protocol):
    """A queue in which requests wait for a member."""

    def append(self, request: Request) -> None:
        """Queue a request after all others."""
        ...

    def prepend(self, request: Request) -> None:
        """Queue a request before all others."""
        ...


class Router:
    """Requests on their way to the members and back.

    - Every request is answered exactly once, by its deadline at the latest, unless it is cancelled.
    - A request is with one member at a time; a retry is the same bytes under the same number.
    - A question that any member may answer waits for a leader only while every member that can be
      reached sends the question back.
    """

    def __init__(self, settings: RouterSettings, links: Links) -> None:
        """Start knowing no leader."""
        self._settings = settings
        self._links = links
        self._members = list(settings.members)
        self._open: set[str] = set()  # the members whose links are open
        self._leader_view = LeaderView()
        self._leader_queue = LeaderQueue(settings.frames)
        self._hedged = HedgedReads(settings.hedge_after_ms, settings.frames.requests_max)
        self._paused: deque[tuple[int, Request]] = deque()  # until when, and which request
        self._now_ms = 0
        self.pending = PendingRequests(settings.pending_max)
        self.retries = 0  # requests sent to a member once more

    @property
    def leader(self) -> str:
        """The leader that is followed; empty while none is known."""
        return self._leader_view.leader

    @property
    def term(self) -> int:
        """The term of the followed leader."""
        return self._leader_view.term

    @property
    def reaches_leader(self) -> bool:
        """Whether a leader is known and the link to it is open."""
        return bool(self.leader) and self.leader in self._open

    def ways_to(self, member: str, ways: Collection[str]) -> list[str]:
        """See `LeaderView.ways_to`."""
        return self._leader_view.ways_to(member, ways)

    def propose(self, command: bytes, deadline_ms: int, on_reply: OnReply, user_id: int = 0) -> int:
        """Queue a serialized RawCommand; return its number. `on_reply` may be called at once.

        `user_id`: of the user with whose commands it takes turns with others.
        """
        return self._queue(self.pending.admit(command, None, deadline_ms, on_reply, user_id))

    def ask(self, question: forward_pb2.Question, deadline_ms: int, on_reply: OnReply) -> int:
        """Queue a question, whose id is set here; return the question's number."""
        request = self.pending.admit(b"", question, deadline_ms, on_reply, question.user_id)
        question.id = request.id
        return self._queue(request)

    def _queue(self, request: Request) -> int:
        if not request.is_done:
            self._line(request).append(request)
        return request.id

    def _line(self, request: Request) -> Line:
        """Return where a request waits."""
        return self._hedged if request.is_stale_ok else self._leader_queue

    def cancel(self, number: int) -> None:
        """Forget a request whose caller has gone; a command that was sent may still be applied."""
        request = self.pending.cancel(number)
        if request is not None:
            self._leader_queue.leave_frame(request)

    def link_opened(self, member: str) -> None:
        """Send frames to a member from here on; the member's first frame says whom it follows."""
        self._open.add(member)

    def link_closed(self, member: str) -> None:
        """Take back what the member had: nobody knows how far these requests came."""
        self._open.discard(member)
        self._leader_view.forget(member)
        self._take_back(member)

    def response_received(self, member: str, response: forward_pb2.ForwardResponse) -> None:
        """Hand a member's replies to their callers, and follow the leader that the member names."""
        for reply in response.replies:
            request = self.pending.get(reply.id)
            if request is None:
                continue
            why = request.retry_of(reply)
            if why and request.member == member:
                self._retry(request, why)
            elif not why:
                self._leader_queue.leave_frame(request)
                self.pending.answer(request, reply)
        if response.HasField("leadership"):
            self._meet(member, response.leadership)
            if self._leader_view.update(member, response.leadership):
                # A member that was removed is open until its link ends.
                for other in sorted(self._open - {self.leader}):
                    self._take_back(other)

    def _meet(self, teller: str, leadership: forward_pb2.Leadership) -> None:
        """Have links to members that joined later; only the leader's word removes a member."""
        if leadership.term >= self.term:
            met = {member.name: member.address for member in leadership.members}
            known = self._settings.members if leadership.leader == teller else self._members
            self._members = [*known, *(name for name in met if name not in known)]
            self._links.meet(met, self._members)

    def _retry(self, request: Request, why: forward_pb2.Retry.ValueType) -> None:
        """Queue a request again that its member sent back."""
        self.retries += 1
        member = request.member
        request.record_retry(why)
        self._withdraw(request)
        if why == forward_pb2.RETRY_OVERLOADED:
            until_ms = self._now_ms + self._settings.overloaded_pause_ms
            self._paused.append((until_ms, request))
            return
        if why == forward_pb2.RETRY_NOT_LEADER and member == self.leader:
            # The member itself knows best whether it leads. The next leader has a later term.
            self._leader_view.forget_leader()
        self._line(request).append(request)

    def _take_back(self, member: str) -> None:
        """Queue again, in the order of arrival and before all others, what a member has."""
        held = self.pending.held_by(member)
        self.retries += len(held)
        for request in reversed(held):
            request.record_retry(forward_pb2.RETRY_UNKNOWN)
            self._withdraw(request)
            self._line(request).prepend(request)

    def _withdraw(self, request: Request) -> None:
        """Have a request with no member."""
        request.leave_member()
        self._leader_queue.leave_frame(request)

    def tick(self, now_ms: int) -> None:
        """Let time pass: end overdue requests, and queue again the requests whose pause is over."""
        self._now_ms = now_ms
        self.pending.contention.tick(now_ms)
        for request in self.pending.take_overdue(now_ms):
            self._leader_queue.leave_frame(request)
            self.pending.expire(request, reachable=self.reaches_leader)
        while self._paused and self._paused[0][0] <= now_ms:
            request = self._paused.popleft()[1]
            self._line(request).append(request)
        self.retries += self._hedged.tick(now_ms)
        self._leader_queue.drop_done(len(self.pending))
        self._hedged.drop_done(len(self.pending))
        self.pump()

    def pump(self) -> None:
        """Send what waits, in as few frames as bounds allow; called after each run of events."""
        self._ask_members()
        self._leader_queue.window = self.pending.contention.window
        while self.reaches_leader and self._leader_queue.may_send:
            message = self._leader_queue.take_frame(self.leader)
            if message.proposals or message.questions:
                self._links.send(self.leader, message)

    def _ask_members(self) -> None:
        """Send hedged reads to the members in turn; queue the leader's share for the leader."""
        batches = self._hedged.take_batches(
            self._members, self._open, has_leader=self.reaches_leader
        )
        for member, batch in batches:
            for request in batch:
                self._hedged.schedule_hedge(request, member or self.leader)
            if member == LEADER:
                for request in batch:
                    self._leader_queue.append(request)
            elif batch:
                message = forward_pb2.ForwardRequest()
                add_questions(message, batch, member)
                self._links.send(member, message)
