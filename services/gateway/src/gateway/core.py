"""Where a request goes, and when it goes there again. Synchronous: nothing here waits.

Every member pushes its view of the leadership over its link; the highest term wins. Whatever is
unanswered moves at once to a new leader, since the socket of a stopped one still accepts bytes.
What queues while a frame is under way leaves as one frame, and beside it only where that is large:
batches come by themselves. A question that need not be answered from the newest state goes to the
members in turn: to the next when one does not answer soon, and to the leader when one sends it
back. Without a leader it goes to each of the others then; what all of them sent back rests a while
before it goes round again.
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from wire import errors

Answer: TypeAlias = forward_pb2.Reply | status_pb2.Status
RELAXED = (inventory_pb2.CONSISTENCY_BOUNDED_STALENESS, inventory_pb2.CONSISTENCY_STALE)
NOBODY: frozenset[str] = frozenset()
Told = Callable[[Answer], None]  # a Reply with a final result, or why there is none


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
    patience_ms: int = 250  # until a question that any member may answer is asked of another

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


class Frame:
    """A frame whose proposals are not all answered."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        """Count the proposals down."""
        self.left = left


class Request:
    """One request, from its arrival to its one answer."""

    __slots__ = (
        "command",
        "deadline_ms",
        "frame",
        "id",
        "in_doubt",
        "is_relaxed",
        "member",
        "question",
        "told",
        "tried",
        "was_put_off",
    )

    def __init__(
        self,
        number: int,
        command: bytes,
        question: forward_pb2.Question | None,
        deadline_ms: int,
        told: Told,
    ) -> None:
        """Hold either a command's bytes or a question."""
        self.id = number
        self.command = command
        self.question = question
        self.deadline_ms = deadline_ms
        self.told = told
        self.is_relaxed = question is not None and question.read_options.consistency in RELAXED
        self.member = ""  # who has it; empty while it waits
        self.in_doubt = False  # a member that had it may have proposed it
        self.was_put_off = False  # by a leader that has too much to do
        self.tried = NOBODY  # from whom a relaxed question came back
        self.frame: Frame | None = None

    def late(self, *, reachable: bool) -> status_pb2.Status:
        """Return why there is no outcome by the deadline; `reachable`: a leader can be asked."""
        if self.was_put_off and not self.in_doubt and not self.member:
            return errors.overloaded()
        if self.question is None:
            return errors.deadline() if reachable else errors.no_quorum()
        return errors.not_read(
            reachable=reachable, is_relaxed=self.is_relaxed, may_relax=self._may_relax
        )

    @property
    def _may_relax(self) -> bool:
        """Whether this asks a linearizable question that might have been asked of any member."""
        if self.question is None or self.is_relaxed:
            return False
        query = self.question.query
        asked = getattr(query, query.WhichOneof("query") or "get_item")
        return "read_options" in asked.DESCRIPTOR.fields_by_name

    def note(self, why: forward_pb2.Retry.ValueType) -> None:
        """Keep what the last member that did not answer it says about it."""
        self.was_put_off = why == forward_pb2.RETRY_OVERLOADED
        self.in_doubt |= why == forward_pb2.RETRY_UNKNOWN

    def retry_of(self, reply: forward_pb2.Reply) -> forward_pb2.Retry.ValueType:
        """Return why a member does not answer it; RETRY_UNSPECIFIED where it does.

        A leader that is full does not know what the one before did: of a command in doubt its
        refusal is no answer.
        """
        if self.in_doubt and self.question is None and reply.HasField("error"):
            return forward_pb2.RETRY_OVERLOADED
        return reply.retry

    def anew(self) -> "Request":
        """Let it be asked of everybody again."""
        self.tried = NOBODY
        return self


