"""Snapshots on their way between members, chunk by chunk, each answered before the next leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from inventory_node.core.events import ChunkReceived, SnapshotSent
from inventory_node.ports import SnapshotHeader
from link.frames import FrameKind

from sim.coverage import Coverage
from sim.frames import carried
from sim.network import SimNetwork
from sim.surroundings import ChunkAnswer, Life, ProcessHandle
from sim.timeline import Timeline

CHUNK_BYTES = 1 << 14
PATIENCE_US = 400_000  # without an answer the sender gives the stream up
RESUMED_TIMES = 2  # by another stream, which goes on where the peer says


class StreamRoute(NamedTuple):
    """The sender and the recipient of a snapshot; each may be another member on arrival."""

    sender: ProcessHandle
    life: Life  # of the sender
    sender_id: int
    peer: ProcessHandle
    peer_id: int


@dataclass(slots=True, kw_only=True)
class SnapshotStream:
    """A snapshot that a member is sending."""

    route: StreamRoute
    term: int
    header: SnapshotHeader
    data: bytes
    offset: int = 0
    progress: int = 0  # counts chunks and answers
    resumed: int = 0  # how often
    asks: bool = False  # a stream has begun, and the peer has not said where it goes on
    over: bool = False


class SnapshotStreams:
    """All snapshots under way.

    - Each stream owes its sender one `SnapshotSent`, whatever happens to the peer.
    """

    def __init__(
        self, timeline: Timeline, network: SimNetwork, random: Random, coverage: Coverage
    ) -> None:
        """Start with none."""
        self._timeline = timeline
        self._network = network
        self._random = random
        self._coverage = coverage
        self._streams: dict[tuple[int, int], SnapshotStream] = {}
        self.flips = 0  # how many faults make them differ from what was written

    def begin(
        self,
        ends: tuple[ProcessHandle, ProcessHandle | None],
        peer_id: int,
        term: int,
        header: SnapshotHeader,
        path: str,
    ) -> None:
        """Stream the file at `path` from the first to the second, and remove it."""
        sender, peer = ends
        file = Path(path)
        data = file.read_bytes()
        file.unlink()
        if peer is None:
            sender.deliver(SnapshotSent(peer_id, header.meta.index, installed=False))
            return
        if self.flips:
            self._coverage["snapshots flipped"] += 1
            at = self._random.randrange(len(data))
            flipped = bytes([data[at] ^ 1 << self._random.randrange(8)])
            data = data[:at] + flipped + data[at + 1 :]
        stream = SnapshotStream(
            route=StreamRoute(sender, sender.life, sender.id, peer, peer_id),
            term=term,
            header=header,
            data=data,
        )
        self._streams[sender.id, peer_id] = stream
        self._send(stream)

    def answer(self, member: ProcessHandle, answer: ChunkAnswer) -> None:
        """Carry a recipient's answer to the sender of the stream."""
        stream = self._streams.get((answer.sender, member.id))
        if stream is None or stream.header.meta.index != answer.index:
            return

        def arrive() -> None:
            if stream.over or stream.route.life.over:
                return
            if answer.installed or answer.problem:
                self._coverage["snapshots refused"] += bool(answer.problem)
                self._end(stream, installed=answer.installed)
            elif answer.taken > stream.offset or stream.asks:
                stream.offset, stream.asks = answer.taken, False
                self._send(stream)

        self._carry(member, stream.route.sender, arrive)

    def _send(self, stream: SnapshotStream) -> None:
        stream.progress += 1
        chunk = ChunkReceived(
            stream.route.sender_id,
            stream.term,
            stream.header,
            stream.offset,
            carried(FrameKind.CHUNK, stream.data[stream.offset : stream.offset + CHUNK_BYTES]),
        )
        self._send_chunk(stream, chunk)

    def _resume(self, stream: SnapshotStream) -> None:
        """Begin another stream of the same snapshot."""
        stream.resumed += 1
        stream.progress += 1
        stream.asks = True
        self._send_chunk(
            stream, ChunkReceived(stream.route.sender_id, stream.term, stream.header, 0, b"")
        )

    def _send_chunk(self, stream: SnapshotStream, chunk: ChunkReceived) -> None:
        def arrive() -> None:
            if stream.route.peer.id == stream.route.peer_id:
                stream.route.peer.deliver(chunk)

        self._carry(stream.route.sender, stream.route.peer, arrive)
        progress = stream.progress
        self._timeline.after(PATIENCE_US, lambda: self._give_up(stream, progress))

    def _carry(
        self, sender: ProcessHandle, recipient: ProcessHandle, arrive: Callable[[], None]
    ) -> None:
        names = sender.name, recipient.name
        self._timeline.after(
            self._network.delay_us(), lambda: arrive() if self._network.passes(*names) else None
        )

    def _give_up(self, stream: SnapshotStream, progress: int) -> None:
        if stream.over or stream.route.life.over or stream.progress != progress:
            return
        if stream.resumed < RESUMED_TIMES:
            self._coverage["snapshots resumed"] += 1
            self._resume(stream)
        else:
            self._coverage["snapshots cut short"] += 1
            self._end(stream, installed=False)

    def _end(self, stream: SnapshotStream, *, installed: bool) -> None:
        stream.over = True
        if not stream.route.life.over:
            event = SnapshotSent(stream.route.peer_id, stream.header.meta.index, installed)
            stream.route.sender.deliver(event)
