"""The lines of a transcript: messages, and answers to proposals and changes."""

from dataclasses import fields
from typing import assert_never

from raft import Accepted, ChangeRefused, NotLeader, Overloaded, Transferring
from raft.messages import Configuration, Entry, Message, SnapshotMeta


def show(value: object) -> str:
    """Return a field of a message in its short form: an entry is `index/term:payload`."""
    if isinstance(value, tuple):
        return "[" + " ".join(show(one) for one in value) + "]"
    if isinstance(value, Entry):
        return f"{value.index}/{value.term}" + (
            f":{value.payload.decode()}" if value.payload else ""
        )
    if isinstance(value, Configuration):
        learners = " learners " + ",".join(map(str, sorted(value.learners)))
        voters = ",".join(map(str, sorted(value.voters)))
        return f"voters {voters}" + (learners if value.learners else "")
    if isinstance(value, SnapshotMeta):
        return f"{value.index}/{value.term}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe(message: Message, lost: str = "") -> str:
    """Return a message as `1 -> 2 VoteRequest term=1 …`.

    `lost` says why the message does not arrive: `1 -x 2 VoteRequest term=1 … (lost: 2 is down)`.
    """
    parts = [
        f"{field.name}={show(getattr(message, field.name))}"
        for field in fields(message)
        if field.name not in ("sender", "recipient", "is_transfer")
    ]
    if getattr(message, "is_transfer", False):
        parts.append("transfer")
    if lost:
        parts.append(f"(lost: {lost})")
    route = f"{message.sender} {'-x' if lost else '->'} {message.recipient}"
    return f"{route} {type(message).__name__} {' '.join(parts)}"


def describe_answer(
    answer: Accepted | NotLeader | Transferring | Overloaded | ChangeRefused,
) -> str:
    """Return the answer to a proposal or a change, as the end of a sentence."""
    match answer:
        case Accepted(first_index, term):
            return f"takes it at {first_index}/{term}"
        case NotLeader(leader):
            return f"does not lead, but {leader}"
        case Transferring(target):
            return f"takes nothing: it hands over to {target}"
        case Overloaded(uncommitted_bytes):
            return f"takes nothing: {uncommitted_bytes} bytes wait"
        case ChangeRefused(reason):
            return f"refuses: {reason}"
        case _:
            assert_never(answer)
