"""Questions put to a machine over a database, flushed before each."""

from typing import Any

from google.protobuf.message import Message
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.runtime.sqlite import Database
from wire.errors import reason_of

from sim.machines import ADMIN, PRODUCER, Hand, started, usd

ANSWERS: dict[str, type[Message]] = {
    "get_all_items": inventory_pb2.GetAllItemsResponse,
    "get_order": inventory_pb2.GetOrderResponse,
    "list_orders": inventory_pb2.ListOrdersResponse,
    "get_item_stats": inventory_pb2.GetItemStatsResponse,
    "list_item_stats": inventory_pb2.ListItemStatsResponse,
    "get_inventory_stats": inventory_pb2.GetInventoryStatsResponse,
    "list_users": auth_pb2.ListUsersResponse,
    "list_audit_records": auth_pb2.ListAuditRecordsResponse,
}


class Asker:
    """A machine over a database, flushed before each question."""

    def __init__(self, database: Database) -> None:
        """Begin with the first state."""
        self.database = database
        self.hand: Hand = started(database)

    def ask(self, kind: str, user_id: int = ADMIN, epoch: int = 1, **fields: object) -> Any:  # noqa: ANN401 - the kind's response, or a Reason
        """Ask; return the response, or the reason of the refusal."""
        self.hand.flush(self.database)
        question = forward_pb2.Question(user_id=user_id, epoch=epoch, session_id=user_id)
        request = getattr(question.query, kind)
        request.SetInParent()
        request.MergeFrom(type(request)(**fields))
        (answer,) = self.database.answer([(7, question)])
        assert answer.ticket == 7
        if answer.error:
            return reason_of(status_pb2.Status.FromString(answer.error))
        return ANSWERS[kind].FromString(answer.response)

    def add_items(self, *items: tuple[str, int, int]) -> None:
        """Add items: name, price and quantity."""
        for name, price_minor, quantity in items:
            request = inventory_pb2.AddItemRequest(
                request_id=f"add {name} {self.hand.machine.applied_index}",
                name=name,
                price=usd(price_minor),
                quantity=quantity,
            )
            self.hand.mutate(PRODUCER, inventory_pb2.Mutation(add_item=request))
