"""`inventory audit`: what was done or refused that concerns who may do what."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from inventory_client import AuditRecord, Inventory
from wire.audit import FIELDS, HASHES, Value, problem_of

from inventory_cli.options import Limit, OutputOption
from inventory_cli.output import Output, print_table, write_json
from inventory_cli.session import EXIT_REFUSED, EXIT_USAGE, connected
from inventory_cli.terminal import say
from inventory_cli.up.layout import path_of
from inventory_cli.values import whole

LINE_BYTES_MAX = 10_000  # several times the longest record
PAGE = 1_000
EPOCH = datetime.fromtimestamp(0, UTC)
COLUMNS = ("id", "time", "kind", "outcome", "actor", "subject", "detail", "source", "count")
COLUMNS_GOING = ("count", "source", "subject", "detail")

audit_app = typer.Typer(help="Look at the audit log (admins).", no_args_is_help=True)


@audit_app.command("list")
def audit_list(
    context: typer.Context,
    actor: Annotated[
        int, typer.Option(help="Only what the user with this id did.", parser=whole(1))
    ] = 0,
    kind: Annotated[str, typer.Option(help="Only records of this kind, such as login.")] = "",
    hours: Annotated[
        int, typer.Option(help="Only the last hours.", parser=whole(1, 1_000_000))
    ] = 0,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the records, newest first."""
    begin_ms = milliseconds(datetime.now(UTC) - timedelta(hours=hours)) if hours else 0
    with connected(context.obj) as inventory:
        records = inventory.audit_records(actor_id=actor, kind=kind, begin_ms=max(0, begin_ms))
        found = list(islice(records, limit))
    if output is Output.JSON:
        write_json(found)
    elif not found:
        say("nothing to show", err=True)
    else:
        print_table(COLUMNS, [row_of(one) for one in found], may_go=COLUMNS_GOING)


@audit_app.command("export")
def audit_export(context: typer.Context) -> None:
    """Write all records to stdout, the oldest first, one JSON object a line."""
    with connected(context.obj) as inventory:
        for record in all_records(inventory):
            sys.stdout.write(f"{json.dumps(record, ensure_ascii=False)}\n")


@audit_app.command("verify")
def audit_verify(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(help="An export to verify, instead of the server's.", parser=path_of),
    ] = None,
) -> None:
    """Verify that no record was changed, removed or added; exit status 1 where one was."""
    ends = Ends()
    if file is None:
        with connected(context.obj) as inventory:
            problem = problem_of(ends.watch(all_records(inventory)))
    else:
        problem = problem_of_file(file, ends)
    if problem:
        say(f"inventory: the audit log is not whole: {problem}", err=True)
        raise typer.Exit(EXIT_REFUSED)
    say(ends.sentence, err=True)


class Ends:
    """The first and the last of the records that went by."""

    def __init__(self) -> None:
        """Start with none."""
        self._first: dict[str, Value] | None = None
        self._last: dict[str, Value] | None = None

    def watch(self, records: Iterator[dict[str, Value]]) -> Iterator[dict[str, Value]]:
        """Yield the records."""
        for record in records:
            self._first = self._first or record
            self._last = record
            yield record

    @property
    def sentence(self) -> str:
        """What there was, with what to compare with an earlier look."""
        if self._first is None or self._last is None:
            return "there is no record"
        before = self._first["previous_hash"] or "none"
        return (
            f"records {self._first['id']} to {self._last['id']} are whole; the hash before them is "
            f"{before}, and the last one is {self._last['hash']}"
        )


def problem_of_file(file: Path, ends: Ends) -> str:
    """Return what is wrong with an export, or an empty text; leave where it cannot be read."""
    try:
        with file.open(encoding="utf-8") as lines:
            return problem_of(
                ends.watch(read_lines(iter(lambda: lines.readline(LINE_BYTES_MAX), "")))
            )
    except OSError as error:
        say(f"inventory: {file} cannot be read: {error.strerror}", err=True)
        raise typer.Exit(EXIT_USAGE) from error
    except (ValueError, RecursionError) as error:
        return f"a line is no record: {error}"


def read_lines(lines: Iterator[str]) -> Iterator[dict[str, Value]]:
    """Yield the records of an export; raise ValueError."""
    for line in lines:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("it is no object")  # noqa: TRY004 - the file is wrong, not the program
        if not all(type(value) in (int, str) for value in record.values()):
            raise ValueError("it holds other values than texts and whole numbers")
        yield record


def all_records(inventory: Inventory) -> Iterator[dict[str, Value]]:
    """Yield every record as it is exported and hashed, the oldest first."""
    return map(exported, inventory.audit_records("id", page_size=PAGE))


def exported(record: AuditRecord) -> dict[str, Value]:
    """Return a record's fields and hashes."""
    shown: dict[str, Value] = {"time_ms": milliseconds(record.time)}
    names = (*FIELDS, *HASHES)
    return {name: shown[name] if name in shown else getattr(record, name) for name in names}


def milliseconds(time: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def row_of(record: AuditRecord) -> list[object]:
    """Return a record for a table."""
    actor = record.actor or (record.actor_id or "-")
    time = record.time.strftime("%Y-%m-%d %H:%M:%S")
    return [
        record.id, time, record.kind, record.outcome, actor, record.subject_id or "-",
        record.detail, record.source, record.event_count,
    ]  # fmt: skip
