"""Whatever is typed, for any argument or option of any command: taken, or refused in a sentence."""

import inspect
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inventory_cli import process
from inventory_cli.commands import app
from inventory_cli.errors import UpError
from inventory_cli.up import command as up_command
from inventory_cli.up import ports
from inventory_client import Inventory, Refused
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

HOSTILE = {
    "empty": "",
    "blank": " ",
    "tab": "\t",
    "huge": "99999999999999999999",
    "longer than python reads": "9" * 5_000,
    "negative": "-1",
    "negative and huge": "-99999999999999999999",
    "underscore": "1_0",
    "decimal": "1.0",
    "exponent": "1e3",
    "spaces": " 1 ",
    "not a number": "nan",
    "infinite": "inf",
    "hexadecimal": "0x10",
    "superscript": "²",
    "full width": "\uff11\uff12",
    "arabic": "\u0663",
    "newline": "1\n",
    "nul": "1\0",
    "no utf-8": "caf\udce9",
    "escape": "\x1b[2J",
    "file": "/dev/null/x",
    "long": "x" * 10_000,
}
GOOD = {  # what a required argument is given while another value is hostile
    "item": "1",
    "item_id": "1",
    "user": "1",
    "count": "1",
    "quantity": "1",
    "delta": "1",
    "price": "1.00",
    "role": "customer",
    "name": "node-3",
    "username": "Ann",
    "address": "127.0.0.1:1",
    "question": "what",
    "keys": "/dev/null",
    "folder": "/dev/null",
    "process": "gateway",
    "file": "/dev/null/x",
}
SERVICES = {"node", "gateway", "assistant", "metrics", "health"}  # they have no values
NO_TEXT = ("nul", "no utf-8")  # what no argument may hold
Sent = list[str]


Parameter = TyperArgument | TyperOption


def commands() -> dict[tuple[str, ...], list[Parameter]]:
    """Return the parameters of every command by its words; () has the global options."""
    found: dict[tuple[str, ...], list[Parameter]] = {}
    waiting: list[tuple[tuple[str, ...], object]] = [((), get_command(app))]
    while waiting:
        words, command = waiting.pop()
        if isinstance(command, TyperGroup):
            waiting += [((*words, name), one) for name, one in command.commands.items()]
        if words == () or not isinstance(command, TyperGroup):
            taken = getattr(command, "params", [])
            found[words] = [one for one in taken if isinstance(one, Parameter)]
    return {words: one for words, one in found.items() if not SERVICES.intersection(words[:1])}


COMMANDS = commands()


def cases(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield a command line for every value of every parameter of a command."""
    arguments = [one for one in COMMANDS[words] if isinstance(one, TyperArgument)]
    options = [one for one in COMMANDS[words] if isinstance(one, TyperOption)]
    needed = [text for one in options if one.required for text in (one.opts[0], GOOD[one.name])]
    good = [GOOD[one.name] for one in arguments if one.required]
    for option, value in itertools.product(options, HOSTILE.values()):
        if not option.is_flag and not option.opts[0].endswith("-completion"):
            given = f"{option.opts[0]}={value}"
            yield (*words, *needed, *good, given) if words else (given, "whoami")
    for place, value in itertools.product(range(len(arguments)), HOSTILE.values()):
        before = [GOOD[one.name] for one in arguments[:place]]
        yield (*words, *needed, "--", *before, value, *good[place + 1 :])


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sent:
    """Refuse every call; return the names of the methods that were called."""
    seen: Sent = []

    def refusing(name: str) -> Callable[..., object]:
        def refuse(*_: object, **__: object) -> object:
            seen.append(name)
            raise Refused("no")

        return refuse

    for name, one in inspect.getmembers(Inventory, inspect.isfunction):
        if callable(one) and not name.startswith("_"):
            monkeypatch.setattr(Inventory, name, refusing(name))
    monkeypatch.setattr(Inventory, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(Inventory, "close", lambda _: None)
    monkeypatch.setattr(Inventory, "currency", lambda _: "USD")

    def start(*_: object, **__: object) -> None:
        seen.append("up")
        raise UpError("no")

    monkeypatch.setattr(up_command, "_prepare", start)
    monkeypatch.setattr(ports, "claim", lambda *_: {})
    monkeypatch.setattr(process, "app", get_command(app))  # made once
    monkeypatch.setenv("INVENTORY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.chdir(tmp_path)
    return seen


@pytest.mark.slow  # hundreds of command lines
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_value_is_taken_or_refused_with_a_sentence(
    words: tuple[str, ...],
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No traceback; exit status 1, which says refused, only where something was asked for."""
    for arguments in cases(words):
        sent.clear()
        monkeypatch.setattr("sys.stdin", io.StringIO("password9\n"))
        status = process.run(arguments)
        shown = capsys.readouterr()
        where = f"{arguments!r:.300}: {status}, {shown.err:.300}"
        assert status in {0, 1, 2}, where
        assert "Traceback" not in shown.err, where
        assert status == 0 or shown.err.strip(), where
        assert status != 1 or sent or words[0] in {"up", "bootstrap", "pki"}, where
        assert not (sent and status == 2), where
        assert "\x1b" not in shown.out + shown.err, where
        if any(HOSTILE[one] in argument for one in NO_TEXT for argument in arguments):
            assert status == 2, where


def test_every_kind_of_command_is_tried() -> None:
    """The commands of groups and the global options are tried, too."""
    assert {(), ("order",), ("item", "add"), ("cluster", "verify"), ("up",)} <= set(COMMANDS)
    assert sum(len(list(cases(words))) for words in COMMANDS) > 1_000
