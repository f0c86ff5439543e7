"""The user that a client speaks for, and how the client gets the user's token.

    AsyncInventory(address, auth=Password("Gayathri", "password1"))

- `Bearer`: a given token. When the token ends, calls end as `Unauthenticated`.
- `Password`: logs in at the first call. The client refreshes the token before it ends and when it
  is refused, and logs in again when the session has ended.
- `MachineCertificate`: the same for a process of the cluster, which its certificate proves.
- `KeyFile`: the same for a machine user, whose key is read from its file at each log-in.

Another way to get tokens is a subclass of `Auth`. `Auth.flow` does no I/O with the inventory: the
flow yields the log-ins and refreshes that the client sends, and receives the responses.
"""

import abc
import re
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from google.rpc import status_pb2
from inventory.v1 import auth_pb2

from inventory_client.errors import Unauthenticated

RENEW_AT = 0.8  # of a token's life
LIFE_SECONDS_MIN = 60.0  # for a shorter life the clocks differ: the token is used until refused
LATER_SECONDS = 30.0  # until a failed log-in is tried again while a token holds, or was refused
REFUSED_MAX = 3  # tokens in a row, until a refusal is final: logging in costs the inventory a hash
KEY_BYTES_MAX = 4_096
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


def is_token(text: str) -> bool:
    """Tell whether a text may be a bearer token (RFC 6750 §2.1): gRPC sends no other text."""
    return _TOKEN.fullmatch(text) is not None


class Token(NamedTuple):
    """The proof of a call's user."""

    text: str
    expire_seconds: float | None = None  # Unix time; None: not known
    refresh: str | None = None  # the refresh token; None: the flow refreshes by itself, or nobody


FlowRequest = auth_pb2.LoginRequest | auth_pb2.RefreshTokenRequest
FlowResponse = auth_pb2.LoginResponse | auth_pb2.RefreshTokenResponse
Flow = Generator[FlowRequest, FlowResponse, Token]


class Auth(abc.ABC):
    """A way to get a token; one object may serve several clients."""

    @abc.abstractmethod
    def flow(self) -> Flow:
        """Yield what to send, and return the token; raise Unauthenticated."""


class Password(Auth):
    """Logs in by name and password, as often as needed."""

    def __init__(self, username: str, password: str, label: str = "") -> None:
        """Keep name and password for the client's life; `label` is shown in lists of sessions."""
        self.username = username
        self._password = password
        self._label = label

    def flow(self) -> Flow:
        """Log in once."""
        return _log_in(self.username, self._password, self._label)


class KeyFile(Auth):
    """Logs in as a machine user, by the key in a file; a replaced file is read again."""

    def __init__(self, username: str, path: Path | str) -> None:
        """Note the file; it is read at each log-in."""
        self.username = username
        self._path = Path(path)

    def flow(self) -> Flow:
        """Log in once with the key that the file holds."""
        if self._path.exists() and not self._path.is_file():  # to open a FIFO would wait
            raise Unauthenticated(f"The key file {self._path} cannot be read: it is no file")
        try:
            with self._path.open("rb") as file:
                content = file.read(KEY_BYTES_MAX + 1)
            key = content.decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"The key file {self._path} cannot be read: {error}"
            raise Unauthenticated(problem) from error
        if not key or len(content) > KEY_BYTES_MAX:
            problem = "is empty" if not key else f"is over {KEY_BYTES_MAX} bytes long"
            raise Unauthenticated(f"The key file {self._path} {problem}.")
        return _log_in(self.username, key, "")


class MachineCertificate(Auth):
    """Logs in as the machine user of a process of the cluster: `health` or `metrics`.

    The gateway knows the process by the certificate of the connection, on its internal port.
    """

    def __init__(self, username: str) -> None:
        """Log in as this machine user, which the client's certificate names."""
        self.username = username

    def flow(self) -> Flow:
        """Log in once; the password is not looked at."""
        return _log_in(self.username, "by certificate", "")


