"""One function a command; typer makes the command line and the help from them."""

import sys
from datetime import timedelta
from typing import Annotated

import typer
from inventory_client import TIMEOUT_SECONDS_MAX, Inventory, Money, Order, Reads, Role
from rich.prompt import Prompt
from wire.addresses import is_address
from wire.bounds import STALENESS_MS_MAX

from inventory_cli import session, shell
from inventory_cli.cluster import cluster_app
from inventory_cli.output import Output, console, show, show_rows, shown, table, write_json
from inventory_cli.services import services_app
from inventory_cli.session import EXIT_USAGE, Connection, connected
from inventory_cli.terminal import say
from inventory_cli.up.command import up

EPILOG = (
    "Exit status: 0 done; 1 refused; 2 used wrongly; 3 not logged in, or not allowed; "
    "4 no answer in time, the outcome may be unknown."
)

app = typer.Typer(
    name="inventory",
    help="Stock and orders that are never lost, never doubled and never oversold.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
item_app = typer.Typer(help="Look at items and keep them.", no_args_is_help=True)
stock_app = typer.Typer(help="Keep the stock of items.", no_args_is_help=True)
user_app = typer.Typer(help="Keep users (admins).", no_args_is_help=True)
app.add_typer(item_app, name="item")
app.add_typer(stock_app, name="stock")
app.add_typer(user_app, name="user")
app.add_typer(cluster_app, name="cluster")
app.add_typer(services_app)
app.command()(up)

OutputOption = Annotated[
    Output, typer.Option("--output", "-o", envvar="INVENTORY_OUTPUT", help="How to write results.")
]
RequestId = Annotated[
    str | None, typer.Option(help="Of an attempt whose outcome is unknown: tries it again.")
]
WHOLE_MAX = 2**63 - 1  # what the API has room for; what an inventory allows is less
ItemId = Annotated[int, typer.Argument(help="The item's id.", min=1, max=WHOLE_MAX)]
UserId = Annotated[int, typer.Argument(help="The user's id.", min=1, max=WHOLE_MAX)]
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}  # -1 is a number that is too small, no option

ITEM_COLUMNS = {
    "id": "id",
    "name": "name",
    "price": "price",
    "quantity": "quantity",
    "description": "description",
}
MEMBER_COLUMNS = {
    "member": "name",
    "role": "role",
    "standing": "standing",
    "term": "term",
    "commit": "commit_index",
    "applied": "applied_index",
    "pid": "pid",
    "address": "address",
}


@app.callback()
def connection(
    context: typer.Context,
    address: Annotated[
        str, typer.Option(envvar="INVENTORY_ADDRESS", help="The gateway, host:port.")
    ] = "127.0.0.1:50051",
    timeout: Annotated[
        float,
        typer.Option(
            help="Seconds that a call may take, retries included.", min=0.1, max=TIMEOUT_SECONDS_MAX
        ),
    ] = 5.0,
    max_staleness: Annotated[
        float | None,
        typer.Option(
            help="Read a state that may be so many seconds old, from any member; 0: of any age.",
            min=0,
            max=STALENESS_MS_MAX / 1_000,
        ),
    ] = None,
) -> None:
    """Take what all commands share."""
    if not is_address(address):
        raise typer.BadParameter(f"{address!r} is not host:port", param_hint="--address")
    if max_staleness is None:
        reads = Reads.linearizable()
    elif max_staleness:
        reads = Reads.bounded(timedelta(seconds=max_staleness))
    else:
        reads = Reads.stale()
    context.obj = Connection(address, timeout, reads)


@app.command()
def login(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="Who you are.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin.")
    ] = False,
) -> None:
    """Log in; the token is kept in a file that only you can read."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        password = Prompt.ask("Password", password=True)
    else:
        say("inventory: no terminal to ask on; use --password-stdin", err=True)
        raise typer.Exit(EXIT_USAGE)
    with connected(context.obj, as_nobody=True) as inventory:
        user = inventory.login(username, password)
        path = session.save_token(inventory.token or "")
    say(f"logged in as {user.name} ({user.role}); token in {path}", err=True)


@app.command()
def logout() -> None:
    """Forget the token on this machine."""
    session.forget_token()
    say("logged out", err=True)


@app.command()
def whoami(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show who is logged in."""
    with connected(context.obj) as inventory:
        show(output, inventory.current_user())


