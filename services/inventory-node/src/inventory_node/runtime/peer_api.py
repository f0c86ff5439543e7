"""The peers' links: messages and chunks of snapshots in as events, answers to chunks out.

A message that cannot be true ends its link (`core.claims`). Before the node runs nothing is known
to compare a message with, and messages are dropped.
"""

import asyncio
from collections.abc import Callable

from inventory.raft.v1 import link_pb2, peer_pb2
from link.connection import Link
from link.errors import FrameError, LinkError
from link.frames import FrameKind
from link.hello import parsed
from raft.messages import Message, SnapshotMeta

from inventory_node.codec import decode_configuration, message_from_wire, surveys_of
from inventory_node.core import events
from inventory_node.core.claims import Known, chunk_problem, problem_of, survey_problem
from inventory_node.errors import CodecError
from inventory_node.ports import SnapshotHeader, Survey, SurveyReply
from inventory_node.runtime.peers import Local

MESSAGES_MAX = 4_096  # of one frame; a peer sends a quarter
CHUNK_SECONDS_MAX = 30.0  # between two chunks of a snapshot

Answer = peer_pb2.SnapshotAnswer
Post = Callable[[events.Event], None]
KnownNow = Callable[[], Known | None]  # None: the node does not run yet


class PeerSession:
    """One peer's link for messages: a `LinkUser`.

    - A message is this member's, and its sender is the peer that the certificate names: the link
      has compared the names, and the sender's id is no other member's.
    """

    def __init__(self, hello: link_pb2.LinkHello, api: "PeerApi") -> None:
        """Take messages of the caller that said `hello`."""
        self._hello = hello
        self._api = api

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows PEER alone
        frame = parsed(peer_pb2.PeerFrame, payload)
        known = self._api.known()
        if known is None:
            return
        if len(frame.messages) + len(frame.surveys) + len(frame.survey_replies) > MESSAGES_MAX:
            raise FrameError(f"a frame carries more than {MESSAGES_MAX} messages")
        try:
            messages = tuple(message_from_wire(wire) for wire in frame.messages)
            surveys = tuple(surveys_of(frame))
        except CodecError as error:
            raise FrameError(str(error)) from error
        self._api.check_caller(self._hello)
        for message in messages:
            self._check(message, problem_of(message, known))
        for survey in surveys:
            self._check(survey, survey_problem(survey, known))
        if messages:
            self._api.post(events.PeerMessages(messages))
        for survey in surveys:
            self._api.post(events.Surveyed(survey))

    def _check(self, message: Message | Survey | SurveyReply, problem: str) -> None:
        if message.recipient != self._api.own.member_id:
            raise FrameError("a message is for another member")
        if message.sender != self._hello.caller.member_id:
            raise FrameError("a message is of another member than the caller")
        if problem:
            raise FrameError(f"a {type(message).__name__} cannot be true: {problem}")

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""


class SnapshotSession:
    """One link for a snapshot: a `LinkUser`.

    - One chunk is under way at a time; it is answered when it is stored.
    - The link of a sender that sends no chunk for long ends; the next link resumes behind the
      stored chunks.
    """

    def __init__(self, hello: link_pb2.LinkHello, api: "PeerApi") -> None:
        """Take chunks of the caller that said `hello`."""
        self._hello = hello
        self._api = api
        self._link: Link | None = None
        self._late: asyncio.TimerHandle | None = None
        self._key: tuple[int, int] | None = None  # of the chunk under way: its sender, its snapshot

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self._link = link
        self._wait()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(CHUNK_SECONDS_MAX, self._end_late)

    def _end_late(self) -> None:
        if self._link is not None:
            self._link.end(FrameError("no chunk came in time"))

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows CHUNK alone
        if self._late is not None:
            self._late.cancel()
        if self._key is not None:
            raise FrameError("a chunk came before the last was answered")
        chunk = parsed(peer_pb2.SnapshotChunk, payload)
        self._api.check_caller(self._hello)
        problem = self._api.take(chunk, self._hello.caller.member_id, self)
        if problem:
            self.answer(Answer(problem=problem))

    def begin(self, key: tuple[int, int]) -> None:
        """Have a chunk under way."""
        self._key = key

    def answer(self, answer: Answer) -> None:
        """Answer the chunk under way."""
        self._key = None
        if self._link is None:
            return
        self._link.send(FrameKind.CHUNK_ANSWER, answer.SerializeToString())
        self._link.flush()
        self._wait()

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        del error
        self._link = None
        if self._late is not None:
            self._late.cancel()
        if self._key is not None:
            self._api.forget(self._key, self)


