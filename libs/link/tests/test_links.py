"""Links over loopback: frames pass, and whatever breaks a rule ends its link and nothing else."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pkitest
import pytest
from inventory.raft.v1 import forward_pb2, link_pb2
from inventory.raft.v1.link_pb2 import LinkAnswer, LinkQuestion
from link import asking, connection, dialing, listening, outgoing
from link.asking import Answers, Forget, LinkAsker, Reply
from link.connection import Link, LinkUser
from link.dialing import dial
from link.errors import (
    FrameError,
    HelloRefused,
    LinkBroken,
    LinkError,
    LinkLate,
    LinkRefused,
    Reason,
    TlsFailed,
)
from link.frames import BYTES_MAX, MAGIC, FrameEncoder, FrameKind
from link.hello import Introduction, Reception
from link.listening import LinkServer
from link.tls import HANDSHAKE_BYTES_MAX
from pki.identities import Kind, ProcessIdentity

Run = Callable[[Callable[[], Awaitable[None]]], None]

INTRODUCTION = Introduction(
    contexts=pkitest.contexts("gateway"),
    purpose=link_pb2.PURPOSE_GATEWAY,
    caller=link_pb2.Caller(name="a"),
    recipient="b",
)
RECEPTION = Reception(contexts=pkitest.contexts("b"), cluster_id=lambda: "c", name="b")
SECONDS = 5
GATEWAY = ProcessIdentity(Kind.GATEWAY)


class Seen:
    """A user of a link who keeps what comes."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self.link: Link | None = None
        self.frames: asyncio.Queue[tuple[FrameKind, bytes]] = asyncio.Queue()
        self.ends: list[LinkError] = []
        self.writable_times = 0
        self.error: Exception | None = None  # to be raised by the next frame

    @property
    def open_link(self) -> Link:
        """The link."""
        assert self.link is not None
        return self.link

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        assert self.link is None
        self.link = link

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        if self.error is not None:
            raise self.error
        self.frames.put_nowait((kind, payload))

    def writable(self) -> None:
        """See `LinkUser.writable`."""
        self.writable_times += 1

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        self.ends.append(error)


class Member:
    """A member that keeps its links' users."""

    def __init__(self, admit: Callable[[], LinkUser] = Seen) -> None:
        """Serve nothing yet."""
        self.users: list[Any] = []
        self._admit = admit
        self.server = LinkServer(RECEPTION, self.admit)
        self.address = ""

    def admit(self, hello: link_pb2.LinkHello, peer: ProcessIdentity) -> LinkUser:
        """Let everybody in whose certificate is right."""
        assert hello.caller.name == "a"
        assert peer == GATEWAY
        if hello.purpose == link_pb2.PURPOSE_RELAY:
            return self.server.carried("a test")
        self.users.append(self._admit())
        return self.users[-1]  # type: ignore[no-any-return]  # as made


@asynccontextmanager
async def serving(admit: Callable[[], LinkUser] = Seen) -> AsyncIterator[Member]:
    """Serve a member on a free port."""
    member = Member(admit)
    member.address = f"127.0.0.1:{await member.server.listen('127.0.0.1:0')}"
    try:
        yield member
    finally:
        member.server.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Seen, Seen]]:
    """Open a link; return the caller's and the member's user."""
    async with serving() as member:
        caller = Seen()
        link, cluster_id = await dial(member.address, INTRODUCTION, caller, SECONDS)
        assert cluster_id == "c"
        assert link is caller.link
        yield caller, member.users[0]
        link.close()


async def until(what: Callable[[], object]) -> None:
    """Let things happen until `what` is so."""
    while not what():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


def test_frames_pass_both_ways_in_their_order(run: Run) -> None:
    """However large, and whatever the turns they are written in."""

    async def scenario() -> None:
        async with linked() as (caller, member):
            large = bytes(BYTES_MAX[FrameKind.REQUEST])
            for payload in (b"one", b"", large, b"two"):
                caller.open_link.send(FrameKind.REQUEST, payload)
            caller.open_link.flush()
            member.open_link.send(FrameKind.RESPONSE, b"three")
            member.open_link.flush()
            for payload in (b"one", b"", large, b"two"):
                assert await member.frames.get() == (FrameKind.REQUEST, payload)
            assert await caller.frames.get() == (FrameKind.RESPONSE, b"three")

    run(scenario)


