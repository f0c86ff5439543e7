"""Exceptions that no handler expected: what the caller is told, what is logged and counted."""

import ast
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from service.faults import Faults
from service.serving import make_server
from structlog.testing import capture_logs
from wire import errors
from wire.channels import abort, status_of, straight_channel
from wire.errors import Reason, details_of, reason_of

ROOT = Path(__file__).resolve().parents[3]
SECRET = "int too big to convert"  # noqa: S105 - what nobody outside may read
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
Behaviors = dict[str, Callable[[Any, Any], Any]]


async def raise_or_answer(request: Any, context: Any) -> StringValue:  # noqa: ANN401 - a message
    """Raise or answer as the request's text says."""
    match request.value:
        case "fault":
            raise OverflowError(SECRET)
        case "refuse":
            await abort(context, errors.item_not_found(3))
        case "abort":
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not here")
        case "nonsense":
            return "no message"  # type: ignore[return-value]  # so it is
        case _:
            pass
    return StringValue(value=f"said {request.value}")


class Written:
    """Behaviors of all four kinds that write to the call."""

    async def unary_unary(self, request: Any, context: Any) -> StringValue:  # noqa: ANN401
        """Answer."""
        return await raise_or_answer(request, context)

    async def unary_stream(self, request: Any, context: Any) -> None:  # noqa: ANN401
        """Write."""
        await context.write(await raise_or_answer(request, context))

    async def stream_unary(self, requests: Any, context: Any) -> StringValue:  # noqa: ANN401
        """Answer the last."""
        answer = StringValue()
        async for request in requests:
            answer = await raise_or_answer(request, context)
        return answer

    async def stream_stream(self, requests: Any, context: Any) -> None:  # noqa: ANN401
        """Write for each."""
        async for request in requests:
            await context.write(await raise_or_answer(request, context))


class Generated(Written):
    """The same, with generators where responses are a stream."""

    async def unary_stream(self, request: Any, context: Any) -> AsyncIterator[StringValue]:  # type: ignore[override]  # noqa: ANN401
        """Yield."""
        yield await raise_or_answer(request, context)

    async def stream_stream(self, requests: Any, context: Any) -> AsyncIterator[StringValue]:  # type: ignore[override]  # noqa: ANN401
        """Yield for each."""
        async for request in requests:
            yield await raise_or_answer(request, context)


def handlers(served: Written) -> grpc.GenericRpcHandler:
    """Return a service with a method of each kind."""
    methods = {
        kind: getattr(grpc, f"{kind}_rpc_method_handler")(
            getattr(served, kind),
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        )
        for kind in KINDS
    }
    return grpc.method_handlers_generic_handler("shop.Service", methods)


async def call(channel: grpc.aio.Channel, kind: str, raw: bytes) -> str:
    """Call with raw bytes; return the responses."""
    made = getattr(channel, kind)(f"/shop.Service/{kind}")
    answer = made(iter([raw]) if kind.startswith("stream") else raw)
    found = [one async for one in answer] if kind.endswith("stream") else [await answer]
    return StringValue.FromString(found[0]).value


