"""What may enter: every bound at its edge, on both sides of it."""

from collections.abc import Callable

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.rpc import status_pb2
from google.type import money_pb2
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2
from wire import bounds
from wire.bounds import check, check_administration, check_mutation, check_query, updated_fields
from wire.checker import bounds_of
from wire.errors import Reason, details_of, reason_of

Mutation = inventory_pb2.Mutation
Query = forward_pb2.Query


def field_of(problem: status_pb2.Status | None) -> str | None:
    """Return the field that a refusal names; None for no refusal."""
    if problem is None:
        return None
    assert reason_of(problem) is Reason.INVALID_FIELD
    return details_of(problem)["field"]


def usd(units: int, nanos: int = 0) -> money_pb2.Money:
    """Return an amount."""
    return money_pb2.Money(currency_code="USD", units=units, nanos=nanos)


def add(**fields: object) -> Mutation:
    """Return an added item; fields over those of a plain one."""
    request = inventory_pb2.AddItemRequest(request_id="a", name="Desk", price=usd(1))
    request.MergeFrom(inventory_pb2.AddItemRequest(**fields))  # type: ignore[arg-type]  # protobuf checks
    return Mutation(add_item=request)


def order(request_id: str = "a", item_id: int = 1, quantity: int = 1) -> Mutation:
    """Return an order."""
    return Mutation(
        order_item=inventory_pb2.OrderItemRequest(
            request_id=request_id, item_id=item_id, quantity=quantity
        )
    )


def place(*lines: tuple[int, int]) -> Mutation:
    """Return an order of (item id, quantity) lines."""
    request = inventory_pb2.PlaceOrderRequest(request_id="a")
    for item_id, quantity in lines:
        request.lines.add(item_id=item_id, quantity=quantity)
    return Mutation(place_order=request)


def adjust(delta: int) -> Mutation:
    """Return an adjustment."""
    return Mutation(
        adjust_stock=inventory_pb2.AdjustStockRequest(request_id="a", item_id=1, delta=delta)
    )


def count(quantity: int, expected: int | None = None) -> Mutation:
    """Return a count."""
    request = inventory_pb2.SetStockRequest(
        request_id="a", item_id=1, quantity=quantity, expected_quantity=expected
    )
    return Mutation(set_stock=request)


def update(*mask: str, item_id: int = 1, **fields: object) -> Mutation:
    """Return an update."""
    item = inventory_pb2.Item(id=item_id, **fields)  # type: ignore[arg-type]  # protobuf checks
    request = inventory_pb2.UpdateItemRequest(request_id="a", item=item)
    if mask:
        request.update_mask.paths.extend(mask)
    return Mutation(update_item=request)


def delete(item_id: int) -> Mutation:
    """Return a deletion."""
    return Mutation(delete_item=inventory_pb2.DeleteItemRequest(request_id="a", item_id=item_id))


@pytest.mark.parametrize(
    "mutation",
    [
        order("x" * 64),
        order("é" * 32),
        order(item_id=2**63 - 1, quantity=10**9),
        place((1, 1)),
        place(*((number, 10**9) for number in range(1, 101))),
        add(name="x" * 200, description="x" * 2_000, quantity=10**9),
        add(name="é"),
        add(name="Öl"),
        add(description="two\nlines"),
        add(description="zero\u200bwidth"),
        add(price=usd(0)),
        add(price=usd(10**12)),
        add(price=usd(0, 10**9 - 1)),
        adjust(1),
        adjust(-1),
        adjust(10**9),
        adjust(-(10**9)),
        count(0),
        count(10**9, 0),
        update("name", name="Lamp"),
        update("description"),
        update("price", "name", name="Lamp"),
        update(name="Lamp"),
        update(price=usd(0)),
        delete(1),
    ],
)
def test_what_is_within_every_bound_may_enter(mutation: Mutation) -> None:
    """The edge belongs to it."""
    assert check_mutation(mutation) is None


