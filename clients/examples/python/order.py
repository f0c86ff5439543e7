"""Ten orders at once; see README.md, "From Python"."""

import asyncio
import os

from inventory_client import AsyncInventory, InventoryError

ADDRESS = os.environ.get("INVENTORY_ADDRESS", "127.0.0.1:50051")


async def main() -> None:
    async with AsyncInventory(ADDRESS, auth=("Gayathri", "password1")) as inventory:
        item = await inventory.item(2)
        print(f"{item.name}: {item.quantity} on hand, {item.price} each")
        try:
            orders = await asyncio.gather(*(inventory.order_item(2, 1) for _ in range(10)))
        except InventoryError as error:
            raise SystemExit(f"{error.reason}: {error}") from error
        for order in orders:
            print(f"order {order.order_id}: {order.total}, {order.on_hand_after} left")


asyncio.run(main())
