"""`inventory user`: who may log in, and as what."""

from itertools import islice
from typing import Annotated

import typer
from inventory_client import InventoryError, Role, User

from inventory_cli import values
from inventory_cli.options import Limit, OutputOption, RequestId
from inventory_cli.output import Output, print_table, show, write_json
from inventory_cli.passwords import new_password, old_password
from inventory_cli.session import attempt, connected, done
from inventory_cli.terminal import say
from inventory_cli.values import whole

user_app = typer.Typer(help="Keep users (admins).", no_args_is_help=True)
UserId = Annotated[int, typer.Argument(help="The user's id.", parser=whole(1))]
ROLES = tuple(role.value for role in Role if role is not Role.UNKNOWN)


def parse_role(text: str) -> Role:
    """Read a role; raise ValueError."""
    if text not in ROLES:
        raise ValueError(f"{values.quoted(text)} is no role; see --help")
    return Role(text)


RoleName = Annotated[
    str,
    typer.Argument(
        help=f"{', '.join(ROLES[:-1])} or {ROLES[-1]}.", parser=values.parser(parse_role)
    ),
]
MustChange = Annotated[
    bool,
    typer.Option("--must-change-password", help="It may do nothing before it has set its own."),
]
COLUMNS = ("id", "name", "role", "state")


@user_app.command("list")
def user_list(
    context: typer.Context,
    limit: Limit = None,
    *,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted users too.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the users."""
    with connected(context.obj) as inventory:
        found = list(islice(inventory.users(show_deleted=deleted), limit))
    if output is Output.JSON:
        write_json(found)
    elif not found:
        say("nothing to show", err=True)
    else:
        print_table(COLUMNS, [[one.id, one.name, one.role, state_of(one)] for one in found])


def state_of(user: User) -> str:
    """Return in a word or a few whether a user may log in."""
    if user.delete_time is not None:
        return "deleted"
    if user.disabled:
        return "disabled"
    return "must change password" if user.must_change_password else "active"


@user_app.command("create")
def user_create(
    context: typer.Context,
    username: Annotated[
        str, typer.Argument(help="Its name, which nobody else has.", parser=values.words)
    ],
    role: RoleName,
    *,
    must_change_password: MustChange = False,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a user; the password is asked for, or the first line of stdin."""
    password = new_password()
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        user = inventory.create_user(
            username, password, Role(role), chosen, must_change_password=must_change_password
        )
    with done(f"user {user.id} was created"):
        show(output, user)


@user_app.command("password")
def user_password(
    context: typer.Context,
    user: UserId,
    *,
    must_change_password: MustChange = False,
    request_id: RequestId = None,
) -> None:
    """Set a user's password; ends every login of that user. One's own takes the old one, too."""
    password = new_password()
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        try:
            inventory.set_password(
                user, password, request_id=chosen, must_change_password=must_change_password
            )
        except InventoryError as refused:
            if refused.reason != "INVALID_CREDENTIALS":
                raise
            inventory.set_password(user, password, old_password=old_password(), request_id=chosen)
    say("password set; log in again where that user was logged in", err=True)


@user_app.command("disable")
def user_disable(
    context: typer.Context,
    user: UserId,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a user log in no longer, until it is enabled; ends every login of that user."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        disabled = inventory.disable_user(user, chosen)
    with done(f"user {disabled.id} was disabled"):
        show(output, disabled)


@user_app.command("enable")
def user_enable(
    context: typer.Context,
    user: UserId,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a disabled user log in again."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        enabled = inventory.enable_user(user, chosen)
    with done(f"user {enabled.id} was enabled"):
        show(output, enabled)


@user_app.command("rename")
def user_rename(
    context: typer.Context,
    user: UserId,
    username: Annotated[
        str, typer.Argument(help="Its other name, which nobody else has.", parser=values.words)
    ],
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a user another name, by which it logs in from then on."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        renamed = inventory.rename_user(user, username, chosen)
    with done(f"user {renamed.id} was renamed"):
        show(output, renamed)


@user_app.command("role")
def user_role(
    context: typer.Context,
    user: UserId,
    role: RoleName,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a user another role; ends every login of that user."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        changed = inventory.change_role(user, Role(role), chosen)
    with done(f"user {changed.id} is a {changed.role}"):
        show(output, changed)


@user_app.command("delete")
def user_delete(
    context: typer.Context,
    user: UserId,
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete a user for good; its orders keep its id, and another user may have its name."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        deleted = inventory.delete_user(user, chosen)
    with done(f"user {deleted.id} was deleted"):
        show(output, deleted)
