"""The session of a log-in, in a file of mode 0600 that all commands of this user share.

The file holds the access token, when it ends, and the refresh token. Whoever finds the access token
about to end exchanges the refresh token, and writes what comes of it. A refresh token serves once,
and its second use ends the session: so one command at a time does that, under a lock, and reads the
file again when it has the lock. The id of the exchange is written before it is sent. A command that
was killed meanwhile has its exchange repeated by the next one, with the same outcome.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

from inventory.v1 import auth_pb2
from inventory_client import Auth, Flow, Token, Unauthenticated, is_token

FILE_BYTES_MAX = 16 << 10
SPARE_SECONDS = 30.0  # an access token that ends sooner is exchanged
LOCK_SECONDS_MAX = 15.0
LOCK_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What the file holds. Without a refresh token the access token serves until it ends."""

    token: str
    expire_seconds: float | None = None  # Unix time
    refresh_token: str | None = None
    request_id: str | None = None  # of the exchange that has begun

    @property
    def is_whole(self) -> bool:
        """Whether all is of its kind."""
        return (
            isinstance(self.token, str)
            and is_token(self.token)
            and isinstance(self.expire_seconds, int | float | None)
            and isinstance(self.refresh_token, str | None)
            and isinstance(self.request_id, str | None)
        )


def saved_in(path: Path) -> SavedSession | None:
    """Return what a file holds, None for no file; raise ValueError for something else, or OSError.

    A file with an access token and nothing else is one too.
    """
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1).decode(errors="replace").strip()
    except FileNotFoundError:
        return None
    if not text:
        return None
    try:
        found = json.loads(text) if text.startswith("{") else {"token": text}
        saved = SavedSession(**found)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("holds no token") from None
    if not saved.is_whole:
        raise ValueError("holds no token")
    return saved


def save(path: Path, saved: SavedSession) -> None:
    """Replace the file as a whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(saved)))
    partial.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file; raise TimeoutError while another command holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up = time.monotonic() + LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    problem = f"another command holds {path.name}.lock"
                    raise TimeoutError(problem) from None
                time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


class SessionFile(Auth):
    """Gets access tokens from the file, and keeps the file fresh."""

    def __init__(self, path: Path) -> None:
        """Read and write this file."""
        self._path = path
        self._given = ""  # the token that was given last: whoever asks again needs another one

    def flow(self) -> Flow:
        """Return the file's token, or exchange its refresh token."""
        try:
            with locked(self._path):
                saved = self._read()
                if saved.refresh_token is None or self._serves(saved):
                    self._given = saved.token
                    return Token(saved.token, saved.expire_seconds)
                request_id = saved.request_id or str(uuid4())
                save(self._path, replace(saved, request_id=request_id))
                response = yield auth_pb2.RefreshTokenRequest(
                    request_id=request_id, refresh_token=saved.refresh_token
                )
                seconds = float(response.expire_time.seconds)
                save(self._path, SavedSession(response.token, seconds, response.refresh_token))
                self._given = response.token
                return Token(response.token, seconds)
        except OSError as error:
            said = error.strerror or str(error)
            problem = f"The token file {self._path} cannot be used: {said}."
            raise Unauthenticated(problem) from error

    def _read(self) -> SavedSession:
        try:
            saved = saved_in(self._path)
        except ValueError as error:
            raise Unauthenticated(f"{self._path} {error}.") from error
        if saved is None:
            raise Unauthenticated(f"{self._path} is not there any more.")
        return saved

    def _serves(self, saved: SavedSession) -> bool:
        is_fresh = saved.expire_seconds is None or (
            saved.expire_seconds > time.time() + SPARE_SECONDS
        )
        return is_fresh and saved.token != self._given
