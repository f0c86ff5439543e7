"""Is called: a member's port, and who may use it for what."""

import asyncio
from collections.abc import Callable

import structlog
from inventory.raft.v1 import link_pb2
from pki.identities import ProcessIdentity

from link.admission import UnprovenCallers
from link.carrying import CarriedEnd
from link.connection import Link, LinkUser
from link.errors import FrameError, HelloRefused, LinkBroken, LinkError, LinkRefused, Reason
from link.frames import FrameKind
from link.hello import MemberHello, Reception, Step
from link.purposes import KINDS
from link.tls import TlsEnd

LINKS_MAX = 1_024  # of callers that proved themselves
LOG_SECONDS = 10.0  # between two lines about strangers

Admit = Callable[[link_pb2.LinkHello, ProcessIdentity], LinkUser]

_log = structlog.get_logger()


class MemberGreeting:
    """The hello of one caller, at the member."""

    speaks_first = False

    def __init__(self, server: "LinkServer", reception: Reception, *, is_carried: bool) -> None:
        """Let `server` decide about the caller."""
        self._server = server
        self._hello = MemberHello(reception, is_carried=is_carried)
        self.tls = TlsEnd(reception.contexts.server(), is_server=True)
        self._source = ""
        self._peer: ProcessIdentity | None = None

    @property
    def expected(self) -> frozenset[FrameKind]:
        """See `Greeting.expected`."""
        return self._hello.expected

    @property
    def kinds(self) -> frozenset[FrameKind]:
        """See `Greeting.kinds`."""
        return KINDS[self._hello.hello.purpose].to_member

    def connected(self, link: Link, source: str) -> None:
        """See `Greeting.connected`."""
        self._source = source
        self._server.connected(link, source)

    def begin(self, peer: ProcessIdentity) -> None:
        """See `Greeting.begin`."""
        self._peer = peer

    def receive(self, kind: FrameKind, payload: bytes) -> tuple[Step | None, LinkUser | None]:
        """See `Greeting.receive`."""
        if self._peer is None:
            raise FrameError(f"a {kind.name} came before the certificate")
        answer = self._hello.receive(payload, self._peer)
        return answer, self._server.admit(self._hello.hello, self._peer)

    def complete(self, link: Link) -> None:
        """See `Greeting.complete`."""
        self._server.completed(link)

    def end(self, link: Link, error: LinkError) -> None:
        """See `Greeting.end`."""
        self._server.ended(link, error, self._source, self._peer)


class LinkServer:
    """The links of a member's callers.

    - The callers without a proof are bounded (`UnprovenCallers`), and so are all others.
    - `admit` sees callers that proved who they are, and decides what a link is used for.
    - Strangers get one line of the log in `LOG_SECONDS`, together.
    """

    def __init__(self, reception: Reception, admit: Admit) -> None:
        """Admit callers; `admit` returns who uses the link, or raises HelloRefused."""
        self._reception = reception
        self._admit = admit
        self._unproven: UnprovenCallers[Link] = UnprovenCallers()
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._log_at = 0.0  # when the next line about a stranger may be logged
        self._unlogged = 0  # strangers since the last line

    async def listen(self, address: str) -> int:
        """Listen on host:port; return the port. Raises OSError."""
        host, _, port = address.rpartition(":")
        self._server = await asyncio.get_running_loop().create_server(
            lambda: self._link(is_carried=False), host.strip("[]"), int(port)
        )
        return int(self._server.sockets[0].getsockname()[1])

    def _link(self, *, is_carried: bool) -> Link:
        return Link(MemberGreeting(self, self._reception, is_carried=is_carried))

    def carried(self, source: str) -> LinkUser:
        """Return the user of a link that carries another caller's link; `source`: who carries it.

        The other caller proves itself inside, as on a connection of its own.
        """
        return CarriedEnd(self._link(is_carried=True), source)

    def close(self) -> None:
        """Listen no more, and end all links."""
        if self._server is not None:
            self._server.close()
        for link in (*self._links, *self._unproven.all()):
            link.close()

    # Called by the greetings.

    def connected(self, link: Link, source: str) -> None:
        """Note a connection, whose caller is unproven."""
        oldest = self._unproven.admit(link, source)
        if oldest is not None:
            oldest.end(HelloRefused(Reason.REASON_BUSY, "too many connections wait for a proof"))

    def admit(self, hello: link_pb2.LinkHello, peer: ProcessIdentity) -> LinkUser:
        """Return who uses the link of a caller that proved itself; raise HelloRefused."""
        if len(self._links) >= LINKS_MAX:
            raise HelloRefused(Reason.REASON_BUSY, f"{LINKS_MAX} links are open")
        return self._admit(hello, peer)

    def completed(self, link: Link) -> None:
        """Note that a link is open."""
        self._unproven.forget(link)
        self._links.add(link)

    def ended(
        self, link: Link, error: LinkError, source: str, peer: ProcessIdentity | None
    ) -> None:
        """Forget a link, and log why this end or the other refused to go on."""
        name = str(peer or "")
        was_open = link in self._links
        self._links.discard(link)
        self._unproven.forget(link)
        if was_open and not isinstance(error, LinkBroken):
            side = "caller" if isinstance(error, LinkRefused) else "member"
            _log.warning("link_refused", by=side, source=source, caller=name, reason=str(error))
        elif not was_open:
            self._log_stranger(error, source, name)

    def _log_stranger(self, error: LinkError, source: str, name: str) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._log_at:
            self._unlogged += 1
            return
        _log.warning(
            "caller_refused",
            source=source,
            caller=name,
            reason=str(error),
            others_unlogged=self._unlogged,
        )
        self._log_at, self._unlogged = now + LOG_SECONDS, 0
