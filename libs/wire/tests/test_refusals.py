"""What a caller reads who is refused: which field, and what would be right."""

import pytest
from google.protobuf import text_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2
from wire import bounds
from wire.errors import details_of, invalid_field

ADD = 'request_id: "a" name: "Pen" price { currency_code: "USD" units: 1 }'
FIRST = 'cluster_id: "c" currency { code: "USD" minor_digits: 2 }'
NOTHING_TO_SEE = (
    "must not hold the character U+00AD there; leave out what shows nothing: controls, format"
    " characters, fillers, separators of lines, marks on nothing"
)
SENTENCES: list[tuple[type[Message], str, str, str]] = [
    (
        inventory_pb2.AddItemRequest,
        'request_id: "a" name: "Pen"',
        "price",
        "must be given; what costs nothing has the price 0",
    ),
    (inventory_pb2.AddItemRequest, f'{ADD} name: ""', "name", "must have 1 to 200 characters"),
    (inventory_pb2.AddItemRequest, f'{ADD} name: "\u3000"', "name", "must not be blank"),
    (
        inventory_pb2.AddItemRequest,
        f'{ADD} name: " Pen"',
        "name",
        "must not begin or end with a space",
    ),
    (
        inventory_pb2.AddItemRequest,
        f'{ADD} name: "Pe\u00adn"',
        "name",
        NOTHING_TO_SEE,
    ),
    (
        inventory_pb2.AddItemRequest,
        f'{ADD} description: "{"x" * 2_001}"',
        "description",
        "must have up to 2000 characters",
    ),
    (
        inventory_pb2.AddItemRequest,
        f"{ADD} price {{ units: -1 }}",
        "price",
        "must not be negative",
    ),
    (
        inventory_pb2.AddItemRequest,
        f"{ADD} price {{ units: {2**50} }}",
        "price",
        "must be at most 1000000000000 minor units",
    ),
    (
        inventory_pb2.AddItemRequest,
        f'{ADD} price {{ currency_code: "USDX" }}',
        "price.currency_code",
        "must be an ISO 4217 code such as USD",
    ),
    (inventory_pb2.AddItemRequest, f"{ADD} quantity: -1", "quantity", "must be 0 to 1000000000"),
    (
        inventory_pb2.AdjustStockRequest,
        'request_id: "a" item_id: 1',
        "delta",
        "must be 1 to 1000000000 up or down",
    ),
    (inventory_pb2.DeleteItemRequest, 'request_id: "a"', "item_id", "must be positive"),
    (inventory_pb2.DeleteItemRequest, "item_id: 1", "request_id", "must have 1 to 64 bytes"),
    (inventory_pb2.PlaceOrderRequest, 'request_id: "a"', "lines", "must be 1 to 100"),
    (
        inventory_pb2.PlaceOrderRequest,
        'request_id: "a"' + 2 * " lines { item_id: 1 quantity: 1 }",
        "lines",
        "must name each item_id once",
    ),
    (
        inventory_pb2.UpdateItemRequest,
        f'request_id: "a" item {{ id: 1 }} update_mask {{ paths: "{"q" * 65}" }}',
        "update_mask",
        f"names '{'q' * 64}…'; it may name ('name', 'description', 'price')",
    ),
    (
        inventory_pb2.UpdateItemRequest,
        'request_id: "a" item { id: 1 }',
        "update_mask",
        "and the item name nothing to change",
    ),
    (inventory_pb2.GetAllItemsRequest, "page_size: -1", "page_size", "must not be negative"),
    (
        inventory_pb2.GetAllItemsRequest,
        'filter { name_contains: "\u200b" }',
        "filter.name_contains",
        "must hold something that can be seen",
    ),
    (
        inventory_pb2.GetAllItemsRequest,
        'filter { name_contains: "\\t" }',
        "filter.name_contains",
        "must not hold control characters",
    ),
    (
        inventory_pb2.GetItemRequest,
        "item_id: 1 read_options { consistency: 99 }",
        "read_options.consistency",
        "is no value that is known here",
    ),
    (
        inventory_pb2.GetItemRequest,
        "item_id: 1 read_options { max_staleness { seconds: 1 } }",
        "read_options.max_staleness",
        "is needed with CONSISTENCY_BOUNDED_STALENESS, and has no meaning without it",
    ),
    (
        inventory_pb2.GetItemRequest,
        "item_id: 1 read_options { consistency: CONSISTENCY_BOUNDED_STALENESS max_staleness {} }",
        "read_options.max_staleness",
        "must be 1 ms to 1 hour",
    ),
    (
        auth_pb2.CreateUserRequest,
        'request_id: "a" username: "ann" password: "password" role: 99',
        "role",
        "must be one of customer, producer, admin, machine, viewer",
    ),
    (
        auth_pb2.CreateUserRequest,
        'request_id: "a" username: "ann" password: "short" role: ROLE_ADMIN',
        "password",
        "must have 8 to 256 characters",
    ),
    (
        assistant_pb2.GetPredictionRequest,
        'question: "a\\tb"',
        "question",
        "must not hold control characters",
    ),
    (
        cluster_pb2.AddMemberRequest,
        'name: "Node 3" address: "a:1"',
        "name",
        "must be a DNS label, such as node-3",
    ),
    (
        cluster_pb2.AddMemberRequest,
        'name: "node-3" address: "a"',
        "address",
        "must be host:port",
    ),
    (cluster_pb2.AddMemberRequest, 'name: "node-3" address: "a:1"', "", ""),
    (cluster_pb2.TransferLeadershipRequest, "", "", ""),
    (
        cluster_pb2.TransferLeadershipRequest,
        'name: "Node"',
        "name",
        "must be a DNS label, such as node-3",
    ),
    (
        log_pb2.Initialize,
        'cluster_id: "c" currency { code: "usd" minor_digits: 2 }',
        "currency",
        "must be the ISO 4217 code of a currency with minor units, such as USD",
    ),
    (
        log_pb2.Initialize,
        f'{FIRST} items {{ name: "Pen" price {{ units: 1 }} }}',  # its request has no id
        "",
        "",
    ),
    (
        log_pb2.Initialize,
        f'{FIRST} items {{ name: "" price {{ units: 1 }} }}',
        "items.name",
        "must have 1 to 200 characters",
    ),
    (
        log_pb2.Initialize,
        'cluster_id: "c" currency { code: "USD" minor_digits: 3 }',
        "currency.minor_digits",
        "of USD must be 2, not 3",
    ),
]


