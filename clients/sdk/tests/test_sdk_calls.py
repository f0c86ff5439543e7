"""The clients against a small gateway of their own, on real sockets."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_client import (
    AsyncInventory,
    Inventory,
    Money,
    OutcomeForgotten,
    OutcomeUnknown,
    Placed,
    Refused,
    Unauthenticated,
    UsageError,
)
from inventory_client.connection import new_request_id
from inventory_client.errors import LOG_REASONS, error_of
from wire import errors
from wire.channels import SERVER_OPTIONS, abort, accept, bearer
from wire.errors import Reason

TRIES_MAX = 5
SECONDS_MAX = 20  # for a test
NEVER_SECONDS = 600  # a deadline that ends no call before its test ends
Answering = Callable[[inventory_pb2.Mutation], inventory_pb2.Outcome | None]

# What gateways and members refuse before the log, what reads and changes of the members are refused
# with, and what tells no outcome.
NOT_OF_THE_LOG = {
    Reason.ORDER_NOT_FOUND,
    Reason.REQUEST_ID_EXPIRED,
    Reason.INVALID_FIELD,
    Reason.INVALID_PAGE_TOKEN,
    Reason.INVALID_CREDENTIALS,
    Reason.TOKEN_INVALID,
    Reason.SESSION_ENDED,
    Reason.ROLE_NOT_ALLOWED,
    Reason.PASSWORD_CHANGE_NEEDED,
    Reason.NOT_INITIALIZED,
    Reason.NO_QUORUM,
    Reason.OVERLOADED,
    Reason.RATE_LIMITED,
    Reason.LOGIN_LIMITED,
    Reason.DISK_FULL,
    Reason.MEMBER_NOT_FOUND,
    Reason.CHANGE_REFUSED,
    Reason.DEADLINE,
    Reason.INTERNAL,
}


class FakeGateway:
    """Answers mutations by a rule; keeps what it saw."""

    def __init__(self, answer: Answering) -> None:
        """Answer every mutation by `answer`; None: say nothing."""
        self.answer = answer
        self.frames: list[int] = []  # submissions in each frame
        self.streams = 0
        self.seen: list[inventory_pb2.Mutation] = []
        self.users: list[str | None] = []  # as whom each of them came
        self.cancel_calls = 0  # how many unary calls end so
        self.reset = grpc.StatusCode.CANCELLED
        self.break_streams = 0  # how many streams end after their first frame
        self.end_streams = 0  # how many streams end after their first answer
        self.refuse_streams: status_pb2.Status | None = None
        self.hesitates = False  # it looks whether something comes before the stream is taken
        self.early = 0  # how many frames did

    async def submit(self, requests: AsyncIterator[bytes], context: Any) -> None:  # noqa: ANN401 - grpc's
        """Serve the stream."""
        self.streams += 1
        if self.refuse_streams is not None:
            await abort(context, self.refuse_streams)
        if self.hesitates:
            first = asyncio.ensure_future(anext(requests))
            await asyncio.wait([first], timeout=0.05)
            self.early += first.done()
            first.cancel()
            await abort(context, errors.token_invalid("has expired"))
        await accept(context)
        async for raw in requests:
            request = inventory_pb2.SubmitRequest.FromString(raw)
            self.frames.append(len(request.submissions))
            response = inventory_pb2.SubmitResponse()
            for submission in request.submissions:
                self.seen.append(submission.mutation)
                self.users.append(bearer(context.invocation_metadata()))
                outcome = self.answer(submission.mutation)
                if outcome is not None:
                    response.results.add(correlation_id=submission.correlation_id, outcome=outcome)
            if self.break_streams:
                self.break_streams -= 1
                if self.reset is not grpc.StatusCode.CANCELLED:
                    await context.abort(self.reset, "reset")
                return
            await context.write(response.SerializeToString())
            if self.end_streams:
                self.end_streams -= 1
                return

    async def order_item(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpc's
        """Serve the unary call."""
        mutation = inventory_pb2.Mutation(order_item=inventory_pb2.OrderItemRequest.FromString(raw))
        self.seen.append(mutation)
        self.users.append(bearer(context.invocation_metadata()))
        if self.cancel_calls:
            self.cancel_calls -= 1
            await context.abort(self.reset, "reset")
        outcome = self.answer(mutation)
        if outcome is None or outcome.HasField("error"):
            await abort(context, errors.no_quorum() if outcome is None else outcome.error)
        return outcome.order_item.SerializeToString()

    async def login(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401, ARG002 - grpc's
        """Let everybody in; a user's token is the name."""
        name = auth_pb2.LoginRequest.FromString(raw).username
        user = auth_pb2.User(id=1, name=name, role=auth_pb2.ROLE_CUSTOMER)
        response = auth_pb2.LoginResponse(token=name, user=user)
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
    asyncio.run(asyncio.wait_for(work(), SECONDS_MAX))


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


