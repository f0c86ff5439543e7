"""Compares the history of a run with the state of the cluster at its end."""

import itertools
import json
import time
from collections import Counter
from pathlib import Path

from inventory_client import Inventory

from chaos.watched import SETTLE_SECONDS_MAX, NotSettled
from chaos.workload import Tally


def moved(history: Path) -> Counter[int]:
    """Return how many units a history's acknowledged operations took from each item, by item.

    A mutation that was attempted several times counts once, by its request id.
    """
    taken: Counter[int] = Counter()
    seen: set[str] = set()
    for text in history.read_text().splitlines():
        line = json.loads(text)
        if line["ok"] is not True or line["kind"] == "get" or line["request_id"] in seen:
            continue
        seen.add(line["request_id"])
        match line["kind"]:
            case "order":
                taken[line["item"]] += line["quantity"]
            case "place_order":
                for part in line["lines"]:
                    taken[part["item"]] += part["quantity"]
            case "adjust":
                taken[line["item"]] -= line["delta"]
            case other:
                raise ValueError(f"{other!r} is no kind of operation")
    return taken


def check_orders(watcher: Inventory, tally: Tally, before: set[int]) -> None:
    """Check that every acknowledged order is there once, and no order that nobody placed."""
    listed = [order.id for order in watcher.orders() if order.id not in before]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(tally.orders)


def check_orders_since(watcher: Inventory, acknowledged: set[int], newest_before: int) -> None:
    """Check that the orders after the newest earlier order are exactly the acknowledged orders."""
    newer = itertools.takewhile(lambda order: order.id > newest_before, watcher.orders())
    listed = [order.id for order in newer]
    assert len(listed) == len(set(listed))
    lost, foreign = acknowledged - set(listed), set(listed) - acknowledged
    assert not lost, f"acknowledged, and not there: {sorted(lost)}"
    assert not foreign, f"there, and acknowledged to nobody: {sorted(foreign)}"


def check_stock(watcher: Inventory, history: Path, started_with: dict[int, int]) -> None:
    """Check that stock is the initial stock less the acknowledged units; no outcome is in doubt."""
    taken = moved(history)
    on_hand = {item: watcher.item(item).quantity for item in started_with}
    assert on_hand == {item: start - taken[item] for item, start in started_with.items()}
    assert all(quantity >= 0 for quantity in on_hand.values())


def check_hashes(watcher: Inventory) -> str:
    """Members hash the same state at the same index; return the hash."""
    index = watcher.checkpoint()
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < deadline:
        members = [member for member in watcher.status().members if member.reachable]
        hashes = {
            member.name: member.state_hash
            for member in members
            if member.state_hash is not None and member.state_hash.index >= index
        }
        if len(hashes) == 3:
            assert len({(one.index, one.sha256) for one in hashes.values()}) == 1, hashes
            return next(iter(hashes.values())).sha256
        time.sleep(0.1)
    raise NotSettled("a member did not hash its state")
