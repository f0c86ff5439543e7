"""Where a request goes, and when it goes there again. Synchronous: nothing here waits.

Every member pushes its view of the leadership over its link (`leader_view`). What is unanswered
moves at once to a new leader, since the socket of a stopped leader still accepts bytes. The queued
requests leave as one frame. A second frame is sent before the first is answered only if the second
holds many commands. Reads that any member may answer go to the members in turn (`hedging`).
"""

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from inventory.raft.v1 import forward_pb2
from wire import errors

from gateway.hedging import LEADER, HedgedReads
from gateway.leader_view import LeaderView
from gateway.requests import Answer, Frame, OnReply, Request


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds of one gateway."""

    members: tuple[str, ...]
    frames_in_flight_max: int = 2  # with proposals that are not answered
    second_frame_min: int = 64  # commands: many small frames cost every member more than they save
    frame_requests_max: int = 512
    frame_bytes_max: int = 256 << 10
    waiting_max: int = 65_536
    overloaded_pause_ms: int = 50
    hedge_after_ms: int = 250  # until a read that any member may answer is asked of another

    def has_room(self, frames: int, commands: int) -> bool:
        """Tell whether a frame may leave beside so many, for so many commands that wait."""
        is_large = commands >= self.second_frame_min
        return not frames or (is_large and frames < self.frames_in_flight_max)


class Links(Protocol):
    """The streams to the members."""

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """Put a frame on an open link; it may get lost with the link."""
        ...

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """Have links to these too, addresses by name; forget those that are not `known`."""
        ...


class Router:
    """Requests on their way to the leader and back.

    - Every request is answered exactly once, by its deadline at the latest, unless it is cancelled.
    - A request is with one member at a time; a retry is the same bytes under the same number.
    - A question that any member may answer waits for a leader only while everybody sends it back.
    - Requests are bounded; past the bound they are refused at once, as OVERLOADED.
    """

    def __init__(self, settings: Settings, links: Links) -> None:
        """Start knowing no leader."""
        self._settings = settings
        self._links = links
        self._members = list(settings.members)
        self._open: set[str] = set()
        self._leader_view = LeaderView()
        self._requests: dict[int, Request] = {}
        self._commands: deque[Request] = deque()
        self._questions: deque[Request] = deque()
        self._hedged = HedgedReads(settings.hedge_after_ms, settings.frame_requests_max)
        self._paused: deque[tuple[int, Request]] = deque()  # until when
        self._deadlines: list[tuple[int, int]] = []  # a heap of (deadline, number)
        self._frames = 0  # in flight to the leader
        self._last = 0
        self._now_ms = 0
        self.retries = 0
        self.answered = 0  # whatever the answer
        self.unanswered = 0  # by their deadline
        self.overloaded = 0  # refused, since too many waited

    @property
    def leader(self) -> str:
        """The leader that is followed; empty while none is known."""
        return self._leader_view.leader

    @property
    def term(self) -> int:
        """The term of the followed leader."""
        return self._leader_view.term

    def ways_to(self, member: str, ways: Collection[str]) -> list[str]:
        """See `LeaderView.ways_to`."""
        return self._leader_view.ways_to(member, ways)

    @property
    def pending(self) -> int:
        """How many requests are not answered."""
        return len(self._requests)

    def propose(self, command: bytes, deadline_ms: int, on_reply: OnReply) -> int:
        """Take a serialized RawCommand; return its number. `on_reply` may be called at once."""
        return self._take(command, None, deadline_ms, on_reply)

    def ask(self, question: forward_pb2.Question, deadline_ms: int, on_reply: OnReply) -> int:
        """Take a question, whose id is set here; return its number."""
        return self._take(b"", question, deadline_ms, on_reply)

    def _take(
        self,
        command: bytes,
        question: forward_pb2.Question | None,
        deadline_ms: int,
        on_reply: OnReply,
    ) -> int:
        self._last += 1
        number = self._last
        if len(self._requests) >= self._settings.waiting_max:
            self.overloaded += 1
            on_reply(errors.overloaded())
            return number
        if question is not None:
            question.id = number
        request = Request(number, command, question, deadline_ms, on_reply)
        self._requests[number] = request
        heapq.heappush(self._deadlines, (deadline_ms, number))
        self._line(request).append(request)
        return number

    def cancel(self, number: int) -> None:
        """Forget a request whose caller has gone; what was sent may still be applied."""
        request = self._requests.pop(number, None)
        if request is not None:
            request.is_done = True
            self._leave_frame(request)

    def link_opened(self, member: str) -> None:
        """Note that frames can be sent to a member; its greeting says what it knows."""
        self._open.add(member)

    def link_closed(self, member: str) -> None:
        """Take back what the member had: nobody knows how far it came."""
        self._open.discard(member)
        self._leader_view.lost(member)
        self._take_back(member)

    def received(self, member: str, response: forward_pb2.ForwardResponse) -> None:
        """Take a member's frame."""
        for reply in response.replies:
            request = self._requests.get(reply.id)
            if request is None:
                continue
            why = request.retry_of(reply)
            if why and request.member == member:
                self._retry(request, why)
            elif not why:
                self.answered += 1
                self._finish(request, reply)
        if response.HasField("leadership"):
            self._meet(member, response.leadership)
            if self._leader_view.heard(member, response.leadership):
                for other in self._members:
                    if other != self.leader:
                        self._take_back(other)

    def _meet(self, teller: str, leadership: forward_pb2.Leadership) -> None:
        """Learn of members that joined later; the leader alone says who takes part no longer."""
        if leadership.term >= self.term:
            met = {member.name: member.address for member in leadership.members}
            known = self._settings.members if leadership.leader == teller else self._members
            self._members = [*known, *(name for name in met if name not in known)]
            self._links.meet(met, self._members)

    def tick(self, now_ms: int) -> None:
        """Let time pass: end what is past its deadline, and try again what paused."""
        self._now_ms = now_ms
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            request = self._requests.get(heapq.heappop(self._deadlines)[1])
            if request is not None:
                self.unanswered += 1
                self._finish(request, request.late(reachable=self.reaches_leader))
        while self._paused and self._paused[0][0] <= now_ms:
            request = self._paused.popleft()[1]
            self._line(request).append(request)
        self.retries += self._hedged.tick(now_ms)
        self.pump()

    @property
    def reaches_leader(self) -> bool:
        """Whether a leader is known and can be asked."""
        return bool(self.leader) and self.leader in self._open

    def pump(self) -> None:
        """Send what waits, as few frames as bounds allow. Call it after each run of events."""
        self._ask_members()
        while self.reaches_leader and (self._questions or (self._commands and self._has_room)):
            self._send_frame()

    def _ask_members(self) -> None:
        """Ask the members in turn what any of them may answer; queue for the leader what it may."""
        batches = self._hedged.batches(self._members, self._open, has_leader=self.reaches_leader)
        for member, batch in batches:
            if member == LEADER:
                self._questions.extend(batch)
            elif batch:
                message = forward_pb2.ForwardRequest()
                self._add_questions(message, batch, member)
                self._links.send(member, message)

    @property
    def _has_room(self) -> bool:
        return self._settings.has_room(self._frames, len(self._commands))

    def _send_frame(self) -> None:
        """Send one frame: questions, which wait for nobody, and commands if there is room."""
        most = self._settings.frame_requests_max
        message = forward_pb2.ForwardRequest()
        self._add_questions(message, self._next(self._questions, most), self.leader)
        if self._has_room:
            frame = Frame(0)
            count = most - len(message.questions)
            for request in self._next(self._commands, count):
                request.member = self.leader
                message.proposals.add(id=request.id, command=request.command)
                frame.left += 1
                request.frame = frame
            self._frames += bool(frame.left)
        if message.proposals or message.questions:
            self._links.send(self.leader, message)

    def _add_questions(
        self, message: forward_pb2.ForwardRequest, requests: Iterable[Request], member: str
    ) -> None:
        for request in requests:
            request.member = member
            if request.question is not None:
                message.questions.append(request.question)
            if request.is_stale_ok:
                self._hedged.asked(request)

    def _next(self, waiting: deque[Request], count: int) -> Iterator[Request]:
        """Take from the front what is not done, within the bounds of a frame."""
        size = 0
        while waiting and count > 0 and size < self._settings.frame_bytes_max:
            request = waiting.popleft()
            if not request.is_done:
                size += len(request.command)
                count -= 1
                yield request

    def _line(self, request: Request) -> deque[Request]:
        """Return where a request waits."""
        if request.is_stale_ok:
            return self._hedged.waiting
        return self._commands if request.question is None else self._questions

    def _finish(self, request: Request, answer: Answer) -> None:
        del self._requests[request.id]
        request.is_done = True
        self._leave_frame(request)
        request.on_reply(answer)

    def _leave_frame(self, request: Request) -> None:
        frame, request.frame = request.frame, None
        if frame is not None:
            frame.left -= 1
            if not frame.left:
                self._frames -= 1

    def _retry(self, request: Request, why: forward_pb2.Retry.ValueType) -> None:
        self.retries += 1
        member = request.member
        request.note(why)
        self._release(request)
        if why == forward_pb2.RETRY_OVERLOADED:
            until_ms = self._now_ms + self._settings.overloaded_pause_ms
            self._paused.append((until_ms, request))
            return
        if why == forward_pb2.RETRY_NOT_LEADER and member == self.leader:
            # It knows better; whoever leads will say so, in a later term.
            self._leader_view.renounce()
        self._line(request).append(request)

    def _release(self, request: Request) -> None:
        """Have a request with nobody."""
        request.release()
        self._leave_frame(request)

    def _take_back(self, member: str) -> None:
        """Queue again, in the order of arrival and before all others, what a member has."""
        theirs = [request for request in self._requests.values() if request.member == member]
        self.retries += len(theirs)
        for request in reversed(theirs):
            request.note(forward_pb2.RETRY_UNKNOWN)
            self._release(request)
            self._line(request).appendleft(request)
