"""Ctrl-C and SIGTERM while a command waits for an answer."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SECONDS_MAX = 60


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Listen, and answer nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(SECONDS_MAX)
        yield listener


def interrupted(
    silent: socket.socket, home: Path, number: signal.Signals, *arguments: str
) -> tuple[int, str, str]:
    """Send a signal to a command that has called; return exit status, stdout, stderr."""
    running = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "inventory_cli", "--timeout", "600", *arguments],
        env=os.environ
        | {
            "INVENTORY_ADDRESS": f"127.0.0.1:{silent.getsockname()[1]}",
            "INVENTORY_TOKEN_FILE": str(home / "token"),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if running.stdin is not None:
        running.stdin.write("password9\n")
        running.stdin.flush()
    try:
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            running.send_signal(number)
            out, err = running.communicate(timeout=SECONDS_MAX)
    finally:
        running.kill()
    return running.returncode, out, err


SIGNALS = ((signal.SIGINT, 130), (signal.SIGTERM, 143))


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        ("order", "1", "1"),
        ("order", "--line", "1:1"),
        ("item", "delete", "1"),
        ("item", "update", "1", "--name", "Pen"),
        ("item", "add", "Pen", "1.00", "--currency", "USD"),
        ("stock", "adjust", "1", "1"),
        ("stock", "set", "1", "1"),
        ("user", "create", "Ann", "customer"),
        ("user", "password", "1"),
        ("user", "disable", "1"),
        ("checkpoint",),
    ],
    ids=" ".join,
)
def test_a_change_that_is_broken_off_names_its_request_id(
    silent: socket.socket, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """The outcome is unknown; the same command with the request id tells the outcome."""
    ended, out, err = interrupted(silent, tmp_path, signal.SIGINT, *arguments)
    assert (ended, out) == (130, ""), err
    assert re.fullmatch(
        "inventory: interrupted before the answer came: the outcome is unknown\n"
        r"Try again with --request-id [0-9a-f-]{36}\n",
        err,
    ), err


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_request_id_of_ones_own_is_named(
    silent: socket.socket, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """The message has the request id that the user typed."""
    arguments = ("order", "1", "1", "--request-id", "mine")
    ended, _, err = interrupted(silent, tmp_path, number, *arguments)
    assert ended == status
    assert err.endswith("Try again with --request-id mine\n")


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "node-3", "127.0.0.1:1"),
        ("promote", "node-3"),
        ("remove", "node-3"),
        ("transfer",),
    ],
    ids=" ".join,
)
def test_a_change_of_the_members_that_is_broken_off_is_unknown_too(
    silent: socket.socket, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """A change of the members has no request id: `inventory status` shows its outcome."""
    ended, _, err = interrupted(silent, tmp_path, signal.SIGINT, "cluster", *arguments)
    assert ended == 130
    assert "the outcome is unknown\nLook with: inventory status\n" in err


@pytest.mark.long
@pytest.mark.parametrize(("number", "status"), SIGNALS)
@pytest.mark.parametrize(
    "arguments", [("whoami",), ("status",), ("login", "Ann", "--password-stdin")], ids=" ".join
)
def test_a_read_that_is_broken_off_says_nothing_of_an_outcome(
    silent: socket.socket,
    tmp_path: Path,
    arguments: tuple[str, ...],
    number: signal.Signals,
    status: int,
) -> None:
    """A read changes nothing."""
    assert interrupted(silent, tmp_path, number, *arguments) == (status, "", "")
