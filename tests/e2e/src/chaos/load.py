"""Load by the clock, as a program of one file: `python load.py SETTINGS`, until its input ends.

The program imports only packages of the image, so that it can be mounted into a pod. It runs on any
machine with these packages as well. It is an open loop: calls are due at a fixed rate, whatever
became of earlier calls. So a stall delays all calls that are due in it, and latency counts from the
time at which a call was due. Each call is made once, with a deadline, and waits for a connection;
nothing retries. Each client has its own connection.

When the input ends, mutations whose outcome is unknown are sent again with their request ids until
the outcome is known. Then the history is written as JSON lines. Attempts are as `workload` says,
with `due_ns` (absent for a mutation sent again) and the gRPC `code`. Lines of kind "gateway" say
when a client's connection came up (with the gateway's name) or went down (null).
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import uuid_utils
from inventory.v1 import auth_pb2, auth_pb2_grpc, cluster_pb2, cluster_pb2_grpc, inventory_pb2_grpc
from inventory.v1 import inventory_pb2 as pb
from wire.channels import CLIENT_OPTIONS, authorization, status_of
from wire.errors import reason_of

RESOLVE_SECONDS_MAX = 60
RESOLVE_PAUSE_SECONDS = 0.2
STATUS_SECONDS_MAX = 2
RENEW_SECONDS = 600  # a token serves for 15 minutes

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """The settings of one run of the program."""

    address: str
    orders: int  # a second
    reads: int  # a second
    clients: int
    first_client: int  # they are numbered from here on
    items: list[int]
    pair: list[int]  # items that are ordered together
    username: str
    password: str
    deadline_seconds: float = 5.0


@dataclass(slots=True)
class Pending:
    """A mutation whose outcome is unknown."""

    line: Line
    call: Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class LoadRecord:
    """What was seen."""

    lines: list[Line] = field(default_factory=list)
    unknown: list[Pending] = field(default_factory=list)


class LoadClient:
    """One connection, and the calls on it."""

    def __init__(self, number: int, settings: LoadSettings, record: LoadRecord) -> None:
        """Connect on first use."""
        options = (*CLIENT_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        self.channel = grpc.aio.insecure_channel(settings.address, options=options)
        self.token = ""
        self._inventory = inventory_pb2_grpc.InventoryServiceStub(self.channel)
        self._cluster = cluster_pb2_grpc.ClusterServiceStub(self.channel)
        self._number = number
        self._settings = settings
        self._record = record
        self._random = random.Random(number)  # reproducible, not secret

    async def login(self) -> str:
        """Return a token."""
        request = auth_pb2.LoginRequest(
            username=self._settings.username, password=self._settings.password
        )
        stub = auth_pb2_grpc.AuthServiceStub(self.channel)
        return str((await stub.Login(request, timeout=30, wait_for_ready=True)).token)

    async def watch(self) -> None:
        """Write down the gateway of the connection, each time the connection changes."""
        while True:
            state = self.channel.get_state(try_to_connect=True)
            gateway = await self._gateway() if state is grpc.ChannelConnectivity.READY else None
            self._record.lines.append(
                {
                    "kind": "gateway",
                    "client": self._number,
                    "at_ns": time.monotonic_ns(),
                    "gateway": gateway,
                }
            )
            await self.channel.wait_for_state_change(state)

    async def _gateway(self) -> str | None:
        try:
            status = await self._cluster.GetStatus(
                cluster_pb2.GetStatusRequest(),
                timeout=STATUS_SECONDS_MAX,
                metadata=authorization(self.token),
            )
        except grpc.aio.AioRpcError:
            return None
        return str(status.gateway)

    async def read(self, due_ns: int) -> None:
        """Read an item."""
        item = self._random.choice(self._settings.items)
        request = pb.GetItemRequest(item_id=item)
        line = self._line("get", None) | {"item": item}
        await self._attempt(line, lambda: self._call(self._inventory.GetItem, request), due_ns)

    async def order(self, due_ns: int) -> None:
        """Order one item or, once in four, the pair."""
        request_id = str(uuid_utils.uuid7())
        quantity = self._random.randint(1, 3)
        call: Callable[[], Awaitable[Any]]
        if self._random.random() < 0.25:
            lines = [{"item": item, "quantity": quantity} for item in self._settings.pair]
            line = self._line("place_order", request_id) | {"lines": lines}
            pair = pb.PlaceOrderRequest(request_id=request_id)
            for item in self._settings.pair:
                pair.lines.add(item_id=item, quantity=quantity)

            def call() -> Awaitable[Any]:
                return self._call(self._inventory.PlaceOrder, pair)
        else:
            item = self._random.choice(self._settings.items)
            line = self._line("order", request_id) | {"item": item, "quantity": quantity}
            one = pb.OrderItemRequest(request_id=request_id, item_id=item, quantity=quantity)

            def call() -> Awaitable[Any]:
                return self._call(self._inventory.OrderItem, one)

        if not await self._attempt(line, call, due_ns):
            self._record.unknown.append(Pending(line, call))

    async def resolve(self, pending: Pending) -> None:
        """Send a mutation again until its outcome is known, or for a minute."""
        give_up = time.monotonic() + RESOLVE_SECONDS_MAX
        while not await self._attempt(pending.line, pending.call, None):
            if time.monotonic() > give_up:
                return
            await asyncio.sleep(RESOLVE_PAUSE_SECONDS)

    def _line(self, kind: str, request_id: str | None) -> Line:
        return {"client": self._number, "kind": kind, "request_id": request_id}

    def _call(self, method: Any, request: Any) -> Awaitable[Any]:  # noqa: ANN401 - gRPC's own
        result: Awaitable[Any] = method(
            request,
            timeout=self._settings.deadline_seconds,
            wait_for_ready=True,
            metadata=authorization(self.token),
        )
        return result

    async def _attempt(
        self, line: Line, call: Callable[[], Awaitable[Any]], due_ns: int | None
    ) -> bool:
        """Call once, write down the attempt; return whether the outcome is known."""
        call_ns = time.monotonic_ns()
        ok: bool | None = None
        seen: Line = {"reason": None}
        try:
            seen |= observed(await call())
            ok = True
        except grpc.aio.AioRpcError as error:
            status = status_of(error)
            seen["reason"] = status and reason_of(status)
            seen["code"] = error.code().name
            if seen["reason"] == "INSUFFICIENT_STOCK":
                ok = False
            else:
                seen["message"] = error.details()
        ended_ns = time.monotonic_ns()
        times: Line = {"call_ns": call_ns, "return_ns": None if ok is None else ended_ns}
        if ok is None:
            times["ended_ns"] = ended_ns
        if due_ns is not None:
            times["due_ns"] = due_ns
        self._record.lines.append(line | {"ok": ok} | times | seen)
        return ok is not None


def observed(response: Any) -> Line:  # noqa: ANN401 - one of three messages
    """Return the fields of a response that the history keeps."""
    if isinstance(response, pb.GetItemResponse):
        return {"on_hand_after": response.item.quantity}
    if isinstance(response, pb.OrderItemResponse):
        return {"order_id": response.order_id, "on_hand_after": response.on_hand_after}
    lines = [
        {"item": one.item_id, "quantity": one.quantity, "on_hand_after": one.on_hand_after}
        for one in response.order.lines
    ]
    return {"order_id": response.order.id, "lines": lines}


async def pace(
    settings: LoadSettings, clients: list[LoadClient], stop: asyncio.Event, group: asyncio.TaskGroup
) -> None:
    """Start every call when it is due, and late calls at once, until stopped."""
    rate = settings.orders + settings.reads
    start_ns = time.monotonic_ns()
    number = 0
    while not stop.is_set():
        due_ns = start_ns + number * 10**9 // rate
        ahead_seconds = (due_ns - time.monotonic_ns()) / 1e9
        if ahead_seconds > 0:
            await asyncio.sleep(ahead_seconds)
        client = clients[number % len(clients)]
        # Reads are spread evenly among the orders.
        is_read = number * settings.reads % rate < settings.reads
        group.create_task(client.read(due_ns) if is_read else client.order(due_ns))
        number += 1


async def until_input_ends() -> None:
    """Wait for whoever started this to close its input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()


