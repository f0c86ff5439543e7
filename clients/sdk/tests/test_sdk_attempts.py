"""The attempts of one call: their time, their pauses, and what is said when none is left.

The channel is a list of answers and the clock is handed in: nothing is sent and nothing waits.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import partial
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_client import (
    InventoryError,
    OutcomeUnknown,
    Password,
    Refused,
    Token,
    Unauthenticated,
    Unavailable,
    calls,
    tokens,
)
from inventory_client.auth import Session
from inventory_client.calls import Caller, SharedChannel, status_from
from inventory_client.errors import LogInFailed
from inventory_client.ownership import Ownership
from inventory_client.tokens import LOGIN, TokenSource
from wire import errors
from wire.channels import DETAILS_KEY
from wire.errors import details_of

SECONDS_MAX = 5  # for a test
SILENCE = "No answer came in time, and nothing was changed; try again"
STALE = ", or read what one member holds, however old, by read_options CONSISTENCY_STALE."
ORDER = inventory_pb2.OrderItemRequest(request_id="mine", item_id=1)
READ = inventory_pb2.GetItemRequest(item_id=1)
RELAXED = inventory_pb2.GetItemRequest(
    item_id=1,
    read_options=inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_STALE),
)
Answer = Message | BaseException | Callable[[], Coroutine[Any, Any, Message]]


def broken(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    """Return the end of a call that no refusal of the inventory ended."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def refusal(status: status_pb2.Status) -> grpc.aio.AioRpcError:
    """Return the end of a call that the inventory refused."""
    [code] = [one for one in grpc.StatusCode if one.value[0] == status.code]
    trailing = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, status.message)


class FakeChannel:
    """Answers calls in turn; keeps their methods, timeouts and metadata."""

    def __init__(self) -> None:
        """Begin without answers."""
        self.answers: list[Answer] = []
        self.made: list[tuple[str, float | None, tuple[object, ...]]] = []
        self.now = 1_000.0  # of both clocks
        self.seconds = 0.0  # that each call takes
        self.is_closed = False

    def unary_unary(
        self, method: str, response_deserializer: Callable[[bytes], Message]
    ) -> Callable[..., Coroutine[Any, Any, Message]]:
        """Return a method."""

        async def call(
            _raw: bytes, *, timeout: float | None = None, metadata: tuple[object, ...] = ()
        ) -> Message:
            self.made.append((method.rpartition("/")[2], timeout, metadata))
            self.now += self.seconds
            answer = self.answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            found = answer if isinstance(answer, Message) else await answer()
            return response_deserializer(found.SerializeToString())

        return call

    async def close(self) -> None:
        """Note that this was closed."""
        self.is_closed = True


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> FakeChannel:
    """Have every channel be this one, and both clocks the channel's."""
    fake = FakeChannel()
    clock = SimpleNamespace(monotonic=lambda: fake.now, time=lambda: fake.now)
    for module in (calls, tokens):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(calls, "client_channel", lambda *_: fake)
    return fake


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers by which pauses were asked for; none of them takes time."""
    asked: list[int] = []

    def backoff_seconds(attempt: int) -> float:
        asked.append(attempt)
        return 0.0

    monkeypatch.setattr(calls, "backoff_seconds", backoff_seconds)
    return asked


def made(request: Message, session: Session | None = None) -> Message:
    """Call with five seconds."""

    async def work() -> Message:
        caller = Caller(SharedChannel("x:1"), session or Session(None), Ownership())
        is_order = isinstance(request, inventory_pb2.OrderItemRequest)
        response: type[Message] = (
            inventory_pb2.OrderItemResponse if is_order else inventory_pb2.GetItemResponse
        )
        call = caller.call("/x/Call", request, response, 5.0, "mine" if is_order else None)
        return await asyncio.wait_for(call, SECONDS_MAX)

    return asyncio.run(work())


def failed(request: Message, session: Session | None = None) -> InventoryError:
    """Call, and return the error."""
    with pytest.raises(InventoryError) as ended:
        made(request, session)
    return ended.value


def test_each_attempt_has_the_time_that_is_left(channel: FakeChannel, attempts: list[int]) -> None:
    """The pauses grow by the number of the attempt; nobody is named without a token."""
    lost = broken(grpc.StatusCode.UNAVAILABLE)
    channel.answers, channel.seconds = [lost, lost, lost, inventory_pb2.OrderItemResponse()], 1.0
    made(ORDER)
    assert channel.made == [("Call", left, ()) for left in (5.0, 4.0, 3.0, 2.0)]
    assert attempts == [0, 1, 2]


def test_an_attempt_that_could_not_begin_in_time_is_not_made(
    channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause that ends with the time leaves none."""
    monkeypatch.setattr(calls, "backoff_seconds", lambda _: 5.0)
    channel.answers = [broken(grpc.StatusCode.UNAVAILABLE, "nobody there")]
    error = failed(ORDER)
    assert (type(error), str(error)) == (OutcomeUnknown, "nobody there")


