"""Members whose every disk job, flush and message is let go by hand.

The simulator (`world`) lets things happen by seed; here a test says itself what happens next, to
show one order of events: a sync that does not end, a message that does not arrive. All of it runs
the real node, log, consensus and state machine.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from inventory.raft.v1 import forward_pb2
from inventory_node.events import (
    Continue,
    DiskDone,
    Event,
    Forwarded,
    PeerMessages,
    SessionOpened,
    Tick,
)
from inventory_node.ports import (
    CreateFile,
    DiskOperation,
    RemoveFile,
    RenameFile,
    SnapshotHeader,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from raft.messages import Message


class HandDisk:
    """A folder whose jobs are done when a test says so; a crash keeps what was synced.

    Every operation of a job that was let go is durable: what a crash leaves of a job that was not
    is the business of `SimDisk`.
    """

    def __init__(self) -> None:
        """Start with an empty folder."""
        self.files: dict[str, bytes] = {}
        self.jobs: deque[tuple[tuple[DiskOperation, ...], int]] = deque()

    def names(self) -> list[str]:
        """List the files."""
        return sorted(self.files)

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        return self.files[name]

    def run(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Hold the job until `finish`."""
        self.jobs.append((tuple(operations), ticket))

    def finish(self) -> DiskDone:
        """Do the oldest job."""
        operations, ticket = self.jobs.popleft()
        for operation in operations:
            self._do(operation)
        return DiskDone(ticket)

    def crash(self) -> None:
        """Forget the jobs that were not let go."""
        self.jobs.clear()

    def _do(self, operation: DiskOperation) -> None:
        match operation:
            case CreateFile(name, size):
                self.files[name] = bytes(size)
            case WriteAt(name, offset, data):
                old = self.files[name]
                self.files[name] = old[:offset] + data + old[offset + len(data) :]
            case RenameFile(name, to):
                self.files[to] = self.files.pop(name)
            case RemoveFile(name):
                self.files.pop(name, None)
            case SyncFile() | SyncFolder():
                pass


@dataclass(slots=True)
class HandClock:
    """A clock that stands still until it is set."""

    ms: int

    def now_ms(self) -> int:
        """Return the time as set."""
        return self.ms


@dataclass(slots=True)
class HandRandom:
    """Chance that always takes the same side."""

    value: int

    def below(self, bound: int) -> int:
        """Return `value`, or the largest allowed."""
        return min(self.value, bound - 1)


@dataclass(slots=True)
class HandTransport:
    """What a member said, kept for the test to look at and to deliver."""

    messages: list[Message] = field(default_factory=list)
    replies: list[tuple[int, forward_pb2.ForwardResponse]] = field(default_factory=list)
    streams: list[tuple[int, int, SnapshotHeader, str]] = field(default_factory=list)
    chunk_answers: list[tuple[int, int, int, bool, str]] = field(default_factory=list)

    def send(self, messages: Sequence[Message]) -> None:
        """Keep messages to peers."""
        self.messages += messages

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Keep a frame to a gateway."""
        self.replies.append((session, response))

    def send_snapshot(self, peer: int, term: int, header: SnapshotHeader, path: str) -> None:
        """Keep what is to be streamed."""
        self.streams.append((peer, term, header, path))

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Keep an answer to a chunk."""
        self.chunk_answers.append((peer, index, taken, installed, problem))
