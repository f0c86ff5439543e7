"""One end of a link on an event loop: bytes in, frames out, pings, and an end with a reason.

Everything runs in callbacks of the loop; no task belongs to a link. A turn's frames are written at
once: `Link.send` gathers frames, `Link.flush` writes them.
"""

import asyncio
import contextlib
from typing import Protocol, cast

from pki.identities import ProcessIdentity

from link.errors import FrameError, HelloRefused, LinkBroken, LinkError, Reason
from link.frames import FrameDecoder, FrameKind
from link.hello import Step, refusal_in, refusal_of
from link.outgoing import OutgoingFrames
from link.tls import TlsEnd

HELLO_SECONDS_MAX = 2.0  # from the connection on, the TLS handshake included
TICK_SECONDS = 0.5  # between two pings
SILENT_TICKS_MAX = 4  # ticks without a byte; at the next the other end counts as dead
CLOSE_SECONDS_MAX = 1.0  # until what was written is given up at an end
SILENT = "the other end is silent"
LATE = "the hello was not complete in time"
CLOSED = "the other end closed the connection"


class LinkUser(Protocol):
    """Whatever uses an end of a link. Nothing here blocks."""

    def opened(self, link: "Link") -> None:
        """Take the link, whose hello is complete; frames may be sent from here on."""
        ...

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """Take a frame; raise LinkError to end the link with its sentence."""
        ...

    def writable(self) -> None:
        """Send on: the other end reads again what it had left unread."""
        ...

    def closed(self, error: LinkError) -> None:
        """Forget the link, which was open; called once."""
        ...


class Greeting(Protocol):
    """A hello at one end, and what this end does about it."""

    @property
    def expected(self) -> frozenset[FrameKind]:
        """The kinds of frames that may come next."""
        ...

    @property
    def kinds(self) -> frozenset[FrameKind]:
        """The kinds of frames that may come after the hello."""
        ...

    @property
    def speaks_first(self) -> bool:
        """Whether this end begins the handshake."""
        ...

    @property
    def tls(self) -> TlsEnd:
        """The TLS of this end."""
        ...

    def connected(self, link: "Link", source: str) -> None:
        """Note a connection to `source`, whoever it is."""
        ...

    def begin(self, peer: ProcessIdentity) -> Step | None:
        """Take the other end's proven identity; return the first frame if this end speaks first.

        Raises LinkError.
        """
        ...

    def receive(self, kind: FrameKind, payload: bytes) -> tuple[Step | None, LinkUser | None]:
        """Take a frame; return the answer, and the link's user once the hello is complete.

        Raises LinkError.
        """
        ...

    def complete(self, link: "Link") -> None:
        """Note that the link is open."""
        ...

    def end(self, link: "Link", error: LinkError) -> None:
        """Note the end of the link, during the hello or after it; called once."""
        ...


