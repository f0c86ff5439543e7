"""`inventory pki`: the authority of a cluster, and the certificates of its processes.

The commands work on a folder of this machine, and ask no service.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pki.authority import AUTHORITY_DAYS, ISSUED_DAYS
from pki.errors import PkiError
from pki.folder import PkiFolder, RotationStep
from pki.identities import parse_identity

from inventory_cli.output import Output, show_rows
from inventory_cli.session import EXIT_REFUSED, EXIT_USAGE
from inventory_cli.terminal import say

DAYS_MAX = 36_500

pki_app = typer.Typer(help="Keep the certificates of a cluster's processes.", no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="The authority's folder.", file_okay=False)]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", envvar="INVENTORY_OUTPUT", help="How to write results.")
]
Days = Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="How long what is issued is valid.")]
COLUMNS = {
    "file": "file",
    "process": "identity",
    "hosts": "hosts",
    "issuer": "issuer",
    "expires": "expires",
}
NEXT = {
    RotationStep.TRUST: (
        "a second authority is trusted beside the first. Next: give {file} to every process, "
        "and call rotate again once each has read it"
    ),
    RotationStep.ISSUE: (
        "every certificate is issued anew. Next: give each process its certificate and key, "
        "and call rotate again once each has read them"
    ),
    RotationStep.FINISH: (
        "the first authority is trusted no longer. Give {file} to every process; "
        "with that the rotation is done"
    ),
}


@contextmanager
def _told(status: int = EXIT_REFUSED) -> Iterator[None]:
    """Say what is wrong, and end with a status."""
    try:
        yield
    except PkiError as error:
        say(f"inventory: {error}", err=True)
        raise typer.Exit(status) from error


@pki_app.command("init")
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="What the authority is called.")] = "inventory",
    days: Days = AUTHORITY_DAYS,
) -> None:
    """Make an authority that issues certificates."""
    with _told():
        PkiFolder(folder).make(name, days)
    say(f"{folder} holds an authority; its key ca.key stays here", err=True)


@pki_app.command("issue")
def issue(
    folder: Folder,
    process: Annotated[
        str, typer.Argument(help="gateway, health, metrics, assistant, or a member's name.")
    ],
    host: Annotated[
        list[str] | None, typer.Option(help="A name or address under which it is reached.")
    ] = None,
    days: Days = ISSUED_DAYS,
) -> None:
    """Issue a certificate and its key for a process."""
    with _told(EXIT_USAGE):
        identity = parse_identity(process)
    with _told():
        path = PkiFolder(folder).issue(identity, tuple(host or ()), days)
    say(f"{path} is the certificate of {identity}", err=True)


@pki_app.command("rotate")
def rotate(folder: Folder, days: Days = ISSUED_DAYS) -> None:
    """Take the next of three steps that replace the authority and every certificate."""
    kept = PkiFolder(folder)
    with _told():
        step = kept.rotate(days)
    say(f"{step}: {NEXT[step].format(file=kept.trusted_path)}", err=True)


@pki_app.command("show")
def show(folder: Folder, output: OutputOption = Output.TABLE) -> None:
    """Show every certificate of the folder, and when it ends."""
    with _told():
        shown = PkiFolder(folder).shown()
    show_rows(output, COLUMNS, shown)
