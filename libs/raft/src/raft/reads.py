"""Linearizable reads without a log entry: ReadIndex (dissertation §6.4).

The leader confirms by a round of heartbeats that it still leads, and the commit index from before
the round is where the read may be answered. A member that does not lead asks its leader.
"""

from raft import quorum, replication
from raft.messages import HeartbeatReply, ReadReply, ReadRequest
from raft.ready import ReadState, Role
from raft.state import ForwardedRead, ReadRound, State

WAITING_MAX = 1024  # rounds at a leader, requests at a follower
NUMBERS = 1 << 62  # the first number of a start is drawn from so many


def begin(state: State, context: int) -> bool:
    """Begin a round, or ask the leader to; False where neither can be done."""
    if state.role is Role.LEADER:
        return begin_round(state, state.id, context)
    return state.leader != 0 and forward(state, context)


def begin_round(state: State, asker: int, context: int) -> bool:
    """Begin a round; False unless this leader has committed an entry of its term.

    Before that a new leader does not know what its predecessors committed.
    """
    if (
        state.log.term_at(state.commit_index) != state.term
        or len(state.waiting_reads.rounds) >= WAITING_MAX
    ):
        return False
    state.waiting_reads.round_number += 1
    heard = {state.id}
    state.waiting_reads.rounds.append(
        ReadRound(state.waiting_reads.round_number, asker, context, state.commit_index, heard)
    )
    replication.send_heartbeats(state)
    confirm(state)
    return True


def forward(state: State, context: int) -> bool:
    """Ask the leader, under a number that was never used before.

    A reply to an earlier request, of an earlier start even, says nothing about this read: so the
    first number is drawn, and the draw is wide enough that two starts do not meet.
    """
    if len(state.waiting_reads.forwarded) >= WAITING_MAX:
        return False
    if not state.waiting_reads.forwarded_number:
        state.waiting_reads.forwarded_number = state.settings.random(NUMBERS)
    state.waiting_reads.forwarded_number += 1
    state.waiting_reads.forwarded[state.waiting_reads.forwarded_number] = ForwardedRead(context)
    state.owed.at_once.append(
        ReadRequest(
            sender=state.id,
            recipient=state.leader,
            term=state.term,
            context=state.waiting_reads.forwarded_number,
        )
    )
    return True


def tick(state: State) -> None:
    """Let requests age, and give up those that were answered by nobody in an election timeout."""
    late = []
    for number, read in state.waiting_reads.forwarded.items():
        read.elapsed_ticks += 1
        if read.elapsed_ticks >= state.settings.election_timeout_ticks_min:
            late.append(number)
    for number in late:
        state.owed.dropped_reads.append(state.waiting_reads.forwarded.pop(number).context)


def requested(state: State, message: ReadRequest) -> None:
    """Begin a round for a member, or say that there is none to be had."""
    is_leader = state.role is Role.LEADER
    if is_leader and message.sender not in state.leading.progress:
        return
    if not is_leader or not begin_round(state, message.sender, message.context):
        reply(state, message.sender, message.context, 0)


def replied(state: State, message: ReadReply) -> None:
    """Take the leader's word for the one read that it is about."""
    read = state.waiting_reads.forwarded.pop(message.context, None)
    if read is None:
        return
    if message.index:
        state.owed.reads.append(ReadState(read.context, message.index))
    else:
        state.owed.dropped_reads.append(read.context)


def heartbeat_replied(state: State, message: HeartbeatReply) -> None:
    """Count a reply for its round and every one before it: it was sent after them all."""
    if not state.waiting_reads.rounds or not message.context:
        return
    for one in state.waiting_reads.rounds:
        if one.number <= message.context:
            one.heard.add(message.sender)
    confirm(state)


def confirm(state: State) -> None:
    """Hand out the rounds that a quorum has confirmed, oldest first."""
    while state.waiting_reads.rounds and quorum.reached(
        state.configuration.voters, state.waiting_reads.rounds[0].heard
    ):
        one = state.waiting_reads.rounds.pop(0)
        if one.asker == state.id:
            state.owed.reads.append(ReadState(one.context, one.index))
        else:
            reply(state, one.asker, one.context, one.index)


def reply(state: State, asker: int, context: int, index: int) -> None:
    """Tell a member where its read may be answered."""
    state.owed.at_once.append(
        ReadReply(sender=state.id, recipient=asker, term=state.term, context=context, index=index)
    )
