"""The API of a real gateway before three real members."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
import pkitest
import pytest
from chaos.callers import question_answered
from chaos.prometheus import eventually
from chaos.up import Up, machine_client
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from inventory.raft.v1 import forward_pb2, link_pb2
from inventory.v1 import auth_pb2, auth_pb2_grpc, inventory_pb2, inventory_pb2_grpc
from inventory_cli.audit import exported
from inventory_cli.up.layout import Layout
from inventory_client import (
    Inventory,
    Money,
    NotAllowed,
    Reads,
    Refused,
    Role,
    Unauthenticated,
    Unavailable,
)
from inventory_client.connection import new_request_id
from pki.identities import parse_identity
from wire.audit import problem_of
from wire.channels import authorization, status_of
from wire.errors import details_of, reason_of

WRONG = "not the password"

pytestmark = pytest.mark.slow

SERVICES = ("AuthService", "InventoryService", "ClusterService", "AssistantService")


@pytest.fixture
def customer(system: Up) -> Iterator[Inventory]:
    """Gayathri of the demo."""
    with Inventory(system.address) as inventory:
        inventory.login("Gayathri", "password1")
        yield inventory


@pytest.fixture
def producer(system: Up) -> Iterator[Inventory]:
    """Sarthak of the demo."""
    with Inventory(system.address) as inventory:
        inventory.login("Sarthak", "password2")
        yield inventory


@pytest.fixture
def channel(system: Up) -> Iterator[grpc.Channel]:
    """Open a bare channel, for bytes that a client library would not send."""
    with grpc.insecure_channel(system.address) as bare:
        yield bare


def refused(call: Any, *arguments: Any, **options: Any) -> status_pb2.Status:  # noqa: ANN401 - any call
    """Return the refusal that the call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    status = status_of(caught.value)
    assert status is not None, caught.value
    return status


@pytest.mark.parametrize(
    "method", ["InventoryService/OrderItem", "InventoryService/GetItem", "AuthService/Login",
               "AssistantService/GetPrediction"],
)  # fmt: skip
def test_what_cannot_be_parsed_is_an_invalid_argument(
    channel: grpc.Channel, customer: Inventory, method: str
) -> None:
    """The refusal is the same for every service, and in the stream."""
    metadata = authorization(customer.token or "")
    status = refused(channel.unary_unary(f"/inventory.v1.{method}"), b"\xff", metadata=metadata)
    assert reason_of(status) == "INVALID_FIELD"
    stream: Any = channel.stream_stream("/inventory.v1.InventoryService/Submit")
    assert reason_of(refused(lambda: [*stream(iter([b"\xff"]), metadata=metadata)])) == (
        "INVALID_FIELD"
    )


def test_reflection_and_health_are_served(channel: grpc.Channel) -> None:
    """Tools find the services, and probes are answered, without a token."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    [response] = stub.ServerReflectionInfo(iter([request]))
    names = {service.name for service in response.list_services_response.service}
    assert {f"inventory.v1.{name}" for name in SERVICES} <= names
    health: Any = health_pb2_grpc.HealthStub(channel)
    for name in ("", "inventory.v1.InventoryService", "reads", "writes"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_method_is_described_to_tools(channel: grpc.Channel) -> None:
    """`grpcurl describe` and `ghz --call` ask reflection v1, whose bytes are v1alpha's."""
    symbol = "inventory.v1.InventoryService.GetItem"
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    call: Any = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    [response] = call(iter([request]))
    assert response.file_descriptor_response.file_descriptor_proto


def test_without_a_token_nothing_is_said(channel: grpc.Channel) -> None:
    """Missing, malformed, and signed by somebody else."""
    stub = inventory_pb2_grpc.InventoryServiceStub(channel)
    request = inventory_pb2.GetItemRequest(item_id=1)
    assert reason_of(refused(stub.GetItem, request)) == "TOKEN_INVALID"
    for token in ("nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5fQ."):
        status = refused(stub.GetItem, request, metadata=authorization(token))
        assert reason_of(status) == "TOKEN_INVALID"


