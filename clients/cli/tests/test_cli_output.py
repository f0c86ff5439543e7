"""How results are written."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from inventory.v1 import cluster_pb2
from inventory_cli import output, terminal
from inventory_cli.commands import app
from inventory_cli.output import plain, print_answer, print_table, table
from inventory_client import Inventory, Item, Member, Money, Order, OrderLine, Status
from rich.console import Console
from typer.testing import CliRunner

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def item_of(item_id: int, name: str, price: Money) -> Item:
    """Return an item with one on hand."""
    return Item(
        id=item_id,
        name=name,
        description="",
        price=price,
        quantity=1,
        create_time=NOW,
        update_time=NOW,
        delete_time=None,
    )


def lines(columns: tuple[str, ...], *row: object) -> str:
    """Return a table of one row as text."""
    written = io.StringIO()
    Console(file=written, width=100).print(table(columns, [row]))
    return written.getvalue()


@pytest.mark.parametrize("column", ["id", "pid", "item", "user"])
def test_a_number_that_names_something_is_written_as_it_is_typed(column: str) -> None:
    """`kill 1,234` ends nothing."""
    assert " 1234 " in lines(("a", column, "b"), "x", 1234, "y")


def test_a_number_that_counts_has_its_thousands_apart() -> None:
    """A table separates the thousands of a count."""
    assert "1,234" in lines(("a", "quantity"), "x", 1234)


def test_json_holds_amounts_that_programs_can_read() -> None:
    """Amounts have no commas, so that a program can read them as decimals."""

    @dataclass
    class Record:
        price: Money

    assert plain(Record(Money("USD", 123_456_789))) == {
        "price": {"currency": "USD", "amount": "1234567.89", "minor": 123_456_789}
    }


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Write tables for a terminal of 80 columns."""
    written = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=written, width=80))
    return written


def shown(screen: io.StringIO) -> list[str]:
    """Return the lines without the blanks at their ends."""
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def status(*names: str) -> Status:
    """Return a cluster whose first member leads and whose last member does not answer."""
    members = tuple(
        Member.from_wire(
            cluster_pb2.Member(
                name=name,
                address=f"{name}.inventory-node.shop.svc.cluster.local:7400",
                reachable=name != names[-1],
                role=cluster_pb2.MEMBER_ROLE_LEADER
                if name == names[0]
                else cluster_pb2.MEMBER_ROLE_FOLLOWER,
                standing=cluster_pb2.MEMBER_STANDING_VOTER,
                term=12,
                commit_index=1_234_567,
                applied_index=1_234_567,
                pid=4_711,
            )
            if name != names[-1]
            else cluster_pb2.Member(name=name, address="a:1")
        )
        for name in names
    )
    return Status("c", members, names[0], "")


def run(monkeypatch: pytest.MonkeyPatch, answer: object, method: str, *arguments: str) -> None:
    """Run a command whose call returns `answer`."""
    monkeypatch.setattr(Inventory, method, lambda *_, **__: answer)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output


