"""Sessions against real processes: refreshes, reuse, ends, exchanged keys, the CLI's file."""

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from chaos.terminal import COMMAND, Terminal
from chaos.up import Up
from google.protobuf import json_format
from inventory.v1 import auth_pb2, auth_pb2_grpc, inventory_pb2, inventory_pb2_grpc
from inventory_cli.up.layout import Layout, metrics_of, signing_key, write_private
from inventory_client import (
    AsyncInventory,
    Inventory,
    InventoryError,
    Money,
    Password,
    Unauthenticated,
)
from inventory_client.connection import new_request_id
from wire.channels import authorization, status_of
from wire.errors import Reason, reason_of

pytestmark = pytest.mark.slow
SECONDS_MAX = 60
ANN = ("Gayathri", "password1")
KEEPER = ("Sarthak", "password2")


class Direct:
    """The calls about sessions, one attempt each."""

    def __init__(self, system: Up) -> None:
        """Connect to the gateway."""
        self.channel = grpc.insecure_channel(system.address)
        self.auth = auth_pb2_grpc.AuthServiceStub(self.channel)
        self.inventory = inventory_pb2_grpc.InventoryServiceStub(self.channel)

    def login(self, label: str = "") -> auth_pb2.LoginResponse:
        """Log in."""
        request = auth_pb2.LoginRequest(username=ANN[0], password=ANN[1], label=label)
        return self.auth.Login(request, timeout=SECONDS_MAX)

    def refresh(self, token: str, request_id: str | None = None) -> auth_pb2.RefreshTokenResponse:
        """Exchange a refresh token; a new request unless an id is given."""
        request = auth_pb2.RefreshTokenRequest(
            request_id=request_id or new_request_id(), refresh_token=token
        )
        return self.auth.RefreshToken(request, timeout=SECONDS_MAX)

    def uses(self, token: str) -> list[Reason | None]:
        """Return what becomes of a read, a list, and an order with an access token."""
        metadata = authorization(token)
        page = inventory_pb2.GetAllItemsRequest(page_size=1)
        order = inventory_pb2.OrderItemRequest(request_id=new_request_id(), item_id=1, quantity=1)
        calls: list[tuple[Callable[..., object], object]] = [
            (self.auth.GetCurrentUser, auth_pb2.GetCurrentUserRequest()),
            (self.inventory.GetAllItems, page),
            (self.inventory.OrderItem, order),
        ]
        return [refused(call, request, metadata=metadata) for call, request in calls]


def refused(call: Callable[..., object], *given: object, **named: object) -> Reason | None:
    """Return why a call was refused; None where it was not."""
    try:
        call(*given, **named)
    except grpc.RpcError as error:
        status = status_of(error)
        return None if status is None else reason_of(status)
    return None


@pytest.fixture
def direct(system: Up) -> Iterator[Direct]:
    """Return calls to the running system."""
    made = Direct(system)
    yield made
    made.channel.close()


SERVED = [None, None, None]
ENDED = [Reason.TOKEN_INVALID] * 3


def test_a_refresh_token_serves_once_and_its_retry_again(direct: Direct) -> None:
    """A lost answer costs nothing; the access tokens of before and after serve both."""
    first = direct.login()
    request_id = new_request_id()
    second = direct.refresh(first.refresh_token, request_id)
    again = direct.refresh(first.refresh_token, request_id)
    assert second.refresh_token == again.refresh_token != first.refresh_token
    assert direct.uses(first.token) == direct.uses(second.token) == SERVED
    third = direct.refresh(second.refresh_token)
    assert direct.uses(third.token) == SERVED
    assert third.refresh_token not in {first.refresh_token, second.refresh_token}


@pytest.mark.parametrize("age", [1, 2])
def test_an_old_refresh_token_ends_the_session_for_thief_and_owner(
    direct: Direct, age: int
) -> None:
    """RFC 9700 §4.14.2. No access token of the session serves from then on."""
    tokens = [direct.login()]
    refreshed: list[Any] = [*tokens]
    for _ in range(age):
        refreshed.append(direct.refresh(refreshed[-1].refresh_token))
    assert refused(direct.refresh, refreshed[0].refresh_token) is Reason.SESSION_ENDED
    assert refused(direct.refresh, refreshed[-1].refresh_token) is Reason.SESSION_ENDED
    for one in refreshed:
        assert direct.uses(one.token) == ENDED
    assert direct.uses(direct.login().token) == SERVED


def test_who_knows_no_secret_of_the_family_ends_nothing(direct: Direct) -> None:
    """Ids are no secret: they are in every list of sessions."""
    session = direct.login()
    user, number, family, secret = session.refresh_token.split(".")
    other = direct.login().refresh_token.split(".")
    for forged in (
        "",
        "x" * 256,
        f"{user}.{number}.{other[2]}.{secret}",
        f"{user}.{number}.{other[2]}.{other[3]}",
        f"{user}.{other[1]}.{family}.{secret}",
        f"{user}.{2**63 - 1}.{family}.{secret}",
        f"{user}.{2**63}.{family}.{secret}",
        f"{2**62}.{number}.{family}.{secret}",
        f"0.{number}.{family}.{secret}",
        f"{user}.{number}.{family}.{secret}=",
        session.token,
    ):
        wanted = {Reason.SESSION_ENDED, Reason.INVALID_FIELD}
        assert refused(direct.refresh, forged) in wanted, forged
    assert direct.uses(session.token) == SERVED
    assert direct.refresh(session.refresh_token).token


