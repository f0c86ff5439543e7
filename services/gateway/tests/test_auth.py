"""Tokens that hold and tokens that do not, and how many passwords are checked at once."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from gateway import auth
from gateway.auth import Passwords, Principal, Tokens
from gateway.errors import HashersBusy, TokenRefused
from gateway.signing_keys import KeyRing, keys_in

NOW = 1_000_000  # seconds since 1970, by the gateway's clock
LIFE_SECONDS = 10**11  # the library has a clock of its own: nothing expires by that
FIRST, SECOND, STRANGE = (Ed25519PrivateKey.generate() for _ in range(3))
PLAIN = {
    "iss": "inventory", "aud": "inventory", "sub": "7", "sid": "5", "epoch": 3, "jti": "a",
    "iat": NOW, "exp": NOW + LIFE_SECONDS,
}  # fmt: skip


def pem(*keys: Any) -> str:  # noqa: ANN401 - of any kind
    """Return private keys as a file holds them."""
    parts = (key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for key in keys)
    return b"".join(parts).decode()


RING = KeyRing(keys_in(pem(FIRST)))
KID = RING.first.id
HEADER = {"kid": KID, "typ": "at+jwt"}


def signed(
    key: Any = FIRST,  # noqa: ANN401 - of any kind
    algorithm: str = "EdDSA",
    without: str = "",
    header: dict[str, Any] = HEADER,
    **claims: object,
) -> str:
    """Return a token of the usual claims, with some replaced and `without` taken out."""
    payload = {name: value for name, value in (PLAIN | claims).items() if name != without}
    return jwt.encode(payload, key, algorithm=algorithm, headers=header)


def forged(payload: object = None, **claims: object) -> str:
    """Return a token with a gateway's signature and a payload that no gateway makes."""
    raw = json.dumps(PLAIN | claims if payload is None else payload).encode()
    return jwt.api_jws.encode(raw, FIRST, algorithm="EdDSA", headers=HEADER)


def unsigned(algorithm: str) -> str:
    """Return a token of the usual claims that only says that it is signed."""
    parts = ({**HEADER, "alg": algorithm}, PLAIN)
    texts = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join(texts) + "."


def confused() -> str:
    """Return a token signed by HS256 with the public key, which everybody has, as the secret."""
    head, payload, _ = unsigned("HS256").split(".")
    public = FIRST.public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    seal = hmac.digest(secret, f"{head}.{payload}".encode(), "sha256")
    return f"{head}.{payload}.{urlsafe_b64encode(seal).rstrip(b'=').decode()}"


SUBJECTS: tuple[object, ...] = (
    str(2**63), str(2**70), "9" * 5_000, "0", "-1", "1.0", " 7", "1_0", "\u0667", "\u00b2", "",
    7, 7.0, True, None, [7], {"7": 7}, float("nan"),
)  # fmt: skip
EPOCHS: tuple[object, ...] = (-1, 2**32, 1.0, "3", True, None, float("inf"), {})
ENDS: tuple[object, ...] = (float("inf"), 1e12, [], None)
# A header of nothing but brackets: whoever reads it comes to no end.
DEEP = urlsafe_b64encode(b"[" * 9_000).decode() + ".e30.AAAA"


