"""Members and gateways over real loopback links."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pkitest
import pytest
from inventory.raft.v1 import forward_pb2, link_pb2, membership_pb2, peer_pb2
from inventory.v1 import cluster_pb2
from inventory_node.codec import encode_configuration
from inventory_node.core import events
from inventory_node.core.claims import Known
from inventory_node.errors import BootstrapRefused
from inventory_node.ports import Contact, SnapshotHeader
from inventory_node.runtime import peer_api as api_module
from inventory_node.runtime import peers as peers_module
from inventory_node.runtime import snapshot_sender as sender_module
from inventory_node.runtime.gateways import REQUESTS_MAX, Gateways
from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.peer_api import PeerApi
from inventory_node.runtime.peers import MESSAGES_WAITING_MAX, Local, Peer, Peers
from inventory_node.runtime.questions import MemberAnswers
from inventory_node.runtime.relay import Relays
from inventory_node.runtime.server import MemberServer
from inventory_node.runtime.snapshot_sender import CHUNK_BYTES
from link import outgoing
from link.asking import LinkAsker
from link.connection import Link
from link.dialing import dial
from link.errors import LinkError, LinkRefused, TlsFailed
from link.frames import FrameEncoder, FrameKind
from link.hello import Introduction, parsed
from link.purposes import MAY_OPEN
from pki.contexts import PkiContexts
from pki.identities import parse_identity
from raft.messages import Configuration, Heartbeat, HeartbeatReply, Message, SnapshotMeta
from service.errors import AddressInUse

CLUSTER = "cluster"
OWN, OTHER = 1, 2
SECONDS_MAX = 20
META = SnapshotMeta(7, 3, Configuration(frozenset({OWN, OTHER})))
MEMBER = cluster_pb2.Member(name="b", id=OTHER)


class Side:
    """The serving member: its events, and what serves it."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        self.events: list[events.Event] = []
        self.heard: list[link_pb2.Caller] = []
        self.is_read = True
        self.known: Known | None = Known(term=3, last_index=10, is_leader=False)
        self.own = Local(CLUSTER, OTHER, Contact("b", "b:1"), pkitest.contexts("b"))
        self.names = {OWN: "a", OTHER: "b"}
        self.peer_api = PeerApi(
            self.own, self.post, lambda: self.known, self.heard.append, self.name_of
        )
        self.changes = MembershipService(self.post)
        self.gateways = Gateways(self.post)
        answers = MemberAnswers(self.own, self.describe, lambda: MEMBER, self.changes, self.name_of)
        relays = Relays(self.own, lambda _: "")
        self.server = MemberServer(self.own, self.gateways, self.peer_api, answers, relays)
        self.on_chunk: Callable[[events.ChunkReceived], None] = lambda _: None
        self.address = ""

    def name_of(self, member: int) -> str:
        """Return the name of a member that takes part."""
        return self.names.get(member, "")

    def post(self, event: events.Event) -> None:
        """Keep an event."""
        self.events.append(event)
        if isinstance(event, events.ChunkReceived):
            self.on_chunk(event)

    def describe(self) -> peer_pb2.DescribeResponse | None:
        """Say what this member is."""
        if not self.is_read:
            return None
        return peer_pb2.DescribeResponse(
            name="b", cluster_id=CLUSTER, member_id=OTHER, bootstrapped=True, term=4
        )

    def messages(self) -> list[tuple[Message, ...]]:
        """Return the frames that came."""
        return [e.messages for e in self.events if isinstance(e, events.PeerMessages)]


@asynccontextmanager
async def serving(address: str = "127.0.0.1:0") -> AsyncIterator[Side]:
    """Serve a member, on a free port unless one is given."""
    side = Side()
    side.address = f"127.0.0.1:{await side.server.listen(address)}"
    try:
        yield side
    finally:
        side.server.close()


@asynccontextmanager
async def calling(
    side: Side, cluster: str = CLUSTER, authority: str = "tests"
) -> AsyncIterator[tuple[Peers, Peer, list[events.Event]]]:
    """Call a member from another one."""
    posted: list[events.Event] = []
    own = Local(cluster, OWN, Contact("a", "a:1"), pkitest.contexts("a", authority))
    peers = Peers(own, {OTHER: Contact("b", side.address)}, posted.append)
    peer = peers[OTHER]
    running = asyncio.ensure_future(peers.run())
    try:
        yield peers, peer, posted
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        peers.close()


class Caller:
    """Whoever calls a member by hand: a `LinkUser`."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.link: Link
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.ends: list[LinkError] = []

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self.link = link

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind
        self.frames.put_nowait(payload)

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        self.ends.append(error)

    def say(self, kind: FrameKind, message: Any) -> None:  # noqa: ANN401 - a message of any type
        """Send a message."""
        self.link.send(kind, message.SerializeToString())
        self.link.flush()

    async def response(self) -> forward_pb2.ForwardResponse:
        """Return the next response."""
        return parsed(forward_pb2.ForwardResponse, await self.frames.get())


CALLERS = {
    link_pb2.PURPOSE_GATEWAY: "gateway",
    link_pb2.PURPOSE_RELAY: "gateway",
    link_pb2.PURPOSE_WATCH: "health",
}


def opening(purpose: int, process: str = "", authority: str = "tests") -> Introduction:
    """Return what member 1, or another process, says as it calls member 2."""
    known = CALLERS.get(purpose, "a")  # type: ignore[call-overload]  # a number of that enumeration
    return Introduction(
        contexts=pkitest.contexts(process or known, authority),
        purpose=purpose,  # type: ignore[arg-type]  # a number of that enumeration
        caller=link_pb2.Caller(member_id=OWN, name="a", address="a:1"),
        recipient="b",
        cluster_id=CLUSTER,
    )


async def called(side: Side, purpose: int, process: str = "") -> Caller:
    """Open a link by hand; raise LinkError."""
    caller = Caller()
    await dial(side.address, opening(purpose, process), caller, SECONDS_MAX)
    return caller


def may_open(process: str) -> frozenset[int]:
    """Return the purposes that a process's certificate allows."""
    return MAY_OPEN[parse_identity(process).kind]


