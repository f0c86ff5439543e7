"""The exceptions of a member.

NodeError
├── StartRefused         the process ends before there is a node, and says what a person can do
│   ├── BootstrapRefused   this member may not begin
│   ├── LogDamaged         synced bytes of the log differ from the written bytes
│   ├── LogForeign         a log of another member, cluster or version
│   └── DatabaseError      the database cannot be used
│       └── DatabaseFull     there is no space for a transaction or a copy
├── Halted               the process ends: going on could lose or fork acknowledged writes
├── StateInvariantViolation  the state is one that the rules exclude; becomes Halted
├── CodecError           a peer's bytes, or a record's payload, are not well formed
├── FormatError          a record of the log breaks the format; becomes LogDamaged
├── QueryRefused         a question is refused; becomes its answer
└── HashAbandoned        the store closes before the hash is finished

Errors of the caller's own code are ValueError and RuntimeError. `raft.InvariantViolation` comes out
of consensus, and becomes Halted.
"""

from google.rpc import status_pb2

REMEDY = (
    "Nothing was changed. Keep the folder for a look at it, and rebuild this member from the "
    "others, or restore the folder from a copy (docs/disk-format.md, 'When a log does not open')."
)


class NodeError(Exception):
    """Any exception that this service raises for a reason of its own."""


class StartRefused(NodeError):  # noqa: N818 - a refusal
    """The process cannot start; the message says why, and what to do."""


class BootstrapRefused(StartRefused):
    """The member may not begin; the message says why, and what to do."""


class LogDamaged(StartRefused):
    """Synced bytes differ from the written bytes; opening could lose acknowledged orders."""

    def __init__(self, name: str, offset: int, problem: str) -> None:
        """`offset` counts bytes from the start of the file `name`."""
        super().__init__(f"the log is damaged: {name} at byte {offset}: {problem}. {REMEDY}")
        self.name = name
        self.offset = offset
        self.problem = problem


class LogForeign(StartRefused):
    """A whole log, but of another member, cluster or format version."""

    def __init__(self, name: str, problem: str) -> None:
        """Say what does not belong to this member."""
        super().__init__(
            f"the log does not belong here: {name}: {problem}. Nothing was changed. Start this "
            "member with the data directory and the version of the software that wrote it."
        )


class DatabaseError(StartRefused):
    """The database cannot be used; the message says which file, and what to do."""


class DatabaseFull(DatabaseError):  # noqa: N818 - what is the case
    """There is no space for a transaction or a copy; no part of it was written."""


class Halted(NodeError):  # noqa: N818 - the end of the process, by design, is its name
    """The node must end: going on could lose or fork acknowledged writes.

    The message says what to do.
    """


class StateInvariantViolation(NodeError):  # noqa: N818 - it names the fact, and nobody handles it
    """The state is one that the rules exclude: going on would fork the replicas."""


class CodecError(NodeError):
    """Bytes that are not well formed, or a message without a wire form."""


class FormatError(NodeError):
    """Bytes that break the format of the log; the message says how."""


class QueryRefused(NodeError):  # noqa: N818 - a value on its way out of a query
    """A question that is refused."""

    def __init__(self, status: status_pb2.Status) -> None:
        """Carry the status."""
        super().__init__(status.message)
        self.status = status


class HashAbandoned(NodeError):  # noqa: N818 - what became of a hash
    """The store closes, so the hash is not finished."""