@pytest.mark.parametrize(
    ("mutation", "field"),
    [
        (Mutation(), "mutation"),
        (order(""), "request_id"),
        (order("x" * 65), "request_id"),
        (order("é" * 33), "request_id"),
        (order(item_id=0), "item_id"),
        (order(item_id=-1), "item_id"),
        (order(quantity=0), "quantity"),
        (order(quantity=-1), "quantity"),
        (order(quantity=10**9 + 1), "quantity"),
        (place(), "lines"),
        (place(*((number, 1) for number in range(1, 102))), "lines"),
        (place((1, 1), (2, 1), (1, 1)), "lines"),
        (place((1, 1), (0, 1)), "lines.item_id"),
        (place((1, 1), (2, 0)), "lines.quantity"),
        (place((1, 10**9 + 1)), "lines.quantity"),
        (add(name="x" * 201), "name"),
        (add(name="tab\there"), "name"),
        (add(name="nul\0"), "name"),
        (add(name="c1\x85"), "name"),
        (add(description="x" * 2_001), "description"),
        (add(price=money_pb2.Money(currency_code="USD", units=10**12 + 1)), "price"),
        (add(price=money_pb2.Money(currency_code="USDX")), "price.currency_code"),
        (add(name="\u3000"), "name"),
        (add(name=" Pen"), "name"),
        (add(name="Pen\u00a0"), "name"),
        (add(name="Pe\u200bn"), "name"),
        (add(name="Pe\u2028n"), "name"),
        (add(quantity=-1), "quantity"),
        (add(quantity=10**9 + 1), "quantity"),
        (adjust(0), "delta"),
        (adjust(10**9 + 1), "delta"),
        (adjust(-(10**9) - 1), "delta"),
        (adjust(-(2**63)), "delta"),
        (count(-1), "quantity"),
        (count(10**9 + 1), "quantity"),
        (count(1, -1), "expected_quantity"),
        (update("quantity", quantity=5), "update_mask"),
        (update("name", "id", name="Lamp"), "update_mask"),
        (update(), "update_mask"),
        (update(quantity=5), "update_mask"),
        (update("name"), "item.name"),
        (update("name", name="Lamp", item_id=0), "item.id"),
        (update("price", price=usd(-1)), "item.price"),
        (delete(0), "item_id"),
    ],
)
def test_what_is_over_a_bound_may_not(mutation: Mutation, field: str) -> None:
    """The refusal names the field."""
    assert field_of(check_mutation(mutation)) == field


@pytest.mark.parametrize(("units", "nanos"), [(-1, 0), (0, -1), (0, 10**9), (2**62, 0)])
def test_a_price_is_not_negative_and_well_formed(units: int, nanos: int) -> None:
    """Whether it is whole minor units is the cluster's currency's to say."""
    request = inventory_pb2.AddItemRequest(request_id="a", name="Desk", price=usd(units, nanos))
    assert field_of(check_mutation(Mutation(add_item=request))) == "price"


def test_an_item_without_a_name_may_not_enter() -> None:
    """Neither added nor renamed to nothing."""
    request = inventory_pb2.AddItemRequest(request_id="a", price=usd(1))
    assert field_of(check_mutation(Mutation(add_item=request))) == "name"


@pytest.mark.parametrize("kind", [field.name for field in Mutation.DESCRIPTOR.fields])
def test_every_mutation_has_bounds(kind: str) -> None:
    """An operation whose request id may be anything fails here, not in a running gateway."""
    mutation = Mutation()
    getattr(mutation, kind).SetInParent()
    if kind == "update_item":
        mutation.update_item.update_mask.paths.append("price")
    assert field_of(check_mutation(mutation)) == "request_id"


