"""The methods of the blocking client, each of which waits for its twin.

Made by tools/generate_client.py from proto/inventory/v1; change the schema instead.
"""

from collections.abc import Iterable, Iterator

from inventory_client.connection import PAGE_SIZE
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
from inventory_client.waiting import BlockingCalls


class BlockingAuthCalls(BlockingCalls):
    """Who may do what.

    Roles are looked up when a command is applied, never taken from a request.
    """

    def current_user(self) -> User:
        """Return the user that the token speaks for.

        A linearizable read. For everybody who is logged in.
        """
        return self._wait(self._inventory.current_user())

    def create_user(
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
        return self._wait(
            self._inventory.create_user(
                username, password, role, request_id, must_change_password=must_change_password
            )
        )

    def set_password(
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
        return self._wait(
            self._inventory.set_password(
                user_id,
                password,
                old_password,
                request_id,
                must_change_password=must_change_password,
            )
        )

    def disable_user(self, user_id: int, request_id: str | None = None) -> User:
        """Disable a user until it is enabled again.

        Every token of that user ends; the name stays the user's. Errors: FAILED_PRECONDITION
        (LAST_ADMIN, USER_DELETED). For admins.
        """
        return self._wait(self._inventory.disable_user(user_id, request_id))

    def enable_user(self, user_id: int, request_id: str | None = None) -> User:
        """Let a disabled user log in again; its tokens of before stay ended.

        Errors: FAILED_PRECONDITION (USER_DELETED). For admins.
        """
        return self._wait(self._inventory.enable_user(user_id, request_id))

    def rename_user(self, user_id: int, username: str, request_id: str | None = None) -> User:
        """Give a user another name.

        The tokens of that user hold on. Errors: ALREADY_EXISTS (USER_EXISTS),
        FAILED_PRECONDITION (USER_DELETED). For admins.
        """
        return self._wait(self._inventory.rename_user(user_id, username, request_id))

    def change_role(self, user_id: int, role: Role, request_id: str | None = None) -> User:
        """Give a user another role.

        Every token of that user ends. Errors: FAILED_PRECONDITION (LAST_ADMIN, USER_DELETED).
        For admins.
        """
        return self._wait(self._inventory.change_role(user_id, role, request_id))

    def delete_user(self, user_id: int, request_id: str | None = None) -> User:
        """Delete a user for good.

        Every token of that user ends. The id is never used again, and orders keep it; the name
        may be given to another user. Errors: FAILED_PRECONDITION (LAST_ADMIN, USER_DELETED).
        For admins.
        """
        return self._wait(self._inventory.delete_user(user_id, request_id))

    def users(self, *, page_size: int = PAGE_SIZE, show_deleted: bool = False) -> Iterator[User]:
        """Yield every user, in order of id; deleted ones if they are asked for.

        Rows come `page_size` at a time. For admins.
        """
        return self._iterate(self._inventory.users(page_size=page_size, show_deleted=show_deleted))

    def end_sessions(self, user_id: int, session_id: int = 0, request_id: str | None = None) -> int:
        """End one session of a user, or all of them.

        Errors: NOT_FOUND (USER_NOT_FOUND, SESSION_NOT_FOUND). For admins, and each user for
        itself.
        """
        return self._wait(self._inventory.end_sessions(user_id, session_id, request_id))

    def sessions(self, user_id: int = 0) -> Sessions:
        """Return the sessions of a user that have not ended, in order of id.

        A linearizable read. Errors: NOT_FOUND (USER_NOT_FOUND). For each user for itself, and
        admins.
        """
        return self._wait(self._inventory.sessions(user_id))

    def audit_records(
        self,
        order_by: str = "",
        actor_id: int = 0,
        kind: str = "",
        begin_ms: int = 0,
        end_ms: int = 0,
        *,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[AuditRecord]:
        """Yield the records of the audit log, newest first unless `order_by` is `id`.

        Rows come `page_size` at a time. For admins.
        """
        return self._iterate(
            self._inventory.audit_records(
                order_by, actor_id, kind, begin_ms, end_ms, page_size=page_size
            )
        )


class BlockingInventoryCalls(BlockingCalls):
    """Stock and orders.

    Every mutation carries a `request_id`, made once by the client and sent again unchanged
    on every retry: it is applied once, and a retry is answered with the first outcome.
    UNAVAILABLE, DEADLINE_EXCEEDED and a broken connection mean that the outcome is unknown:
    send the same request again. A call without a deadline has 5 s, and no call has more
    than 10 minutes. Reads are linearizable unless `read_options` say otherwise. `revision`
    is the log position that a response speaks of. Errors carry one google.rpc.ErrorInfo
    with a stable reason and the domain "inventory".
    """

    def items(
        self,
        *,
        page_size: int = PAGE_SIZE,
        name_contains: str = "",
        price_min: Money | None = None,
        price_max: Money | None = None,
        quantity_min: int | None = None,
        quantity_max: int | None = None,
        order_by: str = "",
    ) -> Iterator[Item]:
        """Yield the items that are not deleted, page by page (AIP-158).

        Rows come `page_size` at a time. For everybody who is logged in.
        """
        return self._iterate(
            self._inventory.items(
                page_size=page_size,
                name_contains=name_contains,
                price_min=price_min,
                price_max=price_max,
                quantity_min=quantity_min,
                quantity_max=quantity_max,
                order_by=order_by,
            )
        )

    def item(self, item_id: int) -> Item:
        """Return one item.

        A deleted item is found, with its `delete_time`. Errors: NOT_FOUND (ITEM_NOT_FOUND). For
        everybody who is logged in.
        """
        return self._wait(self._inventory.item(item_id))

    def add_item(
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
        return self._wait(self._inventory.add_item(name, description, price, quantity, request_id))

    def update_item(
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
        return self._wait(
            self._inventory.update_item(
                item_id, name=name, description=description, price=price, request_id=request_id
            )
        )

    def delete_item(self, item_id: int, request_id: str | None = None) -> Item:
        """Archive an item: orders keep referring to it.

        For producers and admins.
        """
        return self._wait(self._inventory.delete_item(item_id, request_id))

    def adjust_stock(self, item_id: int, delta: int, request_id: str | None = None) -> Adjusted:
        """Add `delta`, which may be negative, to what is on hand.

        Errors: FAILED_PRECONDITION (INSUFFICIENT_STOCK). For producers and admins.
        """
        return self._wait(self._inventory.adjust_stock(item_id, delta, request_id))

    def set_stock(
        self,
        item_id: int,
        quantity: int,
        expected_quantity: int | None = None,
        request_id: str | None = None,
    ) -> Adjusted:
        """Set the count, if `expected_quantity` is absent or still true.

        Errors: ABORTED (QUANTITY_CHANGED) with expected and actual. For producers and admins.
        """
        return self._wait(
            self._inventory.set_stock(item_id, quantity, expected_quantity, request_id)
        )

    def order_item(self, item_id: int, quantity: int, request_id: str | None = None) -> Placed:
        """Order some of one item: checks and takes in one step.

        Errors: FAILED_PRECONDITION (INSUFFICIENT_STOCK) with requested and available. For
        customers and admins.
        """
        return self._wait(self._inventory.order_item(item_id, quantity, request_id))

    def place_order(self, lines: Iterable[tuple[int, int]], request_id: str | None = None) -> Order:
        """Order several items: all lines or none.

        Errors: FAILED_PRECONDITION (INSUFFICIENT_STOCK). For customers and admins.
        """
        return self._wait(self._inventory.place_order(lines, request_id))

    def order(self, order_id: int) -> Order:
        """Return one order, for its owner, producers and admins.

        Errors: NOT_FOUND (ORDER_NOT_FOUND). For customers, producers and admins.
        """
        return self._wait(self._inventory.order(order_id))

    def orders(self, *, page_size: int = PAGE_SIZE) -> Iterator[Order]:
        """Yield orders, newest first: a customer's own, and every order for producers and admins.

        Rows come `page_size` at a time. For customers, producers and admins.
        """
        return self._iterate(self._inventory.orders(page_size=page_size))

    def item_stats(self, item_id: int) -> ItemStats:
        """Return what one item sold.

        Errors: NOT_FOUND (ITEM_NOT_FOUND). For producers, admins, machines and viewers.
        """
        return self._wait(self._inventory.item_stats(item_id))

    def all_item_stats(
        self, order_by: str = "", *, page_size: int = PAGE_SIZE
    ) -> Iterator[ItemStats]:
        """Yield what each item sold, page by page.

        Rows come `page_size` at a time. For producers, admins, machines and viewers.
        """
        return self._iterate(self._inventory.all_item_stats(order_by, page_size=page_size))

    def stats(self, low_stock_threshold: int = 0) -> InventoryStats:
        """Return totals over all items, of one revision.

        For producers, admins, machines and viewers.
        """
        return self._wait(self._inventory.stats(low_stock_threshold))


class BlockingClusterCalls(BlockingCalls):
    """The cluster behind the gateway."""

    def status(self) -> Status:
        """Return every member as it sees itself.

        A member that does not answer within a second is listed as unreachable, so this works
        without a quorum; unless a leader says that it takes no part. Addresses, process ids and
        volumes are shown to admins and machines alone, and to nobody while no member answers
        who the caller is. For everybody who is logged in.
        """
        return self._wait(self._inventory.status())

    def checkpoint(self, request_id: str | None = None) -> int:
        """Put a mark in the log at which every member hashes its state.

        The hashes appear in GetStatus, and are equal at equal indexes on members that agree.
        For admins.
        """
        return self._wait(self._inventory.checkpoint(request_id))

    def probe(self) -> int:
        """Commit an entry that changes nothing: it is proposed, synced by a majority, and applied.

        Errors: UNAVAILABLE (NO_QUORUM). For admins, and the machine user `health`.
        """
        return self._wait(self._inventory.probe())

    def add_member(self, name: str, address: str) -> Standing:
        """Let a member that runs and takes no part follow, without a vote.

        For admins.
        """
        return self._wait(self._inventory.add_member(name, address))

    def promote_member(self, name: str) -> Standing:
        """Give a learner that has caught up a vote.

        For admins.
        """
        return self._wait(self._inventory.promote_member(name))

    def remove_member(self, name: str) -> Standing:
        """Remove a member.

        Its process stays up, and its data where they are. For admins.
        """
        return self._wait(self._inventory.remove_member(name))

    def transfer_leadership(self, name: str = "") -> Standing:
        """Hand the lead to another voter.

        For admins.
        """
        return self._wait(self._inventory.transfer_leadership(name))


class BlockingAssistantCalls(BlockingCalls):
    """Questions in plain language, answered as the calling user."""

    def ask(self, question: str) -> Answer:
        """Answer a question.

        One that is not understood is answered too, not refused: `understood` is false and
        `text` says so, with examples. For everybody who is logged in.
        """
        return self._wait(self._inventory.ask(question))
