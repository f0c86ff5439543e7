"""Calls a member: opens a connection, and completes the hello."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pki.identities import ProcessIdentity

from link.connection import Link, LinkUser
from link.errors import LinkBroken, LinkError, LinkLate
from link.frames import FrameKind
from link.hello import CallerHello, Introduction, Step
from link.purposes import KINDS
from link.tls import TlsEnd


class CallerGreeting:
    """The hello of a caller, for one user of the link."""

    speaks_first = True

    def __init__(self, introduction: Introduction, user: LinkUser) -> None:
        """Say `introduction`; `user` gets the link if the member accepts it."""
        self.hello = CallerHello(introduction)
        self.tls = TlsEnd(introduction.contexts.client(), is_server=False)
        self.expected = self.hello.expected
        self.kinds = KINDS[introduction.purpose].to_caller
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._user = user

    def connected(self, link: Link, source: str) -> None:
        """See `Greeting.connected`."""

    def begin(self, peer: ProcessIdentity) -> Step:
        """See `Greeting.begin`."""
        return self.hello.begin(peer)

    def receive(self, kind: FrameKind, payload: bytes) -> tuple[Step | None, LinkUser | None]:
        """See `Greeting.receive`."""
        self.hello.receive(kind, payload)
        return None, self._user

    def complete(self, link: Link) -> None:
        """See `Greeting.complete`."""
        del link
        if not self.opened.done():
            self.opened.set_result(None)

    def end(self, link: Link, error: LinkError) -> None:
        """See `Greeting.end`."""
        del link
        if not self.opened.done():
            self.opened.set_exception(error)


async def dial(
    address: str, introduction: Introduction, user: LinkUser, seconds: float
) -> tuple[Link, str]:
    """Open a link to host:port; return the link and the cluster's id, as the member says it.

    The name is looked up at each call. Raises LinkRefused with the member's sentence, or another
    LinkError; also if the link is not open in `seconds`.
    """
    host, _, port = address.rpartition(":")
    greeting = CallerGreeting(introduction, user)
    link = Link(greeting)
    async with opened(greeting, link, seconds):
        await asyncio.get_running_loop().create_connection(
            lambda: link, host.strip("[]"), int(port)
        )
    return link, greeting.hello.cluster_id


@asynccontextmanager
async def opened(greeting: CallerGreeting, link: Link, seconds: float) -> AsyncIterator[None]:
    """Have a link open at the end, whose bytes begin to travel inside; raise LinkError."""
    is_opened = False
    try:
        async with asyncio.timeout(seconds):
            yield
            await greeting.opened
        is_opened = True
    except TimeoutError as error:
        raise LinkLate(seconds) from error
    except (OSError, UnicodeError, OverflowError) as error:  # no name, no route, nobody there
        raise LinkBroken(str(error)) from error
    finally:
        if not is_opened:
            greeting.opened.cancel()
            link.close()