def fields_of_requests() -> list[FieldDescriptor]:
    """Return every field that a client fills in, those of messages in it included."""
    todo = [
        method.input_type
        for file in (assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.client_streaming
    ]
    found: dict[str, FieldDescriptor] = {}
    while todo:
        for field in todo.pop().fields:
            if field.full_name not in found and field.full_name.startswith("inventory."):
                found[field.full_name] = field
                todo.extend([field.message_type] if field.message_type is not None else [])
    return list(found.values())


UNBOUNDED = {
    "inventory.v1.CreateUserRequest.must_change_password",  # a bool has two values
    "inventory.v1.SetPasswordRequest.must_change_password",
    "inventory.v1.ListUsersRequest.show_deleted",
    # what may be any value of its type, or never enters
    "inventory.v1.Item.quantity",  # of an update: ignored
    "inventory.v1.ItemFilter.quantity_min",
    "inventory.v1.ItemFilter.quantity_max",
    "inventory.v1.ReadOptions.consistency",  # by the rule of the message
}


def test_every_number_and_text_of_a_client_has_bounds() -> None:
    """A field that is added without bounds fails here, unless it is listed with its reason."""
    bare = {
        field.full_name
        for field in fields_of_requests()
        if field.message_type is None and not bounds_of(field).ListFields()
    }
    assert bare == UNBOUNDED


def test_what_an_update_leaves_out_is_within_bounds_too() -> None:
    """A text that is not taken over is carried through the log all the same."""
    mutation = update("name", name="Lamp", description="x" * 2_001)
    assert field_of(check_mutation(mutation)) == "item.description"


def test_an_update_without_a_mask_changes_what_the_item_sets() -> None:
    """With one, what it names and nothing else, in one order (AIP-134)."""
    masked = update("price", "name", name="Lamp", description="Bright").update_item
    assert updated_fields(masked) == ("name", "price")
    bare = update(description="Bright", price=usd(0)).update_item
    assert updated_fields(bare) == ("description", "price")


def test_only_an_update_has_updated_fields() -> None:
    """Of another message the caller has a bug."""
    with pytest.raises(TypeError, match="has no field mask"):
        updated_fields(inventory_pb2.AddItemRequest())


def new_user(**fields: object) -> log_pb2.Administration:
    """Return a user's creation; fields over those of a plain one."""
    user = log_pb2.NewUser(name="ann", folded_name="ann", role=auth_pb2.ROLE_CUSTOMER)
    user.password_hash = "h"  # noqa: S105 - of nothing
    for name, value in fields.items():
        setattr(user, name, value)
    create = log_pb2.CreateUser(user=user)
    return log_pb2.Administration(request_id="a", create_user=create)


def initialize(change: Callable[[log_pb2.Initialize], None]) -> log_pb2.Administration:
    """Return a first state, changed."""
    administration = log_pb2.Administration(request_id="a")
    first = administration.initialize
    first.cluster_id = "cluster"
    first.currency.code, first.currency.minor_digits = "USD", 2
    change(first)
    return administration


def currency(code: str, digits: int) -> Callable[[log_pb2.Initialize], None]:
    """Return a change of currency."""

    def change(first: log_pb2.Initialize) -> None:
        first.currency.code, first.currency.minor_digits = code, digits

    return change


def add_user(first: log_pb2.Initialize) -> None:
    """Add a user without a role."""
    first.users.add(name="ann", folded_name="ann")


def add_item(first: log_pb2.Initialize) -> None:
    """Add an item without a name."""
    first.items.add(quantity=1)


@pytest.mark.parametrize(
    ("administration", "field"),
    [
        (new_user(), None),
        (new_user(name="x" * 64), None),
        (new_user(name=""), "user.name"),
        (new_user(name="x" * 65), "user.name"),
        (new_user(name="admin "), "user.name"),
        (new_user(name="ad\u200bmin"), "user.name"),
        (new_user(name="\u2028"), "user.name"),
        (new_user(folded_name=""), "user.folded_name"),
        (new_user(folded_name="x" * 257), "user.folded_name"),
        (new_user(role=auth_pb2.ROLE_UNSPECIFIED), "user.role"),
        (new_user(role=99), "user.role"),
        (new_user(password_hash=""), "user.password_hash"),
        (new_user(password_hash="x" * 513), "user.password_hash"),
        (log_pb2.Administration(request_id="a"), "administration"),
        (log_pb2.Administration(checkpoint=log_pb2.Checkpoint()), "request_id"),
        (log_pb2.Administration(request_id="a", checkpoint=log_pb2.Checkpoint()), None),
        (initialize(currency("USD", 2)), None),
        (initialize(currency("JPY", 0)), None),
        (initialize(currency("usd", 2)), "currency"),
        (initialize(currency("USDX", 2)), "currency"),
        (initialize(currency("CLF", 4)), None),
        (initialize(currency("ZZZ", 2)), "currency"),
        (initialize(currency("XAU", 0)), "currency"),
        (initialize(currency("USD", 5)), "currency.minor_digits"),
        (initialize(lambda first: first.ClearField("cluster_id")), "cluster_id"),
        (initialize(add_user), "users.role"),
        (initialize(add_item), "items.name"),
    ],
)
def test_administrations_have_bounds_too(
    administration: log_pb2.Administration, field: str | None
) -> None:
    """What makes the first state is checked as what changes it."""
    assert field_of(check_administration(administration)) == field


@pytest.mark.parametrize(
    ("timeout", "field"),
    [
        (Duration(nanos=1_000_000), None),
        (Duration(seconds=600), None),
        (Duration(), "timeout"),
        (Duration(nanos=999_999), "timeout"),
        (Duration(seconds=-5), "timeout"),
        (Duration(seconds=600, nanos=1_000_000), "timeout"),
        (Duration(seconds=2**63 - 1, nanos=2**31 - 1), "timeout"),
    ],
)
def test_a_timeout_has_bounds(timeout: Duration, field: str | None) -> None:
    """From a millisecond to ten minutes."""
    assert field_of(bounds.check_timeout(bounds.milliseconds(timeout))) == field


def items(**fields: object) -> Query:
    """Return a question for items."""
    request = inventory_pb2.GetAllItemsRequest(**fields)  # type: ignore[arg-type]  # protobuf checks
    return Query(get_all_items=request)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (Query(), "query"),
        (items(page_size=0), None),
        (items(page_size=2**31 - 1, page_token="x" * 4_096, order_by="x" * 64), None),
        (items(page_size=-1), "page_size"),
        (items(page_token="x" * 4_097), "page_token"),
        (items(order_by="x" * 65), "order_by"),
        (items(filter=inventory_pb2.ItemFilter(name_contains="x" * 200)), None),
        (items(filter=inventory_pb2.ItemFilter(name_contains=" ")), None),
        (
            items(filter=inventory_pb2.ItemFilter(name_contains="\u200b")),
            "filter.name_contains",
        ),
        (
            items(filter=inventory_pb2.ItemFilter(name_contains="x" * 201)),
            "filter.name_contains",
        ),
        (Query(get_item=inventory_pb2.GetItemRequest(item_id=1)), None),
        (Query(get_item=inventory_pb2.GetItemRequest(item_id=0)), "item_id"),
        (Query(get_item_stats=inventory_pb2.GetItemStatsRequest(item_id=-1)), "item_id"),
        (Query(get_order=inventory_pb2.GetOrderRequest()), "order_id"),
        (Query(list_orders=inventory_pb2.ListOrdersRequest(page_size=-1)), "page_size"),
        (Query(list_users=auth_pb2.ListUsersRequest(page_size=-1)), "page_size"),
        (Query(list_item_stats=inventory_pb2.ListItemStatsRequest(page_size=-1)), "page_size"),
        (
            Query(
                get_inventory_stats=inventory_pb2.GetInventoryStatsRequest(low_stock_threshold=-1)
            ),
            "low_stock_threshold",
        ),
        (Query(get_credential=forward_pb2.GetCredential()), None),
        (Query(get_credential=forward_pb2.GetCredential(folded_name="x" * 256)), None),
        (Query(get_credential=forward_pb2.GetCredential(folded_name="x" * 257)), "folded_name"),
        (Query(get_current_user=auth_pb2.GetCurrentUserRequest()), None),
    ],
)
def test_queries_have_bounds(query: Query, field: str | None) -> None:
    """Every query that there is, at its edges."""
    assert field_of(check_query(query)) == field


