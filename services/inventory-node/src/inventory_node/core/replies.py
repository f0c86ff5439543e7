"""Replies to gateways: gathered over one turn, then sent in one frame a session, or in a few."""

from collections.abc import Iterable
from typing import NamedTuple, assert_never

from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2

from inventory_node.machine import AdminOutcome, Applied, MutationOutcome, RefusedCommand
from inventory_node.ports import Contact, Transport

FRAME_BYTES_MAX = 1 << 20  # well under a frame's 16 MiB; one answer of up to 3 MiB may come on top


class ReplyAddress(NamedTuple):
    """The address of a reply: a request of a gateway's session."""

    session: int
    request: int


class Replies:
    """The replies of one turn, and each session's view of the leadership.

    - A session receives the leadership when the session opens, and once for every change.
    - Nothing is kept for a closed session.
    """

    def __init__(self, transport: Transport, term: int) -> None:
        """Start with no session, in `term`, with no known leader."""
        self._transport = transport
        self._sessions: set[int] = set()
        self._frames: dict[int, forward_pb2.ForwardResponse] = {}
        self._frame_bytes: dict[int, int] = {}
        self._leadership = forward_pb2.Leadership(term=term)

    def open(self, session: int) -> None:
        """Open a session and send the session the current leadership."""
        self._sessions.add(session)
        self._frame(session).leadership.CopyFrom(self._leadership)

    def close(self, session: int) -> None:
        """Forget a session."""
        self._sessions.discard(session)
        self._frames.pop(session, None)
        self._frame_bytes.pop(session, None)

    def announce(self, term: int, leader: str, joined: Iterable[Contact]) -> None:
        """Send a changed leadership to every session; `joined`: members beyond the first ones."""
        leadership = forward_pb2.Leadership(term=term, leader=leader)
        for contact in joined:
            leadership.members.add(name=contact.name, address=contact.address)
        if leadership == self._leadership:
            return
        self._leadership = leadership
        for session in sorted(self._sessions):
            self._frame(session).leadership.CopyFrom(leadership)

    def answer_outcome(self, asker: ReplyAddress, outcome: Applied) -> None:
        """Answer a proposal with the outcome of its command."""
        match outcome:
            case MutationOutcome():
                frame = self._frame_for(asker, len(outcome.outcome))
                frame.replies.add(id=asker.request, outcome=outcome.outcome)
            case AdminOutcome():
                frame = self._frame_for(asker, len(outcome.outcome))
                frame.replies.add(id=asker.request, administration=outcome.outcome)
            case RefusedCommand():
                self.refuse_raw(asker, outcome.status)
            case _:
                assert_never(outcome)

    def answer(self, asker: ReplyAddress, response: bytes) -> None:
        """Answer a question with its serialized response message."""
        frame = self._frame_for(asker, len(response))
        frame.replies.add(id=asker.request, answer=response)

    def refuse(self, asker: ReplyAddress, status: status_pb2.Status) -> None:
        """Answer with a final refusal."""
        frame = self._frame_for(asker, status.ByteSize())
        frame.replies.add(id=asker.request, error=status)

    def refuse_raw(self, asker: ReplyAddress, status: bytes) -> None:
        """Answer with a final refusal, a serialized google.rpc.Status."""
        self.refuse(asker, status_pb2.Status.FromString(status))

    def retry(self, asker: ReplyAddress, retry: forward_pb2.Retry.ValueType) -> None:
        """Answer with a retry: the gateway asks again, or asks another member."""
        self._frame_for(asker, 0).replies.add(id=asker.request, retry=retry)

    def send(self) -> None:
        """Send the frames of this turn."""
        if not self._frames:
            return
        frames, self._frames = self._frames, {}
        self._frame_bytes.clear()
        for session, frame in frames.items():
            self._transport.reply(session, frame)

    def _frame_for(self, asker: ReplyAddress, size: int) -> forward_pb2.ForwardResponse:
        """Return the frame that takes a reply of `size` bytes; a full frame is sent first."""
        session = asker.session
        if session not in self._sessions:
            return forward_pb2.ForwardResponse()
        filled = self._frame_bytes.get(session, 0)
        if filled and filled + size > FRAME_BYTES_MAX:
            self._transport.reply(session, self._frames.pop(session))
            filled = 0
        self._frame_bytes[session] = filled + size
        return self._frame(session)

    def _frame(self, session: int) -> forward_pb2.ForwardResponse:
        frame = self._frames.get(session)
        if frame is None:
            frame = self._frames[session] = forward_pb2.ForwardResponse()
        return frame
