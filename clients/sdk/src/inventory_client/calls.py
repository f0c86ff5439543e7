"""Unary calls that are retried while a retry can help."""

import asyncio
import random
import time
from collections.abc import Awaitable
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from inventory.v1 import inventory_pb2
from wire.channels import authorization, client_channel, status_of, straight_channel
from wire.errors import DOMAIN, RETRY_WITH, STALE, Reason, reason_of, retry_ms_of, retry_read
from wire.tls import SENTENCES, ClientTls, tls_trouble

from inventory_client.auth import Session
from inventory_client.errors import LogInFailed, error_of, may_try_again, tells_nothing
from inventory_client.ownership import Ownership
from inventory_client.tokens import CLOSED, TokenSource

BACKOFF_SECONDS_MIN = 0.02
BACKOFF_SECONDS_MAX = 0.5
RETIRED_MAX = 2
TLS = "tls"  # of an error's details: a TlsTrouble
RELAXED = (inventory_pb2.CONSISTENCY_BOUNDED_STALENESS, inventory_pb2.CONSISTENCY_STALE)

Response = TypeVar("Response", bound=Message)


def status_from(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Return the refusal that ended a call, or a status made of the call's code."""
    status = status_of(error)
    if status is not None:
        return status
    code: int = error.code().value[0]
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return status_pb2.Status(code=code, message="No answer came in time.")
    details = error.details() or error.code().name
    trouble = tls_trouble(details)
    if trouble is None:
        return status_pb2.Status(code=code, message=details)
    status = status_pb2.Status(code=code, message=SENTENCES[trouble])
    status.details.add().Pack(error_details_pb2.ErrorInfo(domain=DOMAIN, metadata={TLS: trouble}))
    return status


def unread(request: Message) -> status_pb2.Status | None:
    """Return the status of a read that got no answer in time; None for any other request."""
    if "read_options" not in request.DESCRIPTOR.fields_by_name:
        return None
    options: inventory_pb2.ReadOptions = getattr(request, "read_options")  # noqa: B009 - of some
    may_be_stale = options.consistency not in RELAXED
    retry = retry_read(may_be_stale=may_be_stale)
    text = f"No answer came in time, and nothing was changed; {retry}"
    status = status_pb2.Status(code=code_pb2.DEADLINE_EXCEEDED, message=text)
    if may_be_stale:
        info = error_details_pb2.ErrorInfo(domain=DOMAIN, metadata={RETRY_WITH: STALE})
        status.details.add().Pack(info)
    return status


def is_silence(status: status_pb2.Status) -> bool:
    """Tell whether the deadline passed without a reason from the inventory."""
    return status.code == code_pb2.DEADLINE_EXCEEDED and reason_of(status) is None


def backoff_seconds(attempt: int) -> float:
    """Return how long to wait before another attempt: exponential, with full jitter."""
    most = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2**attempt)
    return random.uniform(0, most)  # noqa: S311 - jitter, not a secret


def pause_seconds(attempt: int, status: status_pb2.Status) -> float:
    """Return how long to wait after a refusal: no less than the refusal asks for (AIP-194)."""
    return backoff_seconds(attempt) + (retry_ms_of(status) or 0) / 1_000


