"""The events of a node. `Node.handle` takes one event at a time and returns without waiting."""

from dataclasses import dataclass

from inventory.raft.v1 import forward_pb2, membership_pb2
from raft.messages import Message

from inventory_node.ports import PeerMessage, SnapshotHeader, Survey, SurveyReply


@dataclass(frozen=True, slots=True)
class Tick:
    """The configured interval has passed once."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Work is left from earlier events (`Node.busy`); given behind the events that wait."""


@dataclass(frozen=True, slots=True)
class PeerMessages:
    """Messages of one frame, from a member of this cluster, addressed to this member."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A survey or a survey's reply, from a member of this cluster, addressed to this member."""

    message: Survey | SurveyReply


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A gateway's link began; the node sends the gateway its view of the leadership at once."""

    session: int


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A gateway's link ended; its answers are dropped."""

    session: int


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A frame of a gateway's link."""

    session: int
    request: forward_pb2.ForwardRequest


@dataclass(frozen=True, slots=True)
class DiskDone:
    """A job of the log's disk is done, and synced as far as the job's operations asked for."""

    ticket: int


@dataclass(frozen=True, slots=True)
class DiskFull:
    """A job's first operation, the creation of a file, found no space; no operation was done.

    The same job may be given again, under the same ticket.
    """

    ticket: int


@dataclass(frozen=True, slots=True)
class DiskFailed:
    """A job failed; the job's writes may or may not be on disk. The node stops."""

    ticket: int
    problem: str


@dataclass(frozen=True, slots=True)
class Flushed:
    """A transaction of the store is durable."""

    ticket: int


@dataclass(frozen=True, slots=True)
class StoreFull:
    """A transaction of the store found no space and wrote nothing; it may be given again."""

    ticket: int


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The store could not write, or found itself damaged. The node stops."""

    problem: str


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """One answered question: exactly one of `response` and `error` is not empty."""

    ticket: int
    response: bytes  # the serialized response message
    error: bytes  # a serialized google.rpc.Status


@dataclass(frozen=True, slots=True)
class Answered:
    """Questions answered from one read transaction."""

    answers: tuple[StoreAnswer, ...]


@dataclass(frozen=True, slots=True)
class Hashed:
    """The content hash of the state at an applied index."""

    ticket: int
    index: int
    sha256: str  # hexadecimal


@dataclass(frozen=True, slots=True)
class Copied:
    """A snapshot file is ready to be sent; an empty path means that a copy found no space."""

    ticket: int
    header: SnapshotHeader
    path: str


@dataclass(frozen=True, slots=True)
class SnapshotSent:
    """The stream of a snapshot to a peer ended; `installed`: the peer has taken the snapshot."""

    peer: int
    index: int
    installed: bool


@dataclass(frozen=True, slots=True)
class ChunkReceived:
    """A chunk of a snapshot with a checked CRC; the next chunk comes after `Staged` was handled.

    A chunk without data at offset 0 begins a stream, and asks how many bytes are staged.
    """

    sender: int
    term: int
    header: SnapshotHeader
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Staged:
    """A chunk is stored. `problem` is not empty when the whole snapshot was refused."""

    ticket: int
    complete: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The store serves the staged snapshot from this event on."""

    ticket: int


@dataclass(frozen=True, slots=True)
class ChangeAsked:
    """A caller with the cluster's key asks for a membership change."""

    ticket: int
    request: membership_pb2.ChangeRequest


@dataclass(frozen=True, slots=True)
class StopRequested:
    """SIGTERM: flush, sync, then report `Node.stopped`."""


Event = (
    Tick
    | Continue
    | PeerMessages
    | Surveyed
    | SessionOpened
    | SessionClosed
    | Forwarded
    | ChunkReceived
    | ChangeAsked
    | StopRequested
    # The results of jobs that the node began:
    | DiskDone
    | DiskFull
    | DiskFailed
    | Flushed
    | StoreFull
    | StoreFailed
    | Answered
    | Hashed
    | Copied
    | SnapshotSent
    | Staged
    | Installed
)


def arrival(message: PeerMessage) -> PeerMessages | Surveyed:
    """Return the event for a single message of a peer."""
    if isinstance(message, Survey | SurveyReply):
        return Surveyed(message)
    return PeerMessages((message,))