class Lead:
    """Whom the members take for the leader.

    - The highest term wins, and within one, a leader that is named.
    - What a member alone has spoken of counts no more when that is gone and nobody is named: a
      crash can undo a candidate's term, and the others may go on in the one before.
    """

    def __init__(self) -> None:
        """Start knowing nobody."""
        self.term = 0
        self.leader = ""  # empty while none is known
        self._views: dict[str, forward_pb2.Leadership] = {}  # by the members that can be heard

    def heard(self, member: str, view: forward_pb2.Leadership) -> bool:
        """Take a member's view; tell whether another leader or term is followed now."""
        self._views[member] = view
        return self._follow(view)

    def lost(self, member: str) -> None:
        """Forget how a member saw it."""
        self._views.pop(member, None)
        if not self.leader:
            self.term = 0
            for view in self._views.values():
                self._follow(view)

    def _follow(self, view: forward_pb2.Leadership) -> bool:
        is_known = view.term == self.term and (self.leader or not view.leader)
        if view.term < self.term or is_known:
            return False
        self.term, self.leader = view.term, view.leader
        return True

    def ways_to(self, member: str, ways: Collection[str]) -> list[str]:
        """Return who of `ways` may carry a stream on to a leader: those that hear it come first.

        Empty where the member does not lead, since then it is not worth that.
        """
        if member != self.leader:
            return []
        hearing = {name for name, view in self._views.items() if view.leader == member}
        return sorted(ways, key=lambda one: (one not in hearing, one))


