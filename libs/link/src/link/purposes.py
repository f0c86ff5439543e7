"""What a link is for, and which frames each end may send on it."""

from dataclasses import dataclass

from inventory.raft.v1 import link_pb2

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
    link_pb2.PURPOSE_RELAY: _kinds(FrameKind.REQUEST, FrameKind.RESPONSE),
    link_pb2.PURPOSE_SNAPSHOT: _kinds(FrameKind.CHUNK, FrameKind.CHUNK_ANSWER),
    link_pb2.PURPOSE_QUESTION: _kinds(FrameKind.QUESTION, FrameKind.ANSWER),
    link_pb2.PURPOSE_WATCH: _kinds(FrameKind.QUESTION, FrameKind.ANSWER),
}
