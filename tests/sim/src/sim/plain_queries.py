"""What a `PlainMachine` answers to questions: each list is a sort of all rows, each total a sum."""

from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine.records import ItemRecord
from wire.text import folded

from sim.plain_machine import PlainMachine, set_time, shown_user

INTEGER_MAX = 2**63 - 1


def items(plain: PlainMachine, order_by: str) -> list[inventory_pb2.Item]:
    """Return the items that are not deleted, in an order."""
    name, _, way = order_by.partition(" ")

    def key(item: ItemRecord) -> tuple[object, ...]:
        keys = {
            "": (),
            "id": (),
            "name": (folded(item.name),),
            "price": (item.price_minor,),
            "quantity": (plain.stock.quantity(item.id),),
        }
        return (*keys[name], item.id)

    living = sorted(_living(plain), key=key, reverse=way == "desc")
    return [plain.stock.shown(item) for item in living]


def item_stats(plain: PlainMachine, order_by: str) -> list[inventory_pb2.ItemStats]:
    """Return what each item that is not deleted sold, in an order."""
    name, _, way = order_by.partition(" ")

    def key(item: ItemRecord) -> tuple[int, ...]:
        record = plain.stock.record(item.id)
        keys = {"units_sold": (record.units_sold,), "revenue": (record.revenue_minor,)}
        return (*keys.get(name, ()), item.id)

    living = sorted(_living(plain), key=key, reverse=way == "desc")
    return [stats(plain, item.id) for item in living]


def _living(plain: PlainMachine) -> list[ItemRecord]:
    return [item for item in plain.stock.described if not item.delete_ms]


def stats(plain: PlainMachine, item_id: int) -> inventory_pb2.ItemStats:
    """Return what an item sold."""
    stock = plain.stock
    record = stock.record(item_id)
    found = inventory_pb2.ItemStats(
        item_id=item_id,
        item_name=record.name,
        quantity=record.quantity,
        order_count=record.order_count,
        units_sold=record.units_sold,
        revenue=stock.money(record.revenue_minor),
        units_sold_last_day=stock.units(item_id, 1),
        units_sold_last_7_days=stock.units(item_id, 7),
        units_sold_last_30_days=stock.units(item_id, 30),
    )
    set_time(found.as_of_time, plain.stamp_ms)
    set_time(found.create_time, record.create_ms)
    if record.order_count:
        set_time(found.first_order_time, record.first_order_ms)
        set_time(found.last_order_time, record.last_order_ms)
    return found


def orders(plain: PlainMachine, user_id: int | None) -> list[inventory_pb2.Order]:
    """Return the orders of a user, or of all users, newest first."""
    found: dict[int, inventory_pb2.Order] = {}
    for line in plain.stock.ledger:
        if not line.order_id or user_id not in {None, line.user_id}:
            continue
        order = found.setdefault(line.order_id, inventory_pb2.Order(id=line.order_id))
        order.user_id = line.user_id
        set_time(order.create_time, line.stamp_ms)
        order.lines.add(
            item_id=line.item_id,
            quantity=-line.delta,
            unit_price=plain.stock.money(line.unit_price_minor),
            on_hand_after=line.on_hand_after,
        )
    for order in found.values():
        lines = [line for line in plain.stock.ledger if line.order_id == order.id]
        total = -sum(line.delta * line.unit_price_minor for line in lines)
        order.total.CopyFrom(plain.stock.money(total))
    return [found[order_id] for order_id in sorted(found, reverse=True)]


def inventory_stats(
    plain: PlainMachine, low_stock_threshold: int
) -> inventory_pb2.GetInventoryStatsResponse:
    """Return the totals over all items."""
    stock = plain.stock
    records = [stock.record(item.id) for item in stock.described]
    living = [record for record in records if not record.delete_ms]
    low = low_stock_threshold or 10
    most = INTEGER_MAX * 10**stock.digits
    value = sum(record.price_minor * record.quantity for record in living)
    found = inventory_pb2.GetInventoryStatsResponse(
        item_count=len(living),
        total_quantity=sum(record.quantity for record in living),
        stock_value=stock.money(min(value, most)),
        low_stock_count=sum(0 < record.quantity <= low for record in living),
        out_of_stock_count=sum(record.quantity == 0 for record in living),
        order_count=len({line.order_id for line in stock.ledger if line.order_id}),
        units_sold=sum(record.units_sold for record in records),
        revenue=stock.money(min(sum(record.revenue_minor for record in records), most)),
        revision=plain.applied_index,
    )
    set_time(found.as_of_time, plain.stamp_ms)
    return found


def users(plain: PlainMachine, *, show_deleted: bool = False) -> list[auth_pb2.User]:
    """Return the users, by id."""
    known = plain.users.known
    return [shown_user(user) for user in known if show_deleted or not user.delete_ms]
