"""What a member counts, against what it counts.

`contradictions` holds after every call of a member, `remainders` once nothing is in flight.
"""

from collections.abc import Iterator

from raft import RawNode
from raft.configurations import Configurations
from raft.messages import EntryKind
from raft.progress import Progress, ProgressState
from raft.ready import RaftRole
from raft.state import LeaderState, MemberState

CANDIDATES = (RaftRole.PRE_CANDIDATE, RaftRole.CANDIDATE)
NO_LEADER_STATE = LeaderState()


def contradictions(node: RawNode) -> list[str]:
    """Return each disagreement between two parts of a member's state; empty if there is none."""
    state = node._state  # noqa: SLF001 - the check looks at what a caller may not see
    found = list(_contradictions_of_role(state))
    if state.role is RaftRole.LEADER:
        found += _contradictions_of_leader(state)
        for peer, progress in state.leading.progress.items():
            found += (f"progress of {peer}: {what}" for what in _contradictions_of(progress, state))
    return found


def _contradictions_of_role(state: MemberState) -> Iterator[str]:
    log, owed, election = state.log, state.owed, state.election
    indexes = (state.applied_index, owed.handed_commit_index, state.commit_index, log.last_index)
    if list(indexes) != sorted(indexes):
        yield f"applied, handed out, committed and last index are {indexes}"
    indexes = (log.base_index, log.synced_index, log.handed_index, log.last_index)
    if list(indexes) != sorted(indexes) or len(log._entries) != indexes[3] - indexes[0]:  # noqa: SLF001 - as above
        yield f"base, synced, handed out and last index are {indexes}"
    if election.votes and state.role not in CANDIDATES:
        yield f"a {state.role.value} counts votes"
    if (state.leader == state.id) != (state.role is RaftRole.LEADER):
        yield f"a {state.role.value} follows {state.leader}"
    if state.role is not RaftRole.LEADER:
        if state.waiting_reads.rounds:
            yield f"a {state.role.value} waits for its round of reads"
        leading = state.leading
        if leading.progress or leading.transfer or leading.leaves_at or leading.backlog.size:
            yield f"a {state.role.value} has the state of a leader: {leading}"
    if state.waiting_reads.forwarded and (state.role is not RaftRole.FOLLOWER or not state.leader):
        yield "reads are forwarded to nobody"


def _contradictions_of_leader(state: MemberState) -> Iterator[str]:
    leading, known = state.leading, state.log.configurations
    is_leaving = state.id not in known.current.voters
    if leading.leaves_at != (known.index if is_leaving else 0):
        yield f"the leader leaves at {leading.leaves_at}, and {known.index} is {known.current}"
    staying = {peer for peer, progress in leading.progress.items() if not progress.leaves_at}
    if staying != set(state.peers):
        yield f"the leader sends to {staying}, and its peers are {state.peers}"
    for peer, progress in leading.progress.items():
        if progress.leaves_at > state.log.base_index + 1:
            before, after = known.at(progress.leaves_at - 1), known.at(progress.leaves_at)
            if peer not in before.voters | before.learners or peer in after.voters | after.learners:
                yield f"entry {progress.leaves_at} does not remove {peer}"
    transfer = leading.transfer
    if transfer is not None and transfer.target not in known.current.voters - {state.id}:
        yield f"the successor {transfer.target} is no voter"
    waiting = leading.backlog._waiting  # noqa: SLF001 - as above
    if leading.backlog.size != sum(size for _, size in waiting):
        yield f"the backlog counts {leading.backlog.size} bytes of {waiting}"
    uncommitted = sum(
        len(entry.payload)
        for entry in state.log.slice(state.commit_index + 1, state.log.last_index)
        if entry.kind is EntryKind.COMMAND
    )
    if leading.backlog.beyond(state.commit_index) < uncommitted:
        yield f"the backlog counts {leading.backlog.size} bytes, {uncommitted} are uncommitted"


def _contradictions_of(progress: Progress, state: MemberState) -> Iterator[str]:
    flight = progress.in_flight
    if progress.bytes_in_flight != sum(size for _, size in flight):
        yield f"{progress.bytes_in_flight} bytes in flight are counted of {flight}"
    if flight and progress.state is not ProgressState.REPLICATE:
        yield f"appends are in flight in {progress.state.value}"
    if len(flight) > progress.in_flight_max:
        yield f"{len(flight)} appends are in flight"
    if any(last <= progress.match for last, _ in flight):
        yield f"acknowledged appends are in flight: {flight} up to {progress.match}"
    if not progress.match < progress.next <= state.log.last_index + 1:
        yield f"match {progress.match}, next {progress.next}, last {state.log.last_index}"
    if progress.next <= state.log.last_index and progress.may_send:
        yield f"entries from {progress.next} on could be sent and are not"


def contradictions_of_log(node: RawNode) -> list[str]:
    """Return the difference between the configurations that are kept and the entries' own."""
    log = node._state.log  # noqa: SLF001 - as above
    kept = log.configurations
    base_index, base = kept._all[0]  # noqa: SLF001 - as above
    told = Configurations(base_index, base, node._state.settings.codec)  # noqa: SLF001 - as above
    for entry in log.slice(log.first_index, log.last_index):
        if entry.kind is EntryKind.CONFIGURATION:
            told.append(entry)
    if (told._all, told.current, told.index) == (kept._all, kept.current, kept.index):  # noqa: SLF001 - as above
        return []
    return [f"the log holds the configurations {told._all}, kept are {kept._all}"]  # noqa: SLF001 - as above


def remainders(node: RawNode) -> list[str]:
    """Return what a member still counts although nothing is in flight; empty if it is nothing."""
    state = node._state  # noqa: SLF001 - as above
    leading, reads, owed = state.leading, state.waiting_reads, state.owed
    counted = {
        "uncommitted bytes": node.uncommitted_bytes,
        "bytes of the backlog": leading.backlog.settle(state.commit_index),
        "rounds of reads": len(reads.rounds),
        "forwarded reads": len(reads.forwarded),
        "transfers": int(leading.transfer is not None),
        "messages": len(owed.heartbeats) + len(owed.at_once) + len(owed.after_sync),
        "confirmed or dropped reads": len(owed.reads) + len(owed.dropped_reads),
        "snapshots": len(owed.snapshots) + int(owed.install is not None),
        "entries to hand out": state.log.last_index - state.log.handed_index,
        "entries to apply": state.commit_index - owed.handed_commit_index,
    }
    for peer, progress in leading.progress.items():
        if progress.match == state.log.last_index:
            counted[f"appends to {peer}"] = len(progress.in_flight)
            counted[f"bytes to {peer}"] = progress.bytes_in_flight
    return [f"{count} {what}" for what, count in counted.items() if count]
