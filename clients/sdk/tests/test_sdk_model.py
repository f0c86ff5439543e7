"""What clients are told against what the log did, by a gateway that fails in every way.

The time is the loop's own: it passes when nothing else is to be done.
"""

import asyncio
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2, status_pb2
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_client import (
    AsyncInventory,
    InventoryError,
    OutcomeUnknown,
    Placed,
    Refused,
    Unauthenticated,
    Unavailable,
    calls,
    stream,
    tokens,
)
from inventory_client.auth import LATER_SECONDS, Auth, Bearer, Flow, Token
from inventory_client.connection import new_request_id
from inventory_client.errors import LOG_REASONS
from inventory_client.stream import GRACE_SECONDS, SWEEP_SECONDS, SubmitStream
from inventory_client.tokens import LOGIN
from wire import errors
from wire.channels import ACCEPTED_KEY, DETAILS_KEY

TIMEOUT_SECONDS = 2.0
CALLS_MAX = 40  # each takes a number of the script at least
LATE_SECONDS = 1.0  # after its time that a call may end: a sweep, a log-in
SHORT_ITEM = 2  # of which the log has nothing
IN_DOUBT = "An attempt went unanswered"  # begins what is told of a refusal after such an attempt
LOST = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="reset")
BROKEN = status_pb2.Status(code=code_pb2.INTERNAL, message="reset")
EXPIRED = errors.token_invalid("has expired")
BEFORE_THE_LOG = {
    "overloaded": errors.overloaded(),
    "full": errors.disk_full("node-0"),
    "invalid": errors.invalid_field("quantity", "is wrong"),
    "token": EXPIRED,
}
UNTOLD = ("lose", "lose applied", "lose late", "no majority", "silent", "deadline")
# What a gateway does, by what it is asked for; the first is what it does where all is well.
CHOICES = {
    "attempt": ("apply", "apply", *UNTOLD, *BEFORE_THE_LOG, "lose applied", "token"),
    "stream": ("accept", "accept", "token", "lost", "full"),
    "frame": ("read", "read", "break before", "break after", "refuse after"),
    "login": ("let in", "lost", "refused"),
    "key": ("readable", "unreadable"),
}
Script = dict[str, list[str]]
SCRIPTS = st.fixed_dictionaries(
    {what: st.lists(st.sampled_from(choices), max_size=8) for what, choices in CHOICES.items()}
)


class JumpingClock(selectors.SelectSelector):
    """Lets time pass in no time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return what is ready, or let as much time pass as the loop would wait."""
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("everybody waits for ever")
            self.now += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time is that of its clock."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.clock = JumpingClock()
        super().__init__(self.clock)

    def time(self) -> float:
        """Return the time in seconds."""
        return self.clock.now


async def let_pass(seconds: float) -> None:
    """Let the loop's own time pass."""
    is_over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, is_over.set)
    await is_over.wait()


class ModelLog:
    """Applies each request id once, and keeps what became of it."""

    def __init__(self) -> None:
        """Begin empty."""
        self.applied: Counter[str] = Counter()
        self.kept: dict[str, tuple[inventory_pb2.OrderItemRequest, inventory_pb2.Outcome]] = {}
        self.late: list[inventory_pb2.OrderItemRequest] = []  # that nobody waits for

    def take(self, order: inventory_pb2.OrderItemRequest) -> inventory_pb2.Outcome:
        """Return the outcome of an order, applied now or before."""
        known = self.kept.get(order.request_id)
        if known is not None:
            assert known[0] == order, "another order under the same request id"
            return known[1]
        if order.item_id == SHORT_ITEM:
            outcome = inventory_pb2.Outcome(error=errors.insufficient_stock(SHORT_ITEM, 1, 0))
        else:
            self.applied[order.request_id] += 1
            outcome = inventory_pb2.Outcome()
            outcome.order_item.order_id = len(self.kept) + 1
            outcome.order_item.total.currency_code = "USD"
        self.kept[order.request_id] = order, outcome
        return outcome

    def catch_up(self) -> None:
        """Apply what was under way."""
        for order in self.late:
            self.take(order)
        self.late.clear()


def failure(status: status_pb2.Status) -> grpc.aio.AioRpcError:
    """Return what a call that ended with a status raises."""
    code = next(one for one in grpc.StatusCode if one.value[0] == status.code)
    pairs = [(DETAILS_KEY, status.SerializeToString())] if status.details else []
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*pairs))


