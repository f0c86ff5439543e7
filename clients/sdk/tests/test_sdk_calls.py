"""The clients against a small gateway of their own, on real sockets."""

import asyncio
import gc
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2  # noqa: TC002 - it has no stubs
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_client import (
    AsyncInventory,
    Inventory,
    Money,
    OutcomeUnknown,
    Placed,
    Refused,
    Unauthenticated,
)
from inventory_client.aio import new_request_id
from wire import errors
from wire.channels import SERVER_OPTIONS, abort

Answering = Callable[[inventory_pb2.Mutation], inventory_pb2.Outcome | None]


class FakeGateway:
    """Answers mutations by a rule; keeps what it saw."""

    def __init__(self, answer: Answering) -> None:
        """Answer every mutation by `answer`; None: say nothing."""
        self.answer = answer
        self.frames: list[int] = []  # submissions in each frame
        self.streams = 0
        self.seen: list[inventory_pb2.Mutation] = []
        self.cancel_calls = 0  # how many unary calls end so
        self.reset = grpc.StatusCode.CANCELLED
        self.break_streams = 0  # how many streams end after their first frame
        self.refuse_streams: status_pb2.Status | None = None

    async def submit(self, requests: AsyncIterator[bytes], context: Any) -> None:  # noqa: ANN401 - grpc's
        """Serve the stream."""
        self.streams += 1
        if self.refuse_streams is not None:
            await abort(context, self.refuse_streams)
        async for raw in requests:
            request = inventory_pb2.SubmitRequest.FromString(raw)
            self.frames.append(len(request.submissions))
            response = inventory_pb2.SubmitResponse()
            for submission in request.submissions:
                self.seen.append(submission.mutation)
                outcome = self.answer(submission.mutation)
                if outcome is not None:
                    response.results.add(correlation_id=submission.correlation_id, outcome=outcome)
            if self.break_streams:
                self.break_streams -= 1
                if self.reset is not grpc.StatusCode.CANCELLED:
                    await context.abort(self.reset, "reset")
                return
            await context.write(response.SerializeToString())

    async def order_item(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpc's
        """Serve the unary call."""
        mutation = inventory_pb2.Mutation(order_item=inventory_pb2.OrderItemRequest.FromString(raw))
        self.seen.append(mutation)
        if self.cancel_calls:
            self.cancel_calls -= 1
            await context.abort(self.reset, "reset")
        outcome = self.answer(mutation)
        if outcome is None or outcome.HasField("error"):
            await abort(context, errors.no_quorum() if outcome is None else outcome.error)
        return outcome.order_item.SerializeToString()

    async def login(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401, ARG002 - grpc's
        """Let everybody in."""
        name = auth_pb2.LoginRequest.FromString(raw).username
        user = auth_pb2.User(id=1, name=name, role=auth_pb2.ROLE_CUSTOMER)
        response = auth_pb2.LoginResponse(token="t", user=user)  # noqa: S106 - of a fake
        return response.SerializeToString()

    async def serve(self) -> tuple[grpc.aio.Server, str]:
        """Listen on a free port; return the server and its address."""
        server = grpc.aio.server(options=SERVER_OPTIONS)
        inventory: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Submit": grpc.stream_stream_rpc_method_handler(self.submit),
            "OrderItem": grpc.unary_unary_rpc_method_handler(self.order_item),
        }
        login: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Login": grpc.unary_unary_rpc_method_handler(self.login)
        }
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("inventory.v1.InventoryService", inventory),
                grpc.method_handlers_generic_handler("inventory.v1.AuthService", login),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, f"127.0.0.1:{port}"


def accepted(mutation: inventory_pb2.Mutation) -> inventory_pb2.Outcome:
    """Answer an order as done."""
    response = inventory_pb2.OrderItemResponse(
        order_id=mutation.order_item.item_id, on_hand_after=7, total=Money("USD", 250).to_wire()
    )
    return inventory_pb2.Outcome(order_item=response)


