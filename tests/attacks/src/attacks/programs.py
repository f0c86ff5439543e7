"""The attacks, by name. Each takes its settings and returns what it counted."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio
import uuid_utils
from inventory.v1 import assistant_pb2, auth_pb2, inventory_pb2
from pki.contexts import PkiFiles
from pki.folder import PkiFolder
from pki.identities import Kind, ProcessIdentity
from wire.channels import CLIENT_OPTIONS, authorization, status_of
from wire.errors import reason_of

from attacks.gateways import FloodingGateway, flood
from attacks.http2 import RawConnection, connect_all, prefixed

LOGIN = "/inventory.v1.AuthService/Login"
CREATE_USER = "/inventory.v1.AuthService/CreateUser"
ASK = "/inventory.v1.AssistantService/GetPrediction"
UPDATE_ITEM = "/inventory.v1.InventoryService/UpdateItem"
LIST_ITEMS = "/inventory.v1.InventoryService/GetAllItems"
ORDER_ITEM = "/inventory.v1.InventoryService/OrderItem"
SUBMIT = "/inventory.v1.InventoryService/Submit"
MIB = 1 << 20
WAIT_SECONDS = 0.02
ANSWER_SECONDS_MAX = 15  # for a call's answer after the attack, on a machine that does other work
FORWARDED = "x-forwarded-for"
ELSEWHERE = "203.0.113.9"
EVE = "Eve and her password"
SUBMISSIONS_PER_FRAME = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an attack is told."""

    address: str
    seconds: float
    token: str = ""
    item: int = 1
    count: int = 1  # of streams, calls at once or connections, as the attack has it
    size: int = 15 * MIB
    names: int = 1
    member: str = ""  # its name and its address, of an attack on a member
    pki: str = ""  # the folder of the cluster's certificates

    def deadline(self) -> float:
        """Return when the attack ends, on the monotonic clock."""
        return time.monotonic() + self.seconds

    def gateway_files(self) -> PkiFiles:
        """Return where the gateways' certificate is."""
        return PkiFolder(Path(self.pki)).files(ProcessIdentity(Kind.GATEWAY))

    def channel(self) -> grpc.aio.Channel:
        """Open a connection of its own."""
        options = (*CLIENT_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        return grpc.aio.insecure_channel(self.address, options=options)


Counts = Counter[str]
Stream: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"
Program = Callable[[Settings], Coroutine[Any, Any, Counts]]


def _called(error: grpc.aio.AioRpcError) -> str:
    status = status_of(error)
    reason = reason_of(status) if status is not None else None
    return str(reason or error.code().name)


async def _calls(
    settings: Settings, method: str, messages: Iterator[bytes], token: str = ""
) -> Counts:
    """Call a method, `count` calls at once, until the time is over; count how the calls end.

    Each of the `count` calls once at least: a busy machine may take the whole time to connect them.
    """
    counts: Counts = Counter()
    until = settings.deadline()
    metadata = (*(authorization(token) if token else ()), (FORWARDED, ELSEWHERE))

    async def one_after_the_other() -> None:
        async with settings.channel() as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            call = channel.unary_unary(method)
            while True:
                left = max(0.0, until - time.monotonic())
                timeout = left + ANSWER_SECONDS_MAX
                try:
                    await call(next(messages), timeout=timeout, metadata=metadata)
                    counts["answered"] += 1
                except grpc.aio.AioRpcError as error:
                    counts[_called(error)] += 1
                if time.monotonic() >= until:
                    break

    async with asyncio.TaskGroup() as group:
        for _ in range(settings.count):
            group.create_task(one_after_the_other())
    return counts


async def unfinished_bodies(settings: Settings) -> Counts:
    """Send log-ins whose bodies do not end, on two connections."""
    until = settings.deadline()
    counts: Counts = Counter()
    piece = bytes(16_384)
    with RawConnection(settings.address) as first, RawConnection(settings.address) as second:
        bodies = {
            (connection, connection.begin(LOGIN)): 0
            for connection in (first, second)
            for _ in range(settings.count)
        }
        while time.monotonic() < until:
            sent_now = 0
            for (connection, stream), sent in bodies.items():
                if sent + 5 >= settings.size:
                    continue
                data = piece if sent else prefixed(settings.size) + piece
                piece_sent = connection.send(stream, data[: settings.size - sent])
                bodies[connection, stream] = sent + piece_sent
                sent_now += piece_sent
            for connection in (first, second):
                connection.receive(0 if sent_now else WAIT_SECONDS)
        counts["sent_mib"] = sum(bodies.values()) // MIB
        counts["ended_by_the_server"] = len(first.ended) + len(second.ended)
    return counts


async def silent_connections(settings: Settings) -> Counts:
    """Open connections and say nothing; count those that the server has closed at the end."""
    with connect_all(settings.address, settings.count):
        await asyncio.sleep(settings.seconds)
    return Counter({"opened": settings.count})


async def questions_without_a_token(settings: Settings) -> Counts:
    """Ask the assistant 15 MiB at a time, without a token."""
    question = assistant_pb2.GetPredictionRequest(question="x" * settings.size)
    raw = question.SerializeToString()
    return await _calls(settings, ASK, iter(lambda: raw, None))


async def compressed_zeros(settings: Settings) -> Counts:
    """Send log-ins of 200 KiB that become 200 MiB when they are decompressed."""
    until = settings.deadline()
    counts: Counts = Counter()
    bomb = gzip.compress(bytes(200 * MIB), 9)
    while time.monotonic() < until:
        with RawConnection(settings.address) as connection:
            for _ in range(settings.count):
                stream = connection.begin(LOGIN, [("grpc-encoding", "gzip")])
                left = prefixed(len(bomb), compressed=True) + bomb
                while left and stream not in connection.ended and time.monotonic() < until:
                    left = left[connection.send(stream, left, ends=True) :]
                    connection.receive(0)
                counts["sent"] += not left
            while len(connection.ended) < settings.count and time.monotonic() < until:
                connection.receive(WAIT_SECONDS)
                if connection.is_over:
                    break
            counts["ended_by_the_server"] += len(connection.ended)
    return counts


async def _deaf(settings: Settings, method: str, message: bytes) -> Counts:
    """Make calls on one connection and read no answer."""
    until = settings.deadline()
    counts: Counts = Counter()
    authorized = [("authorization", f"Bearer {settings.token}")]
    with RawConnection(settings.address, window_bytes=0) as connection:
        while counts["sent"] < settings.count and time.monotonic() < until:
            stream = connection.begin(method, authorized)
            left = prefixed(len(message)) + message
            while left and stream not in connection.ended and time.monotonic() < until:
                left = left[connection.send(stream, left, ends=True) :]
                connection.receive(0)
            counts["sent"] += not left
        while time.monotonic() < until and not connection.is_over:
            connection.receive(WAIT_SECONDS)
        counts["ended_by_the_server"] = len(connection.ended)
    return counts


async def deaf_to_refusals(settings: Settings) -> Counts:
    """Send updates whose mask names a path of 15 MiB, and read none of the refusals."""
    request = inventory_pb2.UpdateItemRequest(request_id="deaf", item=inventory_pb2.Item(id=1))
    request.update_mask.paths.append("x" * settings.size)
    return await _deaf(settings, UPDATE_ITEM, request.SerializeToString())


async def deaf_to_lists(settings: Settings) -> Counts:
    """Ask for pages of 1,000 items, and read none."""
    request = inventory_pb2.GetAllItemsRequest(page_size=1_000)
    return await _deaf(settings, LIST_ITEMS, request.SerializeToString())


def _submissions(settings: Settings, number: int, size: int) -> bytes:
    request = inventory_pb2.SubmitRequest()
    for _ in range(size):
        number += 1
        submission = request.submissions.add(correlation_id=number)
        order = submission.mutation.order_item
        order.request_id = str(uuid_utils.uuid7())
        order.item_id, order.quantity = settings.item, 1
    return request.SerializeToString()


async def _read_results(call: Stream, counts: Counts) -> None:
    async for raw in call:
        for result in inventory_pb2.SubmitResponse.FromString(raw).results:
            refused = result.outcome.HasField("error")
            reason = reason_of(result.outcome.error) if refused else "answered"
            counts[str(reason)] += 1


async def _write_orders(call: Stream, settings: Settings, number: int, until: float) -> None:
    while time.monotonic() < until:
        await call.write(_submissions(settings, number, SUBMISSIONS_PER_FRAME))
        number += SUBMISSIONS_PER_FRAME


async def submit_flood(settings: Settings) -> Counts:
    """Order on `count` streams at once, each on its own connection, as fast as each is read."""
    until = settings.deadline()
    counts: Counts = Counter()

    async def stream(number: int) -> None:
        async with settings.channel() as channel:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
            method = channel.stream_stream(SUBMIT)
            call = method(metadata=authorization(settings.token), timeout=settings.seconds)
            both = (
                _read_results(call, counts),
                _write_orders(call, settings, number << 32, until),
            )
            for ended in await asyncio.gather(*both, return_exceptions=True):
                if isinstance(ended, grpc.aio.AioRpcError):
                    counts[_called(ended)] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(settings.count):
            group.create_task(stream(number))
    return counts


async def unary_flood(settings: Settings) -> Counts:
    """Order by unary calls, `count` at once."""

    def messages() -> Iterator[bytes]:
        while True:
            order = inventory_pb2.OrderItemRequest(
                request_id=str(uuid_utils.uuid7()), item_id=settings.item, quantity=1
            )
            yield order.SerializeToString()

    return await _calls(settings, ORDER_ITEM, messages(), settings.token)


async def users_without_a_token(settings: Settings) -> Counts:
    """Create users without a token, so that passwords are hashed."""
    request = auth_pb2.CreateUserRequest(request_id="mine", role=auth_pb2.ROLE_ADMIN)
    request.username = request.password = EVE
    raw = request.SerializeToString()
    return await _calls(settings, CREATE_USER, iter(lambda: raw, None))


async def guesses(settings: Settings) -> Counts:
    """Guess passwords of `names` names, `count` guesses at once; 1 name: of admin."""

    def messages() -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            name = f"user-{number % settings.names}" if settings.names > 1 else "admin"
            login = auth_pb2.LoginRequest(username=name, password=f"guess-{number}")
            yield login.SerializeToString()

    return await _calls(settings, LOGIN, messages())


async def gateway_flood(settings: Settings) -> Counts:
    """Be a gateway that sends a leader orders without end."""
    counts: Counts = Counter()
    name, _, address = settings.member.partition("=")
    user = FloodingGateway(settings.token, settings.item, counts)
    await flood(name, address, settings.gateway_files(), user, settings.deadline())
    return counts


PROGRAMS: dict[str, Program] = {
    one.__name__: one
    for one in (
        unfinished_bodies,
        silent_connections,
        questions_without_a_token,
        compressed_zeros,
        deaf_to_refusals,
        deaf_to_lists,
        submit_flood,
        unary_flood,
        gateway_flood,
        users_without_a_token,
        guesses,
    )
}
