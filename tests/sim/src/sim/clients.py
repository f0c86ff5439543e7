"""Clients: one operation at a time each, retried with its request id until the outcome is known.

What they asked and were told is the history that the checks at the end judge.
"""

from dataclasses import dataclass
from random import Random
from typing import Protocol

from google.rpc import status_pb2
from inventory.v1 import inventory_pb2

from sim.timeline import Timeline

DEADLINE_MS = 500  # of one attempt
REST_US_MAX = 60_000  # between operations
UNKNOWN_CODES = {4, 14, 8}  # DEADLINE_EXCEEDED, UNAVAILABLE, RESOURCE_EXHAUSTED


@dataclass(slots=True)
class Operation:
    """One mutation, and what became of it."""

    client: int
    request_id: str
    item_id: int
    quantity: int  # ordered; the delta of an adjustment
    is_order: bool
    mutation: bytes
    call_us: int
    floor: int  # the newest revision that any client had been told of at the call
    return_us: int | None = None
    revision: int = 0
    order_id: int = 0  # of an acknowledged order
    on_hand_after: int = 0
    refused: str = ""  # the message of a final refusal
    attempts: int = 0

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that it was done."""
        return self.return_us is not None and not self.refused


@dataclass(slots=True)
class Read:
    """A linearizable read that was answered."""

    item_id: int
    floor: int  # as of Operation
    revision: int
    quantity: int


class Horizon:
    """What clients share: the items, and the newest revision that any of them was told of.

    What begins later must show that revision.
    """

    def __init__(self, items: int) -> None:
        """Start with no revision; item ids go from 1 to `items`."""
        self.items = items
        self.revision = 0

    def seen(self, revision: int) -> None:
        """Note that a client was told of a revision."""
        self.revision = max(self.revision, revision)


class Gateway(Protocol):
    """Where clients send their requests."""

    def mutate(self, client: "Client", mutation: bytes, deadline_ms: int) -> None:
        """Have a mutation applied; `client.told` is called with its outcome, or an error."""
        ...

    def read_item(self, client: "Client", item_id: int, deadline_ms: int) -> None:
        """Read an item; `client.read` is called with the response, None when there is none."""
        ...


class Client:
    """Someone who orders, looks, and now and then restocks.

    - One operation at a time; an unknown outcome is asked for again, never given up.
    """

    def __init__(
        self,
        number: int,
        timeline: Timeline,
        random: Random,
        gateway: Gateway,
        horizon: Horizon,
    ) -> None:
        """`start` begins; `horizon` is shared by all clients."""
        self.number = number
        self.history: list[Operation] = []
        self.reads: list[Read] = []
        self.stopping = False
        self._timeline = timeline
        self._random = random
        self._gateway = gateway
        self._horizon = horizon
        self._reading: tuple[int, int] | None = None  # item and floor of the read under way

    @property
    def idle(self) -> bool:
        """Whether no operation is open."""
        answered = not self.history or self.history[-1].return_us is not None
        return answered and self._reading is None

    def start(self) -> None:
        """Begin after a short rest."""
        self._timeline.after(self._random.randrange(1, REST_US_MAX), self._begin)

    def _begin(self) -> None:
        if self.stopping:
            return
        choice = self._random.randrange(6)
        item_id = self._random.randrange(1, self._horizon.items + 1)
        if choice == 0:
            self._reading = item_id, self._horizon.revision
            self._gateway.read_item(self, item_id, DEADLINE_MS)
            return
        self._mutate(item_id, is_order=choice > 1)

    def _mutate(self, item_id: int, *, is_order: bool) -> None:
        quantity = self._random.randrange(1, 4) * (1 if is_order else 10)
        request_id = self._request_id()
        mutation = inventory_pb2.Mutation()
        request = mutation.order_item if is_order else mutation.adjust_stock
        request.request_id, request.item_id = request_id, item_id
        if is_order:
            mutation.order_item.quantity = quantity
        else:
            mutation.adjust_stock.delta = quantity
        self.history.append(
            Operation(
                client=self.number,
                request_id=request_id,
                item_id=item_id,
                quantity=quantity,
                is_order=is_order,
                mutation=mutation.SerializeToString(),
                call_us=self._timeline.now_us,
                floor=self._horizon.revision,
            )
        )
        self._attempt()

    def _attempt(self) -> None:
        operation = self.history[-1]
        operation.attempts += 1
        self._gateway.mutate(self, operation.mutation, DEADLINE_MS)

    def read(self, response: inventory_pb2.GetItemResponse | None) -> None:
        """Take the answer of a read; one without an answer is given up."""
        if response is not None and self._reading is not None:
            item_id, floor = self._reading
            self.reads.append(Read(item_id, floor, response.revision, response.item.quantity))
            self._horizon.seen(response.revision)
        self._reading = None
        self.start()

    def told(self, outcome: bytes, error: status_pb2.Status | None) -> None:
        """Take the result of an attempt: an outcome, or an error that came from no outcome."""
        operation = self.history[-1]
        read = inventory_pb2.Outcome.FromString(outcome)
        kind = read.WhichOneof("result")
        status = error if error is not None else read.error if kind == "error" else None
        if status is not None and status.code in UNKNOWN_CODES:
            self._timeline.after(self._random.randrange(1_000, 50_000), self._attempt)
            return
        operation.return_us = self._timeline.now_us
        if status is not None:
            operation.refused = status.message or f"code {status.code}"
        elif kind == "order_item":
            operation.order_id = read.order_item.order_id
            operation.on_hand_after = read.order_item.on_hand_after
            operation.revision = read.order_item.revision
        else:
            operation.on_hand_after = read.adjust_stock.on_hand_after
            operation.revision = read.adjust_stock.revision
        self._horizon.seen(operation.revision)
        self.start()

    def _request_id(self) -> str:
        """Return a UUIDv7 of this moment (RFC 9562 §5.7)."""
        ms = 1_700_000_000_000 + self._timeline.now_us // 1000
        number = (
            ms << 80
            | 0x7 << 76
            | self._random.getrandbits(12) << 64
            | 0b10 << 62
            | self._random.getrandbits(62)
        )
        text = f"{number:032x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
