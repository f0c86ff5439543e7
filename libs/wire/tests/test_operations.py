"""Operations as their schema defines them."""

import pytest
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2, cluster_pb2, inventory_pb2
from wire.operations import MUTATIONS, QUERIES

# Of these the schema says in words who may call them.
GUARDED_ELSEWHERE = {"Login", "RefreshToken", "GetJsonWebKeySet", "Submit"}
METHODS = [
    method
    for file in (inventory_pb2.DESCRIPTOR, auth_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.name))
def test_every_method_says_whose_roles_suffice(method: object) -> None:
    """A method without the option would be open to nobody."""
    name = method.name  # type: ignore[attr-defined]  # of a descriptor
    access = method.GetOptions().Extensions[auth_pb2.access]  # type: ignore[attr-defined]
    assert (name in GUARDED_ELSEWHERE) is not bool(access.roles)
    assert access.roles or access.who
    assert auth_pb2.ROLE_UNSPECIFIED not in access.roles


def test_every_mutation_and_every_query_of_a_caller_has_a_method() -> None:
    """Only the gateway asks for credentials, and for what a session knows."""
    assert MUTATIONS.keys() == set(inventory_pb2.Mutation.DESCRIPTOR.fields_by_name)
    queries = set(forward_pb2.Query.DESCRIPTOR.fields_by_name)
    assert queries - QUERIES.keys() == {"get_credential", "get_session"}


def test_an_operation_is_routed_by_its_method() -> None:
    """In the names that gRPC has for it."""
    add, users = MUTATIONS["add_item"], QUERIES["list_users"]
    assert add.path == "/inventory.v1.InventoryService/AddItem"
    assert add.request is inventory_pb2.AddItemRequest
    assert add.roles == {auth_pb2.ROLE_PRODUCER, auth_pb2.ROLE_ADMIN}
    assert users.service == "inventory.v1.AuthService"
    assert users.roles == {auth_pb2.ROLE_ADMIN}


def test_the_cluster_is_changed_by_no_operation_of_the_log() -> None:
    """Members change by consensus itself, and not by a command."""
    taken = {one.method for one in (*MUTATIONS.values(), *QUERIES.values())}
    [service] = cluster_pb2.DESCRIPTOR.services_by_name.values()
    assert not taken & {method.name for method in service.methods}
