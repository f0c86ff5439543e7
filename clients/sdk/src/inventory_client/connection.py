"""The base of every method of the asyncio client: a channel, a user, and ways to call."""

import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import uuid_utils
from google.protobuf.message import Message
from google.type import money_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from wire.addresses import is_address
from wire.bounds import TIMEOUT_MS_MAX
from wire.operations import MUTATIONS

from inventory_client.auth import Auth, Bearer, Password, Session, Token
from inventory_client.calls import Caller, SharedChannel
from inventory_client.models import User
from inventory_client.money import Money
from inventory_client.ownership import Ownership, Unpicklable
from inventory_client.reads import LINEARIZABLE, Reads
from inventory_client.security import ClientCertificate, tls_of
from inventory_client.stream import SubmitStream
from inventory_client.tokens import LOGIN

ADDRESS_DEFAULT = "127.0.0.1:50051"
TIMEOUT_SECONDS_DEFAULT = 5.0
TIMEOUT_SECONDS_MAX = TIMEOUT_MS_MAX // 1_000
PAGE_SIZE = 500

Response = TypeVar("Response", bound=Message)
AuthLike = Auth | str | tuple[str, str] | None


def new_request_id() -> str:
    """Make a request id: a UUIDv7 (RFC 9562), which carries the time when it was made."""
    return str(uuid_utils.uuid7())


def chosen(request_id: str | None) -> str:
    """Return the caller's request id, an empty id too: it is refused rather than replaced.

    A program whose variable is empty meant to try something again, not to do it twice.
    """
    return new_request_id() if request_id is None else request_id


def amount(name: str, value: Money) -> money_pb2.Money:
    """Return an amount for the wire; raise TypeError if it is no Money, such as a float."""
    if not isinstance(value, Money):
        raise TypeError(f"{name}: {value!r} is no Money, such as Money.parse('USD', '1.50')")
    return value.to_wire()


