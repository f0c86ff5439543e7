"""Gets the token that a client calls with: one log-in at a time, within the time of each call."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc.aio
from google.rpc import code_pb2, status_pb2
from inventory.v1 import auth_pb2

from inventory_client.auth import Auth, Session, Token, is_token
from inventory_client.errors import InventoryError, LogInFailed

LOGIN = "/inventory.v1.AuthService/Login"
LATE = status_pb2.Status(code=code_pb2.DEADLINE_EXCEEDED, message="No log-in came in time.")
CLOSED = status_pb2.Status(
    code=code_pb2.CANCELLED, message="The client was closed before the answer came."
)


class TokenSource:
    """The tokens of one client.

    - If many calls need a token, one of them logs in, and each call waits for its own time alone.
    - A log-in that fails while the token holds costs nothing: the token serves on.
    - A log-in that the inventory refused is not sent again for a while: each costs the inventory a
      hash, and the user's name a try.
    """

    def __init__(
        self,
        session: Session,
        open_channel: Callable[[], Awaitable[grpc.aio.Channel]],
        status_from: Callable[[grpc.aio.AioRpcError], status_pb2.Status],
        closing: asyncio.Event,
    ) -> None:
        """Log in over the channel; `closing` is set when the client closes."""
        self._session = session
        self._open_channel = open_channel
        self._status_from = status_from
        self._closing = closing
        self._turn = asyncio.Lock()

    async def token(self, give_up: float) -> str | None:
        """Return the token to call with; raise LogInFailed where there is none.

        `give_up`: until when the call waits, on the monotonic clock.
        """
        session = self._session
        if session.auth is not None and session.is_due(time.time()):
            try:
                await self._renew(session.auth, give_up)
            except LogInFailed:
                if session.token is None:
                    raise
                session.postpone(time.time())
        return session.token

    async def _renew(self, auth: Auth, give_up: float) -> None:
        try:
            async with asyncio.timeout(give_up - time.monotonic()), self._turn:
                if self._closing.is_set():
                    raise LogInFailed(CLOSED)
                if self._session.is_due(time.time()):
                    await self._log_in(auth, give_up)
        except TimeoutError:
            raise LogInFailed(LATE) from None

    async def _log_in(self, auth: Auth, give_up: float) -> None:
        refused = self._session.refusal(time.time())
        if refused is not None:
            raise LogInFailed(refused)
        try:
            token = await self._flow(auth, give_up)
        except InventoryError as error:
            status = status_pb2.Status(code=code_pb2.UNAUTHENTICATED, message=str(error))
            raise LogInFailed(status) from error
        except grpc.aio.AioRpcError as error:
            status = self._status_from(error)
            if status.code == code_pb2.UNAUTHENTICATED:
                self._session.note_refusal(status, time.time())
            raise LogInFailed(status) from error
        if not isinstance(token, Token) or not is_token(token.text):
            raise TypeError(f"{type(auth).__name__}.flow returned {token!r}, which is no Token")
        self._session.use(token, time.time())

    async def _flow(self, auth: Auth, give_up: float) -> Token:
        """Send the log-ins of a flow, and hand in the responses."""
        multicallable: grpc.aio.UnaryUnaryMultiCallable[bytes, auth_pb2.LoginResponse]
        multicallable = (await self._open_channel()).unary_unary(
            LOGIN, response_deserializer=auth_pb2.LoginResponse.FromString
        )
        flow = auth.flow()
        try:
            request = next(flow)
            while True:
                left = give_up - time.monotonic()
                response = await multicallable(request.SerializeToString(), timeout=left)
                request = flow.send(response)
        except StopIteration as end:
            token: Token = end.value
            return token
