"""Leadership transfer, so that no member waits for an election timeout (dissertation §3.10).

During a transfer the leader accepts no proposals, and sends its successor the rest of the log. Then
the leader tells the successor to campaign without a pre-vote. The request for votes is marked as a
transfer. A voter grants a marked request although the voter hears a leader, because the leader
itself asked for the election.
"""

from dataclasses import dataclass

from raft import election
from raft.messages import TimeoutNow
from raft.progress import Progress
from raft.ready import RaftRole
from raft.state import MemberState, Transfer


@dataclass(frozen=True, slots=True)
class TransferBegun:
    """The transfer to `target` began; see `RawNode.transferring`."""

    target: int  # a member id


@dataclass(frozen=True, slots=True)
class TransferRefused:
    """No transfer began; `reason` is a sentence for a person."""

    reason: str


def begin(state: MemberState, target: int) -> TransferBegun | TransferRefused:
    """Begin a transfer to `target`, or for 0 to the voter that holds most of the log.

    The transfer ends after the shortest election timeout. If the transfer failed, this member goes
    on leading.
    """
    if state.role is not RaftRole.LEADER:
        return TransferRefused("this member does not lead")
    if state.leading.transfer is not None:
        return TransferRefused(f"a transfer to member {state.leading.transfer.target} is under way")
    if target:
        if target not in state.configuration.voters or target == state.id:
            return TransferRefused(f"member {target} is not another voter")
        if not state.leading.progress[target].is_present:
            return TransferRefused(f"member {target} has not been heard of lately")
    else:
        target = most_caught_up(state)
        if not target:
            return TransferRefused("no other voter has been heard of lately")
    state.leading.transfer = Transfer(target)
    advance(state, target, state.leading.progress[target])
    return TransferBegun(target)


def most_caught_up(state: MemberState) -> int:
    """Return the present voter that holds most of the log; 0 if no other voter is present."""
    candidates = {
        peer: progress.match
        for peer, progress in state.leading.progress.items()
        if peer in state.configuration.voters and progress.is_present
    }
    return max(candidates, key=lambda peer: (candidates[peer], -peer), default=0)


def tick(state: MemberState) -> None:
    """Count a tick of the transfer; end the transfer after the shortest election timeout."""
    if state.leading.transfer is not None:
        state.leading.transfer.elapsed_ticks += 1
        if state.leading.transfer.elapsed_ticks >= state.settings.election_timeout_ticks_min:
            state.leading.transfer = None


def advance(state: MemberState, peer: int, progress: Progress) -> None:
    """Tell the successor to campaign if the successor holds the whole log.

    The rest of the log is sent as to any follower. A reply of the successor advances the transfer
    again, so a lost TimeoutNow is sent again.
    """
    if state.leading.transfer is None or state.leading.transfer.target != peer:
        return
    if progress.match == state.log.last_index:
        state.owed.at_once.append(TimeoutNow(sender=state.id, recipient=peer, term=state.term))


def replied(state: MemberState, peer: int) -> None:
    """Advance the transfer after a reply, if the sender is the successor."""
    progress = state.leading.progress.get(peer)
    if progress is not None:
        advance(state, peer, progress)


def timeout_now_received(state: MemberState, message: TimeoutNow) -> None:
    """Campaign at once, if this member may campaign."""
    if state.leader == message.sender and state.election.campaign_allowed and state.may_stand:
        election.campaign(state, is_transfer=True)
