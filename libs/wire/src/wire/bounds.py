"""What a message may hold. Nothing out of bounds enters the log.

Each check returns None, or a refusal that names the field. They look at the message alone; what
depends on the state (is there enough?) is decided where it is applied.
"""

import unicodedata
from collections.abc import Callable, Iterable
from typing import TypeAlias

from google.protobuf import duration_pb2
from google.rpc import status_pb2
from google.type import money_pb2
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2, inventory_pb2

from wire import money, text
from wire.addresses import is_address, is_name
from wire.errors import invalid_field

REQUEST_ID_BYTES_MAX = 64
NAME_CHARACTERS_MAX = 200
DESCRIPTION_CHARACTERS_MAX = 2_000
PRICE_MINOR_MAX = 10**12
QUANTITY_MAX = 10**9
LINES_MAX = 100
USERNAME_CHARACTERS_MAX = 64
PASSWORD_BYTES_MIN = 8
PASSWORD_BYTES_MAX = 256
QUESTION_CHARACTERS_MAX = 500
FOLDED_USERNAME_CHARACTERS_MAX = USERNAME_CHARACTERS_MAX * text.FOLDED_PER_CHARACTER_MAX
PAGE_TOKEN_BYTES_MAX = 4_096  # a place in a list by name; the longest folded name has 2,400 bytes
STALENESS_MS_MAX = 3_600_000
TIMEOUT_MS_MAX = 600_000  # of a call, and of a mutation of a stream
ORDER_BY_CHARACTERS_MAX = 64
HASH_CHARACTERS_MAX = 512
CURRENCY_CODE_CHARACTERS = 3
UPDATABLE = ("name", "description", "price")
SHOWN_CHARACTERS_MAX = 64  # of a caller's own text in a refusal, which has to fit into a header

Problem: TypeAlias = status_pb2.Status | None


def _first(problems: Iterable[Problem]) -> Problem:
    return next((problem for problem in problems if problem is not None), None)


def _request_id(request_id: str) -> Problem:
    if not 1 <= len(request_id.encode()) <= REQUEST_ID_BYTES_MAX:
        return invalid_field("request_id", f"must have 1 to {REQUEST_ID_BYTES_MAX} bytes")
    return None


def _id(field: str, value: int) -> Problem:
    return None if value > 0 else invalid_field(field, "must be positive")


def _text(field: str, value: str, least: int, most: int) -> Problem:
    if not least <= len(value) <= most:
        return invalid_field(field, f"must have {least} to {most} characters")
    if any(unicodedata.category(character) == "Cc" for character in value):
        return invalid_field(field, "must not hold control characters")
    return None


def _name(field: str, name: str, most: int) -> Problem:
    """Refuse a name that people could not see, tell from another, or type again."""
    if not 1 <= len(name) <= most:
        return invalid_field(field, f"must have 1 to {most} characters")
    refused = text.refused_character(name)
    if refused:
        rule = (
            f"must not hold the character U+{ord(refused):04X} there; leave out what shows "
            "nothing: controls, format characters, fillers, separators of lines, marks on nothing"
        )
        return invalid_field(field, rule)
    if text.is_blank(name):
        return invalid_field(field, "must not be blank")
    if name != name.strip():
        return invalid_field(field, "must not begin or end with a space")
    return None


def check_item_name(name: str) -> Problem:
    """Return what is wrong with an item's name, or None."""
    return _name("name", name, NAME_CHARACTERS_MAX)


def _description(description: str) -> Problem:
    most = DESCRIPTION_CHARACTERS_MAX
    if len(description) > most:
        return invalid_field("description", f"must have up to {most} characters")
    return None


def _quantity(field: str, value: int, least: int = 0) -> Problem:
    if not least <= value <= QUANTITY_MAX:
        return invalid_field(field, f"must be {least} to {QUANTITY_MAX}")
    return None


