"""Operators of the cluster: they transfer leadership, add and remove members."""

from random import Random

from inventory.raft.v1 import membership_pb2
from inventory_node.core.events import ChangeAsked
from raft.messages import Configuration

from sim.faults import FaultKind
from sim.process import SimProcess
from sim.world import SimWorld

CARE_US = 400_000  # between two looks at who was removed
TICKETS = 1 << 40  # numbers apart from those of members that ask


class Operators:
    """Ask the leader for changes, and hear what became of each.

    - Voters with safe disks stay more than the frail members that there are or may be again. So
      voters with safe disks are a majority by themselves.
    """

    def __init__(self, world: SimWorld) -> None:
        """Work on `world`; `care` begins to look after removed members."""
        self._world = world
        self._last_ticket = TICKETS

    def act(self, kind: FaultKind, process: SimProcess, random: Random) -> bool:
        """Ask for the change that a fault names; tell whether anything was asked for."""
        if kind is FaultKind.ADD:
            return self._add_member()
        leader = self._world.leader()
        if leader is None or leader.raft is None:
            return False
        request = membership_pb2.ChangeRequest(cluster_id=leader.settings.cluster_id)
        if kind is FaultKind.TRANSFER:
            request.transfer = process.name if random.getrandbits(1) else ""
        elif self._may_remove(process, leader.raft.configuration):
            request.remove = process.name
        else:
            return False
        self._ask(leader, request)
        return True

    def hand_over(self, process: SimProcess) -> None:
        """Ask whoever leads to hand the lead to a member."""
        leader = self._world.leader()
        if leader is not None and leader.alive:
            request = membership_pb2.ChangeRequest(cluster_id=leader.settings.cluster_id)
            request.transfer = process.name
            self._ask(leader, request)

    def _add_member(self) -> bool:
        """Start a spare process; its member joins by itself."""
        spare = [one for one in self._world.processes.values() if not one.alive and one.is_spare]
        if not spare:
            return False
        spare[0].start()
        return True

    def _may_remove(self, process: SimProcess, configuration: Configuration) -> bool:
        if process.id not in configuration.voters | configuration.learners:
            return False
        kept = self._world.safe_voters(configuration) - {process.id}
        return self._world.is_frail(process) or len(kept) > len(self._world.plan.frail)

    def _ask(self, leader: SimProcess, request: membership_pb2.ChangeRequest) -> None:
        coverage = self._world.evidence.coverage

        def told(response: membership_pb2.ChangeResponse) -> None:
            coverage["changes refused"] += response.HasField("error")
            is_transfer = request.WhichOneof("change") == "transfer"
            coverage["transfers completed"] += is_transfer and response.HasField("done")

        self._last_ticket += 1
        leader.life.changes[self._last_ticket] = told
        leader.deliver(ChangeAsked(self._last_ticket, request))

    def care(self) -> None:
        """Start removed members again: each finds out, sets its data aside and joins anew."""
        for process in self._world.running():
            if process.life.removed:
                process.end(power=False)
                process.start()
        self._world.timeline.after(CARE_US, self.care)
