"""Bytes of links: frames, the hello, and what members and gateways say to each other."""

from collections.abc import Collection, Mapping
from typing import Any

import pkitest
from gateway.router import Router, RouterSettings
from gateway.runtime.links import LeaderSession
from inventory.raft.v1 import forward_pb2, link_pb2, log_pb2, peer_pb2
from inventory_node.core.claims import Known
from inventory_node.ports import Contact
from inventory_node.runtime.gateways import Gateways, GatewaySession
from inventory_node.runtime.peer_api import PeerApi, PeerSession
from inventory_node.runtime.peers import Local
from link.errors import FrameError, LinkError
from link.frames import BYTES_MAX, HEADER_BYTES, MAGIC, FrameDecoder, FrameEncoder, FrameKind
from link.hello import CallerHello, Introduction, MemberHello, Reception
from link.tls import TlsEnd
from pki.identities import parse_identity

from fuzz.target import FuzzTarget

CLUSTER, NAME = "cluster", "node-0"
OWN, PEER = parse_identity("node-0"), parse_identity("node-1")
CALLER = link_pb2.Caller(member_id=2, name="node-1", address="127.0.0.1:7401")
KNOWN = Known(term=5, last_index=100, is_leader=True)
KINDS = frozenset(FrameKind)
PIECE_BYTES = 37


def _judge_frames(data: bytes) -> None:
    """Take a stream in pieces: what waits is one frame at most."""
    decoder = FrameDecoder(KINDS, awaits_magic=True)
    try:
        for at in range(0, len(data), PIECE_BYTES):
            decoder.feed(data[at : at + PIECE_BYTES])
            while decoder.next_frame() is not None:
                pass
            if len(decoder) > HEADER_BYTES + max(BYTES_MAX.values()) + PIECE_BYTES:
                raise AssertionError("more waits than one frame")
    except FrameError:
        return


def _seed_frames() -> list[bytes]:
    encoder = FrameEncoder()
    return [
        MAGIC
        + encoder.encode(FrameKind.HELLO, b"hello")
        + encoder.encode(FrameKind.PING, b"")
        + encoder.encode(FrameKind.PEER, bytes(300))
    ]


def _introduction() -> Introduction:
    return Introduction(
        contexts=pkitest.contexts("node-1"),
        purpose=link_pb2.PURPOSE_PEER,
        caller=CALLER,
        recipient=NAME,
        cluster_id=CLUSTER,
    )


def _reception() -> Reception:
    return Reception(contexts=pkitest.contexts(NAME), cluster_id=lambda: CLUSTER, name=NAME)


def _judge_handshake(data: bytes) -> None:
    """Take the beginning of a caller's TLS, whoever it is: nobody without a certificate gets in."""
    end = TlsEnd(pkitest.contexts(NAME).server(), is_server=True)
    try:
        for at in range(0, len(data), PIECE_BYTES):
            end.receive(data[at : at + PIECE_BYTES])
            end.take()
    except LinkError as error:
        if not str(error).isprintable():
            raise AssertionError("a refusal cannot be printed") from error
        return
    if end.is_complete:
        raise AssertionError("a caller without a certificate was let in")


def _seed_handshakes() -> list[bytes]:
    end = TlsEnd(pkitest.contexts("node-1").client(), is_server=False)
    end.begin()
    return [end.take()]


def _judge_member_hello(data: bytes) -> None:
    """Take a hello of a member, whatever the hello says."""
    member = MemberHello(_reception())
    try:
        member.receive(data, PEER)
    except LinkError:
        return
    hello = member.hello
    if (hello.recipient, hello.caller.name) != (NAME, PEER.name):
        raise AssertionError("another member's caller was let in, or one by another's name")


def _judge_caller_hello(data: bytes) -> None:
    """Take a member's answer."""
    caller = CallerHello(_introduction())
    kind = FrameKind.REFUSED if data[:1] == b"\0" else FrameKind.ACCEPTED
    try:
        caller.receive(kind, data[1:])
    except LinkError as error:
        if not str(error).isprintable():
            raise AssertionError("a refusal cannot be printed") from error
        return
    if kind is FrameKind.REFUSED or caller.cluster_id not in {"", CLUSTER}:
        raise AssertionError("a link is open that was refused, or to another cluster")


def _seed_caller_hellos() -> list[bytes]:
    _, hello = CallerHello(_introduction()).begin(OWN)
    _, accepted = MemberHello(_reception()).receive(hello, PEER)
    refusal = link_pb2.LinkRefusal(
        reason=link_pb2.LinkRefusal.REASON_CERTIFICATE, sentence="not for this"
    )
    return [b"\1" + accepted, b"\0" + refusal.SerializeToString()]


def _local() -> Local:
    return Local(CLUSTER, 1, Contact(NAME, "127.0.0.1:7400"), pkitest.contexts(NAME))


