"""The shell on a terminal: its prompts, its refusals and its history."""

import builtins
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from inventory_cli.prompts import History, Prompts
from inventory_cli.session import CallTarget
from inventory_cli.shell import run, stock_change
from inventory_client import Adjusted, Answer, Inventory, Item, Money, Placed, Reads, Role, User
from rich.prompt import Prompt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEM = Item(
    id=1,
    name="Pen",
    description="",
    price=Money("USD", 250),
    quantity=9,
    create_time=NOW,
    update_time=NOW,
    delete_time=None,
)
Sit = Callable[..., list[str]]


class Terminal:
    """A person who types lines. An exception among the lines stands for Ctrl-C or Ctrl-D."""

    def __init__(self, typed: Iterator[str | type[BaseException]]) -> None:
        """Type the lines of `typed`."""
        self._typed = typed
        self.asked: list[str] = []

    def isatty(self) -> bool:
        """Be a terminal."""
        return True

    def input(self, prompt: str) -> str:
        """Answer a prompt."""
        self.asked.append(prompt.removesuffix(": "))
        line = next(self._typed)
        if isinstance(line, str):
            return line
        raise line


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer every call; return the names of the calls that change something."""
    seen: list[str] = []

    def answering(name: str, answer: object) -> Callable[..., object]:
        def call(*_: object, **__: object) -> object:
            seen.append(name)
            return answer

        return call

    for name, answer in {
        "add_item": ITEM,
        "update_item": ITEM,
        "delete_item": ITEM,
        "order_item": Placed(5, 8, Money("USD", 250), 1),
        "adjust_stock": Adjusted(1, 19, 1),
        "set_stock": Adjusted(1, 10, 1),
    }.items():
        monkeypatch.setattr(Inventory, name, answering(name, answer))
    monkeypatch.setattr(Inventory, "item", lambda *_: ITEM)
    monkeypatch.setattr(Inventory, "currency", lambda _: "USD")
    answer = Answer(text="Some.", columns=(), rows=(), query="", revision=1, understood=True)
    monkeypatch.setattr(Inventory, "ask", lambda *_: answer)
    return seen


@pytest.fixture
def sit(calls: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sit:
    """Return a sitting: log in with a role, type lines; it returns what was asked for."""
    del calls
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def sit(role: str, *typed: str | type[BaseException]) -> list[str]:
        user = User(id=1, name="Ann", role=Role(role), create_time=NOW)
        monkeypatch.setattr(Inventory, "login", lambda *_: user)
        terminal = Terminal(iter(("Ann", *typed, EOFError)))
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setattr(builtins, "input", terminal.input)
        monkeypatch.setattr(Prompt, "ask", lambda *_, **__: "secret99")
        assert run(CallTarget("127.0.0.1:1", 0.1, Reads.linearizable())) == 0
        return terminal.asked[1:]

    return sit


def test_a_bad_quantity_is_refused_before_the_price_is_asked_for(
    sit: Sit, calls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell asks for each field again until the field can be read."""
    asked = sit(
        "producer", "restock", "", " ", "Pen", "", "x", "1_0", "-1", "1000000001", "5", "1.500",
        "1,5", "2.50",
    )  # fmt: skip
    assert asked == [
        "inventory",
        "Item id (blank adds an item)",
        *["Name"] * 2,
        "Description",
        *["Quantity"] * 5,
        *["Price"] * 3,
        "inventory",
    ]
    assert calls == ["add_item"]
    assert "'1.500' has more decimals than its currency, which has 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("customer", "restock"),
        ("customer", "delete"),
        ("producer", "order"),
        ("machine", "order"),
        ("machine", "restock"),
    ],
)
def test_a_role_is_looked_at_before_any_field_is_asked_for(
    sit: Sit, calls: list[str], capsys: pytest.CaptureFixture[str], role: str, command: str
) -> None:
    """A user without the role is refused before the first prompt."""
    assert sit(role, command) == ["inventory", "inventory"]
    assert calls == []
    assert f"and Ann is a {role}" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "done"), [("yes", True), ("y", True), ("no", False)])
