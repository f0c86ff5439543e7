"""The asyncio client."""

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self, TypeVar

import uuid_utils
from google.protobuf.field_mask_pb2 import FieldMask
from google.type import money_pb2
from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2
from wire.addresses import is_address
from wire.bounds import TIMEOUT_MS_MAX
from wire.operations import MUTATIONS

from inventory_client.calls import Caller, is_token
from inventory_client.enums import Role, Standing
from inventory_client.models import (
    Adjusted,
    Answer,
    InventoryStats,
    Item,
    ItemStats,
    Order,
    Placed,
    Reads,
    Status,
    User,
)
from inventory_client.money import Money
from inventory_client.ownership import Ownership, Unpicklable
from inventory_client.stream import SubmitStream

ADDRESS_DEFAULT = "127.0.0.1:50051"
TIMEOUT_SECONDS_DEFAULT = 5.0
TIMEOUT_SECONDS_MAX = TIMEOUT_MS_MAX // 1_000
PAGE_SIZE = 500
LINEARIZABLE = Reads.linearizable()

_INVENTORY = "/inventory.v1.InventoryService/"
_AUTH = "/inventory.v1.AuthService/"
_CLUSTER = "/inventory.v1.ClusterService/"
_ASSISTANT = "/inventory.v1.AssistantService/"


Paged = (
    auth_pb2.ListUsersRequest
    | inventory_pb2.GetAllItemsRequest
    | inventory_pb2.ListOrdersRequest
    | inventory_pb2.ListItemStatsRequest
)
PageType = TypeVar(
    "PageType",
    auth_pb2.ListUsersResponse,
    inventory_pb2.GetAllItemsResponse,
    inventory_pb2.ListOrdersResponse,
    inventory_pb2.ListItemStatsResponse,
)


def new_request_id() -> str:
    """Make a request id: a UUIDv7 (RFC 9562), so that its age can be told."""
    return str(uuid_utils.uuid7())


def chosen(request_id: str | None) -> str:
    """Return the caller's own request id, an empty one too: it is refused rather than replaced.

    A program whose variable is empty meant to try something again, not to do it twice.
    """
    return new_request_id() if request_id is None else request_id


def amount(name: str, value: Money) -> money_pb2.Money:
    """Return an amount for the wire; raise TypeError on what is no Money, such as a float."""
    if not isinstance(value, Money):
        raise TypeError(f"{name}: {value!r} is no Money, such as Money.parse('USD', '1.50')")
    return value.to_wire()


class Connection(Unpicklable):
    """A channel, whom it speaks for, and the ways to call."""

    def __init__(
        self,
        address: str = ADDRESS_DEFAULT,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS_DEFAULT,
        *,
        unary: bool = False,
        reads: Reads = LINEARIZABLE,
        ignore_proxy: bool = False,
    ) -> None:
        """Speak to a gateway at host:port, from the first call on.

        `timeout`: seconds that a call may take, retries included. `unary`: one gRPC call for each
        mutation, instead of the shared stream. `reads`: how fresh what is read has to be.
        `ignore_proxy`: never by the proxy that `https_proxy` or `http_proxy` names; a gateway on
        this machine is never called by one. Raises TypeError or ValueError on a timeout that
        is none, an address that is not host:port, and a token that cannot be one.
        """
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise TypeError(f"timeout: {timeout!r} is no number of seconds")
        if "/" not in address and not is_address(address):  # "dns:///…" is for gRPC to read
            raise ValueError(f"address: {address!r} is not host:port, such as {ADDRESS_DEFAULT}")
        if not 0 < timeout <= TIMEOUT_SECONDS_MAX:
            raise ValueError(f"timeout: {timeout} is not above 0 s and up to {TIMEOUT_SECONDS_MAX}")
        if token is not None and not is_token(token):
            raise ValueError("token: this is not a token that a login gave")
        self._ownership = Ownership()
        self._caller = Caller(address, token, self._ownership, ignore_proxy=ignore_proxy)
        self._stream = SubmitStream(self._caller)
        self._timeout = timeout
        self._unary = unary
        self._reads = reads.options

    async def close(self) -> None:
        """End the connection; mutations under way end as OutcomeUnknown."""
        if self._ownership.leave():
            await self._stream.close("The client was closed before the outcome was known.")
            await self._caller.close()

    @property
    def token(self) -> str | None:
        """The bearer token in use, None before a login."""
        return self._caller.token

    async def _pages(
        self, method: str, request: Paged, response: type[PageType]
    ) -> AsyncIterator[PageType]:
        """Yield page after page (AIP-158)."""
        request.page_size = PAGE_SIZE
        while True:
            page = await self._caller.call(method, request, response, self._timeout)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def _mutate(self, kind: str, mutation: inventory_pb2.Mutation) -> inventory_pb2.Outcome:
        """Send a mutation of `kind` by the way that was chosen; its bytes are made once."""
        request = getattr(mutation, kind)
        if not self._unary:
            raw = mutation.SerializeToString()
            return await self._stream.submit(raw, request.request_id, self._timeout)
        outcome = inventory_pb2.Outcome()
        result = getattr(outcome, kind)
        response = await self._caller.call(
            MUTATIONS[kind].path,
            request,
            type(result),
            self._timeout,
            request.request_id,
        )
        result.CopyFrom(response)
        return outcome


