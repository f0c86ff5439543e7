"""Is called: a member's port, and who may use it for what."""

import asyncio
import secrets
from collections.abc import Callable

import structlog
from inventory.raft.v1 import link_pb2

from link.admission import UnprovenCallers
from link.connection import Link, LinkUser
from link.errors import HelloRefused, LinkBroken, LinkError, LinkRefused, Reason
from link.frames import FrameKind
from link.hello import NONCE_BYTES, MemberHello, Reception, Step
from link.purposes import KINDS

LINKS_MAX = 1_024  # of callers that proved themselves
LOG_SECONDS = 10.0  # between two lines about strangers

Admit = Callable[[link_pb2.LinkHello], LinkUser]

_log = structlog.get_logger()


class MemberGreeting:
    """The hello of one caller, at the member."""

    def __init__(self, server: "LinkServer", reception: Reception) -> None:
        """Let `server` decide about the caller."""
        self._server = server
        self._hello = MemberHello(reception, secrets.token_bytes(NONCE_BYTES))
        self._source = ""

    @property
    def expected(self) -> frozenset[FrameKind]:
        """See `Greeting.expected`."""
        return self._hello.expected

    @property
    def kinds(self) -> frozenset[FrameKind]:
        """See `Greeting.kinds`."""
        return KINDS[self._hello.hello.purpose].to_member

    @property
    def seed(self) -> int:
        """See `Greeting.seed`."""
        return self._hello.seed

    def begin(self, link: Link, source: str) -> None:
        """See `Greeting.begin`."""
        self._source = source
        self._server.connected(link, source)

    def receive(self, kind: FrameKind, payload: bytes) -> tuple[Step | None, LinkUser | None]:
        """See `Greeting.receive`."""
        answer = self._hello.receive(kind, payload)
        user = self._server.admit(self._hello.hello) if self._hello.has_proof else None
        return answer, user

    def complete(self, link: Link) -> None:
        """See `Greeting.complete`."""
        self._server.completed(link)

    def end(self, link: Link, error: LinkError) -> None:
        """See `Greeting.end`."""
        hello = self._hello
        name = hello.hello.caller.name if hello.has_proof else ""
        self._server.ended(link, error, self._source, name)


class LinkServer:
    """The links of a member's callers.

    - The callers without a proof are bounded (`UnprovenCallers`), and so are all others.
    - `admit` sees callers that proved that they have the key, and decides what a link is used for.
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
            lambda: Link(MemberGreeting(self, self._reception)), host.strip("[]"), int(port)
        )
        return int(self._server.sockets[0].getsockname()[1])

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

    def admit(self, hello: link_pb2.LinkHello) -> LinkUser:
        """Return who uses the link of a caller that proved itself; raise HelloRefused."""
        if len(self._links) >= LINKS_MAX:
            raise HelloRefused(Reason.REASON_BUSY, f"{LINKS_MAX} links are open")
        return self._admit(hello)

    def completed(self, link: Link) -> None:
        """Note that a link is open."""
        self._unproven.forget(link)
        self._links.add(link)

    def ended(self, link: Link, error: LinkError, source: str, name: str) -> None:
        """Forget a link, and log why this end or the other refused to go on."""
        was_open = link in self._links
        self._links.discard(link)
        self._unproven.forget(link)
        if was_open and not isinstance(error, LinkBroken):
            side = "caller" if isinstance(error, LinkRefused) else "member"
            _log.warning("link_refused", by=side, source=source, caller=name, reason=str(error))
        elif not was_open:
            self._log_stranger(error, source)

    def _log_stranger(self, error: LinkError, source: str) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._log_at:
            self._unlogged += 1
            return
        _log.warning(
            "caller_refused", source=source, reason=str(error), others_unlogged=self._unlogged
        )
        self._log_at, self._unlogged = now + LOG_SECONDS, 0