def test_a_turns_frames_are_one_write(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing leaves before the flush."""
    written: list[bytes] = []

    async def scenario() -> None:
        async with linked() as (caller, member):
            transport = caller.open_link._out._transport
            assert transport is not None
            write = transport.write

            class Watched:
                def write(self, data: bytes) -> None:
                    written.append(data)
                    write(data)

            monkeypatch.setattr(caller.open_link._out, "_transport", Watched())
            for payload in (b"one", b"two"):
                caller.open_link.send(FrameKind.REQUEST, payload)
            assert not written
            caller.open_link.flush()
            caller.open_link.flush()
            assert len(written) == 1
            assert await member.frames.get() == (FrameKind.REQUEST, b"one")
            assert await member.frames.get() == (FrameKind.REQUEST, b"two")

    run(scenario)


def test_a_stranger_is_told_why_it_is_refused(run: Run) -> None:
    """And no user ever has its link."""

    async def scenario() -> None:
        async with serving() as member:
            caller = Seen()
            with pytest.raises(LinkRefused) as refused:
                await dial(member.address, introduction(cluster_id="d"), caller, SECONDS)
            assert refused.value.reason == Reason.REASON_CLUSTER
            with pytest.raises(HelloRefused, match="member b answers at the address of e"):
                await dial(member.address, introduction(recipient="e"), caller, SECONDS)
            assert not member.users
            assert caller.link is None
            assert not caller.ends

    run(scenario)


def introduction(**change: Any) -> Introduction:  # noqa: ANN401 - fields of the record
    """Return an introduction, with some facts changed."""
    return Introduction(**{**vars_of(INTRODUCTION), **change})


def vars_of(introduction: Introduction) -> dict[str, Any]:
    """Return the fields of an introduction."""
    return {name: getattr(introduction, name) for name in introduction.__dataclass_fields__}


def test_a_caller_may_be_refused_for_what_it_wants(run: Run) -> None:
    """Once it is known who it is."""

    async def scenario() -> None:
        def admit() -> LinkUser:
            raise HelloRefused(Reason.REASON_PURPOSE, "not today")

        async with serving(admit) as member:
            with pytest.raises(LinkRefused, match="not today"):
                await dial(member.address, INTRODUCTION, Seen(), SECONDS)

    run(scenario)


def test_nobody_there_and_nobody_who_speaks_are_told_apart(run: Run) -> None:
    """A closed port, a name that is none, a silent port, and another protocol."""

    async def scenario() -> None:
        async with serving() as member:
            address = member.address
        for one in (address, "no.such.name.invalid:1", "x" * 300 + ".invalid:1"):
            with pytest.raises(LinkBroken) as broken:
                await dial(one, INTRODUCTION, Seen(), SECONDS)
            assert not isinstance(broken.value, LinkLate)
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(LinkLate):
            await dial(f"127.0.0.1:{silent.getsockname()[1]}", INTRODUCTION, Seen(), 0.05)

        async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        other = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(TlsFailed, match="right port"):
            await dial(f"127.0.0.1:{port}", INTRODUCTION, Seen(), SECONDS)
        other.close()

    run(scenario)


async def answer_to(address: str, said: bytes) -> bytes:
    """Say something at a port; return all that is answered until the connection ends."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "said",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01" + b"\xff" * 100,
        MAGIC + FrameEncoder().encode(FrameKind.PEER, b"at once"),
        b"\x16\x03\x01\x00\x05" + b"\x01\xff\xff\xff\xff",
    ],
)
def test_bytes_that_are_no_handshake_end_their_connection_alone(run: Run, said: bytes) -> None:
    """With an alert (RFC 8446, section 6), and the member serves on."""

    async def scenario() -> None:
        async with serving() as member:
            answer = await answer_to(member.address, said)
            assert len(answer) < 10
            assert not member.users
            await dial(member.address, INTRODUCTION, Seen(), SECONDS)
            assert len(member.users) == 1

    run(scenario)


def test_a_handshake_without_end_ends(run: Run) -> None:
    """It costs a member HANDSHAKE_BYTES_MAX bytes, and what came with them in one piece."""
    records = b"\x16\x03\x01\x40\x00" + b"\x01\x00\xff\xff" + bytes(0x4000 - 4)

    async def scenario() -> None:
        async with serving() as member:
            more = (b"\x16\x03\x01\x40\x00" + bytes(0x4000)) * 4
            await answer_to(member.address, records + more)
            assert len(records + more) > HANDSHAKE_BYTES_MAX
            await until(lambda: not len(member.server._unproven))

    run(scenario)


