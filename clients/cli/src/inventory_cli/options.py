"""Arguments and options that several commands take."""

from typing import Annotated

import typer

from inventory_cli import values
from inventory_cli.output import Output
from inventory_cli.values import whole

OutputOption = Annotated[
    Output, typer.Option("--output", "-o", envvar="INVENTORY_OUTPUT", help="How to write results.")
]
RequestId = Annotated[
    str | None,
    typer.Option(
        parser=values.request_id, help="Of an attempt whose outcome is unknown: tries it again."
    ),
]
Limit = Annotated[
    int | None, typer.Option(parser=whole(1), help="Show so many at most.", show_default=False)
]
ItemId = Annotated[int, typer.Argument(help="The item's id.", parser=whole(1))]
