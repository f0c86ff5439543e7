"""Membership change: one member joins, is promoted or leaves at a time (dissertation §4.1, §4.2).

Every majority before such a change shares a voter with every majority after the change. So a
configuration is in force at a member as soon as the member holds the entry. A change begins only
after the change before is applied. A change begins only after the leader has committed an entry of
its own term. Otherwise an uncommitted change of an earlier leader could have a majority that does
not meet the majority of this change (Ongaro's correction of 2015).
"""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from raft import quorum, reads, replication, transfer
from raft.messages import Configuration, Entry, EntryKind, TimeoutNow
from raft.progress import Progress, ProgressState
from raft.state import MemberState


@dataclass(frozen=True, slots=True)
class AddLearner:
    """Add a member without a vote. No other member may have had the id."""

    member: int
    label: str = ""  # see `Configuration.labels`


@dataclass(frozen=True, slots=True)
class Promote:
    """Give a learner a vote; the learner must have caught up (dissertation §4.2.1)."""

    member: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a voter or a learner."""

    member: int


Change: TypeAlias = AddLearner | Promote | Remove


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """No change began; `reason` is a sentence for a person."""

    reason: str


def decide(state: MemberState, change: Change) -> Configuration | ChangeRefused:
    """Return the configuration after a change, or the reason why this leader refuses the change."""
    if state.log.term_at(state.commit_index) != state.term:
        return ChangeRefused("this leader has committed nothing in its term yet")
    open_index = state.log.configurations.index
    if open_index > state.applied_index:
        return ChangeRefused(f"the change at entry {open_index} is not applied yet")
    reason = objection(state, change)
    if reason:
        return ChangeRefused(reason)
    configuration = outcome(state.configuration, change)
    answered = {peer for peer, progress in state.leading.progress.items() if progress.is_present}
    present = configuration.voters.intersection(answered | {state.id})
    if not quorum.reached(configuration.voters, present):
        return ChangeRefused(
            f"of the {len(configuration.voters)} voters there would be, {len(present)} answered "
            "lately: no majority"
        )
    return configuration


def objection(state: MemberState, change: Change) -> str:
    """Return the reason why a change is refused in this configuration; empty if there is none."""
    member = change.member
    voters, learners = state.configuration.voters, state.configuration.learners
    match change:
        case AddLearner() if member <= 0 or member in voters | learners:
            return f"member {member} is no newcomer"
        case Promote() if member not in learners:
            return f"member {member} is not a learner"
        case Promote() if not has_caught_up(state, state.leading.progress[member]):
            return (
                f"member {member} holds the log up to {state.leading.progress[member].match}, "
                f"{state.commit_index} is committed"
            )
        case Remove() if member not in voters | learners:
            return f"member {member} takes no part"
        case Remove() if voters == {member}:
            return f"member {member} is the last voter"
    return ""


def outcome(configuration: Configuration, change: Change) -> Configuration:
    """Return the configuration after a change."""
    voters, learners, subject = configuration.voters, configuration.learners, {change.member}
    labels = configuration.labels
    match change:
        case AddLearner():
            added = ((change.member, change.label),) if change.label else ()
            return Configuration(voters, learners | subject, tuple(sorted((*labels, *added))))
        case Promote():
            return Configuration(voters | subject, learners - subject, labels)
        case Remove():
            kept = tuple(label for label in labels if label[0] != change.member)
            return Configuration(voters - subject, learners - subject, kept)
        case _:
            assert_never(change)


def has_caught_up(state: MemberState, progress: Progress) -> bool:
    """Tell whether one append would bring a learner up to the commit index.

    The vote of such a learner delays no commit (dissertation §4.2.1).
    """
    held_index = progress.match + state.settings.entries_per_append_max
    return progress.state is ProgressState.REPLICATE and held_index >= state.commit_index


def begin(state: MemberState, configuration: Configuration) -> int:
    """Append a configuration, which is in force at once; return the index (dissertation §4.1)."""
    index = state.log.last_index + 1
    members = configuration.voters | configuration.learners
    for peer, progress in state.leading.progress.items():
        if peer not in members and not progress.leaves_at:
            progress.leaves_at = index
    for peer in sorted(members - {state.id}):
        if peer not in state.leading.progress or state.leading.progress[peer].leaves_at:
            state.leading.progress[peer] = replication.unknown_progress(state, index)
    if state.id not in configuration.voters:
        state.leading.leaves_at = index
    payload = state.settings.codec.encode(configuration)
    replication.append_own(state, (Entry(index, state.term, EntryKind.CONFIGURATION, payload),))
    reads.confirm(state)  # the replies may be a majority of fewer voters
    return index


def release(state: MemberState) -> None:
    """Stop sending to removed members that hold their removal, are silent, or need a snapshot.

    A member that learns of its removal stops campaigning. The voters refuse the pre-votes of a
    removed member that did not learn of its removal (dissertation §4.2.3).
    """
    for peer, progress in list(state.leading.progress.items()):
        if not progress.leaves_at:
            continue
        is_told = progress.match >= progress.leaves_at and state.commit_index >= progress.leaves_at
        if is_told:
            replication.send_heartbeat(state, peer, progress, 0)
        is_silent = not (progress.is_active or progress.was_active)
        if is_told or is_silent or progress.state is ProgressState.SNAPSHOT:
            del state.leading.progress[peer]


def retire(state: MemberState) -> None:
    """Step down, and tell a successor to campaign: the leader's removal is committed (§4.2.2)."""
    replication.send_heartbeats(state)
    successor = transfer.most_caught_up(state)  # the voter whose reply has committed the removal
    state.owed.at_once.append(TimeoutNow(sender=state.id, recipient=successor, term=state.term))
    state.become_follower(state.term, 0)
