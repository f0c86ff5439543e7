"""The gateway's process: its links to the members, and what decides where a request goes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import inventory_pb2
from inventory_node.events import Forwarded, SessionClosed, SessionOpened

from sim.network import KEEPALIVE_US, RECONNECT_US, End, Link
from sim.process import TICK_US, Process, Surroundings
from sim.trace import describe

Told = Callable[[bytes, status_pb2.Status | None], None]
RESET_US = 1_000  # until the end of a killed process shows
DEADLINE_EXCEEDED = 4


@dataclass(slots=True)
class Session:
    """A link to a member, and its number at that member."""

    number: int
    link: Link


@dataclass(slots=True)
class Request:
    """A mutation that waits for its outcome."""

    command: bytes
    deadline_us: int
    told: Told
    sent_to: int = 0  # the member that has it, 0 for none


class GatewayProcess:
    """One gateway.

    - At most one link to a member is open; a session's number is never used again.
    - A request is with one member at a time, and is told once.
    """

    def __init__(self, name: str, world: Surroundings, members: Mapping[int, Process]) -> None:
        """`start` opens the links."""
        self.name = name
        self.world = world
        self._members = members
        self._sessions: dict[int, Session] = {}  # by member
        self._last_session = 0
        self._requests: dict[int, Request] = {}
        self._last_request = 0
        self._term = 0
        self._leader = ""

    def start(self) -> None:
        """Open links to all members, and keep doing so."""
        for member in self._members:
            self._connect(member)
        self._tick()

    def ask_mutation(self, user_id: int, mutation: bytes, deadline_ms: int, told: Told) -> None:
        """Have a mutation applied; `told` is called with its outcome, or with an error."""
        self._last_request += 1
        command = log_pb2.Command(user_id=user_id, epoch=1)
        command.mutation.CopyFrom(inventory_pb2.Mutation.FromString(mutation))
        deadline_us = self.world.timeline.now_us + deadline_ms * 1000
        request = Request(command.SerializeToString(), deadline_us, told)
        self._requests[self._last_request] = request
        self._note(f"asked {self._last_request} {mutation.hex()}")
        self._send(self._last_request, request)

    def frame(self, member: int, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Carry a member's frame over the session's link, if that is still open."""
        found = self._sessions.get(member)
        if found is not None and found.number == session:
            found.link.to_client(lambda: self._hear(member, response))

    def member_ended(self, member: int) -> None:
        """See a member's process end: its link is reset."""
        session = self._sessions.get(member)
        if session is not None:
            session.link.server.open = False
            name = self._members[member].settings.name
            seen = self.world.network.passes(name, self.name)
            session.link.break_after(RESET_US if seen else KEEPALIVE_US)

    # Links.

    def _connect(self, member: int) -> None:
        process = self._members[member]
        name = process.settings.name
        passes = self.world.network.passes
        if (
            process.alive
            and not process.paused
            and passes(name, self.name)
            and passes(self.name, name)
        ):
            self._last_session += 1
            number = self._last_session
            client = End(self.name, lambda: self._closed(member))
            server = End(name, lambda: process.deliver(SessionClosed(number)))
            link = Link(self.world.network, self.world.timeline, client, server)
            self._sessions[member] = Session(number, link)
            self._note(f"link to {name} opened")
            link.to_server(lambda: process.deliver(SessionOpened(number)))
        else:
            self.world.timeline.after(RECONNECT_US, lambda: self._connect(member))

    def _closed(self, member: int) -> None:
        self._note(f"link to {self._members[member].settings.name} closed")
        del self._sessions[member]
        for request in self._requests.values():
            if request.sent_to == member:
                request.sent_to = 0
        self.world.timeline.after(RECONNECT_US, lambda: self._connect(member))

    # Where requests go.

    def _tick(self) -> None:
        now = self.world.timeline.now_us
        for number, request in list(self._requests.items()):
            if request.deadline_us <= now:
                self._tell(number, b"", status_pb2.Status(code=DEADLINE_EXCEEDED))
            elif not request.sent_to:
                self._send(number, request)
        self.world.timeline.after(TICK_US, self._tick)

    def _send(self, number: int, request: Request) -> None:
        for member, session in self._sessions.items():
            process = self._members[member]
            if process.settings.name == self._leader:
                request.sent_to = member
                proposal = forward_pb2.Proposal(id=number, command=request.command)
                frame = Forwarded(session.number, forward_pb2.ForwardRequest(proposals=[proposal]))
                session.link.to_server(partial(process.deliver, frame))

    def _hear(self, member: int, response: forward_pb2.ForwardResponse) -> None:
        self._note(describe(response))
        seen = response.leadership
        if seen.term > self._term or (seen.term == self._term and not self._leader):
            # What the old leader has may be lost with it, so it goes to the new one at once.
            self._term, self._leader = seen.term, seen.leader
            for number, request in list(self._requests.items()):
                self._send(number, request)
        for reply in response.replies:
            kind = reply.WhichOneof("result")
            waiting = self._requests.get(reply.id)
            if waiting is None:
                continue
            if kind == "outcome":
                self._tell(reply.id, reply.outcome, None)
            elif kind == "error":
                self._tell(reply.id, b"", reply.error)
            elif waiting.sent_to == member:
                waiting.sent_to = 0

    def _tell(self, number: int, outcome: bytes, error: status_pb2.Status | None) -> None:
        request = self._requests.pop(number)
        self._note(f"told {number} {outcome.hex() or error}")
        request.told(outcome, error)

    def _note(self, text: str) -> None:
        self.world.trace.add(self.world.timeline.now_us, self.name, text)
