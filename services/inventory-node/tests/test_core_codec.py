"""Every message survives the wire, and what is none is refused."""

import random
from dataclasses import replace
from typing import cast

import pytest
from inventory.raft.v1 import peer_pb2
from inventory_node.codec import (
    add_to_frame,
    decode_configuration,
    encode_configuration,
    message_from_wire,
    message_to_wire,
    surveys_of,
)
from inventory_node.errors import CodecError
from inventory_node.ports import STATE_HASH_FORM, PeerMessage, Survey, SurveyReply
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

CONFIGURATION = encode_configuration(Configuration(frozenset({1, 2})))
ENTRIES = (
    Entry(8, 3, EntryKind.NOOP, b""),
    Entry(9, 3, EntryKind.COMMAND, b"\x00\xff"),
    Entry(10, 3, EntryKind.CONFIGURATION, CONFIGURATION),
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
        peer_pb2.Message(
            sender=1,
            recipient=2,
            append_request=peer_pb2.AppendRequest(
                entries=[peer_pb2.Entry(index=1, kind=EntryKind.CONFIGURATION, payload=b"c")]
            ),
        ),
    ],
    ids=["no kind", "no sender", "no recipient", "unknown entry kind", "a gap", "no members"],
)
def test_what_is_no_message_is_refused(wire: peer_pb2.Message) -> None:
    """Bytes of a peer are not trusted to be well formed."""
    with pytest.raises(CodecError):
        message_from_wire(wire)


def test_a_configuration_survives_and_is_written_in_one_way() -> None:
    """Equal configurations give equal bytes, so that logs agree."""
    labels = ((7, "node-7 at its address"), (2, "node-2"))
    configuration = Configuration(frozenset({9, 1, 4}), frozenset({7, 2}), labels)
    payload = encode_configuration(configuration)
    assert decode_configuration(payload) == configuration
    again = Configuration(frozenset({4, 9, 1}), frozenset({2, 7}), labels)
    assert encode_configuration(again) == payload


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x0a\x01\x00"], ids=["empty", "junk", "id 0"])
def test_what_is_no_configuration_is_refused(payload: bytes) -> None:
    """A configuration without a voter could never commit anything."""
    with pytest.raises(CodecError):
        decode_configuration(payload)


class Draw(random.Random):
    """Draws surveys and replies."""

    def number(self) -> int:
        """Draw a number that is positive, small or large."""
        return self.choice([1, self.randint(1, 300), self.randint(1, 1 << 63)])

    def sha256(self) -> str:
        """Draw a hash."""
        return f"{self.getrandbits(256):x}"

    def survey(self) -> Survey:
        """Draw a survey; a skew may be negative, or unknown."""
        return Survey(
            sender=self.number(),
            recipient=self.number(),
            term=self.number(),
            sent_ms=self.getrandbits(50),
            skew_ms=self.choice([None, 0, self.randint(-(1 << 50), 1 << 50)]),
            index=self.choice([0, self.number()]),
            hashes=tuple((self.number(), self.sha256()) for _ in range(self.randrange(3))),
        )

    def reply(self) -> SurveyReply:
        """Draw a reply."""
        return SurveyReply(
            sender=self.number(),
            recipient=self.number(),
            term=self.number(),
            sent_ms=self.getrandbits(50),
            clock_ms=self.getrandbits(50),
            index=self.choice([0, self.number()]),
            sha256=self.choice(["", self.sha256()]),
            is_compared=self.random() < 0.5,
            is_diverged=self.random() < 0.5,
            is_stuck=self.random() < 0.5,
            is_at_risk=self.random() < 0.5,
        )


@pytest.mark.parametrize("seed", range(30))
def test_a_frame_holds_what_was_put_into_it(seed: int) -> None:
    """Each kind in its order; a frame is hardly larger than the sizes of what it holds."""
    draw = Draw(seed)
    surveys = [draw.survey() for _ in range(draw.randrange(4))]
    replies = [draw.reply() for _ in range(draw.randrange(4))]
    messages = draw.sample(MESSAGES, draw.randrange(4))
    put: list[PeerMessage] = [*surveys, *messages, *replies]
    frame = peer_pb2.PeerFrame()
    size = sum(add_to_frame(frame, message) for message in put)
    assert 0 <= frame.ByteSize() - size <= 3 * len(put)  # a tag and a length each
    read = peer_pb2.PeerFrame.FromString(frame.SerializeToString())
    assert list(surveys_of(read)) == [*surveys, *replies]
    assert list(map(message_from_wire, read.messages)) == messages


@pytest.mark.parametrize("seed", range(10))
def test_hashes_of_another_form_are_not_compared(seed: int) -> None:
    """A newer build may hash other rows; clocks and standing count all the same."""
    draw = Draw(seed)
    survey, reply = draw.survey(), draw.reply()
    frame = peer_pb2.PeerFrame()
    add_to_frame(frame, survey)
    add_to_frame(frame, reply)
    frame.surveys[0].form = frame.survey_replies[0].form = STATE_HASH_FORM + 1
    without = [replace(survey, index=0, hashes=()), replace(reply, index=0, sha256="")]
    assert list(surveys_of(frame)) == without


def test_what_is_no_message_is_not_sent() -> None:
    """It would arrive as a message of no kind, and be taken for damage."""
    stranger = peer_pb2.Message(sender=1, recipient=2, term=3)
    with pytest.raises(AssertionError, match="sender: 1"):
        message_to_wire(cast("Message", stranger))
