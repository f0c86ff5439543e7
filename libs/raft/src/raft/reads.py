"""Linearizable reads without a log entry: ReadIndex (dissertation §6.4).

The read index is the leader's commit index at the start of the read. A round of heartbeats then
confirms that the leader still leads. A member that does not lead asks its leader for the read
index.
"""

from raft import quorum, replication
from raft.messages import HeartbeatReply, ReadReply, ReadRequest
from raft.ready import RaftRole, ReadState
from raft.state import ForwardedRead, MemberState, ReadRound

WAITING_MAX = 1024  # rounds at a leader, requests at a follower
NUMBERS = 1 << 62  # the first number after a start is drawn from this many


def begin(state: MemberState, context: int) -> bool:
    """Begin a round, or ask the leader; return False if neither is possible."""
    if state.role is RaftRole.LEADER:
        return begin_round(state, state.id, context)
    return state.leader != 0 and forward(state, context)


def begin_round(state: MemberState, asker: int, context: int) -> bool:
    """Begin a round; return False if this leader has not committed an entry of its term.

    A leader does not know the commit index of its predecessors before it has committed an entry of
    its own term (dissertation §6.4).
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


def forward(state: MemberState, context: int) -> bool:
    """Ask the leader for a read index, under a number that was never used before.

    A reply to an earlier request says nothing about this read, even if the request was sent before
    a restart. So the first number after a start is drawn at random, from a range so wide that two
    starts do not draw the same number.
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


def tick(state: MemberState) -> None:
    """Count a tick for each request; drop a request without a reply for an election timeout."""
    late = []
    for number, read in state.waiting_reads.forwarded.items():
        read.elapsed_ticks += 1
        if read.elapsed_ticks >= state.settings.election_timeout_ticks_min:
            late.append(number)
    for number in late:
        state.owed.dropped_reads.append(state.waiting_reads.forwarded.pop(number).context)


def requested(state: MemberState, message: ReadRequest) -> None:
    """Begin a round for another member, or reply that there is no read index."""
    is_leader = state.role is RaftRole.LEADER
    if is_leader and message.sender not in state.leading.progress:
        return
    if not is_leader or not begin_round(state, message.sender, message.context):
        reply(state, message.sender, message.context, 0)


def replied(state: MemberState, message: ReadReply) -> None:
    """Hand out the read index of the read that the reply names, or drop the read."""
    read = state.waiting_reads.forwarded.pop(message.context, None)
    if read is None:
        return
    if message.index:
        state.owed.reads.append(ReadState(read.context, message.index))
    else:
        state.owed.dropped_reads.append(read.context)


def heartbeat_replied(state: MemberState, message: HeartbeatReply) -> None:
    """Count a heartbeat reply for its round and for all earlier rounds (dissertation §6.4).

    The reply was sent after all these rounds began.
    """
    for pending in state.waiting_reads.rounds:
        if pending.number <= message.context:
            pending.heard.add(message.sender)
    confirm(state)


def confirm(state: MemberState) -> None:
    """Hand out the read index of each round that a quorum has confirmed, oldest round first."""
    while state.waiting_reads.rounds and quorum.reached(
        state.configuration.voters, state.waiting_reads.rounds[0].heard
    ):
        confirmed = state.waiting_reads.rounds.pop(0)
        if confirmed.asker == state.id:
            state.owed.reads.append(ReadState(confirmed.context, confirmed.index))
        else:
            reply(state, confirmed.asker, confirmed.context, confirmed.index)


def reply(state: MemberState, asker: int, context: int, index: int) -> None:
    """Send a read index to the member that asked for the index."""
    state.owed.at_once.append(
        ReadReply(sender=state.id, recipient=asker, term=state.term, context=context, index=index)
    )