def is_cancelled() -> bool:
    """Tell whether the running task is to end, rather than a call that the task awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class SharedChannel:
    """One channel to an address, which every client over the channel shares.

    - After a change of the files of TLS, later calls have another channel. Calls under way stay on
      theirs: at most RETIRED_MAX such channels stay open.
    """

    def __init__(
        self, address: str, tls: ClientTls | None = None, *, ignore_proxy: bool = False
    ) -> None:
        """Connect on first use, by TLS or, for None, by plain text."""
        self._address = address
        self._tls = tls
        self._connect = straight_channel if ignore_proxy else client_channel
        self._connected: grpc.aio.Channel | None = None
        self._retired: list[grpc.aio.Channel] = []

    async def open(self) -> grpc.aio.Channel:
        """Return the channel; the channel belongs to the loop of the first `open`."""
        if self._connected is not None and self._tls is not None and self._tls.followed.look():
            self._retired.append(self._connected)
            self._connected = None
        if self._connected is None:
            self._connected = self._connect(self._address, self._tls)
        connected = self._connected
        if len(self._retired) > RETIRED_MAX:
            await self._retired.pop(0).close()
        return connected

    async def close(self) -> None:
        """Close the connections, and end every call that is under way."""
        for channel in (*self._retired, self._connected):
            if channel is not None:
                await channel.close()


class Caller:
    """Calls over one channel as one user, from where the caller's client may be used.

    - A call keeps its bytes and its user through all attempts: a log-in between attempts is for the
      same user.
    """

    def __init__(self, channel: SharedChannel, session: Session, ownership: Ownership) -> None:
        """Call as the session's user; without a token, as no user."""
        self._shared = channel
        self.session = session
        self.ownership = ownership
        self._closing = asyncio.Event()
        self._tokens = TokenSource(session, channel.open, status_from, self._closing)

    async def close(self) -> None:
        """Wake every call that waits for a retry; the call then ends."""
        self._closing.set()

    async def _is_closed_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._closing.wait()
        except TimeoutError:
            return False

    async def call(
        self,
        method: str,
        request: Message,
        response: type[Response],
        timeout: float,
        request_id: str | None = None,
    ) -> Response:
        """Call until there is a final answer or the timeout passes; raise InventoryError.

        `timeout` is in seconds. `request_id`: a mutation's, whose outcome may stay unknown.
        """
        self.ownership.enter()
        raw = request.SerializeToString()
        multicallable: grpc.aio.UnaryUnaryMultiCallable[bytes, Response]
        give_up = time.monotonic() + timeout
        attempt = 0
        is_sent = unanswered = False
        told = unread(request)
        token: str | None = None
        while True:
            was_sent = False  # in this attempt: a log-in that fails leaves nothing unanswered
            try:
                token = await self._tokens.token(give_up)
                channel = await self._shared.open()
                multicallable = channel.unary_unary(
                    method, response_deserializer=response.FromString
                )
                was_sent = is_sent = True
                left = give_up - time.monotonic()
                call = multicallable(raw, timeout=left, metadata=metadata_of(token))
                return await self._answer_of(call)
            except grpc.aio.AioRpcError as error:
                status = status_from(error)
            except LogInFailed as failed:
                status = failed.status
            except asyncio.CancelledError:
                if not self.ownership.is_closed or is_cancelled():
                    raise
                raise error_of(CLOSED, request_id) from None
            pause = pause_seconds(attempt, status)
            may = may_try_again(status) or self.drop(token, status)
            if not may or time.monotonic() + pause >= give_up:
                # The last attempt may have had little time: an earlier status says more.
                said = told if told is not None and is_silence(status) else status
                raise error_of(said, request_id if is_sent else None, unanswered=unanswered)
            if was_sent and tells_nothing(status):
                told, unanswered = status, True
            attempt += 1
            if await self._is_closed_within(pause):
                raise error_of(CLOSED, request_id)

    async def _answer_of(self, call: Awaitable[Response]) -> Response:
        """Return the answer to a call, which the token served."""
        answer = await call
        self.session.note_success()
        return answer

    def drop(self, token: str | None, status: status_pb2.Status) -> bool:
        """Forget a refused token; tell whether a call may be retried with another token."""
        is_over = reason_of(status) is Reason.TOKEN_INVALID
        return is_over and token is not None and self.session.drop(token)

    async def stream(
        self, method: str, timeout: float
    ) -> tuple[str | None, grpc.aio.StreamStreamCall[bytes, bytes]]:
        """Open a stream of raw frames; also return its token. Raises LogInFailed."""
        token = await self._tokens.token(time.monotonic() + timeout)
        multicallable: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
        multicallable = (await self._shared.open()).stream_stream(method)
        return token, multicallable(metadata=metadata_of(token))


def metadata_of(token: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata that carries a token; empty without a token."""
    return authorization(token) if token else ()