def test_nothing_is_written_before_the_stream_is_taken() -> None:
    """What went along with a stream that is refused could not be told from what was read."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:
            fake.hesitates = True
            with pytest.raises(Unauthenticated):
                await inventory.order_item(1, 1)
            assert fake.early == 0

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
    before = set(threading.enumerate())

    async def work() -> None:
        with pytest.raises(ValueError, match="timeout"):
            AsyncInventory(timeout=timeout)

    run(work)
    with pytest.raises(ValueError, match="timeout"):
        Inventory(timeout=timeout)
    after = set(threading.enumerate()) - before
    assert not [one for one in after if one.name == "inventory-client"]


@pytest.mark.parametrize("token", ["", "two\nlines", "two words", "ü"])
def test_a_token_that_cannot_be_one_is_refused(token: str) -> None:
    """Not sent until the time is up: gRPC can send no such thing."""

    async def work() -> None:
        with pytest.raises(ValueError, match="token"):
            AsyncInventory(auth=token)

    run(work)


@pytest.mark.slow
def test_one_mutation_that_is_too_long_harms_no_other() -> None:
    """It is refused by itself; what is long but allowed is sent in frames of a bounded size."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:
            results = await asyncio.gather(
                inventory.order_item(1, 1, request_id="x" * 70_000),
                *(inventory.order_item(n, 1, request_id="x" * 60_000) for n in range(1, 91)),
                return_exceptions=True,
            )
            assert isinstance(results[0], Refused)
            assert results[0].reason == "INVALID_FIELD"
            placed = [one.order_id for one in results[1:] if isinstance(one, Placed)]
            assert placed == list(range(1, 91))
            assert fake.streams == 1

    run(work)


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


@pytest.fixture
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what fails tried again a few times, at once; then the pause is past any deadline."""
    for module in ("calls", "stream"):
        monkeypatch.setattr(
            f"inventory_client.{module}.backoff_seconds",
            lambda tried: 0.01 if tried < TRIES_MAX else 60.0,
        )


def refusing(status: status_pb2.Status) -> Answering:
    """Answer everything with one refusal."""
    return lambda _: inventory_pb2.Outcome(error=status)


def test_a_login_ends_what_waits_as_unknown() -> None:
    """It is not sent again: for another user it would be another order."""

    async def work() -> None:
        arrived = asyncio.Event()

        def answer(mutation: inventory_pb2.Mutation) -> inventory_pb2.Outcome | None:
            arrived.set()
            return None if mutation.order_item.item_id == 1 else accepted(mutation)

        async with (
            gateway(answer) as (fake, address),
            AsyncInventory(address, timeout=NEVER_SECONDS) as inventory,
        ):
            await inventory.login("Ann", "secret")
            sent = asyncio.ensure_future(inventory.order_item(1, 1, request_id="mine"))
            await arrived.wait()
            queued = asyncio.ensure_future(inventory.order_item(1, 2))
            await inventory.login("Bob", "secret")
            await inventory.order_item(2, 1)
            ended = await asyncio.gather(sent, queued, return_exceptions=True)
            assert [type(one) for one in ended] == [OutcomeUnknown, OutcomeUnknown]
            assert isinstance(ended[0], OutcomeUnknown)
            assert ended[0].request_id == "mine"
            items = [one.order_item.item_id for one in fake.seen]
            assert set(zip(fake.users, items, strict=True)) == {("Ann", 1), ("Bob", 2)}

    run(work)


def test_a_call_is_tried_again_as_the_user_who_made_it() -> None:
    """Whoever logs in meanwhile gets no order of somebody else."""

    async def work() -> None:
        arrived = asyncio.Event()
        refused = inventory_pb2.Outcome(error=errors.overloaded())

        def answer(mutation: inventory_pb2.Mutation) -> inventory_pb2.Outcome:
            arrived.set()
            return accepted(mutation) if inventory.token == "Bob" else refused  # noqa: S105 - a name

        async with (
            gateway(answer) as (fake, address),
            AsyncInventory(address, unary=True) as inventory,
        ):
            await inventory.login("Ann", "secret")
            waiting = asyncio.ensure_future(inventory.order_item(1, 1))
            await arrived.wait()
            await inventory.login("Bob", "secret")
            await waiting
            assert set(fake.users) == {"Ann"}

    run(work)


def test_a_stream_that_was_closed_takes_nothing() -> None:
    """A mutation that comes late ends too."""

    async def work() -> None:
        async with gateway(accepted) as (_, address):
            inventory = AsyncInventory(address, timeout=NEVER_SECONDS)
            await inventory.order_item(1, 1)
            await inventory.close()
            with pytest.raises(UsageError, match="closed"):
                await inventory.order_item(1, 1)

    run(work)


@pytest.mark.parametrize(
    "refused",
    [
        errors.overloaded(),
        errors.disk_full("node-0"),
        errors.token_invalid("has expired"),
        errors.invalid_field("quantity", "must be positive"),
    ],
    ids=lambda refused: str(errors.reason_of(refused)),
)
@pytest.mark.parametrize("unary", [False, True])
@pytest.mark.usefixtures("few_tries")
def test_what_is_refused_before_the_log_leaves_an_unanswered_attempt_unknown(
    refused: status_pb2.Status,
    unary: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Who is told that nothing changed orders again; the message has the reason."""

    async def work() -> None:
        async with (
            gateway(refusing(refused)) as (fake, address),
            AsyncInventory(address, unary=unary) as inventory,
        ):
            fake.cancel_calls = fake.break_streams = 1
            with pytest.raises(OutcomeUnknown) as caught:
                await inventory.order_item(1, 1, request_id="mine")
            assert len(fake.seen) > 1
            assert caught.value.request_id == "mine"
            assert caught.value.reason == errors.reason_of(refused)
            assert refused.message in str(caught.value)

    run(work)