class Accounts(Connection):
    """Users, and who one is."""

    async def login(self, username: str, password: str) -> User:
        """Log in; later calls speak for this user, and calls under way for the one before.

        Mutations under way on the shared stream end as OutcomeUnknown. They are not sent again:
        request ids belong to a user, so another user would order once more.
        """
        request = auth_pb2.LoginRequest(username=username, password=password)
        response = await self._caller.call(
            _AUTH + "Login", request, auth_pb2.LoginResponse, self._timeout
        )
        self._caller.token = response.token
        before, self._stream = self._stream, SubmitStream(self._caller)
        await before.close("A login ended the stream: request ids belong to whoever sent them.")
        return User.from_wire(response.user)

    async def current_user(self) -> User:
        """Return the user that the token speaks for."""
        response = await self._caller.call(
            _AUTH + "GetCurrentUser",
            auth_pb2.GetCurrentUserRequest(),
            auth_pb2.GetCurrentUserResponse,
            self._timeout,
        )
        return User.from_wire(response.user)

    async def create_user(
        self, username: str, password: str, role: Role, request_id: str | None = None
    ) -> User:
        """Create a user (admins); raise ValueError on a role that there is not."""
        request = auth_pb2.CreateUserRequest(
            request_id=chosen(request_id),
            username=username,
            password=password,
            role=Role(role).to_wire(),
        )
        response = await self._caller.call(
            _AUTH + "CreateUser",
            request,
            auth_pb2.CreateUserResponse,
            self._timeout,
            request.request_id,
        )
        return User.from_wire(response.user)

    async def set_password(
        self, user_id: int, password: str, request_id: str | None = None
    ) -> User:
        """Set a password (admins, and each user its own); ends every token of the user."""
        request = auth_pb2.SetPasswordRequest(
            request_id=chosen(request_id), user_id=user_id, password=password
        )
        response = await self._caller.call(
            _AUTH + "SetPassword",
            request,
            auth_pb2.SetPasswordResponse,
            self._timeout,
            request.request_id,
        )
        return User.from_wire(response.user)

    async def disable_user(self, user_id: int, request_id: str | None = None) -> User:
        """Disable a user for good (admins)."""
        request = auth_pb2.DisableUserRequest(request_id=chosen(request_id), user_id=user_id)
        response = await self._caller.call(
            _AUTH + "DisableUser",
            request,
            auth_pb2.DisableUserResponse,
            self._timeout,
            request.request_id,
        )
        return User.from_wire(response.user)

    async def users(self) -> AsyncIterator[User]:
        """Yield every user (admins)."""
        request = auth_pb2.ListUsersRequest()
        async for page in self._pages(_AUTH + "ListUsers", request, auth_pb2.ListUsersResponse):
            for user in page.users:
                yield User.from_wire(user)


