"""Clients that order, read and adjust until they are stopped, and write down what they saw.

The history is JSON lines, one attempt a line: `call_ns` and `return_ns` on one monotonic clock;
`ok` true, or false with a `reason`, or null for an unknown outcome. A mutation whose outcome is
unknown is sent again with the same request id until the outcome is known. Attempts with one request
id are one operation.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import uuid_utils
from inventory_client import (
    Adjusted,
    AsyncInventory,
    Item,
    Order,
    Placed,
    Refused,
    Unavailable,
)

DEADLINE_SECONDS = 5
RESOLVE_SECONDS_MAX = 60
PAUSE_SECONDS_MAX = 0.02


@dataclass(slots=True, kw_only=True)
class Tally:
    """What all clients of a run saw, counted."""

    acknowledged: int = 0
    refused: int = 0
    reads: int = 0
    unknown: list[str] = field(default_factory=list)  # one message for each failed attempt
    unresolved: list[str] = field(default_factory=list)  # request ids
    slowest_ns: int = 0
    orders: dict[int, str] = field(default_factory=dict)  # order id: request id


@dataclass(frozen=True, slots=True)
class Shop:
    """The items of a run: an item with plenty, an item that runs out, a pair ordered together."""

    plenty: int
    scarce: int
    pair: tuple[int, int]

    @property
    def items(self) -> tuple[int, ...]:
        """Every item of the run."""
        return (self.plenty, self.scarce, *self.pair)


class Recorder:
    """Writes the history and keeps the tally."""

    def __init__(self, path: Path) -> None:
        """Write to `path`, which is emptied."""
        self.tally = Tally()
        self.path = path
        self._file: TextIO = path.open("w")

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def write(self, line: dict[str, object]) -> None:
        """Append one attempt."""
        self._file.write(json.dumps(line) + "\n")


class ShopClient:
    """One customer (orders, reads) or keeper (adjusts, reads) with a connection of its own."""

    def __init__(
        self, number: int, inventory: AsyncInventory, recorder: Recorder, shop: Shop, seed: int
    ) -> None:
        """Draw every choice from `seed`."""
        self._number = number
        self._inventory = inventory
        self._recorder = recorder
        self._shop = shop
        self._random = random.Random(seed)  # reproducible, not secret

    async def run(self, stop: asyncio.Event, *, keeper: bool) -> None:
        """Work until `stop` is set, then finish the operation in hand."""
        choices = [self._read, self._adjust] if keeper else [self._read, self._order, self._order]
        while not stop.is_set():
            await self._random.choice(choices)()
            await asyncio.sleep(self._random.random() * PAUSE_SECONDS_MAX)

    async def _read(self) -> None:
        item = self._random.choice(self._shop.items)
        line: dict[str, object] = {"client": self._number, "kind": "get", "item": item}
        await self._attempt(line, lambda: self._inventory.item(item), None)

    async def _adjust(self) -> None:
        item, delta = self._random.choice(self._shop.items[:2]), self._random.choice([-2, 1, 3])
        line: dict[str, object] = {
            "client": self._number, "kind": "adjust", "item": item, "delta": delta,
        }  # fmt: skip
        request_id = str(uuid_utils.uuid7())
        await self._mutate(
            line,
            lambda: self._inventory.adjust_stock(item, delta, request_id=request_id),
            request_id,
        )

    async def _order(self) -> None:
        request_id = str(uuid_utils.uuid7())
        quantity = self._random.randint(1, 3)
        if self._random.random() < 0.25:  # a quarter orders the pair
            lines = [(item, quantity) for item in self._shop.pair]
            line: dict[str, object] = {
                "client": self._number, "kind": "place_order",
                "lines": [{"item": item, "quantity": count} for item, count in lines],
            }  # fmt: skip
            await self._mutate(
                line,
                lambda: self._inventory.place_order(lines, request_id=request_id),
                request_id,
            )
            return
        item = self._random.choice(self._shop.items[:2])
        line = {"client": self._number, "kind": "order", "item": item, "quantity": quantity}
        await self._mutate(
            line,
            lambda: self._inventory.order_item(item, quantity, request_id=request_id),
            request_id,
        )

    async def _mutate(
        self,
        line: dict[str, object],
        call: Callable[[], Awaitable[object]],
        request_id: str,
    ) -> None:
        """Attempt a mutation until its outcome is known."""
        give_up = time.monotonic() + RESOLVE_SECONDS_MAX
        while not await self._attempt(line, call, request_id):
            if time.monotonic() > give_up:
                self._recorder.tally.unresolved.append(request_id)
                return

    async def _attempt(
        self, line: dict[str, object], call: Callable[[], Awaitable[object]], request_id: str | None
    ) -> bool:
        """Call once and write down the attempt; return whether the outcome is known."""
        tally = self._recorder.tally
        call_ns = time.monotonic_ns()
        ok: bool | None = None
        seen: dict[str, object] = {}
        try:
            result = await call()
        except Refused as refusal:
            ok, seen = False, {"reason": refusal.reason}
            tally.refused += 1
        except Unavailable as unknown:
            tally.unknown.append(str(unknown))
        else:
            ok, seen = True, observed(result)
            if request_id is None:
                tally.reads += 1
            else:
                tally.acknowledged += 1
                if "order_id" in seen:
                    tally.orders[int(str(seen.pop("order_id")))] = request_id
        return_ns = time.monotonic_ns()
        tally.slowest_ns = max(tally.slowest_ns, return_ns - call_ns)
        self._recorder.write(
            line
            | {"call_ns": call_ns, "return_ns": None if ok is None else return_ns}
            | {"request_id": request_id, "ok": ok, "reason": None}
            | seen
        )
        return ok is not None


def observed(result: object) -> dict[str, object]:
    """Return the fields of a response that the history keeps."""
    match result:
        case Placed():
            return {"order_id": result.order_id, "on_hand_after": result.on_hand_after}
        case Adjusted():
            return {"on_hand_after": result.on_hand_after}
        case Item():
            return {"on_hand_after": result.quantity}
        case Order():
            lines = [
                {
                    "item": line.item_id,
                    "quantity": line.quantity,
                    "on_hand_after": line.on_hand_after,
                }
                for line in result.lines
            ]
            return {"order_id": result.id, "lines": lines}
        case _:
            raise TypeError(f"{result!r} is no response of this workload")


@asynccontextmanager
async def logged_in(  # noqa: PLR0913, PLR0917  # each is a fact of the run
    address: str,
    customers: list[tuple[str, str]],
    keeper: tuple[str, str],
    shop: Shop,
    recorder: Recorder,
    seed: int = 0,
) -> AsyncIterator[list[ShopClient]]:
    """Log in a client for each of `customers` (name, password), and a keeper as the last."""
    async with AsyncExitStack() as stack:
        clients = []
        for number, (name, password) in enumerate([*customers, keeper]):
            inventory = await stack.enter_async_context(
                AsyncInventory(
                    address, timeout=DEADLINE_SECONDS, unary=number % 2 == 0, insecure=True
                )
            )
            await inventory.login(name, password)
            clients.append(ShopClient(number, inventory, recorder, shop, seed + number))
        yield clients