class PeerApi:
    """What a member does with its peers' messages and chunks."""

    def __init__(
        self,
        own: Local,
        post: Post,
        known: KnownNow,
        heard: Callable[[link_pb2.Caller], None],
        name_of: Callable[[int], str],
    ) -> None:
        """Take frames for one member; `heard` learns of each peer that calls.

        `name_of` returns the name of a member that takes part, by its id.
        """
        self.own = own
        self.post = post
        self.known = known
        self._heard = heard
        self._name_of = name_of
        self._chunks: dict[tuple[int, int], SnapshotSession] = {}  # under way

    def session(self, hello: link_pb2.LinkHello) -> PeerSession:
        """Return the user of a peer's link for messages; raise FrameError."""
        self.check_caller(hello)
        self._heard(hello.caller)
        return PeerSession(hello, self)

    def snapshot_session(self, hello: link_pb2.LinkHello) -> SnapshotSession:
        """Return the user of a peer's link for a snapshot."""
        return SnapshotSession(hello, self)

    def check_caller(self, hello: link_pb2.LinkHello) -> None:
        """Refuse a caller with another member's id, or of another cluster; raise FrameError.

        Either may come to be known after the hello.
        """
        caller = hello.caller
        name = self._name_of(caller.member_id)
        if name not in {"", caller.name}:
            raise FrameError(f"{caller.name} calls with the id of {name}")
        if hello.cluster_id and self.own.cluster_id not in {"", hello.cluster_id}:
            raise FrameError(f"{caller.name} calls from another cluster")

    def take(self, chunk: peer_pb2.SnapshotChunk, caller_id: int, session: SnapshotSession) -> str:
        """Post a chunk, which is answered later; return a problem instead if there is one."""
        known = self.known()
        if chunk.recipient != self.own.member_id or chunk.sender != caller_id or known is None:
            return "it is for another member"
        try:
            configuration = decode_configuration(chunk.meta.configuration)
        except CodecError as error:
            return str(error)
        meta = SnapshotMeta(chunk.meta.index, chunk.meta.term, configuration)
        header = SnapshotHeader(meta, chunk.meta.size, chunk.meta.sha256)
        problem = chunk_problem(header, chunk.term, chunk.offset, len(chunk.data), known)
        if problem:
            return problem
        key = (chunk.sender, meta.index)
        before = self._chunks.pop(key, None)
        if before is not None:  # the sender has given this chunk up
            before.answer(Answer(problem="another link takes its place"))
        self._chunks[key] = session
        session.begin(key)
        self.post(events.ChunkReceived(chunk.sender, chunk.term, header, chunk.offset, chunk.data))
        return ""

    def forget(self, key: tuple[int, int], session: SnapshotSession) -> None:
        """Forget a chunk under way, whose link is closed."""
        if self._chunks.get(key) is session:
            del self._chunks[key]

    def answer_chunk(
        self, peer: int, index: int, taken: int, *, installed: bool, problem: str
    ) -> None:
        """Answer the waiting chunk."""
        waiting = self._chunks.pop((peer, index), None)
        if waiting is not None:
            waiting.answer(Answer(taken=taken, installed=installed, problem=problem))
