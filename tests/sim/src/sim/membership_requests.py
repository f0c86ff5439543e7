"""Carries what a member asks about itself, as `inventory_node.runtime.membership_requests` does."""

from typing import TYPE_CHECKING

from inventory.raft.v1 import membership_pb2
from inventory_node.core.membership.join import StandingWatch
from inventory_node.wal import Identity

if TYPE_CHECKING:
    from sim.process import Process

JOIN_US = 300_000  # between two tries


class StandingRequests:
    """Carries the questions of one life of a process, until its member was removed."""

    def __init__(self, process: "Process") -> None:
        """`start` begins."""
        self._process = process
        identity = Identity(process.settings.cluster_id, process.id, process.name)
        self._watch = StandingWatch(identity, f"{process.name}:1", auto=True)

    def start(self) -> None:
        """Ask after a while, and again and again."""
        self._process.later(JOIN_US, self._ask)

    def _ask(self) -> None:
        process = self._process
        if process.life.node is None or process.removed:
            return
        request = self._watch.observe(process.life.node.view())
        if request is not None:
            process.world.ask_change(process, request, self._hear)
        self.start()

    def _hear(self, response: membership_pb2.ChangeResponse) -> None:
        self._watch.hear(response)
        if self._watch.was_removed and self._process.life.node is not None:
            self._process.removed = True
            self._process.life.node.allow_campaigns(allowed=False)
