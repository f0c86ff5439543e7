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
    without one they make their own.
    """

    async def __aenter__(self) -> Self:
        """Return the client itself; it connects on first use."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()
