"""The same client without asyncio: calls that wait."""

from pathlib import Path
from types import TracebackType
from typing import Self

from inventory_client.aio import AsyncInventory
from inventory_client.blocking_operations import (
    BlockingAssistantCalls,
    BlockingAuthCalls,
    BlockingClusterCalls,
    BlockingInventoryCalls,
)
from inventory_client.connection import ADDRESS_DEFAULT, TIMEOUT_SECONDS_DEFAULT, AuthLike
from inventory_client.models import User
from inventory_client.reads import LINEARIZABLE, Reads
from inventory_client.security import ClientCertificate
from inventory_client.waiting import LoopThread


class Inventory(
    BlockingAuthCalls, BlockingInventoryCalls, BlockingClusterCalls, BlockingAssistantCalls
):
    """One user's connection to an inventory; use it as a context manager, from any thread.

    The methods are those of `AsyncInventory`. The thread starts with the first call.
    """

    def __init__(
        self,
        address: str = ADDRESS_DEFAULT,
        auth: AuthLike = None,
        timeout: float = TIMEOUT_SECONDS_DEFAULT,
        *,
        unary: bool = False,
        reads: Reads = LINEARIZABLE,
        ignore_proxy: bool = False,
        insecure: bool = False,
        ca_file: Path | str | None = None,
        certificate: ClientCertificate | None = None,
    ) -> None:
        """See `AsyncInventory`."""
        inventory = AsyncInventory(
            address,
            auth,
            timeout,
            unary=unary,
            reads=reads,
            ignore_proxy=ignore_proxy,
            insecure=insecure,
            ca_file=ca_file,
            certificate=certificate,
        )
        self._begin(inventory, LoopThread(), is_owner=True)

    def _begin(self, inventory: AsyncInventory, thread: LoopThread, *, is_owner: bool) -> None:
        """Run the calls of `inventory` on the thread's loop; the owner ends the thread."""
        self._inventory = inventory
        self._loop_thread = thread
        self._is_owner = is_owner

    @classmethod
    def _over(cls, inventory: AsyncInventory, thread: LoopThread) -> Self:
        self = cls.__new__(cls)
        self._begin(inventory, thread, is_owner=False)
        return self

    def as_user(self, auth: AuthLike) -> Self:
        """Return a client that speaks for another user over the same channel and thread.

        Closing the returned client leaves this client as it is; closing this client closes the
        returned client.
        """
        self._loop_thread.ownership.check()
        return self._over(self._inventory.as_user(auth), self._loop_thread)

    def __enter__(self) -> Self:
        """Return the client itself; the client connects on first use."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connection; mutations under way end as OutcomeUnknown."""
        if self._is_owner:
            self._loop_thread.close(self._inventory.close())
        elif not (
            self._loop_thread.ownership.is_closed or self._loop_thread.ownership.is_elsewhere
        ):
            self._wait(self._inventory.close())

    @property
    def token(self) -> str | None:
        """The bearer token in use, None before a login."""
        return self._inventory.token

    @property
    def revision(self) -> int:
        """The log position of the last answer to a read; 0 before the first answer."""
        return self._inventory.revision

    def login(self, username: str, password: str) -> User:
        """Log in; later calls speak for this user, and calls under way for the user before.

        Mutations under way on the shared stream end as OutcomeUnknown: request ids belong to a
        user. A client that must log in again by itself has `auth=Password(…)` instead.
        """
        return self._wait(self._inventory.login(username, password))

    def currency(self) -> str:
        """Return the ISO 4217 code of the one currency of the inventory's prices."""
        return self._wait(self._inventory.currency())