def foreign(introduction: Introduction) -> Introduction:
    """Return an introduction with a certificate of another authority, which trusts the members."""
    identity = introduction.contexts.identity
    files = pkitest.folder("another").keep(identity)
    trusted = pkitest.folder().trusted_path
    return replace(introduction, contexts=PkiContexts(replace(files, trusted=trusted)))


async def asked_by(
    side: Side, process: str, question: link_pb2.LinkQuestion
) -> link_pb2.LinkAnswer:
    """Ask a member; return its answer."""
    asker = LinkAsker(side.address, lambda: opening(link_pb2.PURPOSE_QUESTION, process))
    try:
        return await asker.ask(question, SECONDS_MAX)
    finally:
        asker.close()


async def until(what: Callable[[], object]) -> None:
    """Let things happen until `what` is so."""
    while not what():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(SECONDS_MAX):
            await scenario()

    asyncio.run(bounded())


def answer(context: int, recipient: int = OTHER) -> HeartbeatReply:
    """Return a message that can be told from others."""
    return HeartbeatReply(OWN, recipient, 3, context)


def beat(commit: int) -> Heartbeat:
    """Return a heartbeat that can be told from others."""
    return Heartbeat(OWN, OTHER, 3, commit, 0)


class TestMessages:
    """One stream to each peer."""

    def test_a_turns_messages_are_one_frame_in_their_order(self) -> None:
        """Frames cost; messages in one do not."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, peer, _):
                await until(lambda: peer.is_up)
                peers.send([answer(1), answer(2)])
                peers.send([answer(3)])
                peers.send_queued()
                await until(side.messages)
                assert side.messages() == [(answer(1), answer(2), answer(3))]

        run(scenario)

    def test_the_newest_heartbeat_goes_first(self) -> None:
        """However much waits, and there is room for it."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, peer, _):
                await until(lambda: peer.is_up)
                many = [answer(n) for n in range(MESSAGES_WAITING_MAX)]
                peers.send([beat(1), *many, beat(2)])
                assert peers.dropped_messages == 0
                peers.send_queued()
                await until(side.messages)
                assert side.messages() == [(beat(2), *many)]

        run(scenario)

    def test_what_cannot_be_sent_is_dropped_and_counted(self) -> None:
        """Consensus repeats what matters; a queue without a bound would only grow."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, peer, _):
                peers.send([answer(1)])
                assert (peers.dropped_messages, peers.waiting_messages) == (1, 0)
                await until(lambda: peer.is_up)
                peers.send([answer(n) for n in range(MESSAGES_WAITING_MAX + 5)])
                assert peers.waiting_messages == MESSAGES_WAITING_MAX
                assert peers.dropped_messages == 6
                peers.send([answer(1, recipient=99)])  # nobody here

        run(scenario)

    def test_a_peer_that_comes_back_is_found_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On the same address, without anybody asking for it."""
        monkeypatch.setattr(peers_module, "RECONNECT_SECONDS", 0)

        async def scenario() -> None:
            async with serving() as first:
                caller = calling(first)
                peers, peer, _ = await caller.__aenter__()
                await until(lambda: peer.is_up)
            try:
                await until(lambda: not peer.is_up)
                async with serving(first.address) as second:
                    await until(lambda: peer.is_up)
                    peers.send([answer(8)])
                    peers.send_queued()
                    await until(second.messages)
                    assert second.messages() == [(answer(8),)]
            finally:
                await caller.__aexit__(None, None, None)

        run(scenario)

    def test_what_waits_for_a_stream_that_breaks_is_dropped(self) -> None:
        """Whatever its kind: the next stream begins with what is said from then on."""

        async def scenario() -> None:
            async with AsyncExitStack() as callers:
                async with serving() as side:
                    peers, peer, _ = await callers.enter_async_context(calling(side))
                    await until(lambda: peer.is_up)
                    peers.send([beat(1), answer(1)])
                    assert peers.waiting_messages == 2
                await until(lambda: not peer.is_up)
                assert peers.waiting_messages == 0

        run(scenario)

    @pytest.mark.parametrize(("cluster", "authority"), [("other", "tests"), (CLUSTER, "another")])
    def test_a_stranger_is_never_up(
        self, cluster: str, authority: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another cluster's member, or another authority's; it asks again at its leisure."""
        refused = asyncio.Event()
        pauses: list[float] = []

        async def scenario() -> None:
            async with serving() as side, calling(side, cluster, authority) as (peers, peer, _):
                pause_after = peer._pause_after

                def note(error: LinkError) -> float:
                    pauses.append(pause_after(error))
                    refused.set()
                    return pauses[-1]

                monkeypatch.setattr(peer, "_pause_after", note)
                await refused.wait()
                assert not peer.is_up
                peers.send([answer(1)])
                peers.send_queued()
                assert not side.messages()
                assert pauses == [peers_module.REFUSED_SECONDS]

        run(scenario)

    @pytest.mark.parametrize("known_before", [True, False])
    def test_a_certificate_speaks_under_no_other_member_s_id(self, known_before: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """Whether the id is another member's at the hello, or comes to be so."""

        async def scenario() -> None:
            async with serving() as side:
                side.names = {OWN: "c", OTHER: "b"} if known_before else {}
                if known_before:
                    with pytest.raises(LinkRefused, match="a calls with the id of c"):
                        await called(side, link_pb2.PURPOSE_PEER)
                    return
                caller = await called(side, link_pb2.PURPOSE_PEER)
                chunks = await called(side, link_pb2.PURPOSE_SNAPSHOT)
                side.names = {OWN: "c"}
                right = peer_pb2.Message(
                    sender=OWN, recipient=OTHER, term=3, heartbeat=peer_pb2.Heartbeat()
                )
                caller.say(FrameKind.PEER, peer_pb2.PeerFrame(messages=[right]))
                chunks.say(FrameKind.CHUNK, peer_pb2.SnapshotChunk(sender=OWN, recipient=OTHER))
                await until(lambda: caller.ends and chunks.ends)
                assert str(caller.ends[0]) == str(chunks.ends[0]) == "a calls with the id of c"
                assert not side.messages()

        run(scenario)

    def test_a_member_that_has_not_begun_takes_nothing_of_another_cluster_later(self) -> None:
        """The caller said which cluster it is of before this member knew its own."""

        async def scenario() -> None:
            async with serving() as side:
                side.own.cluster_id = ""
                caller = await called(side, link_pb2.PURPOSE_PEER)
                side.own.cluster_id = "other"
                caller.say(FrameKind.PEER, peer_pb2.PeerFrame())
                await until(lambda: caller.ends)
                assert str(caller.ends[0]) == "a calls from another cluster"

        run(scenario)

    @pytest.mark.parametrize(
        ("frame", "sentence"),
        [
            ([peer_pb2.Message(sender=OWN, recipient=OTHER)], "of no known kind"),
            (
                [peer_pb2.Message(sender=OWN, recipient=9, heartbeat=peer_pb2.Heartbeat())],
                "for another member",
            ),
            (
                [peer_pb2.Message(sender=9, recipient=OTHER, heartbeat=peer_pb2.Heartbeat())],
                "than the caller",
            ),
            (
                [
                    peer_pb2.Message(
                        sender=OWN, recipient=OTHER, term=2**64 - 1, heartbeat=peer_pb2.Heartbeat()
                    )
                ],
                "cannot follow term 3",
            ),
            (
                [
                    peer_pb2.Message(
                        sender=OWN, recipient=OTHER, term=3, heartbeat=peer_pb2.Heartbeat(commit=11)
                    )
                ],
                "beyond the end of a log, 10",
            ),
        ],
    )
    def test_a_message_that_cannot_be_ends_its_link(
        self, frame: list[peer_pb2.Message], sentence: str
    ) -> None:
        """Every frame is looked at, not the first alone; nothing of the frame is taken."""

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_PEER)
                right = peer_pb2.Message(
                    sender=OWN, recipient=OTHER, term=3, heartbeat=peer_pb2.Heartbeat()
                )
                caller.say(FrameKind.PEER, peer_pb2.PeerFrame(messages=[right]))
                caller.say(FrameKind.PEER, peer_pb2.PeerFrame(messages=[right, *frame]))
                await until(lambda: caller.ends or len(side.messages()) > 1)
                assert [len(one) for one in side.messages()] == [1]
                assert isinstance(caller.ends[0], LinkRefused)
                assert sentence in str(caller.ends[0])

        run(scenario)

    def test_before_the_node_runs_messages_are_dropped(self) -> None:
        """There is nothing that they could be compared with; their link stays."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, peer, _):
                known, side.known = side.known, None
                await until(lambda: peer.is_up)
                peers.send([answer(1)])
                peers.send_queued()
                await peers.describe()  # which comes later
                side.known = known
                peers.send([answer(2)])
                peers.send_queued()
                await until(side.messages)
                assert side.messages() == [(answer(2),)]

        run(scenario)

    def test_a_member_whose_id_is_drawn_says_so_anew(self) -> None:
        """What it sends is its own from then on, and whoever it calls knows where it is."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, peer, _):
                await until(lambda: peer.is_up)
                peers._own.member_id = 77
                peers.introduce()
                await until(lambda: not peer.is_up)
                await until(lambda: peer.is_up)
                assert [one.member_id for one in side.heard] == [OWN, 77]
                peers.send([HeartbeatReply(77, OTHER, 3, 5)])
                peers.send_queued()
                await until(side.messages)

        run(scenario)

    def test_a_peer_that_does_not_read_is_sent_the_newest_heartbeat_later(self) -> None:
        """What waits is bounded, and the rest is dropped."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, peer, _):
                await until(lambda: peer.is_up)
                link = peer._link
                assert link is not None
                link.pause_writing()
                for number in range(MESSAGES_WAITING_MAX + 5):
                    peers.send([answer(number), beat(number % 10)])
                    peers.send_queued()
                assert peers.waiting_messages == MESSAGES_WAITING_MAX + 1
                assert peers.dropped_messages == 5
                link.resume_writing()
                await until(side.messages)
                last = (MESSAGES_WAITING_MAX + 4) % 10
                assert side.messages()[0][:2] == (beat(last), answer(0))

        run(scenario)


class TestDescribe:
    """What a starting member learns."""

    def test_a_member_says_what_it_is(self) -> None:
        """Identity, and whether there was an election."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, _):
                [said] = await peers.describe()
                assert said is not None
                assert (said.name, said.cluster_id, said.member_id) == ("b", CLUSTER, OTHER)
                assert (said.bootstrapped, said.term) == (True, 4)

        run(scenario)

    def test_a_member_of_another_authority_is_silence(self) -> None:
        """Its certificate may come to be right, as a rotation goes on."""

        async def scenario() -> None:
            async with serving() as side, calling(side, authority="another") as (peers, _, _):
                assert await peers.describe() == [None]

        run(scenario)

    def test_another_member_or_another_cluster_is_no_silence(self) -> None:
        """The settings are wrong, and the member says how."""

        async def scenario() -> None:
            async with serving() as side:
                async with calling(side, cluster="other") as (peers, _, _):
                    with pytest.raises(BootstrapRefused, match="b belongs to another cluster"):
                        await peers.describe()
                own = Local(CLUSTER, OWN, Contact("a", "a:1"), pkitest.contexts("a"))
                peer = Peer(Contact("c", side.address), own)
                with pytest.raises(BootstrapRefused, match="b answers at the address of c"):
                    await peer.describe()

        run(scenario)

    def test_nobody_there_is_none(self) -> None:
        """It may come yet."""

        async def scenario() -> None:
            async with serving() as gone:
                pass
            async with calling(gone) as (peers, _, _):
                assert await peers.describe() == [None]

        run(scenario)


