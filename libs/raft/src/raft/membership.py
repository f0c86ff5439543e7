"""Who takes part: one server joins, is promoted or leaves at a time (dissertation §4.1, §4.2).

Majorities before and after such a change share a voter, so it takes effect with the entry that says
so, as soon as a member holds that entry. A change begins only on top of one that is settled, and
only once the leader has committed an entry of its own term: else the entry of an earlier leader
could make two majorities that do not meet (Ongaro's correction of 2015).
"""

from dataclasses import dataclass
from typing import assert_never

from raft import quorum, reads, replication, transfer
from raft.messages import Configuration, Entry, EntryKind, TimeoutNow
from raft.progress import Progress, ProgressState
from raft.state import State


@dataclass(frozen=True, slots=True)
class AddLearner:
    """Let a member follow without a vote. Its id was never used before."""

    member: int
    label: str = ""  # travels with the configuration; see `Configuration.labels`


@dataclass(frozen=True, slots=True)
class Promote:
    """Give a learner a vote, once it holds about what is committed."""

    member: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Let a voter or learner take part no longer."""

    member: int


Change = AddLearner | Promote | Remove


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """Nothing began; `reason` says why, for a person."""

    reason: str


def decide(state: State, change: Change) -> Configuration | ChangeRefused:
    """Return the configuration that a change leads to, or why this leader does not begin it."""
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


def objection(state: State, change: Change) -> str:
    """Return why a change makes no sense here, or not yet; empty where it does."""
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
    """Return the configuration that a change leads to."""
    voters, learners, one = configuration.voters, configuration.learners, {change.member}
    labels = configuration.labels
    match change:
        case AddLearner():
            added = ((change.member, change.label),) if change.label else ()
            return Configuration(voters, learners | one, tuple(sorted((*labels, *added))))
        case Promote():
            return Configuration(voters | one, learners - one, labels)
        case Remove():
            kept = tuple(label for label in labels if label[0] != change.member)
            return Configuration(voters - one, learners - one, kept)
        case _:
            assert_never(change)


def has_caught_up(state: State, progress: Progress) -> bool:
    """Tell whether one more append would do: then its vote delays no commit (§4.2.1)."""
    held_index = progress.match + state.settings.entries_per_append_max
    return progress.state is ProgressState.REPLICATE and held_index >= state.commit_index


def begin(state: State, configuration: Configuration) -> int:
    """Put a configuration in force and into the log; return its index."""
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
    reads.confirm(state)  # what was too few before may be a majority of fewer
    return index


def release(state: State) -> None:
    """Stop sending to removed members that know of it, or are silent, or far behind.

    A member that learns of its removal stops campaigning; the others are refused pre-votes.
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


def retire(state: State) -> None:
    """Step down once the own removal is committed, and have a successor at once (§4.2.2)."""
    replication.send_heartbeats(state)
    successor = transfer.most_caught_up(state)
    if successor:
        state.owed.at_once.append(TimeoutNow(sender=state.id, recipient=successor, term=state.term))
    state.become_follower(state.term, 0)