class TestTokens:
    """Whom a token speaks for, and for how long."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand still until `at`; have tokens live long."""
        self._patch = monkeypatch
        self._patch.setattr(auth, "TOKEN_SECONDS", LIFE_SECONDS)
        self.at(NOW)

    def at(self, seconds: int) -> None:
        """Let the gateway's clock show this."""
        self._patch.setattr(auth, "time", SimpleNamespace(time=lambda: float(seconds)))

    def test_one_that_was_made_here_says_for_whom_and_how_long(self) -> None:
        """Another gateway with the same key verifies the token too."""
        token, expires = Tokens(RING).make(7, 3, 5)
        assert expires == NOW + LIFE_SECONDS
        assert Tokens(RING).verify(token) == Principal(7, 3, 5, expires)
        assert Tokens(RING).verify(signed()) == Principal(7, 3, 5, expires)

    def test_one_of_a_gateway_whose_clock_is_ahead_holds(self) -> None:
        """A token that was made in this gateway's future holds."""
        assert Tokens(RING).verify(signed(iat=NOW + 10**10)).user_id == 7

    def test_one_that_expires_is_refused_though_it_is_known(self) -> None:
        """The token was verified before it expired."""
        tokens = Tokens(RING)
        token, expires = tokens.make(7, 3, 5)
        self.at(expires - 1)
        tokens.verify(token)
        self.at(expires)
        with pytest.raises(TokenRefused, match="has expired"):
            tokens.verify(token)

    def test_one_that_has_expired_never_becomes_known(self) -> None:
        """An expired token is refused at its first use too."""
        tokens = Tokens(RING)
        for _ in range(2):
            with pytest.raises(TokenRefused, match="has expired"):
                tokens.verify(signed(iat=1, exp=2))
        assert not tokens._known

    @pytest.mark.parametrize(
        "token",
        [
            signed(STRANGE),
            signed(SECOND, header={**HEADER, "kid": "other"}),
            signed(header={"typ": "at+jwt"}),
            signed(header={"kid": KID}),
            signed(header={**HEADER, "typ": "JWT"}),
            signed(Ed448PrivateKey.generate()),
            signed(generate_private_key(SECP256R1()), algorithm="ES256"),
            signed(algorithm="HS512", key="k" * 64),
            signed(iss="other"),
            signed(aud="other"),
            unsigned("none"),
            unsigned("EdDSA"),
            confused(),
            signed()[:-4],
            "nonsense",
            "",
            *(signed(without=claim) for claim in PLAIN if claim != "iat"),
            signed(sub="ann"),
            signed(epoch="now"),
            signed(epoch=[]),
            signed(exp="later"),
            *(signed(epoch=epoch) for epoch in EPOCHS),
            *(signed(exp=exp) for exp in ENDS),
            signed(nbf=float("inf")),
            *(forged(sub=sub) for sub in SUBJECTS),
            *(forged(sid=sid) for sid in SUBJECTS),
            forged(float("nan")),
            DEEP,
        ],
        ids=lambda _: "token",
    )
    def test_one_of_somebody_else_is_refused(self, token: str) -> None:
        """Another key, no signature, another algorithm, cut off, a claim missing or nonsense."""
        with pytest.raises(TokenRefused, match="is not one of this inventory"):
            Tokens(RING).verify(token)

    def test_every_key_of_the_ring_verifies_and_the_first_signs(self) -> None:
        """A key is exchanged without an invalid token, and a key that is taken out ends its own."""
        ring = KeyRing(keys_in(pem(FIRST)))
        tokens = Tokens(ring)
        former, _ = tokens.make(7, 3, 5)
        tokens.verify(former)
        ring.replace(keys_in(pem(SECOND, FIRST)))
        latter, _ = tokens.make(7, 3, 5)
        assert jwt.get_unverified_header(latter)["kid"] == keys_in(pem(SECOND))[0].id != KID
        assert {tokens.verify(one).user_id for one in (former, latter)} == {7}
        ring.replace(keys_in(pem(SECOND)))
        assert tokens.verify(latter).user_id == 7
        with pytest.raises(TokenRefused, match="is not one of this inventory"):
            tokens.verify(former)

    def test_two_tokens_of_one_second_differ(self) -> None:
        """Each has an id of its own (`jti`)."""
        tokens = Tokens(RING)
        assert tokens.make(7, 3, 5) != tokens.make(7, 3, 5)

    def test_none_is_refused(self) -> None:
        """A missing token has a message of its own."""
        with pytest.raises(TokenRefused, match="is missing"):
            Tokens(RING).verify(None)

    def test_the_known_ones_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest token is forgotten, and verified anew at its next use."""
        monkeypatch.setattr(auth, "KNOWN_TOKENS_MAX", 2)
        tokens = Tokens(RING)
        made = [tokens.make(user_id, 1, 1)[0] for user_id in (1, 2, 3)]
        for token in made:
            tokens.verify(token)
        assert list(tokens._known) == made[1:]
        assert tokens.verify(made[0]).user_id == 1
        assert list(tokens._known) == [made[2], made[0]]

    def test_a_known_one_is_not_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A hot client costs one lookup."""
        tokens = Tokens(RING)
        token, _ = tokens.make(7, 3, 5)
        known = tokens.verify(token)
        verified: list[Any] = []
        monkeypatch.setattr(tokens, "_decode", verified.append)
        assert tokens.verify(token) is known
        assert not verified


