"""Text of other users is shown as it is, and controls no terminal."""

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from inventory.v1 import cluster_pb2
from inventory_cli.commands import app
from inventory_cli.session import CallTarget
from inventory_cli.shell import run as run_shell
from inventory_cli.terminal import readable
from inventory_client import (
    Answer,
    Inventory,
    Item,
    Member,
    Money,
    Reads,
    Refused,
    Role,
    Status,
    User,
)
from typer.testing import CliRunner

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NASTY = "mug [/x] [b] :smile: \x1b[2J\r"
SHOWN = r"mug [/x] [b] :smile: \x1b[2J\r"
ITEM = Item(
    id=1,
    name=NASTY,
    description=NASTY,
    price=Money("USD", 250),
    quantity=9,
    create_time=NOW,
    update_time=NOW,
    delete_time=None,
)
USER = User(id=1, name=NASTY, role=Role.ADMIN, create_time=NOW)
MEMBER = Member.from_wire(
    cluster_pb2.Member(
        name=NASTY,
        address=NASTY,
        reachable=True,
        role=cluster_pb2.MEMBER_ROLE_LEADER,
        leader=NASTY,
        voters=[NASTY],
        diverged=NASTY,
    )
)
ANSWERS: dict[str, object] = {
    "items": [ITEM],
    "item": ITEM,
    "delete_item": ITEM,
    "login": USER,
    "current_user": USER,
    "users": [USER],
    "status": Status("c", (MEMBER,), NASTY, ""),
    "ask": Answer(
        text=NASTY, columns=(NASTY,), rows=((NASTY,),), query=NASTY, revision=1, understood=True
    ),
    "add_member": NASTY,
    "transfer_leadership": None,
}


@pytest.fixture(autouse=True)
def _everybody_is_nasty(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("INVENTORY_TOKEN_FILE", str(home / "token"))
    for method, answer in ANSWERS.items():
        monkeypatch.setattr(Inventory, method, returning(answer))


def returning(answer: object) -> Callable[..., object]:
    """Return a method that returns `answer` for any arguments."""
    return lambda *_, **__: answer


@pytest.mark.parametrize(
    ("arguments", "times"),
    [
        (("item", "list"), 2),
        (("item", "get", "1"), 2),
        (("login", "Ann", "--password-stdin"), 1),
        (("whoami",), 1),
        (("user", "list"), 1),
        (("status",), 2),
        (("ask", "what"), 4),
        (("cluster", "add", "node-3", "a:1"), 1),
        (("cluster", "check"), 2),
        (("cluster", "transfer"), 1),
    ],
)
def test_a_command_shows_what_it_is_given(arguments: tuple[str, ...], times: int) -> None:
    """A command writes hostile text in tables and sentences, on stdout and stderr."""
    done = CliRunner().invoke(app, list(arguments), input="secret99\n")
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.output.count(SHOWN) == times, done.output
    assert "\x1b" not in done.output


def test_a_refusal_shows_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of an error come from the server, too."""

    def refuse(*_: object) -> None:
        raise Refused(NASTY, NASTY)

    monkeypatch.setattr(Inventory, "item", refuse)
    done = CliRunner().invoke(app, ["item", "get", "1"])
    assert done.exit_code == 1
    assert done.stderr == f"inventory: {SHOWN} ({SHOWN})\n"


def test_what_was_typed_is_shown_as_it_was_typed() -> None:
    """The command line's own refusal shows the typed text, too."""
    done = CliRunner().invoke(app, ["--address", "[/x] [b]", "whoami"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "'[/x] [b]' is not host:port" in done.stderr


def test_the_shell_shows_what_it_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell shows hostile text in a table, an answer, a deleted item and a greeting."""
    typed = ["Ann", "secret99", "get_all", "llm", "what", "delete", "1", "exit"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(typed) + "\n"))
    assert run_shell(CallTarget("127.0.0.1:1", 0.1, Reads.linearizable())) == 0
    shown = capsys.readouterr()
    assert shown.out.count(SHOWN) == 1 + 2 + 3 + 1
    assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Café au lait, 2 m², 🙂", "Café au lait, 2 m², 🙂"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J\x7f\0", r"\x9b2J\x7f\x00"),
        ("over\rwritten\b", r"over\rwritten\x08"),
        ("gpj\u202eexe \u2066x", r"gpj\u202eexe \u2066x"),
        ("👩\u200d🔧", "👩\u200d🔧"),
    ],
)
def test_what_acts_on_a_terminal_is_written_out(text: str, shown: str) -> None:
    """Control characters are written as escapes, and other characters as they are."""
    assert readable(text) == shown