def test_a_wrong_password_and_an_unknown_name_read_alike(channel: grpc.Channel) -> None:
    """Nobody learns which names there are."""
    stub = auth_pb2_grpc.AuthServiceStub(channel)
    wrong = refused(stub.Login, auth_pb2.LoginRequest(username="Sushma", password=WRONG))
    unknown = refused(stub.Login, auth_pb2.LoginRequest(username="Nobody", password=WRONG))
    assert reason_of(wrong) == reason_of(unknown) == "INVALID_CREDENTIALS"
    assert wrong.message == unknown.message


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("OrderItem", inventory_pb2.OrderItemRequest(item_id=1, quantity=1), "request_id"),
        ("OrderItem", inventory_pb2.OrderItemRequest(request_id="a", quantity=1), "item_id"),
        ("OrderItem", inventory_pb2.OrderItemRequest(request_id="a", item_id=1), "quantity"),
        ("AdjustStock", inventory_pb2.AdjustStockRequest(request_id="a", item_id=1), "delta"),
        ("PlaceOrder", inventory_pb2.PlaceOrderRequest(request_id="a"), "lines"),
        ("AddItem", inventory_pb2.AddItemRequest(request_id="a"), "name"),
        ("GetAllItems", inventory_pb2.GetAllItemsRequest(order_by="colour"), "order_by"),
        ("GetAllItems", inventory_pb2.GetAllItemsRequest(page_size=-1), "page_size"),
    ],
)
def test_what_is_out_of_bounds_is_refused(
    customer: Inventory, channel: grpc.Channel, method: str, request_: Message, field: str
) -> None:
    """INVALID_ARGUMENT, and which field."""
    call = getattr(inventory_pb2_grpc.InventoryServiceStub(channel), method)
    status = refused(call, request_, metadata=authorization(customer.token or ""))
    assert reason_of(status) == "INVALID_FIELD"
    assert details_of(status)["field"] == field


def test_a_probe_goes_the_whole_way_and_health_may_do_little_else(
    system: Up, customer: Inventory
) -> None:
    """A probe commits an entry. Health may also read its own user and the status."""
    with pytest.raises(NotAllowed):
        customer.probe()
    with machine_client(system.data, "health", "health") as health:
        assert health.probe() < health.probe() < system.watcher.probe()
        assert health.current_user().name == "health"
        members = health.status().members
        assert all(member.volume is not None for member in members)
        assert len({member.elections[-1].leader for member in members}) == 1
        with pytest.raises(NotAllowed):
            list(health.items())
        with pytest.raises(NotAllowed):
            health.stats()


def test_roles_are_looked_up_where_it_is_decided(customer: Inventory, producer: Inventory) -> None:
    """A customer keeps no items, a producer orders none, and neither keeps users."""
    with pytest.raises(NotAllowed):
        customer.add_item("Gold", "", Money("USD", 1), 1)
    with pytest.raises(NotAllowed):
        producer.order_item(1, 1)
    with pytest.raises(NotAllowed):
        list(producer.users())
    with pytest.raises(NotAllowed):
        customer.stats()
    assert producer.stats().item_count >= 5


def test_a_request_id_orders_once(system: Up, customer: Inventory, producer: Inventory) -> None:
    """A retry gets the first outcome; the same id for something else is refused."""
    item = producer.add_item("Once", "", Money("USD", 100), 10).id
    request_id = new_request_id()
    first = customer.order_item(item, 2, request_id)
    assert customer.order_item(item, 2, request_id) == first
    assert customer.item(item).quantity == 8
    with pytest.raises(Refused) as caught:
        customer.order_item(item, 3, request_id)
    assert caught.value.reason == "REQUEST_ID_REUSED"
    with Inventory(system.address, customer.token, unary=True) as unary:
        assert unary.order_item(item, 2, request_id) == first


def test_an_unknown_field_survives_the_way(customer: Inventory, channel: grpc.Channel) -> None:
    """A newer client's field reaches the log; the request with the field is another request."""
    call: Any = channel.unary_unary("/inventory.v1.InventoryService/OrderItem")
    known = inventory_pb2.OrderItemRequest(
        request_id=new_request_id(), item_id=3, quantity=1
    ).SerializeToString()
    unknown_field = b"\xfa\x01\x03new"  # number 31, length-delimited
    metadata = authorization(customer.token or "")
    first = call(known + unknown_field, metadata=metadata)
    assert call(known + unknown_field, metadata=metadata) == first
    assert reason_of(refused(call, known, metadata=metadata)) == "REQUEST_ID_REUSED"


def test_an_order_of_several_lines_is_all_or_nothing(
    customer: Inventory, producer: Inventory
) -> None:
    """A line that cannot be filled refuses the whole order."""
    full = producer.add_item("Full", "", Money("USD", 100), 5).id
    empty = producer.add_item("Empty", "", Money("USD", 100), 0).id
    with pytest.raises(Refused) as caught:
        customer.place_order([(full, 1), (empty, 1)])
    assert caught.value.details == {
        "item_id": str(empty),
        "requested": "1",
        "available": "0",
    }
    assert customer.item(full).quantity == 5
    order = customer.place_order([(full, 2)])
    assert customer.order(order.id) == order
    assert order.total == Money("USD", 200)


def test_compare_and_set_compares(producer: Inventory) -> None:
    """The count is set only if the count is still the expected one."""
    item = producer.add_item("Counted", "", Money("USD", 100), 5).id
    assert producer.set_stock(item, 7, expected_quantity=5).on_hand_after == 7
    with pytest.raises(Refused) as caught:
        producer.set_stock(item, 9, expected_quantity=5)
    assert caught.value.reason == "QUANTITY_CHANGED"
    assert caught.value.details["actual"] == "7"


