"""A gateway that stops loses no call: its clients are elsewhere before it ends."""

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
import pytest
from chaos.ports import free_port
from gateway.runtime import server
from gateway.runtime.assistant import Assistant
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service.faults import Faults
from service.intake import open_gate

if TYPE_CHECKING:
    from gateway.runtime.api import Api

pytestmark = pytest.mark.slow
LEAVE_SECONDS = 0.4
SECONDS_MAX = 10


class NoServices:
    """Serves health and reflection alone."""

    gate = SimpleNamespace(admitted=open_gate)

    def handlers(self) -> tuple[()]:
        """Return nothing more."""
        return ()


def test_it_serves_on_while_clients_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is not ready from the first moment, and answers for `leave_seconds`."""

    async def scenario() -> None:
        paused: list[float] = []
        is_over = asyncio.Event()

        async def pause(seconds: float) -> None:
            paused.append(seconds)
            await is_over.wait()

        monkeypatch.setattr(server, "asyncio", SimpleNamespace(sleep=pause))
        address = f"127.0.0.1:{free_port()}"
        served = server.GatewayServer(
            {address: None}, cast("Api", NoServices()), Assistant(""), Faults(), LEAVE_SECONDS
        )
        await served.start()
        stopped = asyncio.Event()
        async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as group:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            ready = stub.Watch(health_pb2.HealthCheckRequest(service="readiness"))
            assert (await ready.read()).status == health_pb2.HealthCheckResponse.SERVING
            serving = group.create_task(served.serve_until(stopped))
            stopped.set()
            assert (await ready.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            alive = await stub.Check(health_pb2.HealthCheckRequest(service="liveness"))
            assert alive.status == health_pb2.HealthCheckResponse.SERVING
            ready.cancel()
            assert not serving.done()
            is_over.set()
            await serving
            assert paused == [LEAVE_SECONDS]

    asyncio.run(scenario())


def test_connections_do_not_get_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is asked to connect anew, and no call fails for it."""
    monkeypatch.setattr(server, "CONNECTION_SECONDS", 1)

    async def scenario() -> None:
        address = f"127.0.0.1:{free_port()}"
        served = server.GatewayServer(
            {address: None}, cast("Api", NoServices()), Assistant(""), Faults()
        )
        await served.start()
        stopped = asyncio.Event()
        async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as group:
            group.create_task(served.serve_until(stopped))
            stub: Any = health_pb2_grpc.HealthStub(channel)
            enough = asyncio.Event()

            async def call() -> None:
                while not enough.is_set():
                    await stub.Check(health_pb2.HealthCheckRequest(service="liveness"))

            await channel.channel_ready()
            calling = group.create_task(call())
            ready = grpc.ChannelConnectivity.READY
            await asyncio.wait_for(channel.wait_for_state_change(ready), SECONDS_MAX)
            await channel.channel_ready()
            enough.set()
            await calling
            stopped.set()

    asyncio.run(scenario())
