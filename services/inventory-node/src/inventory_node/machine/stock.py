"""The rules of items and their levels."""

from google.type import money_pb2
from inventory.v1 import inventory_pb2
from wire import bounds, errors, money

from inventory_node.machine.records import ItemRecord
from inventory_node.machine.state_cache import StateCache

Outcome = inventory_pb2.Outcome


class Context:
    """The facts about the applied entry that a rule may use."""

    __slots__ = (
        "currency",
        "digits",
        "ordered",
        "ordered_response",
        "ordered_total",
        "revision",
        "stamp_ms",
        "user_id",
    )

    def __init__(self, currency: str, digits: int) -> None:
        """Set the cluster's currency; the other fields are set for each command."""
        self.use_currency(currency, digits)
        self.revision = 0  # the entry's index
        self.stamp_ms = 0
        self.user_id = 0

    def use_currency(self, currency: str, digits: int) -> None:
        """Set the cluster's currency."""
        self.currency = currency
        self.digits = digits
        # The outcome of an order of one item, filled in anew for each order: making an outcome
        # costs as much as all the rest of the order.
        self.ordered = Outcome(order_item=inventory_pb2.OrderItemResponse())
        self.ordered_response = self.ordered.order_item
        self.ordered_total = self.ordered_response.total
        self.ordered_total.currency_code = currency


def price_minor(
    price: money_pb2.Money,
    context: Context,
) -> int | inventory_pb2.Outcome:
    """Return a price in minor units, or the refusal of a price that the currency cannot hold."""
    given = price.currency_code or price.units or price.nanos
    if given and price.currency_code != context.currency:
        refused = errors.currency_mismatch(context.currency, price.currency_code)
        return Outcome(error=refused)
    try:
        minor = money.to_minor(price, context.digits)
    except money.MoneyError:
        return Outcome(error=errors.price_not_representable(context.digits))
    if minor > bounds.PRICE_MINOR_MAX:
        problem = f"must be at most {bounds.PRICE_MINOR_MAX} minor units"
        return Outcome(error=errors.invalid_field("price", problem))
    return minor


def message(item: ItemRecord, currency: str, digits: int) -> inventory_pb2.Item:
    """Return an item for the wire."""
    shown = inventory_pb2.Item(
        id=item.id,
        name=item.name,
        description=item.description,
        price=money.from_minor(item.price_minor, currency, digits),
        quantity=item.quantity,
    )
    shown.create_time.FromMilliseconds(item.create_ms)
    shown.update_time.FromMilliseconds(item.update_ms)
    if item.delete_ms:
        shown.delete_time.FromMilliseconds(item.delete_ms)
    return shown


def find(cache: StateCache, item_id: int) -> ItemRecord | inventory_pb2.Outcome:
    """Return an item that a rule may change, or the refusal."""
    item = cache.item(item_id)
    if item is None:
        return Outcome(error=errors.item_not_found(item_id))
    if item.delete_ms:
        return Outcome(error=errors.item_deleted(item_id))
    return item


def add_item(
    cache: StateCache, request: inventory_pb2.AddItemRequest, context: Context
) -> inventory_pb2.Outcome:
    """Add an item; its first level is a movement like any other."""
    minor = price_minor(request.price, context)
    if not isinstance(minor, int):
        return minor
    item = ItemRecord(
        id=cache.next_item_id,
        name=request.name,
        description=request.description,
        price_minor=minor,
        quantity=0,
        create_ms=context.stamp_ms,
        update_ms=context.stamp_ms,
    )
    cache.add_item(item)
    if request.quantity:
        cache.move(item, context.user_id, request.quantity, 0, context.stamp_ms)
    shown = message(item, context.currency, context.digits)
    return Outcome(add_item=inventory_pb2.AddItemResponse(item=shown, revision=context.revision))


def update_item(
    cache: StateCache, request: inventory_pb2.UpdateItemRequest, context: Context
) -> inventory_pb2.Outcome:
    """Change the fields that the mask names; never a quantity."""
    item = find(cache, request.item.id)
    if not isinstance(item, ItemRecord):
        return item
    fields = bounds.updated_fields(request)
    if "price" in fields:
        minor = price_minor(request.item.price, context)
        if not isinstance(minor, int):
            return minor
        item.price_minor = minor
    if "name" in fields:
        item.name = request.item.name
    if "description" in fields:
        item.description = request.item.description
    item.update_ms = context.stamp_ms
    cache.change_item(item)
    shown = message(item, context.currency, context.digits)
    return Outcome(
        update_item=inventory_pb2.UpdateItemResponse(item=shown, revision=context.revision)
    )


def delete_item(
    cache: StateCache, request: inventory_pb2.DeleteItemRequest, context: Context
) -> inventory_pb2.Outcome:
    """Archive an item."""
    item = find(cache, request.item_id)
    if not isinstance(item, ItemRecord):
        return item
    item.delete_ms = item.update_ms = context.stamp_ms
    cache.change_item(item)
    shown = message(item, context.currency, context.digits)
    return Outcome(
        delete_item=inventory_pb2.DeleteItemResponse(item=shown, revision=context.revision)
    )


def adjust_stock(
    cache: StateCache, request: inventory_pb2.AdjustStockRequest, context: Context
) -> inventory_pb2.Outcome:
    """Add to an item's level, or take from the level."""
    item = find(cache, request.item_id)
    if not isinstance(item, ItemRecord):
        return item
    after = item.quantity + request.delta
    if after < 0:
        refused = errors.insufficient_stock(item.id, -request.delta, item.quantity)
        return Outcome(error=refused)
    if after > bounds.QUANTITY_MAX:
        refused = errors.quantity_too_large(item.id, after, bounds.QUANTITY_MAX)
        return Outcome(error=refused)
    cache.move(item, context.user_id, request.delta, 0, context.stamp_ms)
    return Outcome(
        adjust_stock=inventory_pb2.AdjustStockResponse(
            item_id=item.id, on_hand_after=item.quantity, revision=context.revision
        )
    )


def set_stock(
    cache: StateCache, request: inventory_pb2.SetStockRequest, context: Context
) -> inventory_pb2.Outcome:
    """Set an item's level, if the level still is what the caller saw."""
    item = find(cache, request.item_id)
    if not isinstance(item, ItemRecord):
        return item
    if request.HasField("expected_quantity") and request.expected_quantity != item.quantity:
        refused = errors.quantity_changed(item.id, request.expected_quantity, item.quantity)
        return Outcome(error=refused)
    if request.quantity != item.quantity:
        delta = request.quantity - item.quantity
        cache.move(item, context.user_id, delta, 0, context.stamp_ms)
    return Outcome(
        set_stock=inventory_pb2.SetStockResponse(
            item_id=item.id, on_hand_after=item.quantity, revision=context.revision
        )
    )
