"""A link inside another link, past a member that relays it: the member reads none of its bytes."""

import asyncio
from typing import Any

from link.connection import Link, LinkUser
from link.dialing import CallerGreeting, dial, opened
from link.errors import LinkError
from link.frames import BYTES_MAX, FrameKind
from link.hello import Introduction

PIECE_BYTES = BYTES_MAX[FrameKind.CARRIED]


class CarriedEnd(asyncio.Transport):
    """The user of a link that carries another link's bytes, and the transport of that other link.

    - When one of both links ends, the other ends.
    - While the other end of the carrying link does not read, the carried link writes nothing.
    """

    def __init__(self, inner: Link, source: str) -> None:
        """Carry `inner` once the carrying link is open; `source`: who carries it."""
        super().__init__({"peername": (source, 0)})
        self._inner = inner
        self._link: Link | None = None

    # A `LinkUser` of the carrying link.

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self._link = link
        self._inner.connection_made(self)

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows CARRIED alone
        self._inner.data_received(payload)

    def writable(self) -> None:
        """See `LinkUser.writable`."""
        self._inner.resume_writing()

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        self._inner.connection_lost(error)

    # The transport of the carried link.

    def write(self, data: Any) -> None:  # noqa: ANN401 - bytes of any kind, as of every transport
        """Send bytes of the carried link."""
        link = self._link
        if link is None:
            return
        for start in range(0, len(data), PIECE_BYTES):
            link.send(FrameKind.CARRIED, bytes(data[start : start + PIECE_BYTES]))
        link.flush()
        if not link.is_writable:
            self._inner.pause_writing()

    def is_closing(self) -> bool:
        """Return whether the carrying link has ended."""
        return self._link is None or not self._link.is_open

    def close(self) -> None:
        """End the carrying link; what was written still arrives."""
        if self._link is not None:
            self._link.close()

    def abort(self) -> None:
        """End the carrying link."""
        self.close()


async def dial_through(
    address: str, relay: Introduction, introduction: Introduction, user: LinkUser, seconds: float
) -> Link:
    """Open a link to the member `relay.relay_to`, past the member at host:port, which relays it.

    Raises LinkError; also if the link is not open in `seconds`.
    """
    greeting = CallerGreeting(introduction, user)
    link = Link(greeting)
    async with opened(greeting, link, seconds):
        await dial(address, relay, CarriedEnd(link, relay.recipient), seconds)
    return link
