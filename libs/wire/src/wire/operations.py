"""Every operation of the inventory, as the schema defines the operation: routing and roles.

A mutation is a field of `Mutation.operation`, a query is a field of `Query.query`. The method that
takes the field's message is the operation's method. The method's option `access` lists the roles
that suffice. So an operation is routed and guarded as soon as its messages and its method exist.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from google.protobuf import message_factory
from google.protobuf.descriptor import OneofDescriptor
from google.protobuf.message import Message
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2, inventory_pb2


class Operation(NamedTuple):
    """One operation, by its names on the wire."""

    kind: str  # of the field, such as "add_item"
    service: str  # in full, such as "inventory.v1.InventoryService"
    method: str  # such as "AddItem"
    request: type[Message]
    roles: frozenset[int]  # inventory.v1.Role

    @property
    def path(self) -> str:
        """The method's path in gRPC."""
        return f"/{self.service}/{self.method}"


def _operations(kinds: OneofDescriptor) -> Iterator[Operation]:
    """Yield the operations among `kinds` that have a method."""
    methods = {
        method.input_type.full_name: (service, method)
        for file in (inventory_pb2.DESCRIPTOR, auth_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    }
    for field in kinds.fields:
        request = field.message_type
        if request is not None and request.full_name in methods:
            service, method = methods[request.full_name]
            roles = method.GetOptions().Extensions[auth_pb2.access].roles
            yield Operation(
                field.name,
                service.full_name,
                method.name,
                message_factory.GetMessageClass(request),
                frozenset(roles),
            )


MUTATIONS: Mapping[str, Operation] = {
    one.kind: one
    for one in _operations(inventory_pb2.Mutation.DESCRIPTOR.oneofs_by_name["operation"])
}
QUERIES: Mapping[str, Operation] = {
    one.kind: one for one in _operations(forward_pb2.Query.DESCRIPTOR.oneofs_by_name["query"])
}
