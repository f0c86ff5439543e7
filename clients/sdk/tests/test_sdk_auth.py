"""How a client gets its token: once, again when it ends, and for other users on one channel."""

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_client import (
    AsyncInventory,
    Auth,
    Bearer,
    Flow,
    Inventory,
    InventoryError,
    KeyFile,
    Password,
    Refused,
    Token,
    Unauthenticated,
    Unavailable,
    UsageError,
)
from inventory_client.auth import LATER_SECONDS, LIFE_SECONDS_MIN, REFUSED_MAX, RENEW_AT, Session
from wire import errors
from wire.channels import abort, accept, bearer

SECONDS_MAX = 20  # for a test
DAY_SECONDS = 86_400.0
RIGHT = "password1"  # of this test alone


class TokenGateway:
    """Gives a token a log-in, takes the newest alone, and keeps what it saw."""

    def __init__(self) -> None:
        """Know nobody."""
        self.logins: list[str] = []  # by name
        self.callers: list[str | None] = []  # the token of each call
        self.orders: list[str] = []  # request ids, as often as they came
        self.peers: set[str] = set()
        self.expire_seconds = 0
        self.unreachable = 0  # how many log-ins are answered by nothing
        self.takes_nothing = False  # every token is refused
        self.may_answer = asyncio.Event()  # while it is clear, log-ins wait
        self.may_answer.set()

    @property
    def newest(self) -> str:
        """The token of the last log-in."""
        return f"token-{len(self.logins)}"

    def takes(self, token: str | None) -> bool:
        """Tell whether a token holds."""
        return not self.takes_nothing and token in {self.newest, "another"}

    async def check(self, context: Any) -> None:  # noqa: ANN401 - grpc's
        """Refuse what is not the newest token."""
        self.peers.add(context.peer())
        self.callers.append(bearer(context.invocation_metadata()))
        if not self.takes(self.callers[-1]):
            await abort(context, errors.token_invalid("has expired"))

    async def login(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpc's
        """Take one password."""
        request = auth_pb2.LoginRequest.FromString(raw)
        await self.may_answer.wait()
        if self.unreachable:
            self.unreachable -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "nobody there")
        self.logins.append(request.username)
        if request.password != RIGHT:
            await abort(context, errors.invalid_credentials())
        response = auth_pb2.LoginResponse(token=self.newest)
        response.expire_time.seconds = self.expire_seconds
        return response.SerializeToString()

    async def order_item(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpc's
        """Take an order."""
        self.orders.append(inventory_pb2.OrderItemRequest.FromString(raw).request_id)
        await self.check(context)
        return inventory_pb2.OrderItemResponse(order_id=1).SerializeToString()

    async def get_item(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401, ARG002 - grpc's
        """Return an item."""
        await self.check(context)
        return inventory_pb2.GetItemResponse(revision=9).SerializeToString()

    async def submit(self, requests: AsyncIterator[bytes], context: Any) -> None:  # noqa: ANN401 - grpc's
        """Take orders; a token that ends in the meantime refuses each, and the stream goes on."""
        self.peers.add(context.peer())
        token = bearer(context.invocation_metadata())
        if not self.takes(token):
            await abort(context, errors.token_invalid("has expired"))
        await accept(context)
        async for raw in requests:
            response = inventory_pb2.SubmitResponse()
            for one in inventory_pb2.SubmitRequest.FromString(raw).submissions:
                self.orders.append(one.mutation.order_item.request_id)
                self.callers.append(token)
                outcome = inventory_pb2.Outcome(
                    order_item=inventory_pb2.OrderItemResponse(order_id=1)
                )
                if not self.takes(token):
                    outcome = inventory_pb2.Outcome(error=errors.token_invalid("has expired"))
                response.results.add(correlation_id=one.correlation_id, outcome=outcome)
            await context.write(response.SerializeToString())

    async def serve(self) -> tuple[grpc.aio.Server, str]:
        """Listen on a free port; return the server and its address."""
        server = grpc.aio.server()
        unary = grpc.unary_unary_rpc_method_handler
        inventory: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Submit": grpc.stream_stream_rpc_method_handler(self.submit),
            "OrderItem": unary(self.order_item),
            "GetItem": unary(self.get_item),
        }
        auth: dict[str, grpc.RpcMethodHandler[Any, Any]] = {"Login": unary(self.login)}
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("inventory.v1.InventoryService", inventory),
                grpc.method_handlers_generic_handler("inventory.v1.AuthService", auth),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, f"127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[tuple[TokenGateway, str]]:
    """Run a gateway that gives tokens."""
    fake = TokenGateway()
    server, address = await fake.serve()
    try:
        yield fake, address
    finally:
        await server.stop(0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine."""
    asyncio.run(asyncio.wait_for(work(), SECONDS_MAX))


def end_tokens(fake: TokenGateway) -> None:
    """Let no token that was given hold any more."""
    fake.logins.append("somebody else")


@pytest.mark.parametrize("unary", [True, False])
def test_the_first_calls_log_in_once_together(unary: bool) -> None:  # noqa: FBT001 - a case
    """Twenty orders and twenty reads at once need one token."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", RIGHT), unary=unary) as inventory,
        ):
            orders = (inventory.order_item(1, 1) for _ in range(20))
            await asyncio.gather(*orders, *(inventory.item(1) for _ in range(20)))
            assert fake.logins == ["ann"]
            assert set(fake.callers) == {"token-1"}
            assert inventory.token == "token-1"  # noqa: S105 - of this test alone
            assert inventory.revision == 9

    run(work)


