"""What a link is for, who may open one, and which frames each end may send on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from inventory.raft.v1 import link_pb2
from pki.identities import Kind

from link.frames import FrameKind

Purpose = link_pb2.Purpose

_ALWAYS = frozenset({FrameKind.PING, FrameKind.REFUSED})


@dataclass(frozen=True, slots=True)
class PurposeKinds:
    """The kinds of frames that an open link carries."""

    to_member: frozenset[FrameKind]
    to_caller: frozenset[FrameKind]


def _kinds(to_member: FrameKind, *to_caller: FrameKind) -> PurposeKinds:
    return PurposeKinds(_ALWAYS | {to_member}, _ALWAYS | {*to_caller})


KINDS = {
    link_pb2.PURPOSE_PEER: _kinds(FrameKind.PEER),
    link_pb2.PURPOSE_GATEWAY: _kinds(FrameKind.REQUEST, FrameKind.RESPONSE),
    link_pb2.PURPOSE_RELAY: _kinds(FrameKind.CARRIED, FrameKind.CARRIED),
    link_pb2.PURPOSE_CARRIED: _kinds(FrameKind.CARRIED, FrameKind.CARRIED),
    link_pb2.PURPOSE_SNAPSHOT: _kinds(FrameKind.CHUNK, FrameKind.CHUNK_ANSWER),
    link_pb2.PURPOSE_QUESTION: _kinds(FrameKind.QUESTION, FrameKind.ANSWER),
    link_pb2.PURPOSE_WATCH: _kinds(FrameKind.QUESTION, FrameKind.ANSWER),
}

MAY_OPEN: Mapping[Kind, frozenset[Purpose.ValueType]] = {  # by the kind that a certificate names
    Kind.MEMBER: frozenset(
        {
            link_pb2.PURPOSE_PEER,
            link_pb2.PURPOSE_SNAPSHOT,
            link_pb2.PURPOSE_QUESTION,
            link_pb2.PURPOSE_CARRIED,
        }
    ),
    Kind.GATEWAY: frozenset(
        {link_pb2.PURPOSE_GATEWAY, link_pb2.PURPOSE_QUESTION, link_pb2.PURPOSE_RELAY}
    ),
    Kind.HEALTH: frozenset({link_pb2.PURPOSE_WATCH}),
    Kind.METRICS: frozenset(),
    Kind.ASSISTANT: frozenset(),
}
# A link that is carried carries no further one, so there are no circles.
NOT_CARRIED = frozenset({link_pb2.PURPOSE_RELAY, link_pb2.PURPOSE_CARRIED})
