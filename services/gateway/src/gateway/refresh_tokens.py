"""Refresh tokens: a user's and a session's id, the secret of the family, the secret that serves.

    <user>.<session>.<family>.<secret>

The ids are decimal, the secrets base64url. The members know the SHA-256 of the secrets; no secret
reaches the log. A refresh derives the next secret from a key of the gateways and from the request,
so a retry of the request brings the same refresh token.
"""

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest

SECRET_BYTES = 32
FAMILY_BYTES = 16

_FORM = re.compile(
    r"([1-9][0-9]{0,18})\.([1-9][0-9]{0,18})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})"
)


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class RefreshSecrets:
    """The two secrets of a refresh token."""

    family: bytes
    secret: bytes

    @property
    def family_hash(self) -> bytes:
        """What the members know of the family's secret."""
        return sha256(self.family).digest()

    @property
    def secret_hash(self) -> bytes:
        """What the members know of the secret that serves."""
        return sha256(self.secret).digest()

    def following(self, key: bytes, request_id: str) -> "RefreshSecrets":
        """Return the secrets of the refresh token that a request exchanges this one for."""
        message = b"\0".join((self.family, self.secret, request_id.encode()))
        return RefreshSecrets(self.family, digest(key, message, "sha256"))


def fresh_secrets() -> RefreshSecrets:
    """Return the secrets of a session's first refresh token."""
    return RefreshSecrets(secrets.token_bytes(FAMILY_BYTES), secrets.token_bytes(SECRET_BYTES))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Whose a refresh token is, and its secrets."""

    user_id: int
    session_id: int
    secrets: RefreshSecrets

    def __str__(self) -> str:
        """Return the token as a client sends it."""
        parts = (self.secrets.family, self.secrets.secret)
        return ".".join((str(self.user_id), str(self.session_id), *map(_base64url, parts)))


def refresh_token_in(text: str) -> RefreshToken | None:
    """Return a refresh token as read; None for a text that no gateway made."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    user_id, session_id, *parts = found.groups()
    family, secret = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
    if max(int(user_id), int(session_id)) >= 1 << 63:
        return None
    return RefreshToken(int(user_id), int(session_id), RefreshSecrets(family, secret))
