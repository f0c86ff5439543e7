"""What a container runs: one image, and the command chooses the service.

The command is replaced by the service's own process, so that its signals and its exit status are
the service's.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from inventory_cli.errors import UpError
from inventory_cli.terminal import say
from inventory_cli.up.layout import Currency, first_state, path_of, write_private

PANEL = "Services, as containers run them; their settings are environment variables"

services_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def _become(module: str) -> None:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - our own module


@services_app.command("node", rich_help_panel=PANEL)
def node() -> None:
    """Run one member."""
    _become("inventory_node")


@services_app.command("gateway", rich_help_panel=PANEL)
def gateway() -> None:
    """Run a gateway."""
    _become("gateway")


@services_app.command("assistant", rich_help_panel=PANEL)
def assistant() -> None:
    """Run the assistant."""
    _become("assistant")


@services_app.command("metrics", rich_help_panel=PANEL)
def metrics() -> None:
    """Run the metrics of the cluster and the business."""
    _become("business_metrics")


@services_app.command("health", rich_help_panel=PANEL)
def health() -> None:
    """Run the health of the cluster: gRPC, HTTP and a page."""
    _become("cluster_health")


@services_app.command("bootstrap", rich_help_panel=PANEL)
def bootstrap(
    keys: Annotated[
        Path,
        typer.Option(help="The folder with admin.password.", parser=path_of),
    ],
    file: Annotated[
        Path, typer.Option(help="The bootstrap file to write, mode 0600.", parser=path_of)
    ],
    *,
    demo: Annotated[bool, typer.Option("--demo", help="With demo users and items.")] = False,
    currency: Currency = "USD",
) -> None:
    """Write a cluster's first state: the admin, the machine users, and its currency."""
    try:
        state = first_state(lambda name: (keys / name).read_text().strip(), currency, demo=demo)
        write_private(file, json.dumps(state, indent=2))
    except (OSError, UpError) as error:
        say(f"inventory bootstrap: {error}", err=True)
        raise typer.Exit(1) from error


SERVICES = frozenset(command.name for command in services_app.registered_commands)
