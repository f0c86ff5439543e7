"""Tokens and passwords.

An access token (JWT, RFC 7519; its form is RFC 9068's) carries a user's id and epoch, and the id of
a session. The members decide what the user may, and whether epoch and session still hold, when they
apply a command. Passwords are hashed and checked here
(argon2id, RFC 9106) in threads of their own, so that no password reaches the log.
"""

import asyncio
import re
import secrets
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
from gateway.signing_keys import KeyRing

Done = TypeVar("Done")

ALGORITHM = "EdDSA"  # of Ed25519 (RFC 8037 §3.1)
TYPE = "at+jwt"  # RFC 9068 §2.1
ISSUER = "inventory"
AUDIENCE = "inventory"
TOKEN_SECONDS = 15 * 60
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
ID_MAX = 2**63 - 1  # of the wire
EPOCH_MAX = 2**32 - 1  # likewise
EXPIRED = "has expired"  # continues "the token", as the next
FOREIGN = "is not one of this inventory"

_ID = re.compile(r"[1-9][0-9]{0,18}")  # user 0 is the cluster itself


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token speaks for."""

    user_id: int
    epoch: int
    session_id: int
    expires: int  # seconds since 1970

    @property
    def has_expired(self) -> bool:
        """Whether the time of the token is over."""
        return self.expires <= time.time()


CLUSTER = Principal(0, 0, 0, 0)  # for whom a gateway starts sessions, and refreshes them


class Tokens:
    """Makes and verifies tokens; a token that was verified before costs one lookup.

    - A token is verified by the key that its header names and by one algorithm, whatever its header
      asks for (RFC 8725 §3.1).
    - A key that is taken out of the ring verifies nothing from then on.
    """

    def __init__(self, ring: KeyRing) -> None:
        """Sign and verify by the gateways' shared keys."""
        self._ring = ring
        self._known: OrderedDict[str, Principal] = OrderedDict()
        self._known_by = ring.keys  # the keys that verified what is known

    def make(self, user_id: int, epoch: int, session_id: int) -> tuple[str, int]:
        """Return a token and when it expires, in seconds since 1970."""
        issued = int(time.time())
        expires = issued + TOKEN_SECONDS
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "epoch": epoch,
            "iat": issued,
            "exp": expires,
            "jti": secrets.token_urlsafe(12),
        }
        key = self._ring.first
        headers = {"kid": key.id, "typ": TYPE}
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers=headers), expires

    def verify(self, token: str | None) -> Principal:
        """Return whom a token speaks for; raise TokenRefused."""
        if token is None:
            raise TokenRefused("is missing")
        if self._known_by is not self._ring.keys:
            self._known.clear()
            self._known_by = self._ring.keys
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
            header = jwt.get_unverified_header(token)
            if header.get("typ") != TYPE:
                raise TokenRefused(FOREIGN)
            claims = jwt.decode(
                token,
                self._ring.by_id[header["kid"]].public,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # The clock of the gateway that made the token may be ahead of this gateway's.
                options={
                    "require": ["iss", "aud", "sub", "sid", "epoch", "exp", "jti"],
                    "verify_iat": False,
                },
            )
            return _principal(claims)
        except jwt.ExpiredSignatureError:
            raise TokenRefused(EXPIRED) from None
        except _UNREADABLE:
            raise TokenRefused(FOREIGN) from None


# An infinite number overflows; JSON that is nested too deep exceeds the recursion limit.
_UNREADABLE = (
    jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError, RecursionError
)  # fmt: skip


def _principal(claims: Mapping[str, object]) -> Principal:
    """Read claims as `Tokens.make` writes them; raise ValueError or KeyError."""
    epoch, expires = claims["epoch"], claims["exp"]
    if type(epoch) is not int or type(expires) is not int:
        raise ValueError("epoch and exp are whole numbers")
    if not 0 <= epoch <= EPOCH_MAX:
        raise ValueError("no user has this epoch")
    return Principal(_id(claims["sub"]), epoch, _id(claims["sid"]), expires)


def _id(claim: object) -> int:
    if not isinstance(claim, str) or _ID.fullmatch(claim) is None or int(claim) > ID_MAX:
        raise ValueError("sub and sid are ids in decimal")
    return int(claim)


class Passwords:
    """argon2id in a few threads of its own; at most HASHES_WAITING_MAX passwords wait."""

    def __init__(self, ring: KeyRing) -> None:
        """Derive salts under the first of the gateways' shared keys."""
        self._ring = ring
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
        salt = blake2b(text, key=self._ring.first.secret, digest_size=SALT_BYTES).digest()
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