@asynccontextmanager
async def gateway(answer: Answering) -> AsyncIterator[tuple[FakeGateway, str]]:
    """Run a fake gateway."""
    fake = FakeGateway(answer)
    server, address = await fake.serve()
    try:
        yield fake, address
    finally:
        await server.stop(0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine."""
    asyncio.run(asyncio.wait_for(work(), 20))


def test_concurrent_calls_share_one_stream_and_batch() -> None:
    """A hundred orders at once take one stream and few frames."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:
            await inventory.order_item(1, 1)
            placed = await asyncio.gather(*(inventory.order_item(n, 1) for n in range(1, 101)))
            assert [one.order_id for one in placed] == list(range(1, 101))
            assert placed[0].total == Money("USD", 250)
            assert fake.streams == 1
            assert max(fake.frames) > 10

    run(work)


@pytest.mark.parametrize("unary", [False, True])
def test_a_retry_is_the_same_bytes(unary: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """An overloaded gateway is asked again, with the request id made once."""
    calls = iter([errors.overloaded(), errors.overloaded()])

    def answer(mutation: inventory_pb2.Mutation) -> inventory_pb2.Outcome:
        refused = next(calls, None)
        return accepted(mutation) if refused is None else inventory_pb2.Outcome(error=refused)

    async def work() -> None:
        async with (
            gateway(answer) as (fake, address),
            AsyncInventory(address, unary=unary) as inventory,
        ):
            await inventory.order_item(1, 2)
            assert len(fake.seen) == 3
            assert len({one.SerializeToString() for one in fake.seen}) == 1

    run(work)


def test_a_broken_stream_is_replaced_and_nothing_is_lost() -> None:
    """What was unanswered is sent again, the same, on another stream."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:
            fake.break_streams = 2
            placed = await asyncio.gather(*(inventory.order_item(n, 1) for n in range(1, 9)))
            assert [one.order_id for one in placed] == list(range(1, 9))
            assert fake.streams == 3
            ids = {one.order_item.request_id for one in fake.seen}
            assert len(ids) == 8

    run(work)


@pytest.mark.parametrize("unary", [False, True])
def test_no_answer_in_time_is_unknown_and_names_the_request(unary: bool) -> None:  # noqa: FBT001 - a parameter
    """The caller gets what it needs to try again."""

    async def work() -> None:
        async with (
            gateway(lambda _: None) as (_, address),
            AsyncInventory(address, timeout=0.3, unary=unary) as inventory,
        ):
            with pytest.raises(OutcomeUnknown) as caught:
                await inventory.order_item(1, 1, request_id="mine")
            assert caught.value.request_id == "mine"

    run(work)


@pytest.mark.parametrize("unary", [False, True])
def test_a_refusal_says_why(unary: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Reason and details arrive, and nothing is tried again."""
    refused = inventory_pb2.Outcome(error=errors.insufficient_stock(1, 9, 2))

    async def work() -> None:
        async with (
            gateway(lambda _: refused) as (fake, address),
            AsyncInventory(address, unary=unary) as inventory,
        ):
            with pytest.raises(Refused) as caught:
                await inventory.order_item(1, 9)
            assert caught.value.reason == "INSUFFICIENT_STOCK"
            assert caught.value.details["available"] == "2"
            assert len(fake.seen) == 1

    run(work)


def test_a_refused_stream_ends_everybodys_wait() -> None:
    """A token that does not hold is not tried for five seconds."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:
            fake.refuse_streams = errors.token_invalid("has expired")
            with pytest.raises(Unauthenticated):
                await inventory.order_item(1, 1)
            fake.refuse_streams = None
            await inventory.login("Ann", "secret")
            assert (await inventory.order_item(1, 1)).on_hand_after == 7

    run(work)


def test_closing_ends_what_waits() -> None:
    """Nobody waits for a client that is gone."""

    async def work() -> None:
        async with gateway(lambda _: None) as (_, address):
            inventory = AsyncInventory(address)
            waiting = asyncio.ensure_future(inventory.order_item(1, 1))
            await asyncio.sleep(0)
            await inventory.close()
            with pytest.raises(OutcomeUnknown):
                await waiting

    run(work)


def test_both_clients_have_the_same_methods() -> None:
    """The blocking client is the same client."""

    def surface(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert surface(Inventory) == surface(AsyncInventory)


def test_the_blocking_client_orders() -> None:
    """Its calls wait for the loop in its own thread."""

    async def work() -> None:
        async with gateway(accepted) as (_, address):

            def order() -> int:
                with Inventory(address) as inventory:
                    inventory.login("Ann", "secret")
                    return inventory.order_item(5, 1).order_id

            assert await asyncio.to_thread(order) == 5

    run(work)


def test_an_empty_request_id_is_sent_and_not_replaced() -> None:
    """Who gives one means to try something again: a fresh id would do it twice."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:
            await inventory.order_item(1, 1, request_id="")
            assert [one.order_item.request_id for one in fake.seen] == [""]

    run(work)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e300])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    """Both clients say so at once; the blocking one leaves no thread behind."""

    async def work() -> None:
        with pytest.raises(ValueError, match="timeout"):
            AsyncInventory(timeout=timeout)

    run(work)
    with pytest.raises(ValueError, match="timeout"):
        Inventory(timeout=timeout)
    assert not [one for one in threading.enumerate() if one.name == "inventory-client"]