def _price(price: money_pb2.Money) -> Problem:
    if price.units < 0 or price.nanos < 0:
        return invalid_field("price", "must not be negative")
    if price.units > PRICE_MINOR_MAX or price.nanos >= 10**9:
        return invalid_field("price", f"must be at most {PRICE_MINOR_MAX} minor units")
    return _currency("price", price)


def _currency(field: str, price: money_pb2.Money) -> Problem:
    if len(price.currency_code) > CURRENCY_CODE_CHARACTERS:
        return invalid_field(f"{field}.currency_code", "must be an ISO 4217 code such as USD")
    return None


NO_PRICE = invalid_field("price", "must be given; an item that costs nothing has the price 0")


def _add_item(request: inventory_pb2.AddItemRequest) -> Problem:
    return _first(
        (
            _name("name", request.name, NAME_CHARACTERS_MAX),
            _description(request.description),
            _price(request.price) if request.HasField("price") else NO_PRICE,
            _quantity("quantity", request.quantity),
        )
    )


def updated_fields(request: inventory_pb2.UpdateItemRequest) -> tuple[str, ...]:
    """Return which fields an update changes, in the order of UPDATABLE (AIP-134).

    Without a mask: those that the item sets.
    """
    if request.HasField("update_mask"):
        return tuple(field for field in UPDATABLE if field in request.update_mask.paths)
    item = request.item
    given = {
        "name": bool(item.name),
        "description": bool(item.description),
        "price": item.HasField("price"),
    }
    return tuple(field for field in UPDATABLE if given[field])


def _update_item(request: inventory_pb2.UpdateItemRequest) -> Problem:
    unknown = [path for path in request.update_mask.paths if path not in UPDATABLE]
    if unknown:
        shown = unknown[0][:SHOWN_CHARACTERS_MAX]
        return invalid_field("update_mask", f"names {shown!r}; it may name {UPDATABLE}")
    fields = updated_fields(request)
    if not fields:
        return invalid_field("update_mask", "and the item name nothing to change")
    return _first(
        (
            _id("item.id", request.item.id),
            _name("name", request.item.name, NAME_CHARACTERS_MAX) if "name" in fields else None,
            _description(request.item.description),
            _price(request.item.price),
        )
    )


def _delete_item(request: inventory_pb2.DeleteItemRequest) -> Problem:
    return _id("item_id", request.item_id)


def _adjust_stock(request: inventory_pb2.AdjustStockRequest) -> Problem:
    problem = _id("item_id", request.item_id)
    if problem is None and not 1 <= abs(request.delta) <= QUANTITY_MAX:
        return invalid_field("delta", f"must be 1 to {QUANTITY_MAX} up or down")
    return problem


def _set_stock(request: inventory_pb2.SetStockRequest) -> Problem:
    return _first(
        (
            _id("item_id", request.item_id),
            _quantity("quantity", request.quantity),
            _quantity("expected_quantity", request.expected_quantity),
        )
    )


def _order_item(request: inventory_pb2.OrderItemRequest) -> Problem:
    if request.item_id > 0 and 0 < request.quantity <= QUANTITY_MAX:
        return None
    return _id("item_id", request.item_id) or _quantity("quantity", request.quantity, 1)


def _place_order(request: inventory_pb2.PlaceOrderRequest) -> Problem:
    if not 1 <= len(request.lines) <= LINES_MAX:
        return invalid_field("lines", f"must be 1 to {LINES_MAX}")
    items = [line.item_id for line in request.lines]
    if len(set(items)) < len(items):
        return invalid_field("lines", "must name each item once")
    return _first(
        _id("lines.item_id", line.item_id) or _quantity("lines.quantity", line.quantity, 1)
        for line in request.lines
    )


_MUTATIONS: dict[str, Callable[..., Problem]] = {
    "add_item": _add_item,
    "update_item": _update_item,
    "delete_item": _delete_item,
    "adjust_stock": _adjust_stock,
    "set_stock": _set_stock,
    "order_item": _order_item,
    "place_order": _place_order,
}