def served(
    work: Callable[[grpc.aio.Channel, Faults], Awaitable[None]], service: Written | None = None
) -> list[Any]:
    """Run `work` against a server; return the log."""

    async def run() -> None:
        faults = Faults()
        server = make_server(faults)
        server.add_generic_rpc_handlers((handlers(service or Written()),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with straight_channel(f"127.0.0.1:{port}") as channel:
            await work(channel, faults)
        await server.stop(None)

    with capture_logs() as logged:
        asyncio.run(asyncio.wait_for(run(), 20))
    return logged


async def refused(channel: grpc.aio.Channel, kind: str, raw: bytes) -> grpc.aio.AioRpcError:
    """Return the error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, kind, raw)
    return caught.value


def said(text: str) -> bytes:
    """Return a request's bytes."""
    return StringValue(value=text).SerializeToString()


@pytest.mark.parametrize("service", [Written(), Generated()], ids=["written", "generated"])
@pytest.mark.parametrize("kind", KINDS)
class TestEveryKindOfCall:
    """A method is unary or a stream on either side, and its responses are written or yielded."""

    def test_a_fault_is_told_by_an_id_logged_with_its_trace_and_counted(
        self, kind: str, service: Written
    ) -> None:
        """The exception's own words stay inside."""
        ids: list[str] = []

        async def work(channel: grpc.aio.Channel, faults: Faults) -> None:
            for _ in range(2):
                error = await refused(channel, kind, said("fault"))
                status = status_of(error)
                assert status is not None
                assert error.code() is grpc.StatusCode.INTERNAL
                assert reason_of(status) is Reason.INTERNAL
                ids.append(details_of(status)["error_id"])
                assert ids[-1] in str(error.details())
                assert SECRET not in str(error.details())
            assert faults.count == 2
            assert await call(channel, kind, said("more")) == "said more"

        logged = served(work, service)
        assert len(set(ids)) == 2
        assert [entry["error_id"] for entry in logged] == ids
        for entry in logged:
            assert (entry["event"], entry["log_level"]) == ("internal_error", "error")
            assert entry["where"] == f"/shop.Service/{kind}"
            assert isinstance(entry["exc_info"], OverflowError)

    def test_refusals_and_aborts_pass(self, kind: str, service: Written) -> None:
        """Refusals and aborts are no faults."""

        async def work(channel: grpc.aio.Channel, faults: Faults) -> None:
            status = status_of(await refused(channel, kind, said("refuse")))
            assert status == errors.item_not_found(3)
            aborted = await refused(channel, kind, said("abort"))
            assert (aborted.code(), aborted.details()) == (
                grpc.StatusCode.UNIMPLEMENTED,
                "not here",
            )
            assert faults.count == 0

        assert served(work, service) == []

    def test_bytes_that_are_no_message_are_the_callers_fault(
        self, kind: str, service: Written
    ) -> None:
        """INVALID_FIELD, whatever the method."""

        async def work(channel: grpc.aio.Channel, faults: Faults) -> None:
            status = status_of(await refused(channel, kind, b"\xff"))
            assert status == errors.invalid_field("request", "cannot be parsed")
            assert faults.count == 0

        assert served(work, service) == []

    def test_a_response_that_is_no_message_is_a_fault(self, kind: str, service: Written) -> None:
        """The response cannot be serialized."""

        async def work(channel: grpc.aio.Channel, faults: Faults) -> None:
            status = status_of(await refused(channel, kind, said("nonsense")))
            assert status is not None
            assert reason_of(status) is Reason.INTERNAL
            assert faults.count == 1

        assert len(served(work, service)) == 1


def test_a_method_that_is_not_there_stays_unimplemented() -> None:
    """The call ends with gRPC's own refusal, and no fault is counted."""

    async def work(channel: grpc.aio.Channel, _: Faults) -> None:
        method: Any = channel.unary_unary("/shop.Service/Nothing")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    assert served(work) == []


def test_a_caller_that_goes_is_no_fault() -> None:
    """The handler is cancelled. A write to the lost call is not counted as a fault."""
    ended = asyncio.Event()

    class Waiting(Written):
        """Waits until the call is over, and writes then."""

        async def unary_stream(self, request: Any, context: Any) -> None:  # noqa: ANN401
            """Write for ever."""
            try:
                while True:
                    await context.write(request)
            finally:
                ended.set()

    async def work(channel: grpc.aio.Channel, faults: Faults) -> None:
        method: Any = channel.unary_stream("/shop.Service/unary_stream")
        going = method(said("on"))
        await going.read()
        going.cancel()
        await ended.wait()
        assert faults.count == 0

    assert served(work, Waiting()) == []


def test_the_trouble_of_a_call_inside_is_a_fault() -> None:
    """The handler's own call failed; the caller is still there and gets an answer."""

    class Asking(Written):
        """Asks somebody else, who refuses."""

        async def unary_unary(self, request: Any, context: Any) -> StringValue:  # noqa: ANN401, ARG002
            """Let the other's error out."""
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata(), SECRET
            )

    async def work(channel: grpc.aio.Channel, faults: Faults) -> None:
        status = status_of(await refused(channel, "unary_unary", said("x")))
        assert status is not None
        assert reason_of(status) is Reason.INTERNAL
        assert faults.count == 1

    assert len(served(work, Asking())) == 1


def test_a_method_that_a_service_leaves_out_is_unimplemented() -> None:
    """The stub's own method refuses the call, as `List` of health does: that is no fault."""

    class Health(Written):
        async def unary_unary(self, request: Any, context: Any) -> StringValue:  # noqa: ANN401
            raise NotImplementedError("Method not implemented!")

    async def work(channel: grpc.aio.Channel, faults: Faults) -> None:
        error = await refused(channel, "unary_unary", said("x"))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert faults.count == 0

    assert not served(work, Health())


def test_an_exception_that_ends_a_connection_is_a_fault() -> None:
    """It is counted and logged with its trace; other troubles of the loop are the loop's."""
    faults = Faults()

    class Broken(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise RuntimeError(data.decode())

    async def scenario() -> None:
        faults.watch_links()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Broken, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"a bug")
        assert await reader.read() == b""
        writer.close()
        server.close()

    with capture_logs() as logged:
        asyncio.run(scenario())
    assert faults.count == 1
    (line,) = [one for one in logged if one["event"] == "internal_error"]
    assert str(line["exc_info"]) == "a bug"


HOMES = {
    "server": "libs/service/src/service/serving.py",
    "insecure_channel": "libs/wire/src/wire/channels.py",
    "secure_channel": "libs/wire/src/wire/channels.py",
}


def test_every_server_and_every_channel_is_made_in_one_place() -> None:
    """Another server answers with Python's error text; another channel follows a proxy."""
    made = set()
    for room in ("libs", "clients", "services"):
        for path in ROOT.glob(f"{room}/*/src/**/*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    of, name = ast.unparse(node.func.value), node.func.attr
                    if of in {"grpc", "grpc.aio"} and name in HOMES:
                        made.add((name, path.relative_to(ROOT).as_posix()))
    assert made == set(HOMES.items())
