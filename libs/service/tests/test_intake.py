"""Who calls is looked at before a body is read, and a body has to come."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest
from chaos.ports import free_port
from service import intake
from service.errors import CallRefused
from service.faults import Faults
from service.intake import SlowRefusals, open_gate
from service.serving import make_server
from wire import errors
from wire.channels import REQUEST_BYTES_MAX, status_of, straight_channel
from wire.errors import Reason, reason_of

pytestmark = [
    pytest.mark.slow,
    # grpc.aio makes a receiver for each stream, and warns of one that nobody asked for a message.
    pytest.mark.filterwarnings("ignore:coroutine '_MessageReceiver"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object _MessageRec"),
]
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Channel: TypeAlias = Any  # its calls have no types here
WORD = b"word"
PATIENCE_SECONDS = 20  # no busy machine needs so long


class Called:
    """A service with a method of each kind; counts the calls that got through."""

    def __init__(self) -> None:
        """Count from 0."""
        self.count = 0

    async def answer(self, raw: bytes, _: Context) -> bytes:
        """Return what came."""
        self.count += 1
        return raw

    async def generate(self, raw: bytes, _: Context) -> AsyncIterator[bytes]:
        """Yield what came twice."""
        self.count += 1
        yield raw
        yield raw

    async def write(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Write each message back."""
        self.count += 1
        async for raw in requests:
            await context.write(raw)

    async def gather(self, requests: AsyncIterator[bytes], _: Context) -> bytes:
        """Return all messages as one."""
        self.count += 1
        return b"".join([raw async for raw in requests])


@asynccontextmanager
async def served(called: Called, gate: intake.Gate = open_gate) -> AsyncIterator[grpc.aio.Channel]:
    """Serve, and open a channel."""
    server = make_server(Faults(), gate=gate)
    methods: dict[str, Any] = {
        "Answer": grpc.unary_unary_rpc_method_handler(called.answer),
        "Generate": grpc.unary_stream_rpc_method_handler(called.generate),
        "Write": grpc.stream_stream_rpc_method_handler(called.write),
        "Gather": grpc.stream_unary_rpc_method_handler(called.gather),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Kinds", methods),))
    address = f"127.0.0.1:{free_port()}"
    server.add_insecure_port(address)
    await server.start()
    try:
        async with straight_channel(address) as channel:
            yield channel
    finally:
        await server.stop(None)


def run(
    work: Callable[[grpc.aio.Channel, Called], Awaitable[None]], gate: intake.Gate = open_gate
) -> None:
    """Run `work` against a server."""

    async def scenario() -> None:
        called = Called()
        async with served(called, gate) as channel, asyncio.timeout(PATIENCE_SECONDS):
            await work(channel, called)

    asyncio.run(scenario())
    gc.collect()  # gRPC's warnings belong here


def test_a_call_of_each_kind_gets_through() -> None:
    """With its own messages, and all of them."""

    async def work(channel: Channel, called: Called) -> None:
        assert await channel.unary_unary("/test.Kinds/Answer")(WORD) == WORD
        generated = channel.unary_stream("/test.Kinds/Generate")(WORD)
        assert [one async for one in generated] == [WORD, WORD]
        written = channel.stream_stream("/test.Kinds/Write")(iter([WORD, b"x"]))
        assert [one async for one in written] == [WORD, b"x"]
        assert await channel.stream_unary("/test.Kinds/Gather")(iter([WORD, b"x"])) == WORD + b"x"
        assert called.count == 4

    run(work)


@pytest.mark.parametrize("method", ["Answer", "Generate", "Write", "Gather"])
def test_a_refusal_at_the_gate_waits_for_no_body(method: str) -> None:
    """The caller has sent no byte of a message, and is refused all the same."""

    @contextmanager
    def closed(named: str, _: Context) -> Iterator[None]:
        assert named == f"/test.Kinds/{method}"
        raise CallRefused(errors.token_invalid("is missing"))
        yield

    async def work(channel: Channel, called: Called) -> None:
        call = channel.stream_stream(f"/test.Kinds/{method}")()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        status = status_of(refused.value)
        assert status is not None
        assert reason_of(status) is Reason.TOKEN_INVALID
        assert not called.count

    run(work, closed)


def test_a_refusal_waits_and_few_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls again at once is not answered at once; memory stays bounded."""
    monkeypatch.setattr(intake, "REFUSAL_SECONDS", 3_600)
    monkeypatch.setattr(intake, "HELD_MAX", 2)

    async def scenario() -> None:
        refusals = SlowRefusals()
        held = [asyncio.ensure_future(refusals.pause()) for _ in range(3)]
        done, waiting = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        assert done == {held[2]}
        held[0].cancel()
        await asyncio.wait([held[0]])
        more = asyncio.ensure_future(refusals.pause())
        await asyncio.wait([more], timeout=0)
        assert not more.done()
        for one in (*waiting, more):
            one.cancel()
        await asyncio.gather(*waiting, more, return_exceptions=True)

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["Answer", "Generate", "Write", "Gather"])
def test_the_gate_is_open_for_as_long_as_the_call(method: str) -> None:
    """What it counts is under way, and is left however the call ends."""
    inside: list[str] = []
    left = asyncio.Event()

    @contextmanager
    def counting(named: str, _: Context) -> Iterator[None]:
        inside.append(named)
        yield
        inside.remove(named)
        left.set()

    async def work(channel: Channel, called: Called) -> None:
        call = channel.stream_stream(f"/test.Kinds/{method}")()
        await call.write(WORD)
        if method == "Write":
            assert await call.read() == WORD
            assert inside == [f"/test.Kinds/{method}"]
        await call.done_writing()
        while await call.read() is not grpc.aio.EOF:
            pass
        assert await call.code() is grpc.StatusCode.OK
        assert called.count == 1
        await left.wait()

    run(work, counting)


@pytest.mark.parametrize("method", ["Answer", "Generate"])
def test_a_body_that_does_not_come_ends_the_call(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller keeps the stream open and says nothing."""
    monkeypatch.setattr(intake, "BODY_SECONDS_MAX", 0.1)

    async def work(channel: Channel, called: Called) -> None:
        call = channel.stream_stream(f"/test.Kinds/{method}")()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "did not come whole" in (refused.value.details() or "")
        assert not called.count

    run(work)


def test_a_call_that_ends_without_a_message_is_refused() -> None:
    """As one whose message cannot be parsed."""

    async def work(channel: Channel, called: Called) -> None:
        call = channel.stream_stream("/test.Kinds/Answer")()
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert not called.count

    run(work)


def test_a_message_that_is_too_long_is_not_taken() -> None:
    """The longest that is taken comes through."""

    async def work(channel: Channel, called: Called) -> None:
        answer = channel.unary_unary("/test.Kinds/Answer")
        assert len(await answer(bytes(REQUEST_BYTES_MAX))) == REQUEST_BYTES_MAX
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await answer(bytes(REQUEST_BYTES_MAX + 1))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert called.count == 1

    run(work)


def test_no_compressed_message_is_taken() -> None:
    """A few bytes may become any number of bytes."""

    async def work(channel: Channel, called: Called) -> None:
        answer = channel.unary_unary("/test.Kinds/Answer")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await answer(bytes(100_000), compression=grpc.Compression.Gzip)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert not called.count

    run(work)
