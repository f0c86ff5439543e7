"""The calls that a query makes, with the caller's own token. The server cuts pages."""

import asyncio

from inventory_client import AsyncInventory, InventoryStats, Item, ItemStats, Money, Refused
from wire.bounds import NAME_CHARACTERS_MAX
from wire.errors import Reason
from wire.text import folded

from assistant.entities import choose, misspelt, spellings
from assistant.errors import ForeignWords, UnresolvedItem
from assistant.query import Reference

PAGE_MAX = 999  # one page: an exact name is found among many names that contain it
CATALOGUE_MAX = 999  # one page, and with the one more 1,000 names: searched for typing errors
COMPARED_PER_TURN = 50  # names that are compared in one turn of the event loop: some 6 ms
PAGE_SIZE_MAX = 1_000  # of the inventory's pages


class InventoryReader:
    """The inventory as one caller sees it, during one question."""

    def __init__(self, inventory: AsyncInventory) -> None:
        """Read as whom `inventory` speaks for."""
        self._inventory = inventory

    @property
    def revision(self) -> int:
        """The log position of the last answer; 0 when nothing was read."""
        return self._inventory.revision

    async def currency(self) -> str:
        """Return the code of the currency of all prices."""
        return await self._inventory.currency()

    async def items(  # noqa: PLR0913 - the filter's fields
        self,
        limit: int,
        *,
        name_contains: str = "",
        price_min: Money | None = None,
        price_max: Money | None = None,
        quantity_min: int | None = None,
        quantity_max: int | None = None,
        order_by: str = "",
    ) -> list[Item]:
        """Return items: `limit` of them, and one more where there are more."""
        found: list[Item] = []
        async for item in self._inventory.items(
            name_contains=name_contains,
            price_min=price_min,
            price_max=price_max,
            quantity_min=quantity_min,
            quantity_max=quantity_max,
            order_by=order_by,
            page_size=min(limit + 1, PAGE_SIZE_MAX),
        ):
            found.append(item)
            if len(found) > limit:
                break
        return found

    async def item(self, reference: Reference) -> Item:
        """Return the item that a reference means.

        Raises UnresolvedItem when it means no item or several, and ForeignWords when the question
        may not be about an item.
        """
        if reference.item_id is not None:
            return await self._by_id(reference.item_id)
        for spelling in spellings(reference.words):
            if len(spelling) > NAME_CHARACTERS_MAX:
                continue  # longer than any name
            held = await self.items(PAGE_MAX, name_contains=spelling, order_by="name")
            if not reference.is_certain:
                held = [item for item in held if f" {spelling} " in f" {folded(item.name)} "]
            found = choose(reference.words, held)
            if found is not None:
                return found
        if not reference.is_certain:
            raise ForeignWords(reference.words)
        found = choose(reference.words, await self._misspelt(reference.words))
        if found is None:
            raise UnresolvedItem(f'There is no item "{reference.words}".')
        return found

    async def _misspelt(self, words: str) -> list[Item]:
        """Return the items that words with typing errors may mean; let other questions go on."""
        near: list[Item] = []
        catalogue = await self.items(CATALOGUE_MAX, order_by="name")
        for start in range(0, len(catalogue), COMPARED_PER_TURN):
            near += misspelt(words, catalogue[start : start + COMPARED_PER_TURN])
            await asyncio.sleep(0)
        return near

    async def _by_id(self, item_id: int) -> Item:
        try:
            return await self._inventory.item(item_id)
        except Refused as refused:
            if refused.reason == Reason.ITEM_NOT_FOUND:
                raise UnresolvedItem(f"There is no item {item_id}.") from None
            raise

    async def stats(self, item_id: int) -> ItemStats:
        """Return what one item sold."""
        return await self._inventory.item_stats(item_id)

    async def all_stats(self, order_by: str, limit: int) -> list[ItemStats]:
        """Return what items sold, sorted."""
        found: list[ItemStats] = []
        async for stats in self._inventory.all_item_stats(order_by, page_size=limit):
            found.append(stats)
            if len(found) == limit:
                break
        return found

    async def totals(self, low: int) -> InventoryStats:
        """Return the inventory's totals."""
        return await self._inventory.stats(low)