@pytest.mark.parametrize(
    ("username", "password", "field"),
    [
        ("x" * 64, "x" * 256, None),
        ("", "password", "username"),
        ("x" * 65, "password", "username"),
        ("ann", "", "password"),
        ("ann", "é" * 129, "password"),
    ],
)
def test_a_login_has_bounds(username: str, password: str, field: str | None) -> None:
    """A password that is too long would keep argon2 busy."""
    request = auth_pb2.LoginRequest(username=username, password=password)
    assert field_of(check(request)) == field


@pytest.mark.parametrize(
    ("password", "field"),
    [
        ("x" * 8, None),
        ("x" * 7, "password"),
        ("é" * 4, "password"),
        ("é" * 8, None),
        ("x" * 257, "password"),
    ],
)
def test_a_password_that_is_set_has_a_least_length(password: str, field: str | None) -> None:
    """For others and for a user of its own."""
    create = auth_pb2.CreateUserRequest(
        request_id="a", username="ann", password=password, role=auth_pb2.ROLE_CUSTOMER
    )
    assert field_of(check(create)) == field
    change = auth_pb2.SetPasswordRequest(request_id="a", user_id=1, password=password)
    assert field_of(check(change)) == field


@pytest.mark.parametrize(
    ("text", "field"),
    [("low stock", None), ("two\nlines", None), ("x" * 500, None), ("x" * 501, "question"),
     ("", "question"), ("nul\0", "question")],
)  # fmt: skip
def test_a_question_has_bounds(text: str, field: str | None) -> None:
    """In characters."""
    assert field_of(check(assistant_pb2.GetPredictionRequest(question=text))) == field


def test_an_item_without_a_price_is_refused() -> None:
    """It would be sold for nothing; what costs nothing says so."""
    request = inventory_pb2.AddItemRequest(request_id="a", name="Lamp", quantity=1)
    refusal = check_mutation(Mutation(add_item=request))
    assert refusal is not None
    assert "price" in refusal.message
    request.price.currency_code = "USD"
    assert check_mutation(Mutation(add_item=request)) is None


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(1, -1), (-1, 2**31 - 1), (0, 10**9), (0, 0), (3_601, 0), (-5, 0)]
)
def test_a_duration_that_is_none_bounds_no_staleness(seconds: int, nanos: int) -> None:
    """google.protobuf.Duration: nanos has the sign of seconds, and is below a second."""
    options = inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_BOUNDED_STALENESS)
    options.max_staleness.seconds, options.max_staleness.nanos = seconds, nanos
    query = Query(get_item=inventory_pb2.GetItemRequest(item_id=1, read_options=options))
    assert field_of(check_query(query)) == "read_options.max_staleness"
