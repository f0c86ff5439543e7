"""Clients: one operation at a time each, retried with its request id until the outcome is known.

What they asked and were told is the history that the checks at the end judge.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol

from google.rpc import code_pb2, status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from wire import errors
from wire.bounds import DESCRIPTION_CHARACTERS_MAX

from sim.timeline import Timeline

DEADLINE_MS = 500  # of one attempt
REST_US_MAX = 70_000  # between operations
AGAIN_US = (1_000, 50_000)  # until an unknown outcome is asked for again
GIVES_UP_ONE_IN = 2  # unknown outcomes
STALENESS_MS = 200  # of bounded reads
DRIFT = 2  # at most, of the world's time against a member's clock
UNKNOWN_CODES = {code_pb2.DEADLINE_EXCEEDED, code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED}
RESTOCK = 5  # the roll of a mutation that nothing refuses
Changes = tuple[tuple[int, int], ...]  # (item, delta)s


class Receipt(NamedTuple):
    """What a client was told of a mutation that was done."""

    revision: int = 0
    order_id: int = 0
    levels: Changes = ()  # (item, level after it)s


NO_RECEIPT = Receipt()


@dataclass(slots=True, kw_only=True)
class ClientOperation:
    """One mutation, and what became of it."""

    client: int
    request_id: str
    kind: str  # of the mutation
    changes: Changes  # that it makes, if it is not refused
    mutation: bytes
    call_us: int
    floor: int  # the newest revision that any client had been told of at the call
    return_us: int | None = None
    receipt: Receipt = NO_RECEIPT  # of an acknowledged one
    refused: str = ""  # the reason of a final refusal
    attempts: int = 0
    given_up: bool = False  # nobody asks for its outcome again

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that it was done."""
        return self.return_us is not None and not self.refused

    @property
    def is_order(self) -> bool:
        """Whether the operation is an order."""
        return self.kind in {"order_item", "place_order"}

    def settle(self, read: inventory_pb2.Outcome, status: status_pb2.Status | None) -> None:
        """Keep the outcome. The client calls this once, when the outcome is known."""
        kind = read.WhichOneof("result")
        levels: Changes
        if status is not None:
            reason = errors.reason_of(status)
            self.refused = reason.name if reason is not None else f"code {status.code}"
        elif kind == "order_item":
            done = read.order_item
            levels = ((self.changes[0][0], done.on_hand_after),)
            self.receipt = Receipt(done.revision, done.order_id, levels)
        elif kind == "place_order":
            order = read.place_order.order
            levels = tuple((line.item_id, line.on_hand_after) for line in order.lines)
            self.receipt = Receipt(read.place_order.revision, order.id, levels)
        elif kind == "update_item":
            self.receipt = Receipt(read.update_item.revision)
        else:
            levels = ((self.changes[0][0], read.adjust_stock.on_hand_after),)
            self.receipt = Receipt(read.adjust_stock.revision, levels=levels)


@dataclass(slots=True, kw_only=True)
class Read:
    """A read that was answered."""

    client: int
    call_us: int
    return_us: int
    floor: int  # the revision that it must show at least
    revision: int
    levels: Mapping[int, int]  # by item
    is_linearizable: bool

    @property
    def kind(self) -> str:
        """Return how fresh the read was to be."""
        if self.is_linearizable:
            return "linearizable"
        return "bounded" if self.floor else "stale"


class Horizon:
    """What clients share: the items, and the newest revision that any of them was told of.

    A linearizable read that begins later must show that revision, or a later one.
    """

    def __init__(self, items: int) -> None:
        """Start with no revision; item ids go from 1 to `items`."""
        self.items = items
        self.revision = 0
        self._known: list[tuple[int, int]] = [(0, 0)]  # (time, revision)s, ascending

    def seen(self, revision: int, now_us: int) -> None:
        """Take note that a client was told of a revision."""
        if revision > self.revision:
            self.revision = revision
            self._known.append((now_us, revision))

    def at(self, time_us: int) -> int:
        """Return the newest revision that was known at a time."""
        return self._known[bisect_right(self._known, (max(0, time_us), 1 << 62)) - 1][1]


class Gateway(Protocol):
    """Where clients send their requests.

    A gateway calls `client.told` or `told` at most once for each request.
    """

    def mutate(self, client: "SimClient", mutation: bytes, deadline_ms: int) -> None:
        """Have a mutation applied; `client.told` is called with its outcome, or an error."""
        ...

    def ask(
        self, question: forward_pb2.Question, deadline_ms: int, told: Callable[[bytes], None]
    ) -> None:
        """Ask; `told` is called with the response, empty when there is none."""
        ...


class Judge(Protocol):
    """Who judges what clients are told: the ledger.

    A judge raises SafetyViolation for an answer that cannot be right.
    """

    def told(self, user_id: int, operation: ClientOperation, outcome: bytes) -> None:
        """Judge an outcome that a client was told."""
        ...

    def levels_told(self, read: Read) -> None:
        """Judge the levels that a read has shown."""
        ...


class Habits(NamedTuple):
    """What distinguishes one client from the others."""

    only_reads: bool = False
    gives_up: bool = False  # now and then, and leaves an outcome unknown


