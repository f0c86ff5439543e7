"""A shop on a real socket: the inventory's API over a catalogue in memory, for the assistant."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from assistant.api import predict
from assistant.calls import InventoryReader
from inventory.v1 import assistant_pb2, inventory_pb2, inventory_pb2_grpc
from inventory_client import AsyncInventory
from wire import bounds, errors
from wire.channels import abort, bearer
from wire.money import digits_of, from_minor, to_minor
from wire.text import folded

REVISION = 42


@dataclass(frozen=True)
class Goods:
    """An item, and what it sold."""

    name: str
    price_minor: int
    quantity: int
    orders: int = 0
    sold: int = 0
    week: int = 0
    month: int = 0


ELECTRONICS = [
    Goods("Laptop", 89_900, 25, orders=4, sold=5, week=5, month=5),
    Goods("Smartphone", 59_900, 40, orders=10, sold=14, week=7, month=14),
    Goods("Wireless Mouse", 2_499, 150, orders=30, sold=60, week=0, month=30),
    Goods("Headphones", 14_950, 60),
    Goods("Keyboard", 7_990, 8, orders=3, sold=3, week=1, month=3),
]
GARDEN = [
    Goods("Garden Hose", 3_200, 12, orders=2, sold=4, week=4, month=4),
    Goods("Rose Bush", 1_500, 0, orders=9, sold=20, week=10, month=20),
    Goods("Watering Can", 1_800, 3, orders=1, sold=1, week=0, month=1),
    Goods("Hedge Trimmer", 24_000, 7),
    Goods("Flower Pot (small)", 300, 400, orders=12, sold=90, week=21, month=90),
    Goods("Flower Pot (large)", 1_200, 55, orders=5, sold=9, week=0, month=9),
    Goods("Rake", 2_500, 10),
    Goods("Lawn Mower", 98_000, 2, orders=1, sold=1, week=1, month=1),
]


class Inventory(inventory_pb2_grpc.InventoryServiceServicer):
    """The reads of the API over a list."""

    def __init__(self, currency: str, goods: list[Goods], pages: list[int]) -> None:
        """Serve a catalogue; ids begin at 1. `pages` takes the size of each page that is read."""
        self.pages = pages
        self._currency = currency
        self._goods = dict(enumerate(goods, start=1))

    def _money(self, minor: int) -> Any:  # noqa: ANN401 - google.type has no stubs
        return from_minor(minor, self._currency, digits_of(self._currency))

    def _item(self, item_id: int) -> inventory_pb2.Item:
        one = self._goods[item_id]
        return inventory_pb2.Item(
            id=item_id, name=one.name, price=self._money(one.price_minor), quantity=one.quantity
        )

    def _stats(self, item_id: int) -> inventory_pb2.ItemStats:
        one = self._goods[item_id]
        return inventory_pb2.ItemStats(
            item_id=item_id, item_name=one.name, quantity=one.quantity, order_count=one.orders,
            units_sold=one.sold, revenue=self._money(one.sold * one.price_minor),
            units_sold_last_7_days=one.week, units_sold_last_30_days=one.month,
        )  # fmt: skip

    async def GetAllItems(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802 - gRPC's
        """Filter, sort, and cut into pages by position."""
        problem = bounds.check(request)
        if problem is not None:
            await abort(context, problem)
        self.pages.append(request.page_size)
        wanted = request.filter
        digits = digits_of(self._currency)
        kept = [
            item
            for item in self._goods
            if folded(wanted.name_contains) in folded(self._goods[item].name)
            and not (wanted.HasField("price_min")
                     and self._goods[item].price_minor < to_minor(wanted.price_min, digits))
            and not (wanted.HasField("price_max")
                     and self._goods[item].price_minor > to_minor(wanted.price_max, digits))
            and not (wanted.HasField("quantity_min")
                     and self._goods[item].quantity < wanted.quantity_min)
            and not (wanted.HasField("quantity_max")
                     and self._goods[item].quantity > wanted.quantity_max)
        ]  # fmt: skip
        name, _, way = request.order_by.partition(" ")
        fields = {"price": "price_minor", "name": "name", "quantity": "quantity"}
        field = (fields | {"": "", "id": ""})[name]
        if field:
            kept.sort(key=lambda item: (getattr(self._goods[item], field), item))
        if way == "desc":
            kept.reverse()
        start = int(request.page_token or 0)
        page = kept[start : start + (request.page_size or 50)]
        response = inventory_pb2.GetAllItemsResponse(
            items=[self._item(item) for item in page],
            revision=REVISION,
            currency_code=self._currency,
        )
        if start + len(page) < len(kept):
            response.next_page_token = str(start + len(page))
        return response

    async def GetItem(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802 - gRPC's
        """Return one."""
        if request.item_id not in self._goods:
            await abort(context, errors.item_not_found(request.item_id))
        return inventory_pb2.GetItemResponse(item=self._item(request.item_id), revision=REVISION)

    async def _keepers(self, context: Any) -> None:  # noqa: ANN401 - gRPC's
        if bearer(context.invocation_metadata()) == "customer":
            await abort(context, errors.role_not_allowed("customer", "producer or admin"))

    async def GetItemStats(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802 - gRPC's
        """Return one's sales."""
        await self._keepers(context)
        return inventory_pb2.GetItemStatsResponse(
            stats=self._stats(request.item_id), revision=REVISION
        )

    async def ListItemStats(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802 - gRPC's
        """Return all sales, sorted by units."""
        self.pages.append(request.page_size)
        await self._keepers(context)
        kept = sorted(self._goods, key=lambda item: (self._goods[item].sold, item))
        if request.order_by.endswith("desc"):
            kept.reverse()
        stats = [self._stats(item) for item in kept[: request.page_size]]
        return inventory_pb2.ListItemStatsResponse(stats=stats, revision=REVISION)

    async def GetInventoryStats(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802 - gRPC's
        """Return the totals."""
        await self._keepers(context)
        goods = list(self._goods.values())
        low = request.low_stock_threshold
        return inventory_pb2.GetInventoryStatsResponse(
            item_count=len(goods),
            total_quantity=sum(one.quantity for one in goods),
            stock_value=self._money(sum(one.quantity * one.price_minor for one in goods)),
            low_stock_count=sum(0 < one.quantity <= low for one in goods),
            out_of_stock_count=sum(one.quantity == 0 for one in goods),
            order_count=sum(one.orders for one in goods),
            units_sold=sum(one.sold for one in goods),
            revenue=self._money(sum(one.sold * one.price_minor for one in goods)),
            revision=REVISION,
        )


class Asker:
    """Asks the assistant's stages about catalogues that are served on loopback."""

    def __init__(self) -> None:
        """Serve both catalogues on a loop in a thread of its own."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[grpc.aio.Server] = []
        self._clients: dict[str, AsyncInventory] = {}
        self.pages: list[int] = []  # the sizes of the pages that were read
        self.serve("electronics", "USD", ELECTRONICS)
        self.serve("garden", "JPY", GARDEN)

    @property
    def goods(self) -> list[Goods]:
        """Return goods, by whose kind further catalogues are made."""
        return ELECTRONICS

    def serve(self, name: str, currency: str, goods: list[Goods]) -> None:
        """Serve one more catalogue."""
        asyncio.run_coroutine_threadsafe(self._serve(name, currency, goods), self._loop).result()

    async def _serve(self, name: str, currency: str, goods: list[Goods]) -> None:
        server = grpc.aio.server()
        inventory_pb2_grpc.add_InventoryServiceServicer_to_server(
            Inventory(currency, goods, self.pages),  # type: ignore[abstract]  # it reads only
            server,
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._servers.append(server)
        self._clients[name] = AsyncInventory(f"127.0.0.1:{port}")

    def ask(self, catalogue: str, role: str, question: str) -> assistant_pb2.GetPredictionResponse:
        """Ask as a role."""

        async def work() -> assistant_pb2.GetPredictionResponse:
            caller = self._clients[catalogue].as_user(role)
            return await predict(question, InventoryReader(caller))

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=20)

    def close(self) -> None:
        """Stop serving."""

        async def work() -> None:
            for client in self._clients.values():
                await client.close()
            for server in self._servers:
                await server.stop(0)

        asyncio.run_coroutine_threadsafe(work(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="session")
def asker() -> Iterator[Asker]:
    """Serve the catalogues for all tests of this room."""
    serving = Asker()
    yield serving
    serving.close()
