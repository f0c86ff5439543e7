"""A running system as its gateway shows it, and the waits until the system is well."""

import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from inventory_client import Inventory, InventoryError

SETTLE_SECONDS_MAX = 60
POLL_SECONDS = 0.1
MEMBERS = 3


class NotSettled(Exception):  # noqa: N818 - it names the fact
    """The cluster did not reach the expected state in a time that no busy machine needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedMember:
    """A member as `ClusterService.GetStatus` shows it."""

    name: str
    role: str
    pid: int
    applied: int
    durable: int  # the index that the member's database holds
    standing: str


class Watched:
    """A system with an administrator's connection to it."""

    def __init__(self) -> None:
        """Nobody is connected yet."""
        self._watcher: Inventory | None = None

    def connect(self, address: str, password: str) -> None:
        """Connect as the admin user of the first start."""
        self._watcher = Inventory(address, insecure=True)
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
        """Return the system's output, to find out why the system does not settle."""
        return ""

    def members(self) -> list[WatchedMember]:
        """Return the members that answer; none while the gateway does not answer."""
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
        """Wait until three voters, none with a pid of `besides`, have applied a common index.

        The index is the leader's applied index at the beginning of the wait.
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
