"""The requests that wait for the leader, and the frames that carry them.

The queued requests leave as one frame. A second frame is sent before the first is answered only if
the second holds many commands: many small frames cost every member more than they save.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inventory.raft.v1 import forward_pb2

from gateway.fair_line import FairLine
from gateway.requests import Frame, Request, add_questions


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBounds:
    """How large the frames to the leader are, and how many are under way."""

    in_flight_max: int = 2  # frames whose proposals are not all answered
    second_commands_min: int = 64  # of a frame that leaves while another is in flight
    requests_max: int = 512  # of one frame
    bytes_max: int = 256 << 10  # of one frame's commands; the last command may pass it

    def has_room(self, frames: int, commands: int) -> bool:
        """Tell whether `commands` may leave in a frame while `frames` are in flight."""
        is_large = commands >= self.second_commands_min
        return not frames or (is_large and frames < self.in_flight_max)


class LeaderQueue:
    """Commands and questions in the order in which they are sent: the users take turns.

    - A frame is in flight until each of its proposals was answered, cancelled or taken back.
    - At most `window` commands of a user are in frames in flight; None: any number.
    - A question waits for no frame: it changes nothing, and costs no sync.
    - After `drop_done` at most half of the queued requests are done.
    """

    def __init__(self, bounds: FrameBounds) -> None:
        """Start empty."""
        self._bounds = bounds
        self._commands = FairLine()
        self._questions = FairLine()
        self._frames_in_flight = 0
        self._in_flight: Counter[int] = Counter()  # commands in frames, by user
        self.window: int | None = None

    @property
    def may_send(self) -> bool:
        """Whether a frame may leave: there are questions, or commands for which there is room."""
        return bool(self._questions) or self._has_room

    @property
    def _has_room(self) -> bool:
        count = len(self._commands)
        if count and self.window is not None:
            count = self._commands.count_up_to(self._room)
        return bool(count) and self._bounds.has_room(self._frames_in_flight, count)

    def _room(self, user_id: int) -> int:
        """Return how many commands of a user may leave."""
        if self.window is None:
            return self._bounds.requests_max
        return max(0, self.window - self._in_flight[user_id])

    def append(self, request: Request) -> None:
        """Queue a request after all others of its user."""
        self._line(request).append(request)

    def prepend(self, request: Request) -> None:
        """Queue a request before all others of its user."""
        self._line(request).prepend(request)

    def _line(self, request: Request) -> FairLine:
        return self._commands if request.question is None else self._questions

    def take_frame(self, leader: str) -> forward_pb2.ForwardRequest:
        """Return the next frame for the leader, which has its requests from here on.

        The frame is empty if every queued request was done already.
        """
        message = forward_pb2.ForwardRequest()
        questions = self._take(self._questions, self._bounds.requests_max, lambda _: 1)
        add_questions(message, questions, leader)
        if self._has_room:
            frame = Frame(0)
            left = self._bounds.requests_max - len(message.questions)
            for request in self._take(self._commands, left, self._room):
                request.member = leader
                message.proposals.add(id=request.id, command=request.command)
                frame.unanswered += 1
                request.frame = frame
                self._in_flight[request.user_id] += 1
            self._frames_in_flight += bool(frame.unanswered)
        return message

    def _take(self, line: FairLine, count: int, room: Callable[[int], int]) -> Iterator[Request]:
        """Yield the next requests that are not done, within the bounds of a frame."""
        size = 0
        while count > 0 and size < self._bounds.bytes_max:
            request = line.take(room)
            if request is None:
                return
            size += len(request.command)
            count -= 1
            yield request

    def drop_done(self, pending_count: int) -> None:
        """Drop the requests that are done, if more are queued than `pending_count` explains.

        While no leader can be reached, nobody takes what has ended out of the queue.
        """
        if len(self._commands) + len(self._questions) > 2 * pending_count:
            self._commands.drop_done()
            self._questions.drop_done()

    def leave_frame(self, request: Request) -> None:
        """Take a request out of its frame, if it is in one; the last one ends the frame."""
        frame, request.frame = request.frame, None
        if frame is not None:
            frame.unanswered -= 1
            if not frame.unanswered:
                self._frames_in_flight -= 1
            self._in_flight[request.user_id] -= 1
            if not self._in_flight[request.user_id]:
                del self._in_flight[request.user_id]