@pytest.mark.parametrize("unary", [True, False])
def test_a_token_that_ends_is_replaced_and_each_order_keeps_its_id(unary: bool) -> None:  # noqa: FBT001 - a case
    """Nobody sees the refusal; what was refused is sent again with the same request id."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, Password("ann", RIGHT), unary=unary) as inventory,
        ):
            await inventory.order_item(1, 1)
            end_tokens(fake)
            fake.orders.clear()
            await asyncio.gather(*(inventory.order_item(1, 1) for _ in range(20)))
            assert fake.logins == ["ann", "somebody else", "ann"]
            assert len(set(fake.orders)) == 20
            assert fake.callers[-1] == "token-3"
            end_tokens(fake)
            await inventory.item(1)
            assert fake.callers[-1] == "token-5"

    run(work)


def test_a_token_is_renewed_before_it_ends() -> None:
    """After four fifths of its life; only when it is refused, where the clocks differ."""
    session = Session(Password("ann", RIGHT))
    assert session.is_due(0.0)
    session.use(Token("one", expire_seconds=1_000.0 + DAY_SECONDS), 1_000.0)
    assert not session.is_due(1_000.0 + DAY_SECONDS * RENEW_AT - 1)
    assert session.is_due(1_000.0 + DAY_SECONDS * RENEW_AT)
    for behind in (-DAY_SECONDS, 0.0, LIFE_SECONDS_MIN - 1):
        session.use(Token("two", expire_seconds=1_000.0 + behind), 1_000.0)
        assert not session.is_due(1_000.0)
        assert not session.is_due(10.0**12)
    session.use(Token("three"), 1_000.0)
    assert not session.is_due(10.0**12)


def test_a_life_of_a_minute_is_believed_and_a_shorter_one_is_not() -> None:
    """A token of a minute is renewed after 48 s; a token of a day after 19 hours and 12 minutes."""
    session = Session(Password("ann", RIGHT))
    for life, due in ((60.0, 48.0), (DAY_SECONDS, 69_120.0)):
        session.use(Token("one", expire_seconds=1_000.0 + life), 1_000.0)
        assert not session.is_due(1_000.0 + due - 0.5)
        assert session.is_due(1_000.0 + due)
    session.use(Token("two", expire_seconds=1_059.5), 1_000.0)
    assert not session.is_due(10.0**12)


def test_a_log_in_that_failed_is_due_again_after_half_a_minute() -> None:
    """Whether the token serves on, or the inventory refused."""
    session = Session(Password("ann", RIGHT))
    session.use(Token("one"), 0.0)
    session.postpone(1_000.0)
    assert [session.is_due(now) for now in (1_000.0, 1_029.5, 1_030.0)] == [False, False, True]
    status = errors.invalid_credentials()
    assert session.refusal(1_000.0) is None
    session.note_refusal(status, 1_000.0)
    found = [session.refusal(now) for now in (1_000.0, 1_029.5, 1_030.0)]
    assert found == [status, status, None]


def test_the_third_token_in_a_row_that_is_refused_is_the_last() -> None:
    """A call that one of them served begins the count anew."""
    session = Session(Password("ann", RIGHT))
    found = []
    for number in range(5):
        session.use(Token(f"{number}"), 0.0)
        if number == 2:
            session.note_success()
        found.append(session.drop(f"{number}"))
    assert found == [True, True, True, True, False]


def test_a_client_without_a_way_to_log_in_is_never_due() -> None:
    """Neither without a user nor with a given token, whatever was refused."""
    for session in (Session(None), Session(Bearer("mine"))):
        assert not session.is_due(10.0**12)
        assert not session.drop(session.token)


@pytest.mark.parametrize(("expire_seconds", "expected"), [(0, None), (5, 5)])
def test_a_flow_sends_its_log_in_and_returns_the_token(
    expire_seconds: int, expected: int | None
) -> None:
    """With its end, if the inventory told one; a given token is returned as it is."""
    flow = Password("ann", RIGHT).flow()
    assert next(flow) == auth_pb2.LoginRequest(username="ann", password=RIGHT)
    response = auth_pb2.LoginResponse(token="one")  # noqa: S106 - of nobody
    response.expire_time.seconds = expire_seconds
    with pytest.raises(StopIteration) as ended:
        flow.send(response)
    assert ended.value.value == Token("one", expected)
    with pytest.raises(StopIteration) as ended:
        next(Bearer("mine").flow())
    assert ended.value.value == Token("mine")


def test_only_the_token_that_was_refused_is_dropped() -> None:
    """A call that was late with an old token does not cost the new one."""
    session = Session(Password("ann", RIGHT))
    session.use(Token("new"), 0.0)
    assert session.drop("old")
    assert session.token == "new"  # noqa: S105 - of this test alone
    assert session.drop("new")
    assert session.token is None
    assert not Session(Bearer("mine")).drop("mine")


@pytest.mark.parametrize("unary", [True, False])
def test_a_bearer_token_that_ends_is_the_callers_to_replace(unary: bool) -> None:  # noqa: FBT001 - a case
    """There is nothing to get another one with."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, "old", unary=unary) as inventory,
        ):
            with pytest.raises(Unauthenticated):
                await inventory.order_item(1, 1)
            assert fake.logins == []

    run(work)