def test_a_log_out_ends_one_session_at_once(system: Up, direct: Direct) -> None:
    """Its access and refresh tokens serve no more; the others of the user do."""
    kept = direct.login()
    with Inventory(system.address) as ann:
        ann.login(*ANN, "phone")
        tokens = ann.tokens
        assert tokens is not None
        sessions = ann.sessions()
        current = {one.id: one for one in sessions.sessions}[sessions.current_session_id]
        assert (current.label, current.source) == ("phone", "127.0.0.1")
        ann.logout()
        ann.logout()
        assert ann.token is None
        with pytest.raises(Unauthenticated):
            ann.current_user()
    assert direct.uses(tokens.text) == ENDED
    assert refused(direct.refresh, tokens.refresh or "") is Reason.SESSION_ENDED
    assert direct.uses(kept.token) == SERVED


def test_sessions_are_ended_by_their_user_and_by_admins(system: Up, direct: Direct) -> None:
    """Nobody else sees them, or ends them."""
    one, other = direct.login("one"), direct.login("other")
    with Inventory(system.address, one.token) as ann, Inventory(system.address) as keeper:
        keeper.login(*KEEPER)
        for denied in (
            lambda: keeper.sessions(one.user.id),
            lambda: keeper.end_sessions(one.user.id, other.session_id),
            lambda: keeper.end_sessions(one.user.id),
        ):
            with pytest.raises(InventoryError) as caught:
                denied()
            assert caught.value.reason == "ROLE_NOT_ALLOWED"
        with pytest.raises(InventoryError) as missing:
            ann.end_sessions(one.user.id, 10**9)
        assert missing.value.reason == "SESSION_NOT_FOUND"
        request_id = new_request_id()
        assert ann.end_sessions(one.user.id, other.session_id, request_id) == 1
        assert ann.end_sessions(one.user.id, other.session_id, request_id) == 1  # a retry
    assert (direct.uses(one.token), direct.uses(other.token)) == (SERVED, ENDED)
    listed = {session.id for session in system.watcher.sessions(one.user.id).sessions}
    assert one.session_id in listed
    assert other.session_id not in listed
    assert system.watcher.end_sessions(one.user.id) == len(listed)
    assert direct.uses(one.token) == ENDED


def test_a_user_has_a_bounded_number_of_sessions(direct: Direct) -> None:
    """One more ends the one that was refreshed longest ago."""
    first, second = direct.login(), direct.login()
    direct.refresh(first.refresh_token)
    *_, last = (direct.login() for _ in range(31))
    assert direct.uses(second.token) == ENDED
    assert direct.uses(first.token) == SERVED
    assert direct.uses(last.token) == SERVED


def test_a_session_that_ends_amid_orders_loses_and_doubles_none(system: Up) -> None:
    """The client logs in again, and sends what was refused under the same request ids."""

    async def scenario() -> None:
        async with AsyncInventory(system.address, auth=KEEPER, timeout=SECONDS_MAX) as keeper:
            item = await keeper.add_item("Ending", "", Money("USD", 1), 1_000)
            auth = Password(*ANN)
            async with AsyncInventory(system.address, auth=auth, timeout=SECONDS_MAX) as ann:
                user = await ann.current_user()
                ended = 0
                for _ in range(3):
                    orders = [asyncio.ensure_future(ann.order_item(item.id, 1)) for _ in range(200)]
                    await asyncio.sleep(0)
                    ended += await asyncio.to_thread(system.watcher.end_sessions, user.id)
                    await asyncio.gather(*orders)
                assert ended  # a round may come before the log-in that it makes needed
            assert (await keeper.item(item.id)).quantity == 1_000 - 600

    asyncio.run(scenario())


