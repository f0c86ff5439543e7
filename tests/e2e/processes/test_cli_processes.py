"""The command line as its users meet it: a process, its two outputs and its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.up import ROOT, Up

pytestmark = pytest.mark.slow


class Terminal:
    """Somebody at the command line, with a home of their own."""

    def __init__(self, address: str, home: Path) -> None:
        """Talk to a gateway."""
        self.token = home / "token"
        self._environment = {
            "INVENTORY_ADDRESS": address,
            "INVENTORY_TOKEN_FILE": str(self.token),
        }

    def run(self, *arguments: str, status: int = 0, text: str = "") -> tuple[str, str]:
        """Run a command; return stdout and stderr."""
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "inventory_cli", *arguments],
            env=os.environ | self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def json(self, *arguments: str) -> object:
        """Run a command for its JSON."""
        return json.loads(self.run(*arguments, "--output", "json")[0])

    def login(self, username: str, password: str) -> None:
        """Log in."""
        self.run("login", username, "--password-stdin", text=f"{password}\n")


@pytest.fixture
def terminal(system: Up, tmp_path: Path) -> Terminal:
    """Sit down at a terminal."""
    return Terminal(system.address, tmp_path)


def test_a_customer_looks_and_orders(terminal: Terminal) -> None:
    """Data on stdout, the rest on stderr; the token is for its owner alone."""
    out, err = terminal.run("login", "Gayathri", "--password-stdin", text="password1\n")
    assert out == ""
    assert "logged in as Gayathri (customer)" in err
    assert terminal.token.stat().st_mode & 0o777 == 0o600
    assert "customer" in terminal.run("whoami")[0]
    items = terminal.json("item", "list")
    assert isinstance(items, list)
    assert items[0]["name"] == "Laptop"
    assert items[0]["price"] == {"currency": "USD", "amount": "899.00", "minor": 89_900}
    before = terminal.json("item", "get", "2")
    placed = terminal.json("order", "2", "3")
    assert isinstance(before, dict)
    assert isinstance(placed, dict)
    assert placed["on_hand_after"] == before["quantity"] - 3
    several = terminal.json("order", "--line", "2:1", "--line", "3:2")
    assert isinstance(several, dict)
    assert [line["item_id"] for line in several["lines"]] == [2, 3]
    assert str(placed["order_id"]) in terminal.run("orders")[0]


def test_exit_statuses_say_what_kind_of_no_it_was(terminal: Terminal) -> None:
    """1 refused, 2 used wrongly, 3 not allowed, 4 no answer."""
    assert "Log in with" in terminal.run("item", "list", status=3)[1]
    terminal.run("login", "Gayathri", "--password-stdin", text="wrong\n", status=3)
    terminal.login("Gayathri", "password1")
    out, err = terminal.run("order", "1", "1000000", status=1)
    assert out == ""
    assert "INSUFFICIENT_STOCK" in err
    assert "ITEM_NOT_FOUND" in terminal.run("item", "get", "999999", status=1)[1]
    assert "admin" in terminal.run("user", "list", status=3)[1]
    terminal.run("order", status=2)
    terminal.run("order", "one", status=2)
    terminal.run("item", "add", "X", "1,2", status=2)
    nobody = Terminal("127.0.0.1:1", terminal.token.parent)
    err = nobody.run("--timeout", "0.5", "item", "list", status=4)[1]
    assert err.startswith("inventory: ")


def test_a_producer_keeps_items(terminal: Terminal) -> None:
    """Add, change, count, adjust, delete."""
    terminal.login("Sarthak", "password2")
    added = terminal.json("item", "add", "Desk lamp", "1,019.90", "7", "--description", "Bright")
    assert isinstance(added, dict)
    assert added["price"]["minor"] == 101_990
    item = str(added["id"])
    changed = terminal.json("item", "update", item, "--price", "20")
    assert isinstance(changed, dict)
    assert changed["price"]["amount"] == "20.00"
    adjusted = terminal.json("stock", "adjust", item, "-3")
    assert isinstance(adjusted, dict)
    assert adjusted["on_hand_after"] == 4
    terminal.run("stock", "set", item, "9", "--expect", "5", status=1)
    counted = terminal.json("stock", "set", item, "9", "--expect", "4")
    assert isinstance(counted, dict)
    assert counted["on_hand_after"] == 9
    terminal.run("item", "update", item, status=2)
    deleted = terminal.json("item", "delete", item)
    assert isinstance(deleted, dict)
    assert deleted["delete_time"] is not None


def test_status_is_for_people_and_programs(terminal: Terminal) -> None:
    """Members with name, role, term, commit, applied and pid."""
    terminal.login("Gayathri", "password1")
    status = terminal.json("status")
    assert isinstance(status, dict)
    assert [member["name"] for member in status["members"]] == ["node-0", "node-1", "node-2"]
    for member in status["members"]:
        assert {"name", "role", "term", "commit", "applied", "pid"} <= set(member)
    [leader] = [member for member in status["members"] if member["role"] == "leader"]
    assert leader["name"] == status["leader"]
    assert terminal.run("status", "--leader-pid")[0] == f"{leader['pid']}\n"
    assert "leader" in terminal.run("status")[0]


def test_the_shell_speaks_its_users_words(terminal: Terminal) -> None:
    """The predecessor's commands, with its restock rule."""
    lines = [
        "Sarthak", "password2",
        "restock", "", "Book", "About Raft", "3", "12.50",
        "get_all", "dance", "logout",
        "Gayathri", "password1",
        "order", "get_item", "1", "order", "2", "exit",
    ]  # fmt: skip
    out, err = terminal.run("shell", text="\n".join(lines) + "\n")
    assert "Book" in out
    assert "'dance' is not known" in err
    assert "look at an item first" in err
    assert "left on hand" in out


def test_restock_adds_or_sets(terminal: Terminal) -> None:
    """10 adds ten, =10 sets the count, and the prompt says so."""
    terminal.login("Sarthak", "password2")
    added = terminal.json("item", "add", "Pen", "1.00", "5")
    assert isinstance(added, dict)
    item = str(added["id"])
    lines = ["Sarthak", "password2", "restock", item, "10", "", "exit"]
    out, err = terminal.run("shell", text="\n".join(lines) + "\n")
    assert "10 adds ten, =10 sets the count" in err
    assert " 15 " in out
    lines = ["Sarthak", "password2", "restock", item, "=10", "2.00", "exit"]
    out, _ = terminal.run("shell", text="\n".join(lines) + "\n")
    assert " 10 " in out
    assert "USD 2.00" in out


def test_logout_forgets(terminal: Terminal) -> None:
    """The token is gone from this machine."""
    terminal.login("Gayathri", "password1")
    terminal.run("logout")
    assert not terminal.token.exists()


def test_help_names_every_command_and_the_exit_statuses(terminal: Terminal) -> None:
    """The help is enough to use it."""
    out, _ = terminal.run("--help")
    for word in ("login", "whoami", "item", "stock", "order", "status", "shell", "up", "ask"):
        assert word in out
    assert "4 no answer in time" in " ".join(out.split())


def test_every_option_is_documented() -> None:
    """docs/cli.md names each command of the menu."""
    text = (ROOT / "docs" / "cli.md").read_text()
    for command in ("login", "logout", "whoami", "item list", "item get", "item add",
                    "item update", "item delete", "stock adjust", "stock set", "order", "orders",
                    "status", "ask", "checkpoint", "shell", "user list", "user create",
                    "user password", "user disable", "up"):  # fmt: skip
        assert f"`inventory {command}" in text, command