class SimClient:
    """A client that orders, reads, and now and then restocks; or only reads.

    - One operation at a time; an unknown outcome is asked for again until it is known, but
      for one whose habit is to give up.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a client lives among
        self,
        number: int,
        user_id: int,
        timeline: Timeline,
        random: Random,
        gateway: Gateway,
        horizon: Horizon,
        judge: Judge,
        habits: Habits,
    ) -> None:
        """`start` begins; `horizon` is shared by all clients."""
        self.number = number
        self.user_id = user_id
        self.history: list[ClientOperation] = []
        self.reads: list[Read] = []
        self.stopping = False
        self._reads = False
        self._habits = habits
        self._timeline = timeline
        self._random = random
        self._gateway = gateway
        self._horizon = horizon
        self._judge = judge

    @property
    def idle(self) -> bool:
        """Whether no operation is open."""
        last = self.history[-1] if self.history else None
        is_open = last is not None and last.return_us is None and not last.given_up
        return not is_open and not self._reads

    def start(self) -> None:
        """Begin after a short rest."""
        self._timeline.after(self._random.randrange(1, REST_US_MAX), self._begin)

    def _begin(self) -> None:
        if self.stopping or not self.idle:
            return
        roll = self._random.randrange(5 if self._habits.only_reads else 20)
        if roll < 5:
            self._read(is_query=roll == 0, is_stale_ok=roll > 2)
        else:
            self.mutate(roll)

    def _read(self, *, is_query: bool, is_stale_ok: bool) -> None:
        call_us, floor = self._timeline.now_us, self._horizon.revision
        question = forward_pb2.Question(user_id=self.user_id, epoch=1, session_id=self.user_id)
        if is_query:
            question.query.get_all_items.page_size = 100
        else:
            question.query.get_item.item_id = self._random.randrange(1, self._horizon.items + 1)
        if is_stale_ok:
            options = question.read_options
            options.consistency = inventory_pb2.CONSISTENCY_STALE
            floor = 0
            if self._random.getrandbits(1):
                options.consistency = inventory_pb2.CONSISTENCY_BOUNDED_STALENESS
                options.max_staleness.FromMilliseconds(STALENESS_MS)
                floor = self._horizon.at(call_us - STALENESS_MS * 1000 * DRIFT)
        self._reads = True

        def told(response: bytes) -> None:
            self._reads = False
            if response:
                now_us = self._timeline.now_us
                revision, levels = _shown(response, is_query=is_query)
                read = Read(
                    client=self.number,
                    call_us=call_us,
                    return_us=now_us,
                    floor=floor,
                    revision=revision,
                    levels=levels,
                    is_linearizable=not is_stale_ok,
                )
                self._judge.levels_told(read)
                self.reads.append(read)
                if not is_stale_ok:
                    self._horizon.seen(revision, now_us)
            self.start()

        self._gateway.ask(question, DEADLINE_MS, told)

    def mutate(self, roll: int = 19) -> None:
        """Begin a mutation; most rolls of 5 to 19 are orders."""
        request_id = self._request_id()
        mutation = inventory_pb2.Mutation()
        items = self._random.sample(range(1, self._horizon.items + 1), 2)
        changes: Changes
        if roll == RESTOCK:
            kind, changes = "adjust_stock", ((items[0], self._random.randrange(10, 40)),)
            mutation.adjust_stock.request_id = request_id
            mutation.adjust_stock.item_id, mutation.adjust_stock.delta = changes[0]
        elif roll < 8:
            kind, changes = "update_item", ()
            mutation.update_item.request_id = request_id
            mutation.update_item.item.id = items[0]
            mutation.update_item.item.description = "x" * self._random.randrange(
                1, DESCRIPTION_CHARACTERS_MAX
            )  # a batch of the log takes several sectors
            mutation.update_item.update_mask.paths.append("description")
        elif roll < 10:
            kind = "place_order"
            changes = tuple((item, -self._random.randrange(1, 4)) for item in items)
            mutation.place_order.request_id = request_id
            for item, delta in changes:
                mutation.place_order.lines.add(item_id=item, quantity=-delta)
        else:
            kind, changes = "order_item", ((items[0], -self._random.randrange(1, 4)),)
            mutation.order_item.request_id = request_id
            mutation.order_item.item_id, mutation.order_item.quantity = items[0], -changes[0][1]
        self.history.append(
            ClientOperation(
                client=self.number,
                request_id=request_id,
                kind=kind,
                changes=changes,
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

    def told(self, outcome: bytes, error: status_pb2.Status | None) -> None:
        """Take the result of an attempt from the gateway: an outcome, or an error without one."""
        operation = self.history[-1]
        read = inventory_pb2.Outcome.FromString(outcome)
        is_error = read.WhichOneof("result") == "error"
        status = error if error is not None else read.error if is_error else None
        if status is not None and status.code in UNKNOWN_CODES:
            if (
                self._habits.gives_up
                and not self.stopping
                and not self._random.randrange(GIVES_UP_ONE_IN)
            ):
                operation.given_up = True
                self.start()
                return
            self._timeline.after(self._random.randrange(*AGAIN_US), self._attempt)
            return
        operation.return_us = self._timeline.now_us
        operation.settle(read, status)
        if error is None:
            self._judge.told(self.user_id, operation, outcome)
        self._horizon.seen(operation.receipt.revision, self._timeline.now_us)
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


def _shown(response: bytes, *, is_query: bool) -> tuple[int, dict[int, int]]:
    """Return revision and levels, by item, of a response."""
    if is_query:
        page = inventory_pb2.GetAllItemsResponse.FromString(response)
        return page.revision, {item.id: item.quantity for item in page.items}
    found = inventory_pb2.GetItemResponse.FromString(response)
    return found.revision, {found.item.id: found.item.quantity}