def _log_in(username: str, password: str, label: str) -> Flow:
    response = yield auth_pb2.LoginRequest(username=username, password=password, label=label)
    return token_of(response)


def token_of(response: FlowResponse) -> Token:
    """Return what a log-in or a refresh brought."""
    return Token(
        response.token, response.expire_time.seconds or None, response.refresh_token or None
    )


class Refresh:
    """A refresh token, and the id of the one request that exchanges it, however often it is sent.

    The id carries no time: a clock that differs from the inventory's refuses no refresh.
    """

    def __init__(self, text: str) -> None:
        """Exchange this refresh token."""
        self._text = text
        self._request_id = str(uuid4())

    def flow(self) -> Flow:
        """Exchange the refresh token once."""
        response = yield auth_pb2.RefreshTokenRequest(
            request_id=self._request_id, refresh_token=self._text
        )
        return token_of(response)


class Bearer(Auth):
    """Has one token and gets no other token."""

    def __init__(self, token: str) -> None:
        """Use this token; raise ValueError on a text that cannot be a token."""
        if not is_token(token):
            raise ValueError("token: this is not a token that a login gave")
        self.token = token

    def flow(self) -> Flow:
        """Return the token."""
        return Token(self.token)
        yield  # makes this a generator, as every flow


class Session:
    """The token of one client, and when the next log-in is due.

    - A refresh token is used before `auth` is: it costs the inventory no hash.
    - A token that was refused is not sent again. After `REFUSED_MAX` tokens in a row that served no
      call, a refusal is final.
    - A clock that differs from the inventory's never makes every call log in: a life below
      `LIFE_SECONDS_MIN` is ignored.
    """

    def __init__(self, auth: Auth | None) -> None:
        """Begin without a log-in; a bearer token is known at once."""
        self.auth = auth if not isinstance(auth, Bearer) else None
        self.token = auth.token if isinstance(auth, Bearer) else None
        self.tokens: Token | None = None  # as they came
        self.refresh: Refresh | None = None
        self._due_seconds: float | None = None
        self._refused = 0  # tokens in a row
        self._refusal: tuple[status_pb2.Status, float] | None = None  # of a log-in, and until when

    def is_due(self, now_seconds: float) -> bool:
        """Tell whether to log in before the next call, at this Unix time."""
        if self.auth is None and self.refresh is None:
            return False
        return self.token is None or (
            self._due_seconds is not None and now_seconds >= self._due_seconds
        )

    def use(self, token: Token, now_seconds: float) -> None:
        """Use `token` for the next calls."""
        self.token, self._due_seconds, self._refusal = token.text, None, None
        self.tokens = token
        self.refresh = None if token.refresh is None else Refresh(token.refresh)
        if token.expire_seconds is not None:
            life = token.expire_seconds - now_seconds
            if life >= LIFE_SECONDS_MIN:
                self._due_seconds = now_seconds + life * RENEW_AT

    def postpone(self, now_seconds: float) -> None:
        """Let the token serve on: the log-in that was due has failed."""
        self._due_seconds = now_seconds + LATER_SECONDS

    def note_refusal(self, status: status_pb2.Status, now_seconds: float) -> None:
        """Note that the inventory refused a log-in."""
        self._refusal = status, now_seconds + LATER_SECONDS

    def refusal(self, now_seconds: float) -> status_pb2.Status | None:
        """Return why no log-in is sent at this time; None where one may be sent."""
        if self._refusal is None or now_seconds >= self._refusal[1]:
            return None
        return self._refusal[0]

    def note_success(self) -> None:
        """Note that the token served a call."""
        self._refused = 0

    def drop(self, token: str | None) -> bool:
        """Forget a token that was refused; return whether another token can be got."""
        if self.auth is None and self.refresh is None:
            return False
        if token == self.token:
            self.token = None
            self._refused += 1
        return self._refused < REFUSED_MAX