def check_mutation(mutation: inventory_pb2.Mutation) -> Problem:
    """Return what is wrong with a mutation, or None."""
    kind = mutation.WhichOneof("operation")
    if kind is None:
        return invalid_field("mutation", "holds no operation that is known here")
    operation = getattr(mutation, kind)
    return _request_id(operation.request_id) or _MUTATIONS[kind](operation)


def _new_user(user: log_pb2.NewUser) -> Problem:
    return (
        _name("username", user.name, USERNAME_CHARACTERS_MAX)
        or _text("folded_name", user.folded_name, 1, FOLDED_USERNAME_CHARACTERS_MAX)
        or _role(user.role)
        or _text("password_hash", user.password_hash, 1, HASH_CHARACTERS_MAX)
    )


def _role(role: int) -> Problem:
    if role not in auth_pb2.Role.values() or role == auth_pb2.ROLE_UNSPECIFIED:
        return invalid_field("role", "must be customer, producer, admin or machine")
    return None


def check_administration(  # noqa: PLR0911 - one return a kind
    administration: log_pb2.Administration,
) -> Problem:
    """Return what is wrong with an administration, or None."""
    problem = _request_id(administration.request_id)
    if problem is not None:
        return problem
    match administration.WhichOneof("operation"):
        case "initialize":
            return _initialize(administration.initialize)
        case "create_user":
            return _new_user(administration.create_user.user)
        case "set_password":
            request = administration.set_password
            return _id("user_id", request.user_id) or _text(
                "password_hash", request.password_hash, 1, HASH_CHARACTERS_MAX
            )
        case "disable_user":
            return _id("user_id", administration.disable_user.user_id)
        case "checkpoint":
            return None
        case None:
            return invalid_field("administration", "holds no operation that is known here")


def _initialize(initialize: log_pb2.Initialize) -> Problem:
    currency = initialize.currency
    if not money.is_currency(currency.code):
        problem = "must be the ISO 4217 code of a currency with minor units, such as USD"
        return invalid_field("currency", problem)
    digits = money.digits_of(currency.code)
    if currency.minor_digits != digits:
        # Clients know the code alone, and read amounts by it.
        problem = f"of {currency.code} must be {digits}, not {currency.minor_digits}"
        return invalid_field("currency.minor_digits", problem)
    return _first(
        [
            _text("cluster_id", initialize.cluster_id, 1, REQUEST_ID_BYTES_MAX),
            *(_new_user(user) for user in initialize.users),
            *(_add_item(item) for item in initialize.items),
        ]
    )


def check_create_user(request: auth_pb2.CreateUserRequest) -> Problem:
    """Return what is wrong with a request for a user, or None."""
    return (
        _request_id(request.request_id)
        or _name("username", request.username, USERNAME_CHARACTERS_MAX)
        or _role(request.role)
        or _password(request.password, PASSWORD_BYTES_MIN)
    )


def check_set_password(request: auth_pb2.SetPasswordRequest) -> Problem:
    """Return what is wrong with a request for another password, or None."""
    return (
        _request_id(request.request_id)
        or _id("user_id", request.user_id)
        or _password(request.password, PASSWORD_BYTES_MIN)
    )


def check_member(name: str) -> Problem:
    """Return what is wrong with the name of a member, or None."""
    if not is_name(name):
        return invalid_field("name", "must be a DNS label, such as node-3")
    return None


def check_address(address: str) -> Problem:
    """Return what is wrong with where a member is to be found, or None."""
    if not is_address(address):
        return invalid_field("address", "must be host:port")
    return None


def check_login(request: auth_pb2.LoginRequest) -> Problem:
    """Return what is wrong with a login, or None."""
    return _text("username", request.username, 1, USERNAME_CHARACTERS_MAX) or _password(
        request.password, 1
    )


def _password(password: str, least: int) -> Problem:
    if not least <= len(password.encode()) <= PASSWORD_BYTES_MAX:
        return invalid_field("password", f"must have {least} to {PASSWORD_BYTES_MAX} bytes")
    return None


