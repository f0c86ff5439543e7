"""Calls a member: opens a connection, and completes the hello."""

import asyncio
import secrets

from link.connection import Link, LinkUser
from link.errors import LinkBroken, LinkError, LinkLate
from link.frames import FrameKind
from link.hello import NONCE_BYTES, CallerHello, Introduction, Step
from link.purposes import KINDS

PORT_MAX = 65_535


class CallerGreeting:
    """The hello of a caller, for one user of the link."""

    def __init__(self, introduction: Introduction, user: LinkUser) -> None:
        """Say `introduction`; `user` gets the link if the member accepts it."""
        self.hello = CallerHello(introduction, secrets.token_bytes(NONCE_BYTES))
        self.kinds = KINDS[introduction.purpose].to_caller
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._user = user

    @property
    def expected(self) -> frozenset[FrameKind]:
        """See `Greeting.expected`."""
        return self.hello.expected

    @property
    def seed(self) -> int:
        """See `Greeting.seed`."""
        return self.hello.seed

    def begin(self, link: Link, source: str) -> Step:
        """See `Greeting.begin`."""
        del link, source
        return self.hello.begin()

    def receive(self, kind: FrameKind, payload: bytes) -> tuple[Step | None, LinkUser | None]:
        """See `Greeting.receive`."""
        answer = self.hello.receive(kind, payload)
        return answer, self._user if answer is None else None

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
    is_opened = False
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_connection(
                lambda: link, host.strip("[]"), int(port)
            )
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
    return link, greeting.hello.cluster_id