@item_app.command("list")
def item_list(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Only names that contain this.")] = "",
    order_by: Annotated[
        str, typer.Option(help="id, name, price or quantity; ' desc' may follow.")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """List the items."""
    with connected(context.obj) as inventory:
        show_rows(output, ITEM_COLUMNS, inventory.items(name_contains=name, order_by=order_by))


@item_app.command("get")
def item_get(context: typer.Context, item: ItemId, output: OutputOption = Output.TABLE) -> None:
    """Show one item."""
    with connected(context.obj) as inventory:
        show(output, inventory.item(item))


@item_app.command("add")
def item_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name.")],
    price: Annotated[str, typer.Argument(help="Its price, such as 12.50.")],
    quantity: Annotated[int, typer.Argument(help="How many there are.", min=0, max=WHOLE_MAX)] = 0,
    description: Annotated[str, typer.Option(help="Some words about it.")] = "",
    currency: Annotated[str, typer.Option(help="ISO 4217, such as USD.")] = "USD",
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add an item (producers, admins)."""
    money = parse_money(currency, price)
    with connected(context.obj) as inventory:
        show(output, inventory.add_item(name, description, money, quantity, request_id))


@item_app.command("update")
def item_update(
    context: typer.Context,
    item: ItemId,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    description: Annotated[str | None, typer.Option(help="Other words.")] = None,
    price: Annotated[str | None, typer.Option(help="Another price, such as 12.50.")] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217, such as USD.")] = "USD",
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Change what is given of an item (producers, admins); stock has commands of its own."""
    if name is None and description is None and price is None:
        say("inventory: give --name, --description or --price", err=True)
        raise typer.Exit(EXIT_USAGE)
    money = None if price is None else parse_money(currency, price)
    with connected(context.obj) as inventory:
        changed = inventory.update_item(
            item, name=name, description=description, price=money, request_id=request_id
        )
        show(output, changed)


@item_app.command("delete")
def item_delete(
    context: typer.Context,
    item: ItemId,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Archive an item (producers, admins); its orders keep it."""
    with connected(context.obj) as inventory:
        show(output, inventory.delete_item(item, request_id))


@stock_app.command("adjust", context_settings=NEGATIVE_NUMBERS)
def stock_adjust(
    context: typer.Context,
    item: ItemId,
    delta: Annotated[
        int,
        typer.Argument(help="How many more; -3 takes three away.", min=-WHOLE_MAX, max=WHOLE_MAX),
    ],
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add to what is on hand, or take from it (producers, admins)."""
    with connected(context.obj) as inventory:
        show(output, inventory.adjust_stock(item, delta, request_id))


@stock_app.command("set", context_settings=NEGATIVE_NUMBERS)
def stock_set(
    context: typer.Context,
    item: ItemId,
    quantity: Annotated[int, typer.Argument(help="How many there are.", min=0, max=WHOLE_MAX)],
    expect: Annotated[
        int | None, typer.Option(help="Only if there are this many.", min=0, max=WHOLE_MAX)
    ] = None,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Set the count (producers, admins)."""
    with connected(context.obj) as inventory:
        show(output, inventory.set_stock(item, quantity, expect, request_id))


@app.command(context_settings=NEGATIVE_NUMBERS)
def order(
    context: typer.Context,
    item: Annotated[int | None, typer.Argument(help="The item's id.", min=1, max=WHOLE_MAX)] = None,
    quantity: Annotated[int, typer.Argument(help="How many.", min=1, max=WHOLE_MAX)] = 1,
    line: Annotated[
        list[str] | None, typer.Option(help="ID:QUANTITY, several times: all of them or none.")
    ] = None,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Order an item, or several in one step (customers, admins)."""
    if (item is None) == (not line):
        say("inventory: give an item and a quantity, or --line ID:QUANTITY", err=True)
        raise typer.Exit(EXIT_USAGE)
    lines = [parse_line(text) for text in line or []]
    with connected(context.obj) as inventory:
        if item is not None:
            show(output, inventory.order_item(item, quantity, request_id))
        else:
            show_order(output, inventory.place_order(lines, request_id))


@app.command("orders")
def orders_list(
    context: typer.Context,
    order_id: Annotated[
        int | None, typer.Argument(help="Show this one, with its lines.", min=1, max=WHOLE_MAX)
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List your orders, newest first; producers and admins see all."""
    columns = {"id": "id", "user": "user_id", "total": "total", "time": "create_time"}
    with connected(context.obj) as inventory:
        if order_id is None:
            show_rows(output, columns, inventory.orders())
        else:
            show_order(output, inventory.order(order_id))


@cluster_app.command("status")
@app.command()
def status(
    context: typer.Context,
    leader_pid: Annotated[
        bool, typer.Option("--leader-pid", help="Write the leader's process id and nothing else.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the members as they see themselves."""
    with connected(context.obj) as inventory:
        found = inventory.status()
    if leader_pid:
        pids = [member.pid for member in found.members if member.name == found.leader]
        if not pids:
            say("inventory: no member leads at the moment; try again", err=True)
            raise typer.Exit(session.EXIT_NO_ANSWER)
        sys.stdout.write(f"{pids[0]}\n")
    elif output is Output.JSON:
        write_json(status_document(found))
    else:
        show_rows(output, MEMBER_COLUMNS, found.members)


def status_document(found: object) -> dict[str, object]:
    """Return the status for programs: members with name, role, term, commit, applied and pid."""
    from inventory_cli.output import plain  # noqa: PLC0415 - used here alone

    document: dict[str, object] = plain(found)
    members = document["members"]
    if isinstance(members, list):
        for member in members:
            member["commit"] = member.pop("commit_index")
            member["applied"] = member.pop("applied_index")
            member["durable"] = member.pop("durable_index")
    return document


@app.command()
def ask(
    context: typer.Context,
    question: Annotated[list[str], typer.Argument(help="In your own words.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask in plain language."""
    with connected(context.obj) as inventory:
        answer = inventory.ask(" ".join(question))
    if output is Output.JSON:
        write_json(answer)
        return
    console().print(shown(answer.text))
    if answer.rows:
        console().print(table(answer.columns, answer.rows))
    if answer.query:
        say(f"understood as: {answer.query}", err=True)


@app.command()
def checkpoint(
    context: typer.Context, request_id: RequestId = None, output: OutputOption = Output.TABLE
) -> None:
    """Have every member hash its state at one index (admins); `status -o json` shows the hashes."""
    with connected(context.obj) as inventory:
        index = inventory.checkpoint(request_id)
    if output is Output.JSON:
        write_json({"index": index})
    else:
        say(str(index))


@app.command("shell")
def run_shell(context: typer.Context) -> None:
    """Log in once and work: get_all, get_item, restock, order, delete, llm, logout, exit."""
    raise typer.Exit(shell.run(context.obj))


@user_app.command("list")
def user_list(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List the users."""
    columns = {"id": "id", "name": "name", "role": "role", "disabled": "disabled"}
    with connected(context.obj) as inventory:
        show_rows(output, columns, inventory.users())


@user_app.command("create")
def user_create(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="Its name; never used again.")],
    role: Annotated[str, typer.Argument(help="customer, producer, admin or machine.")],
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a user; the password is asked for, or the first line of stdin."""
    if role not in ("customer", "producer", "admin", "machine"):
        say(f"inventory: {role!r} is no role; see --help", err=True)
        raise typer.Exit(EXIT_USAGE)
    password = ask_password()
    with connected(context.obj) as inventory:
        show(output, inventory.create_user(username, password, Role(role), request_id))


@user_app.command("password")
def user_password(context: typer.Context, user: UserId, request_id: RequestId = None) -> None:
    """Set a user's password; ends every login of that user."""
    password = ask_password()
    with connected(context.obj) as inventory:
        inventory.set_password(user, password, request_id)
    say("password set; log in again where that user was logged in", err=True)


@user_app.command("disable")
def user_disable(
    context: typer.Context,
    user: UserId,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Disable a user for good."""
    with connected(context.obj) as inventory:
        show(output, inventory.disable_user(user, request_id))


def ask_password() -> str:
    """Ask for a password on a terminal, read a line elsewhere."""
    if sys.stdin.isatty():
        return Prompt.ask("New password", password=True)
    return sys.stdin.readline().rstrip("\n")


def show_order(output: Output, placed: Order) -> None:
    """Write an order and its lines."""
    if output is Output.JSON:
        write_json(placed)
        return
    show(output, placed)
    columns = ("item", "quantity", "unit price", "on hand after")
    rows = [
        (line.item_id, line.quantity, line.unit_price, line.on_hand_after) for line in placed.lines
    ]
    console().print(table(columns, rows))


def parse_money(currency: str, text: str) -> Money:
    """Read a price from the command line; leave with a sentence otherwise."""
    try:
        return Money.parse(currency, text)
    except ValueError as error:
        say(f"inventory: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from error


def parse_line(text: str) -> tuple[int, int]:
    """Read ID:QUANTITY; leave with a sentence otherwise."""
    item, _, quantity = text.partition(":")
    whole = all(part.isascii() and part.isdigit() for part in (item, quantity))
    if not whole or not (1 <= int(item) <= WHOLE_MAX and 1 <= int(quantity) <= WHOLE_MAX):
        say(f"inventory: {text!r} is not ID:QUANTITY, such as 3:2", err=True)
        raise typer.Exit(EXIT_USAGE)
    return int(item), int(quantity)


__all__ = ["Inventory", "app"]
