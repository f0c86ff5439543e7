"""The same client without asyncio: one loop in a thread of its own, and calls that wait for it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from inventory_client.aio import (
    ADDRESS_DEFAULT,
    LINEARIZABLE,
    TIMEOUT_SECONDS_DEFAULT,
    AsyncInventory,
)
from inventory_client.enums import Role, Standing
from inventory_client.errors import UsageError
from inventory_client.models import (
    Adjusted,
    Answer,
    InventoryStats,
    Item,
    ItemStats,
    Order,
    Placed,
    Reads,
    Status,
    User,
)
from inventory_client.money import Money
from inventory_client.ownership import Ownership, Unpicklable

Result = TypeVar("Result")
FINISH_SECONDS_MAX = 0.5
SLICE_SECONDS = 0.2  # of a wait, after which signals are looked at


class Inventory(Unpicklable):
    """One user's connection to an inventory; use it as a context manager, from any thread.

    The methods are those of `AsyncInventory`. The thread starts with the first call.
    """

    def __init__(
        self,
        address: str = ADDRESS_DEFAULT,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS_DEFAULT,
        *,
        unary: bool = False,
        reads: Reads = LINEARIZABLE,
        ignore_proxy: bool = False,
    ) -> None:
        """See `AsyncInventory`."""
        self._inventory = AsyncInventory(
            address, token, timeout, unary=unary, reads=reads, ignore_proxy=ignore_proxy
        )
        self._ownership = Ownership()
        self._turn = threading.Lock()  # nothing is given to the loop after it was closed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Return the client itself; it connects on first use."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """See `AsyncInventory.close`."""
        if self._ownership.is_elsewhere:
            return
        with self._turn:
            loop, thread = self._loop, self._thread
            self._ownership.is_closed = True
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            _result_of(asyncio.run_coroutine_threadsafe(self._inventory.close(), loop))
            _result_of(asyncio.run_coroutine_threadsafe(_finish(), loop))
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which the first call starts."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="inventory-client", daemon=True
            )
            self._thread.start()
        return self._loop

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            self._ownership.claim()  # before the lock: a forked child may have got it locked
            with self._turn:
                self._ownership.claim()
                future = asyncio.run_coroutine_threadsafe(work, self._started())
        except UsageError:
            work.close()
            raise
        return _result_of(future)

    def _iterate(self, source: AsyncIterator[Result]) -> Iterator[Result]:
        async def following() -> Result:
            return await anext(source)

        while True:
            try:
                yield self._wait(following())
            except StopAsyncIteration:
                return

    @property
    def token(self) -> str | None:
        """See `AsyncInventory.token`."""
        return self._inventory.token

    def login(self, username: str, password: str) -> User:
        """See `AsyncInventory.login`."""
        return self._wait(self._inventory.login(username, password))

    def current_user(self) -> User:
        """See `AsyncInventory.current_user`."""
        return self._wait(self._inventory.current_user())

    def create_user(
        self, username: str, password: str, role: Role, request_id: str | None = None
    ) -> User:
        """See `AsyncInventory.create_user`."""
        return self._wait(self._inventory.create_user(username, password, role, request_id))

    def set_password(self, user_id: int, password: str, request_id: str | None = None) -> User:
        """See `AsyncInventory.set_password`."""
        return self._wait(self._inventory.set_password(user_id, password, request_id))

    def disable_user(self, user_id: int, request_id: str | None = None) -> User:
        """See `AsyncInventory.disable_user`."""
        return self._wait(self._inventory.disable_user(user_id, request_id))

    def users(self) -> Iterator[User]:
        """See `AsyncInventory.users`."""
        return self._iterate(self._inventory.users())

    def items(
        self,
        *,
        name_contains: str = "",
        price_min: Money | None = None,
        price_max: Money | None = None,
        quantity_min: int | None = None,
        quantity_max: int | None = None,
        order_by: str = "",
    ) -> Iterator[Item]:
        """See `AsyncInventory.items`."""
        return self._iterate(
            self._inventory.items(
                name_contains=name_contains,
                price_min=price_min,
                price_max=price_max,
                quantity_min=quantity_min,
                quantity_max=quantity_max,
                order_by=order_by,
            )
        )

    def currency(self) -> str:
        """See `AsyncInventory.currency`."""
        return self._wait(self._inventory.currency())

    def item(self, item_id: int) -> Item:
        """See `AsyncInventory.item`."""
        return self._wait(self._inventory.item(item_id))

    def add_item(
        self,
        name: str,
        description: str,
        price: Money,
        quantity: int,
        request_id: str | None = None,
    ) -> Item:
        """See `AsyncInventory.add_item`."""
        return self._wait(self._inventory.add_item(name, description, price, quantity, request_id))

    def update_item(
        self,
        item_id: int,
        *,
        name: str | None = None,
        description: str | None = None,
        price: Money | None = None,
        request_id: str | None = None,
    ) -> Item:
        """See `AsyncInventory.update_item`."""
        return self._wait(
            self._inventory.update_item(
                item_id, name=name, description=description, price=price, request_id=request_id
            )
        )

    def delete_item(self, item_id: int, request_id: str | None = None) -> Item:
        """See `AsyncInventory.delete_item`."""
        return self._wait(self._inventory.delete_item(item_id, request_id))

    def adjust_stock(self, item_id: int, delta: int, request_id: str | None = None) -> Adjusted:
        """See `AsyncInventory.adjust_stock`."""
        return self._wait(self._inventory.adjust_stock(item_id, delta, request_id))

    def set_stock(
        self,
        item_id: int,
        quantity: int,
        expected_quantity: int | None = None,
        request_id: str | None = None,
    ) -> Adjusted:
        """See `AsyncInventory.set_stock`."""
        return self._wait(
            self._inventory.set_stock(item_id, quantity, expected_quantity, request_id)
        )

    def order_item(self, item_id: int, quantity: int, request_id: str | None = None) -> Placed:
        """See `AsyncInventory.order_item`."""
        return self._wait(self._inventory.order_item(item_id, quantity, request_id))

    def place_order(self, lines: Iterable[tuple[int, int]], request_id: str | None = None) -> Order:
        """See `AsyncInventory.place_order`."""
        return self._wait(self._inventory.place_order(lines, request_id))

    def order(self, order_id: int) -> Order:
        """See `AsyncInventory.order`."""
        return self._wait(self._inventory.order(order_id))

    def orders(self) -> Iterator[Order]:
        """See `AsyncInventory.orders`."""
        return self._iterate(self._inventory.orders())

    def item_stats(self, item_id: int) -> ItemStats:
        """See `AsyncInventory.item_stats`."""
        return self._wait(self._inventory.item_stats(item_id))

    def all_item_stats(self, order_by: str = "") -> Iterator[ItemStats]:
        """See `AsyncInventory.all_item_stats`."""
        return self._iterate(self._inventory.all_item_stats(order_by))

    def stats(self, low_stock_threshold: int = 0) -> InventoryStats:
        """See `AsyncInventory.stats`."""
        return self._wait(self._inventory.stats(low_stock_threshold))

    def status(self) -> Status:
        """See `AsyncInventory.status`."""
        return self._wait(self._inventory.status())

    def checkpoint(self, request_id: str | None = None) -> int:
        """See `AsyncInventory.checkpoint`."""
        return self._wait(self._inventory.checkpoint(request_id))

    def probe(self) -> int:
        """See `AsyncInventory.probe`."""
        return self._wait(self._inventory.probe())

    def add_member(self, name: str, address: str) -> Standing:
        """See `AsyncInventory.add_member`."""
        return self._wait(self._inventory.add_member(name, address))

    def promote_member(self, name: str) -> Standing:
        """See `AsyncInventory.promote_member`."""
        return self._wait(self._inventory.promote_member(name))

    def remove_member(self, name: str) -> Standing:
        """See `AsyncInventory.remove_member`."""
        return self._wait(self._inventory.remove_member(name))

    def transfer_leadership(self, name: str = "") -> None:
        """See `AsyncInventory.transfer_leadership`."""
        self._wait(self._inventory.transfer_leadership(name))

    def ask(self, question: str) -> Answer:
        """See `AsyncInventory.ask`."""
        return self._wait(self._inventory.ask(question))


def _result_of(future: Future[Result]) -> Result:
    """Wait for a result, in slices.

    Python does not see a signal that arrives just before a wait begins until the wait ends, so that
    Ctrl-C would do nothing for as long as there is no answer.
    """
    while True:
        try:
            return future.result(SLICE_SECONDS)
        except TimeoutError:
            if future.done():
                return future.result()  # the call's own TimeoutError, or what came meanwhile


async def _finish() -> None:
    """Let every other task of the loop come to its end, so that none is dropped with the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, late = await asyncio.wait(others, timeout=FINISH_SECONDS_MAX)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