@pytest.mark.parametrize("unary", [True, False])
def test_tokens_that_are_all_refused_are_not_asked_for_again_and_again(unary: bool) -> None:  # noqa: FBT001 - a case
    """Each log-in costs a hash; clocks that differ by a token's life cost a few of them."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", RIGHT), 600, unary=unary) as inventory,
        ):
            await inventory.order_item(1, 1)
            fake.takes_nothing = True
            with pytest.raises(Unauthenticated):
                await inventory.order_item(1, 1)
            assert fake.logins == ["ann"] * REFUSED_MAX
            fake.takes_nothing = False
            await inventory.order_item(1, 1)
            assert fake.logins == ["ann"] * (REFUSED_MAX + 1)

    run(work)


@pytest.mark.parametrize("unary", [True, False])
def test_a_wrong_password_is_said_once(unary: bool) -> None:  # noqa: FBT001 - a case
    """It does not get right by trying, and wrong log-ins are counted."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", "wrong"), unary=unary) as inventory,
        ):
            with pytest.raises(Refused, match="password") as refused:
                await inventory.order_item(1, 1)
            assert refused.value.reason == "INVALID_CREDENTIALS"
            assert fake.logins == ["ann"]
            assert fake.orders == []

    run(work)


@pytest.mark.parametrize("unary", [True, False])
def test_a_log_in_that_nobody_answers_is_tried_again(unary: bool) -> None:  # noqa: FBT001 - a case
    """As every call is, for as long as the call may take."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", RIGHT), unary=unary) as inventory,
        ):
            fake.unreachable = 2
            await inventory.order_item(1, 1)
            assert fake.logins == ["ann"]

    run(work)


def test_an_order_that_was_never_sent_has_no_unknown_outcome() -> None:
    """While nobody lets the client in, nothing of it is under way."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", RIGHT), 0.3, unary=True) as inventory,
        ):
            fake.unreachable = 1_000
            with pytest.raises(Unavailable) as failed:
                await inventory.order_item(1, 1)
            assert type(failed.value) is Unavailable
            assert fake.orders == []

    run(work)


def test_a_key_file_is_read_at_each_log_in(tmp_path: Path) -> None:
    """A key that is replaced is followed, and a file that is gone comes back."""
    path = tmp_path / "metrics.key"

    async def work() -> None:
        async with gateway() as (fake, address):
            inventory = AsyncInventory(address, KeyFile("metrics", path), unary=True)
            for content, problem in (
                (None, "cannot be read"),
                (b" \n", r"key is empty\.$"),
                (b"\xff\xfe", "cannot be read"),
                (b"x" * 4_096 + b"\n", r"key is over 4096 bytes long\.$"),
                (RIGHT.encode() + b" " * 5_000 + b"x", r"is over 4096 bytes long\.$"),
            ):
                if content is not None:
                    path.write_bytes(content)
                with pytest.raises(Unauthenticated, match=problem) as refused:
                    await inventory.item(1)
                assert str(path) in str(refused.value)
            assert fake.logins == []
            path.write_text(f"{RIGHT}\n" + " " * (4_095 - len(RIGHT)))
            await inventory.item(1)
            assert fake.logins == ["metrics"]
            await inventory.close()

    run(work)


