"""Log replication and commitment (Raft §5.3, §5.4.2, §7)."""

from collections.abc import Sequence

from raft import quorum
from raft.errors import InvariantViolation
from raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
)
from raft.progress import Progress, ProgressState
from raft.state import State


def append_noop(state: State) -> None:
    """Put the first entry of a term into the log, so that older ones can be committed (§5.4.2)."""
    append_own(state, (Entry(state.log.last_index + 1, state.term, EntryKind.NOOP, b""),))


def append_own(state: State, entries: Sequence[Entry]) -> None:
    """Put a leader's entries into its log and send them; it counts itself when they are synced."""
    state.log.append(entries)
    for peer, progress in state.leading.progress.items():
        send_appends(state, peer, progress)


def unknown_progress(state: State, next_index: int) -> Progress:
    """Return what is known of a follower at first: nothing, so its log is probed."""
    settings = state.settings
    return Progress(next_index, settings.appends_in_flight_max, settings.bytes_in_flight_max)


def send_appends(state: State, peer: int, progress: Progress) -> None:
    """Send what a follower lacks, as far as its pace allows."""
    while progress.next <= state.log.last_index and progress.may_send:
        send_append(state, peer, progress)


def send_append(state: State, peer: int, progress: Progress) -> None:
    """Send one append, possibly empty; ask for a snapshot where the log begins too late (§7)."""
    previous_index = progress.next - 1
    previous_term = state.log.term_at(previous_index)
    if previous_term is None:
        need_snapshot(state, peer, progress)
        return
    settings = state.settings
    bytes_max = min(settings.bytes_per_append_max, progress.bytes_max - progress.bytes_in_flight)
    entries, size = state.log.page(progress.next, settings.entries_per_append_max, bytes_max)
    state.owed.at_once.append(
        AppendRequest(
            sender=state.id,
            recipient=peer,
            term=state.term,
            previous_index=previous_index,
            previous_term=previous_term,
            commit=state.commit_index,
            entries=entries,
        )
    )
    progress.sent(previous_index + len(entries), len(entries), size)


def need_snapshot(state: State, peer: int, progress: Progress) -> None:
    """Wait for a snapshot to reach a follower; one that is to leave needs none."""
    progress.wait_for_snapshot()
    if not progress.leaves_at:
        state.owed.snapshots.append(peer)


def append_requested(state: State, message: AppendRequest) -> None:
    """Make the own log agree with the leader's, or say where it does not (Raft §5.3)."""
    last_new = message.previous_index + len(message.entries)
    if message.previous_index < state.commit_index:
        # What is committed here is equal everywhere; only what lies beyond it is news.
        entries = tuple(e for e in message.entries if e.index > state.commit_index)
        append_missing(state, entries)
        last_new = max(last_new, state.commit_index)
    elif state.log.term_at(message.previous_index) == message.previous_term:
        append_missing(state, message.entries)
    else:
        state.owed.after_sync.append(refusal(state, message))
        return
    state.commit(max(state.commit_index, min(message.commit, last_new)))
    state.owed.after_sync.append(acceptance(state, message.sender, last_new))


def acceptance(state: State, leader: int, index: int) -> AppendReply:
    """Promise that everything up to `index` is held as the leader holds it."""
    return AppendReply(
        sender=state.id, recipient=leader, term=state.term, accepted=True, index=index
    )


def refusal(state: State, message: AppendRequest) -> AppendReply:
    """Refuse an append, with a hint that skips a whole term at once (Raft §5.3, end)."""
    term = state.log.term_at(message.previous_index)
    if term is None:
        conflict_index, conflict_term = state.log.last_index + 1, 0
    else:
        conflict_index = state.log.first_of_term_at(message.previous_index)
        conflict_term = term
    return AppendReply(
        sender=state.id,
        recipient=message.sender,
        term=state.term,
        accepted=False,
        index=message.previous_index,
        conflict_index=conflict_index,
        conflict_term=conflict_term,
    )


def append_missing(state: State, entries: tuple[Entry, ...]) -> None:
    """Append what is missing; cut the tail only where it really conflicts (Raft §5.3)."""
    for position, entry in enumerate(entries):
        term = state.log.term_at(entry.index)
        if term == entry.term:
            continue
        if term is not None:
            if entry.index <= state.commit_index:
                raise InvariantViolation(
                    f"the leader of term {state.term} would replace committed entry {entry.index}"
                )
            state.log.truncate(entry.index)
        state.log.append(entries[position:])
        return


def append_replied(state: State, message: AppendReply) -> None:
    """Note how far a follower has come, and send it more."""
    progress = state.leading.progress.get(message.sender)
    if progress is None:
        return
    progress.is_active = True
    if not message.accepted:
        append_refused(state, progress, message)
    elif progress.accepted(message.index):
        if progress.state is ProgressState.PROBE or (
            progress.state is ProgressState.SNAPSHOT and progress.match >= state.log.base_index
        ):
            progress.replicate()
        if message.index > state.commit_index:
            advance_commit(state)
    send_appends(state, message.sender, progress)