class TestSigningKeys:
    """What a file of keys may hold."""

    def test_the_thumbprint_is_that_of_the_standard(self) -> None:
        """RFC 8037, appendix A.1 to A.3."""
        seed = urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
        [key] = keys_in(pem(Ed25519PrivateKey.from_private_bytes(seed)))
        assert key.x == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        assert key.id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "something else"),
            ("a secret", "something else"),
            (pem(FIRST) + "x", "something else"),
            (pem(FIRST)[:-30], "something else"),
            (pem(FIRST).replace("PRIVATE KEY", "PUBLIC KEY"), "cannot be read"),
            (pem(FIRST).replace("MC4C", "MC4D"), "cannot be read"),
            (pem(generate_private_key(SECP256R1())), "not of Ed25519"),
            (pem(Ed448PrivateKey.generate()), "not of Ed25519"),
            (pem(FIRST, FIRST), "a key twice"),
            (pem(*(Ed25519PrivateKey.generate() for _ in range(9))), "holds 9 keys"),
            (" " * 20_000, "over 16384 characters"),
        ],
        ids=lambda _: "",
    )
    def test_anything_else_is_refused(self, text: str, problem: str) -> None:
        """With a sentence that the file's name goes before."""
        with pytest.raises(ValueError, match=problem):
            keys_in(text)


class TestPasswords:
    """argon2id, with little memory for the tests."""

    @pytest.fixture
    def passwords(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Passwords]:
        """Return what hashes quickly."""
        monkeypatch.setattr(auth, "KIB_PER_HASH", 8)
        made = Passwords(RING)
        yield made
        made.close()

    def test_the_same_request_gives_the_same_hash(self, passwords: Passwords) -> None:
        """A retry is the same command; another request has another salt."""

        async def scenario() -> None:
            first = await passwords.hash("secret", "request", "ann")
            assert first == await passwords.hash("secret", "request", "ann")
            assert first != await passwords.hash("secret", "other", "ann")
            assert first != await passwords.hash("secret", "request", "bob")
            assert await passwords.check(first, "secret")
            assert not await passwords.check(first, "Secret")

        asyncio.run(scenario())

    @pytest.mark.parametrize("kept", ["", "no hash"])
    def test_who_has_no_hash_has_no_password(self, passwords: Passwords, kept: str) -> None:
        """Not even the password whose hash stands in for an empty hash."""
        assert not asyncio.run(passwords.check(kept, "nobody"))

    def test_past_its_bound_it_refuses_at_once(
        self, monkeypatch: pytest.MonkeyPatch, passwords: Passwords
    ) -> None:
        """Those that wait go on, and there is room again after them."""
        monkeypatch.setattr(auth, "HASHES_WAITING_MAX", 2)

        async def scenario() -> None:
            kept = await passwords.hash("secret", "request", "ann")
            checks = [passwords.check(kept, "secret") for _ in range(3)]
            *taken, refused = await asyncio.gather(*checks, return_exceptions=True)
            assert taken == [True, True]
            assert isinstance(refused, HashersBusy)
            assert await passwords.check(kept, "secret")

        asyncio.run(scenario())
