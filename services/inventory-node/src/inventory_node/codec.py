"""Messages and configurations as bytes, and back.

Received bytes are not trusted to be well formed. A message of no known kind, an entry of no known
kind, a configuration that cannot be read, or an id of 0 raises `CodecError`, and the caller drops
the frame. `InstallSnapshot` has no wire form: a snapshot travels in chunks, and the recipient
builds the message.
"""

from collections.abc import Iterable
from typing import assert_never

from google.protobuf.message import DecodeError
from inventory.raft.v1 import log_pb2, peer_pb2
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
    TimeoutNow,
    VoteReply,
    VoteRequest,
)

from inventory_node.errors import CodecError
from inventory_node.ports import STATE_HASH_FORM, PeerMessage, Survey, SurveyReply


def encode_configuration(configuration: Configuration) -> bytes:
    """Return the payload of a configuration entry; equal configurations give equal bytes."""
    wire = log_pb2.Configuration(
        voters=sorted(configuration.voters), learners=sorted(configuration.learners)
    )
    for member, label in configuration.labels:
        wire.contacts.add(member_id=member, label=label)
    return wire.SerializeToString()


def decode_configuration(payload: bytes) -> Configuration:
    """Read the payload of a configuration entry; raise CodecError on any other bytes."""
    try:
        read = log_pb2.Configuration.FromString(payload)
    except DecodeError as error:
        raise CodecError(f"not a configuration: {error}") from error
    labels = tuple((contact.member_id, contact.label) for contact in read.contacts)
    configuration = Configuration(frozenset(read.voters), frozenset(read.learners), labels)
    if not configuration.voters or 0 in configuration.voters | configuration.learners:
        raise CodecError("a configuration needs a voter, and no member has the id 0")
    return configuration


def message_to_wire(message: Message) -> peer_pb2.Message:  # noqa: C901, PLR0912 - an arm a kind
    """Return a message's wire form; raise CodecError for InstallSnapshot, which has none."""
    wire = peer_pb2.Message(sender=message.sender, recipient=message.recipient, term=message.term)
    match message:
        case AppendRequest():
            _write_append_request(wire.append_request, message)
        case AppendReply():
            wire.append_reply.accepted = message.accepted
            wire.append_reply.index = message.index
            wire.append_reply.conflict_index = message.conflict_index
            wire.append_reply.conflict_term = message.conflict_term
        case Heartbeat():
            wire.heartbeat.commit = message.commit
            wire.heartbeat.context = message.context
        case HeartbeatReply():
            wire.heartbeat_reply.context = message.context
        case PreVoteRequest():
            _write_vote_request(wire.pre_vote_request, message)
        case VoteRequest():
            _write_vote_request(wire.vote_request, message)
            wire.vote_request.is_transfer = message.is_transfer
        case PreVoteReply():
            wire.pre_vote_reply.granted = message.granted
        case VoteReply():
            wire.vote_reply.granted = message.granted
        case TimeoutNow():
            wire.timeout_now.SetInParent()
        case ReadRequest():
            wire.read_request.context = message.context
        case ReadReply():
            wire.read_reply.context = message.context
            wire.read_reply.index = message.index
        case InstallSnapshot():
            raise CodecError("a snapshot travels in chunks, not as a message")
        case _:
            assert_never(message)
    return wire


def message_from_wire(  # noqa: C901, PLR0911, PLR0912 - an arm a kind
    wire: peer_pb2.Message,
) -> Message:
    """Read a peer's message; raise CodecError on bytes that are no message."""
    sender, recipient, term = wire.sender, wire.recipient, wire.term
    if not sender or not recipient:
        raise CodecError("a message without a sender or a recipient")
    match wire.WhichOneof("kind"):
        case "append_request":
            return _read_append_request(wire)
        case "append_reply":
            reply = wire.append_reply
            return AppendReply(
                sender=sender,
                recipient=recipient,
                term=term,
                accepted=reply.accepted,
                index=reply.index,
                conflict_index=reply.conflict_index,
                conflict_term=reply.conflict_term,
            )
        case "heartbeat":
            beat = wire.heartbeat
            return Heartbeat(sender, recipient, term, beat.commit, beat.context)
        case "heartbeat_reply":
            return HeartbeatReply(sender, recipient, term, wire.heartbeat_reply.context)
        case "pre_vote_request":
            ask = wire.pre_vote_request
            return PreVoteRequest(sender, recipient, term, ask.last_index, ask.last_term)
        case "vote_request":
            ask = wire.vote_request
            return VoteRequest(
                sender=sender,
                recipient=recipient,
                term=term,
                last_index=ask.last_index,
                last_term=ask.last_term,
                is_transfer=ask.is_transfer,
            )
        case "pre_vote_reply":
            return PreVoteReply(sender, recipient, term, granted=wire.pre_vote_reply.granted)
        case "vote_reply":
            return VoteReply(sender, recipient, term, granted=wire.vote_reply.granted)
        case "timeout_now":
            return TimeoutNow(sender, recipient, term)
        case "read_request":
            return ReadRequest(sender, recipient, term, wire.read_request.context)
        case "read_reply":
            answer = wire.read_reply
            return ReadReply(sender, recipient, term, answer.context, answer.index)
        case None:
            raise CodecError("a message of no known kind")


