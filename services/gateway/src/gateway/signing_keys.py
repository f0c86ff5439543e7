"""The keys that sign access tokens: Ed25519 (RFC 8032), private keys in PEM (RFC 7468, PKCS #8).

The first key signs, and all keys verify. So a key is exchanged without an invalid token: put the
key after the others, on every gateway; then put it first; then, when the tokens of the former key
have expired, take the former key out.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

KEYS_MAX = 8
PEM_CHARACTERS_MAX = 16 << 10

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and what is derived from it."""

    id: str  # `kid`: the thumbprint of the public key (RFC 7638), in base64url
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    x: str  # the public key in base64url (RFC 8037 §2)
    secret: bytes  # from which salts and refresh tokens are derived


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read(pem: str) -> Ed25519PrivateKey:
    try:
        private = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"holds a key that cannot be read: {error}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("holds a private key that is not of Ed25519")  # noqa: TRY004 - of the file
    return private


def key_of(private: Ed25519PrivateKey) -> SigningKey:
    """Return a private key with what is derived from it."""
    public = private.public_key()
    x = _base64url(public.public_bytes_raw())
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'  # RFC 7638 §3, RFC 8037 §2
    return SigningKey(
        id=_base64url(sha256(members.encode()).digest()),
        private=private,
        public=public,
        x=x,
        secret=blake2b(private.private_bytes_raw(), person=b"inventory secret").digest(),
    )


def keys_in(text: str) -> tuple[SigningKey, ...]:
    """Return the keys of a file in its order; raise ValueError, whose text continues "the file"."""
    if len(text) > PEM_CHARACTERS_MAX:
        raise ValueError(f"holds over {PEM_CHARACTERS_MAX} characters")
    blocks = list(_PEM.finditer(text))
    if not blocks or _PEM.sub("", text).strip():
        raise ValueError(
            "holds something else than private keys of Ed25519 in PEM; make one with "
            "`openssl genpkey -algorithm ed25519`"
        )
    if len(blocks) > KEYS_MAX:
        raise ValueError(f"holds {len(blocks)} keys; take out those that signed long ago")
    found = tuple(key_of(_read(block.group())) for block in blocks)
    if len({key.id for key in found}) < len(found):
        raise ValueError("holds a key twice")
    return found


class KeyRing:
    """The keys in force.

    - There is at least one.
    """

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """Begin with these; the first one signs."""
        self.replace(keys)

    def replace(self, keys: Sequence[SigningKey]) -> None:
        """Sign and verify by these keys from here on."""
        self.keys: tuple[SigningKey, ...] = tuple(keys)
        self.by_id: Mapping[str, SigningKey] = {key.id: key for key in self.keys}

    @property
    def first(self) -> SigningKey:
        """The key that signs."""
        return self.keys[0]
