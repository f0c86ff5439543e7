"""A gateway's process: the gateway core that ships, and its links to the members."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from gateway.router import Router, RouterSettings
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, raw_pb2
from inventory_node.core.events import Forwarded, SessionClosed, SessionOpened
from link.frames import FrameKind
from raft.ready import RaftRole

from sim.clients import SimClient
from sim.frames import carried
from sim.network import KEEPALIVE_US, RECONNECT_US, End, SimLink
from sim.process import TICK_US, SimProcess
from sim.router_bookkeeping import contradictions, remainders
from sim.surroundings import ProcessSurroundings
from sim.trace import text_of
from sim.violation import SafetyViolation

RESET_US = 1_000  # until the end of a killed process shows


@dataclass(slots=True)
class SimSession:
    """A link to a member, and its number at that member."""

    number: int
    link: SimLink


class GatewayProcess:
    """One gateway.

    - At most one link to a member is open. The number of a session is given once in a run.
    - Each request of a client is told once: an answer, or an error after its deadline.
    """

    def __init__(
        self,
        name: str,
        world: ProcessSurroundings,
        members: Mapping[str, SimProcess],
        founders: int,
    ) -> None:
        """`start` opens links to the first members, the `founders` of `members`."""
        self.name = name
        self.world = world
        self._members = members
        first = tuple(members)[:founders]
        self._core = Router(RouterSettings(members=first), self)
        self._sessions: dict[str, SimSession] = {}  # by member
        self._wanted: set[str] = set(first)

    @property
    def retries(self) -> int:
        """How often requests were sent again."""
        return self._core.retries

    def start(self) -> None:
        """Open links to the first members, and keep doing so."""
        for member in sorted(self._wanted):
            self._connect(member)
        self._tick()

    def mutate(self, client: SimClient, mutation: bytes, deadline_ms: int) -> None:
        """Have a mutation applied; see `sim.clients.Gateway`."""
        command = raw_pb2.RawCommand(
            user_id=client.user_id, epoch=1, session_id=client.user_id, mutation=mutation
        )
        number = 0

        def answered(answer: forward_pb2.Reply | status_pb2.Status) -> None:
            self._note(f"told {number} {text_of(answer)}")
            if isinstance(answer, status_pb2.Status):
                client.told(b"", answer)
            elif answer.WhichOneof("result") == "outcome":
                client.told(answer.outcome, None)
            else:
                client.told(b"", answer.error)

        number = self._core.propose(
            command.SerializeToString(), self._now_ms + deadline_ms, answered
        )
        self._note(f"asked {number} {mutation.hex()}")
        self._core.pump()

    def ask(
        self, question: forward_pb2.Question, deadline_ms: int, told: Callable[[bytes], None]
    ) -> None:
        """Ask; see `sim.clients.Gateway`."""

        def answered(answer: forward_pb2.Reply | status_pb2.Status) -> None:
            self._note(f"read {text_of(answer)}")
            found = isinstance(answer, forward_pb2.Reply) and answer.WhichOneof("result")
            if isinstance(answer, forward_pb2.Reply) and found == "answer":
                told(answer.answer)
            else:
                told(b"")

        self._core.ask(question, self._now_ms + deadline_ms, answered)
        self._core.pump()

    @property
    def _now_ms(self) -> int:
        return self.world.timeline.now_us // 1000

    def frame(self, member: str, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Carry a member's frame over the link of a session; drop it if the link has ended."""
        found = self._sessions.get(member)
        if found is not None and found.number == session:
            if self._members[member].role is not RaftRole.LEADER:
                answers = sum(reply.WhichOneof("result") == "answer" for reply in response.replies)
                self.world.evidence.coverage["reads by followers"] += answers
            found.link.to_client(lambda: self._hear(member, response))

    def member_ended(self, member: str) -> None:
        """Reset the link to a member whose process has ended. The world owes the call."""
        session = self._sessions.get(member)
        if session is not None:
            session.link.server.open = False
            seen = self.world.network.passes(member, self.name)
            session.link.break_after(RESET_US if seen else KEEPALIVE_US)

    # Links.

    def _connect(self, member: str) -> None:
        if member not in self._wanted or member in self._sessions:
            return
        process = self._members[member]
        passes = self.world.network.passes
        if (
            process.alive
            and not process.life.paused
            and passes(member, self.name)
            and passes(self.name, member)
        ):
            number = self.world.numbers.next_session()
            client = End(self.name, lambda: self._closed(member))
            server = End(member, lambda: process.deliver(SessionClosed(number)))
            link = SimLink(self.world.network, self.world.timeline, client, server)
            self._sessions[member] = SimSession(number, link)
            self._note(f"link to {member} opened")
            link.to_server(lambda: process.deliver(SessionOpened(number)))
            self._core.link_opened(member)
            self._core.pump()
        else:
            self.world.timeline.after(RECONNECT_US, partial(self._connect, member))

    def _closed(self, member: str) -> None:
        self._note(f"link to {member} closed")
        self.world.evidence.coverage["links broken"] += 1
        is_amid = bool(self._core.pending.held_by(member))
        self.world.evidence.coverage["links broken amid requests"] += is_amid
        del self._sessions[member]
        self._core.link_closed(member)
        self._core.pump()
        self.world.timeline.after(RECONNECT_US, partial(self._connect, member))

    # The gateway's events, and its one port.

    def remainders(self) -> list[str]:
        """Return what the gateway still keeps of requests that have ended."""
        return remainders(self._core)

    def _tick(self) -> None:
        self._core.tick(self._now_ms)
        found = contradictions(self._core)
        if found:
            raise SafetyViolation(f"books: {self.name}: {'; '.join(found)}")
        self.world.timeline.after(TICK_US, self._tick)

    def _hear(self, member: str, response: forward_pb2.ForwardResponse) -> None:
        self._note(text_of(response))
        self._core.response_received(member, response)
        self._core.pump()

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """Open links to members that joined later; a link to a member that left stays a while."""
        for member in sorted(members):
            if member not in self._wanted:
                self._wanted.add(member)
                self._connect(member)
        self._wanted.intersection_update(known)

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """Put a frame on a link; it is lost with the link."""
        process = self._members[member]
        session = self._sessions[member]
        came = carried(FrameKind.REQUEST, request.SerializeToString())
        event = Forwarded(session.number, forward_pb2.ForwardRequest.FromString(came))
        session.link.to_server(lambda: process.deliver(event))

    def _note(self, text: str) -> None:
        self.world.evidence.note(self.name, text)