@pytest.mark.parametrize(
    ("request_", "told", "details"),
    [
        (READ, f"{SILENCE}{STALE}", {"retry_with": "CONSISTENCY_STALE"}),
        (RELAXED, f"{SILENCE} in a moment.", {}),
        (ORDER, "No answer came in time.", {}),
    ],
    ids=["read", "relaxed", "order"],
)  # fmt: skip
@pytest.mark.usefixtures("attempts")
def test_silence_is_explained_by_what_was_asked_for(
    channel: FakeChannel, request_: Message, told: str, details: dict[str, str]
) -> None:
    """GRPC's own words for a deadline help nobody; an earlier reason says more than silence."""
    silence = broken(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    channel.answers = [silence]
    error = failed(request_)
    assert (str(error), details_of(error.status or status_pb2.Status())) == (told, details)
    assert error.status is not None
    assert error.status.code == code_pb2.DEADLINE_EXCEEDED
    channel.answers = [refusal(errors.no_quorum()), silence]
    error = failed(request_)
    assert (str(error), error.reason) == (errors.no_quorum().message, "NO_QUORUM")
    if request_ is not ORDER:
        channel.answers = [refusal(errors.deadline())]
        assert str(failed(request_)) == errors.deadline().message


def test_the_end_of_a_call_says_something() -> None:
    """The refusal as it came, or the words of gRPC, or at least the code."""
    refused = errors.insufficient_stock(1, 9, 2)
    assert status_from(refusal(refused)) == refused
    for details, said in (("reset by peer", "reset by peer"), ("", "UNAVAILABLE")):
        status = status_from(broken(grpc.StatusCode.UNAVAILABLE, details))
        assert (status.code, status.message) == (code_pb2.UNAVAILABLE, said)


def test_a_pause_doubles_to_half_a_second_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """No less than the inventory asks for comes on top (AIP-194)."""
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return most

    monkeypatch.setattr(random, "uniform", uniform)
    pauses = [calls.pause_seconds(attempt, errors.no_quorum()) for attempt in range(7)]
    assert pauses == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5])
    assert {least for least, _ in drawn} == {0}
    asked = errors.OVERLOADED_RETRY_MS
    assert calls.pause_seconds(9, errors.overloaded()) == pytest.approx(0.5 + asked / 1_000)
    assert calls.pause_seconds(9, status_pb2.Status()) == 0.5


@pytest.mark.parametrize("ignores", [False, True])
def test_a_channel_passes_proxies_only_if_told_so(
    monkeypatch: pytest.MonkeyPatch, *, ignores: bool
) -> None:
    """It is opened once, closed once, and never closed without having been opened."""
    opened: list[str] = []
    fake = FakeChannel()

    def connect(name: str, *_given: object) -> FakeChannel:
        opened.append(name)
        return fake

    for name in ("straight_channel", "client_channel"):
        monkeypatch.setattr(calls, name, partial(connect, name))
    channel = SharedChannel("x:1", ignore_proxy=True) if ignores else SharedChannel("x:1")
    asyncio.run(channel.close())
    assert not fake.is_closed
    assert asyncio.run(channel.open()) is asyncio.run(channel.open())
    assert opened == ["straight_channel" if ignores else "client_channel"]
    asyncio.run(channel.close())
    assert fake.is_closed


