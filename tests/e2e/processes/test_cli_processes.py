"""The command line as a process: its arguments, its two outputs and its exit status."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos.terminal import Terminal
from chaos.up import ROOT, Up
from inventory_cli.commands import app
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

pytestmark = pytest.mark.slow


@pytest.fixture
def terminal(system: Up, tmp_path: Path) -> Terminal:
    """Sit down at a terminal."""
    return Terminal(system.address, tmp_path)


def test_a_customer_looks_and_orders(terminal: Terminal) -> None:
    """Data go to stdout, the rest to stderr; only the owner can read the token."""
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


def test_status_is_for_people_and_programs(terminal: Terminal, system: Up) -> None:
    """Members with name, role, term, commit, applied and pid; customers see no pid."""
    terminal.login("Gayathri", "password1")
    hidden = terminal.json("status")
    assert isinstance(hidden, dict)
    assert {(one["pid"], one["address"], one["volume"]) for one in hidden["members"]} == {
        (0, "", None)
    }
    terminal.run("status", "--leader-pid", status=4)
    terminal.login("admin", system.admin_password())
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
    """The shell has the predecessor's commands and the predecessor's restock rule."""
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


def test_the_shell_deletes_and_answers_questions(terminal: Terminal) -> None:
    """The list of items leaves out deleted items."""
    terminal.login("Sarthak", "password2")
    added = terminal.json("item", "add", "Tripod [alu] /2 :camera:", "31.00", "5")
    assert isinstance(added, dict)
    item = str(added["id"])
    lines = [
        "Sarthak", "password2",
        "llm", f"check item {item}", "llm", "sing a song",
        "delete", item, "delete", "first", "get_all", "exit",
    ]  # fmt: skip
    out, err = terminal.run("shell", text="\n".join(lines) + "\n")
    answer, _, listed = out.partition(f"deleted item {item}, Tripod [alu] /2 :camera:")
    assert "Tripod [alu] /2 :camera:" in answer
    assert "USD 31.00" in answer
    assert "Laptop" in listed
    assert "Tripod" not in listed
    assert "'first' is not a whole number" in err
    deleted = terminal.json("item", "get", item)
    assert isinstance(deleted, dict)
    assert deleted["delete_time"] is not None


def test_names_are_shown_as_they_are(terminal: Terminal) -> None:
    """A bracket in an item's name is shown as a bracket."""
    terminal.login("Sarthak", "password2")
    for name in ("cable [usb-c] 2m", "mug [/handle]"):
        terminal.run("item", "add", name, "1.00", "--description", f"a {name}")
        out, _ = terminal.run("item", "list", "--name", name)
        assert out.count(name) == 2


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
    """The token's file is gone."""
    terminal.login("Gayathri", "password1")
    terminal.run("logout")
    assert not terminal.token.exists()


def test_help_names_every_command_and_the_exit_statuses(terminal: Terminal) -> None:
    """A user who has the help needs no document."""
    out, _ = terminal.run("--help")
    for word in ("login", "whoami", "item", "stock", "order", "status", "shell", "up", "ask"):
        assert word in out
    assert "4 no answer in time" in " ".join(out.split())


@dataclass(frozen=True, slots=True)
class Typed:
    """A command with its options, or the beginning of several commands."""

    words: str  # behind `inventory`
    is_command: bool  # not only the beginning of some
    options: tuple[frozenset[str], ...]  # the spellings of each


def typed() -> Iterator[Typed]:
    """Yield every command and option that a user can type, by the command line's own tables."""
    waiting = [("", get_command(app))]
    while waiting:
        words, command = waiting.pop()
        inner = command.commands if isinstance(command, TyperGroup) else {}
        waiting += [(f"{words} {name}".lstrip(), one) for name, one in inner.items()]
        options = [one for one in command.params if isinstance(one, TyperOption)]
        spellings = (frozenset([*one.opts, *one.secondary_opts]) for one in options)
        yield Typed(words, not inner, tuple(spellings))


def documented() -> dict[str, str]:
    """Return what docs/cli.md says about a command, by the words behind `inventory`: its row.

    A section whose title is a command speaks of that command.
    """
    text = (ROOT / "docs" / "cli.md").read_text()
    rows = {}
    for line in text.splitlines():
        row = re.match(r"\| `inventory ([a-z-]+(?: [a-z][a-z-]*)*)", line)
        if row:
            rows[row[1]] = line
    for words in rows:
        rows[words] += text.partition(f"\n## inventory {words}\n")[2].partition("\n## ")[0]
    return rows


def test_every_command_is_documented_and_every_documented_one_is_there() -> None:
    """docs/cli.md has a row for each."""
    assert {one.words for one in typed() if one.is_command} == set(documented())


def test_every_option_is_documented() -> None:
    """The option stands in its command's row, or above the table if several commands have it."""
    above = (ROOT / "docs" / "cli.md").read_text().partition("| command |")[0]
    rows = documented()
    for one in typed():
        written = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", above + rows.get(one.words, ""))
        for spellings in one.options:
            assert spellings & set(written), f"inventory {one.words}: {spellings}"
