"""Microseconds an order in the state machine: in memory alone, and with the database behind it.

One process, one thread, no consensus and no network: entries of 256 orders go through `apply`, and
every so many orders what changed is flushed in one synced transaction. Prints the goals beside what
was measured. The figures are of this machine and its load; compare runs of one afternoon.
"""

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
import uuid_utils
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine import Machine, MutationOutcome
from inventory_node.runtime.sqlite import Database
from raft.messages import Entry, EntryKind
from rich.console import Console
from rich.table import Table
from wire import money

BATCH = 256  # orders an entry
FLUSHES = (0, 256, 2_048, 16_384)  # orders a flush; 0: none
GOALS = {0: "8", 256: "", 2_048: "15", 16_384: "14"}  # microseconds an order
STOCK = 10**9


def first_entry(items: int) -> Entry:
    """Return the entry that makes a customer and the items."""
    administration = log_pb2.Administration(request_id="initialize")
    initialize = administration.initialize
    initialize.cluster_id = "bench"
    initialize.currency.code, initialize.currency.minor_digits = "USD", 2
    initialize.users.add(name="customer", role=auth_pb2.ROLE_CUSTOMER, password_hash="none")  # noqa: S106 - nobody logs in
    for number in range(items):
        price = money.from_minor(199, "USD", 2)
        initialize.items.add(name=f"Item {number}", price=price, quantity=STOCK)
    start = log_pb2.StartSession(user_id=1, epoch=1, family_hash=bytes(32), secret_hash=bytes(32))
    session = log_pb2.Administration(request_id="log-in", start_session=start)
    commands = [log_pb2.Command(administration=one) for one in (administration, session)]
    return entry_of(1, commands)


def entry_of(index: int, commands: list[log_pb2.Command]) -> Entry:
    """Return an entry of the log, stamped with this machine's time."""
    batch = log_pb2.Batch(stamp_ms=time.time_ns() // 1_000_000, rules_version=1, commands=commands)
    return Entry(index, 1, EntryKind.COMMAND, batch.SerializeToString())


def orders(entries: int, items: int) -> Iterator[Entry]:
    """Yield entries of orders, each order of another item than the one before."""
    at = 0
    for index in range(2, entries + 2):
        commands = []
        for _ in range(BATCH):
            at += 1
            request = inventory_pb2.OrderItemRequest(
                request_id=str(uuid_utils.uuid7()), item_id=at % items + 1, quantity=1
            )
            mutation = inventory_pb2.Mutation(order_item=request)
            commands.append(log_pb2.Command(user_id=1, epoch=1, session_id=1, mutation=mutation))
        yield entry_of(index, commands)


def flush_all(machine: Machine, database: Database) -> None:
    """Write everything that was applied and not flushed."""
    changes = machine.take_changes()
    if changes is not None:
        database.flush(changes)
        machine.flushed()


def measure(entries: list[Entry], flush: int) -> tuple[float, float]:
    """Return microseconds an order in `apply`, and in flushes of `flush` orders."""
    with tempfile.TemporaryDirectory(prefix="inventory-apply-") as folder:
        database = Database(Path(folder) / "state.db")
        machine = Machine(database)
        machine.apply(entries[0])
        flush_all(machine, database)
        gc.collect()
        gc.freeze()
        applier = flusher = 0
        waiting = 0
        for entry in entries[1:]:
            began = time.perf_counter_ns()
            outcomes = machine.apply(entry)
            applier += time.perf_counter_ns() - began
            if not all(isinstance(outcome, MutationOutcome) for outcome in outcomes):
                raise RuntimeError("an order was refused")
            waiting += len(outcomes)
            if flush and waiting >= flush:
                began = time.perf_counter_ns()
                flush_all(machine, database)
                flusher += time.perf_counter_ns() - began
                waiting = 0
        database.close()
    count = (len(entries) - 1) * BATCH * 1_000
    return applier / count, flusher / count


def main(
    entries: Annotated[int, typer.Option(help="Entries of 256 orders.")] = 256,
    items: Annotated[int, typer.Option(help="How many items are ordered.")] = 1_000,
) -> None:
    """Measure the state machine on this machine."""
    made = [first_entry(items), *orders(entries, items)]
    table = Table("flush of", "apply µs", "flush µs", "sum µs", "goal µs", "orders/s", "load")
    for flush in FLUSHES:
        applier, flusher = measure(made, flush)
        both = applier + flusher
        table.add_row(
            f"{flush:,}" if flush else "none",
            f"{applier:.1f}",
            f"{flusher:.1f}",
            f"{both:.1f}",
            GOALS[flush],
            f"{1_000_000 / both:,.0f}",
            f"{os.getloadavg()[0]:.1f}",
        )
    Console(width=None if Console().is_terminal else 100).print(table)


if __name__ == "__main__":
    typer.run(main)
