"""The calls that a query makes, with the caller's own token. The server cuts pages."""

from collections.abc import Sequence
from typing import Any

import grpc.aio
from google.type import money_pb2
from inventory.v1 import inventory_pb2
from wire.bounds import NAME_CHARACTERS_MAX
from wire.money import digits_of, from_minor
from wire.text import folded

from assistant.entities import by_typing_error, choose, named, spellings
from assistant.errors import ForeignWords, UnresolvedItem
from assistant.query import Reference

PAGE_MAX = 999  # one page: an exact name is found among many names that contain it
CATALOGUE_MAX = 1_000  # searched for typing errors
TIMEOUT_SECONDS = 4


class InventoryReader:
    """The inventory as one caller sees it, during one question."""

    def __init__(
        self,
        stub: Any,  # noqa: ANN401 - the generated stub is typed for blocking calls
        metadata: Sequence[tuple[str, str]],
    ) -> None:
        """Call with the caller's metadata."""
        self._stub = stub
        self._metadata = tuple(metadata)
        self.revision = 0
        self._currency = ""

    async def currency(self) -> str:
        """Return the code of the currency of all prices."""
        if not self._currency:
            await self.items(limit=1)
        return self._currency

    async def digits(self) -> int:
        """Return the decimals of the currency."""
        return digits_of(await self.currency())

    async def money(self, minor: int) -> money_pb2.Money:
        """Return an amount for the wire."""
        return from_minor(minor, await self.currency(), await self.digits())

    async def items(
        self,
        wanted: inventory_pb2.ItemFilter | None = None,
        order_by: str = "",
        limit: int = CATALOGUE_MAX,
    ) -> list[inventory_pb2.Item]:
        """Return up to `limit` items, and one more where there are more."""
        request = inventory_pb2.GetAllItemsRequest(
            filter=wanted, order_by=order_by, page_size=min(limit + 1, CATALOGUE_MAX)
        )
        found: list[inventory_pb2.Item] = []
        while True:
            page: inventory_pb2.GetAllItemsResponse = await self._stub.GetAllItems(
                request, metadata=self._metadata, timeout=TIMEOUT_SECONDS
            )
            self.revision, self._currency = page.revision, page.currency_code
            found.extend(page.items)
            if not page.next_page_token or len(found) > limit:
                return found[: limit + 1]
            request.page_token = page.next_page_token

    async def item(self, reference: Reference) -> inventory_pb2.Item:
        """Return the item that a reference means.

        Raises UnresolvedItem when it means no item or several, and ForeignWords when the question
        may not be about an item.
        """
        if reference.item_id is not None:
            return await self._by_id(reference.item_id)
        for spelling in spellings(reference.words):
            if len(spelling) > NAME_CHARACTERS_MAX:
                continue  # longer than any name
            wanted = inventory_pb2.ItemFilter(name_contains=spelling)
            held = await self.items(wanted, "name", PAGE_MAX)
            if not reference.is_certain:
                held = [item for item in held if f" {spelling} " in f" {folded(item.name)} "]
            found = choose(reference.words, held)
            if found is not None:
                return found
        if not reference.is_certain:
            raise ForeignWords(reference.words)
        found = by_typing_error(reference.words, await self.items(order_by="name"))
        if found is None:
            raise UnresolvedItem(f"There is no item {named(reference)}.")
        return found

    async def _by_id(self, item_id: int) -> inventory_pb2.Item:
        request = inventory_pb2.GetItemRequest(item_id=item_id)
        try:
            response: inventory_pb2.GetItemResponse = await self._stub.GetItem(
                request, metadata=self._metadata, timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise UnresolvedItem(f"There is no item {item_id}.") from None
            raise
        self.revision = response.revision
        return response.item

    async def stats(self, item_id: int) -> inventory_pb2.ItemStats:
        """Return the sales of one item."""
        response: inventory_pb2.GetItemStatsResponse = await self._stub.GetItemStats(
            inventory_pb2.GetItemStatsRequest(item_id=item_id),
            metadata=self._metadata,
            timeout=TIMEOUT_SECONDS,
        )
        self.revision = response.revision
        return response.stats

    async def all_stats(self, order_by: str, limit: int) -> list[inventory_pb2.ItemStats]:
        """Return the sales of items, in an order."""
        response: inventory_pb2.ListItemStatsResponse = await self._stub.ListItemStats(
            inventory_pb2.ListItemStatsRequest(order_by=order_by, page_size=limit),
            metadata=self._metadata,
            timeout=TIMEOUT_SECONDS,
        )
        self.revision = response.revision
        return list(response.stats)

    async def totals(self, low: int) -> inventory_pb2.GetInventoryStatsResponse:
        """Return the inventory's totals."""
        response: inventory_pb2.GetInventoryStatsResponse = await self._stub.GetInventoryStats(
            inventory_pb2.GetInventoryStatsRequest(low_stock_threshold=low),
            metadata=self._metadata,
            timeout=TIMEOUT_SECONDS,
        )
        self.revision = response.revision
        return response
