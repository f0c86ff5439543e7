"""The methods of the asyncio client.

Made by tools/generate_client.py from proto/inventory/v1; change the schema instead.
"""

from collections.abc import AsyncIterator, Iterable

from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2

from inventory_client.connection import PAGE_SIZE, Connection, amount, chosen
from inventory_client.models import (
    Adjusted,
    Answer,
    AuditRecord,
    InventoryStats,
    Item,
    ItemStats,
    Order,
    Placed,
    Role,
    Sessions,
    Standing,
    Status,
    User,
)
from inventory_client.money import Money


class AsyncAuthCalls(Connection):
    """Who may do what.

    Roles are looked up when a command is applied, never taken from a request.
    """

    async def current_user(self) -> User:
        """Return the user that the token speaks for.

        A linearizable read. For everybody who is logged in.
        """
        request = auth_pb2.GetCurrentUserRequest()
        response = await self._call(
            "/inventory.v1.AuthService/GetCurrentUser", request, auth_pb2.GetCurrentUserResponse
        )
        return User.from_wire(response.user)

    async def create_user(
        self,
        username: str,
        password: str,
        role: Role,
        request_id: str | None = None,
        *,
        must_change_password: bool = False,
    ) -> User:
        """Create a user.

        Errors: ALREADY_EXISTS (USER_EXISTS). For admins.
        """
        request = auth_pb2.CreateUserRequest()
        request.request_id = chosen(request_id)
        request.username = username
        request.password = password
        request.role = Role(role).to_wire()
        request.must_change_password = must_change_password
        response = await self._call(
            "/inventory.v1.AuthService/CreateUser", request, auth_pb2.CreateUserResponse
        )
        return User.from_wire(response.user)

    async def set_password(
        self,
        user_id: int,
        password: str,
        old_password: str = "",
        request_id: str | None = None,
        *,
        must_change_password: bool = False,
    ) -> User:
        """Set a password; to set one's own takes the old one.

        Every token of that user ends. A machine does not set its own. Errors: UNAUTHENTICATED
        (INVALID_CREDENTIALS: the old one is wrong), FAILED_PRECONDITION (USER_DELETED). For
        admins, and each user but machines for itself.
        """
        request = auth_pb2.SetPasswordRequest()
        request.request_id = chosen(request_id)
        request.user_id = user_id
        request.password = password
        request.old_password = old_password
        request.must_change_password = must_change_password
        response = await self._call(
            "/inventory.v1.AuthService/SetPassword", request, auth_pb2.SetPasswordResponse
        )
        return User.from_wire(response.user)

    async def disable_user(self, user_id: int, request_id: str | None = None) -> User:
        """Disable a user until it is enabled again.

        Every token of that user ends; the name stays the user's. Errors: FAILED_PRECONDITION
        (LAST_ADMIN, USER_DELETED). For admins.
        """
        request = auth_pb2.DisableUserRequest()
        request.request_id = chosen(request_id)
        request.user_id = user_id
        response = await self._call(
            "/inventory.v1.AuthService/DisableUser", request, auth_pb2.DisableUserResponse
        )
        return User.from_wire(response.user)

    async def enable_user(self, user_id: int, request_id: str | None = None) -> User:
        """Let a disabled user log in again; its tokens of before stay ended.

        Errors: FAILED_PRECONDITION (USER_DELETED). For admins.
        """
        request = auth_pb2.EnableUserRequest()
        request.request_id = chosen(request_id)
        request.user_id = user_id
        response = await self._call(
            "/inventory.v1.AuthService/EnableUser", request, auth_pb2.EnableUserResponse
        )
        return User.from_wire(response.user)

    async def rename_user(self, user_id: int, username: str, request_id: str | None = None) -> User:
        """Give a user another name.

        The tokens of that user hold on. Errors: ALREADY_EXISTS (USER_EXISTS),
        FAILED_PRECONDITION (USER_DELETED). For admins.
        """
        request = auth_pb2.RenameUserRequest()
        request.request_id = chosen(request_id)
        request.user_id = user_id
        request.username = username
        response = await self._call(
            "/inventory.v1.AuthService/RenameUser", request, auth_pb2.RenameUserResponse
        )
        return User.from_wire(response.user)

    async def change_role(self, user_id: int, role: Role, request_id: str | None = None) -> User:
        """Give a user another role.

        Every token of that user ends. Errors: FAILED_PRECONDITION (LAST_ADMIN, USER_DELETED).
        For admins.
        """
        request = auth_pb2.ChangeRoleRequest()
        request.request_id = chosen(request_id)
        request.user_id = user_id
        request.role = Role(role).to_wire()
        response = await self._call(
            "/inventory.v1.AuthService/ChangeRole", request, auth_pb2.ChangeRoleResponse
        )
        return User.from_wire(response.user)

    async def delete_user(self, user_id: int, request_id: str | None = None) -> User:
        """Delete a user for good.

        Every token of that user ends. The id is never used again, and orders keep it; the name
        may be given to another user. Errors: FAILED_PRECONDITION (LAST_ADMIN, USER_DELETED).
        For admins.
        """
        request = auth_pb2.DeleteUserRequest()
        request.request_id = chosen(request_id)
        request.user_id = user_id
        response = await self._call(
            "/inventory.v1.AuthService/DeleteUser", request, auth_pb2.DeleteUserResponse
        )
        return User.from_wire(response.user)

    async def users(
        self, *, page_size: int = PAGE_SIZE, show_deleted: bool = False
    ) -> AsyncIterator[User]:
        """Yield every user, in order of id; deleted ones if they are asked for.

        Rows come `page_size` at a time. For admins.
        """
        request = auth_pb2.ListUsersRequest()
        request.page_size = page_size
        request.show_deleted = show_deleted
        async for page in self._pages(
            "/inventory.v1.AuthService/ListUsers", request, auth_pb2.ListUsersResponse
        ):
            for one in page.users:
                yield User.from_wire(one)

    async def end_sessions(
        self, user_id: int, session_id: int = 0, request_id: str | None = None
    ) -> int:
        """End one session of a user, or all of them.

        Errors: NOT_FOUND (USER_NOT_FOUND, SESSION_NOT_FOUND). For admins, and each user for
        itself.
        """
        request = auth_pb2.EndSessionsRequest()
        request.request_id = chosen(request_id)
        request.user_id = user_id
        request.session_id = session_id
        response = await self._call(
            "/inventory.v1.AuthService/EndSessions", request, auth_pb2.EndSessionsResponse
        )
        return response.count

    async def sessions(self, user_id: int = 0) -> Sessions:
        """Return the sessions of a user that have not ended, in order of id.

        A linearizable read. Errors: NOT_FOUND (USER_NOT_FOUND). For each user for itself, and
        admins.
        """
        request = auth_pb2.ListSessionsRequest()
        request.user_id = user_id
        response = await self._call(
            "/inventory.v1.AuthService/ListSessions", request, auth_pb2.ListSessionsResponse
        )
        return Sessions.from_wire(response)

    async def audit_records(
        self,
        order_by: str = "",
        actor_id: int = 0,
        kind: str = "",
        begin_ms: int = 0,
        end_ms: int = 0,
        *,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[AuditRecord]:
        """Yield the records of the audit log, newest first unless `order_by` is `id`.

        Rows come `page_size` at a time. For admins.
        """
        request = auth_pb2.ListAuditRecordsRequest()
        request.page_size = page_size
        request.order_by = order_by
        request.actor_id = actor_id
        request.kind = kind
        request.begin_ms = begin_ms
        request.end_ms = end_ms
        async for page in self._pages(
            "/inventory.v1.AuthService/ListAuditRecords", request, auth_pb2.ListAuditRecordsResponse
        ):
            for one in page.records:
                yield AuditRecord.from_wire(one)


class AsyncInventoryCalls(Connection):
    """Stock and orders.

    Every mutation carries a `request_id`, made once by the client and sent again unchanged
    on every retry: it is applied once, and a retry is answered with the first outcome.
    UNAVAILABLE, DEADLINE_EXCEEDED and a broken connection mean that the outcome is unknown:
    send the same request again. A call without a deadline has 5 s, and no call has more
    than 10 minutes. Reads are linearizable unless `read_options` say otherwise. `revision`
    is the log position that a response speaks of. Errors carry one google.rpc.ErrorInfo
    with a stable reason and the domain "inventory".
    """

    async def items(
        self,
        *,
        page_size: int = PAGE_SIZE,
        name_contains: str = "",
        price_min: Money | None = None,
        price_max: Money | None = None,
        quantity_min: int | None = None,
        quantity_max: int | None = None,
        order_by: str = "",
    ) -> AsyncIterator[Item]:
        """Yield the items that are not deleted, page by page (AIP-158).

        Rows come `page_size` at a time. For everybody who is logged in.
        """
        request = inventory_pb2.GetAllItemsRequest()
        request.page_size = page_size
        request.filter.name_contains = name_contains
        if price_min is not None:
            request.filter.price_min.CopyFrom(amount("price_min", price_min))
        if price_max is not None:
            request.filter.price_max.CopyFrom(amount("price_max", price_max))
        if quantity_min is not None:
            request.filter.quantity_min = quantity_min
        if quantity_max is not None:
            request.filter.quantity_max = quantity_max
        request.order_by = order_by
        request.read_options.CopyFrom(self._terms.reads)
        async for page in self._pages(
            "/inventory.v1.InventoryService/GetAllItems", request, inventory_pb2.GetAllItemsResponse
        ):
            for one in page.items:
                yield Item.from_wire(one)

    async def item(self, item_id: int) -> Item:
        """Return one item.

        A deleted item is found, with its `delete_time`. Errors: NOT_FOUND (ITEM_NOT_FOUND). For
        everybody who is logged in.
        """
        request = inventory_pb2.GetItemRequest()
        request.item_id = item_id
        request.read_options.CopyFrom(self._terms.reads)
        response = await self._call(
            "/inventory.v1.InventoryService/GetItem", request, inventory_pb2.GetItemResponse
        )
        return Item.from_wire(response.item)

    async def add_item(
        self,
        name: str,
        description: str,
        price: Money,
        quantity: int,
        request_id: str | None = None,
    ) -> Item:
        """Add an item, with what is on hand of it.

        For producers and admins.
        """
        mutation = inventory_pb2.Mutation()
        request = mutation.add_item
        request.request_id = chosen(request_id)
        request.name = name
        request.description = description
        request.price.CopyFrom(amount("price", price))
        request.quantity = quantity
        outcome = await self._mutate("add_item", mutation)
        return Item.from_wire(outcome.add_item.item)

    async def update_item(
        self,
        item_id: int,
        *,
        name: str | None = None,
        description: str | None = None,
        price: Money | None = None,
        request_id: str | None = None,
    ) -> Item:
        """Change the fields of an item that `update_mask` names (AIP-134).

        A quantity is changed by AdjustStock and SetStock alone. For producers and admins.
        """
        mutation = inventory_pb2.Mutation()
        request = mutation.update_item
        request.request_id = chosen(request_id)
        request.item.id = item_id
        request.update_mask.SetInParent()
        if name is not None:
            request.item.name = name
            request.update_mask.paths.append("name")
        if description is not None:
            request.item.description = description
            request.update_mask.paths.append("description")
        if price is not None:
            request.item.price.CopyFrom(amount("price", price))
            request.update_mask.paths.append("price")
        outcome = await self._mutate("update_item", mutation)
        return Item.from_wire(outcome.update_item.item)

    async def delete_item(self, item_id: int, request_id: str | None = None) -> Item:
        """Archive an item: orders keep referring to it.

        For producers and admins.
        """
        mutation = inventory_pb2.Mutation()
        request = mutation.delete_item
        request.request_id = chosen(request_id)
        request.item_id = item_id
        outcome = await self._mutate("delete_item", mutation)
        return Item.from_wire(outcome.delete_item.item)

    async def adjust_stock(
        self, item_id: int, delta: int, request_id: str | None = None
    ) -> Adjusted:
        """Add `delta`, which may be negative, to what is on hand.

        Errors: FAILED_PRECONDITION (INSUFFICIENT_STOCK). For producers and admins.
        """
        mutation = inventory_pb2.Mutation()
        request = mutation.adjust_stock
        request.request_id = chosen(request_id)
        request.item_id = item_id
        request.delta = delta
        outcome = await self._mutate("adjust_stock", mutation)
        return Adjusted.from_wire(outcome.adjust_stock)

    async def set_stock(
        self,
        item_id: int,
        quantity: int,
        expected_quantity: int | None = None,
        request_id: str | None = None,
    ) -> Adjusted:
        """Set the count, if `expected_quantity` is absent or still true.

        Errors: ABORTED (QUANTITY_CHANGED) with expected and actual. For producers and admins.
        """
        mutation = inventory_pb2.Mutation()
        request = mutation.set_stock
        request.request_id = chosen(request_id)
        request.item_id = item_id
        request.quantity = quantity
        if expected_quantity is not None:
            request.expected_quantity = expected_quantity
        outcome = await self._mutate("set_stock", mutation)
        return Adjusted.from_wire(outcome.set_stock)

    async def order_item(
        self, item_id: int, quantity: int, request_id: str | None = None
    ) -> Placed:
        """Order some of one item: checks and takes in one step.

        Errors: FAILED_PRECONDITION (INSUFFICIENT_STOCK) with requested and available. For
        customers and admins.
        """
        mutation = inventory_pb2.Mutation()
        request = mutation.order_item
        request.request_id = chosen(request_id)
        request.item_id = item_id
        request.quantity = quantity
        outcome = await self._mutate("order_item", mutation)
        return Placed.from_wire(outcome.order_item)

    async def place_order(
        self, lines: Iterable[tuple[int, int]], request_id: str | None = None
    ) -> Order:
        """Order several items: all lines or none.

        Errors: FAILED_PRECONDITION (INSUFFICIENT_STOCK). For customers and admins.
        """
        mutation = inventory_pb2.Mutation()
        request = mutation.place_order
        request.request_id = chosen(request_id)
        for item_id, quantity in lines:
            request.lines.add(item_id=item_id, quantity=quantity)
        outcome = await self._mutate("place_order", mutation)
        return Order.from_wire(outcome.place_order.order)

    async def order(self, order_id: int) -> Order:
        """Return one order, for its owner, producers and admins.

        Errors: NOT_FOUND (ORDER_NOT_FOUND). For customers, producers and admins.
        """
        request = inventory_pb2.GetOrderRequest()
        request.order_id = order_id
        request.read_options.CopyFrom(self._terms.reads)
        response = await self._call(
            "/inventory.v1.InventoryService/GetOrder", request, inventory_pb2.GetOrderResponse
        )
        return Order.from_wire(response.order)

    async def orders(self, *, page_size: int = PAGE_SIZE) -> AsyncIterator[Order]:
        """Yield orders, newest first: a customer's own, and every order for producers and admins.

        Rows come `page_size` at a time. For customers, producers and admins.
        """
        request = inventory_pb2.ListOrdersRequest()
        request.page_size = page_size
        request.read_options.CopyFrom(self._terms.reads)
        async for page in self._pages(
            "/inventory.v1.InventoryService/ListOrders", request, inventory_pb2.ListOrdersResponse
        ):
            for one in page.orders:
                yield Order.from_wire(one)

    async def item_stats(self, item_id: int) -> ItemStats:
        """Return what one item sold.

        Errors: NOT_FOUND (ITEM_NOT_FOUND). For producers, admins, machines and viewers.
        """
        request = inventory_pb2.GetItemStatsRequest()
        request.item_id = item_id
        request.read_options.CopyFrom(self._terms.reads)
        response = await self._call(
            "/inventory.v1.InventoryService/GetItemStats",
            request,
            inventory_pb2.GetItemStatsResponse,
        )
        return ItemStats.from_wire(response.stats)

    async def all_item_stats(
        self, order_by: str = "", *, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[ItemStats]:
        """Yield what each item sold, page by page.

        Rows come `page_size` at a time. For producers, admins, machines and viewers.
        """
        request = inventory_pb2.ListItemStatsRequest()
        request.page_size = page_size
        request.order_by = order_by
        request.read_options.CopyFrom(self._terms.reads)
        async for page in self._pages(
            "/inventory.v1.InventoryService/ListItemStats",
            request,
            inventory_pb2.ListItemStatsResponse,
        ):
            for one in page.stats:
                yield ItemStats.from_wire(one)

    async def stats(self, low_stock_threshold: int = 0) -> InventoryStats:
        """Return totals over all items, of one revision.

        For producers, admins, machines and viewers.
        """
        request = inventory_pb2.GetInventoryStatsRequest()
        request.low_stock_threshold = low_stock_threshold
        request.read_options.CopyFrom(self._terms.reads)
        response = await self._call(
            "/inventory.v1.InventoryService/GetInventoryStats",
            request,
            inventory_pb2.GetInventoryStatsResponse,
        )
        return InventoryStats.from_wire(response)


class AsyncClusterCalls(Connection):
    """The cluster behind the gateway."""

    async def status(self) -> Status:
        """Return every member as it sees itself.

        A member that does not answer within a second is listed as unreachable, so this works
        without a quorum; unless a leader says that it takes no part. Addresses, process ids and
        volumes are shown to admins and machines alone, and to nobody while no member answers
        who the caller is. For everybody who is logged in.
        """
        request = cluster_pb2.GetStatusRequest()
        response = await self._call(
            "/inventory.v1.ClusterService/GetStatus", request, cluster_pb2.GetStatusResponse
        )
        return Status.from_wire(response)

    async def checkpoint(self, request_id: str | None = None) -> int:
        """Put a mark in the log at which every member hashes its state.

        The hashes appear in GetStatus, and are equal at equal indexes on members that agree.
        For admins.
        """
        request = cluster_pb2.CheckpointRequest()
        request.request_id = chosen(request_id)
        response = await self._call(
            "/inventory.v1.ClusterService/Checkpoint", request, cluster_pb2.CheckpointResponse
        )
        return response.index

    async def probe(self) -> int:
        """Commit an entry that changes nothing: it is proposed, synced by a majority, and applied.

        Errors: UNAVAILABLE (NO_QUORUM). For admins, and the machine user `health`.
        """
        request = cluster_pb2.ProbeRequest()
        response = await self._call(
            "/inventory.v1.ClusterService/Probe", request, cluster_pb2.ProbeResponse
        )
        return response.revision

    async def add_member(self, name: str, address: str) -> Standing:
        """Let a member that runs and takes no part follow, without a vote.

        For admins.
        """
        request = cluster_pb2.AddMemberRequest()
        request.name = name
        request.address = address
        response = await self._call(
            "/inventory.v1.ClusterService/AddMember", request, cluster_pb2.ChangeMembersResponse
        )
        return Standing.from_wire(response.standing)

    async def promote_member(self, name: str) -> Standing:
        """Give a learner that has caught up a vote.

        For admins.
        """
        request = cluster_pb2.PromoteMemberRequest()
        request.name = name
        response = await self._call(
            "/inventory.v1.ClusterService/PromoteMember", request, cluster_pb2.ChangeMembersResponse
        )
        return Standing.from_wire(response.standing)

    async def remove_member(self, name: str) -> Standing:
        """Remove a member.

        Its process stays up, and its data where they are. For admins.
        """
        request = cluster_pb2.RemoveMemberRequest()
        request.name = name
        response = await self._call(
            "/inventory.v1.ClusterService/RemoveMember", request, cluster_pb2.ChangeMembersResponse
        )
        return Standing.from_wire(response.standing)

    async def transfer_leadership(self, name: str = "") -> Standing:
        """Hand the lead to another voter.

        For admins.
        """
        request = cluster_pb2.TransferLeadershipRequest()
        request.name = name
        response = await self._call(
            "/inventory.v1.ClusterService/TransferLeadership",
            request,
            cluster_pb2.ChangeMembersResponse,
        )
        return Standing.from_wire(response.standing)


class AsyncAssistantCalls(Connection):
    """Questions in plain language, answered as the calling user."""

    async def ask(self, question: str) -> Answer:
        """Answer a question.

        One that is not understood is answered too, not refused: `understood` is false and
        `text` says so, with examples. For everybody who is logged in.
        """
        request = assistant_pb2.GetPredictionRequest()
        request.question = question
        response = await self._call(
            "/inventory.v1.AssistantService/GetPrediction",
            request,
            assistant_pb2.GetPredictionResponse,
        )
        return Answer.from_wire(response)
