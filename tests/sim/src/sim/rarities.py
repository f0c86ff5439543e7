"""Happenings that no single event shows: a node before an event is compared with the node after."""

from dataclasses import dataclass

from inventory_node.core.events import Event, Forwarded
from inventory_node.core.node import Node
from inventory_node.core.write.log_writer import LogBatch
from raft import RawNode
from raft.messages import Configuration, Entry
from raft.ready import RaftRole

from sim.coverage import Coverage

MANY = 2  # commands of one frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a node is between two events."""

    configuration: Configuration
    configuration_index: int
    is_leader: bool
    is_transferring: bool
    batch: LogBatch | None  # the newest that waits for the disk
    entry: Entry | None  # the last of that batch
    is_installing: bool
    is_flush_under_way: bool
    commands: int  # that wait for an answer


def glance(node: Node) -> Glance:
    """Take the facts about a node that `Rarities` compares."""
    raft, write = node._raft, node._write
    known = raft._state.log.configurations
    batch = write.log_writer._queue[-1] if write.log_writer._queue else None
    proposals = write.proposals
    return Glance(
        configuration=known.current,
        configuration_index=known.index,
        is_leader=raft.role is RaftRole.LEADER,
        is_transferring=raft.transferring,
        batch=batch,
        entry=batch.entries[-1] if batch is not None and batch.entries else None,
        is_installing=node._snapshots.incoming.installing,
        is_flush_under_way=not write.flusher.idle,
        commands=len(proposals._waiting)
        + sum(len(one.askers) for one in proposals._proposed.values()),
    )


class Rarities:
    """Counts the happenings of one member's process, in one life of the process.

    The process calls `begin` once, and `seen` after each event that the node has handled.
    """

    def __init__(self, coverage: Coverage) -> None:
        """Start with nothing seen."""
        self._coverage = coverage
        self._before: Glance | None = None  # what the node was after the last event
        self._was_taken_back = False  # the removal of this member, in this life

    def begin(self, node: Node) -> None:
        """Look at a node before its first event."""
        self._before = self._before or glance(node)

    def seen(self, event: Event, node: Node) -> None:
        """Compare a node with what it was before an event."""
        before, after = self._before, glance(node)
        self._before = after
        if before is not None:
            self._compare(event, before, after, node)

    def _compare(self, event: Event, before: Glance, after: Glance, node: Node) -> None:
        coverage = self._coverage
        if after.configuration_index < before.configuration_index:
            coverage["changes taken back"] += 1
            own = node._raft.id
            if own in after.configuration.voters and own not in before.configuration.voters:
                coverage["own removals taken back"] += 1
                self._was_taken_back = True
        if after.is_leader and not before.is_leader:
            coverage["elected after an own removal taken back"] += self._was_taken_back
        coverage["unwritten entries replaced"] += _is_replaced(before, after)
        if after.is_installing and not before.is_installing:
            coverage["snapshots taken amid a flush"] += after.is_flush_under_way
        if after.is_installing:
            flusher = node._write.flusher
            coverage["flushes due in an install"] += flusher._unflushed.is_due(
                flusher.durable_index
            )
        if after.is_transferring and not before.is_transferring:
            coverage["transfers with a learner ahead"] += _is_a_learner_ahead(node._raft)
        if before.is_leader and not after.is_leader:
            coverage["leaders deposed with many commands"] += before.commands >= MANY
        if isinstance(event, Forwarded) and not before.is_leader:
            coverage["many commands sent to no leader"] += len(event.request.proposals) >= MANY


def _is_replaced(before: Glance, after: Glance) -> bool:
    """Tell whether an entry that waited for the disk was replaced by another."""
    old, batch = before.entry, after.batch
    if old is None or batch is None or batch is not before.batch or not batch.entries:
        return False
    new = batch.entries[min(len(batch.entries) - 1, max(0, old.index - batch.entries[0].index))]
    return new is not old


def _is_a_learner_ahead(raft: RawNode) -> bool:
    """Tell whether a learner holds as much of the log as every other voter, or more."""
    held = {peer: follower.match_index for peer, follower in raft.followers.items()}
    learners = [held.get(one, 0) for one in raft.configuration.learners]
    voters = [held.get(one, 0) for one in raft.configuration.voters - {raft.id}]
    return max(learners, default=0) > 0 and max(learners, default=0) >= max(voters, default=0)
