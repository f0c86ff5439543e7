"""The shell: log in once and work, with the commands that its users know.

get_all, get_item (asks for the id), restock (asks for an id; blank adds an item; a quantity of 10
adds ten and =10 sets the count), order (of the item last looked at), delete, llm (asks for the
text), logout, exit.
"""

import re
import sys
from collections.abc import Callable
from typing import TypeVar

import typer
from inventory_client import Inventory, InventoryError, Item, Money, OutcomeUnknown, Unauthenticated
from rich.prompt import Prompt

from inventory_cli.output import console, table
from inventory_cli.session import Connection, explain
from inventory_cli.terminal import say

Result = TypeVar("Result")
HELP = "commands: get_all, get_item, restock, order, delete, llm, logout, exit"
DIGITS_MAX = 18
_QUANTITY = re.compile(rf"(=?)(-?[0-9]{{1,{DIGITS_MAX}}})")


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
    """One user at the prompt.

    - A mutation whose outcome is unknown is sent again under its own request id, or not at all:
      typed anew it could be done twice.
    """

    def __init__(self, inventory: Inventory, address: str) -> None:
        """Work on a connection to a gateway at `address`."""
        self._inventory = inventory
        self._address = address
        self._last: int | None = None  # the item that was looked at last
        self._currency = "USD"
        self._commands: dict[str, Callable[[], None]] = {
            "get_all": self._get_all,
            "get_item": self._get_item,
            "restock": self._restock,
            "order": self._order,
            "delete": self._delete,
            "llm": self._llm,
            "help": lambda: say(HELP),
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
                self._say(error)
                continue
            say(f"Hello {user.name}, you are a {user.role}. {HELP}")
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
                say(f"{command!r} is not known; {HELP}" if command else HELP, err=True)
                continue
            try:
                action()
            except InventoryError as error:
                self._say(error)
            except ValueError as error:
                say(str(error), err=True)

    def _say(self, error: InventoryError) -> None:
        known_here = isinstance(error, Unauthenticated)  # the shell itself asks for a login
        say(str(error) if known_here else explain(error, self._address), err=True)

    def _sent(self, send: Callable[[str | None], Result]) -> Result:
        """Send a mutation under a request id of its own, and again under the same while asked."""
        request_id = None
        while True:
            try:
                return send(request_id)
            except OutcomeUnknown as unknown:
                say(str(unknown), err=True)
                if ask("Send the same request again (yes or no)").lower() not in {"y", "yes"}:
                    raise
                request_id = unknown.request_id

    def _show(self, items: list[Item]) -> None:
        columns = ("id", "name", "price", "quantity", "description")
        rows = [(i.id, i.name, i.price, i.quantity, i.description) for i in items]
        console().print(table(columns, rows))
        self._currency = items[0].price.currency if items else self._currency

    def _get_all(self) -> None:
        self._show(list(self._inventory.items()))

    def _get_item(self) -> None:
        item = self._inventory.item(whole_number(ask("Item id")))
        self._last = item.id
        self._show([item])

    def _restock(self) -> None:
        given = ask("Item id (blank adds an item)")
        if not given:
            name = ask("Name")
            description = ask("Description")
            quantity = whole_number(ask("Quantity"))
            cost = Money.parse(self._currency, ask("Price"))
            added = self._sent(
                lambda request_id: self._inventory.add_item(
                    name, description, cost, quantity, request_id
                )
            )
            self._show([added])
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
                self._sent(
                    lambda request_id: self._inventory.set_stock(item, number, None, request_id)
                )
            else:
                self._sent(
                    lambda request_id: self._inventory.adjust_stock(item, number, request_id)
                )
        if price is not None:
            self._sent(
                lambda request_id: self._inventory.update_item(
                    item, price=price, request_id=request_id
                )
            )
        self._show([self._inventory.item(item)])

    def _order(self) -> None:
        if self._last is None:
            raise ValueError("look at an item first: get_item")
        item = self._last
        quantity = whole_number(ask(f"Quantity of item {item}"))
        placed = self._sent(
            lambda request_id: self._inventory.order_item(item, quantity, request_id)
        )
        say(f"order {placed.order_id}: {placed.total}, {placed.on_hand_after} left on hand")

    def _delete(self) -> None:
        wanted = whole_number(ask("Item id"))
        item = self._sent(lambda request_id: self._inventory.delete_item(wanted, request_id))
        say(f"deleted item {item.id}, {item.name}")

    def _llm(self) -> None:
        answer = self._inventory.ask(ask("Question"))
        say(answer.text)
        if answer.rows:
            console().print(table(answer.columns, answer.rows))


def whole_number(text: str) -> int:
    """Read a number that the API has room for; raise ValueError with a sentence."""
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS_MAX:
        raise ValueError(f"{text!r} is not a whole number of up to {DIGITS_MAX} digits")
    return int(text)


def run(connection: Connection) -> int:
    """Run the shell; return the exit status."""
    with Inventory(
        connection.address, timeout=connection.timeout, reads=connection.reads
    ) as inventory:
        try:
            Shell(inventory, connection.address).run()
        except Leave:
            say("bye", err=True)
    return 0