class Taker:
    """A member that stores a snapshot's chunks, and has trouble with some."""

    def __init__(
        self, side: Side, trouble: Callable[["Taker", events.ChunkReceived], bool]
    ) -> None:
        """Store for `side`; `trouble` tells whether it has dealt with a chunk in its own way."""
        self.side = side
        self.stored = bytearray()
        self.offsets: list[int] = []
        self.troubles = 0
        self._trouble = trouble

    def take(self, chunk: events.ChunkReceived) -> None:
        """Store a chunk, or say how much is stored."""
        self.offsets.append(chunk.offset)
        if self._trouble(self, chunk):
            self.troubles += 1
            return
        if chunk.data:
            assert chunk.offset == len(self.stored)
            self.stored += chunk.data
        size = len(self.stored)
        self.side.peer_api.answer_chunk(
            OWN, 7, size, installed=size == chunk.header.size, problem=""
        )


class TestSnapshots:
    """A file, in chunks, one at a time."""

    @staticmethod
    def file(tmp_path: Path, size: int) -> tuple[SnapshotHeader, Path]:
        """Make a copy to be sent."""
        data = bytes(number % 251 for number in range(4096)) * (size // 4096 + 1)
        path = tmp_path / "copy.db"
        path.write_bytes(data[:size])
        return SnapshotHeader(META, size, hashlib.sha256(data[:size]).digest()), path

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Try again at once, and not often."""
        monkeypatch.setattr(sender_module, "PAUSE_SECONDS", 0.0)
        monkeypatch.setattr(sender_module, "TRIES_MAX", 3)

    def test_the_next_chunk_comes_when_the_last_is_stored(self, tmp_path: Path) -> None:
        """The receiver sets the pace; the copy is gone when all is done."""
        header, path = self.file(tmp_path, 2 * CHUNK_BYTES + 100)
        content = path.read_bytes()

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):
                waiting: list[events.ChunkReceived] = []
                side.on_chunk = waiting.append
                await until(lambda: peers.reached)
                peers.send_snapshot(OTHER, 3, header, str(path))
                taken = b""
                while len(taken) < header.size:
                    await until(lambda: waiting)
                    [chunk] = waiting
                    assert (chunk.sender, chunk.term, chunk.header) == (OWN, 3, header)
                    assert chunk.offset == len(taken)
                    waiting.clear()
                    taken += chunk.data
                    side.peer_api.answer_chunk(
                        OWN, 7, len(taken), installed=len(taken) == header.size, problem=""
                    )
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=True)]
                assert taken == content
                assert not path.exists()

        run(scenario)

    @pytest.mark.parametrize("installed", [True, False])
    def test_an_early_answer_ends_the_stream(self, tmp_path: Path, installed: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """The receiver has no need of it, or cannot take it; then it is asked a few times more."""
        header, path = self.file(tmp_path, 8 * CHUNK_BYTES)

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):

                def answer(chunk: events.ChunkReceived) -> None:
                    side.peer_api.answer_chunk(
                        chunk.sender, 7, 0, installed=installed, problem="" if installed else "no"
                    )

                side.on_chunk = answer
                await until(lambda: peers.reached)
                peers.send_snapshot(OTHER, 3, header, str(path))
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=installed)]
                assert len(side.events) == (1 if installed else 3)
                assert not path.exists()

        run(scenario)

    def sent(
        self, tmp_path: Path, trouble: Callable[["Taker", events.ChunkReceived], bool]
    ) -> tuple["Taker", bytes]:
        """Send three chunks to a member that has trouble with some; return what it stored."""
        header, path = self.file(tmp_path, 2 * CHUNK_BYTES + 100)
        content = path.read_bytes()
        takers: list[Taker] = []

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):
                taker = Taker(side, trouble)
                takers.append(taker)
                side.on_chunk = taker.take
                await until(lambda: peers.reached)
                peers.send_snapshot(OTHER, 3, header, str(path))
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=True)]

        run(scenario)
        return takers[0], content

    def test_a_stream_that_breaks_goes_on_where_it_was(self, tmp_path: Path) -> None:
        """Nothing that is stored is sent again."""

        def trouble(taker: Taker, chunk: events.ChunkReceived) -> bool:
            if chunk.offset == CHUNK_BYTES and taker.troubles == 0:
                taker.side.peer_api.answer_chunk(OWN, 7, CHUNK_BYTES, installed=False, problem="no")
                return True
            return False

        taker, content = self.sent(tmp_path, trouble)
        assert bytes(taker.stored) == content
        assert taker.offsets == [0, 0, CHUNK_BYTES, 0, CHUNK_BYTES, 2 * CHUNK_BYTES]

    def test_one_for_a_peer_that_was_forgotten_meanwhile_ends_without_it(
        self, tmp_path: Path
    ) -> None:
        """It was removed while its copy was made: the copy goes, and the core hears of the end."""
        header, path = self.file(tmp_path, 100)

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):
                await until(lambda: peers.reached)
                peers.send_snapshot(99, 3, header, str(path))
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(99, 7, installed=False)]
                assert not path.exists()

        run(scenario)

    def test_one_for_a_peer_that_is_forgotten_on_its_way_ends(self, tmp_path: Path) -> None:
        """Its channel is closed under the wait for an answer: that is not the end of the sender."""
        header, path = self.file(tmp_path, 2 * CHUNK_BYTES)

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):
                peers._later.add(OTHER)  # as one that joined later: the first are never forgotten
                await until(lambda: peers.reached)
                peers.send_snapshot(OTHER, 3, header, str(path))
                await until(lambda: side.events)  # and no answer comes
                peers.meet({})
                assert peers.known == {OTHER}
                peers.meet({})
                assert not peers.known
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=False)]
                assert not path.exists()

        run(scenario)

    @pytest.fixture
    def time_out(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Return what ends the time for the answer under way; no time ends by itself."""
        under_way: list[asyncio.Timeout] = []

        def timeout(seconds: float) -> asyncio.Timeout:
            assert seconds > 0
            under_way[:] = [asyncio.timeout(None)]
            return under_way[0]

        stand_in = SimpleNamespace(**{**vars(asyncio), "timeout": timeout})
        monkeypatch.setattr(sender_module, "asyncio", stand_in)
        return lambda: under_way[0].reschedule(asyncio.get_running_loop().time())

    def test_a_chunk_that_is_not_stored_in_time_is_sent_again(
        self, tmp_path: Path, time_out: Callable[[], None]
    ) -> None:
        """A peer that hangs ends the stream; the next one finds what it stored meanwhile."""

        def trouble(taker: Taker, chunk: events.ChunkReceived) -> bool:
            if chunk.offset == CHUNK_BYTES and taker.troubles == 0:
                taker.stored += chunk.data  # and says nothing
                time_out()
                return True
            return False

        taker, content = self.sent(tmp_path, trouble)
        assert bytes(taker.stored) == content
        assert taker.offsets == [0, 0, CHUNK_BYTES, 0, 2 * CHUNK_BYTES]

    def test_a_peer_that_comes_no_further_is_given_up(
        self, tmp_path: Path, time_out: Callable[[], None]
    ) -> None:
        """Or the log would be pinned for ever."""
        header, path = self.file(tmp_path, 2 * CHUNK_BYTES)

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):
                side.on_chunk = lambda _: time_out()
                await until(lambda: peers.reached)
                peers.send_snapshot(OTHER, 3, header, str(path))
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=False)]
                assert len(side.events) == 3
                assert not path.exists()

        run(scenario)

    def test_a_chunk_that_was_damaged_on_its_way_is_sent_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The CRC of its frame tells; nothing of it is stored."""
        flips: list[int] = []
        encode = FrameEncoder.encode

        def damaged(self: FrameEncoder, kind: FrameKind, payload: bytes) -> bytes:
            frame = encode(self, kind, payload)
            if kind is FrameKind.CHUNK and len(payload) > CHUNK_BYTES and not flips:
                flips.append(len(frame))
                return frame[:-1] + bytes([frame[-1] ^ 1])
            return frame

        monkeypatch.setattr(FrameEncoder, "encode", damaged)
        taker, content = self.sent(tmp_path, lambda _taker, _chunk: False)
        assert flips
        assert bytes(taker.stored) == content

    def test_a_snapshot_that_may_not_be_given_away_is_cut_short(self, tmp_path: Path) -> None:
        """Nothing more of it leaves, and its end is reported."""
        header, path = self.file(tmp_path, 2 * CHUNK_BYTES)

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):

                def cut(chunk: events.ChunkReceived) -> None:
                    peers.end_snapshots()
                    stored = len(chunk.data)
                    side.peer_api.answer_chunk(OWN, 7, stored, installed=False, problem="")

                side.on_chunk = cut
                await until(lambda: peers.reached)
                peers.send_snapshot(OTHER, 3, header, str(path))
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=False)]
                assert len(side.events) == 1
                content = self.file(tmp_path, header.size)[1].read_bytes()
                taker = Taker(side, lambda _taker, _chunk: False)
                side.on_chunk = taker.take
                peers.send_snapshot(OTHER, 3, header, str(path))
                await until(lambda: len(posted) == 2)
                assert posted[1] == events.SnapshotSent(OTHER, 7, installed=True), "the next one"
                assert taker.stored == content

        run(scenario)

    def test_a_sender_that_falls_silent_loses_the_link(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may come again, on another one."""
        monkeypatch.setattr(api_module, "CHUNK_SECONDS_MAX", 0.05)

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_SNAPSHOT)
                await until(lambda: caller.ends)
                assert str(caller.ends[0]) == "no chunk came in time"

        run(scenario)

    def test_a_chunk_that_waits_for_its_answer_may_take_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time begins with the answer; a second chunk meanwhile is one too many."""
        monkeypatch.setattr(api_module, "CHUNK_SECONDS_MAX", 0.05)

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_SNAPSHOT)
                caller.say(FrameKind.CHUNK, chunk())
                await until(lambda: side.events)
                loop = asyncio.get_running_loop()
                later = loop.time() + 0.1
                await until(lambda: loop.time() > later)
                assert not caller.ends
                caller.say(FrameKind.CHUNK, chunk())
                await until(lambda: caller.ends)
                assert "before the last was answered" in str(caller.ends[0])
                assert not side.peer_api._chunks

        run(scenario)

    def test_a_link_takes_the_place_of_an_earlier_one(self) -> None:
        """Whose sender has given its chunk up, or is about to."""

        async def scenario() -> None:
            async with serving() as side:
                first = await called(side, link_pb2.PURPOSE_SNAPSHOT)
                first.say(FrameKind.CHUNK, chunk())
                await until(lambda: len(side.events) == 1)
                second = await called(side, link_pb2.PURPOSE_SNAPSHOT)
                second.say(FrameKind.CHUNK, chunk())
                await until(lambda: len(side.events) == 2)
                replaced = parsed(peer_pb2.SnapshotAnswer, await first.frames.get())
                assert replaced.problem == "another link takes its place"
                first.link.close()
                side.peer_api.answer_chunk(OWN, 7, 1, installed=False, problem="")
                stored = parsed(peer_pb2.SnapshotAnswer, await second.frames.get())
                assert stored.taken == 1

        run(scenario)

    def test_an_end_is_reported_when_the_copy_cannot_be_read(self, tmp_path: Path) -> None:
        """Or the log would be pinned for ever."""
        header = SnapshotHeader(META, 10, b"")

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, posted):
                await until(lambda: peers.reached)
                peers.send_snapshot(OTHER, 3, header, str(tmp_path / "never there"))
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=False)]

        run(scenario)

    def test_an_end_is_reported_when_nobody_is_there(self, tmp_path: Path) -> None:
        """The copy goes too."""
        header, path = self.file(tmp_path, 100)

        async def scenario() -> None:
            async with serving() as gone:
                pass
            async with calling(gone) as (peers, _, posted):
                await asyncio.sleep(0)
                peers.send_snapshot(OTHER, 3, header, str(path))
                await until(lambda: posted)
                assert posted == [events.SnapshotSent(OTHER, 7, installed=False)]
                assert not path.exists()

        run(scenario)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"recipient": 9}, "another member"),
            ({"sender": 9}, "another member"),
            ({"term": 2**63}, "cannot follow term 3"),
            ({"offset": 2}, "ends at 3"),
            ({"meta": {"size": 2**50}}, "of that size"),
            ({"meta": {"sha256": b"short"}}, "of that size and hash"),
            ({"meta": {"term": 4}}, "later term"),
            ({"meta": {"configuration": b"\xff"}}, "not a configuration"),
        ],
    )
    def test_a_chunk_is_checked_before_it_is_posted(
        self, change: dict[str, Any], problem: str
    ) -> None:
        """Its ends, its term, and its place in the snapshot."""
        changed = chunk()
        meta = change.pop("meta", {})
        for name, value in change.items():
            setattr(changed, name, value)
        for name, value in meta.items():
            setattr(changed.meta, name, value)

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_SNAPSHOT)
                caller.say(FrameKind.CHUNK, changed)
                answer = parsed(peer_pb2.SnapshotAnswer, await caller.frames.get())
                assert problem in answer.problem
                assert not answer.installed
                assert not side.events

        run(scenario)


def chunk() -> peer_pb2.SnapshotChunk:
    """Return a chunk that is right."""
    configuration = encode_configuration(META.configuration)
    meta = peer_pb2.SnapshotMeta(
        index=7, term=3, size=2, sha256=bytes(32), configuration=configuration
    )
    return peer_pb2.SnapshotChunk(sender=OWN, recipient=OTHER, term=3, meta=meta, data=b"x")


class TestGateways:
    """A session for each gateway's link."""

    def test_a_session_opens_carries_and_closes(self) -> None:
        """Replies go to the session that they are for, or nowhere."""

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_GATEWAY)
                request = forward_pb2.ForwardRequest(
                    proposals=[forward_pb2.Proposal(id=5, command=b"c")]
                )
                caller.say(FrameKind.REQUEST, request)
                await until(lambda: len(side.events) == 2)
                assert side.events == [events.SessionOpened(1), events.Forwarded(1, request)]
                assert (side.gateways.proposals, side.gateways.questions) == (1, 0)
                response = forward_pb2.ForwardResponse(replies=[forward_pb2.Reply(id=5)])
                side.gateways.reply(99, response)
                side.gateways.reply(1, response)
                side.gateways.flush()
                assert await caller.response() == response
                caller.link.close()
                await until(lambda: side.events[-1] == events.SessionClosed(1))
                assert side.gateways.waiting_frames == []

        run(scenario)

    def test_a_reply_to_an_old_session_reaches_no_later_one(self) -> None:
        """Numbers are not used again: request 5 of another session is another request."""

        async def scenario() -> None:
            async with serving() as side:
                first = await called(side, link_pb2.PURPOSE_GATEWAY)
                first.link.close()
                await until(lambda: side.events[-1:] == [events.SessionClosed(1)])
                second = await called(side, link_pb2.PURPOSE_GATEWAY)
                await until(lambda: isinstance(side.events[-1], events.SessionOpened))
                assert side.events[-1] == events.SessionOpened(2)
                side.gateways.reply(
                    1, forward_pb2.ForwardResponse(replies=[forward_pb2.Reply(id=5)])
                )
                side.gateways.reply(
                    2, forward_pb2.ForwardResponse(replies=[forward_pb2.Reply(id=6)])
                )
                side.gateways.flush()
                assert (await second.response()).replies[0].id == 6

        run(scenario)

    def test_a_turns_replies_leave_with_the_flush(self) -> None:
        """In their order."""

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_GATEWAY)
                await until(lambda: side.events)
                for number in (1, 2):
                    side.gateways.reply(
                        1, forward_pb2.ForwardResponse(replies=[forward_pb2.Reply(id=number)])
                    )
                assert side.gateways.waiting_frames == [2]
                side.gateways.flush()
                assert side.gateways.waiting_frames == [0]
                assert [(await caller.response()).replies[0].id for _ in "ab"] == [1, 2]

        run(scenario)

    def test_a_gateway_that_does_not_read_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So many frames wait at most."""
        monkeypatch.setattr(outgoing, "FRAMES_WAITING_MAX", 3)

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_GATEWAY)
                await until(lambda: side.events)
                link = side.gateways._sessions[1]._link
                assert link is not None
                link.pause_writing()
                for _ in range(3):
                    side.gateways.reply(1, forward_pb2.ForwardResponse())
                    side.gateways.flush()
                assert side.gateways.waiting_frames == [3]
                side.gateways.reply(1, forward_pb2.ForwardResponse())
                assert side.events[-1] == events.SessionClosed(1)
                assert side.gateways.waiting_frames == []
                side.gateways.flush()
                await until(lambda: caller.ends)

        run(scenario)

    def test_a_frame_of_too_many_requests_ends_the_link(self) -> None:
        """Nothing of it is taken."""

        async def scenario() -> None:
            async with serving() as side:
                caller = await called(side, link_pb2.PURPOSE_GATEWAY)
                questions = [forward_pb2.Question(id=1)] * (REQUESTS_MAX + 1)
                caller.say(FrameKind.REQUEST, forward_pb2.ForwardRequest(questions=questions))
                await until(lambda: caller.ends)
                assert "2049 requests" in str(caller.ends[0])
                assert side.events == [events.SessionOpened(1), events.SessionClosed(1)]

        run(scenario)

    @pytest.mark.parametrize("process", ["a", "gateway", "health", "metrics", "assistant"])
    def test_every_caller_proves_itself(self, process: str) -> None:
        """For each purpose, before anything is taken; no certificate opens another's links."""

        async def scenario() -> None:
            async with serving() as side:
                for purpose in link_pb2.Purpose.values():
                    if purpose in {link_pb2.PURPOSE_UNSPECIFIED, *may_open(process)}:
                        continue
                    with pytest.raises(LinkRefused, match="allows no link for the purpose"):
                        await called(side, purpose, process)
                for allowed in may_open(process):
                    with pytest.raises(TlsFailed, match="does not accept this end"):
                        await dial(
                            side.address,
                            foreign(opening(allowed, process)),
                            Caller(),
                            SECONDS_MAX,
                        )
                assert not side.events
                assert not side.heard

        run(scenario)

    def test_a_member_asks_for_changes_of_itself_alone(self) -> None:
        """A gateway asks for any, since an admin asked the gateway."""

        async def scenario() -> None:
            async with serving() as side:
                join = membership_pb2.Join(member_id=9, name="c", address="c:1")
                leave = membership_pb2.Leave(member_id=OTHER)
                for request in (
                    membership_pb2.ChangeRequest(remove="b"),
                    membership_pb2.ChangeRequest(transfer="a"),
                    membership_pb2.ChangeRequest(promote="a"),
                    membership_pb2.ChangeRequest(join=join),
                    membership_pb2.ChangeRequest(leave=leave),
                    membership_pb2.ChangeRequest(),
                ):
                    question = link_pb2.LinkQuestion(change=request)
                    refused = await asked_by(side, "a", question)
                    assert "asks for a change of another member" in refused.change.error.message
                assert not side.events

        run(scenario)

    def test_a_watcher_may_look_and_do_nothing_else(self) -> None:
        """Health sees the members, and can change nothing."""

        async def scenario() -> None:
            async with serving() as side:
                asker = LinkAsker(side.address, lambda: opening(link_pb2.PURPOSE_WATCH))
                said = await asker.ask(look(), SECONDS_MAX)
                assert said.get_member.member == MEMBER
                assert said.get_member.cluster_id == CLUSTER
                for question in (
                    link_pb2.LinkQuestion(describe=peer_pb2.DescribeRequest()),
                    link_pb2.LinkQuestion(change=membership_pb2.ChangeRequest(remove="b")),
                    link_pb2.LinkQuestion(),
                ):
                    refused = await asker.ask(question, SECONDS_MAX)
                    assert refused.WhichOneof("answer") == "problem"
                assert not side.events
                asker.close()

        run(scenario)

    def test_a_member_that_has_not_read_its_log_does_not_pass_for_an_empty_one(self) -> None:
        """An empty peer that believed it would begin beside its data, with a vote."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, _):
                side.is_read = False
                assert await peers.describe() == [None]
                side.is_read = True
                [described] = await peers.describe()
                assert described is not None
                assert described.term == 4

        run(scenario)

    def test_a_change_is_answered_when_the_node_answers(self) -> None:
        """A caller that is gone is forgotten, and so is its answer."""

        async def scenario() -> None:
            async with serving() as side:
                asker = LinkAsker(
                    side.address, lambda: opening(link_pb2.PURPOSE_QUESTION, "gateway")
                )
                change = membership_pb2.ChangeRequest(cluster_id=CLUSTER, remove="b")
                question = link_pb2.LinkQuestion(change=change)
                asked = asyncio.ensure_future(asker.ask(question, SECONDS_MAX))
                await until(lambda: side.events)
                assert side.events == [events.ChangeAsked(1, change)]
                response = membership_pb2.ChangeResponse(
                    done=membership_pb2.Done(standing=membership_pb2.STANDING_REMOVED)
                )
                side.changes.answer_change(1, response)
                assert (await asked).change == response
                gone = asyncio.ensure_future(asker.ask(question, SECONDS_MAX))
                await until(lambda: len(side.events) == 2)
                asker.close()
                await asyncio.gather(gone, return_exceptions=True)
                await until(lambda: not side.changes._waiting)
                side.changes.answer_change(2, response)
                other = membership_pb2.ChangeRequest(cluster_id="other", remove="b")
                said = await asker.ask(link_pb2.LinkQuestion(change=other), SECONDS_MAX)
                assert "names another cluster" in said.change.error.message
                asker.close()

        run(scenario)


def look() -> link_pb2.LinkQuestion:
    """Return the question of a watcher."""
    return link_pb2.LinkQuestion(get_member=forward_pb2.GetMemberRequest())


def test_a_taken_address_is_an_error() -> None:
    """The port is not shared."""

    async def scenario() -> None:
        async with serving() as first:
            side = Side()
            with pytest.raises(AddressInUse, match=f"cannot listen on {first.address}"):
                await side.server.listen(first.address)

    run(scenario)


def test_a_member_that_calls_says_who_it_is() -> None:
    """A newcomer that knows only the first members can answer it then."""

    async def scenario() -> None:
        async with serving() as side, calling(side) as (peers, peer, _):
            await until(lambda: peer.is_up)
            assert side.heard == [link_pb2.Caller(member_id=OWN, name="a", address="a:1")]
            for caller in (
                link_pb2.Caller(member_id=77, name="c", address="c:1"),
                link_pb2.Caller(member_id=OWN, name="a", address="a:1"),
                link_pb2.Caller(member_id=OTHER, name="x", address="x:1"),
                link_pb2.Caller(member_id=78, name="d"),
            ):
                peers.connect_caller(caller)
            assert peers[77].address == "c:1"
            assert peers[OTHER] is peer
            assert peers.known == {OTHER, 77}

    run(scenario)


def caller(member: int, address: str) -> link_pb2.Caller:
    """Return how a member says who it is."""
    return link_pb2.Caller(member_id=member, name="b", address=address)


class TestCallers:
    """Whoever calls is known, so that it can be answered; one that only calls not for ever."""

    def test_one_takes_the_place_of_another_from_its_address(self) -> None:
        """A member that loses its volume at each start has another id each time."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, _):
                await until(lambda: peers.reached)
                for member in range(70, 80):
                    peers.connect_caller(caller(member, "127.0.0.1:1"))
                    peers.connect_caller(caller(member, "127.0.0.1:1"))
                assert peers.known == {OTHER, 79}
                assert peers._tasks.keys() == {OTHER, 79}

        run(scenario)

    def test_so_many_are_known_at_most(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that are not reached make room first, then those that called first."""
        monkeypatch.setattr(peers_module, "CALLERS_MAX", 2)

        async def scenario() -> None:
            async with serving() as side, serving() as last, calling(side) as (peers, _, _):
                await until(lambda: peers.reached)
                peers.connect_caller(caller(70, side.address))
                await until(lambda: 70 in peers.reached)
                for member in range(71, 75):
                    peers.connect_caller(caller(member, f"127.0.0.1:{member}"))
                    assert peers.known == {OTHER, 70, member}
                peers.connect_caller(caller(80, last.address))
                await until(lambda: 80 in peers.reached)
                peers.connect_caller(caller(81, "127.0.0.1:1"))
                assert peers.known == {OTHER, 80, 81}

        run(scenario)

    def test_one_that_takes_part_is_a_caller_no_longer(self) -> None:
        """It stays as long as any member does, and is forgotten as one."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, _):
                await until(lambda: peers.reached)
                peers.connect_caller(caller(77, "127.0.0.1:1"))
                peers.meet({77: Contact("c", "127.0.0.1:1")})
                peers.connect_caller(caller(78, "127.0.0.1:1"))
                assert peers.known == {OTHER, 77, 78}
                peers.meet({78: Contact("c", "127.0.0.1:1")})
                peers.meet({78: Contact("c", "127.0.0.1:1")})
                assert peers.known == {OTHER, 78}

        run(scenario)

    def test_one_that_made_room_is_not_forgotten_again(self) -> None:
        """It was to leave with the next change."""

        async def scenario() -> None:
            async with serving() as side, calling(side) as (peers, _, _):
                await until(lambda: peers.reached)
                peers.connect_caller(caller(77, "127.0.0.1:1"))
                peers.meet({})
                peers.connect_caller(caller(78, "127.0.0.1:1"))
                peers.meet({})
                assert peers.known == {OTHER, 78}
                peers.meet({})
                assert peers.known == {OTHER}

        run(scenario)


def test_a_member_that_is_forgotten_while_it_is_asked_says_nothing() -> None:
    """Its link is closed under the question: that must not look as if the caller was to end."""

    async def scenario() -> None:
        async with serving() as side:
            own = Local(CLUSTER, OWN, Contact("a", "a:1"), pkitest.contexts("a"))
            peer = Peer(Contact("b", side.address), own)
            asked = asyncio.ensure_future(
                peer.ask_change(membership_pb2.ChangeRequest(cluster_id=CLUSTER, remove="a"))
            )
            await until(lambda: side.events)
            peer.close()
            assert await asked is None

    run(scenario)


def test_a_relay_is_for_members_that_are_known() -> None:
    """Nobody is made to connect to an address of a caller's choice."""

    async def scenario() -> None:
        async with serving() as side:
            with pytest.raises(LinkRefused, match="is no member that is known here"):
                await called(side, link_pb2.PURPOSE_RELAY)

    run(scenario)