async def keep_logged_in(clients: list[LoadClient]) -> None:
    """Give the clients another token before the one that they have ends, for ever."""
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        token = await clients[0].login()
        for client in clients:
            client.token = token


async def run(settings: LoadSettings) -> list[Line]:
    """Run the load until the input ends; return the history."""
    record = LoadRecord()
    clients = [
        LoadClient(settings.first_client + number, settings, record)
        for number in range(settings.clients)
    ]
    token = await clients[0].login()
    for client in clients:
        client.token = token
        await client.channel.channel_ready()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as watchers:
        watching = [watchers.create_task(client.watch()) for client in clients]
        watching.append(watchers.create_task(keep_logged_in(clients)))
        async with asyncio.TaskGroup() as calls:
            calls.create_task(pace(settings, clients, stop, calls))
            sys.stdout.write(json.dumps({"kind": "began", "at_ns": time.monotonic_ns()}) + "\n")
            sys.stdout.flush()
            await until_input_ends()
            stop.set()
        async with asyncio.TaskGroup() as again:
            for number, pending in enumerate(record.unknown):
                again.create_task(clients[number % len(clients)].resolve(pending))
        for watcher in watching:
            watcher.cancel()
    for client in clients:
        await client.channel.close()
    return record.lines


def main(arguments: list[str]) -> None:
    """Read the settings, load, write the history."""
    [text] = arguments
    for line in asyncio.run(run(LoadSettings(**json.loads(text)))):
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
