"""Tokens and passwords.

A token (JWT, RFC 7519) carries a user's id and epoch. The members decide what the user may, and
whether the epoch still holds, when they apply a command. Passwords are hashed and checked here
(argon2id, RFC 9106) in threads of their own, so that no password reaches the log.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TypeVar

import argon2
import jwt
from argon2.low_level import Type, hash_secret

from gateway.errors import HashersBusy, TokenRefused

Done = TypeVar("Done")

ALGORITHM = "HS256"
TOKEN_SECONDS = 12 * 3_600
KNOWN_TOKENS_MAX = 10_000
HASHES_AT_ONCE_MAX = 2
HASHES_WAITING_MAX = 64
# RFC 9106 leaves the parameters to how much memory and time there are (its section 4), and its
# second recommendation, 64 MiB, 3 passes and 4 lanes, costs five times the work of these. They are
# OWASP's: 19 MiB, 2 passes, 1 lane. Two hashes at once take 38 of a gateway's 512 MiB; strangers
# who guess take little of the core that orders need. A log-in replaces a hash of other parameters
# (`Accounts`), so these may be raised at any time.
KIB_PER_HASH = 19_456
PASSES_PER_HASH = 2
SALT_BYTES = 16
HASH_BYTES = 32
USER_ID_MAX = 2**63 - 1  # of the wire
EPOCH_MAX = 2**32 - 1  # likewise
EXPIRED = "has expired"  # continues "the token"

_USER_ID = re.compile(r"[1-9][0-9]{0,18}")  # user 0 is the cluster itself


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token speaks for."""

    user_id: int
    epoch: int
    expires: int  # seconds since 1970

    @property
    def has_expired(self) -> bool:
        """Whether the time of the token is over."""
        return self.expires <= time.time()


class Tokens:
    """Makes and verifies tokens; a token that was verified before costs one lookup."""

    def __init__(self, key: str) -> None:
        """Sign with the gateways' shared key."""
        self._key = key
        self._known: OrderedDict[str, Principal] = OrderedDict()

    def make(self, user_id: int, epoch: int, name: str) -> tuple[str, int]:
        """Return a token and when it expires, in seconds since 1970."""
        issued = int(time.time())
        expires = issued + TOKEN_SECONDS
        claims = {"sub": str(user_id), "epoch": epoch, "name": name, "iat": issued, "exp": expires}
        return jwt.encode(claims, self._key, algorithm=ALGORITHM), expires

    def verify(self, token: str | None) -> Principal:
        """Return whom a token speaks for; raise TokenRefused."""
        if token is None:
            raise TokenRefused("is missing")
        known = self._known.get(token)
        if known is None:
            known = self._decode(token)
            self._known[token] = known
            if len(self._known) > KNOWN_TOKENS_MAX:
                self._known.popitem(last=False)
        if known.has_expired:
            raise TokenRefused(EXPIRED)
        return known

    def _decode(self, token: str) -> Principal:
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                # The clock of the gateway that made the token may be ahead of this gateway's.
                options={"require": ["sub", "exp"], "verify_iat": False},
            )
            return _principal(claims)
        except jwt.ExpiredSignatureError:
            raise TokenRefused(EXPIRED) from None
        except _UNREADABLE:
            raise TokenRefused("is not one of this inventory") from None


# An infinite number overflows; JSON that is nested too deep exceeds the recursion limit.
_UNREADABLE = (
    jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError, RecursionError
)  # fmt: skip


def _principal(claims: Mapping[str, object]) -> Principal:
    """Read claims as `Tokens.make` writes them; raise ValueError or KeyError."""
    subject, epoch, expires = claims["sub"], claims["epoch"], claims["exp"]
    if not isinstance(subject, str) or _USER_ID.fullmatch(subject) is None:
        raise ValueError("sub is no user id")
    if type(epoch) is not int or type(expires) is not int:
        raise ValueError("epoch and exp are whole numbers")
    if int(subject) > USER_ID_MAX or not 0 <= epoch <= EPOCH_MAX:
        raise ValueError("no user has this id or epoch")
    return Principal(int(subject), epoch, expires)


class Passwords:
    """argon2id in a few threads of its own; at most HASHES_WAITING_MAX passwords wait."""

    def __init__(self, key: str) -> None:
        """Derive salts under the gateways' shared key."""
        self._key = blake2b(key.encode()).digest()
        self._hasher = argon2.PasswordHasher(
            time_cost=PASSES_PER_HASH, memory_cost=KIB_PER_HASH, parallelism=1
        )
        self._threads = ThreadPoolExecutor(HASHES_AT_ONCE_MAX, thread_name_prefix="password-hash")
        self._waiting = 0
        self._nobody = self._hash("nobody", b"nobody's salt 16")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def check(self, password_hash: str, password: str) -> bool:
        """Return whether a password is right; for an empty hash no password is, after as long."""
        return await self._run(partial(self._check, password_hash, password))

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a hash was made by other parameters than those of today."""
        return self._hasher.check_needs_rehash(password_hash)

    async def hash(self, password: str, request_id: str, whom: str) -> str:
        """Hash a password; the same request gives the same hash, so a retry is the same command."""
        text = f"{request_id}\0{whom}".encode()
        salt = blake2b(text, key=self._key, digest_size=SALT_BYTES).digest()
        return await self._run(partial(self._hash, password, salt))

    async def _run(self, work: Callable[[], Done]) -> Done:
        if self._waiting >= HASHES_WAITING_MAX:
            raise HashersBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def _check(self, password_hash: str, password: str) -> bool:
        try:
            right = self._hasher.verify(password_hash or self._nobody, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
        return right and bool(password_hash)

    def _hash(self, password: str, salt: bytes) -> str:
        return hash_secret(
            password.encode(), salt, PASSES_PER_HASH, KIB_PER_HASH, 1, HASH_BYTES, Type.ID
        ).decode()
