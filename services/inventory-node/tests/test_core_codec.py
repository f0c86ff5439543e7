"""Every message survives the wire, and what is none is refused."""

import pytest
from inventory.raft.v1 import peer_pb2
from inventory_node.codec import (
    decode_configuration,
    encode_configuration,
    message_from_wire,
    message_to_wire,
)
from inventory_node.errors import CodecError
from raft.messages import (
    AppendReply,
    AppendRequest,
    Configuration,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    SnapshotMeta,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)

ENTRIES = (
    Entry(8, 3, EntryKind.NOOP, b""),
    Entry(9, 3, EntryKind.COMMAND, b"\x00\xff"),
    Entry(10, 3, EntryKind.CONFIGURATION, b"c"),
)
MESSAGES: tuple[Message, ...] = (
    PreVoteRequest(1, 2, 3, last_index=0, last_term=0),
    PreVoteRequest(1, 2, 3, last_index=9, last_term=2),
    PreVoteReply(1, 2, 3, granted=False),
    PreVoteReply(1, 2, 3, granted=True),
    VoteRequest(sender=1, recipient=2, term=3, last_index=0, last_term=0),
    VoteRequest(sender=1, recipient=2, term=3, last_index=9, last_term=2, is_transfer=True),
    TimeoutNow(1, 2, 3),
    ReadRequest(1, 2, 3, context=1 << 62),
    ReadReply(1, 2, 3, context=7, index=0),
    ReadReply(1, 2, 3, context=7, index=8),
    VoteReply(1, 2, 3, granted=False),
    VoteReply(1, 2, 3, granted=True),
    AppendRequest(
        sender=1, recipient=2, term=3, previous_index=0, previous_term=0, commit=0, entries=()
    ),
    AppendRequest(
        sender=1, recipient=2, term=3, previous_index=7, previous_term=2, commit=6, entries=ENTRIES
    ),
    AppendReply(sender=1, recipient=2, term=3, accepted=True, index=9),
    AppendReply(
        sender=1, recipient=2, term=3, accepted=False, index=9, conflict_index=4, conflict_term=2
    ),
    Heartbeat(1, 2, 3, commit=0, context=0),
    Heartbeat(1, 2, 3, commit=5, context=77),
    HeartbeatReply(1, 2, 3, context=0),
    HeartbeatReply(1, 2, 3, context=77),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: Message) -> None:
    """Also where every field has its default, which the wire leaves out."""
    written = message_to_wire(message).SerializeToString()
    assert message_from_wire(peer_pb2.Message.FromString(written)) == message


def test_every_kind_of_message_but_one_is_covered() -> None:
    """A kind that is added has to be added above."""
    covered = {type(message) for message in MESSAGES}
    assert covered == set(Message.__args__) - {InstallSnapshot}


def test_a_snapshot_has_no_wire_form() -> None:
    """It travels in chunks."""
    meta = SnapshotMeta(5, 2, Configuration(frozenset({1})))
    with pytest.raises(CodecError):
        message_to_wire(InstallSnapshot(1, 2, 3, meta))


@pytest.mark.parametrize(
    "wire",
    [
        peer_pb2.Message(sender=1, recipient=2, term=3),
        peer_pb2.Message(recipient=2, term=3, heartbeat=peer_pb2.Heartbeat()),
        peer_pb2.Message(sender=1, term=3, heartbeat=peer_pb2.Heartbeat()),
        peer_pb2.Message(
            sender=1,
            recipient=2,
            append_request=peer_pb2.AppendRequest(entries=[peer_pb2.Entry(index=1, kind=9)]),
        ),
        peer_pb2.Message(
            sender=1,
            recipient=2,
            append_request=peer_pb2.AppendRequest(
                previous_index=4, entries=[peer_pb2.Entry(index=6)]
            ),
        ),
    ],
    ids=["no kind", "no sender", "no recipient", "unknown entry kind", "a gap"],
)
def test_what_is_no_message_is_refused(wire: peer_pb2.Message) -> None:
    """Bytes of a peer are not trusted to be well formed."""
    with pytest.raises(CodecError):
        message_from_wire(wire)


def test_a_configuration_survives_and_is_written_in_one_way() -> None:
    """Equal configurations give equal bytes, so that logs agree."""
    configuration = Configuration(frozenset({9, 1, 4}), frozenset({7, 2}))
    payload = encode_configuration(configuration)
    assert decode_configuration(payload) == configuration
    assert encode_configuration(Configuration(frozenset({4, 9, 1}), frozenset({2, 7}))) == payload


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x0a\x01\x00"], ids=["empty", "junk", "id 0"])
def test_what_is_no_configuration_is_refused(payload: bytes) -> None:
    """A configuration without a voter could never commit anything."""
    with pytest.raises(CodecError):
        decode_configuration(payload)
