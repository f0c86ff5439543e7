"""The command line with streams that are full, closed, unread or not UTF-8."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.terminal import COMMAND, Terminal
from chaos.up import Up

pytestmark = pytest.mark.slow
OUTPUT_LOST = 5
BROKEN_PIPE = 128 + 13


@pytest.fixture
def terminal(system: Up, tmp_path: Path) -> Terminal:
    """Sit down as a customer."""
    seated = Terminal(system.address, tmp_path)
    seated.login("Sushma", "password3")
    return seated


def bash(
    terminal: Terminal, script: str, stdout: int = subprocess.PIPE, **environment: str
) -> tuple[int, str, str]:
    """Run a script, in which $inventory is the command; return exit status, stdout and stderr."""
    done = subprocess.run(  # noqa: S603 - our own scripts
        ["bash", "-c", f"set -o pipefail\n{script}"],  # noqa: S607 - whatever bash the user has
        env=terminal.environment | {"inventory": " ".join(COMMAND)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout or "", done.stderr


@pytest.fixture
def unread() -> Iterator[int]:
    """Return the writing end of a pipe whose reader has left, as after `| true`."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def orders(terminal: Terminal) -> list[int]:
    """Return the ids of the user's own orders."""
    listed = terminal.json("orders")
    assert isinstance(listed, list)
    return [int(one["id"]) for one in listed]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ("order 3 1 > /dev/full", "No space left on device"),
        ("order 3 1 -o json > /dev/full", "No space left on device"),
        ("order --line 3:1 --line 4:1 > /dev/full", "No space left on device"),
        ("order 3 1 >&-", "Bad file descriptor"),
    ],
)
def test_an_order_whose_result_is_lost_is_told_as_placed(
    terminal: Terminal, order: str, why: str
) -> None:
    """The message has the order's id, and no word of a refusal."""
    before = orders(terminal)
    ended, _, err = bash(terminal, f"$inventory {order}")
    [placed] = set(orders(terminal)) - set(before)
    said = f"inventory: order {placed} was placed. Its result cannot be written: {why}\n"
    assert (ended, err) == (OUTPUT_LOST, said)


def test_an_order_whose_reader_has_left_is_told_as_placed(terminal: Terminal, unread: int) -> None:
    """The exit status is as of other programs before `| true`; the message has the order."""
    before = orders(terminal)
    ended, _, err = bash(terminal, "$inventory order 3 1", unread)
    [placed] = set(orders(terminal)) - set(before)
    said = f"inventory: order {placed} was placed. Its result cannot be written: Broken pipe\n"
    assert (ended, err) == (BROKEN_PIPE, said)


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "done"),
    [
        ("item add 'Lost result' 1.00 5", r"item \d+ was added"),
        ("item update {item} --price 2", r"item {item} was changed"),
        ("stock adjust {item} 3", r"the stock of item {item} was adjusted to 8"),
        ("stock set {item} 3", r"the stock of item {item} was set to 3"),
        ("item delete {item}", r"item {item} was deleted"),
        ("user create Lost{item} customer <<< nobody-guesses-9", r"user \d+ was created"),
        ("user disable {user}", r"user {user} was disabled"),
        ("checkpoint", r"a checkpoint was made at index \d+"),
    ],
)
def test_every_change_whose_result_is_lost_is_told_as_done(
    terminal: Terminal, system: Up, command: str, done: str
) -> None:
    """Each command that changes something says what the command did."""
    terminal.login("admin", system.admin_password())
    item = user = ""
    if "{item}" in command:
        added = terminal.json("item", "add", "To be changed", "1.00", "5")
        assert isinstance(added, dict)
        item = str(added["id"])
    if "{user}" in command:
        out, _ = terminal.run(
            "user", "create", f"gone-{item or id(terminal)}", "customer", "-o", "json",
            text="nobody-guesses-9\n",
        )  # fmt: skip
        found = re.search(r'"id": (\d+)', out)
        assert found
        user = found[1]
    filled = command.format(item=item, user=user)
    arguments, here, words = filled.partition(" <<< ")
    ended, _, err = bash(terminal, f"$inventory {arguments} > /dev/full {here}{words}")
    assert ended == OUTPUT_LOST
    expected = rf"inventory: {done.format(item=item, user=user)}\. Its result cannot be written: "
    assert re.match(expected, err), err


@pytest.mark.long
@pytest.mark.parametrize("command", ["item list", "orders", "whoami", "status", "--help"])
def test_what_changes_nothing_says_only_that_it_cannot_write(
    terminal: Terminal, unread: int, command: str
) -> None:
    """The message names a full disk; there is no message if the reader has left."""
    assert bash(terminal, "$inventory order 3 1")[0] == 0, "there is an order to be listed"
    assert bash(terminal, f"$inventory {command} > /dev/full") == (
        OUTPUT_LOST,
        "",
        "inventory: the output cannot be written: No space left on device\n",
    )
    assert bash(terminal, f"$inventory {command}", unread) == (BROKEN_PIPE, "", "")