@pytest.mark.parametrize(
    "payload",
    [
        MAGIC + FrameEncoder().encode(FrameKind.PEER, b"at once"),
        MAGIC + FrameEncoder().encode(FrameKind.HELLO, b"\xff\xff"),
        MAGIC + FrameEncoder().encode(FrameKind.ACCEPTED, b""),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_bytes_that_are_no_hello_end_their_connection_alone(run: Run, payload: bytes) -> None:
    """With a refusal, though the certificate is right."""

    async def scenario() -> None:
        async with serving() as member:
            host, _, port = member.address.rpartition(":")
            context = INTRODUCTION.contexts.client()
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
            writer.write(payload)
            answer = await reader.read()
            assert answer.startswith(MAGIC)
            assert len(answer) < 200
            assert not member.users
            writer.close()
            await dial(member.address, INTRODUCTION, Seen(), SECONDS)

    run(scenario)


def test_a_hello_that_takes_too_long_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a proof costs a member little, and not for long."""
    monkeypatch.setattr(connection, "HELLO_SECONDS_MAX", 0.05)

    async def scenario() -> None:
        async with serving() as member:
            assert await answer_to(member.address, b"\x16\x03") == b""
            await until(lambda: not len(member.server._unproven))

    run(scenario)


def test_so_many_connections_may_be_unproven(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes, and honest callers come in meanwhile."""
    monkeypatch.setattr(listening, "LOG_SECONDS", 0.0)

    async def scenario() -> None:
        async with serving() as member:
            host, _, port = member.address.rpartition(":")
            held = []
            for number in range(40):
                held.append(await asyncio.open_connection(host, int(port)))
                if number % 10 == 0:
                    caller = Seen()
                    link, _ = await dial(member.address, INTRODUCTION, caller, SECONDS)
                    link.close()
            await until(lambda: len(member.server._unproven) <= 16)
            assert await held[0][0].read() == b""
            for _, writer in held:
                writer.close()

    run(scenario)


def test_so_many_links_may_be_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is told that this is too many."""
    monkeypatch.setattr(listening, "LINKS_MAX", 2)

    async def scenario() -> None:
        async with serving() as member:
            links = [(await dial(member.address, INTRODUCTION, Seen(), SECONDS))[0] for _ in "ab"]
            with pytest.raises(LinkRefused, match="2 links are open") as refused:
                await dial(member.address, INTRODUCTION, Seen(), SECONDS)
            assert refused.value.reason == Reason.REASON_BUSY
            links[0].close()
            await until(lambda: member.users[0].ends)
            await dial(member.address, INTRODUCTION, Seen(), SECONDS)

    run(scenario)


def test_each_end_hears_of_the_end_once(run: Run) -> None:
    """Whoever closes, and whether anything was on its way; then nothing is sent."""

    async def scenario() -> None:
        async with linked() as (caller, member):
            caller.open_link.send(FrameKind.REQUEST, b"last")
            caller.open_link.close()
            caller.open_link.close()
            caller.open_link.send(FrameKind.REQUEST, b"too late")
            caller.open_link.flush()
            await until(lambda: member.ends)
            assert await member.frames.get() == (FrameKind.REQUEST, b"last")
            assert member.frames.empty()
            assert [str(one) for one in caller.ends] == ["closed here"]
            assert [str(one) for one in member.ends] == [connection.CLOSED]
            assert not caller.open_link.is_open
            assert not member.open_link.is_open

    run(scenario)


def test_a_rule_that_is_broken_ends_the_link_with_a_sentence(run: Run) -> None:
    """A user refuses a frame; a frame that may not come is refused alike."""

    async def scenario() -> None:
        async with linked() as (caller, member):
            member.error = FrameError("this cannot be")
            caller.open_link.send(FrameKind.REQUEST, b"x")
            caller.open_link.flush()
            await until(lambda: caller.ends)
            assert isinstance(caller.ends[0], LinkRefused)
            assert str(caller.ends[0]) == str(member.ends[0]) == "this cannot be"
        async with linked() as (caller, member):
            caller.open_link.send(FrameKind.PEER, b"x")
            caller.open_link.flush()
            await until(lambda: caller.ends)
            assert "may not come here" in str(caller.ends[0])
            assert member.frames.empty()

    run(scenario)


def test_an_exception_that_nobody_expects_ends_its_link_alone(run: Run) -> None:
    """The loop is told of it, and the server goes on."""

    async def scenario() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with serving() as member:
            caller = Seen()
            await dial(member.address, INTRODUCTION, caller, SECONDS)
            member.users[0].error = RuntimeError("a bug")
            caller.open_link.send(FrameKind.REQUEST, b"x")
            caller.open_link.flush()
            await until(lambda: caller.ends and member.users[0].ends)
            assert [str(one["exception"]) for one in told] == ["a bug"]
            await dial(member.address, INTRODUCTION, Seen(), SECONDS)

    run(scenario)


def test_a_silent_end_is_taken_for_dead(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its system takes every byte; and one that only pings lives."""
    monkeypatch.setattr(connection, "TICK_SECONDS", 0.02)

    async def scenario() -> None:
        async with linked() as (caller, member):
            loop = asyncio.get_running_loop()
            enough = loop.time() + 3 * connection.SILENT_TICKS_MAX * connection.TICK_SECONDS
            await until(lambda: loop.time() > enough)
            assert not caller.ends
            timer = member.open_link._timer
            assert timer is not None
            timer.cancel()  # it hangs
            await until(lambda: caller.ends)
            assert str(caller.ends[0]) == connection.SILENT

    run(scenario)


def test_a_silent_end_is_found_in_about_two_seconds() -> None:
    """By the constants: a ping each half second, and the end at the fifth without one."""
    ticks = connection.SILENT_TICKS_MAX + 1
    assert connection.SILENT_TICKS_MAX * connection.TICK_SECONDS >= 2.0
    assert ticks * connection.TICK_SECONDS <= 2.5


class TestBackpressure:
    """The other end does not read."""

    def test_frames_wait_within_bounds_and_then_the_link_ends(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By their number, and by their bytes."""
        monkeypatch.setattr(outgoing, "FRAMES_WAITING_MAX", 5)

        async def scenario() -> None:
            async with linked() as (caller, _):
                link = caller.open_link
                link.pause_writing()
                for _ in range(5):
                    link.send(FrameKind.REQUEST, b"x")
                    link.flush()
                assert (link.waiting_frames, link.is_writable, link.is_open) == (5, False, True)
                link.send(FrameKind.REQUEST, b"x")
                assert (link.is_open, link.waiting_frames) == (False, 0)
                link.resume_writing()
                assert caller.writable_times == 0
                assert "were not read" in str(caller.ends[0])
            monkeypatch.setattr(outgoing, "BYTES_WAITING_MAX", 50)
            async with linked() as (caller, _):
                link = caller.open_link
                link.pause_writing()
                link.send(FrameKind.REQUEST, bytes(100))
                assert link.is_open
                link.send(FrameKind.REQUEST, b"")
                assert not link.is_open

        run(scenario)

    def test_what_waited_leaves_first_when_the_other_end_reads_again(self, run: Run) -> None:
        """Then the user may go on."""

        async def scenario() -> None:
            async with linked() as (caller, member):
                link = caller.open_link
                link.pause_writing()
                for payload in (b"one", b"two"):
                    link.send(FrameKind.REQUEST, payload)
                link.flush()
                await asyncio.sleep(0)
                assert member.frames.empty()
                link.resume_writing()
                assert caller.writable_times == 1
                for payload in (b"one", b"two"):
                    assert await member.frames.get() == (FrameKind.REQUEST, payload)

        run(scenario)

    def test_a_real_end_that_does_not_read_pauses_its_writer(self, run: Run) -> None:
        """The buffers of the system are full, then the loop's."""

        async def scenario() -> None:
            async with linked() as (caller, member):
                stuck = member.open_link._transport
                assert stuck is not None
                stuck.pause_reading()
                frame = bytes(1 << 20)
                while caller.open_link.is_writable:
                    caller.open_link.send(FrameKind.REQUEST, frame)
                    caller.open_link.flush()
                    await asyncio.sleep(0)
                caller.open_link.send(FrameKind.REQUEST, b"kept")
                caller.open_link.flush()
                assert caller.open_link.waiting_frames == 1
                stuck.resume_reading()
                await until(lambda: caller.writable_times)
                assert caller.open_link.waiting_frames == 0

        run(scenario)


class TestQuestions:
    """One answer each, over one link."""

    def test_answers_find_their_questions_in_any_order(self, run: Run) -> None:
        """All over one link, which is closed when it is idle."""

        async def scenario() -> None:
            replies: list[Reply] = []

            def answer(question: LinkQuestion, reply: Reply) -> Forget:
                assert question.WhichOneof("question") == "get_member"
                replies.append(reply)
                return lambda: None

            async with serving(lambda: Answers(answer)) as member:
                asker = LinkAsker(member.address, questioning)
                asked = [asyncio.ensure_future(asker.ask(look(), SECONDS)) for _ in range(3)]
                await until(lambda: len(replies) == 3)
                for number in (2, 0, 1):
                    replies[number](LinkAnswer(problem=str(number)))
                    replies[number](LinkAnswer(problem="twice"))
                assert [(await one).problem for one in asked] == ["0", "1", "2"]
                assert len(member.users) == 1
                asker.close()

        run(scenario)

    def test_an_idle_link_is_closed_and_the_next_question_opens_another(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A member keeps no links that nobody uses."""
        monkeypatch.setattr(asking, "IDLE_SECONDS_MAX", 0.01)

        async def scenario() -> None:
            async with serving(lambda: Answers(at_once)) as member:
                asker = LinkAsker(member.address, questioning)
                for times in (1, 2):
                    assert (await asker.ask(look(), SECONDS)).problem == "here"
                    assert asker.cluster_id == "c"
                    assert len(member.users) == times
                    link = asker._questions.link
                    assert link is not None
                    await link.ended

        run(scenario)

    def test_a_late_answer_is_none_and_its_work_is_forgotten(self, run: Run) -> None:
        """At both ends; so is the work for a caller that is gone."""

        async def scenario() -> None:
            forgotten: list[int] = []
            replies: list[Reply] = []

            def answer(question: LinkQuestion, reply: Reply) -> Forget:
                replies.append(reply)
                return lambda: forgotten.append(question.id)

            async with serving(lambda: Answers(answer)) as member:
                asker = LinkAsker(member.address, questioning)
                await asker._open(SECONDS)
                with pytest.raises(LinkLate):
                    await asker.ask(look(), 0.05)
                await until(lambda: forgotten == [1])
                replies[0](LinkAnswer(problem="too late"))
                asked = asyncio.ensure_future(asker.ask(look(), SECONDS))
                await until(lambda: len(replies) == 2)
                asker.close()
                with pytest.raises(LinkBroken):
                    await asked
                await until(lambda: forgotten == [1, 2])
                assert not asker._questions._waiting

        run(scenario)

    def test_so_many_questions_wait_at_most(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One more ends the link, and all of them."""
        monkeypatch.setattr(asking, "QUESTIONS_MAX", 2)

        async def scenario() -> None:
            async with serving(lambda: Answers(lambda *_: lambda: None)) as member:
                asker = LinkAsker(member.address, questioning)
                asked = [asyncio.ensure_future(asker.ask(look(), SECONDS)) for _ in range(3)]
                for one in asked:
                    with pytest.raises(LinkBroken, match="one too many"):
                        await one
                asker.close()

        run(scenario)

    def test_a_refusal_reaches_whoever_asks(self, run: Run) -> None:
        """Every time."""

        async def scenario() -> None:
            async with serving(lambda: Answers(at_once)) as member:
                asker = LinkAsker(member.address, lambda: questioning(cluster_id="d"))
                for _ in range(2):
                    with pytest.raises(LinkRefused, match="belongs to another cluster"):
                        await asker.ask(look(), SECONDS)

        run(scenario)


def questioning(**change: Any) -> Introduction:  # noqa: ANN401 - fields of the record
    """Return the introduction of an asker."""
    return introduction(purpose=link_pb2.PURPOSE_QUESTION, **change)


def look() -> LinkQuestion:
    """Return a question."""
    return LinkQuestion(get_member=forward_pb2.GetMemberRequest())


def at_once(question: LinkQuestion, reply: Reply) -> Forget:
    """Answer."""
    del question
    reply(LinkAnswer(problem="here"))
    return lambda: None


def test_a_caller_that_gives_up_leaves_no_connection(run: Run) -> None:
    """Whether it is cancelled while it connects, or during the hello."""

    async def scenario() -> None:
        async with serving() as member:
            for turns in range(6):
                dialing_ = asyncio.ensure_future(
                    dial(member.address, INTRODUCTION, Seen(), SECONDS)
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                dialing_.cancel()
                await asyncio.gather(dialing_, return_exceptions=True)
            await until(lambda: not member.server._links and not len(member.server._unproven))

    run(scenario)


def test_a_name_is_looked_up_at_each_call(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that moved is found at its new address."""
    looked_up: list[str] = []

    async def scenario() -> None:
        async with serving() as member:
            loop = asyncio.get_running_loop()

            class Watched:
                def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the loop has it
                    return getattr(loop, name)

                async def create_connection(self, make: Any, host: str, port: int) -> Any:  # noqa: ANN401 - the loop's
                    looked_up.append(host)
                    return await loop.create_connection(make, "127.0.0.1", port)

            stand_in = SimpleNamespace(**{**vars(asyncio), "get_running_loop": Watched})
            monkeypatch.setattr(dialing, "asyncio", stand_in)
            port = member.address.rpartition(":")[2]
            for _ in range(2):
                await dial(f"member.example:{port}", INTRODUCTION, Seen(), SECONDS)

    run(scenario)
    assert looked_up == ["member.example"] * 2
