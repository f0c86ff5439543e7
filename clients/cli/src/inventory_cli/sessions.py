"""`inventory sessions`: where a user is logged in, and an end of it."""

import platform
from typing import Annotated

import typer

from inventory_cli import values
from inventory_cli.output import Output, show_rows, write_json
from inventory_cli.session import EXIT_USAGE, attempt, connected, done
from inventory_cli.terminal import say
from inventory_cli.values import whole

LABEL_CHARACTERS_MAX = 64
COLUMNS = {
    "id": "id",
    "label": "label",
    "source": "source",
    "created": "create_time",
    "refreshed": "refresh_time",
}

sessions_app = typer.Typer(help="Look at log-ins and end them.", no_args_is_help=True)
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", envvar="INVENTORY_OUTPUT", help="How to write results.")
]
OfUser = Annotated[
    int | None,
    typer.Option("--user", help="Of this user (admins); your own unless given.", parser=whole(1)),
]


def label() -> str:
    """Return what a list of sessions calls a log-in by this program."""
    node = "".join(one for one in platform.node() if one.isprintable())
    return f"inventory on {node}"[:LABEL_CHARACTERS_MAX] if node else "inventory"


@sessions_app.command("list")
def sessions_list(
    context: typer.Context, user: OfUser = None, output: OutputOption = Output.TABLE
) -> None:
    """List the sessions of a user, and say which one this is."""
    with connected(context.obj) as inventory:
        found = inventory.sessions(user or 0)
    if output is Output.JSON:
        write_json(found)
        return
    show_rows(output, COLUMNS, found.sessions)
    if any(one.id == found.current_session_id for one in found.sessions):
        say(f"this is session {found.current_session_id}", err=True)


@sessions_app.command("end")
def sessions_end(
    context: typer.Context,
    session_id: Annotated[
        int | None, typer.Argument(help="The session's id.", parser=whole(1), show_default=False)
    ] = None,
    user: OfUser = None,
    *,
    everywhere: Annotated[
        bool, typer.Option("--all", help="All sessions, this one among them.")
    ] = False,
    request_id: Annotated[
        str | None,
        typer.Option(
            parser=values.request_id, help="Of an attempt whose outcome is unknown: tries it again."
        ),
    ] = None,
) -> None:
    """End one session of a user, or all; what was logged in by it is logged out at once."""
    if (session_id is None) is not everywhere:
        say("inventory: name one session, or say --all", err=True)
        raise typer.Exit(EXIT_USAGE)
    with connected(context.obj) as inventory:
        user_id = user or inventory.current_user().id
        with attempt(request_id) as chosen:
            count = inventory.end_sessions(user_id, session_id or 0, chosen)
    ended = "1 session" if count == 1 else f"{count} sessions"
    with done(f"{ended} ended"):
        say(f"{ended} of user {user_id} ended", err=True)
