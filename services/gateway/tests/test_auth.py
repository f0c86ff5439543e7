"""Tokens that hold and tokens that do not, and how many passwords are checked at once."""

import asyncio
import base64
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from gateway import auth
from gateway.auth import Passwords, Principal, Tokens
from gateway.errors import HashersBusy, TokenRefused

NOW = 1_000_000  # seconds since 1970, by the gateway's clock
LIFE_SECONDS = 10**11  # the library has a clock of its own: nothing expires by that
KEY = "k" * 32
PLAIN = {"sub": "7", "epoch": 3, "name": "ann", "iat": NOW, "exp": NOW + LIFE_SECONDS}


def signed(key: str = KEY, algorithm: str = "HS256", without: str = "", **claims: object) -> str:
    """Return a token of the usual claims, with some replaced and `without` taken out."""
    payload = {name: value for name, value in (PLAIN | claims).items() if name != without}
    return jwt.encode(payload, key, algorithm=algorithm)


def forged(payload: object = None, **claims: object) -> str:
    """Return a token with a gateway's signature and a payload that no gateway makes."""
    raw = json.dumps(PLAIN | claims if payload is None else payload).encode()
    return jwt.api_jws.encode(raw, KEY, algorithm="HS256")


SUBJECTS: tuple[object, ...] = (
    str(2**63), str(2**70), "9" * 5_000, "0", "-1", "1.0", " 7", "1_0", "\u0667", "\u00b2", "",
    7, 7.0, True, None, [7], {"7": 7}, float("nan"),
)  # fmt: skip
EPOCHS: tuple[object, ...] = (-1, 2**32, 1.0, "3", True, None, float("inf"), {})
ENDS: tuple[object, ...] = (float("inf"), 1e12, [], None)
# A header of nothing but brackets: whoever reads it comes to no end.
DEEP = base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".e30.AAAA"


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
        token, expires = Tokens(KEY).make(7, 3, "ann")
        assert expires == NOW + LIFE_SECONDS
        assert Tokens(KEY).verify(token) == Principal(7, 3, expires)
        assert Tokens(KEY).verify(signed()) == Principal(7, 3, expires)

    def test_one_of_a_gateway_whose_clock_is_ahead_holds(self) -> None:
        """A token that was made in this gateway's future holds."""
        assert Tokens(KEY).verify(signed(iat=NOW + 10**10)).user_id == 7

    def test_one_that_expires_is_refused_though_it_is_known(self) -> None:
        """The token was verified before it expired."""
        tokens = Tokens(KEY)
        token, expires = tokens.make(7, 3, "ann")
        self.at(expires - 1)
        tokens.verify(token)
        self.at(expires)
        with pytest.raises(TokenRefused, match="has expired"):
            tokens.verify(token)

    def test_one_that_has_expired_never_becomes_known(self) -> None:
        """An expired token is refused at its first use too."""
        tokens = Tokens(KEY)
        for _ in range(2):
            with pytest.raises(TokenRefused, match="has expired"):
                tokens.verify(signed(iat=1, exp=2))
        assert not tokens._known

    @pytest.mark.parametrize(
        "token",
        [
            signed("x" * 32),
            signed(algorithm="none", key=""),
            signed(algorithm="HS512", key="k" * 64),
            signed()[:-4],
            "nonsense",
            "",
            *(signed(without=claim) for claim in ("sub", "epoch", "exp")),
            signed(sub="ann"),
            signed(epoch="now"),
            signed(epoch=[]),
            signed(exp="later"),
            *(signed(epoch=epoch) for epoch in EPOCHS),
            *(signed(exp=exp) for exp in ENDS),
            signed(nbf=float("inf")),
            *(forged(sub=sub) for sub in SUBJECTS),
            forged(float("nan")),
            DEEP,
        ],
    )
    def test_one_of_somebody_else_is_refused(self, token: str) -> None:
        """Another key, no signature, another algorithm, cut off, a claim missing or nonsense."""
        with pytest.raises(TokenRefused, match="is not one of this inventory"):
            Tokens(KEY).verify(token)

    def test_none_is_refused(self) -> None:
        """A missing token has a message of its own."""
        with pytest.raises(TokenRefused, match="is missing"):
            Tokens(KEY).verify(None)

    def test_the_known_ones_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest token is forgotten, and verified anew at its next use."""
        monkeypatch.setattr(auth, "KNOWN_TOKENS_MAX", 2)
        tokens = Tokens(KEY)
        made = [tokens.make(user_id, 1, "ann")[0] for user_id in (1, 2, 3)]
        for token in made:
            tokens.verify(token)
        assert list(tokens._known) == made[1:]
        assert tokens.verify(made[0]).user_id == 1
        assert list(tokens._known) == [made[2], made[0]]

    def test_a_known_one_is_not_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A hot client costs one lookup."""
        tokens = Tokens(KEY)
        token, _ = tokens.make(7, 3, "ann")
        known = tokens.verify(token)
        verified: list[Any] = []
        monkeypatch.setattr(tokens, "_decode", verified.append)
        assert tokens.verify(token) is known
        assert not verified


class TestPasswords:
    """argon2id, with little memory for the tests."""

    @pytest.fixture
    def passwords(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Passwords]:
        """Return what hashes quickly."""
        monkeypatch.setattr(auth, "KIB_PER_HASH", 8)
        made = Passwords(KEY)
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