@pytest.mark.usefixtures("few_tries")
def test_an_answer_that_tells_nothing_is_no_answer() -> None:
    """No majority, then an overloaded gateway."""
    answers = iter([errors.no_quorum()])

    def answer(_: inventory_pb2.Mutation) -> inventory_pb2.Outcome:
        return inventory_pb2.Outcome(error=next(answers, errors.overloaded()))

    async def work() -> None:
        async with gateway(answer) as (_, address), AsyncInventory(address) as inventory:
            with pytest.raises(OutcomeUnknown) as caught:
                await inventory.order_item(1, 1)
            assert caught.value.reason == "OVERLOADED"

    run(work)


@pytest.mark.parametrize("unary", [False, True])
def test_the_log_has_the_last_word(unary: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """It knows the request id: an attempt that was applied would have been answered so."""

    async def work() -> None:
        async with (
            gateway(refusing(errors.insufficient_stock(1, 9, 2))) as (fake, address),
            AsyncInventory(address, unary=unary) as inventory,
        ):
            fake.cancel_calls = fake.break_streams = 1
            with pytest.raises(Refused) as caught:
                await inventory.order_item(1, 9)
            assert caught.value.reason == "INSUFFICIENT_STOCK"
            assert len(fake.seen) == 2

    run(work)


@pytest.mark.parametrize("unary", [False, True])
@pytest.mark.usefixtures("few_tries")
def test_a_gateway_that_did_nothing_refuses(unary: bool) -> None:  # noqa: FBT001 - a parameter
    """All attempts were answered: none of them is unknown."""

    async def work() -> None:
        async with (
            gateway(refusing(errors.overloaded())) as (fake, address),
            AsyncInventory(address, unary=unary) as inventory,
        ):
            await inventory.login("Ann", "secret")  # an attempt to connect may go unanswered
            with pytest.raises(Refused) as caught:
                await inventory.order_item(1, 1)
            assert caught.value.reason == "OVERLOADED"
            assert len(fake.seen) > 1

    run(work)


def test_a_stream_that_is_refused_after_one_that_broke_leaves_the_outcome_unknown() -> None:
    """The token expired between the two; what the first one did nobody said."""

    async def work() -> None:
        async with gateway(accepted) as (fake, address), AsyncInventory(address) as inventory:

            def answer(_: inventory_pb2.Mutation) -> None:
                fake.refuse_streams = errors.token_invalid("has expired")

            fake.answer, fake.break_streams = answer, 1
            with pytest.raises(OutcomeUnknown) as caught:
                await inventory.order_item(1, 1, request_id="mine")
            assert caught.value.reason == "TOKEN_INVALID"
            assert "log in again" in str(caught.value)

    run(work)


def test_every_reason_is_the_logs_or_is_not() -> None:
    """A new one is decided upon; until then it leaves an unanswered attempt unknown."""
    assert set(Reason) - NOT_OF_THE_LOG == LOG_REASONS
    for reason in Reason:
        status = errors.refusal(reason, "Why.")
        error = error_of(status, "mine", unanswered=True)
        assert isinstance(error, Refused) == (reason in LOG_REASONS)
        assert isinstance(error, OutcomeUnknown) != (reason in LOG_REASONS)
    no_reason = status_pb2.Status(code=errors.CODES[Reason.ROLE_NOT_ALLOWED], message="a proxy")
    assert isinstance(error_of(no_reason, "mine", unanswered=True), OutcomeUnknown)


def test_a_read_has_no_outcome_to_be_unknown() -> None:
    """Whatever was asked before, the last answer holds."""
    error = error_of(errors.token_invalid("has expired"), None, unanswered=True)
    assert type(error) is Unauthenticated


@pytest.mark.parametrize("unary", [False, True])
def test_what_is_forgotten_is_unknown_and_not_sent_again(unary: bool) -> None:  # noqa: FBT001 - a parameter
    """The same request id can never be answered; the message says to look instead."""

    async def work() -> None:
        async with (
            gateway(refusing(errors.request_id_expired("mine", 0, 90_000))) as (fake, address),
            AsyncInventory(address, unary=unary) as inventory,
        ):
            for lost in (0, 1):
                fake.cancel_calls = fake.break_streams = lost
                with pytest.raises(OutcomeForgotten) as caught:
                    await inventory.order_item(1, 1, request_id="mine")
                assert isinstance(caught.value, OutcomeUnknown)
                assert caught.value.reason == "REQUEST_ID_EXPIRED"
                assert "look whether the request took effect" in str(caught.value)
                assert "same request id" not in str(caught.value)
            assert len(fake.seen) == 3

    run(work)


def test_a_stream_carries_a_mutation_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry that is due after the stream was replaced went with that one already.

    The gateway would refuse the second as in flight, while the first is applied.
    """
    pauses = iter([0.01, 0.01, 0.0, 0.03])  # of both orders, of the stream, of the second order
    monkeypatch.setattr("inventory_client.stream.backoff_seconds", lambda _: next(pauses, 0.0))

    async def work() -> None:
        async with gateway(refusing(errors.overloaded())) as (fake, address):
            fake.end_streams = 1

            def answer(mutation: inventory_pb2.Mutation) -> inventory_pb2.Outcome | None:
                item = mutation.order_item.item_id
                if [one.order_item.item_id for one in fake.seen].count(item) < item + 1:
                    return inventory_pb2.Outcome(error=errors.overloaded())
                return accepted(mutation) if item == 2 else None

            fake.answer = answer
            async with AsyncInventory(address) as inventory:
                first = asyncio.ensure_future(inventory.order_item(1, 1))
                await asyncio.ensure_future(inventory.order_item(2, 1))
                assert fake.frames[0] == 2
                assert [one.order_item.item_id for one in fake.seen] == [1, 2, 1, 2, 2]
            with pytest.raises(OutcomeUnknown):
                await first

    run(work)


@pytest.mark.usefixtures("few_tries")
def test_the_blocking_client_says_what_is_unknown() -> None:
    """As the other does: after a login, after a lost attempt, and where it is forgotten."""
    arrived = threading.Event()

    def unanswered(_: inventory_pb2.Mutation) -> None:
        arrived.set()

    def ended(fake: FakeGateway, address: str) -> list[type]:
        with ThreadPoolExecutor(1) as other:
            with Inventory(address, timeout=NEVER_SECONDS) as inventory:
                waiting = other.submit(inventory.order_item, 1, 1)
                arrived.wait(SECONDS_MAX)
                inventory.login("Ann", "secret")
                found = [waiting.exception(SECONDS_MAX)]
            with Inventory(address) as inventory:
                for status in (errors.overloaded(), errors.request_id_expired("mine", 0, 90_000)):
                    fake.answer, fake.break_streams = refusing(status), 1
                    found.append(other.submit(inventory.order_item, 1, 1).exception())
            return [type(one) for one in found]

    async def work() -> None:
        async with gateway(unanswered) as (fake, address):
            found = await asyncio.to_thread(ended, fake, address)
            assert found == [OutcomeUnknown, OutcomeUnknown, OutcomeForgotten]

    run(work)