def check_read_options(options: inventory_pb2.ReadOptions) -> Problem:
    """Return what is wrong with how fresh a read is to be, or None."""
    is_bounded = options.consistency == inventory_pb2.CONSISTENCY_BOUNDED_STALENESS
    if options.consistency not in inventory_pb2.Consistency.values():
        return invalid_field("read_options.consistency", "is no value that is known here")
    if is_bounded != options.HasField("max_staleness"):
        rule = "is needed with CONSISTENCY_BOUNDED_STALENESS, and has no meaning without it"
        return invalid_field("read_options.max_staleness", rule)
    if is_bounded and not 0 < staleness_ms(options) <= STALENESS_MS_MAX:
        return invalid_field("read_options.max_staleness", "must be 1 ms to 1 hour")
    return None


def staleness_ms(options: inventory_pb2.ReadOptions) -> int:
    """Return how old the state may be that a bounded read is answered from."""
    return milliseconds(options.max_staleness)


def check_timeout(timeout_ms: int) -> Problem:
    """Return what is wrong with how long a mutation of a stream may take, or None."""
    if not 0 < timeout_ms <= TIMEOUT_MS_MAX:
        return invalid_field("timeout", f"must be 1 ms to {TIMEOUT_MS_MAX // 60_000} minutes")
    return None


def milliseconds(duration: duration_pb2.Duration) -> int:
    """Return a duration in whole milliseconds, rounded down."""
    return duration.seconds * 1_000 + duration.nanos // 1_000_000


def check_query(query: forward_pb2.Query) -> Problem:  # noqa: PLR0911 - one return a kind
    """Return what is wrong with a query, or None."""
    kind = query.WhichOneof("query")
    if kind is None:
        return invalid_field("query", "holds no query that is known here")
    request = getattr(query, kind)
    match kind:
        case "get_item" | "get_item_stats":
            return _id("item_id", request.item_id)
        case "get_order":
            return _id("order_id", request.order_id)
        case "get_all_items":
            return _page(request) or _order_by(request.order_by) or _filter(request.filter)
        case "list_item_stats":
            return _page(request) or _order_by(request.order_by)
        case "list_orders" | "list_users":
            return _page(request)
        case "get_inventory_stats":
            return _quantity("low_stock_threshold", request.low_stock_threshold)
        case "get_credential":
            most = FOLDED_USERNAME_CHARACTERS_MAX
            return _text("folded_name", request.folded_name, 0, most)
        case "get_current_user":
            return None


def _filter(wanted: inventory_pb2.ItemFilter) -> Problem:
    part = wanted.name_contains
    problem = _text("filter.name_contains", part, 0, NAME_CHARACTERS_MAX)
    if problem is None and part and not text.folded(part):
        return invalid_field("filter.name_contains", "must hold something that can be seen")
    return (
        problem
        or _currency("filter.price_min", wanted.price_min)
        or _currency("filter.price_max", wanted.price_max)
    )


def _page(
    request: inventory_pb2.GetAllItemsRequest
    | inventory_pb2.ListItemStatsRequest
    | inventory_pb2.ListOrdersRequest
    | auth_pb2.ListUsersRequest,
) -> Problem:
    if request.page_size < 0:
        return invalid_field("page_size", "must not be negative")
    if len(request.page_token) > PAGE_TOKEN_BYTES_MAX:
        return invalid_field("page_token", f"must have up to {PAGE_TOKEN_BYTES_MAX} bytes")
    return None


def _order_by(order_by: str) -> Problem:
    if len(order_by) > ORDER_BY_CHARACTERS_MAX:
        return invalid_field("order_by", f"must have up to {ORDER_BY_CHARACTERS_MAX} characters")
    return None


def check_question(question: str) -> Problem:
    """Return what is wrong with a question in plain language, or None."""
    return _text("question", question.replace("\n", " "), 1, QUESTION_CHARACTERS_MAX)
