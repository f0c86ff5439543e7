"""Reads that get no answer: what is said, when the gateway says why and when nobody does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_client import AsyncInventory, InventoryError, Reads, Unavailable, calls
from service.faults import Faults
from service.serving import make_server
from wire import errors
from wire.channels import abort
from wire.errors import Reason

SECONDS = 0.3
NO_MAJORITY = errors.not_read(reachable=False, is_stale_ok=False, may_be_stale=True)
Work = Callable[[AsyncInventory], Awaitable[object]]


class Gateway:
    """Refuses reads as it is told to, then says nothing; logs in at the last of so many tries."""

    def __init__(self, refusals: list[status_pb2.Status]) -> None:
        """Refuse by these, in turn."""
        self._refusals = refusals

    async def answer(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpc's
        """Refuse, or never come to an end."""
        del raw
        if self._refusals:
            await abort(context, self._refusals.pop(0))
        await asyncio.Event().wait()
        return b""

    async def login(self, raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpc's
        """Refuse while there are refusals, then let in."""
        if self._refusals:
            return await self.answer(raw, context)
        user = auth_pb2.User(id=1, name="Ann", role=auth_pb2.ROLE_CUSTOMER)
        return auth_pb2.LoginResponse(token="token", user=user).SerializeToString()  # noqa: S106 - of nobody


def told(
    work: Work, refusals: list[status_pb2.Status], reads: Reads | None = None
) -> InventoryError | None:
    """Return what a call ends with before a gateway that refuses so."""

    async def run() -> InventoryError | None:
        gateway = Gateway(refusals)
        server = make_server(Faults())
        unary: Any = grpc.unary_unary_rpc_method_handler
        read, login = unary(gateway.answer), unary(gateway.login)
        make = grpc.method_handlers_generic_handler
        server.add_generic_rpc_handlers(
            (
                make("inventory.v1.InventoryService", {"GetItem": read}),
                make("inventory.v1.AuthService", {"GetCurrentUser": read, "Login": login}),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ended = None
        async with AsyncInventory(
            f"127.0.0.1:{port}", timeout=SECONDS, reads=reads or Reads.linearizable()
        ) as inventory:
            try:
                await work(inventory)
            except InventoryError as error:
                ended = error
        await server.stop(None)
        return ended

    return asyncio.run(asyncio.wait_for(run(), 20))


def get_item(inventory: AsyncInventory) -> Awaitable[object]:
    """Read what takes `read_options`."""
    return inventory.item(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "reads", "says", "details"),
    [
        (get_item, None, "CONSISTENCY_STALE", {"retry_with": "CONSISTENCY_STALE"}),
        (get_item, Reads.stale(), "try again in a moment", {}),
        (AsyncInventory.current_user, None, "No answer came in time", {}),
    ],
)
def test_a_read_that_nobody_answers_says_how_to_read_after_all(
    work: Work, reads: Reads | None, says: str, details: dict[str, str]
) -> None:
    """Where another consistency would do; it changed nothing, and no request id is spoken of."""
    error = told(work, [], reads)
    assert type(error) is Unavailable
    assert says in str(error)
    assert "request id" not in str(error)
    assert error.details == details
    assert error.reason == ""


@pytest.mark.slow
def test_the_gateways_reason_is_not_lost_to_a_last_attempt_without_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It said why; the attempt after that one ended by the clock of the client."""
    monkeypatch.setattr(calls, "backoff_seconds", lambda _: 0.0)
    error = told(get_item, [NO_MAJORITY])
    assert type(error) is Unavailable
    assert (str(error), error.reason) == (NO_MAJORITY.message, Reason.NO_QUORUM)


def test_a_login_waits_for_the_first_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """NOT_INITIALIZED is tried again within the call's time, and is no wrong password."""
    monkeypatch.setattr(calls, "backoff_seconds", lambda _: 0.0)
    refusals = [errors.not_initialized() for _ in range(5)]
    assert told(lambda inventory: inventory.login("Ann", "secret"), refusals) is None
    assert refusals == []


def test_the_options_of_every_read_are_known() -> None:
    """A request without `read_options` changes something, or leaves no choice."""
    assert calls.unread(inventory_pb2.OrderItemRequest()) is None
    assert calls.unread(inventory_pb2.GetItemRequest()) is not None