def test_the_keys_are_published_and_verify_the_tokens(system: Up, direct: Direct) -> None:
    """By HTTP and by RPC alike; a library that knows nothing of us verifies by them."""
    port = Layout(system.data).kept_ports()[metrics_of("gateway")]
    url = f"http://127.0.0.1:{port}/.well-known/jwks.json"
    with urllib.request.urlopen(url, timeout=SECONDS_MAX) as answer:
        published = json.load(answer)
    called = direct.auth.GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())
    assert json_format.MessageToDict(called) == published
    token = direct.login().token
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_dict(published)[header["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="inventory", issuer="inventory")
    assert 0 < claims["exp"] - claims["iat"] <= 15 * 60
    assert "d" not in published["keys"][0]


def test_the_key_is_exchanged_while_everything_runs(tmp_path: Path) -> None:
    """With overlap no token and no refresh fails; a key that is taken out verifies nothing."""
    with Up(tmp_path / "data") as system:
        direct, path = Direct(system), system.data / "keys" / "token.key"
        former, first = path.read_text(), direct.login()

        def kid_becomes(other: bool) -> None:  # noqa: FBT001 - of one call
            deadline = time.monotonic() + SECONDS_MAX
            kid = jwt.get_unverified_header(first.token)["kid"]
            while (jwt.get_unverified_header(direct.login().token)["kid"] != kid) is not other:
                assert time.monotonic() < deadline
                time.sleep(0.1)

        request_id = new_request_id()
        following = direct.refresh(first.refresh_token, request_id).refresh_token
        latter = signing_key()
        write_private(path, latter + former)
        kid_becomes(other=True)
        assert direct.uses(first.token) == SERVED
        assert direct.refresh(first.refresh_token, request_id).refresh_token == following
        second = direct.refresh(following)
        write_private(path, "nonsense")
        time.sleep(2)
        assert direct.uses(second.token) == SERVED
        write_private(path, latter)
        deadline = time.monotonic() + SECONDS_MAX
        while direct.uses(first.token) != ENDED:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert direct.uses(second.token) == SERVED
        assert direct.uses(direct.refresh(second.refresh_token).token) == SERVED
        direct.channel.close()


class TestCommandLine:
    """The session in the file that commands share."""

    @pytest.fixture
    def terminal(self, system: Up, tmp_path: Path) -> Terminal:
        """Be logged in."""
        terminal = Terminal(system.address, tmp_path)
        terminal.login(*ANN)
        return terminal

    def _age(self, terminal: Terminal) -> dict[str, Any]:
        """Have the access token about to end; return what the file holds."""
        saved: dict[str, Any] = json.loads(terminal.token.read_text())
        terminal.token.write_text(json.dumps(saved | {"expire_seconds": time.time() + 1}))
        return saved

    def test_commands_refresh_and_keep_the_file_to_themselves(self, terminal: Terminal) -> None:
        """Mode 0600 before and after."""
        saved = self._age(terminal)
        assert terminal.token.stat().st_mode & 0o777 == 0o600
        terminal.run("whoami")
        after = json.loads(terminal.token.read_text())
        assert terminal.token.stat().st_mode & 0o777 == 0o600
        assert after["refresh_token"] != saved["refresh_token"]
        assert after["expire_seconds"] > time.time() + 60
        terminal.run("whoami")
        assert json.loads(terminal.token.read_text()) == after

    def test_commands_at_once_refresh_once(self, terminal: Terminal) -> None:
        """Two exchanges of one refresh token would end the session."""
        self._age(terminal)
        running = [
            subprocess.Popen(  # noqa: S603 - our own command
                [*COMMAND, "whoami"],
                env=terminal.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(4)
        ]
        assert [one.wait(SECONDS_MAX) for one in running] == [0] * 4
        terminal.run("order", "1", "1")

    def test_an_exchange_that_was_cut_short_is_repeated(
        self, terminal: Terminal, direct: Direct
    ) -> None:
        """The file has the id of the exchange; its answer was lost with the command."""
        saved = self._age(terminal)
        request_id = new_request_id()
        following = direct.refresh(saved["refresh_token"], request_id)
        saved |= {"expire_seconds": 0.0, "request_id": request_id}
        terminal.token.write_text(json.dumps(saved))
        terminal.run("whoami")
        assert json.loads(terminal.token.read_text())["refresh_token"] == following.refresh_token

    def test_an_access_token_that_is_refused_is_exchanged(self, terminal: Terminal) -> None:
        """As where this machine's clock is behind."""
        saved = json.loads(terminal.token.read_text())
        terminal.token.write_text(json.dumps(saved | {"token": "x.y.z"}))
        terminal.run("order", "1", "1")

    def test_a_log_out_ends_the_session(self, terminal: Terminal, direct: Direct) -> None:
        """And a copy of the file serves nobody."""
        saved = json.loads(terminal.token.read_text())
        terminal.run("logout")
        assert not terminal.token.exists()
        assert direct.uses(saved["token"]) == ENDED
        terminal.run("whoami", status=3)
        terminal.run("logout")

    def test_sessions_are_listed_and_ended(self, terminal: Terminal, direct: Direct) -> None:
        """The list says which one this is."""
        other = direct.login("other")
        listed = terminal.json("sessions", "list")
        assert isinstance(listed, dict)
        assert other.session_id in {one["id"] for one in listed["sessions"]}
        shown, said = terminal.run("sessions", "list")
        assert "inventory on" in shown
        assert f"this is session {listed['current_session_id']}" in said
        terminal.run("sessions", "end", status=2)
        terminal.run("sessions", "end", "1", "--all", status=2)
        terminal.run("sessions", "end", str(other.session_id))
        assert direct.uses(other.token) == ENDED
        terminal.run("sessions", "list", "--user", "1000000", status=3)
        terminal.run("sessions", "end", "--all")
        terminal.run("whoami", status=3)
