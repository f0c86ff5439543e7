"""Log replication, commitment and snapshots (Raft §5.3, §5.4.2, §7)."""

from collections.abc import Sequence

from raft import quorum
from raft.errors import ProtocolViolation
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
from raft.state import MemberState


def append_noop(state: MemberState) -> None:
    """Append the empty entry of a term; older entries are committed with it (Raft §5.4.2, §8)."""
    append_own(state, (Entry(state.log.last_index + 1, state.term, EntryKind.NOOP, b""),))


def append_own(state: MemberState, entries: Sequence[Entry]) -> None:
    """Append entries to the leader's log and send the entries to the followers (Raft §5.3).

    The leader counts its own copy once the copy is synced.
    """
    state.log.append(entries)
    for peer, progress in state.leading.progress.items():
        send_appends(state, peer, progress)


def unknown_progress(state: MemberState, next_index: int) -> Progress:
    """Return the progress of a follower whose log is unknown: the log is probed."""
    settings = state.settings
    return Progress(next_index, settings.appends_in_flight_max, settings.bytes_in_flight_max)


def send_appends(state: MemberState, peer: int, progress: Progress) -> None:
    """Send the entries that a follower lacks, as far as the bounds of its progress allow."""
    while progress.next <= state.log.last_index and progress.may_send:
        send_append(state, peer, progress)


def send_append(state: MemberState, peer: int, progress: Progress) -> None:
    """Send one append; owe a snapshot if the log begins too late (§5.3, §7)."""
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
    progress.sent(previous_index + len(entries), size)


def need_snapshot(state: MemberState, peer: int, progress: Progress) -> None:
    """Stop appends to a follower until a snapshot is there; a follower being removed gets none."""
    progress.wait_for_snapshot()
    if not progress.leaves_at:
        state.owed.snapshots.append(peer)


def append_requested(state: MemberState, message: AppendRequest) -> None:
    """Make this log agree with the leader's log, or reply where the logs differ (Raft §5.3)."""
    last_new = message.previous_index + len(message.entries)
    if message.previous_index < state.commit_index:
        # Committed entries are equal at all members, so only entries beyond the commit index count.
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


def acceptance(state: MemberState, leader: int, index: int) -> AppendReply:
    """Return the promise that this log equals the leader's up to `index`, and is synced."""
    return AppendReply(
        sender=state.id, recipient=leader, term=state.term, accepted=True, index=index
    )


def refusal(state: MemberState, message: AppendRequest) -> AppendReply:
    """Return a refusal, with a hint that skips a whole term (Raft §5.3, end)."""
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


def append_missing(state: MemberState, entries: tuple[Entry, ...]) -> None:
    """Append the missing entries; truncate the log only at a conflict (Raft §5.3)."""
    for position, entry in enumerate(entries):
        term = state.log.term_at(entry.index)
        if term == entry.term:
            continue
        if term is not None:
            if entry.index <= state.commit_index:
                raise ProtocolViolation(
                    f"the leader of term {state.term} would replace committed entry {entry.index}"
                )
            state.log.truncate(entry.index)
        state.log.append(entries[position:])
        return


def append_replied(state: MemberState, message: AppendReply) -> None:
    """Note how far a follower's log reaches, and send the follower more entries (Raft §5.3)."""
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


def append_refused(state: MemberState, progress: Progress, message: AppendReply) -> None:
    """Probe further back, and skip the entries that the hint rules out (Raft §5.3, end).

    A refusal of an earlier append says nothing about the append under way.
    """
    is_old = message.index <= progress.match or (
        progress.state is ProgressState.PROBE and message.index != progress.next - 1
    )
    if is_old or progress.state is ProgressState.SNAPSHOT:
        return
    next_index = message.conflict_index
    if message.conflict_term:
        # The logs may agree at the last entry whose term is at most the follower's term.
        limit = min(message.index, state.log.last_index)
        next_index = state.log.last_up_to_term(message.conflict_term, limit) + 1
        if state.log.term_at(next_index - 1) != message.conflict_term:
            next_index = min(next_index, message.conflict_index)
    progress.probe(min(next_index, message.index))


def advance_commit(state: MemberState) -> None:
    """Commit the entries that a majority holds, if the last is of this term (Raft §5.4.2).

    An entry of an older term is never committed by counting copies (Raft Figure 8).
    """
    held = {peer: progress.match for peer, progress in state.leading.progress.items()}
    held[state.id] = state.log.synced_index
    index = quorum.held_index(state.configuration.voters, held)
    if state.log.term_at(index) == state.term:
        state.commit(index)


def send_heartbeats(state: MemberState) -> None:
    """Send a heartbeat to each follower, with the number of the newest read round that waits."""
    state.leading.heartbeat_elapsed_ticks = 0
    context = state.waiting_reads.rounds[-1].number if state.waiting_reads.rounds else 0
    for peer, progress in state.leading.progress.items():
        send_heartbeat(state, peer, progress, context)


def send_heartbeat(state: MemberState, peer: int, progress: Progress, context: int) -> None:
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


def heartbeat_received(state: MemberState, message: Heartbeat) -> None:
    """Take over the commit index, and reply to the leader."""
    state.commit(message.commit)
    reply = HeartbeatReply(
        sender=state.id, recipient=message.sender, term=state.term, context=message.context
    )
    # The reply carries the term, so the term must be on disk before the reply leaves.
    (state.owed.at_once if state.hard_state_synced else state.owed.after_sync).append(reply)


def heartbeat_replied(state: MemberState, message: HeartbeatReply) -> None:
    """Note that a follower answered, and send again the entries that were lost on the way."""
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


def send_empty_append(state: MemberState, peer: int, progress: Progress) -> None:
    """Send an empty append behind all appends under way; a refusal shows that one was lost."""
    previous_term = state.log.term_at(progress.next - 1)
    if previous_term is None:
        # The log begins behind the appends under way, so no entry of the log can follow them.
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


def snapshot_received(state: MemberState, message: InstallSnapshot) -> None:
    """Replace the log by a snapshot, unless the log reaches as far (Raft §7)."""
    meta = message.meta
    if meta.index <= state.commit_index:
        state.owed.after_sync.append(acceptance(state, message.sender, state.commit_index))
        return
    if state.log.term_at(meta.index) == meta.term:
        # The log holds the last entry that the snapshot covers, and keeps its tail (Raft §7).
        state.commit(meta.index)
    else:
        state.log.replace(meta.index, meta.term, meta.configuration)
        state.commit_index = state.owed.handed_commit_index = meta.index
        state.owed.install = meta
    state.owed.after_sync.append(acceptance(state, message.sender, meta.index))


def snapshot_sent(state: MemberState, peer: int, index: int, *, installed: bool) -> None:
    """Note the end of a stream: append behind an installed snapshot (Raft §7).

    After a failure the leader waits for the follower's next heartbeat reply.
    """
    progress = state.leading.progress.get(peer)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if installed:
        progress.accepted(index)
    progress.probe(progress.match + 1)
    if installed:
        send_appends(state, peer, progress)
    else:
        progress.is_paused = True