def test_a_key_file_that_cannot_be_read_ends_an_order_of_the_stream(tmp_path: Path) -> None:
    """It is refused at once, not after its time."""

    async def work() -> None:
        async with gateway() as (fake, address):
            inventory = AsyncInventory(address, KeyFile("metrics", tmp_path / "gone"), 600)
            with pytest.raises(Unauthenticated, match="gone cannot be read"):
                await inventory.order_item(1, 1)
            assert fake.orders == []
            await inventory.close()

    run(work)


def test_other_users_share_the_channel_and_nothing_else() -> None:
    """Each has its token and its stream; to close one closes nothing of the others."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", RIGHT)) as inventory,
        ):
            other = inventory.as_user("another")
            await asyncio.gather(inventory.order_item(1, 1), other.order_item(1, 1))
            assert sorted(map(str, fake.callers)) == ["another", "token-1"]
            assert len(fake.peers) == 1
            await other.close()
            with pytest.raises(UsageError, match="closed"):
                await other.order_item(1, 1)
            await inventory.order_item(1, 1)
            assert fake.callers[-1] == "token-1"

    run(work)


def test_a_client_that_closes_closes_those_on_its_channel() -> None:
    """What they had under way ends; nothing hangs on a channel that is gone."""

    async def work() -> None:
        async with gateway() as (_, address):
            inventory = AsyncInventory(address, ("ann", RIGHT))
            other = inventory.as_user("another")
            await other.order_item(1, 1)
            await inventory.close()
            with pytest.raises(UsageError, match="closed"):
                await other.item(1)
            with pytest.raises(UsageError, match="closed"):
                inventory.as_user("another")

    run(work)


def test_blocking_clients_share_channel_and_thread() -> None:
    """The same, without asyncio."""
    loop = asyncio.new_event_loop()
    fake = TokenGateway()
    server, address = loop.run_until_complete(fake.serve())
    asking = asyncio.ensure_future(asyncio.to_thread(ask_as_two, address), loop=loop)
    assert loop.run_until_complete(asyncio.wait_for(asking, SECONDS_MAX)) == "closed"
    assert [one for one in fake.callers if one == "another"] == ["another"]
    assert len(fake.peers) == 1
    loop.run_until_complete(server.stop(0))
    loop.close()


def ask_as_two(address: str) -> str:
    """Ask as two users; return how the one ends that outlives its parent."""
    with Inventory(address, ("ann", RIGHT)) as inventory:
        inventory.item(1)
        other = inventory.as_user("another")
        other.item(1)
        inventory.as_user("another").close()
        inventory.item(1)
    try:
        other.item(1)
    except UsageError:
        return "closed"
    return "open"


def test_a_way_of_ones_own_to_get_tokens() -> None:
    """A flow may log in as often as it likes, or not at all."""

    class Twice(Auth):
        """Logs in as two."""

        def flow(self) -> Flow:
            """Ask as one, and then as another."""
            yield auth_pb2.LoginRequest(username="first", password=RIGHT)
            response = yield auth_pb2.LoginRequest(username="second", password=RIGHT)
            return Token(response.token)

    async def work() -> None:
        async with gateway() as (fake, address), AsyncInventory(address, Twice()) as inventory:
            await inventory.item(1)
            assert fake.logins == ["first", "second"]
            assert fake.callers == ["token-2"]

    run(work)


@pytest.mark.parametrize("auth", [3, ("ann",), ("ann", 3), b"token"])
def test_what_is_no_auth_is_refused_where_it_is_given(auth: Any) -> None:  # noqa: ANN401 - a case
    """Before anything is sent."""
    with pytest.raises(TypeError, match="auth: "):
        AsyncInventory(auth=auth)


@pytest.mark.parametrize("token", ["", "two words", "line\nfeed", "ünicode"])
def test_what_is_no_token_is_refused_where_it_is_given(token: str) -> None:
    """RFC 6750: gRPC would end the call with a riddle."""
    with pytest.raises(ValueError, match="token"):
        Inventory(auth=token)


def test_calls_that_wait_for_a_log_in_wait_no_longer_than_each_may() -> None:
    """One after the other they would take 40 s."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", RIGHT), 1) as inventory,
        ):
            fake.may_answer.clear()
            calls = (inventory.item(1) for _ in range(40))
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(one) for one in ended} == {Unavailable}
            fake.may_answer.set()

    run(work)