def test_an_item_is_changed_by_a_mask_and_archived(
    customer: Inventory, producer: Inventory
) -> None:
    """Only masked fields change. A deleted item can be read and not ordered."""
    item = producer.add_item("Old", "words", Money("USD", 100), 5)
    changed = producer.update_item(item.id, name="New")
    assert (changed.name, changed.description, changed.price) == ("New", "words", item.price)
    assert producer.delete_item(item.id).delete_time is not None
    assert customer.item(item.id).delete_time is not None
    assert item.id not in [one.id for one in customer.items(name_contains="New")]
    with pytest.raises(Refused) as caught:
        customer.order_item(item.id, 1)
    assert caught.value.reason == "ITEM_DELETED"


def test_pages_hold_everything_once(producer: Inventory, channel: grpc.Channel) -> None:
    """Pages of two keep the order; the token of another question is refused."""
    for number in range(5):
        producer.add_item(f"Paged {number}", "", Money("USD", 100 * number), number)
    stub = inventory_pb2_grpc.InventoryServiceStub(channel)
    metadata = authorization(producer.token or "")
    request = inventory_pb2.GetAllItemsRequest(page_size=2, order_by="price desc")
    request.filter.name_contains = "PAGED"
    names: list[str] = []
    while True:
        page = stub.GetAllItems(request, metadata=metadata)
        names += [item.name for item in page.items]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == [f"Paged {number}" for number in (4, 3, 2, 1, 0)]
    request.order_by = "name"
    assert reason_of(refused(stub.GetAllItems, request, metadata=metadata)) == "INVALID_PAGE_TOKEN"


FIRST, SECOND, THIRD = "the first secret", "the second secret", "the third secret"


def test_users_are_kept_and_end(system: Up) -> None:
    """A retry creates no second user. A new password ends tokens, and so does disabling."""
    admin = system.watcher
    request_id = new_request_id()
    made = admin.create_user("Temp", FIRST, Role.CUSTOMER, request_id)
    assert admin.create_user("Temp", FIRST, Role.CUSTOMER, request_id) == made
    with pytest.raises(Refused) as caught:
        admin.create_user("Temp", FIRST, Role.CUSTOMER)
    assert caught.value.reason == "USER_EXISTS"
    with Inventory(system.address) as temp:
        temp.login("Temp", FIRST)
        assert temp.current_user().id == made.id
        admin.set_password(made.id, SECOND)
        with pytest.raises(Unauthenticated):
            temp.current_user()
        temp.login("Temp", SECOND)
        with pytest.raises(Unauthenticated) as wrong:
            temp.set_password(made.id, THIRD, old_password=FIRST)
        assert wrong.value.reason == "INVALID_CREDENTIALS"
        with pytest.raises(Refused) as common:
            temp.set_password(made.id, "password1", old_password=SECOND)
        assert common.value.reason == "INVALID_FIELD"
        temp.set_password(made.id, THIRD, old_password=SECOND)
        temp.login("Temp", THIRD)
        admin.disable_user(made.id)
        with pytest.raises(Unauthenticated):
            temp.current_user()
        with pytest.raises(Unauthenticated):
            temp.status()
        with pytest.raises(Unauthenticated):
            temp.login("Temp", THIRD)


def test_users_are_enabled_renamed_demoted_and_deleted(system: Up) -> None:
    """Each change counts at the next call; an order keeps who made it."""
    admin = system.watcher
    made = admin.create_user("Renée", FIRST, Role.CUSTOMER)
    with Inventory(system.address) as user:
        user.login("Renée", FIRST)
        order = user.order_item(1, 1)
        admin.rename_user(made.id, "Renata")
        assert user.current_user().name == "Renata"
        admin.disable_user(made.id)
        admin.enable_user(made.id)
        with pytest.raises(Unauthenticated):
            user.current_user()
        with pytest.raises(Unauthenticated):
            user.login("Renée", FIRST)
        user.login("Renata", FIRST)
        admin.change_role(made.id, Role.VIEWER)
        with pytest.raises(Unauthenticated):
            user.item(1)
        user.login("Renata", FIRST)
        assert user.item(1).id == 1
        assert user.stats().item_count
        with pytest.raises(NotAllowed):
            user.order_item(1, 1)
        with pytest.raises(NotAllowed):
            next(iter(user.orders()))
        admin.delete_user(made.id)
        with pytest.raises(Unauthenticated):
            user.item(1)
        with pytest.raises(Unauthenticated):
            user.login("Renata", FIRST)
    assert admin.order(order.order_id).user_id == made.id
    again = admin.create_user("Renata", FIRST, Role.CUSTOMER)
    assert again.id > made.id
    assert made.id not in {one.id for one in admin.users()}
    [shown] = [one for one in admin.users(show_deleted=True) if one.id == made.id]
    assert shown.delete_time is not None


