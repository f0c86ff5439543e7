"""How a member comes to take part, and learns that it does so no longer.

What `inventory_node.runtime.changes.Joining` does with tasks and gRPC, in virtual time.
"""

from typing import TYPE_CHECKING

from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2

if TYPE_CHECKING:
    from sim.process import Process

JOIN_US = 300_000  # between two tries
ALONE_TIMES = 4  # without a leader, until a voter asks whether it still is one


class Joiner:
    """Asks the leader how one member takes part, and to let it, in one life of its process."""

    def __init__(self, process: "Process") -> None:
        """`start` begins."""
        self._process = process
        self._alone = 0  # times in a row that no leader was known

    def start(self) -> None:
        """Look at once and again, until the member was removed."""
        self._process.later(JOIN_US, self._look)

    def _look(self) -> None:
        node = self._process.node
        if node is None or self._process.removed:
            return
        member = node.view()
        self._alone = 0 if member.leader else self._alone + 1
        if member.standing == cluster_pb2.MEMBER_STANDING_REMOVED:
            self._removed()
        elif member.standing != cluster_pb2.MEMBER_STANDING_VOTER:
            self._ask(is_empty=not member.last_log_index)
        elif self._alone >= ALONE_TIMES:
            self._ask(is_empty=False)
        self.start()

    def _ask(self, *, is_empty: bool) -> None:
        process = self._process
        request = membership_pb2.ChangeRequest(cluster_id=process.settings.cluster_id)
        request.join.member_id = process.id
        request.join.name = process.name
        request.join.address = f"{process.name}:1"
        request.join.is_empty = is_empty
        process.world.ask_change(process, request, self._told)

    def _told(self, response: membership_pb2.ChangeResponse) -> None:
        if response.done.standing == membership_pb2.STANDING_REMOVED:
            self._removed()

    def _removed(self) -> None:
        process = self._process
        if process.node is not None:
            process.removed = True
            process.node.allow_campaigns(allowed=False)
