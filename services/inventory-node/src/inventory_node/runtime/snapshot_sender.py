"""One snapshot to one peer, over as many links as needed; messages travel on another link.

The peer answers every chunk once the chunk is stored, so progress shows. A chunk without an answer
in time ends the link, and the next link resumes at the offset that the peer reports. A peer that
makes no progress for some links in a row is given up, so that the log is not pinned for ever. So is
a peer that was forgotten meanwhile.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from inventory.raft.v1 import peer_pb2
from link.connection import Link
from link.dialing import dial
from link.errors import LinkBroken, LinkError
from link.frames import FrameKind
from link.hello import Introduction, parsed

CHUNK_BYTES = 1 << 20
CONNECT_SECONDS_MAX = 2.0
ANSWER_SECONDS_MAX = 15.0  # until a chunk is stored
INSTALL_SECONDS_MAX = 300.0  # until the last chunk is stored, verified, recorded and switched to
PAUSE_SECONDS = 1.0  # between two links
TRIES_MAX = 10  # links in a row without progress
FORGOTTEN = "the peer is not known any more"


class SnapshotLink:
    """One link for a snapshot: a `LinkUser`.

    - One chunk is under way at a time.
    """

    def __init__(self) -> None:
        """Start without a link."""
        self.link: Link | None = None
        self._answer: asyncio.Future[peer_pb2.SnapshotAnswer] | None = None

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self.link = link

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows CHUNK_ANSWER alone
        answer = parsed(peer_pb2.SnapshotAnswer, payload)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LinkBroken(str(error)))

    async def exchange(
        self, chunk: peer_pb2.SnapshotChunk, seconds: float
    ) -> peer_pb2.SnapshotAnswer:
        """Send a chunk and wait for its answer; raise TimeoutError or LinkError."""
        link = self.link
        if link is None or not link.is_open:
            raise LinkBroken("the link is closed")
        self._answer = asyncio.get_running_loop().create_future()
        link.send(FrameKind.CHUNK, chunk.SerializeToString())
        link.flush()
        async with asyncio.timeout(seconds):
            return await self._answer

    def close(self) -> None:
        """Close the link."""
        if self.link is not None:
            self.link.close()


class SnapshotSender:
    """A file on its way to a peer.

    - A link begins at the offset that the peer reports.
    - At most `TRIES_MAX` links in a row make no progress.
    """

    def __init__(
        self,
        address: str,
        introduction: Callable[[], Introduction],
        path: Path,
        chunk_of: Callable[[int, bytes], peer_pb2.SnapshotChunk],
    ) -> None:
        """Send the file at `path` to host:port; `chunk_of` puts bytes at an offset into a chunk."""
        self._address = address
        self._introduction = introduction
        self._path = path
        self._chunk_of = chunk_of
        self._taken = 0  # bytes that the peer has stored
        self._is_given_up = False
        self._way = SnapshotLink()

    def give_up(self) -> None:
        """End: the peer was forgotten."""
        self._is_given_up = True
        self._way.close()

    async def send(self) -> str:
        """Send the whole file; return the problem, or an empty string."""
        problem, tries, furthest = "", 0, 0
        while tries < TRIES_MAX:
            if problem:
                await asyncio.sleep(PAUSE_SECONDS)
            if self._is_given_up:
                return FORGOTTEN
            try:
                problem = await self._send_over_link()
            except LinkError as error:
                problem = str(error)
            except TimeoutError:
                problem = "a chunk was not stored in time"
            except OSError as error:
                return f"the copy cannot be read: {error}"
            if not problem:
                return ""
            tries += 1
            if self._taken > furthest:
                tries, furthest = 0, self._taken
        return problem

    async def _send_over_link(self) -> str:
        """Send what the peer lacks over one link; return the problem, or an empty string."""
        size = self._path.stat().st_size
        way = self._way = SnapshotLink()
        try:
            with self._path.open("rb") as file:
                await dial(self._address, self._introduction(), way, CONNECT_SECONDS_MAX)
                answer = await way.exchange(self._chunk_of(0, b""), ANSWER_SECONDS_MAX)
                while not answer.installed and not answer.problem:
                    self._taken = answer.taken
                    file.seek(answer.taken)
                    data = file.read(CHUNK_BYTES)
                    if not data:
                        return "the peer has all of it and has not installed it"
                    is_last = answer.taken + len(data) == size
                    seconds = INSTALL_SECONDS_MAX if is_last else ANSWER_SECONDS_MAX
                    chunk = self._chunk_of(answer.taken, data)
                    answer = await way.exchange(chunk, seconds)
                    if answer.taken <= chunk.offset and not answer.installed:
                        break
            return "" if answer.installed else answer.problem or "a chunk was not taken"
        finally:
            way.close()