def test_delete_names_the_item_and_asks(
    sit: Sit, calls: list[str], answer: str, done: object
) -> None:
    """The shell asks again after any answer but yes or no."""
    asked = sit("producer", "delete", "1", "", "maybe", answer)
    assert asked[2:-1] == ["Delete item 1, Pen (yes or no)"] * 3
    assert calls == (["delete_item"] if done else [])


def test_ctrl_c_cancels_a_command_and_ctrl_d_leaves(
    sit: Sit, calls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A cancelled command calls nothing."""
    asked = sit("admin", "restock", "1", KeyboardInterrupt, KeyboardInterrupt, "delete", EOFError)
    assert asked[-2:] == ["inventory", "Item id"]
    assert calls == []
    err = capsys.readouterr().err
    assert "restock is cancelled" in err
    assert "exit leaves the shell" in err
    assert err.endswith("bye\n")


def test_a_deleted_item_is_told_at_once(
    sit: Sit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell says that the item is deleted before it asks for a quantity."""
    gone = replace(ITEM, delete_time=NOW)
    monkeypatch.setattr(Inventory, "item", lambda *_: gone)
    assert sit("producer", "restock", "1")[-1] == "inventory"
    assert "item 1, Pen, is deleted" in capsys.readouterr().err


def test_an_order_that_is_broken_off_names_its_request_id(
    sit: Sit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell goes on after Ctrl-C during the call."""
    sent: list[str] = []

    def order_item(_: Inventory, item: int, quantity: int, request_id: str) -> Placed:
        del item, quantity
        sent.append(request_id)
        raise KeyboardInterrupt

    monkeypatch.setattr(Inventory, "order_item", order_item)
    asked = sit("customer", "get_item", "1", "order", "2")
    assert asked[-2:] == ["Quantity of item 1", "inventory"]
    err = capsys.readouterr().err
    assert f"the outcome is unknown\nTry again with --request-id {sent[0]}" in err


def test_the_history_holds_commands_and_questions_and_no_secret(sit: Sit, tmp_path: Path) -> None:
    """Only the owner can read the files. A password that was typed too early is not kept."""
    sit(
        "admin", "secret99", "get_item", "1", "order", "2", "llm", "cheap items", "llm",
        "is secret99 good?", "hunter22",
    )  # fmt: skip
    folder = tmp_path / "inventory"
    kept = {path.name: path.read_text() for path in folder.iterdir()}
    assert kept == {
        "shell-commands": "get_item\norder\nllm\n",
        "shell-questions": "cheap items\n",
    }
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_history_is_read_again_and_bounded(tmp_path: Path) -> None:
    """The newest lines stay. A file that others could read becomes readable for its owner alone."""
    path = tmp_path / "shell-questions"
    path.write_text("".join(f"question {number}\n" for number in range(1_000)))
    path.chmod(0o644)
    history = History(path)
    history.remember("last")
    history.remember("last")
    assert History(path).lines == [f"question {number}" for number in range(501, 1_000)] + ["last"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_history_that_cannot_be_kept_stops_nobody(tmp_path: Path) -> None:
    """The history then ends with the shell."""
    (tmp_path / "file").write_text("in the way")
    history = History(tmp_path / "file" / "shell-commands")
    history.remember("order")
    assert history.lines == ["order"]


def test_off_a_terminal_nothing_is_asked_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The next line of a script is no second answer, and a script's delete needs no answer."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    prompts = Prompts()
    assert not prompts.is_terminal
    assert prompts.confirm("Delete it")
    lines = iter(["x\n", "5\n"])
    monkeypatch.setattr("sys.stdin.readline", lambda: next(lines), raising=False)
    with pytest.raises(ValueError, match="invalid literal"):
        prompts.ask_field("Quantity", int)
    assert prompts.ask_field("Quantity", int) == 5


@pytest.mark.parametrize("text", ["x", "=", "=-1", "1_0", "--1", "0", "=1.0", "1000000001", "²"])
def test_a_change_of_stock_is_plain_digits(text: str) -> None:
    """10 adds ten, -3 takes three, =10 sets the count; other text is refused."""
    with pytest.raises(ValueError, match=r"12|=0"):
        stock_change(text)