@pytest.mark.parametrize(("kind", "text", "field", "rule"), SENTENCES)
def test_a_refusal_says_what_would_be_right(
    kind: type[Message], text: str, field: str, rule: str
) -> None:
    """Nobody has to look up a bound; what is within bounds is not refused."""
    message = text_format.Merge(text, kind(), allow_unknown_field=False)
    assert bounds.check(message) == (invalid_field(field, rule) if rule else None)


def test_a_message_without_an_operation_says_so() -> None:
    """A newer client may know operations that are not known here."""
    for problem, field, held in (
        (bounds.check_mutation(inventory_pb2.Mutation()), "mutation", "operation"),
        (bounds.check_administration(log_pb2.Administration()), "administration", "operation"),
        (bounds.check_query(forward_pb2.Query()), "query", "query"),
    ):
        assert problem == invalid_field(field, f"holds no {held} that is known here")


def test_the_bounds_of_a_timeout_are_told() -> None:
    """In minutes, whole."""
    problem = bounds.check_timeout(0)
    assert problem == invalid_field("timeout", "must be 1 ms to 10 minutes")


def test_read_options_are_checked_alone() -> None:
    """By the gateway, before it chooses a member to ask."""
    options = inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_BOUNDED_STALENESS)
    options.max_staleness.CopyFrom(Duration(seconds=3_600))
    assert bounds.check_read_options(options) is None
    assert bounds.staleness_ms(options) == bounds.STALENESS_MS_MAX
    options.max_staleness.nanos = 1_000_000
    problem = bounds.check_read_options(options)
    assert problem is not None
    assert details_of(problem)["field"] == "read_options.max_staleness"
    options.max_staleness.CopyFrom(Duration(nanos=1_999_999))
    assert bounds.check_read_options(options) is None
    assert bounds.staleness_ms(options) == 1
    options.max_staleness.CopyFrom(Duration(nanos=999_999))
    assert bounds.check_read_options(options) is not None
    assert bounds.check_read_options(inventory_pb2.ReadOptions()) is None


@pytest.mark.parametrize("name", ["Pen", "x" * bounds.NAME_CHARACTERS_MAX])
def test_a_name_is_checked_alone(name: str) -> None:
    """For the items that a new cluster begins with."""
    assert bounds.check_item_name(name) is None
    refused = bounds.check_item_name(f" {name}")
    assert refused is not None
    assert details_of(refused)["field"] == "name"


def test_the_bounds_that_others_go_by_are_those_that_are_checked() -> None:
    """What is as long or as large as they say passes, and one more does not."""

    def passes(more: int) -> set[bool]:
        request = inventory_pb2.AddItemRequest(request_id="a", name="Pen")
        request.price.units = 1
        cases: list[Message] = []
        for field, value in (
            ("request_id", "x" * (bounds.REQUEST_ID_BYTES_MAX + more)),
            ("name", "x" * (bounds.NAME_CHARACTERS_MAX + more)),
            ("description", "x" * (bounds.DESCRIPTION_CHARACTERS_MAX + more)),
            ("quantity", bounds.QUANTITY_MAX + more),
        ):
            case = inventory_pb2.AddItemRequest()
            case.CopyFrom(request)
            setattr(case, field, value)
            cases.append(case)
        order = inventory_pb2.PlaceOrderRequest(request_id="a")
        for number in range(1, bounds.LINES_MAX + more + 1):
            order.lines.add(item_id=number, quantity=1)
        user = auth_pb2.CreateUserRequest(request_id="a", username="a", role=auth_pb2.ROLE_ADMIN)
        user.password = "x" * (bounds.PASSWORD_BYTES_MAX + more)
        return {bounds.check(case) is None for case in [*cases, order, user]}

    assert passes(0) == {True}
    assert passes(1) == {False}