class Items(Connection):
    """Items and their stock."""

    async def items(
        self,
        *,
        name_contains: str = "",
        price_min: Money | None = None,
        price_max: Money | None = None,
        quantity_min: int | None = None,
        quantity_max: int | None = None,
        order_by: str = "",
    ) -> AsyncIterator[Item]:
        """Yield items that are not deleted, page after page; `order_by` such as "price desc"."""
        wanted = inventory_pb2.ItemFilter(
            name_contains=name_contains, quantity_min=quantity_min, quantity_max=quantity_max
        )
        if price_min is not None:
            wanted.price_min.CopyFrom(amount("price_min", price_min))
        if price_max is not None:
            wanted.price_max.CopyFrom(amount("price_max", price_max))
        request = inventory_pb2.GetAllItemsRequest(
            filter=wanted, order_by=order_by, read_options=self._reads
        )
        async for page in self._pages(
            _INVENTORY + "GetAllItems", request, inventory_pb2.GetAllItemsResponse
        ):
            for item in page.items:
                yield Item.from_wire(item)

    async def currency(self) -> str:
        """Return the ISO 4217 code of the one currency that the inventory's prices are in."""
        response = await self._caller.call(
            _INVENTORY + "GetAllItems",
            inventory_pb2.GetAllItemsRequest(page_size=1, read_options=self._reads),
            inventory_pb2.GetAllItemsResponse,
            self._timeout,
        )
        return response.currency_code

    async def item(self, item_id: int) -> Item:
        """Return an item; a deleted one has its `delete_time`."""
        response = await self._caller.call(
            _INVENTORY + "GetItem",
            inventory_pb2.GetItemRequest(item_id=item_id, read_options=self._reads),
            inventory_pb2.GetItemResponse,
            self._timeout,
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
        """Add an item (producers, admins)."""
        request = inventory_pb2.AddItemRequest(
            request_id=chosen(request_id),
            name=name,
            description=description,
            price=amount("price", price),
            quantity=quantity,
        )
        outcome = await self._mutate("add_item", inventory_pb2.Mutation(add_item=request))
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
        """Change what is given of an item (producers, admins)."""
        given = {"name": name, "description": description, "price": price}
        paths = [field for field, value in given.items() if value is not None]
        item = inventory_pb2.Item(id=item_id, name=name or "", description=description or "")
        if price is not None:
            item.price.CopyFrom(amount("price", price))
        request = inventory_pb2.UpdateItemRequest(
            request_id=chosen(request_id), item=item, update_mask=FieldMask(paths=paths)
        )
        outcome = await self._mutate("update_item", inventory_pb2.Mutation(update_item=request))
        return Item.from_wire(outcome.update_item.item)

    async def delete_item(self, item_id: int, request_id: str | None = None) -> Item:
        """Archive an item (producers, admins)."""
        request = inventory_pb2.DeleteItemRequest(request_id=chosen(request_id), item_id=item_id)
        outcome = await self._mutate("delete_item", inventory_pb2.Mutation(delete_item=request))
        return Item.from_wire(outcome.delete_item.item)

    async def adjust_stock(
        self, item_id: int, delta: int, request_id: str | None = None
    ) -> Adjusted:
        """Add to what is on hand, or take from it (producers, admins)."""
        request = inventory_pb2.AdjustStockRequest(
            request_id=chosen(request_id), item_id=item_id, delta=delta
        )
        outcome = await self._mutate("adjust_stock", inventory_pb2.Mutation(adjust_stock=request))
        done = outcome.adjust_stock
        return Adjusted(done.item_id, done.on_hand_after, done.revision)

    async def set_stock(
        self,
        item_id: int,
        quantity: int,
        expected_quantity: int | None = None,
        request_id: str | None = None,
    ) -> Adjusted:
        """Set the count, if it still is `expected_quantity` where given (producers, admins)."""
        request = inventory_pb2.SetStockRequest(
            request_id=chosen(request_id),
            item_id=item_id,
            quantity=quantity,
            expected_quantity=expected_quantity,
        )
        outcome = await self._mutate("set_stock", inventory_pb2.Mutation(set_stock=request))
        done = outcome.set_stock
        return Adjusted(done.item_id, done.on_hand_after, done.revision)


class Orders(Connection):
    """Orders, and what was sold."""

    async def order_item(
        self, item_id: int, quantity: int, request_id: str | None = None
    ) -> Placed:
        """Order some of one item (customers, admins)."""
        mutation = inventory_pb2.Mutation()
        order = mutation.order_item  # filled where it is: a copy costs as much as the rest
        order.request_id = chosen(request_id)
        order.item_id, order.quantity = item_id, quantity
        return Placed.from_wire((await self._mutate("order_item", mutation)).order_item)

    async def place_order(
        self, lines: Iterable[tuple[int, int]], request_id: str | None = None
    ) -> Order:
        """Order (item id, quantity)s, all of them or none (customers, admins)."""
        request = inventory_pb2.PlaceOrderRequest(request_id=chosen(request_id))
        for item_id, quantity in lines:
            request.lines.add(item_id=item_id, quantity=quantity)
        outcome = await self._mutate("place_order", inventory_pb2.Mutation(place_order=request))
        return Order.from_wire(outcome.place_order.order)

    async def order(self, order_id: int) -> Order:
        """Return an order of one's own; producers and admins see all."""
        response = await self._caller.call(
            _INVENTORY + "GetOrder",
            inventory_pb2.GetOrderRequest(order_id=order_id, read_options=self._reads),
            inventory_pb2.GetOrderResponse,
            self._timeout,
        )
        return Order.from_wire(response.order)

    async def orders(self) -> AsyncIterator[Order]:
        """Yield one's own orders, newest first; producers and admins see all."""
        request = inventory_pb2.ListOrdersRequest(read_options=self._reads)
        async for page in self._pages(
            _INVENTORY + "ListOrders", request, inventory_pb2.ListOrdersResponse
        ):
            for order in page.orders:
                yield Order.from_wire(order)

    async def item_stats(self, item_id: int) -> ItemStats:
        """Return what one item sold (producers, admins, machines)."""
        response = await self._caller.call(
            _INVENTORY + "GetItemStats",
            inventory_pb2.GetItemStatsRequest(item_id=item_id, read_options=self._reads),
            inventory_pb2.GetItemStatsResponse,
            self._timeout,
        )
        return ItemStats.from_wire(response.stats)

    async def all_item_stats(self, order_by: str = "") -> AsyncIterator[ItemStats]:
        """Yield what each item sold; `order_by` such as "units_sold desc"."""
        request = inventory_pb2.ListItemStatsRequest(order_by=order_by, read_options=self._reads)
        async for page in self._pages(
            _INVENTORY + "ListItemStats", request, inventory_pb2.ListItemStatsResponse
        ):
            for stats in page.stats:
                yield ItemStats.from_wire(stats)

    async def stats(self, low_stock_threshold: int = 0) -> InventoryStats:
        """Return totals over all items (producers, admins, machines)."""
        response = await self._caller.call(
            _INVENTORY + "GetInventoryStats",
            inventory_pb2.GetInventoryStatsRequest(
                low_stock_threshold=low_stock_threshold, read_options=self._reads
            ),
            inventory_pb2.GetInventoryStatsResponse,
            self._timeout,
        )
        return InventoryStats.from_wire(response)


class Cluster(Connection):
    """The cluster itself, and the assistant."""

    async def status(self) -> Status:
        """Return the cluster as its members see themselves; works without a quorum."""
        response = await self._caller.call(
            _CLUSTER + "GetStatus",
            cluster_pb2.GetStatusRequest(),
            cluster_pb2.GetStatusResponse,
            self._timeout,
        )
        return Status.from_wire(response)

    async def checkpoint(self, request_id: str | None = None) -> int:
        """Have every member hash its state at one index; return the index (admins)."""
        request = cluster_pb2.CheckpointRequest(request_id=chosen(request_id))
        response = await self._caller.call(
            _CLUSTER + "Checkpoint",
            request,
            cluster_pb2.CheckpointResponse,
            self._timeout,
            request.request_id,
        )
        return response.index

    async def probe(self) -> int:
        """Commit an entry that changes nothing; return its index (admins, and `health`)."""
        response = await self._caller.call(
            _CLUSTER + "Probe",
            cluster_pb2.ProbeRequest(),
            cluster_pb2.ProbeResponse,
            self._timeout,
        )
        return response.revision

    async def add_member(self, name: str, address: str) -> Standing:
        """Let a running member follow without a vote (admins); return its standing."""
        request = cluster_pb2.AddMemberRequest(name=name, address=address)
        return await self._change_members("AddMember", request)

    async def promote_member(self, name: str) -> Standing:
        """Give a learner that has caught up a vote (admins); return its standing."""
        return await self._change_members(
            "PromoteMember", cluster_pb2.PromoteMemberRequest(name=name)
        )

    async def remove_member(self, name: str) -> Standing:
        """Let a member take part no longer (admins); return its standing."""
        return await self._change_members(
            "RemoveMember", cluster_pb2.RemoveMemberRequest(name=name)
        )

    async def transfer_leadership(self, name: str = "") -> None:
        """Let another voter lead, this one or the most caught-up one (admins)."""
        request = cluster_pb2.TransferLeadershipRequest(name=name)
        await self._change_members("TransferLeadership", request)

    async def _change_members(
        self,
        method: str,
        request: cluster_pb2.AddMemberRequest
        | cluster_pb2.PromoteMemberRequest
        | cluster_pb2.RemoveMemberRequest
        | cluster_pb2.TransferLeadershipRequest,
    ) -> Standing:
        response = await self._caller.call(
            _CLUSTER + method, request, cluster_pb2.ChangeMembersResponse, self._timeout
        )
        return Standing.from_wire(response.standing)

    async def ask(self, question: str) -> Answer:
        """Ask the assistant in plain language."""
        response = await self._caller.call(
            _ASSISTANT + "GetPrediction",
            assistant_pb2.GetPredictionRequest(question=question),
            assistant_pb2.GetPredictionResponse,
            self._timeout,
        )
        return Answer.from_wire(response)


class AsyncInventory(Accounts, Items, Orders, Cluster):
    """One user's connection to an inventory; use it as an async context manager.

    Methods raise `InventoryError`. Mutations take `request_id` to try an unknown outcome again;
    without one they make their own.
    """

    async def __aenter__(self) -> Self:
        """Return the client itself; it connects on first use."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()
