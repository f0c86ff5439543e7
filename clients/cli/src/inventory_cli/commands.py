"""One function a command; typer makes the command line and the help from them."""

import sys
from datetime import timedelta
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from inventory_client import TIMEOUT_SECONDS_MAX, Inventory, Money, Reads, Token
from wire.bounds import STALENESS_MS_MAX

from inventory_cli import session, sessions, shell, values
from inventory_cli.audit import audit_app
from inventory_cli.certificates import pki_app
from inventory_cli.cluster import MEMBER_COLUMNS, MEMBER_COLUMNS_GOING, cluster_app, member_row
from inventory_cli.options import ItemId, Limit, OutputOption, RequestId
from inventory_cli.orders import show_order, show_orders
from inventory_cli.output import (
    Output,
    console,
    print_answer,
    print_table,
    show,
    show_rows,
    shown,
    write_json,
)
from inventory_cli.passwords import ask_password, read_password
from inventory_cli.services import services_app
from inventory_cli.session import EXIT_USAGE, CallTarget, attempt, connected, done
from inventory_cli.terminal import say
from inventory_cli.up.command import up
from inventory_cli.up.layout import path_of
from inventory_cli.users import user_app
from inventory_cli.values import WHOLE_MAX, whole

EPILOG = (
    "Exit status: 0 done; 1 refused; 2 used wrongly; 3 not logged in, or not allowed; "
    "4 no answer in time, the outcome may be unknown; 5 done, but the result cannot be written; "
    "130 and 143 ended by Ctrl-C and SIGTERM."
)

app = typer.Typer(
    name="inventory",
    help="Stock and orders that are never lost, never doubled and never oversold.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
item_app = typer.Typer(help="Look at items and keep them.", no_args_is_help=True)
stock_app = typer.Typer(help="Keep the stock of items.", no_args_is_help=True)
app.add_typer(item_app, name="item")
app.add_typer(stock_app, name="stock")
app.add_typer(user_app, name="user")
app.add_typer(sessions.sessions_app, name="sessions")
app.add_typer(audit_app, name="audit")
app.add_typer(cluster_app, name="cluster")
app.add_typer(pki_app, name="pki")
app.add_typer(services_app)
app.command()(up)

CurrencyOption = Annotated[
    str | None,
    typer.Option(
        help="ISO 4217, such as USD; the inventory's own unless given.", parser=values.currency
    ),
]
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}  # -1 is a number that is too small, no option

ITEM_COLUMNS = {
    "id": "id",
    "name": "name",
    "price": "price",
    "quantity": "quantity",
    "description": "description",
}


def show_version(*, wanted: bool) -> None:
    """Write the version and leave."""
    if wanted:
        sys.stdout.write(f"inventory {metadata.version('inventory')}\n")
        raise typer.Exit


