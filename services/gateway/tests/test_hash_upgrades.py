"""A hash of other parameters is replaced at a log-in, and nothing else comes of that."""

import asyncio
from types import SimpleNamespace
from typing import Any

import argon2
import pytest
from gateway import auth
from gateway.auth import Passwords, Tokens
from gateway.errors import RequestRefused
from gateway.login_limiter import LoginLimiter
from gateway.runtime.accounts import Accounts
from gateway.runtime.gate import TokenGate
from gateway.runtime.sessions import SessionCalls
from gateway.shares import Shares
from gateway.signing_keys import KeyRing, keys_in
from google.rpc import status_pb2  # noqa: TC002 - beside others of its kind
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2
from inventory_cli.up.layout import signing_key
from wire import errors

RING = KeyRing(keys_in(signing_key()))
PASSWORD = "nobody-guesses-9"  # noqa: S105 - of nobody
OUTDATED = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


class LoginMembers:
    """The members, who know one user and keep the commands that they get."""

    def __init__(self, password_hash: str) -> None:
        """Know the user by this hash."""
        self.password_hash = password_hash
        self.refusal: status_pb2.Status | None = None
        self.commands: list[log_pb2.Command] = []

    async def ask(self, *_: object) -> forward_pb2.Reply:
        """Return the user's credential."""
        user = auth_pb2.User(id=5, name="Ann", role=auth_pb2.ROLE_CUSTOMER)
        found = forward_pb2.Credential(user=user, epoch=3, password_hash=self.password_hash)
        return forward_pb2.Reply(answer=found.SerializeToString())

    async def apply(self, command: bytes, *_: object) -> forward_pb2.Reply:
        """Start a session; take any other command, or refuse it."""
        taken = log_pb2.Command.FromString(command)
        if taken.administration.HasField("start_session"):
            outcome = log_pb2.AdministrationOutcome()
            outcome.session.session.id, outcome.session.epoch = 7, 3
            return forward_pb2.Reply(administration=outcome.SerializeToString())
        self.commands.append(taken)
        if self.refusal is not None:
            raise RequestRefused(self.refusal)
        return forward_pb2.Reply(administration=b"")


def log_in(members: LoginMembers, password: str = PASSWORD) -> auth_pb2.LoginResponse:
    """Log Ann in; raise RequestRefused."""
    everything: Any = members
    passwords, tokens = Passwords(RING), Tokens(RING)
    gate = TokenGate(tokens, Shares())
    accounts = Accounts(everything, gate, passwords, LoginLimiter(), everything)
    sessions = SessionCalls(everything, gate, tokens, RING, accounts)
    context: Any = SimpleNamespace(
        time_remaining=lambda: None,
        invocation_metadata=list,
        peer=lambda: "ipv4:192.0.2.1:1",
        auth_context=dict,
    )
    request = auth_pb2.LoginRequest(username="Ann", password=password)
    try:
        answer = asyncio.run(sessions.login(request.SerializeToString(), context))
    finally:
        passwords.close()
    return auth_pb2.LoginResponse.FromString(answer)


@pytest.fixture(autouse=True)
def _little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with little memory."""
    monkeypatch.setattr(auth, "KIB_PER_HASH", 16)


def test_an_outdated_hash_is_replaced_by_one_of_the_same_password() -> None:
    """By its user, under the epoch of the log-in; each log-in until then sends the same bytes."""
    members = LoginMembers(OUTDATED)
    assert log_in(members).token
    assert log_in(members).token
    first, again = members.commands
    assert first == again
    assert (first.user_id, first.epoch, first.session_id) == (5, 3, 7)
    upgrade = first.administration.upgrade_hash
    assert upgrade.replaced_hash == OUTDATED
    assert upgrade.password_hash != OUTDATED
    members.password_hash = upgrade.password_hash
    assert log_in(members).token
    assert len(members.commands) == 2


def test_a_log_in_goes_through_where_its_hash_cannot_be_replaced() -> None:
    """Without a majority, or after a change of the password that came first."""
    for refusal in (errors.no_quorum(), errors.token_invalid("was ended")):
        members = LoginMembers(OUTDATED)
        members.refusal = refusal
        assert log_in(members).token
        assert len(members.commands) == 1


def test_a_wrong_password_replaces_no_hash() -> None:
    """Or a guess would cost the log an entry."""
    members = LoginMembers(OUTDATED)
    with pytest.raises(RequestRefused):
        log_in(members, "somebody-guesses-9")
    assert not members.commands
