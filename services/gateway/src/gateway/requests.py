"""A request of a caller, and what becomes of it until its one answer."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from wire import errors

Answer: TypeAlias = forward_pb2.Reply | status_pb2.Status
OnReply = Callable[[Answer], None]  # takes a final Reply, or the reason why there is none
STALE_OK = (inventory_pb2.CONSISTENCY_BOUNDED_STALENESS, inventory_pb2.CONSISTENCY_STALE)
NOBODY: frozenset[str] = frozenset()


class Frame:
    """A frame to the leader whose proposals are not all answered."""

    __slots__ = ("unanswered",)

    def __init__(self, unanswered: int) -> None:
        """Count the unanswered proposals down."""
        self.unanswered = unanswered


class Request:
    """One request, from its arrival to its one answer.

    - It holds either a command's bytes or a question.
    """

    __slots__ = (
        "command",
        "frame",
        "id",
        "in_doubt",
        "is_done",
        "member",
        "on_reply",
        "question",
        "tried",
        "user_id",
        "was_put_off",
    )

    def __init__(
        self,
        number: int,
        command: bytes,
        question: forward_pb2.Question | None,
        on_reply: OnReply,
        user_id: int = 0,
    ) -> None:
        """Start with no member; `command` is empty where there is a question.

        `user_id`: who takes turns with other users; 0: the gateway itself.
        """
        self.user_id = user_id
        self.id = number
        self.command = command
        self.question = question
        self.on_reply = on_reply
        self.is_done = False  # answered or cancelled
        self.member = ""  # the member that has the request; empty while the request waits
        self.in_doubt = False  # a member that had the command may have proposed it
        self.was_put_off = False  # by a leader that had no room for it
        self.tried = NOBODY  # the members that sent back a question which any member may answer
        self.frame: Frame | None = None

    @property
    def is_stale_ok(self) -> bool:
        """Whether any member may answer."""
        question = self.question
        return question is not None and question.read_options.consistency in STALE_OK

    def overdue_status(self, *, reachable: bool) -> status_pb2.Status:
        """Return why there is no answer by the deadline; `reachable`: a leader can be asked."""
        if self.was_put_off and not self.in_doubt and not self.member:
            return errors.overloaded()
        if self.question is None:
            return errors.deadline() if reachable else errors.no_quorum()
        return errors.not_read(
            reachable=reachable, is_stale_ok=self.is_stale_ok, may_be_stale=self._may_be_stale
        )

    @property
    def _may_be_stale(self) -> bool:
        """Whether the caller could have let any member answer this linearizable question."""
        if self.question is None or self.is_stale_ok:
            return False
        asked = (value for _, value in self.question.query.ListFields())
        return any("read_options" in one.DESCRIPTOR.fields_by_name for one in asked)

    def retry_of(self, reply: forward_pb2.Reply) -> forward_pb2.Retry.ValueType:
        """Return why the request must be sent again; RETRY_UNSPECIFIED if `reply` is its answer.

        A leader that refuses a command does not know what the leader before it did. So a refusal
        is no answer to a command in doubt.
        """
        if self.in_doubt and self.question is None and reply.HasField("error"):
            return forward_pb2.RETRY_OVERLOADED
        return reply.retry

    def record_retry(self, why: forward_pb2.Retry.ValueType) -> None:
        """Keep why the last member that had the request did not answer it."""
        self.was_put_off = why == forward_pb2.RETRY_OVERLOADED
        self.in_doubt |= why == forward_pb2.RETRY_UNKNOWN

    def leave_member(self) -> None:
        """Have no member; a question that any member may answer remembers who had it."""
        if self.is_stale_ok:
            self.tried |= {self.member}
        self.member = ""

    def forget_tried(self) -> None:
        """Allow every member to be asked again."""
        self.tried = NOBODY


def add_questions(
    message: forward_pb2.ForwardRequest, requests: Iterable[Request], member: str
) -> None:
    """Put questions into a frame for a member, which has these requests from here on."""
    taken = list(requests)
    for request in taken:
        request.member = member
    message.questions.extend(one.question for one in taken if one.question is not None)
