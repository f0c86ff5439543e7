"""Calls of members as gateways make them, each on a link of its own, for tests without a loop."""

import asyncio

from inventory.raft.v1 import forward_pb2, link_pb2
from inventory.raft.v1.link_pb2 import LinkAnswer, LinkQuestion
from link.asking import LinkAsker
from link.connection import Link
from link.dialing import dial
from link.errors import LinkError
from link.frames import FrameKind
from link.hello import Introduction, parsed
from link.purposes import Purpose
from pki.contexts import PkiContexts, PkiFiles

SECONDS_MAX = 5.0


def opening(name: str, files: PkiFiles, purpose: Purpose.ValueType) -> Introduction:
    """Return what a caller with a certificate says to the member `name`."""
    contexts = PkiContexts(files)
    caller = link_pb2.Caller(name=contexts.identity.name or "a test")
    return Introduction(contexts=contexts, purpose=purpose, caller=caller, recipient=name)


def question_answered(
    name: str,
    address: str,
    files: PkiFiles,
    question: LinkQuestion,
    purpose: Purpose.ValueType = link_pb2.PURPOSE_QUESTION,
) -> LinkAnswer | None:
    """Ask a member; return its answer, None if it gives none."""
    try:
        return asyncio.run(_asked(name, address, files, question, purpose))
    except LinkError:
        return None


async def _asked(
    name: str, address: str, files: PkiFiles, question: LinkQuestion, purpose: Purpose.ValueType
) -> LinkAnswer:
    asker = LinkAsker(address, lambda: opening(name, files, purpose))
    try:
        return await asker.ask(question, SECONDS_MAX)
    finally:
        asker.close()


class OneRequest:
    """Sends one frame, and waits for the first reply: a `LinkUser`."""

    def __init__(self, request: forward_pb2.ForwardRequest) -> None:
        """Send `request` as soon as there is a link."""
        self._request = request
        self.replied: asyncio.Future[forward_pb2.Reply | None]
        self.replied = asyncio.get_running_loop().create_future()

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        link.send(FrameKind.REQUEST, self._request.SerializeToString())
        link.flush()

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind
        replies = parsed(forward_pb2.ForwardResponse, payload).replies
        if replies and not self.replied.done():
            self.replied.set_result(replies[0])

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        del error
        if not self.replied.done():
            self.replied.set_result(None)


def forward(
    name: str, address: str, files: PkiFiles, request: forward_pb2.ForwardRequest
) -> forward_pb2.Reply | None:
    """Send one request on a link of its own; return its reply, None if none came."""
    return asyncio.run(_forwarded(name, address, files, request))


async def _forwarded(
    name: str, address: str, files: PkiFiles, request: forward_pb2.ForwardRequest
) -> forward_pb2.Reply | None:
    user = OneRequest(request)
    introduction = opening(name, files, link_pb2.PURPOSE_GATEWAY)
    try:
        link, _ = await dial(address, introduction, user, SECONDS_MAX)
    except LinkError:
        return None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            return await user.replied
    except TimeoutError:
        return None
    finally:
        link.close()
