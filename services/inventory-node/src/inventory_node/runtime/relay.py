"""Relay: carries a gateway's stream on to a member that the gateway cannot reach itself.

If only the way between two machines is cut, every member is alive and the leader leads, but the
gateway reaches no leader. Any member that the gateway reaches can relay the stream. The relaying
member takes no part in the exchange. To the leader, the relaying member acts as the gateway. To the
gateway, the relaying member acts as the leader.
"""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import grpc.aio
from inventory.raft.v1 import forward_pb2, forward_pb2_grpc
from service.tasks import until_first
from wire.channels import authorization, straight_channel
from wire.outbox import BROKEN

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
RequestTable: TypeAlias = AsyncIterator[forward_pb2.ForwardRequest]


async def carry(requests: RequestTable, context: Context, address: str, key: str) -> None:
    """Pass frames on in both directions until either end is gone.

    The relayed call asks for no relay of its own, so there are no circles.
    """
    async with straight_channel(address) as channel:
        call = forward_pb2_grpc.ForwardServiceStub(channel).Forward(metadata=authorization(key))

        async def there() -> None:
            async for request in requests:
                await call.write(request)

        async def back() -> None:
            async for response in call:
                await context.write(response)

        try:
            await until_first(there(), back())
        except BROKEN:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the way to {address} is broken")
        finally:
            call.cancel()