def test_a_narrow_terminal_loses_addresses_before_names(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns the names can be told apart; a silent member has dashes."""
    names = ("inventory-node-0", "inventory-node-1", "inventory-node-2")
    run(monkeypatch, status(*names), "status", "status")
    assert shown(screen) == [
        "member            role         standing  term     commit    applied   pid",
        "inventory-node-0  leader       voter       12  1,234,567  1,234,567  4711",
        "inventory-node-1  follower     voter       12  1,234,567  1,234,567  4711",
        "inventory-node-2  unreachable  -            -          -          -     -",
    ]


def test_a_name_never_shrinks(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name as wide as the terminal is shown whole, too."""
    names = tuple(f"inventory-in-a-very-long-release-name-node-{place}" for place in range(3))
    run(monkeypatch, status(*names), "status", "status")
    for name in names:
        assert any(line.startswith(name) for line in shown(screen))


def test_programs_get_every_member_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has whole numbers, and silent members, too."""
    monkeypatch.setattr(Inventory, "status", lambda _: status("node-0", "node-1"))
    done = CliRunner().invoke(app, ["status", "-o", "json"])
    assert '"commit": 0' in done.stdout
    assert '"pid": 4711' in done.stdout


def test_a_leader_that_is_silent_has_no_pid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pid of 0 would be dangerous: `kill 0` ends the shell that it is typed in."""
    found = status("node-0", "node-1")
    silent = Status("c", found.members, "node-1", "")
    monkeypatch.setattr(Inventory, "status", lambda _: silent)
    done = CliRunner().invoke(app, ["status", "--leader-pid"])
    assert (done.exit_code, done.stdout) == (4, "")


def test_an_answer_has_its_numbers_at_the_right(screen: io.StringIO) -> None:
    """As a list of items has."""
    print_answer(
        ("id", "name", "price", "quantity"),
        [("3", "Mouse", "USD 24.99", "1,150"), ("12", "42", "USD 1,149.50", "60")],
    )
    assert shown(screen) == [
        "id  name          price  quantity",
        " 3  Mouse     USD 24.99     1,150",
        "12  42     USD 1,149.50        60",
    ]


def test_prose_is_broken_between_words_and_nothing_else_is(screen: io.StringIO) -> None:
    """The description gives way to the rest."""
    print_table(
        ("name", "price", "description"),
        [("Wireless Mouse", Money("USD", 2_499), "Bluetooth, two buttons and a wheel " * 3)],
    )
    lines = shown(screen)
    assert lines[1].startswith("Wireless Mouse  USD 24.99  Bluetooth, two buttons")
    assert all(len(line) <= 80 for line in lines)
    assert " ".join(" ".join(lines[1:]).split()).endswith("and a wheel")


def orders() -> list[Order]:
    """Return one order of two items."""
    lines = (OrderLine(1, 2, Money("USD", 100), 5), OrderLine(7, 1, Money("USD", 50), 0))
    return [Order(9, 1, lines, Money("USD", 250), NOW)]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("orders",), " 9     1  2 Item 1 (1), 1 Item 7 (7)  USD 2.50  2026-01-01 00:00:00"),
        (("orders", "9"), "   7  Item 7         1    USD 0.50              0"),
    ],
)
def test_orders_name_their_items(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], line: str
) -> None:
    """Beside the ids."""

    def get_item(_: Inventory, item: int) -> Item:
        return item_of(item, f"Item {item}", Money("USD", 1))

    monkeypatch.setattr(Inventory, "item", get_item)
    monkeypatch.setattr(Inventory, "orders", lambda _: iter(orders()))
    run(monkeypatch, orders()[0], "order", *arguments)
    assert line in shown(screen)


def test_a_list_may_be_cut(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--limit` reads no further."""
    items = [item_of(one, f"Item {one}", Money("USD", 1)) for one in range(1, 9)]
    run(monkeypatch, iter(items), "items", "item", "list", "--limit", "3")
    assert len(shown(screen)) == 1 + 3


def test_every_filter_reaches_the_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With amounts in the inventory's own currency."""
    asked: dict[str, object] = {}

    def items(_: Inventory, **filters: object) -> list[Item]:
        asked.update(filters)
        return []

    monkeypatch.setattr(Inventory, "items", items)
    options = (
        "--name=pen --price-min=1 --price-max=1,000.5 --quantity-min=0 --quantity-max=9 "
        "--order-by=price"
    )
    run(monkeypatch, "KWD", "currency", "item", "list", *options.split())
    assert asked == {
        "name_contains": "pen",
        "price_min": Money("KWD", 1_000),
        "price_max": Money("KWD", 1_000_500),
        "quantity_min": 0,
        "quantity_max": 9,
        "order_by": "price",
    }


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", "one two\nthree"),
        ("one\ntwo three four", "one\ntwo three\nfour"),
        ("see /a/path/that/is/long now", "see\n/a/path/that/is/long\nnow"),
        ("咖啡 咖啡 咖啡", "咖啡 咖啡\n咖啡"),
        ("", ""),
    ],
)
def test_sentences_are_broken_between_words(text: str, lines: str) -> None:
    """A path is never broken, so that it can be copied from a line."""
    assert terminal.wrapped(text, 10) == lines


def test_the_version_is_shown() -> None:
    """Before anything is asked for."""
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.stdout.startswith("inventory 0.")


def test_the_shell_completes_commands() -> None:
    """The shell knows the commands' names without a call."""
    environment = {
        "_INVENTORY_COMPLETE": "complete_bash",
        "COMP_WORDS": "inventory sto",
        "COMP_CWORD": "1",
    }
    done = CliRunner().invoke(app, [], prog_name="inventory", env=environment)
    assert done.stdout.split() == ["stock"]
