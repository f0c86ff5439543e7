"""The requests that wait for the leader, and the frames that carry them.

The queued requests leave as one frame. A second frame is sent before the first is answered only if
the second holds many commands: many small frames cost every member more than they save.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from inventory.raft.v1 import forward_pb2

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
    """Commands and questions in the order in which they are sent.

    - A frame is in flight until each of its proposals was answered, cancelled or taken back.
    - A question waits for no frame: it changes nothing, and costs no sync.
    - After `drop_done` at most half of the queued requests are done.
    """

    def __init__(self, bounds: FrameBounds) -> None:
        """Start empty."""
        self._bounds = bounds
        self._commands: deque[Request] = deque()
        self._questions: deque[Request] = deque()
        self._frames_in_flight = 0

    @property
    def may_send(self) -> bool:
        """Whether a frame may leave: there are questions, or commands for which there is room."""
        return bool(self._questions) or (bool(self._commands) and self._has_room)

    @property
    def _has_room(self) -> bool:
        return self._bounds.has_room(self._frames_in_flight, len(self._commands))

    def append(self, request: Request) -> None:
        """Queue a request after all others."""
        self._line(request).append(request)

    def prepend(self, request: Request) -> None:
        """Queue a request before all others."""
        self._line(request).appendleft(request)

    def _line(self, request: Request) -> deque[Request]:
        return self._commands if request.question is None else self._questions

    def take_frame(self, leader: str) -> forward_pb2.ForwardRequest:
        """Return the next frame for the leader, which has its requests from here on.

        The frame is empty if every queued request was done already.
        """
        message = forward_pb2.ForwardRequest()
        add_questions(message, self._take(self._questions, self._bounds.requests_max), leader)
        if self._has_room:
            frame = Frame(0)
            for request in self._take(
                self._commands, self._bounds.requests_max - len(message.questions)
            ):
                request.member = leader
                message.proposals.add(id=request.id, command=request.command)
                frame.unanswered += 1
                request.frame = frame
            self._frames_in_flight += bool(frame.unanswered)
        return message

    def _take(self, line: deque[Request], count: int) -> Iterator[Request]:
        """Yield requests from the front that are not done, within the bounds of a frame."""
        size = 0
        while line and count > 0 and size < self._bounds.bytes_max:
            request = line.popleft()
            if not request.is_done:
                size += len(request.command)
                count -= 1
                yield request

    def drop_done(self, pending_count: int) -> None:
        """Drop the requests that are done, if more are queued than `pending_count` explains.

        While no leader can be reached, nobody takes what has ended out of the queue.
        """
        if len(self._commands) + len(self._questions) > 2 * pending_count:
            self._commands = deque(one for one in self._commands if not one.is_done)
            self._questions = deque(one for one in self._questions if not one.is_done)

    def leave_frame(self, request: Request) -> None:
        """Take a request out of its frame, if it is in one; the last one ends the frame."""
        frame, request.frame = request.frame, None
        if frame is not None:
            frame.unanswered -= 1
            if not frame.unanswered:
                self._frames_in_flight -= 1
