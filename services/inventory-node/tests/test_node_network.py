"""Members and gateways over real loopback gRPC."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import crc32c
import grpc
import grpc.aio
import pytest
from inventory.raft.v1 import (
    forward_pb2,
    forward_pb2_grpc,
    membership_pb2,
    peer_pb2,
    peer_pb2_grpc,
)
from inventory.v1 import cluster_pb2
from inventory_node.core import events
from inventory_node.errors import BootstrapRefused
from inventory_node.ports import Contact, SnapshotHeader
from inventory_node.runtime import api as api_module
from inventory_node.runtime import peers as peers_module
from inventory_node.runtime import snapshot_sender as sender_module
from inventory_node.runtime.api import Gate, Gateways, GatewaySession, PeerApi, member_response
from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.peers import MESSAGES_WAITING_MAX, Local, Peer, Peers
from inventory_node.runtime.probes import MemberProbes
from inventory_node.runtime.server import serve
from inventory_node.runtime.snapshot_sender import CHUNK_BYTES
from raft.messages import Configuration, Heartbeat, HeartbeatReply, Message, SnapshotMeta
from service.errors import AddressInUse
from service.faults import Faults
from wire.channels import authorization

CLUSTER = "cluster"
KEY = "secret"
OWN, OTHER = 1, 2
WATCH_KEY = "may look"
SECONDS_MAX = 20
META = SnapshotMeta(7, 3, Configuration(frozenset({OWN, OTHER})))


class Side:
    """The serving member: its events, and both halves of its API."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        self.events: list[events.Event] = []
        gate = Gate(KEY, WATCH_KEY)
        self.heard: list[peer_pb2.Caller] = []
        self.is_read = True
        self.peer_api = PeerApi(
            gate,
            Local(CLUSTER, OTHER, Contact("b", "b:1")),
            self.post,
            self.describe,
            self.heard.append,
        )
        self.changes = MembershipService(gate, CLUSTER, self.post)
        self.gateways = Gateways(gate, self.post, lambda: member_response(CLUSTER, MEMBER))
        self.on_chunk: Callable[[events.ChunkReceived], None] = lambda _: None
        self.address = ""

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


MEMBER = cluster_pb2.Member(name="b", id=OTHER)


