"""What is refused before a password is hashed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from gateway import auth
from gateway.auth import Passwords, Principal, Tokens
from gateway.errors import RequestRefused
from gateway.login_limiter import NAME_TRIES_MAX, LoginLimiter
from gateway.runtime.accounts import Accounts
from gateway.runtime.gate import TokenGate
from gateway.runtime.sessions import SessionCalls
from gateway.shares import Shares
from gateway.signing_keys import KeyRing, keys_in
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2
from inventory_cli.up.layout import signing_key
from service import intake
from wire import errors
from wire.errors import Reason, reason_of

RING = KeyRing(keys_in(signing_key()))
OLD = "the old password"
PASSWORD = "correct horse"  # noqa: S105 - of nobody

GATE = TokenGate(Tokens(RING), Shares())


class Credentials:
    """A driver whose members know no user."""

    def __init__(self) -> None:
        """Start with no question."""
        self.asked = 0
        self.names: set[str] = set()

    async def ask(self, question: forward_pb2.Question, deadline_ms: int) -> forward_pb2.Reply:
        """Answer with an empty credential, which no password is right for."""
        self.names.add(question.query.get_credential.folded_name)
        assert deadline_ms
        self.asked += 1
        return forward_pb2.Reply(answer=forward_pb2.Credential().SerializeToString())


class Bench:
    """An Api that only logs in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hash with little memory."""
        monkeypatch.setattr(auth, "KIB_PER_HASH", 8)
        monkeypatch.setattr(intake, "REFUSAL_SECONDS", 0)
        self.sources = 0
        self.credentials = Credentials()
        self.passwords = Passwords(RING)
        driver: Any = self.credentials
        nobody: Any = None
        self.accounts = Accounts(driver, GATE, self.passwords, LoginLimiter(), nobody)
        self.sessions = SessionCalls(driver, GATE, Tokens(RING), RING, self.accounts)

    async def login(self, name: str, source: str = "") -> Reason | None:
        """Log in from a source, a new one if none is given; return why not."""
        self.sources += 1
        network, host = divmod(self.sources, 256)
        peer = f"ipv4:{source or f'10.0.{network}.{host}'}:1"
        raw = auth_pb2.LoginRequest(username=name, password="guess").SerializeToString()  # noqa: S106 - of nobody
        context: Any = SimpleNamespace(
            time_remaining=lambda: None,
            peer=lambda: peer,
            invocation_metadata=tuple,
            auth_context=dict,
        )
        try:
            await self.sessions.login(raw, context)
        except RequestRefused as refused:
            return reason_of(refused.status)
        return None


def test_who_fails_too_often_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without tries costs neither a member's nor argon2's work; other names may log in."""
    bench = Bench(monkeypatch)

    async def scenario() -> None:
        for _ in range(NAME_TRIES_MAX):
            assert await bench.login("ann") is Reason.INVALID_CREDENTIALS
        assert await bench.login("ann") is Reason.LOGIN_LIMITED
        assert bench.credentials.asked == NAME_TRIES_MAX
        assert await bench.login("bob") is Reason.INVALID_CREDENTIALS

    asyncio.run(scenario())
    bench.passwords.close()


def test_a_name_is_one_in_every_case_and_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are asked for the folded name, and tries are counted by the folded name."""
    bench = Bench(monkeypatch)

    async def scenario() -> None:
        forms = ["Öl", "ÖL", "O\u0308l", "öl"]
        for number in range(NAME_TRIES_MAX):
            assert await bench.login(forms[number % 4]) is Reason.INVALID_CREDENTIALS
        for form in forms:
            assert await bench.login(form) is Reason.LOGIN_LIMITED
        assert bench.credentials.names == {"öl"}

    asyncio.run(scenario())
    bench.passwords.close()


def test_before_the_first_state_nobody_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The members know no user: that is no wrong password, and costs no try."""
    bench = Bench(monkeypatch)

    async def ask(*_: object) -> forward_pb2.Reply:
        raise RequestRefused(errors.not_initialized())

    async def scenario() -> None:
        monkeypatch.setattr(bench.credentials, "ask", ask)
        for _ in range(2 * NAME_TRIES_MAX):
            assert await bench.login("ann") is Reason.NOT_INITIALIZED
        monkeypatch.undo()
        assert await bench.login("ann") is Reason.INVALID_CREDENTIALS

    asyncio.run(scenario())
    bench.passwords.close()


def test_a_login_beyond_those_that_wait_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is OVERLOADED, and costs none of the name's tries."""
    bench = Bench(monkeypatch)
    monkeypatch.setattr(auth, "HASHES_WAITING_MAX", 1)

    async def scenario() -> None:
        answers = await asyncio.gather(bench.login("ann"), bench.login("bob"))
        assert sorted(answers, key=str) == [Reason.INVALID_CREDENTIALS, Reason.OVERLOADED]
        assert await bench.login("bob") is Reason.INVALID_CREDENTIALS

    asyncio.run(scenario())
    bench.passwords.close()


