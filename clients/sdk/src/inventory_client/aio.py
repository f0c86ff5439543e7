"""The asyncio client."""

from types import TracebackType
from typing import Self

from inventory_client.operations import (
    AsyncAssistantCalls,
    AsyncAuthCalls,
    AsyncClusterCalls,
    AsyncInventoryCalls,
)


class AsyncInventory(AsyncAuthCalls, AsyncInventoryCalls, AsyncClusterCalls, AsyncAssistantCalls):
    """One user's connection to an inventory; use it as an async context manager.

    Methods raise `InventoryError`. Mutations take `request_id` to try an unknown outcome again;
    without `request_id`, a mutation makes its own id.
    """

    async def __aenter__(self) -> Self:
        """Return the client itself; the client connects on first use."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self.close()