@asynccontextmanager
async def serving(address: str = "127.0.0.1:0") -> AsyncIterator[Side]:
    """Serve a member, on a free port unless one is given."""
    side = Side()
    server = grpc.aio.server()
    peer_pb2_grpc.add_PeerServiceServicer_to_server(side.peer_api, server)
    forward_pb2_grpc.add_ForwardServiceServicer_to_server(side.gateways, server)
    side.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    await server.start()
    try:
        yield side
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(
    side: Side, cluster: str = CLUSTER, key: str = KEY
) -> AsyncIterator[tuple[Peers, Peer, list[events.Event]]]:
    """Call a member from another one."""
    posted: list[events.Event] = []
    peers = Peers(
        Local(cluster, OWN, Contact("a", "a:1")),
        {OTHER: Contact("b", side.address)},
        key,
        posted.append,
    )
    peer = peers[OTHER]
    running = asyncio.ensure_future(peers.run())
    try:
        yield peers, peer, posted
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await peers.close()


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

    @pytest.mark.parametrize(
        "error",
        [
            asyncio.InvalidStateError("the call is over"),
            grpc.aio.AioRpcError(
                grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), "from Core"
            ),
        ],
        ids=["told as a call that is over", "told as a failure of gRPC"],
    )
    def test_a_refusal_that_is_quicker_than_the_first_write_is_one(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The write fails, and the call ends with whatever gRPC makes of that."""

        class Refused:
            async def write(self, _: peer_pb2.PeerFrame) -> None:
                raise error

            async def code(self) -> grpc.StatusCode:
                return grpc.StatusCode.INTERNAL

            async def details(self) -> str:
                return "from Core"

            def cancel(self) -> bool:
                return False

        async def scenario() -> None:
            async with serving() as side, calling(side, key="guess") as (_, peer, _):
                monkeypatch.setattr(peer.stub, "Deliver", lambda **_: Refused())
                with pytest.raises(grpc.aio.AioRpcError, match="wrong key") as caught:
                    await peer._stream()
                assert peer._broken(caught.value) == peers_module.REFUSED_SECONDS

        run(scenario)

    @pytest.mark.parametrize(("cluster", "key"), [("other", KEY), (CLUSTER, "guess")])
    def test_a_stranger_is_never_up(
        self, cluster: str, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another cluster's member, or one without the key; it asks again at its leisure."""
        refused = asyncio.Event()
        pauses: list[float] = []

        async def scenario() -> None:
            async with serving() as side, calling(side, cluster, key) as (peers, peer, _):
                broken = peer._broken

                def note(error: Exception) -> float:
                    pauses.append(broken(error))
                    refused.set()
                    return pauses[-1]

                monkeypatch.setattr(peer, "_broken", note)
                await refused.wait()
                assert not peer.is_up
                peers.send([answer(1)])
                peers.send_queued()
                assert not side.messages()
                assert pauses == [peers_module.REFUSED_SECONDS]

        run(scenario)

    @pytest.mark.parametrize(
        "frame",
        [
            peer_pb2.PeerFrame(cluster_id="other"),
            peer_pb2.PeerFrame(cluster_id=CLUSTER, messages=[peer_pb2.Message(sender=1)]),
            peer_pb2.PeerFrame(
                cluster_id=CLUSTER,
                messages=[
                    peer_pb2.Message(sender=1, recipient=9, heartbeat=peer_pb2.Heartbeat(commit=1))
                ],
            ),
        ],
        ids=["another cluster", "no message", "another member"],
    )
    def test_a_frame_that_is_not_for_this_member_ends_the_stream(
        self, frame: peer_pb2.PeerFrame
    ) -> None:
        """Every frame is looked at, not the first alone."""

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                call = peer_pb2_grpc.PeerServiceStub(channel).Deliver(metadata=authorization(KEY))
                await call.write(peer_pb2.PeerFrame(cluster_id=CLUSTER))
                await call.write(frame)
                assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert not side.messages()

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

    def test_a_member_with_another_key_is_no_silence(self) -> None:
        """Waiting for it would be for ever."""

        async def scenario() -> None:
            async with serving() as side, calling(side, key="guess") as (peers, _, _):
                with pytest.raises(BootstrapRefused, match="b has another cluster key"):
                    await peers.describe()

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
        """Its checksum tells; nothing of it is stored."""
        flips: list[int] = []

        def sum_of(data: bytes) -> int:
            right = crc32c.crc32c(data)
            if len(data) == CHUNK_BYTES and not flips:
                flips.append(right)
                return right ^ 1
            return right

        monkeypatch.setattr(peers_module, "crc32c", SimpleNamespace(crc32c=sum_of))
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

    def test_a_sender_that_falls_silent_loses_the_stream(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may come again, on another one."""
        monkeypatch.setattr(api_module, "CHUNK_SECONDS_MAX", 0.05)

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                stub: Any = peer_pb2_grpc.PeerServiceStub(channel)
                call = stub.SendSnapshot(metadata=authorization(KEY))
                assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

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
            ({"crc32c": 1}, "damaged"),
            ({"cluster_id": "other"}, "another member"),
            ({"recipient": 9}, "another member"),
        ],
    )
    def test_a_chunk_is_checked_before_it_is_posted(
        self, change: dict[str, object], problem: str
    ) -> None:
        """Its bytes, its cluster and its recipient."""
        chunk = peer_pb2.SnapshotChunk(
            cluster_id=CLUSTER, sender=OWN, recipient=OTHER, data=b"x", crc32c=crc32c.crc32c(b"x")
        )
        for name, value in change.items():
            setattr(chunk, name, value)

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                stub: Any = peer_pb2_grpc.PeerServiceStub(channel)
                call = stub.SendSnapshot(iter([chunk]), metadata=authorization(KEY))
                answer = await call.read()
                assert problem in answer.problem
                assert not answer.installed
                assert not side.events

        run(scenario)


async def read_on(call: "grpc.aio.StreamStreamCall[Any, Any]") -> None:
    """Read what comes, until the call ends."""
    while await call.read() is not grpc.aio.EOF:
        pass


class TestGateways:
    """A session for each gateway's stream."""

    def test_a_session_opens_carries_and_closes(self) -> None:
        """Replies go to the session that they are for, or nowhere."""

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                stub = forward_pb2_grpc.ForwardServiceStub(channel)
                call = stub.Forward(metadata=authorization(KEY))
                request = forward_pb2.ForwardRequest(
                    proposals=[forward_pb2.Proposal(id=5, command=b"c")]
                )
                await call.write(request)
                await until(lambda: len(side.events) == 2)
                assert side.events == [events.SessionOpened(1), events.Forwarded(1, request)]
                assert (side.gateways.proposals, side.gateways.questions) == (1, 0)
                response = forward_pb2.ForwardResponse(replies=[forward_pb2.Reply(id=5)])
                side.gateways.reply(99, response)
                side.gateways.reply(1, response)
                assert await call.read() == response
                await call.done_writing()
                await until(lambda: side.events[-1] == events.SessionClosed(1))
                assert side.gateways.waiting_frames == []

        run(scenario)

    def test_a_gateway_that_does_not_read_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So many frames wait at most, and it learns why its stream ended."""
        monkeypatch.setattr(api_module, "FRAMES_WAITING_MAX", 3)

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                call = forward_pb2_grpc.ForwardServiceStub(channel).Forward(
                    metadata=authorization(KEY)
                )
                await call.write(forward_pb2.ForwardRequest())
                await until(lambda: side.events)
                for _ in range(4):
                    side.gateways.reply(1, forward_pb2.ForwardResponse())
                assert side.gateways.waiting_frames == [3]
                await until(lambda: side.events[-1] == events.SessionClosed(1))
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    await read_on(call)  # what was on its way may be read, or not
                assert ended.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

        run(scenario)

    def test_a_session_waits_for_so_many_frames_at_most(self) -> None:
        """What comes after is not kept: the stream ends anyway."""

        async def scenario() -> None:
            session = GatewaySession()
            for _ in range(api_module.FRAMES_WAITING_MAX + 10):
                session.reply(forward_pb2.ForwardResponse())
            assert len(session) == api_module.FRAMES_WAITING_MAX

        run(scenario)

    def test_a_session_waits_for_so_many_bytes_at_most(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Frames may be large; what was written does not count any more."""
        frame = forward_pb2.ForwardResponse(replies=[forward_pb2.Reply(id=5, answer=bytes(100))])
        monkeypatch.setattr(api_module, "BYTES_WAITING_MAX", 3 * frame.ByteSize())
        waiting = api_module.FRAMES_UNCOUNTED + 3

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                call = forward_pb2_grpc.ForwardServiceStub(channel).Forward(
                    metadata=authorization(KEY)
                )
                await call.write(forward_pb2.ForwardRequest())
                await until(lambda: side.events)
                for _ in range(5):
                    side.gateways.reply(1, frame)
                    assert await call.read() == frame
                for _ in range(waiting + 1):
                    side.gateways.reply(1, frame)
                assert side.gateways.waiting_frames == [waiting]
                await until(lambda: side.events[-1] == events.SessionClosed(1))
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    await read_on(call)  # what was on its way may be read, or not
                assert ended.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

        run(scenario)

    @pytest.mark.parametrize("metadata", [(), authorization("guess"), authorization("")])
    def test_every_call_proves_itself(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Streams too, before anything of them is taken."""

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                forward = forward_pb2_grpc.ForwardServiceStub(channel)
                peer = peer_pb2_grpc.PeerServiceStub(channel)
                calls = (
                    forward.Forward(metadata=metadata),
                    forward.GetMember(forward_pb2.GetMemberRequest(), metadata=metadata),
                    peer.Deliver(metadata=metadata),
                    peer.SendSnapshot(metadata=metadata),
                    peer.Describe(peer_pb2.DescribeRequest(), metadata=metadata),
                )
                for call in calls:
                    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
                assert not side.events

        run(scenario)

    def test_the_key_of_who_may_look_opens_nothing_else(self) -> None:
        """Health sees the members, and can change nothing."""

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                metadata = authorization(WATCH_KEY)
                forward = forward_pb2_grpc.ForwardServiceStub(channel)
                request = forward_pb2.GetMemberRequest()
                said = await forward.GetMember(request, metadata=metadata)
                assert said.member == MEMBER
                peer = peer_pb2_grpc.PeerServiceStub(channel)
                calls = (
                    forward.Forward(metadata=metadata),
                    peer.Deliver(metadata=metadata),
                    peer.Describe(peer_pb2.DescribeRequest(), metadata=metadata),
                )
                for call in calls:
                    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
                assert not side.events

        run(scenario)

    def test_without_such_a_key_an_empty_one_opens_nothing(self) -> None:
        """The setting is optional."""

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                side.gateways._gate = Gate(KEY)
                stub = forward_pb2_grpc.ForwardServiceStub(channel)
                for metadata in ((), authorization("")):
                    call = stub.GetMember(forward_pb2.GetMemberRequest(), metadata=metadata)
                    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED

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

    def test_a_member_shows_itself(self) -> None:
        """What `GetStatus` is made of."""

        async def scenario() -> None:
            async with serving() as side, grpc.aio.insecure_channel(side.address) as channel:
                stub = forward_pb2_grpc.ForwardServiceStub(channel)
                said = await stub.GetMember(
                    forward_pb2.GetMemberRequest(), metadata=authorization(KEY)
                )
                assert said == member_response(CLUSTER, MEMBER)

        run(scenario)


def test_a_taken_address_is_an_error() -> None:
    """C-core alone would share the port in silence."""

    async def scenario() -> None:
        async with serving() as first:
            side = Side()
            with pytest.raises(AddressInUse, match=f"cannot listen on {first.address}"):
                await serve(
                    first.address,
                    side.gateways,
                    side.peer_api,
                    side.changes,
                    MemberProbes(),
                    Faults(),
                )

    run(scenario)


def test_a_member_that_calls_says_who_it_is() -> None:
    """A newcomer that knows only the first members can answer it then."""

    async def scenario() -> None:
        async with serving() as side, calling(side) as (peers, peer, _):
            await until(lambda: peer.is_up)
            assert side.heard == [peer_pb2.Caller(member_id=OWN, name="a", address="a:1")]
            for caller in (
                peer_pb2.Caller(member_id=77, name="c", address="c:1"),
                peer_pb2.Caller(member_id=OWN, name="a", address="a:1"),
                peer_pb2.Caller(member_id=OTHER, name="x", address="x:1"),
                peer_pb2.Caller(member_id=78, name="d"),
            ):
                peers.connect_caller(caller)
            assert peers[77].address == "c:1"
            assert peers[OTHER] is peer
            assert peers.known == {OTHER, 77}

    run(scenario)


def caller(member: int, address: str) -> peer_pb2.Caller:
    """Return how a member says who it is."""
    return peer_pb2.Caller(member_id=member, name="c", address=address)


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
    """Its channel is closed under the call: that must not look as if the caller was to end."""

    async def scenario() -> None:
        silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        host, port = silent.sockets[0].getsockname()
        own = Local(CLUSTER, OWN, Contact("a", "a:1"))
        peer = Peer(Contact("b", f"{host}:{port}"), own, KEY)
        asked = asyncio.ensure_future(peer.ask_change(membership_pb2.ChangeRequest()))
        described = asyncio.ensure_future(peer.describe(OWN))
        await asyncio.sleep(0)
        await peer.close()
        assert await asked is None
        assert await described is None
        silent.close()

    run(scenario)
