"""State machines and databases with bugs: what is applied, remembered, flushed and copied."""

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inventory_node.machine import commands, orders, stock
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import ItemRecord
from inventory_node.machine.request_table import RequestTable
from inventory_node.machine.state_cache import StateCache
from inventory_node.runtime.snapshot import StateFolder
from inventory_node.runtime.sqlite import Database, Pinned

from mutants.catching import Mutant, NodeSeed, UnitTests

FOLDER_TESTS = "services/inventory-node/tests/test_store_folder.py"


def keeps_requests_in_memory_alone(patch: pytest.MonkeyPatch) -> None:
    """Leave what became of requests out of the database, so that a restart forgets it."""
    rule = RequestTable.take

    def take(self: RequestTable, changes: Changes) -> None:
        rule(self, changes)
        changes.requests = []

    patch.setattr(RequestTable, "take", take)


def leaves_requests_out_of_snapshots(patch: pytest.MonkeyPatch) -> None:
    """Copy items and orders, and not what became of requests."""
    rule = Pinned.copy

    def copy(self: Pinned, path: Path) -> None:
        rule(self, path)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM requests")

    patch.setattr(Pinned, "copy", copy)


def writes_the_applied_index_later(patch: pytest.MonkeyPatch) -> None:
    """Write rows in one transaction and the index that they reach in the next."""
    rule = Database.flush

    def flush(self: Database, changes: Changes) -> None:
        behind = self.header()
        header = replace(
            changes.header,
            applied_index=behind.applied_index,
            applied_term=behind.applied_term,
        )
        rule(self, replace(changes, header=header))

    patch.setattr(Database, "flush", flush)


def writes_one_level_of_many(patch: pytest.MonkeyPatch) -> None:
    """Write the first level that changed, and no other."""
    rule = StateCache.take

    def take(self: StateCache, changes: Changes) -> None:
        rule(self, changes)
        changes.levels = changes.levels[:1]

    patch.setattr(StateCache, "take", take)


def decides_by_what_it_has_in_memory(patch: pytest.MonkeyPatch) -> None:
    """Find only items that were used since the start, so that members differ."""
    rule = stock.find

    def find(cache: StateCache, item_id: int) -> ItemRecord | stock.Outcome:
        found = rule(cache, item_id) if item_id in cache._items else None
        return found if found is not None else rule(cache, 0)

    patch.setattr(stock, "find", find)
    patch.setattr(orders, "find", find)


def sells_what_is_not_there(patch: pytest.MonkeyPatch) -> None:
    """Find enough wherever somebody orders."""
    rule = commands._RULES["order_item"]

    def order_item(cache: StateCache, request: Any, context: Any) -> stock.Outcome:  # noqa: ANN401
        item = cache.item(request.item_id)
        if item is not None:
            item.quantity = max(item.quantity, request.quantity)
        return rule(cache, request, context)

    patch.setitem(commands._RULES, "order_item", order_item)


def gives_a_number_twice(patch: pytest.MonkeyPatch) -> None:
    """Begin to count orders anew at a restart."""
    rule = StateCache.__init__

    def init(self: StateCache, *arguments: Any) -> None:  # noqa: ANN401 - passed on as they are
        rule(self, *arguments)
        self.next_ledger_id = 1

    patch.setattr(StateCache, "__init__", init)


def installs_what_it_did_not_verify(patch: pytest.MonkeyPatch) -> None:
    """Take what arrived for what was sent."""
    patch.setattr(StateFolder, "_verify", lambda *_: "")


MUTANTS = (
    Mutant(keeps_requests_in_memory_alone, NodeSeed(1)),
    Mutant(leaves_requests_out_of_snapshots, NodeSeed(1)),
    Mutant(writes_the_applied_index_later, NodeSeed(1)),
    Mutant(writes_one_level_of_many, NodeSeed(1)),
    Mutant(decides_by_what_it_has_in_memory, NodeSeed(1)),
    Mutant(sells_what_is_not_there, NodeSeed(1)),
    Mutant(gives_a_number_twice, NodeSeed(1)),
    Mutant(installs_what_it_did_not_verify, UnitTests(FOLDER_TESTS, "other_bytes")),
)