def test_a_call_that_is_cancelled_from_outside_is_no_answer(channel: FakeChannel) -> None:
    """Whoever cancels it is told so; only a client that closes has words of its own."""
    channel.answers = [asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        made(ORDER)


@pytest.mark.usefixtures("attempts")
def test_a_call_that_is_served_begins_the_count_of_refused_tokens_anew(
    channel: FakeChannel,
) -> None:
    """Two tokens may be refused before it, and two after it."""
    session = Session(Password("ann", "right"))
    served = inventory_pb2.OrderItemResponse()
    over = refusal(errors.token_invalid("has expired"))
    login = auth_pb2.LoginResponse(token="one")  # noqa: S106 - of nobody
    channel.answers = [login, over, login, over, login, served, over, login, over, login, served]
    made(ORDER, session)
    made(ORDER, session)
    assert channel.answers == []
    assert channel.made[1][2] == (("authorization", "Bearer one"),)


def test_a_log_in_that_is_refused_like_a_token_is_final(channel: FakeChannel) -> None:
    """There was no token yet that another could replace."""
    status = errors.token_invalid("is of another cluster")
    channel.answers = [refusal(status)]
    error = failed(ORDER, Session(Password("ann", "right")))
    assert (type(error), error.status) == (Unauthenticated, status)
    assert isinstance(error, Refused)


def sourced(channel: FakeChannel) -> tuple[Session, TokenSource, asyncio.Event]:
    """Return a session of ann, the source of its tokens, and what tells the source to end."""
    session, closing = Session(Password("ann", "right")), asyncio.Event()
    opened: Any = channel

    async def open_channel() -> Any:  # noqa: ANN401 - a fake
        return opened

    return session, TokenSource(session, open_channel, status_from, closing), closing


def test_a_log_in_has_the_time_of_its_call_and_notes_the_tokens_end(channel: FakeChannel) -> None:
    """By this machine's clock when the token came."""
    response = auth_pb2.LoginResponse(token="one")  # noqa: S106 - of nobody
    response.expire_time.seconds = 1_000 + 86_400
    channel.answers = [response]

    async def work() -> None:
        session, source, _ = sourced(channel)
        assert await source.token(1_003.0) == "one"
        assert channel.made == [(LOGIN.rpartition("/")[2], 3.0, ())]
        assert not session.is_due(1_000.0 + 69_119)
        assert session.is_due(1_000.0 + 69_120)

    asyncio.run(work())


def test_a_call_waits_for_another_calls_log_in_no_longer_than_its_time(
    channel: FakeChannel,
) -> None:
    """It ends as late, while the log-in goes on."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def hang() -> Message:
        begun.set()
        await never.wait()
        return auth_pb2.LoginResponse()

    channel.answers = [hang]

    async def work() -> None:
        _, source, _ = sourced(channel)
        first = asyncio.ensure_future(source.token(2_000.0))
        await begun.wait()
        with pytest.raises(LogInFailed) as late:
            await asyncio.wait_for(source.token(999.0), SECONDS_MAX)
        assert late.value.status == status_pb2.Status(
            code=code_pb2.DEADLINE_EXCEEDED, message="No log-in came in time."
        )
        assert not first.done()
        first.cancel()

    asyncio.run(work())


def test_no_log_in_begins_once_the_client_is_closed(channel: FakeChannel) -> None:
    """A token that holds is returned all the same."""

    async def work() -> None:
        session, source, closing = sourced(channel)
        closing.set()
        with pytest.raises(LogInFailed) as closed:
            await source.token(2_000.0)
        assert closed.value.status == status_pb2.Status(
            code=code_pb2.CANCELLED, message="The client was closed before the answer came."
        )
        session.use(Token("one"), 0.0)
        assert await source.token(2_000.0) == "one"

    asyncio.run(work())


def test_an_order_that_was_never_sent_is_not_unknown(channel: FakeChannel) -> None:
    """Its log-in got no answer."""
    channel.answers = [broken(grpc.StatusCode.DEADLINE_EXCEEDED)]
    error = failed(ORDER, Session(Password("ann", "right")))
    assert (type(error), error.request_id) == (Unavailable, None)