@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-"])
def test_an_error_that_cannot_be_written_keeps_its_exit_status(
    terminal: Terminal, redirection: str
) -> None:
    """An answer still goes to stdout, and a refusal keeps its exit status."""
    assert bash(terminal, f"$inventory item get 999999 {redirection}") == (1, "", "")
    assert bash(terminal, f"$inventory item get x {redirection}") == (2, "", "")
    ended, out, err = bash(terminal, f"$inventory order 3 1 {redirection}")
    assert (ended, err) == (0, "")
    assert "order id" in out


def test_a_name_that_the_encoding_lacks_is_written_out(terminal: Terminal) -> None:
    """Not a reason to lose the result."""
    terminal.login("Sarthak", "password2")
    terminal.run("item", "add", "Café 咖啡", "2.00", "5")
    ended, out, err = bash(terminal, "$inventory item list --name Caf", PYTHONIOENCODING="ascii")
    assert (ended, err) == (0, "")
    assert r"Caf\xe9 \u5496\u5561" in out
    shell = "printf '%s\\n' Sarthak password2 get_all exit | $inventory shell"
    ended, out, _ = bash(terminal, shell, PYTHONIOENCODING="ascii")
    assert ended == 0
    assert r"Caf\xe9 \u5496\u5561" in out


@pytest.mark.long
@pytest.mark.parametrize(
    ("typed", "status"),
    [
        (b"password1\n", 0),
        (b"password1\r\n", 0),
        (b"password1", 0),
        (b"password1\r", 3),
        (b"password1\n\r\n", 0),
        (b"password1 \n", 3),
        (b"", 2),
        (b"\n", 2),
        (b"\r\n", 2),
        (b"pass\xffword1\n", 2),
        (b"x" * 257 + b"\n", 2),
        (b"x" * 1_000_000, 2),
    ],
)
def test_a_password_is_the_first_line(terminal: Terminal, typed: bytes, status: int) -> None:
    """The line end, LF or CRLF, is no part of the password; an invalid password is never sent."""
    done = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "login", "Gayathri", "--password-stdin"],
        env=terminal.environment,
        input=typed,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.count(b"\n") <= 2, done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("option", ["", "--password-stdin"])
@pytest.mark.parametrize("stdin", ["<&-", "0> /dev/null"])
def test_a_password_cannot_come_from_a_closed_stdin(
    terminal: Terminal, stdin: str, option: str
) -> None:
    """A sentence, and the exit status of a wrong use."""
    ended, _, err = bash(terminal, f"$inventory login Gayathri {option} {stdin}")
    assert ended == 2
    assert err.count("\n") == 1
    assert err.startswith("inventory: ")


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (r"login $'\xff'", "is not valid UTF-8 text"),
        (r"item list --name $'caf\xe9'", "is not valid UTF-8 text"),
        (r"--address $'\xff:1' whoami", "is not valid UTF-8 text"),
        (r"ask $'\xff'", "is not valid UTF-8 text"),
        ("--address １２７.0.0.1:1 whoami", "is not host:port"),  # noqa: RUF001 - as it is typed
        ("--address 127.0.0.1:５ whoami", "is not host:port"),  # noqa: RUF001 - as it is typed
        ("order 3 1_0", "is not a whole number"),
        ("order 3 1.0", "is not a whole number"),
        ("order ３ 1", "is not a whole number"),  # noqa: RUF001 - as it is typed
        ("item add X 99999999999999999999", "is more than any price"),
        ("item add X 10,000,000,000.01", "is more than USD 10,000,000,000.00"),
        ("item add X 1.500", "more decimals than its currency, which has 2"),
        ("item add X 1.50 --currency JPY", "more decimals than its currency, which has 0"),
        ("item add X ''", "is not an amount"),
        ("item add X", "Missing argument"),
        ("item add ' ' 1.00", "it is blank"),
        ("item update 1 --price 1.500", "more decimals than its currency, which has 2"),
        ("item list --price-min 1,50", "is not an amount"),
        ("up --data ''", "it is empty"),
        ("bootstrap --keys '' --file x", "it is empty"),
    ],
)
def test_what_was_typed_wrongly_is_refused_with_a_sentence(
    terminal: Terminal, arguments: str, said: str
) -> None:
    """The exit status is 2, and the sentence says what is wrong, without a traceback."""
    ended, out, err = bash(terminal, f"$inventory {arguments}", COLUMNS="200")
    assert (ended, out) == (2, ""), err
    assert said in err
    assert "Traceback" not in err


def test_a_price_has_its_thousands_apart(terminal: Terminal) -> None:
    """As the documents say: 1,500 is fifteen hundred."""
    terminal.login("Sarthak", "password2")
    added = terminal.json("item", "add", "Desk", "1,500", "1")
    assert isinstance(added, dict)
    assert added["price"]["minor"] == 150_000
