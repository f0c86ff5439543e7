"""The shell: log in once and work, with the commands that its users know.

get_all, get_item (asks for the id), restock (asks for an id; blank adds an item; a quantity of 10
adds ten and =10 sets the count), order (of the item last looked at), delete, llm (asks for the
text), logout, exit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from inventory_client import Inventory, InventoryError, Item, OutcomeUnknown, Unauthenticated, User
from wire.bounds import DESCRIPTION_CHARACTERS_MAX, QUANTITY_MAX, check_item_name

from inventory_cli.errors import CommandCancelled, LeftShell
from inventory_cli.output import print_answer, print_table
from inventory_cli.prompts import Prompts, yes_or_no
from inventory_cli.session import CallTarget, attempt, explain
from inventory_cli.terminal import say
from inventory_cli.values import WHOLE_MAX, parse_price, parse_whole

Result = TypeVar("Result")
HELP = "commands: get_all, get_item, restock, order, delete, llm, logout, exit"
KEEPERS = ("producer", "admin")
ROLES = {"restock": KEEPERS, "delete": KEEPERS, "order": ("customer", "admin")}


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a count: `number` more, or `number` in all if `sets`."""

    number: int
    sets: bool


class Shell:
    """One user at the prompt.

    - Nobody is asked for the fields of a command that the user's role does not allow.
    - A mutation whose outcome is unknown is sent again under the same request id, or not at all: a
      command that is typed again could be done twice.
    """

    def __init__(self, inventory: Inventory, address: str) -> None:
        """Work on a connection to a gateway at `address`."""
        self._inventory = inventory
        self._address = address
        self._prompts = Prompts()
        self._last: int | None = None  # the id of the item that was shown last
        self._currency = ""  # the inventory's currency; empty until it is asked for
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
            self._work(self._login())

    def _login(self) -> User:
        while True:
            try:
                username = self._prompts.ask_field("Username", str)
                user = self._inventory.login(username, self._prompts.ask_password("Password"))
            except CommandCancelled:
                raise LeftShell from None
            except InventoryError as error:
                self._say(error)
            except ValueError as error:
                say(str(error), err=True)
            else:
                say(f"Hello {user.name} ({user.role}). {HELP}")
                return user

    def _work(self, user: User) -> None:
        while True:
            command = self._prompts.ask_command([*self._commands, "logout", "exit"])
            if command == "exit":
                raise LeftShell
            if command == "logout":
                self._last = None
                return
            if command in self._commands:
                self._do(command, user)
            else:
                say(f"{command!r} is not known; {HELP}" if command else HELP, err=True)

    def _do(self, command: str, user: User) -> None:
        """Do a command; an error is printed, so that the next command can be typed."""
        roles = ROLES.get(command)
        if roles is not None and user.role not in roles:
            allowed = " and ".join(f"{role}s" for role in roles)
            say(f"{command} is for {allowed}, and {user.name} is a {user.role}", err=True)
            return
        try:
            self._commands[command]()
        except InventoryError as error:
            self._say(error)
        except ValueError as error:
            say(str(error), err=True)
        except CommandCancelled:
            say(f"{command} is cancelled", err=True)
        except KeyboardInterrupt:  # while an answer was awaited
            if not self._prompts.is_terminal:
                raise

    def _say(self, error: InventoryError) -> None:
        known_here = isinstance(error, Unauthenticated)  # the shell itself asks for a login
        say(str(error) if known_here else explain(error, self._address), err=True)

    def _sent(self, send: Callable[[str], Result]) -> Result:
        """Send a mutation; if its outcome is unknown, offer to send it again under the same id."""
        given = None
        while True:
            try:
                with attempt(given) as request_id:
                    given = request_id
                    return send(request_id)
            except OutcomeUnknown as unknown:
                say(str(unknown), err=True)
                if not self._prompts.ask_field(
                    "Send the same request again (yes or no)", yes_or_no
                ):
                    raise

    def _item_id(self, text: str) -> int:
        return parse_whole(text, 1, WHOLE_MAX)

    def _show(self, items: list[Item]) -> None:
        columns = ("id", "name", "price", "quantity", "description")
        rows = [(i.id, i.name, i.price, i.quantity, i.description) for i in items]
        print_table(columns, rows)

    def _get_all(self) -> None:
        self._show(list(self._inventory.items()))

    def _get_item(self) -> None:
        item = self._inventory.item(self._prompts.ask_field("Item id", self._item_id))
        self._last = item.id
        self._show([item])

    def _restock(self) -> None:
        item = self._prompts.ask_field(
            "Item id (blank adds an item)", lambda text: self._item_id(text) if text else None
        )
        if item is None:
            self._add_item()
        else:
            self._change(self._present(item))

    def _add_item(self) -> None:
        name = self._prompts.ask_field("Name", item_name)
        description = self._prompts.ask_field("Description", item_description)
        quantity = self._prompts.ask_field(
            "Quantity", lambda text: parse_whole(text, 0, QUANTITY_MAX)
        )
        price = self._prompts.ask_field(
            "Price", lambda text: parse_price(self._currency_code(), text)
        )
        added = self._sent(
            lambda request_id: self._inventory.add_item(
                name, description, price, quantity, request_id
            )
        )
        self._show([added])

    def _change(self, item: Item) -> None:
        change = self._prompts.ask_field(
            "Quantity (10 adds ten, =10 sets the count, blank keeps it)", stock_change
        )
        price = self._prompts.ask_field(
            "Price (blank keeps it)",
            lambda text: parse_price(self._currency_code(), text) if text else None,
        )
        if change is not None and change.sets:
            number = change.number
            self._sent(
                lambda request_id: self._inventory.set_stock(item.id, number, None, request_id)
            )
        elif change is not None:
            delta = change.number
            self._sent(lambda request_id: self._inventory.adjust_stock(item.id, delta, request_id))
        if price is not None:
            self._sent(
                lambda request_id: self._inventory.update_item(
                    item.id, price=price, request_id=request_id
                )
            )
        self._show([self._inventory.item(item.id)])

    def _present(self, item_id: int) -> Item:
        """Return an item that is not deleted."""
        item = self._inventory.item(item_id)
        if item.delete_time is not None:
            raise ValueError(f"item {item.id}, {item.name}, is deleted")
        return item

    def _currency_code(self) -> str:
        self._currency = self._currency or self._inventory.currency()
        return self._currency

    def _order(self) -> None:
        if self._last is None:
            raise ValueError("look at an item first: get_item")
        item = self._last
        quantity = self._prompts.ask_field(
            f"Quantity of item {item}", lambda text: parse_whole(text, 1, QUANTITY_MAX)
        )
        placed = self._sent(
            lambda request_id: self._inventory.order_item(item, quantity, request_id)
        )
        say(f"order {placed.order_id}: {placed.total}, {placed.on_hand_after} left on hand")

    def _delete(self) -> None:
        wanted = self._present(self._prompts.ask_field("Item id", self._item_id))
        if not self._prompts.confirm(f"Delete item {wanted.id}, {wanted.name}"):
            say("nothing is deleted", err=True)
            return
        item = self._sent(lambda request_id: self._inventory.delete_item(wanted.id, request_id))
        say(f"deleted item {item.id}, {item.name}")

    def _llm(self) -> None:
        question = self._prompts.ask_question("Question")
        if not question:
            raise ValueError("the question is blank")
        answer = self._inventory.ask(question)
        say(answer.text)
        if answer.rows:
            print_answer(answer.columns, answer.rows)


def item_name(text: str) -> str:
    """Read an item's name; raise ValueError with a sentence."""
    problem = check_item_name(text)
    if problem is not None:
        raise ValueError(problem.message)
    return text


def item_description(text: str) -> str:
    """Read an item's description; raise ValueError with a sentence."""
    if len(text) > DESCRIPTION_CHARACTERS_MAX:
        raise ValueError(f"a description has up to {DESCRIPTION_CHARACTERS_MAX} characters")
    return text


def stock_change(text: str) -> Change | None:
    """Read 10, -3 or =10, None of a blank; raise ValueError with a sentence."""
    if not text:
        return None
    try:
        if text.startswith("="):
            return Change(parse_whole(text[1:], 0, QUANTITY_MAX), sets=True)
        number = parse_whole(text, -QUANTITY_MAX, QUANTITY_MAX)
    except ValueError as error:
        raise ValueError(f"{error}, or =12") from error
    if not number:
        raise ValueError("0 adds nothing; =0 sets the count, blank keeps it")
    return Change(number, sets=False)


def run(connection: CallTarget) -> int:
    """Run the shell; return the exit status."""
    with connection.client() as inventory:
        try:
            Shell(inventory, connection.address).run()
        except LeftShell:
            say("bye", err=True)
    return 0
