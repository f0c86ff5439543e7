"""Honest customers: they order by stream and by unary calls, as fast as they are answered."""

import asyncio
import time
from dataclasses import dataclass, field

from inventory_client import AsyncInventory, InventoryError

CUSTOMERS = (("Gayathri", "password1"), ("Sushma", "password3"))
STREAM_ORDERS = 12  # in flight
UNARY_ORDERS = 2
CALL_SECONDS_MAX = 5.0


@dataclass(slots=True)
class Work:
    """What an honest client got done."""

    ended: list[float] = field(default_factory=list)  # when each order ended, monotonic seconds
    problems: list[str] = field(default_factory=list)

    def rate(self, start: float, end: float) -> float:
        """Return the orders a second of a time."""
        return sum(start <= at < end for at in self.ended) / (end - start)


async def order_until(
    stopped: asyncio.Event, inventory: AsyncInventory, item: int, work: Work
) -> None:
    """Order one after the other until stopped."""
    while not stopped.is_set():
        try:
            await inventory.order_item(item, 1)
        except InventoryError as error:
            work.problems.append(f"{error.reason}: {error}"[:200])
        else:
            work.ended.append(time.monotonic())


class HonestClients:
    """Two customers, one by stream and one by unary calls, logged in before an attack begins."""

    def __init__(self, address: str, item: int) -> None:
        """Order one of `item` again and again."""
        self._item = item
        self._stopped = asyncio.Event()
        (first, _), (second, _) = CUSTOMERS
        self._by_stream = AsyncInventory(address, timeout=CALL_SECONDS_MAX)
        self._by_unary = AsyncInventory(address, timeout=CALL_SECONDS_MAX, unary=True)
        self.work = {first: Work(), second: Work()}

    async def log_in(self) -> None:
        """Log in both customers."""
        for client, customer in zip((self._by_stream, self._by_unary), CUSTOMERS, strict=True):
            await client.login(*customer)

    async def run(self) -> None:
        """Order until `stop`, then close."""
        by_stream, by_unary = self.work.values()
        async with asyncio.TaskGroup() as group:
            for _ in range(STREAM_ORDERS):
                group.create_task(
                    order_until(self._stopped, self._by_stream, self._item, by_stream)
                )
            for _ in range(UNARY_ORDERS):
                group.create_task(order_until(self._stopped, self._by_unary, self._item, by_unary))
        await self._by_stream.close()
        await self._by_unary.close()

    def stop(self) -> None:
        """End the work."""
        self._stopped.set()