@pytest.mark.parametrize("token", ["", "two\nlines", "two words", "ü"])
def test_a_token_that_cannot_be_one_is_refused(token: str) -> None:
    """Not sent until the time is up: gRPC can send no such thing."""

    async def work() -> None:
        with pytest.raises(ValueError, match="token"):
            AsyncInventory(token=token)

    run(work)


@pytest.mark.slow
def test_one_mutation_that_is_too_long_harms_no_other() -> None:
    """It is refused by itself; what is long but allowed is sent in frames of a bounded size."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:
            results = await asyncio.gather(
                inventory.order_item(1, 1, request_id="x" * 300_000),
                *(inventory.order_item(n, 1, request_id="x" * 200_000) for n in range(1, 91)),
                return_exceptions=True,
            )
            assert isinstance(results[0], Refused)
            assert results[0].reason == "INVALID_FIELD"
            placed = [one.order_id for one in results[1:] if isinstance(one, Placed)]
            assert placed == list(range(1, 91))
            assert fake.streams == 1

    run(work)


def test_a_closed_client_says_so() -> None:
    """And closing it again does nothing."""
    inventory = Inventory()
    inventory.close()
    inventory.close()
    with pytest.raises(RuntimeError, match="closed"):
        inventory.order_item(1, 1)


def test_closing_leaves_nothing_pending(caplog: pytest.LogCaptureFixture) -> None:
    """The loop of the blocking client ends with all of its tasks done."""

    async def work() -> None:
        async with gateway(accepted) as (_, address):

            def order() -> None:
                with Inventory(address) as inventory:
                    inventory.order_item(5, 1)

            for _ in range(3):
                await asyncio.to_thread(order)

    run(work)
    gc.collect()
    assert "pending" not in caplog.text


def test_request_ids_are_uuid7_and_differ() -> None:
    """Their age can be told, so the memory of requests can forget in order."""
    made = {new_request_id() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 36 and one[14] == "7" for one in made)


def test_money_is_whole_minor_units() -> None:
    """Text in, text out, no float between."""
    assert Money.parse("USD", "1,250.5") == Money("USD", 125_050)
    assert str(Money("USD", 125_050)) == "USD 1,250.50"
    assert str(Money("JPY", 1500)) == "JPY 1,500"
    assert Money.from_wire(Money("USD", 199).to_wire()) == Money("USD", 199)
    with pytest.raises(ValueError, match="decimals"):
        Money.parse("USD", "1.005")


def test_a_call_that_the_far_side_cancels_is_tried_again() -> None:
    """A saturated gateway resets streams; the same bytes are sent again."""

    async def work() -> None:
        async with (
            gateway(accepted) as (fake, address),
            AsyncInventory(address, unary=True) as inventory,
        ):
            fake.cancel_calls = 2
            assert (await inventory.order_item(1, 1)).on_hand_after == 7
            assert len({one.SerializeToString() for one in fake.seen}) == 1
            assert len(fake.seen) == 3

    run(work)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
@pytest.mark.parametrize("unary", [False, True])
def test_a_connection_that_breaks_in_any_way_is_tried_again(
    code: grpc.StatusCode,
    unary: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A gateway that ends resets its streams; no reason of ours comes with that."""

    async def scenario() -> None:
        async with gateway(accepted) as (fake, address):
            fake.reset, fake.cancel_calls, fake.break_streams = code, 1, 1
            async with AsyncInventory(address, unary=unary) as inventory:
                placed = await inventory.order_item(3, 1)
            assert placed.order_id == 3
            assert len(fake.seen) == 2
            assert len({one.order_item.request_id for one in fake.seen}) == 1

    asyncio.run(scenario())
