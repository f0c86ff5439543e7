"""Lets a member ask about itself, as `inventory_node.runtime.changes.Asking` does by gRPC."""

from typing import TYPE_CHECKING

from inventory.raft.v1 import membership_pb2
from inventory_node.core.membership.join import Joining
from inventory_node.wal import Identity

if TYPE_CHECKING:
    from sim.process import Process

JOIN_US = 300_000  # between two tries


class Joiner:
    """Looks at one member, in one life of its process, until it was removed."""

    def __init__(self, process: "Process") -> None:
        """`start` begins."""
        self._process = process
        identity = Identity(process.settings.cluster_id, process.id, process.name)
        self._joining = Joining(identity, f"{process.name}:1", auto=True)

    def start(self) -> None:
        """Look after a while, and again and again."""
        self._process.later(JOIN_US, self._look)

    def _look(self) -> None:
        process = self._process
        if process.node is None or process.removed:
            return
        join = self._joining.look(process.node.view())
        if join is not None:
            cluster_id = process.settings.cluster_id
            request = membership_pb2.ChangeRequest(cluster_id=cluster_id, join=join)
            process.world.ask_change(process, request, self._told)
        self.start()

    def _told(self, response: membership_pb2.ChangeResponse) -> None:
        if response.HasField("done"):
            self._joining.told(response.done.standing)
        if self._joining.was_removed and self._process.node is not None:
            self._process.removed = True
            self._process.node.allow_campaigns(allowed=False)
