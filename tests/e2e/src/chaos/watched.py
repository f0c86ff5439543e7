"""What is seen of a running system through its gateway, and the waits for it to be well."""

import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from inventory_client import Inventory, InventoryError

SETTLE_SECONDS_MAX = 60
POLL_SECONDS = 0.1
MEMBERS = 3


class NotSettled(Exception):  # noqa: N818 - it says what is the case
    """The cluster did not reach the expected state in a time that no busy machine needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedMember:
    """A member as `ClusterService.GetStatus` shows it."""

    name: str
    role: str
    pid: int
    applied: int
    durable: int  # the index that its database holds
    standing: str


class Watched:
    """A system that an administrator is connected to."""

    def __init__(self) -> None:
        """Nobody is connected yet."""
        self._watcher: Inventory | None = None

    def connect(self, address: str, password: str) -> None:
        """Connect as the admin that the first start made."""
        self._watcher = Inventory(address)
        self._watcher.login("admin", password)

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    @property
    def watcher(self) -> Inventory:
        """Return an administrator's connection."""
        if self._watcher is None:
            raise NotSettled("the system is not running")
        return self._watcher

    def words(self) -> str:
        """Return what the system wrote, for whoever has to find out why it does not settle."""
        return ""

    def members(self) -> list[WatchedMember]:
        """Return the members that answer; none while nobody can be asked."""
        try:
            status = self.watcher.status()
        except InventoryError:
            return []
        return [
            WatchedMember(
                name=one.name,
                role=one.role,
                pid=one.pid,
                applied=one.applied_index,
                durable=one.durable_index,
                standing=one.standing,
            )
            for one in status.members
            if one.reachable
        ]

    def leader(self) -> WatchedMember:
        """Wait for a leader and return it."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while time.monotonic() < deadline:
            leaders = [member for member in self.members() if member.role == "leader"]
            if len(leaders) == 1:
                return leaders[0]
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"no leader:\n{self.words()}")

    def wait_until_whole(self, *, besides: AbstractSet[int] = frozenset()) -> None:
        """Wait until three voters, none of the pids in `besides`, have applied what is committed.

        The leader's applied index of the first look is what each of them has to reach.
        """
        goal = self.leader().applied
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while time.monotonic() < deadline:
            members = self.members()
            pids = {member.pid for member in members}
            if (
                len(members) == MEMBERS
                and not pids & besides
                and all(member.applied >= goal for member in members)
                and all(member.standing == "voter" for member in members)
            ):
                return
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"a member is missing:\n{self.words()}")
