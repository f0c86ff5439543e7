"""Operators' commands let a cluster grow, move its lead and shrink."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.ports import free_port
from chaos.up import Up
from inventory_cli.up.layout import Layout, tls_settings
from inventory_client import Inventory, Refused
from pki.identities import parse_identity

pytestmark = pytest.mark.slow
SECONDS_MAX = 60.0
POLL_SECONDS = 0.1


class Operator:
    """Somebody with a terminal, logged in."""

    def __init__(self, system: Up, folder: Path) -> None:
        """Keep the token below `folder`."""
        self._places = {
            "INVENTORY_ADDRESS": system.address,
            "INVENTORY_TOKEN_FILE": str(folder / "token"),
        }

    def type(self, *words: str, stdin: str = "") -> tuple[int, str]:
        """Run a command; return its exit status and its output."""
        done = subprocess.run(  # noqa: S603 - our own command
            [str(Path(sys.executable).with_name("inventory")), "--timeout", "20", *words],
            env=os.environ | self._places,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def admin_of(system: Up, folder: Path) -> Operator:
    """Log in as the admin that the first start made."""
    operator = Operator(system, folder)
    status, said = operator.type(
        "login", "admin", "--password-stdin", stdin=system.admin_password()
    )
    assert status == 0, said
    return operator


@pytest.fixture
def admin(system: Up, tmp_path: Path) -> Operator:
    """Log in to the system of all tests."""
    return admin_of(system, tmp_path)


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Up]:
    """Run a system whose members a test may change."""
    with Up(tmp_path / "data") as running:
        yield running


@pytest.fixture
def fourth(changing: Up, tmp_path: Path) -> Iterator[str]:
    """Run a fourth member that waits to be added; return its address."""
    address = f"127.0.0.1:{free_port()}"
    members = changing.watcher.status().members
    settings = {
        "INVENTORY_NODE_NAME": "node-3",
        "INVENTORY_NODE_LISTEN": address,
        "INVENTORY_NODE_ADDRESS": address,
        "INVENTORY_NODE_JOIN": "wait",
        "INVENTORY_NODE_MEMBERS": ",".join(f"{one.name}={one.address}" for one in members),
        "INVENTORY_DATA_DIR": str(tmp_path / "node-3"),
    }
    pki = Layout(changing.data).pki
    settings |= tls_settings(pki.keep(parse_identity("node-3")))
    with (tmp_path / "node-3.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "inventory_node"], env=os.environ | settings, stderr=log
        )
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def until(admin: Operator, wanted: str, *words: str) -> None:
    """Type a command until its output has the wanted text."""
    deadline = time.monotonic() + SECONDS_MAX
    said = ""
    while time.monotonic() < deadline:
        _, said = admin.type(*words)
        if wanted in said:
            return
        time.sleep(POLL_SECONDS)
    raise AssertionError(said)


def test_a_member_is_added_promoted_made_leader_and_removed(
    changing: Up, tmp_path: Path, fourth: str
) -> None:
    """Clients order all the while, at the one address that they know."""
    admin = admin_of(changing, tmp_path)
    with Inventory(changing.address) as customer:
        customer.login("Gayathri", "password1")
        until(admin, "node-3 is a learner", "cluster", "add", "node-3", fourth)
        assert customer.order_item(1, 1).order_id
        until(admin, "node-3 is a voter", "cluster", "promote", "node-3")
        status, said = admin.type("cluster", "transfer", "node-3")
        assert (status, said.strip()) == (0, "node-3 leads")
        assert customer.order_item(1, 1).order_id
        shown = {one.name: (one.role, one.standing) for one in changing.watcher.status().members}
        assert shown["node-3"] == ("leader", "voter")
        assert len(shown) == 4
        status, said = admin.type("cluster", "remove", "node-0")
        assert (status, said.strip()) == (0, "node-0 is removed")
        assert customer.order_item(1, 1).order_id
        until(admin, "removed", "cluster", "status")
        status, said = admin.type("cluster", "remove", "node-3")
        assert (status, said.strip()) == (0, "node-3 is removed"), "it led"
        assert customer.order_item(1, 1).order_id


def test_an_operator_compares_the_states(system: Up, admin: Operator) -> None:
    """The operator asks for a checkpoint, whatever checkpoints come by themselves."""
    assert len(system.watcher.status().members) == 3
    status, said = admin.type("cluster", "verify")
    assert (status, said.strip()) == (0, "every member holds the same state")


def test_what_makes_no_sense_is_refused_in_a_sentence(system: Up, admin: Operator) -> None:
    """And changes nothing."""
    before = system.watcher.status().members
    for words, refused, expected in (
        (("add", "node-9", "127.0.0.1:1"), 1, "no member answers at 127.0.0.1:1"),
        (("add", "Node 9", "127.0.0.1:1"), 2, "'Node 9' is no member's name, such as node-3"),
        (("add", "node-9", "nowhere"), 2, "'nowhere' is not host:port"),
        (("add", "node-9", before[0].address), 1, "node-0 answers at"),
        (("promote", "node-9"), 1, "No member 'node-9' takes part"),
        (("remove", "node-9"), 1, "No member 'node-9' takes part"),
        (("transfer", "node-9"), 1, "No member 'node-9' takes part"),
    ):
        status, said = admin.type("cluster", *words)
        assert status == refused, said
        assert expected in " ".join(said.split()), said
    after = system.watcher.status().members
    assert [one.standing for one in after] == ["voter"] * 3


def test_only_admins_change_members(system: Up) -> None:
    """A producer keeps items, not the cluster."""
    with Inventory(system.address) as producer:
        producer.login("Sarthak", "password2")
        with pytest.raises(Refused, match="takes admin"):
            producer.remove_member("node-0")
