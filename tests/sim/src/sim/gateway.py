"""The gateway's process: the gateway core that ships, and its links to the members."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway.core import Gateway, Settings
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, raw_pb2
from inventory.v1 import inventory_pb2
from inventory_node.events import Forwarded, SessionClosed, SessionOpened

from sim.clients import Client
from sim.network import KEEPALIVE_US, RECONNECT_US, End, Link
from sim.process import TICK_US, Process, Surroundings
from sim.trace import describe

RESET_US = 1_000  # until the end of a killed process shows


@dataclass(slots=True)
class Session:
    """A link to a member, and its number at that member."""

    number: int
    link: Link


class GatewayProcess:
    """One gateway.

    - At most one link to a member is open; a session's number is never used again.
    """

    def __init__(
        self, name: str, world: Surroundings, members: Mapping[int, Process], user_id: int
    ) -> None:
        """`start` opens the links; every client is the user `user_id`."""
        self._user_id = user_id
        self.name = name
        self.world = world
        self._members = members
        self._ids = {process.settings.name: member for member, process in members.items()}
        self._core = Gateway(Settings(members=tuple(self._ids)), self)
        self._sessions: dict[int, Session] = {}  # by member
        self._last_session = 0

    def start(self) -> None:
        """Open links to all members, and keep doing so."""
        for member in self._members:
            self._connect(member)
        self._tick()

    def mutate(self, client: Client, mutation: bytes, deadline_ms: int) -> None:
        """Have a mutation applied; see `sim.clients.Gateway`."""
        command = raw_pb2.RawCommand(user_id=self._user_id, epoch=1, mutation=mutation)
        number = 0

        def answered(answer: forward_pb2.Reply | status_pb2.Status) -> None:
            self._note(f"told {number} {describe(answer)}")
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

    def read_item(self, client: Client, item_id: int, deadline_ms: int) -> None:
        """Read an item; see `sim.clients.Gateway`."""
        question = forward_pb2.Question(user_id=self._user_id, epoch=1)
        question.query.get_item.item_id = item_id

        def answered(answer: forward_pb2.Reply | status_pb2.Status) -> None:
            self._note(f"read {describe(answer)}")
            found = isinstance(answer, forward_pb2.Reply) and answer.WhichOneof("result")
            if isinstance(answer, forward_pb2.Reply) and found == "answer":
                client.read(inventory_pb2.GetItemResponse.FromString(answer.answer))
            else:
                client.read(None)

        self._core.ask(question, self._now_ms + deadline_ms, answered)
        self._core.pump()

    @property
    def _now_ms(self) -> int:
        return self.world.timeline.now_us // 1000

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
            self._core.link_opened(name)
            self._core.pump()
        else:
            self.world.timeline.after(RECONNECT_US, lambda: self._connect(member))

    def _closed(self, member: int) -> None:
        self._note(f"link to {self._members[member].settings.name} closed")
        del self._sessions[member]
        self._core.link_closed(self._members[member].settings.name)
        self._core.pump()
        self.world.timeline.after(RECONNECT_US, lambda: self._connect(member))

    # The gateway's events, and its one port.

    def _tick(self) -> None:
        self._core.tick(self._now_ms)
        self.world.timeline.after(TICK_US, self._tick)

    def _hear(self, member: int, response: forward_pb2.ForwardResponse) -> None:
        self._note(describe(response))
        self._core.received(self._members[member].settings.name, response)
        self._core.pump()

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """Nobody joins later in this world."""
        if members:
            raise RuntimeError(f"{members} cannot be met, besides {known}")

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """Put a frame on a link; it is lost with the link."""
        process = self._members[self._ids[member]]
        session = self._sessions[process.id]
        event = Forwarded(session.number, request)
        session.link.to_server(lambda: process.deliver(event))

    def _note(self, text: str) -> None:
        self.world.trace.add(self.world.timeline.now_us, self.name, text)