class Link(asyncio.Protocol):
    """One end of a connection.

    - `LinkUser.opened` is called once, when the hello is complete. No frame that came before that
      reaches the user.
    - After the end nothing is sent and nothing is received. `ended` then has the reason.
    - An exception that nobody expects ends the connection, and the loop logs it.
    """

    def __init__(self, greeting: Greeting) -> None:
        """Begin a hello as soon as there is a connection."""
        self._loop = asyncio.get_running_loop()
        self._greeting = greeting
        self._user: LinkUser | None = None
        self._tls = greeting.tls
        self._is_proven = False  # the other end's certificate is accepted
        self._out = OutgoingFrames(self._tls)
        self._decoder = FrameDecoder(greeting.expected, awaits_magic=True)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None  # of the hello, then of the pings
        self._silent_ticks = 0
        self.ended: asyncio.Future[LinkError] = self._loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether the hello is complete and the link has not ended."""
        return self._user is not None and not self.ended.done()

    @property
    def is_writable(self) -> bool:
        """Whether the link is open, and the other end reads."""
        return self.is_open and not self._out.is_paused

    @property
    def waiting_frames(self) -> int:
        """How many frames wait to be written."""
        return len(self._out)

    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Gather a frame; past a bound the link ends instead. Nothing happens after the end."""
        if self.ended.done():
            return
        try:
            self._out.add(kind, payload)
        except FrameError as error:
            self.end(error)

    def flush(self) -> None:
        """Write the gathered frames, unless the other end does not read."""
        self._out.flush()

    def close(self) -> None:
        """End the link from here: what was written still arrives."""
        self.end(LinkBroken("closed here"))

    def end(self, error: LinkError) -> None:
        """End the link, and tell the other end why if this end refuses it."""
        if self.ended.done():
            return
        if isinstance(error, FrameError | HelloRefused):
            reason = error.reason if isinstance(error, HelloRefused) else Reason.REASON_FRAME
            with contextlib.suppress(FrameError):  # the other end reads nothing anyway
                self._out.add(FrameKind.REFUSED, refusal_of(reason, str(error)))
        self._out.flush()
        self._finish(error)
        if self._transport is None:
            return
        if self._out.is_paused:
            self._transport.abort()
            return
        self._transport.close()
        self._loop.call_later(CLOSE_SECONDS_MAX, self._transport.abort)

    def _break(self, problem: str) -> None:
        """End the link at once: the other end does not answer."""
        self._finish(LinkBroken(problem))
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, error: LinkError) -> None:
        """Let everybody know of the end, once."""
        if self.ended.done():
            return
        self.ended.set_result(error)
        self._out.disconnect()
        if self._timer is not None:
            self._timer.cancel()
        self._greeting.end(self, error)
        if self._user is not None:
            self._user.closed(error)

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the hello."""
        self._transport = stream = cast("asyncio.Transport", transport)
        if self.ended.done():  # the caller gave up meanwhile
            stream.abort()
            return
        self._timer = self._loop.call_later(HELLO_SECONDS_MAX, self._break, LATE)
        self._out.connect(stream)
        self._greeting.connected(self, source_of(transport))
        if self._greeting.speaks_first and not self.ended.done():
            self._tls.begin()
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Take what came, frame by frame."""
        if self.ended.done():
            return
        self._silent_ticks = 0
        try:
            said = self._tls.receive(data)
            if self._tls.is_complete and not self._is_proven:
                self._begin()
            self._decoder.feed(said)
            while not self.ended.done() and (frame := self._decoder.next_frame()) is not None:
                self._take(*frame)
        except LinkError as error:
            self.end(error)
        else:
            self._out.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, if it is news."""
        self._finish(LinkBroken(str(exc) if exc is not None else CLOSED))

    def pause_writing(self) -> None:
        """Gather frames instead of writing them."""
        self._out.is_paused = True

    def resume_writing(self) -> None:
        """Write what was gathered, and let the user go on."""
        self._out.is_paused = False
        self._out.flush()
        if self._user is not None and not self.ended.done():
            self._user.writable()

    def _take(self, kind: FrameKind, payload: bytes) -> None:
        if self._user is None:
            self._greet(kind, payload)
        elif kind is FrameKind.REFUSED:
            raise refusal_in(payload)
        elif kind is not FrameKind.PING:
            self._user.received(kind, payload)

    def _begin(self) -> None:
        """Begin the hello: the other end has proved who it is."""
        self._is_proven = True
        first = self._greeting.begin(self._tls.peer)
        if first is not None:
            self.send(*first)

    def _greet(self, kind: FrameKind, payload: bytes) -> None:
        """Take a frame of the hello; after the last, open the link."""
        greeting = self._greeting
        answer, user = greeting.receive(kind, payload)
        if answer is not None:
            self.send(*answer)
        if user is None:
            self._decoder.allow(greeting.expected)
            return
        self._decoder.allow(greeting.kinds)
        self._user = user
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)
        greeting.complete(self)
        user.opened(self)

    def _tick(self) -> None:
        """Send a ping; end the link if nothing came for too long."""
        self._silent_ticks += 1
        if self._silent_ticks > SILENT_TICKS_MAX:
            self._break(SILENT)
            return
        if not self._out.is_paused:
            self.send(FrameKind.PING, b"")
            self.flush()
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)


def source_of(transport: asyncio.BaseTransport) -> str:
    """Return the address at the other end, without its port."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if name else ""