def test_guesses_that_come_together_have_no_more_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try is taken before the password is looked at."""
    bench = Bench(monkeypatch)
    monkeypatch.setattr(auth, "HASHES_WAITING_MAX", 200)

    async def scenario() -> None:
        answers = await asyncio.gather(*(bench.login("ann") for _ in range(128)))
        assert answers.count(Reason.INVALID_CREDENTIALS) == NAME_TRIES_MAX
        assert bench.credentials.asked == NAME_TRIES_MAX

    asyncio.run(scenario())
    bench.passwords.close()


class Keepers:
    """The members, who know one caller; counts what is hashed."""

    def __init__(self, role: auth_pb2.Role.ValueType, *, must_change: bool = False) -> None:
        """Know a caller by the role; the caller's id is 5."""
        self.role = role
        self.must_change = must_change
        self.hashed = 0
        self.applied = 0

    async def current_user(self, principal: Principal, deadline_ms: int) -> auth_pb2.User:
        """Return the caller."""
        assert deadline_ms
        return auth_pb2.User(
            id=principal.user_id,
            name="Ann",
            role=self.role,
            must_change_password=self.must_change,
        )

    async def hash(self, password: str, request_id: str, whom: str) -> str:
        """Count instead of hashing."""
        assert password
        assert request_id
        assert whom
        self.hashed += 1
        return "hash"

    async def ask(self, question: forward_pb2.Question, deadline_ms: int) -> forward_pb2.Reply:
        """Return the caller's credential."""
        assert question.query.get_credential.folded_name == "ann"
        assert deadline_ms
        credential = forward_pb2.Credential(password_hash="a hash")  # noqa: S106 - of nobody
        return forward_pb2.Reply(answer=credential.SerializeToString())

    async def check(self, password_hash: str, password: str) -> bool:
        """Know one password."""
        assert password_hash == "a hash"  # noqa: S105 - of nobody
        return password == OLD

    async def apply(self, command: bytes, deadline_ms: int, user_id: int) -> forward_pb2.Reply:
        """Take a command."""
        assert command
        assert user_id == 5
        assert deadline_ms
        self.applied += 1
        return forward_pb2.Reply(administration=b"")


CREATE = auth_pb2.CreateUserRequest(
    request_id="a", username="eve", password=PASSWORD, role=auth_pb2.ROLE_CUSTOMER
)  # fmt: skip
OTHERS = auth_pb2.SetPasswordRequest(request_id="a", user_id=9, password=PASSWORD)
OWN = auth_pb2.SetPasswordRequest(
    request_id="a", user_id=5, password=PASSWORD, old_password=OLD
)  # fmt: skip
SAME = auth_pb2.SetPasswordRequest(
    request_id="a", user_id=5, password=OLD, old_password=OLD
)  # fmt: skip
GUESSED = auth_pb2.SetPasswordRequest(
    request_id="a", user_id=5, password=PASSWORD, old_password=PASSWORD
)  # fmt: skip
UNASKED = auth_pb2.SetPasswordRequest(request_id="a", user_id=5, password=PASSWORD)
COMMON = auth_pb2.SetPasswordRequest(
    request_id="a", user_id=5, password="password1", old_password=OLD  # noqa: S106 - of nobody
)  # fmt: skip