@app.callback()
def connection(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Option(
            envvar="INVENTORY_ADDRESS", help="The gateway, host:port.", parser=values.address
        ),
    ] = "127.0.0.1:50051",
    timeout: Annotated[
        float,
        typer.Option(
            help="Seconds that a call may take, retries included.",
            parser=values.seconds(0.1, TIMEOUT_SECONDS_MAX),
        ),
    ] = 5.0,
    max_staleness: Annotated[
        float | None,
        typer.Option(
            help="Read a state that may be so many seconds old, from any member; 0: of any age.",
            parser=values.seconds(0, STALENESS_MS_MAX / 1_000),
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            envvar="INVENTORY_INSECURE",
            help="Speak plain text to the gateway, which others can read and change.",
        ),
    ] = False,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="INVENTORY_CA_FILE",
            help="The authorities that may vouch for the gateway, in PEM; TLS on this machine too.",
            parser=path_of,
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback is what it does
        bool,
        typer.Option("--version", help="Show the version.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    """Take what all commands share."""
    if max_staleness is None:
        reads = Reads.linearizable()
    elif max_staleness:
        reads = Reads.bounded(timedelta(seconds=max_staleness))
    else:
        reads = Reads.stale()
    context.obj = CallTarget(address, timeout, reads, insecure=insecure, ca_file=ca_file)


@app.command()
def login(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="Who you are.", parser=values.words)],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin.")
    ] = False,
) -> None:
    """Log in; the session is kept in a file that only you can read."""
    if password_stdin:
        password = read_password()
    elif sys.stdin.isatty():
        password = ask_password("Password")
    else:
        say("inventory: no terminal to ask on; use --password-stdin", err=True)
        raise typer.Exit(EXIT_USAGE)
    with connected(context.obj, as_nobody=True) as inventory:
        user = inventory.login(username, password, sessions.label())
        path = session.save_session(inventory.tokens or Token(""))
    say(f"logged in as {user.name} ({user.role}); session in {path}", err=True)
    if user.must_change_password:
        say(
            f"set another password before anything else: inventory user password {user.id}",
            err=True,
        )


@app.command()
def logout(context: typer.Context) -> None:
    """End this session, and forget it on this machine."""
    if session.saved_auth() is not None:
        try:
            with connected(context.obj) as inventory:
                inventory.logout()
        finally:
            session.forget_session()
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
    price_min: Annotated[
        str | None, typer.Option(help="Only at this price or above.", parser=values.amount)
    ] = None,
    price_max: Annotated[
        str | None, typer.Option(help="Only at this price or below.", parser=values.amount)
    ] = None,
    quantity_min: Annotated[
        int | None, typer.Option(help="Only where there are so many or more.", parser=whole(0))
    ] = None,
    quantity_max: Annotated[
        int | None, typer.Option(help="Only where there are so many or fewer.", parser=whole(0))
    ] = None,
    order_by: Annotated[
        str, typer.Option(help="id, name, price or quantity; ' desc' may follow.")
    ] = "",
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the items."""
    with connected(context.obj) as inventory:
        found = inventory.items(
            name_contains=name,
            price_min=None if price_min is None else money_of(inventory, price_min),
            price_max=None if price_max is None else money_of(inventory, price_max),
            quantity_min=quantity_min,
            quantity_max=quantity_max,
            order_by=order_by,
        )
        show_rows(output, ITEM_COLUMNS, islice(found, limit))


@item_app.command("get")
def item_get(context: typer.Context, item: ItemId, output: OutputOption = Output.TABLE) -> None:
    """Show one item."""
    with connected(context.obj) as inventory:
        show(output, inventory.item(item))


@item_app.command("add")
def item_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name.", parser=values.words)],
    price: Annotated[str, typer.Argument(help="Its price, such as 12.50.", parser=values.amount)],
    quantity: Annotated[int, typer.Argument(help="How many there are.", parser=whole(0))] = 0,
    description: Annotated[str, typer.Option(help="Some words about it.")] = "",
    currency: CurrencyOption = None,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add an item (producers, admins)."""
    with connected(context.obj) as inventory:
        money = money_of(inventory, price, currency)
        with attempt(request_id) as chosen:
            added = inventory.add_item(name, description, money, quantity, chosen)
    with done(f"item {added.id} was added"):
        show(output, added)


@item_app.command("update")
def item_update(
    context: typer.Context,
    item: ItemId,
    name: Annotated[str | None, typer.Option(help="Another name.", parser=values.words)] = None,
    description: Annotated[str | None, typer.Option(help="Other words.")] = None,
    price: Annotated[
        str | None, typer.Option(help="Another price, such as 12.50.", parser=values.amount)
    ] = None,
    currency: CurrencyOption = None,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Change what is given of an item (producers, admins); stock has commands of its own."""
    if name is None and description is None and price is None:
        say("inventory: give --name, --description or --price", err=True)
        raise typer.Exit(EXIT_USAGE)
    with connected(context.obj) as inventory:
        money = None if price is None else money_of(inventory, price, currency)
        with attempt(request_id) as chosen:
            changed = inventory.update_item(
                item, name=name, description=description, price=money, request_id=chosen
            )
    with done(f"item {changed.id} was changed"):
        show(output, changed)


@item_app.command("delete")
def item_delete(
    context: typer.Context,
    item: ItemId,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Archive an item (producers, admins); its orders keep it."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        deleted = inventory.delete_item(item, chosen)
    with done(f"item {deleted.id} was deleted"):
        show(output, deleted)


@stock_app.command("adjust", context_settings=NEGATIVE_NUMBERS)
def stock_adjust(
    context: typer.Context,
    item: ItemId,
    delta: Annotated[
        int,
        typer.Argument(help="How many more; -3 takes three away.", parser=whole(-WHOLE_MAX)),
    ],
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add to what is on hand, or take from it (producers, admins)."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        adjusted = inventory.adjust_stock(item, delta, chosen)
    with done(f"the stock of item {item} was adjusted to {adjusted.on_hand_after}"):
        show(output, adjusted)


@stock_app.command("set", context_settings=NEGATIVE_NUMBERS)
def stock_set(
    context: typer.Context,
    item: ItemId,
    quantity: Annotated[int, typer.Argument(help="How many there are.", parser=whole(0))],
    expect: Annotated[
        int | None, typer.Option(help="Only if there are this many.", parser=whole(0))
    ] = None,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Set the count (producers, admins)."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        adjusted = inventory.set_stock(item, quantity, expect, chosen)
    with done(f"the stock of item {item} was set to {adjusted.on_hand_after}"):
        show(output, adjusted)


@app.command(context_settings=NEGATIVE_NUMBERS)
def order(
    context: typer.Context,
    item: Annotated[int | None, typer.Argument(help="The item's id.", parser=whole(1))] = None,
    quantity: Annotated[int, typer.Argument(help="How many.", parser=whole(1))] = 1,
    line: Annotated[
        list[str] | None,
        typer.Option(help="ID:QUANTITY, several times: all of them or none."),
    ] = None,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Order an item, or several in one step (customers, admins)."""
    if (item is None) == (not line):
        say("inventory: give an item and a quantity, or --line ID:QUANTITY", err=True)
        raise typer.Exit(EXIT_USAGE)
    try:
        lines = [values.parse_line(text) for text in line or []]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--line") from error
    with connected(context.obj) as inventory:
        if item is not None:
            with attempt(request_id) as chosen:
                one = inventory.order_item(item, quantity, chosen)
            with done(f"order {one.order_id} was placed"):
                show(output, one)
        else:
            with attempt(request_id) as chosen:
                several = inventory.place_order(lines, chosen)
            with done(f"order {several.id} was placed"):
                show_order(output, inventory, several)


@app.command("orders")
def orders_list(
    context: typer.Context,
    order_id: Annotated[
        int | None, typer.Argument(help="Show this one, with its lines.", parser=whole(1))
    ] = None,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List your orders, newest first; producers and admins see all."""
    with connected(context.obj) as inventory:
        if order_id is None:
            show_orders(output, inventory, islice(inventory.orders(), limit))
        else:
            show_order(output, inventory, inventory.order(order_id))


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
        # 0 is no process: `kill 0` ends the caller's own.
        pids = [one.pid for one in found.members if one.name == found.leader and one.pid]
        if not pids:
            say("inventory: no member leads at the moment, or you are no admin", err=True)
            raise typer.Exit(session.EXIT_NO_ANSWER)
        sys.stdout.write(f"{pids[0]}\n")
    elif output is Output.JSON:
        write_json(status_document(found))
    else:
        rows = [member_row(member) for member in found.members]
        print_table(MEMBER_COLUMNS, rows, may_go=MEMBER_COLUMNS_GOING)


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
    text = " ".join(question)
    if not text.strip():
        say("inventory: the question is blank", err=True)
        raise typer.Exit(EXIT_USAGE)
    with connected(context.obj) as inventory:
        answer = inventory.ask(text)
    if output is Output.JSON:
        write_json(answer)
        return
    console().print(shown(answer.text))
    if answer.rows:
        print_answer(answer.columns, answer.rows)
    if answer.query:
        say(f"understood as: {answer.query}", err=True)


@app.command()
def checkpoint(
    context: typer.Context, request_id: RequestId = None, output: OutputOption = Output.TABLE
) -> None:
    """Have every member hash its state at one index (admins); `status -o json` shows the hashes."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        index = inventory.checkpoint(chosen)
    with done(f"a checkpoint was made at index {index}"):
        if output is Output.JSON:
            write_json({"index": index})
        else:
            say(str(index))


@app.command("shell")
def run_shell(context: typer.Context) -> None:
    """Log in once and work: get_all, get_item, restock, order, delete, llm, logout, exit."""
    raise typer.Exit(shell.run(context.obj))


def money_of(inventory: Inventory, amount: str, currency: str | None = None) -> Money:
    """Read a price in the inventory's currency, or in another one; leave with a sentence."""
    try:
        return values.parse_price(currency or inventory.currency(), amount)
    except ValueError as error:
        say(f"inventory: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from error


__all__ = ["Inventory", "app"]
