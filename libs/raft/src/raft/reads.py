"""Linearizable reads without a log entry: ReadIndex (dissertation §6.4)."""

from raft import quorum, replication
from raft.messages import HeartbeatReply
from raft.ready import ReadState, Role
from raft.state import ReadRound, State


def begin(state: State, context: int) -> bool:
    """Begin a round; False unless this member leads and has committed an entry of its term.

    Before that a new leader does not know what its predecessors committed.
    """
    if state.role is not Role.LEADER or state.log.term_at(state.commit_index) != state.term:
        return False
    state.round_number += 1
    state.rounds.append(ReadRound(state.round_number, context, state.commit_index, {state.id}))
    replication.beat(state)
    confirm(state)
    return True


def heartbeat_replied(state: State, message: HeartbeatReply) -> None:
    """Count a reply for its round and every one before it: it was sent after them all."""
    if not state.rounds or not message.context:
        return
    for one in state.rounds:
        if one.number <= message.context:
            one.heard.add(message.sender)
    confirm(state)


def confirm(state: State) -> None:
    """Hand out the rounds that a quorum has confirmed, oldest first."""
    while state.rounds and quorum.reached(state.configuration.voters, state.rounds[0].heard):
        one = state.rounds.pop(0)
        state.reads.append(ReadState(one.context, one.index))
