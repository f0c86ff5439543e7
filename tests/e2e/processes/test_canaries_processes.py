"""Secrets that are recognised wherever they are found: in logs, errors, metrics, process lists."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos.up import Up, ports_of
from inventory_cli.up.layout import PROCESSES, Layout
from inventory_client import Inventory, InventoryError
from inventory_client.auth import Bearer
from inventory_client.models import Role

pytestmark = pytest.mark.slow

NAME = "Canary of the coal mine"
PASSWORD, OTHER_PASSWORD = "a-canary-sings-Zq7", "another-canary-sings-Xw3"
WRONG_PASSWORD = "a-canary-that-is-wrong-Vb9"  # noqa: S105 - planted
FORGED = "eyJhbGciOiJIUzI1NiJ9.Y2FuYXJ5.Zm9yZ2Vk"


def refused(call: Callable[[], object]) -> str:
    """Return what a refusal says."""
    with pytest.raises(InventoryError) as caught:
        call()
    return f"{caught.value!r} {caught.value}"


@pytest.fixture(scope="module")
def planted(system: Up) -> tuple[dict[str, str], str]:
    """Let each secret pass through the running system; return them, and all that was said."""
    said = []
    secrets = {path.name: path.read_text().strip() for path in (system.data / "keys").iterdir()}
    secrets |= {"wrong password": WRONG_PASSWORD, "password": PASSWORD, "next": OTHER_PASSWORD}
    user = system.watcher.create_user(NAME, PASSWORD, Role.CUSTOMER)
    with Inventory(system.address) as client:
        client.login(NAME, PASSWORD)
        assert client.token is not None
        secrets["token"] = client.token
        said.append(refused(lambda: client.order_item(10**9, 1)))
        said.append(refused(lambda: list(client.users())))
    with Inventory(system.address) as stranger:
        said.append(refused(lambda: stranger.login(NAME, WRONG_PASSWORD)))
    with Inventory(system.address, auth=Bearer(FORGED)) as stranger:
        secrets["forged token"] = FORGED
        said.append(refused(stranger.current_user))
    said.append(refused(lambda: system.watcher.create_user(NAME, PASSWORD, Role.CUSTOMER)))
    system.watcher.set_password(user.id, OTHER_PASSWORD)
    return secrets, "\n".join(said)


def written(system: Up) -> Iterator[tuple[str, str]]:
    """Yield each place where a process of the system says something, and what it says there."""
    yield "the terminal", system.words()
    for log in system.data.joinpath("run").glob("*.log*"):
        yield log.name, log.read_text(errors="replace")
    for name in PROCESSES:
        process = Path("/proc") / system.data.joinpath("run", f"{name}.pid").read_text().strip()
        yield f"{name}: cmdline", process.joinpath("cmdline").read_text()
        yield f"{name}: environ", process.joinpath("environ").read_text()
    for name, port in ports_of(Layout(system.data)).items():
        if name.endswith("/metrics") or name == "health/page":
            page = f"http://127.0.0.1:{port}/metrics"
            try:
                with urllib.request.urlopen(page, timeout=10) as answer:
                    yield page, answer.read().decode()
            except urllib.error.HTTPError as error:
                yield page, error.read().decode()


def test_no_secret_is_found_where_processes_speak(
    system: Up, planted: tuple[dict[str, str], str]
) -> None:
    """Logs, process lists, environments, metrics pages and refusals hold none of them."""
    secrets, refusals = planted
    assert len(secrets) > 6
    places = dict(written(system)) | {"refusals": refusals}
    assert len(places) > 3 * len(PROCESSES)
    found = [
        f"{name} in {place}"
        for place, text in places.items()
        for name, secret in secrets.items()
        if secret in text
    ]
    assert found == []


def test_the_search_finds_what_is_there(system: Up) -> None:
    """Each place is read: it holds what it must."""
    places = dict(written(system))
    assert "serving" in places["gateway.log"]
    assert f"{os.sep}keys" in places["gateway: environ"]
    assert "gateway" in places["gateway: cmdline"]
    assert any("inventory_gateway_requests_total" in text for text in places.values())
