"""Orders for people: the names of items beside their ids."""

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from inventory_client import Inventory, InventoryError, Order

from inventory_cli.output import UNKNOWN, Output, print_table, show, write_json
from inventory_cli.terminal import say

LOOKUPS_AT_ONCE = 16


def show_orders(output: Output, inventory: Inventory, orders: Iterable[Order]) -> None:
    """Write orders, one in each line, with the items ordered."""
    kept = list(orders)
    if output is Output.JSON:
        write_json(kept)
        return
    if not kept:
        say("nothing to show", err=True)
        return
    names = _names(inventory, {line.item_id for one in kept for line in one.lines})
    rows = [
        (one.id, one.user_id, _contents(one, names), one.total, one.create_time) for one in kept
    ]
    print_table(("id", "user", "items", "total", "time"), rows)


def show_order(output: Output, inventory: Inventory, placed: Order) -> None:
    """Write an order and its lines."""
    if output is Output.JSON:
        write_json(placed)
        return
    show(output, placed)
    names = _names(inventory, {line.item_id for line in placed.lines})
    rows = [
        (line.item_id, names[line.item_id], line.quantity, line.unit_price, line.on_hand_after)
        for line in placed.lines
    ]
    print_table(("item", "name", "quantity", "unit price", "on hand after"), rows)


def _contents(order: Order, names: dict[int, str]) -> str:
    """Return an order's contents as "2 Laptop (1), 1 Keyboard (5)": quantity, name, id."""
    return ", ".join(
        f"{line.quantity:,} {names[line.item_id]} ({line.item_id})" for line in order.lines
    )


def _names(inventory: Inventory, items: Collection[int]) -> dict[int, str]:
    """Return items' names. Items are looked up by id, since a list lacks deleted items.

    A name that cannot be had is left open: the order is shown all the same.
    """

    def name_of(item: int) -> str:
        try:
            return inventory.item(item).name
        except InventoryError:
            return UNKNOWN

    with ThreadPoolExecutor(LOOKUPS_AT_ONCE, "item-names") as lookups:
        return dict(zip(items, lookups.map(name_of, items), strict=True))
