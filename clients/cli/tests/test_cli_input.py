"""The command line with bad input, with a bad token file, and without a gateway."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from inventory_cli.commands import app
from inventory_client import Inventory, InventoryError
from inventory_client.errors import error_of
from typer.testing import CliRunner, Result
from wire import errors

NOBODY = "127.0.0.1:1"
HUGE = "99999999999999999999"
Run = Callable[..., Result]


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the token is kept."""
    path = tmp_path / "inventory" / "token"
    monkeypatch.setenv("INVENTORY_TOKEN_FILE", str(path))
    return path


@pytest.fixture
def run(token: Path) -> Run:
    """Return the command line, at an address where nobody listens."""
    del token

    def run(*arguments: str, text: str = "") -> Result:
        return CliRunner().invoke(
            app, ["--address", NOBODY, "--timeout", "0.1", *arguments], input=text
        )

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("item", "get", HUGE), "less than or equal"),
        (("order", HUGE), "less than or equal"),
        (("order", "1", HUGE), "less than or equal"),
        (("order", "1", "-1"), "greater than or equal to 1"),
        (("order", "1", "0"), "greater than or equal to 1"),
        (("order", "--line", "²:1"), "is not ID:QUANTITY"),
        (("order", "--line", f"1:{HUGE}"), "is not ID:QUANTITY"),
        (("order", "--line", "1:0"), "is not ID:QUANTITY"),
        (("orders", HUGE), "less than or equal"),
        (("orders", "0"), "greater than or equal"),
        (("item", "add", "Pen", "1.00", HUGE), "less than or equal"),
        (("stock", "adjust", "1", f"-{HUGE}"), "greater than or equal"),
        (("stock", "set", "1", "-1"), "greater than or equal to 0"),
        (("stock", "set", "1", "1", "--expect", HUGE), "less than or equal"),
        (("user", "disable", HUGE), "less than or equal"),
        (("--timeout", "inf", "whoami"), "'inf' is not a number of seconds"),
        (("--timeout", "nan", "whoami"), "'nan' is not a number of seconds"),
        (("--timeout", "0", "whoami"), "'0' is not 0.1 to 600 seconds"),
        (("--max-staleness", "inf", "whoami"), "'inf' is not a number of seconds"),
        (("--max-staleness", "1e300", "whoami"), "'1e300' is not a number of seconds"),
        (("--max-staleness", "3601", "whoami"), "'3601' is not 0 to 3600 seconds"),
        (("--address", "", "whoami"), "is not host:port"),
        (("--address", "127.0.0.1", "whoami"), "is not host:port"),
        (("--address", "127.0.0.1:99999", "whoami"), "is not host:port"),
        (("--address", "host:port", "whoami"), "is not host:port"),
        (("up", "--currency", "dollars"), "is no ISO 4217 code"),
        (("up", "--currency", "ZZZ"), "is no ISO 4217 code"),
        (("up", "--currency", "XAU"), "is no ISO 4217 code"),
        (("bootstrap", "--keys", ".", "--file", "x", "--currency", "usd"), "ISO 4217"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    """Exit status 2, nothing on stdout, and no traceback."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert said in " ".join(re.sub("[│╭╮╰╯─]", " ", done.stderr).split())


@pytest.mark.slow  # waits for an answer
def test_a_gateway_that_is_away_is_named(run: Run) -> None:
    """The message has the address and what to do; the exit status is 4."""
    done = run("item", "list")
    assert done.exit_code == 4
    assert f"Is a gateway running at {NOBODY}?" in done.stderr
    done = run("order", "1", "1", "--request-id", "mine")
    assert done.exit_code == 4
    assert f"Is a gateway running at {NOBODY}?" in done.stderr
    assert "Connection refused" in done.stderr
    assert "Try again with --request-id mine" in done.stderr


@pytest.mark.slow  # waits for an answer
@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "create", "Ann", "customer", "--request-id", "mine"),
        ("user", "password", "1", "--request-id", "mine"),
        ("user", "disable", "1", "--request-id", "mine"),
        ("checkpoint", "--request-id", "mine"),
        ("stock", "set", "1", "1", "--request-id", "mine"),
    ],
)
def test_what_may_have_happened_can_be_tried_again(run: Run, arguments: tuple[str, ...]) -> None:
    """A command whose message names `--request-id` has the option."""
    done = run(*arguments, text="password9\n")
    assert done.exit_code == 4
    assert "Try again with --request-id mine" in done.stderr


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            error_of(errors.request_id_expired("mine", 0, 90_000), "mine"),
            "Look with: inventory orders, or inventory item get ID",
        ),
        (
            error_of(errors.overloaded(), "mine", unanswered=True),
            "Try again with --request-id mine",
        ),
    ],
    ids=["forgotten", "unanswered"],
)
def test_a_refusal_that_leaves_the_outcome_unknown_says_what_helps(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: InventoryError, hint: str
) -> None:
    """The exit status is 4. A forgotten request is not to be tried again."""

    def order_item(*_: object) -> None:
        raise error

    monkeypatch.setattr(Inventory, "order_item", order_item)
    done = run("order", "1", "1", "--request-id", "mine")
    assert done.exit_code == 4
    assert done.stderr == f"inventory: {error}\n{hint}\n"


def test_a_damaged_token_file_is_named(run: Run, token: Path) -> None:
    """The exit status is 3. A login works, since a login replaces the file."""
    token.parent.mkdir()
    token.write_bytes(b"\xff\x00 nonsense\n")
    done = run("whoami")
    assert done.exit_code == 3
    assert f"{token} holds no token; log in again" in done.stderr
    assert run("login", "Ann", "--password-stdin", text="secret99\n").exit_code == 4


@pytest.mark.parametrize("arguments", [("whoami",), ("logout",)])
def test_a_token_file_that_cannot_be_used_is_named(
    run: Run, token: Path, arguments: tuple[str, ...]
) -> None:
    """The command writes one line, and its exit status is 1."""
    token.mkdir(parents=True)
    done = run(*arguments)
    assert done.exit_code == 1
    assert f"the token file {token} cannot be used: Is a directory" in done.stderr


def test_a_token_that_cannot_be_kept_is_said(
    run: Run, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands in the place of the token's folder."""
    token.parent.write_text("in the way")
    monkeypatch.setattr(Inventory, "login", lambda *_: None)
    done = run("login", "Ann", "--password-stdin", text="secret99\n")
    assert done.exit_code == 1
    assert f"the token file {token} cannot be used" in done.stderr


def test_a_service_starts_without_the_client() -> None:
    """The client takes longer to load than a service, and a restarting member is awaited."""
    program = (
        "import sys\n"
        "from inventory_cli.__main__ import main\n"
        "sys.argv = ['inventory', 'node', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    sys.exit(end.code or 'inventory_client' in sys.modules)\n"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: inventory node" in done.stdout