class ModelGateway:
    """A channel to a gateway that does what a script says, and well once the script has ended."""

    def __init__(self, script: Script) -> None:
        """Begin with an empty log."""
        self.log = ModelLog()
        self.doubled: list[int] = []  # submissions that came while they were in flight
        self.untold: set[str] = set()  # ids of orders of which an attempt got no answer
        self._script = {what: iter(choices) for what, choices in script.items()}

    def draw(self, what: str) -> str:
        """Return what happens next of its kind."""
        return next(self._script[what], CHOICES[what][0])

    def attempt(self, order: inventory_pb2.OrderItemRequest) -> inventory_pb2.Outcome | None:
        """Do something with an order; None: no answer leaves."""
        what = self.draw("attempt")
        if what in UNTOLD:
            self.untold.add(order.request_id)
        match what:
            case "apply":
                self.log.catch_up()
                return self.log.take(order)
            case "lose applied":
                self.log.take(order)
            case "lose late":
                self.log.late.append(order)
            case "no majority" | "deadline":
                self.log.late.append(order)
                unknown = errors.no_quorum() if what == "no majority" else errors.deadline()
                return inventory_pb2.Outcome(error=unknown)
            case "silent":
                self.log.late.append(order)
                return None
            case "lose":
                pass
            case refused:
                return inventory_pb2.Outcome(error=BEFORE_THE_LOG[refused])
        return inventory_pb2.Outcome(error=LOST if len(self.log.kept) % 2 else BROKEN)

    def unary_unary(self, method: str, response_deserializer: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - grpc's
        """Return what calls a method."""
        if method == LOGIN:
            return self._log_in

        async def call(raw: bytes, timeout: float, metadata: object) -> Any:  # noqa: ANN401 - as above
            del metadata
            await let_pass(0.001)
            outcome = self.attempt(inventory_pb2.OrderItemRequest.FromString(raw))
            if outcome is None:
                await let_pass(timeout)
                raise failure(status_pb2.Status(code=code_pb2.DEADLINE_EXCEEDED))
            if outcome.HasField("error"):
                raise failure(outcome.error)
            return response_deserializer(outcome.order_item.SerializeToString())

        return call

    async def _log_in(self, raw: bytes, timeout: float) -> auth_pb2.LoginResponse:
        del raw, timeout
        await let_pass(0.001)
        match self.draw("login"):
            case "lost":
                raise failure(LOST)
            case "refused":
                raise failure(errors.invalid_credentials())
            case _:
                return auth_pb2.LoginResponse(token="token")  # noqa: S106 - of nobody

    def stream_stream(self, method: str) -> Callable[..., "ModelStream"]:
        """Return what opens a stream."""
        assert method == stream.METHOD
        return lambda metadata: ModelStream(self, self.draw("stream"), metadata)

    async def close(self) -> None:
        """Keep the channel: another client may have it."""


class ModelStream:
    """One stream of submissions."""

    def __init__(self, gateway: ModelGateway, what: str, metadata: object) -> None:
        """Take the stream, or refuse it."""
        del metadata
        self._gateway = gateway
        self._is_accepted = what == "accept"
        self._ends: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._is_over = False
        self._under_way: set[int] = set()
        self._unread: dict[int, str] = {}  # the request ids of what the client awaits
        if not self._is_accepted:
            self._end(failure({"token": EXPIRED, "lost": LOST}.get(what, BEFORE_THE_LOG["full"])))

    def _end(self, how: BaseException | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._ends.put_nowait(how)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Say whether the stream is taken."""
        await let_pass(0.001)
        return grpc.aio.Metadata(*([(ACCEPTED_KEY, "1")] if self._is_accepted else []))

    async def write(self, raw: bytes) -> None:
        """Take a frame."""
        await let_pass(0.001)
        submissions = inventory_pb2.SubmitRequest.FromString(raw).submissions
        for one in submissions:
            self._unread[one.correlation_id] = one.mutation.order_item.request_id
        if self._is_over:
            raise failure(LOST)
        what = self._gateway.draw("frame")
        if what == "break before":
            self._end(failure(LOST))
            return
        response = inventory_pb2.SubmitResponse()
        for submission in submissions:
            number = submission.correlation_id
            if number in self._under_way:
                self._gateway.doubled.append(number)
            self._under_way.add(number)
            outcome = self._gateway.attempt(submission.mutation.order_item)
            if outcome is not None:
                self._under_way.discard(number)
                response.results.add(correlation_id=number, outcome=outcome)
        if what == "break after":
            self._end(failure(BROKEN) if response.results else None)
        elif what == "refuse after":
            self._end(failure(EXPIRED))
        elif response.results:
            self._ends.put_nowait(response.SerializeToString())

    def cancel(self) -> bool:
        """End the stream; whatever the client has not read is not answered."""
        self._gateway.untold |= set(self._unread.values())
        self._end(asyncio.CancelledError())
        return True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what the gateway answers."""
        while (one := await self._ends.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            for result in inventory_pb2.SubmitResponse.FromString(one).results:
                self._unread.pop(result.correlation_id, None)
            yield one


class ModelAuth(Auth):
    """Logs in, unless its key cannot be read."""

    def __init__(self, gateway: ModelGateway) -> None:
        """Ask the script."""
        self._gateway = gateway

    def flow(self) -> Flow:
        """Log in once."""
        if self._gateway.draw("key") == "unreadable":
            raise Unauthenticated("The key file cannot be read.")
        response = yield auth_pb2.LoginRequest()
        return Token(response.token, None)


def at_rest(stream: SubmitStream) -> bool:
    """Tell whether a stream keeps nothing of any mutation."""
    return not (stream._waiting or stream._deadlines or stream._frame())


async def order(
    inventory: AsyncInventory, gateway: ModelGateway, item_id: int, request_id: str
) -> None:
    """Order until the outcome is known, and compare what is said with what the log did."""
    loop, log = asyncio.get_running_loop(), gateway.log
    is_first = True  # a refusal says nothing of an earlier call with the same request id
    for _ in range(CALLS_MAX):
        began = loop.time()
        told: Placed | InventoryError
        try:
            told = await inventory.order_item(item_id, 1, request_id=request_id)
        except InventoryError as error:
            told = error
        assert loop.time() - began <= TIMEOUT_SECONDS + LATE_SECONDS
        match told:
            case Placed():
                assert log.applied[request_id] == 1
                assert told.order_id == log.kept[request_id][1].order_item.order_id
                return
            case OutcomeUnknown():
                assert told.request_id == request_id
                assert not str(told).startswith(IN_DOUBT) or request_id in gateway.untold
                is_first = False
            case Refused() if not is_first and told.reason not in LOG_REASONS:
                pass
            case Refused() | Unavailable():
                log.catch_up()
                assert log.applied[request_id] == 0, f"applied, and told {told!r}"
                return
            case _:
                raise AssertionError(repr(told))
        await let_pass(LATER_SECONDS)  # a log-in that was refused is not sent again at once
    raise AssertionError("the outcome stays unknown")


async def run(script: Script, items: list[int], *, is_unary: bool, renews: bool) -> None:
    """Order items at once through one client."""
    gateway = ModelGateway(script)
    with pytest.MonkeyPatch.context() as patch:
        loop = asyncio.get_running_loop()
        patch.setattr(calls, "client_channel", lambda *_: gateway)
        clock = SimpleNamespace(monotonic=loop.time, time=lambda: 1_700_000_000.0 + loop.time())
        patch.setattr(calls, "time", clock)
        patch.setattr(stream, "time", clock)
        patch.setattr(tokens, "time", clock)
        auth = ModelAuth(gateway) if renews else Bearer("token")
        inventory = AsyncInventory(auth=auth, timeout=TIMEOUT_SECONDS, unary=is_unary)
        async with inventory:
            orders = [order(inventory, gateway, item, new_request_id()) for item in items]
            await asyncio.gather(*orders)
            if not is_unary:
                await let_pass(TIMEOUT_SECONDS + GRACE_SECONDS + 2 * SWEEP_SECONDS)
                assert at_rest(inventory._stream)
    assert gateway.doubled == []
    assert max(gateway.log.applied.values(), default=0) <= 1


NO_SCRIPT: Script = {what: [] for what in CHOICES}
LOST_THEN_NO_KEY = NO_SCRIPT | {
    "attempt": ["lose applied", "token"],
    "key": ["readable", "unreadable"],
}
REFUSED_AMID = NO_SCRIPT | {"frame": ["refuse after"]}
TOKEN_THEN_INVALID = NO_SCRIPT | {"attempt": ["token", "invalid"]}
NO_LOGIN_BETWEEN = TOKEN_THEN_INVALID | {"login": ["let in", "lost"]}
REFUSED_WHILE_ONE_PAUSES = NO_SCRIPT | {"attempt": ["overloaded", "token", "silent", "silent"]}
LOST_THEN_REFUSED = NO_SCRIPT | {"frame": ["break after"], "stream": ["accept", "token"]}


@pytest.mark.slow
@pytest.mark.parametrize("is_unary", [False, True])
@example(script=LOST_THEN_NO_KEY, items=[1], renews=True)
@example(script=REFUSED_AMID, items=[1, 1], renews=False)
@example(script=LOST_THEN_REFUSED, items=[1], renews=False)
@example(script=TOKEN_THEN_INVALID, items=[1], renews=True)
@example(script=NO_LOGIN_BETWEEN, items=[1], renews=True)
@example(script=REFUSED_WHILE_ONE_PAUSES, items=[1, 1], renews=True)
@settings(max_examples=100, deadline=None)
@given(
    script=SCRIPTS,
    items=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    renews=st.booleans(),
)
def test_what_is_told_is_what_the_log_did(
    script: Script,
    items: list[int],
    *,
    is_unary: bool,
    renews: bool,
) -> None:
    """Refused: never applied. A result: applied once. Else unknown, and told by a later retry."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(run(script, items, is_unary=is_unary, renews=renews))