@pytest.mark.parametrize("unary", [True, False])
def test_a_client_that_closes_ends_the_calls_that_wait_for_a_log_in(unary: bool) -> None:  # noqa: FBT001 - a case
    """With an error of the client's own."""

    async def work() -> None:
        async with gateway() as (fake, address):
            inventory = AsyncInventory(address, ("ann", RIGHT), 600, unary=unary)
            fake.may_answer.clear()
            orders = [asyncio.ensure_future(inventory.order_item(1, 1)) for _ in range(5)]
            reads = [asyncio.ensure_future(inventory.item(1)) for _ in range(5)]
            await asyncio.sleep(0)
            await inventory.close()
            ended = await asyncio.gather(*orders, *reads, return_exceptions=True)
            assert all(isinstance(one, InventoryError) for one in ended), ended
            fake.may_answer.set()

    run(work)


def test_a_client_that_closes_ends_the_calls_of_the_user_before() -> None:
    """A call that waits for its next attempt belongs to whoever was logged in before."""

    async def work() -> None:
        async with gateway() as (fake, address):
            inventory = AsyncInventory(address, ("ann", RIGHT), 600, unary=True)
            fake.unreachable = 10**6
            call = asyncio.ensure_future(inventory.item(1))
            await asyncio.wait([call], timeout=0.2)
            fake.unreachable = 0
            await inventory.login("bob", RIGHT)
            fake.unreachable = 10**6
            await inventory.close()
            [ended] = await asyncio.gather(call, return_exceptions=True)
            assert not isinstance(ended, BaseException) or isinstance(ended, InventoryError)

    run(work)


def test_a_token_serves_on_while_no_other_can_be_got() -> None:
    """At four fifths of its life a token is good for another fifth."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", RIGHT), 600) as inventory,
        ):
            await inventory.item(1)
            inventory._caller.session._due_seconds = 0.0
            fake.unreachable = 1
            await asyncio.gather(*(inventory.item(1) for _ in range(5)))
            assert fake.unreachable == 0
            assert fake.logins == ["ann"]
            assert set(fake.callers) == {"token-1"}

    run(work)


def test_a_refused_log_in_is_not_sent_again_at_once() -> None:
    """A program that goes on with an old password would keep its user locked out."""

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, ("ann", "wrong"), unary=True) as inventory,
        ):
            for _ in range(5):
                with pytest.raises(Unauthenticated, match="password"):
                    await inventory.item(1)
            assert fake.logins == ["ann"]
            session = inventory._caller.session
            assert session.refusal(time.time()) is not None
            assert session.refusal(time.time() + LATER_SECONDS + 1) is None

    run(work)


def test_clients_that_nobody_holds_end_with_the_channel() -> None:
    """Their streams and tasks too."""

    async def work() -> None:
        async with gateway() as (_, address):
            inventory = AsyncInventory(address, ("ann", RIGHT))
            for _ in range(5):
                await inventory.as_user("another").as_user("another").order_item(1, 1)
            gc.collect()
            carried = [one for one in asyncio.all_tasks() if "SubmitStream" in repr(one)]
            assert len(carried) >= 5
            await inventory.close()
            assert all(one.done() for one in carried)

    run(work)


@pytest.mark.parametrize("token", [None, "text", Token("line\nfeed"), Token("")])
def test_a_flow_that_brings_no_token_is_a_fault_of_the_program(token: Any) -> None:  # noqa: ANN401 - a case
    """It is said before anything is sent."""

    class Wrong(Auth):
        """Brings something else."""

        def flow(self) -> Flow:
            """Return no token."""
            yield auth_pb2.LoginRequest(username="ann", password=RIGHT)
            return token  # type: ignore[no-any-return]  # that is the case

    async def work() -> None:
        async with (
            gateway() as (fake, address),
            AsyncInventory(address, Wrong(), unary=True) as inventory,
        ):
            with pytest.raises(TypeError, match="no Token"):
                await inventory.item(1)
            assert fake.callers == []

    run(work)


def test_a_key_in_a_pipe_is_refused(tmp_path: Path) -> None:
    """To read it would hold the loop up."""
    os.mkfifo(tmp_path / "key")

    async def work() -> None:
        inventory = AsyncInventory("127.0.0.1:1", KeyFile("metrics", tmp_path / "key"))
        with pytest.raises(Unauthenticated, match="no file"):
            await inventory.item(1)
        await inventory.close()

    run(work)