def _write_vote_request(wire: peer_pb2.VoteRequest, message: PreVoteRequest | VoteRequest) -> None:
    wire.last_index = message.last_index
    wire.last_term = message.last_term


def _write_append_request(wire: peer_pb2.AppendRequest, message: AppendRequest) -> None:
    wire.previous_index = message.previous_index
    wire.previous_term = message.previous_term
    wire.commit = message.commit
    for entry in message.entries:
        wire.entries.add(index=entry.index, term=entry.term, kind=entry.kind, payload=entry.payload)


def _read_append_request(wire: peer_pb2.Message) -> AppendRequest:
    request = wire.append_request
    try:
        entries = tuple(
            Entry(entry.index, entry.term, EntryKind(entry.kind), entry.payload)
            for entry in request.entries
        )
    except ValueError as error:
        raise CodecError(f"an entry of no known kind: {error}") from error
    for position, entry in enumerate(entries, start=request.previous_index + 1):
        if entry.kind is EntryKind.CONFIGURATION:
            decode_configuration(entry.payload)
        if entry.index != position:
            raise CodecError(f"entry {entry.index} stands where {position} belongs")
    return AppendRequest(
        sender=wire.sender,
        recipient=wire.recipient,
        term=wire.term,
        previous_index=request.previous_index,
        previous_term=request.previous_term,
        commit=request.commit,
        entries=entries,
    )


def add_to_frame(frame: peer_pb2.PeerFrame, message: PeerMessage) -> int:
    """Put a message into a frame; return the message's size in bytes. CodecError: no wire form."""
    if isinstance(message, Survey):
        return _write_survey(frame.surveys.add(), message)
    if isinstance(message, SurveyReply):
        return _write_survey_reply(frame.survey_replies.add(), message)
    wire = message_to_wire(message)
    frame.messages.append(wire)
    return wire.ByteSize()


def surveys_of(frame: peer_pb2.PeerFrame) -> Iterable[Survey | SurveyReply]:
    """Read the surveys and survey replies of a frame.

    Hashes of another form than this build's are left out: hashes of different forms do not compare.
    """
    for survey in frame.surveys:
        comparable = survey.form == STATE_HASH_FORM
        yield Survey(
            sender=survey.sender,
            recipient=survey.recipient,
            term=survey.term,
            sent_ms=survey.sent_ms,
            skew_ms=survey.skew_ms if survey.HasField("skew_ms") else None,
            index=survey.index if comparable else 0,
            hashes=tuple((one.member_id, one.sha256) for one in survey.hashes if comparable),
        )
    for reply in frame.survey_replies:
        comparable = reply.form == STATE_HASH_FORM
        yield SurveyReply(
            sender=reply.sender,
            recipient=reply.recipient,
            term=reply.term,
            sent_ms=reply.sent_ms,
            clock_ms=reply.clock_ms,
            index=reply.index if comparable else 0,
            sha256=reply.sha256 if comparable else "",
            is_compared=reply.compared,
            is_diverged=reply.diverged,
            is_stuck=reply.stuck,
            is_at_risk=reply.at_risk,
        )


def _write_survey(wire: peer_pb2.Survey, survey: Survey) -> int:
    wire.sender, wire.recipient, wire.term = survey.sender, survey.recipient, survey.term
    wire.sent_ms = survey.sent_ms
    if survey.skew_ms is not None:
        wire.skew_ms = survey.skew_ms
    wire.form, wire.index = STATE_HASH_FORM, survey.index
    for member, sha256 in survey.hashes:
        wire.hashes.add(member_id=member, sha256=sha256)
    return wire.ByteSize()


def _write_survey_reply(wire: peer_pb2.SurveyReply, reply: SurveyReply) -> int:
    wire.sender, wire.recipient, wire.term = reply.sender, reply.recipient, reply.term
    wire.sent_ms, wire.clock_ms = reply.sent_ms, reply.clock_ms
    wire.form, wire.index, wire.sha256 = STATE_HASH_FORM, reply.index, reply.sha256
    wire.compared, wire.diverged = reply.is_compared, reply.is_diverged
    wire.stuck, wire.at_risk = reply.is_stuck, reply.is_at_risk
    return wire.ByteSize()
