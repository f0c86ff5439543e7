"""The names under which Kubernetes asks a service how it is."""

import asyncio
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service.probes import Probes

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NAMES = ("", "startup", "liveness", "readiness", "shop.Service")


async def statuses(stub: Any) -> dict[str, int]:  # noqa: ANN401 - as it is generated
    """Ask for every name."""
    return {
        name: (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status
        for name in NAMES
    }


def test_a_draining_service_lives_and_wants_no_calls() -> None:
    """Liveness is true to the end: a restart would cut the calls under way."""

    async def run() -> None:
        server = grpc.aio.server()
        probes = Probes(server, ["shop.Service"])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            await probes.mark_ready()
            assert await statuses(stub) == dict.fromkeys(NAMES, SERVING)
            await probes.mark_draining()
            living = dict.fromkeys(("startup", "liveness"), SERVING)
            assert await statuses(stub) == dict.fromkeys(NAMES, NOT_SERVING) | living
        await server.stop(None)

    asyncio.run(run())
