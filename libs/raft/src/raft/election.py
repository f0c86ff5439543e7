"""Leader election: pre-vote and vote (Raft §5.2, §5.4.1; dissertation §9.6)."""

from raft import quorum, replication
from raft.messages import PreVoteReply, PreVoteRequest, VoteReply, VoteRequest
from raft.ready import RaftRole
from raft.state import MemberState


def tick(state: MemberState) -> None:
    """Count a tick without a leader's message; campaign after the election timeout (Raft §5.2)."""
    state.election.elapsed_ticks += 1
    if state.election.elapsed_ticks < state.election.timeout_ticks:
        return
    if state.election.campaign_allowed and state.may_stand:
        ask_before_campaign(state)
    else:
        state.draw_timeout()


def check_quorum(state: MemberState) -> None:
    """Step down if no majority answered within an election timeout (dissertation §6.2)."""
    active = [peer for peer, progress in state.leading.progress.items() if progress.is_active]
    if quorum.reached(state.configuration.voters, [state.id, *active]):
        for progress in state.leading.progress.values():
            progress.checked()
    else:
        state.become_follower(state.term, 0)


def ask_before_campaign(state: MemberState) -> None:
    """Ask the voters for pre-votes, without entering a term (dissertation §9.6)."""
    state.draw_timeout()
    state.role = RaftRole.PRE_CANDIDATE
    state.leader = 0
    state.drop_reads()
    state.election.votes = {state.id: True}
    for peer in voting_peers(state):
        state.owed.at_once.append(
            PreVoteRequest(
                sender=state.id,
                recipient=peer,
                term=state.term + 1,
                last_index=state.log.last_index,
                last_term=state.log.last_term,
            )
        )
    count_votes(state)


def campaign(state: MemberState, *, is_transfer: bool = False) -> None:
    """Enter a term as a candidate; the requests leave once term and vote are synced (Raft §5.2)."""
    state.draw_timeout()
    state.role = RaftRole.CANDIDATE
    state.leader = 0
    state.drop_reads()
    state.set_hard_state(state.term + 1, state.id)
    state.election.votes = {}
    for peer in voting_peers(state):
        state.owed.after_sync.append(
            VoteRequest(
                sender=state.id,
                recipient=peer,
                term=state.term,
                last_index=state.log.last_index,
                last_term=state.log.last_term,
                is_transfer=is_transfer,
            )
        )


def own_vote_synced(state: MemberState) -> None:
    """Count the own vote, which is synced: a crash cannot undo the vote any more (Raft §5.2)."""
    if state.role is RaftRole.CANDIDATE:
        state.election.votes[state.id] = True
        count_votes(state)


def become_leader(state: MemberState) -> None:
    """Lead the term; probe each follower, and append an empty entry (Raft §5.3, §5.4.2, §8)."""
    state.role = RaftRole.LEADER
    state.leader = state.id
    state.election.votes.clear()
    state.election.elapsed_ticks = state.leading.heartbeat_elapsed_ticks = 0
    next_index = state.log.last_index + 1
    state.leading.progress = {
        peer: replication.unknown_progress(state, next_index) for peer in state.peers
    }
    if state.id not in state.configuration.voters:
        state.leading.leaves_at = state.log.configurations.index
    state.leading.backlog.begin(state.log, state.commit_index)
    replication.append_noop(state)


def voting_peers(state: MemberState) -> list[int]:
    """Return the other voters, in order of id."""
    return [peer for peer in state.peers if peer in state.configuration.voters]


def hears_a_leader(state: MemberState) -> bool:
    """Tell whether a leader was heard within the shortest election timeout.

    A member that hears a leader grants no vote. So a member that was cut off or removed cannot
    depose the leader of a working cluster (dissertation §4.2.3).
    """
    return (
        state.leader != 0
        and state.election.elapsed_ticks < state.settings.election_timeout_ticks_min
    )


def pre_vote_requested(state: MemberState, message: PreVoteRequest) -> None:
    """Reply whether this member would vote for the sender; no state changes (dissertation §9.6)."""
    granted = (
        state.election.campaign_allowed
        and message.term > state.term
        and not hears_a_leader(state)
        and state.log.is_up_to_date(message.last_index, message.last_term)
    )
    state.owed.at_once.append(
        PreVoteReply(
            sender=state.id,
            recipient=message.sender,
            term=message.term if granted else state.term,
            granted=granted,
        )
    )


def vote_requested(state: MemberState, message: VoteRequest) -> None:
    """Vote for the first candidate of the term whose log is up to date (Raft §5.2, §5.4.1)."""
    granted = (
        state.election.campaign_allowed
        and message.term == state.term
        and state.hard_state.vote in (0, message.sender)
        and state.leader in (0, message.sender)
        and state.log.is_up_to_date(message.last_index, message.last_term)
    )
    if granted:
        state.set_hard_state(state.term, message.sender)
        state.draw_timeout()
    state.owed.after_sync.append(
        VoteReply(sender=state.id, recipient=message.sender, term=state.term, granted=granted)
    )


def pre_vote_replied(state: MemberState, message: PreVoteReply) -> None:
    """Count a reply to the pre-vote request of this candidacy (dissertation §9.6)."""
    asked = state.term + 1 if message.granted else state.term
    if state.role is RaftRole.PRE_CANDIDATE and message.term == asked:
        state.election.votes[message.sender] = message.granted
        count_votes(state)


def vote_replied(state: MemberState, message: VoteReply) -> None:
    """Count a vote of this term (Raft §5.2)."""
    if state.role is RaftRole.CANDIDATE and message.term == state.term:
        state.election.votes[message.sender] = message.granted
        count_votes(state)


def count_votes(state: MemberState) -> None:
    """Advance with a majority of the votes; become a follower if no majority can be reached."""
    voters = state.configuration.voters
    granted = [sender for sender, vote in state.election.votes.items() if vote]
    refused = [sender for sender, vote in state.election.votes.items() if not vote]
    if quorum.reached(voters, granted):
        if state.role is RaftRole.PRE_CANDIDATE:
            campaign(state)
        else:
            become_leader(state)
    elif quorum.lost(voters, refused):
        state.become_follower(state.term, 0)