def auth_of(given: AuthLike) -> Auth | None:
    """Return a way to get a token: as given, a bearer token's, or a name and password's."""
    match given:
        case None | Auth():
            return given
        case str():
            return Bearer(given)
        case (str(username), str(password)):
            return Password(username, password)
    raise TypeError(f"auth: {given!r} is no Auth, no token, and no pair of name and password")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a client calls."""

    timeout: float  # seconds, retries included
    reads: inventory_pb2.ReadOptions
    unary: bool


class Connection(Unpicklable):
    """A channel, the user that the channel's calls speak for, and the ways to call."""

    def __init__(
        self,
        address: str = ADDRESS_DEFAULT,
        auth: AuthLike = None,
        timeout: float = TIMEOUT_SECONDS_DEFAULT,
        *,
        unary: bool = False,
        reads: Reads = LINEARIZABLE,
        ignore_proxy: bool = False,
        insecure: bool = False,
        ca_file: Path | str | None = None,
        certificate: ClientCertificate | None = None,
    ) -> None:
        """Call a gateway at host:port; the connection is made at the first call.

        `auth`: an `Auth`, a bearer token, a pair of name and password, or None for no user yet.
        `timeout`: seconds that a call may take, retries included. `unary`: one gRPC call for each
        mutation, instead of the shared stream. `reads`: how fresh the state behind a read must be.
        `ignore_proxy`: never use the proxy that `https_proxy` or `http_proxy` names; a gateway on
        this machine is never called by a proxy. Raises TypeError or ValueError on an invalid
        timeout, an address that is not host:port, a text that cannot be a token, and files of
        certificates that cannot be used. For `insecure`, `ca_file` and `certificate` see
        `security.tls_of`.
        """
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise TypeError(f"timeout: {timeout!r} is no number of seconds")
        if "/" not in address and not is_address(address):  # gRPC reads "dns:///…"
            raise ValueError(f"address: {address!r} is not host:port, such as {ADDRESS_DEFAULT}")
        if not 0 < timeout <= TIMEOUT_SECONDS_MAX:
            raise ValueError(f"timeout: {timeout} is not above 0 s and up to {TIMEOUT_SECONDS_MAX}")
        terms = Terms(timeout, reads.options, unary)
        tls = tls_of(address, ca_file, certificate, insecure=insecure)
        channel = SharedChannel(address, tls, ignore_proxy=ignore_proxy)
        self._begin(channel, auth_of(auth), terms, None)

    def _begin(
        self, channel: SharedChannel, auth: Auth | None, terms: Terms, parent: "Connection | None"
    ) -> None:
        """Start without an owner and without calls; a child uses its parent's channel."""
        self._shared = channel
        self._terms = terms
        self._parent = parent
        above = parent._ownership if parent is not None else None  # noqa: SLF001 - of this class
        self._ownership: Ownership = Ownership(above)
        self._caller = Caller(channel, Session(auth), self._ownership)
        self._stream = SubmitStream(self._caller)
        self._revision = 0
        self._children: set[Connection] = set()  # until each is closed
        self._former: weakref.WeakSet[Caller] = weakref.WeakSet()  # of users before, with calls

    @classmethod
    def _over(
        cls, channel: SharedChannel, auth: Auth | None, terms: Terms, parent: "Connection"
    ) -> Self:
        self = cls.__new__(cls)
        self._begin(channel, auth, terms, parent)
        return self

    def as_user(self, auth: AuthLike) -> Self:
        """Return a client that speaks for another user over the same channel.

        The returned client has the same timeout and freshness, and a stream of its own: close it
        when it is not needed any more. Closing the returned client leaves this client as it is;
        closing this client closes the returned client.
        Raises UsageError, and TypeError or ValueError on an invalid `auth`.
        """
        self._ownership.check()
        child = self._over(self._shared, auth_of(auth), self._terms, self)
        self._children.add(child)
        return child

    async def close(self) -> None:
        """Close the connection; mutations under way end as OutcomeUnknown."""
        for child in list(self._children):
            await child.close()
        if self._parent is not None:
            self._parent._children.discard(self)  # noqa: SLF001 - of this class
        if self._ownership.leave():
            await self._stream.close("The client was closed before the outcome was known.")
            for caller in [self._caller, *self._former]:
                await caller.close()
            if self._parent is None:
                await self._shared.close()

    @property
    def token(self) -> str | None:
        """The bearer token in use, None before a login."""
        return self._caller.session.token

    @property
    def revision(self) -> int:
        """The log position of the last answer to a read; 0 before the first answer."""
        return self._revision

    async def login(self, username: str, password: str) -> User:
        """Log in; later calls speak for this user, and calls under way for the user before.

        Mutations under way on the shared stream end as OutcomeUnknown. These mutations are not sent
        again: request ids belong to a user, so another user would order once more. A client that
        must log in again by itself has `auth=Password(…)` instead.
        """
        request = auth_pb2.LoginRequest(username=username, password=password)
        nobody = Caller(self._shared, Session(None), self._ownership)
        response = await nobody.call(LOGIN, request, auth_pb2.LoginResponse, self._terms.timeout)
        session = Session(None)
        session.use(Token(response.token), 0.0)
        before = self._stream
        self._former.add(self._caller)
        self._caller = Caller(self._shared, session, self._ownership)
        self._stream = SubmitStream(self._caller)
        await before.close("A login ended the stream: request ids belong to whoever sent them.")
        return User.from_wire(response.user)

    async def currency(self) -> str:
        """Return the ISO 4217 code of the one currency of the inventory's prices."""
        request = inventory_pb2.GetAllItemsRequest(page_size=1, read_options=self._terms.reads)
        method = "/inventory.v1.InventoryService/GetAllItems"
        page = await self._call(method, request, inventory_pb2.GetAllItemsResponse)
        return page.currency_code

    async def _call(self, method: str, request: Message, response: type[Response]) -> Response:
        """Call once, with retries; a request with a request id is a mutation."""
        request_id: str | None = getattr(request, "request_id", None)
        timeout = self._terms.timeout
        found = await self._caller.call(method, request, response, timeout, request_id)
        if request_id is None:
            self._revision = getattr(found, "revision", self._revision)
        return found

    async def _pages(
        self,
        method: str,
        request: Any,  # noqa: ANN401 - any that has a page token
        response: type[Response],
    ) -> AsyncIterator[Response]:
        """Yield page after page (AIP-158)."""
        while True:
            page: Any = await self._call(method, request, response)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def _mutate(self, kind: str, mutation: inventory_pb2.Mutation) -> inventory_pb2.Outcome:
        """Send a mutation of `kind` by stream or unary call; its bytes are made once."""
        request = getattr(mutation, kind)
        if not self._terms.unary:
            raw = mutation.SerializeToString()
            return await self._stream.submit(raw, request.request_id, self._terms.timeout)
        outcome = inventory_pb2.Outcome()
        result = getattr(outcome, kind)
        result.CopyFrom(await self._call(MUTATIONS[kind].path, request, type(result)))
        return outcome
