"""A gateway's stream carried on to a member that the gateway cannot reach itself.

Where only the way between two machines is cut, everybody is alive, the leader leads, and a gateway
beside it hears nobody that leads. Any member that it does hear can pass its stream on. It takes no
part in what is said: to the leader, and to the gateway, it is the other end.
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

    What is sent on asks for no relay of its own, so that there are no circles.
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
