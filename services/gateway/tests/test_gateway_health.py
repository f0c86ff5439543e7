"""What the gateway's health says of reads and writes."""

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from chaos.ports import free_port
from gateway.runtime import server
from gateway.runtime.assistant import Assistant
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service.faults import Faults
from service.intake import open_gate
from wire.channels import straight_channel

if TYPE_CHECKING:
    from gateway.router import Router
    from gateway.runtime.api import Api

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("name", ["reads", "writes"])
def test_reads_and_writes_are_served_while_a_leader_is_reached(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before one is, not without one, and not while this gateway drains."""
    monkeypatch.setattr(server, "HEALTH_SECONDS", 0)
    router = SimpleNamespace(reaches_leader=False)
    api = cast("Api", SimpleNamespace(handlers=tuple, gate=SimpleNamespace(admitted=open_gate)))

    async def scenario() -> None:
        address = f"127.0.0.1:{free_port()}"
        served = server.GatewayServer({address: None}, api, Assistant(""), Faults())
        await served.start()
        showing = asyncio.ensure_future(served.publish_health(cast("Router", router)))
        async with straight_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=name))
            assert (await watch.read()).status == NOT_SERVING
            for reaches in (True, False, True):
                router.reaches_leader = reaches
                assert (await watch.read()).status == (SERVING if reaches else NOT_SERVING)
            stopped = asyncio.Event()
            ending = asyncio.ensure_future(served.serve_until(stopped))
            stopped.set()
            assert (await watch.read()).status == NOT_SERVING
            watch.cancel()
            await ending
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 20))
