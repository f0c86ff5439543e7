"""Handing the lead over, so that nobody has to wait for it to be missed (dissertation §3.10).

The leader takes no entries meanwhile, brings its successor up to date, and tells it to campaign at
once, without asking first. Voters know such a campaign by its mark and do not protect the leader
from it: it is the leader's own wish.
"""

from dataclasses import dataclass

from raft import election, replication
from raft.messages import TimeoutNow
from raft.progress import Progress, ProgressState
from raft.ready import Role
from raft.state import State, Transfer


@dataclass(frozen=True, slots=True)
class TransferBegun:
    """The successor is on its way; see `RawNode.transferring`."""

    target: int  # a member id


@dataclass(frozen=True, slots=True)
class TransferRefused:
    """Nothing began; `reason` says why, for a person."""

    reason: str


def begin(state: State, target: int) -> TransferBegun | TransferRefused:
    """Hand over to `target`, or for 0 to the voter that holds most of the log.

    The attempt ends by itself after the shortest election timeout; then this member goes on.
    """
    if state.role is not Role.LEADER:
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


def most_caught_up(state: State) -> int:
    """Return the voter that holds most of the log, of those that are present; 0 for none."""
    candidates = {
        peer: progress.match
        for peer, progress in state.leading.progress.items()
        if peer in state.configuration.voters and progress.is_present
    }
    return max(candidates, key=lambda peer: (candidates[peer], -peer), default=0)


def tick(state: State) -> None:
    """Let an attempt age, and give it up when its time is over."""
    if state.leading.transfer is not None:
        state.leading.transfer.elapsed_ticks += 1
        if state.leading.transfer.elapsed_ticks >= state.settings.election_timeout_ticks_min:
            state.leading.transfer = None


def advance(state: State, peer: int, progress: Progress) -> None:
    """Tell the successor to campaign, as soon as it holds all of the log; again if it got lost."""
    if state.leading.transfer is None or state.leading.transfer.target != peer:
        return
    if progress.match == state.log.last_index:
        state.owed.at_once.append(TimeoutNow(sender=state.id, recipient=peer, term=state.term))
    elif progress.state is not ProgressState.SNAPSHOT:
        replication.send_appends(state, peer, progress)


def replied(state: State, peer: int) -> None:
    """Go on after anything that a peer said, if it is the successor."""
    progress = state.leading.progress.get(peer)
    if progress is not None:
        advance(state, peer, progress)


def timeout_now_received(state: State, message: TimeoutNow) -> None:
    """Campaign at once, if this member may."""
    if state.leader == message.sender and state.election.campaign_allowed and state.may_stand:
        election.campaign(state, is_transfer=True)