def _drop(_event: object) -> None:
    pass


def _api() -> PeerApi:
    names = {1: NAME, 2: PEER.name}
    return PeerApi(_local(), _drop, lambda: KNOWN, _drop, lambda member: names.get(member, ""))


def _hello() -> link_pb2.LinkHello:
    return link_pb2.LinkHello(cluster_id=CLUSTER, caller=CALLER)


def _judge_peer(data: bytes) -> None:
    try:
        PeerSession(_hello(), _api()).received(FrameKind.PEER, data)
    except FrameError:
        return


def _seed_peers() -> list[bytes]:
    frame = peer_pb2.PeerFrame()
    append = frame.messages.add(sender=2, recipient=1, term=5).append_request
    append.previous_index, append.previous_term, append.commit = 4, 3, 4
    append.entries.add(index=5, term=5, kind=1, payload=b"payload")
    configuration = log_pb2.Configuration(voters=[1, 2])
    append.entries.add(index=6, term=5, kind=2, payload=configuration.SerializeToString())
    frame.messages.add(sender=2, recipient=1, term=5).heartbeat.commit = 3
    frame.surveys.add(sender=2, recipient=1, term=5, sent_ms=7, form=1, index=3)
    frame.survey_replies.add(sender=2, recipient=1, term=5, sent_ms=7, form=1, sha256="aa")
    return [frame.SerializeToString()]


def _judge_chunk(data: bytes) -> None:
    session = _api().snapshot_session(_hello())
    try:
        session.received(FrameKind.CHUNK, data)
    except FrameError:
        return


def _seed_chunks() -> list[bytes]:
    chunk = peer_pb2.SnapshotChunk(sender=2, recipient=1, term=5, data=b"bytes")
    chunk.meta.index, chunk.meta.term, chunk.meta.size = 50, 4, 100
    chunk.meta.sha256 = bytes(32)
    chunk.meta.configuration = log_pb2.Configuration(voters=[1, 2]).SerializeToString()
    return [chunk.SerializeToString()]


def _judge_forwarded(data: bytes) -> None:
    try:
        GatewaySession(1, Gateways(_drop)).received(FrameKind.REQUEST, data)
    except FrameError:
        return


class _NoMembers:
    """Links that carry nothing."""

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """See `gateway.router.Links`."""

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """See `gateway.router.Links`."""


def _judge_response(data: bytes) -> None:
    """Take a member's frame at a gateway that has asked something."""
    router = Router(RouterSettings(members=("node-0", "node-1")), _NoMembers())
    answers: list[Any] = []
    router.propose(b"command", 10**6, answers.append, 1)
    question = forward_pb2.Question()
    question.query.get_current_user.SetInParent()
    router.ask(question, 10**6, answers.append)
    session = LeaderSession("node-0", "", router, lambda: None)
    try:
        session.received(FrameKind.RESPONSE, data)
        router.tick(1)
        session.received(FrameKind.RESPONSE, data)
        router.tick(10**7)
    except FrameError:
        return
    if len(answers) != 2:
        raise AssertionError(f"two requests have {len(answers)} answers")


def _seed_responses() -> list[bytes]:
    response = forward_pb2.ForwardResponse()
    response.leadership.leader, response.leadership.term = "node-0", 5
    response.leadership.members.add(name="node-0", address="127.0.0.1:7400")
    response.replies.add(id=1, outcome=b"outcome")
    response.replies.add(id=2, retry=forward_pb2.RETRY_NOT_LEADER)
    return [response.SerializeToString()]


def _seed_forwarded() -> list[bytes]:
    request = forward_pb2.ForwardRequest()
    request.proposals.add(id=1, command=b"command")
    request.questions.add(
        id=2, user_id=3, epoch=1, session_id=3
    ).query.get_all_items.filter.name_contains = "a"
    return [request.SerializeToString()]


TARGETS = (
    FuzzTarget(name="frames", judge=_judge_frames, seeds=_seed_frames),
    FuzzTarget(
        name="member_hellos",
        judge=_judge_member_hello,
        seeds=lambda: [CallerHello(_introduction()).begin(OWN)[1]],
    ),
    FuzzTarget(name="handshakes", judge=_judge_handshake, seeds=_seed_handshakes),
    FuzzTarget(name="caller_hellos", judge=_judge_caller_hello, seeds=_seed_caller_hellos),
    FuzzTarget(name="peer_messages", judge=_judge_peer, seeds=_seed_peers),
    FuzzTarget(name="snapshot_chunks", judge=_judge_chunk, seeds=_seed_chunks),
    FuzzTarget(name="forwarded", judge=_judge_forwarded, seeds=_seed_forwarded),
    FuzzTarget(name="responses", judge=_judge_response, seeds=_seed_responses),
)
