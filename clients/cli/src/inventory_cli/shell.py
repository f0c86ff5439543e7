"""The shell: log in once and work, with the commands that its users know.

get_all, get_item (asks for the id), restock (asks for an id; blank adds an item; a quantity of 10
adds ten and =10 sets the count), order (of the item last looked at), delete, llm (asks for the
text), logout, exit.
"""

import re
import sys
from typing import TYPE_CHECKING

import typer
from inventory_client import Inventory, InventoryError, Item, Money
from rich.prompt import Prompt

from inventory_cli.output import console, table
from inventory_cli.session import Connection, explain

if TYPE_CHECKING:
    from collections.abc import Callable

HELP = "commands: get_all, get_item, restock, order, delete, llm, logout, exit"
_QUANTITY = re.compile(r"(=?)(-?\d+)")


class Leave(Exception):  # noqa: N818 - the wish to leave
    """The user has had enough."""


def ask(prompt: str, *, password: bool = False) -> str:
    """Ask for a line; the end of the input is a wish to leave."""
    try:
        if sys.stdin.isatty():
            return Prompt.ask(prompt, password=password, default="", show_default=False).strip()
        typer.echo(f"{prompt}: ", nl=False, err=True)
        line = sys.stdin.readline()
    except (EOFError, KeyboardInterrupt):
        raise Leave from None
    if not line:
        raise Leave
    return line.strip()


class Shell:
    """One user at the prompt."""

    def __init__(self, inventory: Inventory) -> None:
        """Work on a connection."""
        self._inventory = inventory
        self._last: int | None = None  # the item that was looked at last
        self._currency = "USD"
        self._commands: dict[str, Callable[[], None]] = {
            "get_all": self._get_all,
            "get_item": self._get_item,
            "restock": self._restock,
            "order": self._order,
            "delete": self._delete,
            "llm": self._llm,
            "help": lambda: typer.echo(HELP),
        }

    def run(self) -> None:
        """Log in, work, log out, until the user leaves."""
        while True:
            self._login()
            self._work()

    def _login(self) -> None:
        while True:
            username = ask("Username")
            password = ask("Password", password=True)
            try:
                user = self._inventory.login(username, password)
            except InventoryError as error:
                typer.echo(str(error), err=True)
                continue
            typer.echo(f"Hello {user.name}, you are a {user.role}. {HELP}")
            return

    def _work(self) -> None:
        while True:
            command = ask("inventory").lower()
            if command == "exit":
                raise Leave
            if command == "logout":
                self._last = None
                return
            action = self._commands.get(command)
            if action is None:
                typer.echo(f"{command!r} is not known; {HELP}" if command else HELP, err=True)
                continue
            try:
                action()
            except InventoryError as error:
                typer.echo(explain(error), err=True)
            except ValueError as error:
                typer.echo(str(error), err=True)

    def _show(self, items: list[Item]) -> None:
        columns = ("id", "name", "price", "quantity", "description")
        rows = [(i.id, i.name, i.price, i.quantity, i.description) for i in items]
        console().print(table(columns, rows))
        self._currency = items[0].price.currency if items else self._currency

    def _get_all(self) -> None:
        self._show(list(self._inventory.items()))

    def _get_item(self) -> None:
        self._last = whole_number(ask("Item id"))
        self._show([self._inventory.get_item(self._last)])

    def _restock(self) -> None:
        given = ask("Item id (blank adds an item)")
        if not given:
            name = ask("Name")
            description = ask("Description")
            quantity = whole_number(ask("Quantity"))
            cost = Money.parse(self._currency, ask("Price"))
            self._show([self._inventory.add_item(name, description, cost, quantity)])
            return
        item = whole_number(given)
        quantity_text = ask("Quantity (10 adds ten, =10 sets the count, blank keeps it)")
        price_text = ask("Price (blank keeps it)")
        change = _QUANTITY.fullmatch(quantity_text) if quantity_text else None
        if quantity_text and change is None:
            raise ValueError(f"{quantity_text!r} is neither 10 nor =10")
        price = Money.parse(self._currency, price_text) if price_text else None
        if change is not None:
            sets, number = change[1], int(change[2])
            if sets:
                self._inventory.set_stock(item, number)
            else:
                self._inventory.adjust_stock(item, number)
        if price is not None:
            self._inventory.update_item(item, price=price)
        self._show([self._inventory.get_item(item)])

    def _order(self) -> None:
        if self._last is None:
            raise ValueError("look at an item first: get_item")
        quantity = whole_number(ask(f"Quantity of item {self._last}"))
        placed = self._inventory.order_item(self._last, quantity)
        typer.echo(f"order {placed.order_id}: {placed.total}, {placed.on_hand_after} left on hand")

    def _delete(self) -> None:
        item = self._inventory.delete_item(whole_number(ask("Item id")))
        typer.echo(f"deleted item {item.id}, {item.name}")

    def _llm(self) -> None:
        answer = self._inventory.ask(ask("Question"))
        typer.echo(answer.text)
        if answer.rows:
            console().print(table(answer.columns, answer.rows))


def whole_number(text: str) -> int:
    """Read a number; raise ValueError with a sentence."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def run(connection: Connection) -> int:
    """Run the shell; return the exit status."""
    with Inventory(connection.address, timeout=connection.timeout) as inventory:
        try:
            Shell(inventory).run()
        except Leave:
            typer.echo("bye", err=True)
    return 0