class Gateway:
    """Requests on their way to the leader and back.

    - Every request is told exactly once, by its deadline at the latest, unless it is cancelled.
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
        self._lead = Lead()
        self._requests: dict[int, Request] = {}
        self._commands: deque[Request] = deque()
        self._questions: deque[Request] = deque()
        self._relaxed: deque[Request] = deque()  # questions for any member
        self._turn = 0  # the last member that was sent such ones
        self._slow: deque[tuple[int, Request, str]] = deque()  # from when on, and who has it
        self._resting: deque[tuple[int, Request]] = deque()  # everybody sent it back; until when
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
        return self._lead.leader

    @property
    def term(self) -> int:
        """The term of the followed leader."""
        return self._lead.term

    def ways_to(self, member: str, ways: Collection[str]) -> list[str]:
        """See `Lead.ways_to`."""
        return self._lead.ways_to(member, ways)

    @property
    def pending(self) -> int:
        """How many requests are not answered."""
        return len(self._requests)

    def propose(self, command: bytes, deadline_ms: int, told: Told) -> int:
        """Take a serialized RawCommand; return its number. `told` may be called at once."""
        return self._take(command, None, deadline_ms, told)

    def ask(self, question: forward_pb2.Question, deadline_ms: int, told: Told) -> int:
        """Take a question, whose id is set here; return its number."""
        return self._take(b"", question, deadline_ms, told)

    def _next_member(self, tried: Collection[str]) -> str:
        """Return whose turn it is among the others that can be reached; empty for nobody."""
        members = self._members
        for _ in members:
            self._turn = (self._turn + 1) % len(members)
            member = members[self._turn]
            if member in self._open and member not in tried:
                return member
        return ""

    def _take(
        self,
        command: bytes,
        question: forward_pb2.Question | None,
        deadline_ms: int,
        told: Told,
    ) -> int:
        self._last += 1
        number = self._last
        if len(self._requests) >= self._settings.waiting_max:
            self.overloaded += 1
            told(errors.overloaded())
            return number
        if question is not None:
            question.id = number
        request = Request(number, command, question, deadline_ms, told)
        self._requests[number] = request
        heapq.heappush(self._deadlines, (deadline_ms, number))
        self._line(request).append(request)
        return number

    def cancel(self, number: int) -> None:
        """Forget a request whose caller has gone; what was sent may still be applied."""
        request = self._requests.pop(number, None)
        if request is not None:
            self._leave_frame(request)

    def link_opened(self, member: str) -> None:
        """Note that frames can be sent to a member; its greeting says what it knows."""
        self._open.add(member)

    def link_closed(self, member: str) -> None:
        """Take back what the member had: nobody knows how far it came."""
        self._open.discard(member)
        self._lead.lost(member)
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
            if self._lead.heard(member, response.leadership):
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
        while self._resting and self._resting[0][0] <= now_ms:
            self._relaxed.append(self._resting.popleft()[1])
        self._ask_another()
        self.pump()

    @property
    def reaches_leader(self) -> bool:
        """Whether a leader is known and can be asked."""
        return bool(self.leader) and self.leader in self._open

    def pump(self) -> None:
        """Send what waits, as few frames as bounds allow. Call it after each run of events."""
        self._ask_in_turn()
        if self._resting and self.reaches_leader:
            self._questions.extend(request for _, request in self._resting)
            self._resting.clear()
        while self.reaches_leader and (self._questions or (self._commands and self._has_room)):
            self._send_frame()

    def _ask_in_turn(self) -> None:
        """Ask the next member what any may answer; of what came back, the leader if there is one.

        What came back from all that can be reached rests before it goes round again.
        """
        while self._relaxed:
            tried = self._relaxed[0].tried
            if tried and self.reaches_leader:
                self._questions.append(self._relaxed.popleft().anew())
            elif member := self._next_member(tried):
                message = forward_pb2.ForwardRequest()
                self._add_questions(message, self._relaxed, member)
                if message.questions:
                    self._links.send(member, message)
            elif tried:
                until_ms = self._now_ms + self._settings.patience_ms
                self._resting.append((until_ms, self._relaxed.popleft().anew()))
            else:
                return

    def _ask_another(self) -> None:
        """Ask again what a member has kept for long; whoever answers first is heard."""
        while self._slow and self._slow[0][0] <= self._now_ms:
            _, request, member = self._slow.popleft()
            if request.id in self._requests and request.member == member:
                self.retries += 1
                self._relaxed.append(request)

    @property
    def _has_room(self) -> bool:
        return self._settings.has_room(self._frames, len(self._commands))

    def _send_frame(self) -> None:
        """Send one frame: questions, which wait for nobody, and commands if there is room."""
        most = self._settings.frame_requests_max
        message = forward_pb2.ForwardRequest()
        self._add_questions(message, self._questions, self.leader)
        if self._has_room:
            frame = Frame(0)
            count = most - len(message.questions)
            for request in self._next(self._commands, count, self.leader):
                message.proposals.add(id=request.id, command=request.command)
                frame.left += 1
                request.frame = frame
            self._frames += bool(frame.left)
        if message.proposals or message.questions:
            self._links.send(self.leader, message)

    def _add_questions(
        self, message: forward_pb2.ForwardRequest, waiting: deque[Request], member: str
    ) -> None:
        for request in self._next(waiting, self._settings.frame_requests_max, member):
            if request.question is not None:
                message.questions.append(request.question)
            if request.is_relaxed:
                patience_ms = self._settings.patience_ms
                self._slow.append((self._now_ms + patience_ms, request, member))

    def _next(self, waiting: deque[Request], count: int, member: str) -> Iterator[Request]:
        """Take from the front what is not answered meanwhile, within the bounds of a frame.

        What came back from different members goes to different ones, so in different frames.
        """
        size = 0
        is_relaxed = waiting is self._relaxed  # nothing else remembers whom it tried
        tried = waiting[0].tried if waiting else NOBODY
        while waiting and count > 0 and size < self._settings.frame_bytes_max:
            if is_relaxed and waiting[0].tried != tried:
                return
            request = waiting.popleft()
            if request.id in self._requests:
                request.member = member
                size += len(request.command)
                count -= 1
                yield request

    def _line(self, request: Request) -> deque[Request]:
        """Return where a request waits."""
        if request.is_relaxed:
            return self._relaxed
        return self._commands if request.question is None else self._questions

    def _finish(self, request: Request, answer: Answer) -> None:
        del self._requests[request.id]
        self._leave_frame(request)
        request.told(answer)

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
            self._lead.leader = ""
        self._line(request).append(request)

    def _release(self, request: Request) -> None:
        """Have a request with nobody; a relaxed one remembers with whom it was."""
        if request.is_relaxed:
            request.tried |= {request.member}
        request.member = ""
        self._leave_frame(request)

    def _take_back(self, member: str) -> None:
        """Queue again, in the order of arrival and before all others, what a member has."""
        theirs = [request for request in self._requests.values() if request.member == member]
        self.retries += len(theirs)
        for request in reversed(theirs):
            request.note(forward_pb2.RETRY_UNKNOWN)
            self._release(request)
            self._line(request).appendleft(request)