@pytest.mark.parametrize(
    ("token", "role", "request_", "why"),
    [
        ("", auth_pb2.ROLE_ADMIN, CREATE, Reason.TOKEN_INVALID),
        ("garbage", auth_pb2.ROLE_ADMIN, CREATE, Reason.TOKEN_INVALID),
        ("garbage", auth_pb2.ROLE_ADMIN, OWN, Reason.TOKEN_INVALID),
        ("own", auth_pb2.ROLE_CUSTOMER, CREATE, Reason.ROLE_NOT_ALLOWED),
        ("own", auth_pb2.ROLE_MACHINE, CREATE, Reason.ROLE_NOT_ALLOWED),
        ("own", auth_pb2.ROLE_PRODUCER, OTHERS, Reason.ROLE_NOT_ALLOWED),
        ("own", auth_pb2.ROLE_CUSTOMER, OWN, None),
        ("own", auth_pb2.ROLE_MACHINE, OWN, Reason.ROLE_NOT_ALLOWED),
        ("own", auth_pb2.ROLE_CUSTOMER, GUESSED, Reason.INVALID_CREDENTIALS),
        ("own", auth_pb2.ROLE_CUSTOMER, UNASKED, Reason.INVALID_CREDENTIALS),
        ("own", auth_pb2.ROLE_ADMIN, UNASKED, Reason.INVALID_CREDENTIALS),
        ("own", auth_pb2.ROLE_CUSTOMER, COMMON, Reason.INVALID_FIELD),
        ("own", auth_pb2.ROLE_ADMIN, OTHERS, None),
        ("own", auth_pb2.ROLE_ADMIN, CREATE, None),
    ],
)
def test_only_who_may_set_a_password_costs_a_hash(
    token: str,
    role: auth_pb2.Role.ValueType,
    request_: auth_pb2.CreateUserRequest | auth_pb2.SetPasswordRequest,
    why: Reason | None,
) -> None:
    """A hash takes 64 MiB and a thread: nobody's is made for a stranger."""
    keepers, tokens = Keepers(role), Tokens(RING)
    everything: Any = keepers
    accounts = Accounts(everything, GATE, everything, LoginLimiter(), everything)
    sent = tokens.make(5, 1, 1)[0] if token == "own" else token  # noqa: S105 - a word of this test
    metadata = [("authorization", f"Bearer {sent}")] if sent else []
    context: Any = SimpleNamespace(
        time_remaining=lambda: None,
        invocation_metadata=lambda: metadata,
        peer=lambda: "ipv4:192.0.2.1:1",
    )
    behavior = accounts.create_user if request_ is CREATE else accounts.set_password
    if why is None:
        asyncio.run(behavior(request_.SerializeToString(), context))
    else:
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(behavior(request_.SerializeToString(), context))
        assert reason_of(refused.value.status) is why
    assert (keepers.hashed, keepers.applied) == ((1, 1) if why is None else (0, 0))


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (CREATE, Reason.PASSWORD_CHANGE_NEEDED),
        (OTHERS, Reason.PASSWORD_CHANGE_NEEDED),
        (SAME, Reason.INVALID_FIELD),
        (OWN, None),
    ],
)
def test_an_admin_who_must_change_the_password_sets_another_one_first(
    request_: auth_pb2.CreateUserRequest | auth_pb2.SetPasswordRequest, why: Reason | None
) -> None:
    """The same password again is no change, and nobody else's password is hashed before."""
    keepers, tokens = Keepers(auth_pb2.ROLE_ADMIN, must_change=True), Tokens(RING)
    everything: Any = keepers
    accounts = Accounts(everything, GATE, everything, LoginLimiter(), everything)
    metadata = [("authorization", f"Bearer {tokens.make(5, 1, 1)[0]}")]
    context: Any = SimpleNamespace(
        time_remaining=lambda: None,
        invocation_metadata=lambda: metadata,
        peer=lambda: "ipv4:192.0.2.1:1",
    )
    behavior = accounts.create_user if request_ is CREATE else accounts.set_password
    found = None
    try:
        asyncio.run(behavior(request_.SerializeToString(), context))
    except RequestRefused as refused:
        found = reason_of(refused.status)
    assert found is why
    assert keepers.hashed == (why is None)


def test_a_retry_of_ones_own_password_reaches_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt ended the token; the log answers the retry from its memory."""
    keepers, tokens = Keepers(auth_pb2.ROLE_CUSTOMER), Tokens(RING)
    everything: Any = keepers
    accounts = Accounts(everything, GATE, everything, LoginLimiter(), everything)
    metadata = [("authorization", f"Bearer {tokens.make(5, 1, 1)[0]}")]
    context: Any = SimpleNamespace(
        time_remaining=lambda: None,
        invocation_metadata=lambda: metadata,
        peer=lambda: "ipv4:192.0.2.1:1",
    )

    async def ended(*_: object) -> auth_pb2.User:
        raise RequestRefused(errors.token_invalid("has ended"))

    async def overloaded(*_: object) -> auth_pb2.User:
        raise RequestRefused(errors.overloaded())

    monkeypatch.setattr(keepers, "current_user", ended)
    asyncio.run(accounts.set_password(OWN.SerializeToString(), context))
    assert keepers.applied == 1
    monkeypatch.setattr(keepers, "current_user", overloaded)
    with pytest.raises(RequestRefused):
        asyncio.run(accounts.set_password(OWN.SerializeToString(), context))
    assert keepers.applied == 1


def test_logins_that_are_broken_off_cost_no_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger who opens and ends calls locks nobody out."""
    bench = Bench(monkeypatch)

    async def never(*_: object) -> forward_pb2.Reply:
        await asyncio.Event().wait()
        raise AssertionError

    async def scenario() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(bench.credentials, "ask", never)
            calls = [asyncio.ensure_future(bench.login("ann")) for _ in range(2 * NAME_TRIES_MAX)]
            await asyncio.wait(calls, timeout=0)
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        for _ in range(NAME_TRIES_MAX):
            assert await bench.login("ann") is Reason.INVALID_CREDENTIALS
        assert await bench.login("ann") is Reason.LOGIN_LIMITED

    asyncio.run(scenario())
    bench.passwords.close()