def why_not(call: Callable[[], object]) -> str:
    """Return the reason for which a call is not allowed, or what came instead."""
    try:
        return repr(call())
    except NotAllowed as refused:
        return refused.reason


def test_who_must_change_the_password_does_that_first(system: Up) -> None:
    """No call but its own, log-in and password goes through, the status neither."""
    admin = system.watcher
    made = admin.create_user("Novice", FIRST, Role.ADMIN, must_change_password=True)
    with Inventory(system.address) as user:
        user.login("Novice", FIRST)
        assert user.current_user().must_change_password
        calls: dict[str, Callable[[], object]] = {
            "status": user.status,
            "checkpoint": user.checkpoint,
            "item": partial(user.item, 1),
            "order": partial(user.order_item, 1, 1),
            "disable": partial(user.disable_user, 1),
            "remove": partial(user.remove_member, "node-9"),
            "users": partial(next, iter(user.users())),
            "ask": partial(user.ask, "show items under 500"),
        }
        assert {name: why_not(call) for name, call in calls.items()} == dict.fromkeys(
            calls, "PASSWORD_CHANGE_NEEDED"
        )
        user.set_password(made.id, SECOND, old_password=FIRST)
        user.login("Novice", SECOND)
        assert user.item(1).id == 1
    admin.delete_user(made.id)


def test_what_concerns_authority_is_in_the_audit_log(system: Up) -> None:
    """Log-ins, wrong ones, refusals, administration; a chain from the first record to the last."""
    admin = system.watcher
    made = admin.create_user("Audited", FIRST, Role.VIEWER)
    with Inventory(system.address) as user:
        with pytest.raises(Unauthenticated):
            user.login("Audited", SECOND)
        user.login("Audited", FIRST)
        with pytest.raises(NotAllowed):
            user.order_item(1, 1)
        with pytest.raises(NotAllowed):
            next(iter(user.audit_records()))
    admin.delete_user(made.id)
    wanted = {
        ("create_user", "OK", admin.current_user().id, "viewer Audited"),
        ("delete_user", "OK", admin.current_user().id, ""),
        ("login", "INVALID_CREDENTIALS", 0, ""),
        ("login", "OK", made.id, ""),
        ("authority", "ROLE_NOT_ALLOWED", made.id, "Submit"),
        ("authority", "ROLE_NOT_ALLOWED", made.id, "ListAuditRecords"),
    }

    def is_recorded() -> bool:
        records = list(admin.audit_records())
        return wanted <= {(one.kind, one.outcome, one.actor_id, one.detail) for one in records}

    eventually("the gateway reports what it saw", is_recorded)
    records = list(admin.audit_records("id"))
    assert problem_of(map(exported, records)) == ""
    [failed] = [one for one in records if (one.actor, one.actor_id) == ("Audited", 0)]
    assert failed.source == "127.0.0.1"
    assert all(one.actor == "Audited" for one in records if one.actor_id == made.id)


def test_the_last_admin_stays(system: Up) -> None:
    """Somebody must be able to administrate."""
    admin = system.watcher
    own_id = admin.current_user().id
    for call in (
        partial(admin.disable_user, own_id),
        partial(admin.delete_user, own_id),
        partial(admin.change_role, own_id, Role.VIEWER),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.reason == "LAST_ADMIN"


def test_members_answer_to_the_cluster_s_certificates_alone(system: Up) -> None:
    """And to a gateway's, not to a member's that says that it is another one."""
    first = system.watcher.status().members[0]
    question = link_pb2.LinkQuestion(get_member=forward_pb2.GetMemberRequest())
    foreign = pkitest.folder().keep(parse_identity("gateway"))
    own = Layout(system.data).pki.files(parse_identity("gateway"))
    assert question_answered(first.name, first.address, foreign, question) is None
    assert question_answered(first.name, first.address, own, question) is not None


def test_a_stale_read_needs_no_majority(system: Up, customer: Inventory) -> None:
    """Two of three members are stopped; whoever wants the newest state waits in vain."""
    token = customer.token
    everybody = system.members()
    stopped = [member.pid for member in everybody[1:]]
    known = customer.item(1)
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        with (
            Inventory(system.address, token, 1.5, reads=Reads.stale()) as stale,
            Inventory(system.address, token, 1.5) as strict,
        ):
            for _ in range(3):
                assert stale.item(1).name == known.name
            assert known.id in {item.id for item in stale.items()}
            with pytest.raises(Unavailable):
                strict.item(1)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    system.wait_until_whole()
    with Inventory(system.address, token, reads=Reads.bounded(timedelta(seconds=1))) as bounded:
        assert [bounded.item(1).name for _ in range(6)] == [known.name] * 6
