"""The rules of orders: check and take are one step, and an order is all of its lines or none."""

from inventory.v1 import inventory_pb2
from wire import errors, money

from inventory_node.machine.records import ItemRecord
from inventory_node.machine.state_cache import StateCache
from inventory_node.machine.stock import Context, Outcome, find

TOTAL_MINOR_MAX = 10**18


def order_item(
    cache: StateCache, request: inventory_pb2.OrderItemRequest, context: Context
) -> inventory_pb2.Outcome:
    """Take one item; the outcome is `context.ordered`, valid until the next order."""
    item = find(cache, request.item_id)
    if not isinstance(item, ItemRecord):
        return item
    quantity = request.quantity
    if item.quantity < quantity:
        return Outcome(error=errors.insufficient_stock(item.id, quantity, item.quantity))
    total = item.price_minor * quantity
    if item.revenue_minor + total > TOTAL_MINOR_MAX:
        return Outcome(error=errors.total_too_large())
    order_id = cache.next_ledger_id
    cache.orders += 1
    cache.move(item, context.user_id, -quantity, order_id, context.stamp_ms)
    cache.sell(item, quantity, total, context.stamp_ms)
    response = context.ordered_response
    response.order_id = order_id
    response.on_hand_after = item.quantity
    response.revision = context.revision
    money.fill(context.ordered_total, total, context.digits)
    return context.ordered


def place_order(
    cache: StateCache, request: inventory_pb2.PlaceOrderRequest, context: Context
) -> inventory_pb2.Outcome:
    """Take several items, or no item."""
    items: list[ItemRecord] = []
    total = 0
    for line in request.lines:
        item = find(cache, line.item_id)
        if not isinstance(item, ItemRecord):
            return item
        if item.quantity < line.quantity:
            refused = errors.insufficient_stock(item.id, line.quantity, item.quantity)
            return Outcome(error=refused)
        total += item.price_minor * line.quantity
        if item.revenue_minor + total > TOTAL_MINOR_MAX:
            return Outcome(error=errors.total_too_large())
        items.append(item)
    order = inventory_pb2.Order(
        id=cache.next_ledger_id,
        user_id=context.user_id,
        total=money.from_minor(total, context.currency, context.digits),
    )
    order.create_time.FromMilliseconds(context.stamp_ms)
    cache.orders += 1
    for item, line in zip(items, request.lines, strict=True):
        cache.move(item, context.user_id, -line.quantity, order.id, context.stamp_ms)
        cache.sell(item, line.quantity, item.price_minor * line.quantity, context.stamp_ms)
        order.lines.add(
            item_id=item.id,
            quantity=line.quantity,
            unit_price=money.from_minor(item.price_minor, context.currency, context.digits),
            on_hand_after=item.quantity,
        )
    return Outcome(
        place_order=inventory_pb2.PlaceOrderResponse(order=order, revision=context.revision)
    )
