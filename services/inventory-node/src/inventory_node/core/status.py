"""One member as the member sees itself."""

from inventory.v1 import cluster_pb2
from raft import RawNode
from raft.ready import RaftRole

from inventory_node.core.settings import NodeSettings
from inventory_node.core.write.flusher import Flusher
from inventory_node.machine import Machine

_ROLES = {
    RaftRole.FOLLOWER: cluster_pb2.MEMBER_ROLE_FOLLOWER,
    RaftRole.PRE_CANDIDATE: cluster_pb2.MEMBER_ROLE_PRE_CANDIDATE,
    RaftRole.CANDIDATE: cluster_pb2.MEMBER_ROLE_CANDIDATE,
    RaftRole.LEADER: cluster_pb2.MEMBER_ROLE_LEADER,
}


def show(
    settings: NodeSettings, raft: RawNode, machine: Machine, flusher: Flusher
) -> cluster_pb2.Member:
    """Return a member's view, filled from the arguments."""
    return cluster_pb2.Member(
        name=settings.name,
        id=settings.member_id,
        reachable=True,
        role=_ROLES[raft.role],
        term=raft.term,
        commit_index=raft.commit_index,
        applied_index=machine.applied_index,
        durable_index=flusher.durable_index,
        first_log_index=raft.first_index,
        last_log_index=raft.last_index,
        standing=_standing(raft),
    )


def _standing(raft: RawNode) -> cluster_pb2.MemberStanding.ValueType:
    """Return how this member takes part, by the newest configuration in this member's log."""
    if raft.id in raft.configuration.voters:
        return cluster_pb2.MEMBER_STANDING_VOTER
    if raft.id in raft.configuration.learners:
        return cluster_pb2.MEMBER_STANDING_LEARNER
    removed = raft.last_index > 0  # no entry reaches a member before the member is added
    return cluster_pb2.MEMBER_STANDING_REMOVED if removed else cluster_pb2.MEMBER_STANDING_JOINING
