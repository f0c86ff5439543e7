"""Refusals in and out of gRPC, and the writing side of a stream."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from inventory.v1 import cluster_pb2, cluster_pb2_grpc
from wire.channels import (
    CLIENT_OPTIONS,
    DETAILS_KEY,
    SERVER_OPTIONS,
    abort,
    authorization,
    bearer,
    status_of,
)
from wire.errors import insufficient_stock, overloaded, reason_of
from wire.outbox import Outbox

REFUSAL = insufficient_stock(1, 5, 2)


class Refusing(cluster_pb2_grpc.ClusterServiceServicer):
    """Refuses each call, or shows its metadata."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.tokens: list[str | None] = []
        self.refusal = REFUSAL

    async def GetStatus(  # noqa: N802 - gRPC's name
        self,
        request: cluster_pb2.GetStatusRequest,  # noqa: ARG002 - gRPC's signature
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> cluster_pb2.GetStatusResponse:
        """Refuse."""
        self.tokens.append(bearer(context.invocation_metadata()))
        await abort(context, self.refusal)


def call(
    scenario: Callable[[Refusing, "cluster_pb2_grpc.ClusterServiceAsyncStub"], Awaitable[None]],
) -> None:
    """Run a scenario over loopback, with the options of both ends."""

    async def run() -> None:
        servicer = Refusing()  # type: ignore[abstract]  # one method is called
        server = grpc.aio.server(options=SERVER_OPTIONS)
        cluster_pb2_grpc.add_ClusterServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with (
            asyncio.timeout(20),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel,
        ):
            await scenario(servicer, cluster_pb2_grpc.ClusterServiceStub(channel))
        await server.stop(0)

    asyncio.run(run())


def test_a_refusal_crosses_gRPC_whole() -> None:  # noqa: N802 - a name
    """Code, sentence and details, as they were."""

    async def scenario(_: Refusing, stub: "cluster_pb2_grpc.ClusterServiceAsyncStub") -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetStatus(cluster_pb2.GetStatusRequest())
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.value.details() == REFUSAL.message
        status = status_of(refused.value)
        assert status == REFUSAL
        assert reason_of(REFUSAL) is not None

    call(scenario)


def test_when_to_try_again_is_told_to_gRPCs_retries() -> None:  # noqa: N802 - a name
    """Beside the details; nothing is where nothing is said."""

    async def scenario(
        servicer: Refusing, stub: "cluster_pb2_grpc.ClusterServiceAsyncStub"
    ) -> None:
        for refusal, pushback in ((overloaded(), "100"), (REFUSAL, None)):
            servicer.refusal = refusal
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetStatus(cluster_pb2.GetStatusRequest())
            trailing = dict(refused.value.trailing_metadata())
            assert trailing.get("grpc-retry-pushback-ms") == pushback
            assert status_of(refused.value) == refusal

    call(scenario)


def test_a_token_crosses_gRPC() -> None:  # noqa: N802 - a name
    """What `authorization` writes, `bearer` reads."""

    async def scenario(
        servicer: Refusing, stub: "cluster_pb2_grpc.ClusterServiceAsyncStub"
    ) -> None:
        for metadata in (authorization("to-ken"), ()):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetStatus(cluster_pb2.GetStatusRequest(), metadata=metadata)
        assert servicer.tokens == ["to-ken", None]

    call(scenario)


@pytest.mark.parametrize(
    ("metadata", "token"),
    [
        ((("authorization", "Bearer abc"),), "abc"),
        ((("Authorization", "bearer  abc "),), "abc"),
        ((("authorization", "Basic abc"),), None),
        ((("authorization", "Bearer"),), None),
        ((("authorization", "Bearer "),), None),
        ((("authorization", b"Bearer abc"),), None),
        ((("other", "Bearer abc"),), None),
        ((), None),
        (None, None),
    ],
)
def test_a_bearer_token_is_read(
    metadata: Iterable[tuple[str, str | bytes]] | None, token: str | None
) -> None:
    """RFC 6750: the scheme's case does not count."""
    assert bearer(metadata) == token


def error(trailing: tuple[tuple[str, str | bytes], ...]) -> grpc.aio.AioRpcError:
    """Return an error with trailing metadata."""
    return grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing)
    )


def test_an_end_without_details_has_no_refusal() -> None:
    """A broken connection, or bytes that are none."""
    assert status_of(error(())) is None
    assert status_of(error(((DETAILS_KEY, b"\xff"),))) is None
    assert status_of(grpc.RpcError()) is None
    empty = status_pb2.Status()
    assert status_of(error(((DETAILS_KEY, empty.SerializeToString()),))) == empty


class FakeCall:
    """Takes frames, one at a time, until it breaks."""

    def __init__(self) -> None:
        """Start whole."""
        self.written: list[int] = []
        self.writing = False
        self.broken = False
        self.cancelled = False
        self.gate = asyncio.Event()

    async def write(self, request: int) -> None:
        """Take a frame when the gate is open."""
        assert not self.writing
        self.writing = True
        await self.gate.wait()
        self.writing = False
        if self.broken:
            raise asyncio.InvalidStateError("it is over")
        self.written.append(request)

    def cancel(self) -> bool:
        """End."""
        self.cancelled = True
        return True


def test_one_write_at_a_time_and_the_rest_gathers() -> None:
    """What came during a write leaves with the next."""

    async def scenario() -> None:
        waiting = [1]

        def following() -> int | None:
            total, waiting[:] = sum(waiting), []
            return total or None

        outbox, stream = Outbox(following), FakeCall()
        outbox.wake()
        writer = asyncio.ensure_future(outbox.write_to(stream))
        for number in (2, 3):
            await asyncio.sleep(0)
            waiting.append(number)
            outbox.wake()
        stream.gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert stream.written == [1, 5]
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    asyncio.run(scenario())


def test_a_failed_write_ends_the_call() -> None:
    """Or its reader would wait on a stream that nobody writes to."""

    async def scenario() -> None:
        outbox, stream = Outbox(lambda: 1), FakeCall()
        stream.broken = True
        stream.gate.set()
        outbox.wake()
        await outbox.write_to(stream)
        assert stream.cancelled

    asyncio.run(scenario())


SILENT = """
import asyncio
import signal
import subprocess
import sys
import grpc
import grpc.aio
from wire.channels import SERVER_OPTIONS


async def answer(raw, context):
    return raw


async def main():
    server = grpc.aio.server(options=SERVER_OPTIONS)
    echo = grpc.unary_unary_rpc_method_handler(answer)
    services = [grpc.method_handlers_generic_handler("test.Silent", {"Echo": echo})]
    server.add_generic_rpc_handlers(services)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
"""


def test_a_peer_that_is_stopped_is_given_up_long_before_a_minute() -> None:
    """Its sockets stay open and its kernel acknowledges every byte: only a ping tells."""
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", SILENT], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel:
                echo: Any = channel.unary_unary("/test.Silent/Echo")
                assert echo(b"there", timeout=30, wait_for_ready=True) == b"there"
                process.send_signal(signal.SIGSTOP)
                with pytest.raises(grpc.RpcError) as ended:
                    echo(b"still there", timeout=45)
                assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        finally:
            process.kill()
