"""The shell: orders without an answer, looks that failed, and the freshness of reads."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from inventory_cli import session
from inventory_cli.session import CallTarget
from inventory_cli.shell import run
from inventory_client import (
    Inventory,
    Item,
    Money,
    OutcomeUnknown,
    Placed,
    Reads,
    Refused,
    Role,
    User,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = User(id=1, name="Ann", role=Role.CUSTOMER, create_time=NOW)
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


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Answer the third order only; return the request ids of all orders."""
    seen: list[str | None] = []

    def order_item(_: Inventory, item: int, quantity: int, request_id: str | None) -> Placed:
        seen.append(request_id)
        if len(seen) < 3:
            raise OutcomeUnknown("No answer came.", request_id=request_id)
        return Placed(item, 9 - quantity, Money("USD", 250), 1)

    monkeypatch.setattr(Inventory, "order_item", order_item)
    monkeypatch.setattr(Inventory, "item", lambda *_: ITEM)
    monkeypatch.setattr(Inventory, "login", lambda *_: USER)
    return seen


def enter(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Log in, look at an item, type the lines."""
    typed = ["Ann", "secret99", "get_item", "1", *lines]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(typed) + "\n"))
    assert run(CallTarget("127.0.0.1:1", 0.1, Reads.linearizable())) == 0


def test_an_order_without_an_answer_is_sent_again_as_the_same(
    ids: list[str | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell offers to send the same request: an order that is typed anew could be doubled."""
    enter(monkeypatch, "order", "2", "yes", "y", "exit")
    assert len(ids) == 3
    assert ids[0]
    assert set(ids) == {ids[0]}
    assert "7 left on hand" in capsys.readouterr().out


def test_an_order_without_an_answer_can_be_left_alone(
    ids: list[str | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell shows the request id, so that the user can send the order later."""
    enter(monkeypatch, "order", "2", "no", "exit")
    assert len(ids) == 1
    assert f"--request-id {ids[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("looked_at", ["99", "x"])
def test_a_look_that_failed_changes_nothing_of_what_is_ordered(
    monkeypatch: pytest.MonkeyPatch, looked_at: str
) -> None:
    """An order is for the item that was last seen, not for the item of the failed look."""
    ordered: list[int] = []

    def get_item(_: Inventory, item: int) -> Item:
        if item != ITEM.id:
            raise Refused("No item 99.")
        return ITEM

    def order_item(_: Inventory, item: int, quantity: int, request_id: str | None) -> Placed:
        del request_id
        ordered.append(item)
        return Placed(1, 9 - quantity, Money("USD", 250), 1)

    monkeypatch.setattr(Inventory, "item", get_item)
    monkeypatch.setattr(Inventory, "order_item", order_item)
    monkeypatch.setattr(Inventory, "login", lambda *_: USER)
    enter(monkeypatch, "get_item", looked_at, "order", "2", "exit")
    assert ordered == [ITEM.id]


def test_it_reads_as_fresh_as_the_command_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--max-staleness` stands before the command, so the shell's reads have it, too."""
    reads = Reads.bounded(timedelta(seconds=3))
    given: list[object] = []

    class Watched(Inventory):
        def __init__(self, address: str, token: None, timeout: float, **others: object) -> None:
            given.append(others.get("reads"))
            super().__init__(address, token, timeout)

    monkeypatch.setattr(session, "Inventory", Watched)
    monkeypatch.setattr("sys.stdin", io.StringIO("Ann\n"))
    assert run(CallTarget("127.0.0.1:1", 0.1, reads)) == 0
    assert given == [reads]
