"""Snapshots on their way between members, chunk by chunk, each answered before the next leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inventory_node.events import ChunkReceived, SnapshotSent
from inventory_node.ports import SnapshotHeader

from sim.network import Network
from sim.process import ChunkAnswer, Process
from sim.timeline import Timeline

CHUNK_BYTES = 1 << 14
PATIENCE_US = 400_000  # without an answer the sender gives the stream up


class Members(Protocol):
    """Finds processes by their member ids."""

    def __getitem__(self, member: int, /) -> Process:
        """Return a member's process."""
        ...


@dataclass(slots=True)
class Stream:
    """A snapshot that a member is sending."""

    sender: int
    peer: int
    term: int
    header: SnapshotHeader
    data: bytes
    offset: int = 0
    progress: int = 0  # counts chunks and answers
    over: bool = False


class SnapshotStreams:
    """All snapshots under way.

    - A stream ends once, with `SnapshotSent` at its sender, whatever happens to its peer.
    """

    def __init__(self, timeline: Timeline, network: Network, members: Members) -> None:
        """Start with none."""
        self._timeline = timeline
        self._network = network
        self._members = members
        self._streams: dict[tuple[int, int], Stream] = {}
        self.installed = 0  # how many ended well

    def begin(self, sender: int, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Stream the file at `path`, and remove it."""
        file = Path(path)
        stream = Stream(sender, peer, term, header, file.read_bytes())
        file.unlink()
        self._streams[sender, peer] = stream
        self._send(stream)

    def forget(self, member: int) -> None:
        """Drop the streams of a process that ended."""
        for stream in self._streams.values():
            if stream.sender == member:
                stream.over = True

    def answer(self, member: int, answer: ChunkAnswer) -> None:
        """Bring a recipient's answer to the sender of the stream."""
        stream = self._streams.get((answer.sender, member))
        if stream is None or stream.header.meta.index != answer.index:
            return

        def arrive() -> None:
            if stream.over:
                return
            if answer.installed or answer.problem:
                self._end(stream, installed=answer.installed)
            elif answer.taken > stream.offset:
                stream.offset = answer.taken
                self._send(stream)

        self._carry(member, answer.sender, arrive)

    def _send(self, stream: Stream) -> None:
        stream.progress += 1
        chunk = ChunkReceived(
            stream.sender,
            stream.term,
            stream.header,
            stream.offset,
            stream.data[stream.offset : stream.offset + CHUNK_BYTES],
        )
        self._carry(stream.sender, stream.peer, lambda: self._members[stream.peer].deliver(chunk))
        progress = stream.progress
        self._timeline.after(PATIENCE_US, lambda: self._give_up(stream, progress))

    def _carry(self, sender: int, recipient: int, arrive: Callable[[], None]) -> None:
        names = self._members[sender].settings.name, self._members[recipient].settings.name
        self._timeline.after(
            self._network.delay_us(), lambda: arrive() if self._network.passes(*names) else None
        )

    def _give_up(self, stream: Stream, progress: int) -> None:
        if not stream.over and stream.progress == progress:
            self._end(stream, installed=False)

    def _end(self, stream: Stream, *, installed: bool) -> None:
        stream.over = True
        self.installed += installed
        event = SnapshotSent(stream.peer, stream.header.meta.index, installed)
        self._members[stream.sender].deliver(event)