def append_refused(state: State, progress: Progress, message: AppendReply) -> None:
    """Look further back, skipping what the hint rules out; old refusals say nothing."""
    is_old = message.index <= progress.match or (
        progress.state is ProgressState.PROBE and message.index != progress.next - 1
    )
    if is_old or progress.state is ProgressState.SNAPSHOT:
        return
    next_index = message.conflict_index
    if message.conflict_term:
        # The last entry here whose term is not above the follower's may be where the logs meet.
        limit = min(message.index, state.log.last_index)
        next_index = state.log.last_up_to_term(message.conflict_term, limit) + 1
        if state.log.term_at(next_index - 1) != message.conflict_term:
            next_index = min(next_index, message.conflict_index)
    progress.probe(min(next_index, max(1, message.index)))


def advance_commit(state: State) -> None:
    """Commit what a majority holds, if it is of this term (Raft §5.4.2, figure 8)."""
    held = {peer: progress.match for peer, progress in state.leading.progress.items()}
    held[state.id] = state.log.synced_index
    index = quorum.held_index(state.configuration.voters, held)
    if index > state.commit_index and state.log.term_at(index) == state.term:
        state.commit(index)


def send_heartbeats(state: State) -> None:
    """Send a heartbeat to everybody, with the newest read round that waits."""
    state.leading.heartbeat_elapsed_ticks = 0
    context = state.waiting_reads.rounds[-1].number if state.waiting_reads.rounds else 0
    for peer, progress in state.leading.progress.items():
        send_heartbeat(state, peer, progress, context)


def send_heartbeat(state: State, peer: int, progress: Progress, context: int) -> None:
    """Send a heartbeat to one follower."""
    state.owed.heartbeats.append(
        Heartbeat(
            sender=state.id,
            recipient=peer,
            term=state.term,
            commit=min(progress.match, state.commit_index),
            context=context,
        )
    )


def heartbeat_received(state: State, message: Heartbeat) -> None:
    """Learn what is committed, and confirm the leader."""
    state.commit(message.commit)
    reply = HeartbeatReply(
        sender=state.id, recipient=message.sender, term=state.term, context=message.context
    )
    # It speaks of the term, so a term that is not on disk must be there first.
    (state.owed.at_once if state.hard_state_synced else state.owed.after_sync).append(reply)


def heartbeat_replied(state: State, message: HeartbeatReply) -> None:
    """Note that a follower is there, and repair what got lost on the way to it."""
    progress = state.leading.progress.get(message.sender)
    if progress is None:
        return
    progress.is_active = True
    if progress.state is ProgressState.PROBE:
        progress.is_paused = False
    if progress.match < state.log.last_index and progress.state is not ProgressState.SNAPSHOT:
        if progress.next <= state.log.last_index and progress.may_send:
            send_appends(state, message.sender, progress)
        else:
            send_empty_append(state, message.sender, progress)


def send_empty_append(state: State, peer: int, progress: Progress) -> None:
    """Send an empty append behind everything under way: a loss shows as its refusal."""
    previous_term = state.log.term_at(progress.next - 1)
    if previous_term is None:
        # The log was cut past what is under way, so nothing it holds can follow on from there.
        need_snapshot(state, peer, progress)
        return
    state.owed.at_once.append(
        AppendRequest(
            sender=state.id,
            recipient=peer,
            term=state.term,
            previous_index=progress.next - 1,
            previous_term=previous_term,
            commit=state.commit_index,
            entries=(),
        )
    )


def snapshot_received(state: State, message: InstallSnapshot) -> None:
    """Take a verified snapshot's place in the log, unless the log is as far (Raft §7)."""
    meta = message.meta
    if meta.index <= state.commit_index:
        state.owed.after_sync.append(acceptance(state, message.sender, state.commit_index))
        return
    if state.log.term_at(meta.index) == meta.term:
        # The log holds all that the snapshot covers, and its tail with it.
        state.commit(meta.index)
    else:
        state.log.replace(meta.index, meta.term, meta.configuration)
        state.commit_index = state.owed.handed_commit_index = meta.index
        state.owed.install = meta
    state.owed.after_sync.append(acceptance(state, message.sender, meta.index))


def snapshot_sent(state: State, peer: int, index: int, *, installed: bool) -> None:
    """Go on with a follower behind the snapshot it holds, or try again at its next heartbeat."""
    progress = state.leading.progress.get(peer)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if installed:
        progress.accepted(index)
    progress.probe(progress.match + 1)
    if installed:
        advance_commit(state)
        send_appends(state, peer, progress)
    else:
        progress.is_paused = True
