"""Requests that wait for their one answer."""

from collections.abc import Callable
from typing import TypeAlias

from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from wire import errors

Answer: TypeAlias = forward_pb2.Reply | status_pb2.Status
OnReply = Callable[[Answer], None]  # a Reply with a final result, or why there is none
STALE_OK = (inventory_pb2.CONSISTENCY_BOUNDED_STALENESS, inventory_pb2.CONSISTENCY_STALE)
NOBODY: frozenset[str] = frozenset()


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
        "is_done",
        "is_stale_ok",
        "member",
        "on_reply",
        "question",
        "tried",
        "was_put_off",
    )

    def __init__(
        self,
        number: int,
        command: bytes,
        question: forward_pb2.Question | None,
        deadline_ms: int,
        on_reply: OnReply,
    ) -> None:
        """Hold either a command's bytes or a question."""
        self.id = number
        self.command = command
        self.question = question
        self.deadline_ms = deadline_ms
        self.on_reply = on_reply
        self.is_stale_ok = question is not None and question.read_options.consistency in STALE_OK
        self.is_done = False  # answered or cancelled
        self.member = ""  # who has it; empty while it waits
        self.in_doubt = False  # a member that had it may have proposed it
        self.was_put_off = False  # by a leader that has too much to do
        self.tried = NOBODY  # from whom a question that any member may answer came back
        self.frame: Frame | None = None

    def late(self, *, reachable: bool) -> status_pb2.Status:
        """Return why there is no outcome by the deadline; `reachable`: a leader can be asked."""
        if self.was_put_off and not self.in_doubt and not self.member:
            return errors.overloaded()
        if self.question is None:
            return errors.deadline() if reachable else errors.no_quorum()
        return errors.not_read(
            reachable=reachable, is_stale_ok=self.is_stale_ok, may_be_stale=self._may_be_stale
        )

    @property
    def _may_be_stale(self) -> bool:
        """Whether this asks a linearizable question that might have been asked of any member."""
        if self.question is None or self.is_stale_ok:
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

    def release(self) -> None:
        """Have the request with nobody; one that any member may answer remembers who had it."""
        if self.is_stale_ok:
            self.tried |= {self.member}
        self.member = ""

    def renew(self) -> "Request":
        """Let the request be asked of everybody again."""
        self.tried = NOBODY
        return self
