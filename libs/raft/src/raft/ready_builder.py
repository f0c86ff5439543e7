"""The next Ready: the difference between a member's state and what was handed out before."""

from raft.messages import Configuration, Entry, HardState
from raft.ready import Leadership, Mark, RaftRole, Ready
from raft.state import MemberState

COMMITTED_BYTES_MAX = 4 << 20  # of committed payloads in one Ready


class ReadyBuilder:
    """Builds each Ready of one member.

    - No obligation is handed out twice.
    - An entry is handed out as committed only when the entry is synced on this member's disk.
    """

    __slots__ = ("_configuration", "_hard_state", "_leader", "_role", "_state", "_term")

    def __init__(self, state: MemberState) -> None:
        """Begin with a state restored from the caller's disk, which the caller knows."""
        self._state = state
        self._hard_state: HardState = state.hard_state
        self._configuration: Configuration = state.configuration
        self._role: RaftRole = state.role
        self._term: int = state.term
        self._leader: int = state.leader

    def next_ready(self) -> Ready | None:
        """Return the obligations since the last call; None if there are none."""
        state, log, owed = self._state, self._state.log, self._state.owed
        if not (
            owed.at_once
            or owed.after_sync
            or owed.heartbeats
            or log.last_index > log.handed_index
            or state.hard_state is not self._hard_state
            or state.commit_index > owed.handed_commit_index < log.synced_index
            or owed.install
            or owed.reads
            or owed.dropped_reads
            or owed.snapshots
            or state.role is not self._role
            or state.leader != self._leader  # the term changes with the hard state
        ):
            return None
        hard_state = None if state.hard_state is self._hard_state else state.hard_state
        self._hard_state = state.hard_state
        entries = log.hand_out()
        install, owed.install = owed.install, None
        ready = Ready(
            hard_state=hard_state,
            install=install,
            entries=entries,
            mark=self._mark() if entries or hard_state or install else None,
            at_once=(*owed.heartbeats, *owed.at_once),
            after_sync=tuple(owed.after_sync),
            committed=self._committed(),
            reads=tuple(owed.reads),
            dropped_reads=tuple(owed.dropped_reads),
            snapshots=tuple(owed.snapshots),
            leadership=self._leadership(),
            configuration=self._configuration_in_force(),
        )
        for messages in (owed.heartbeats, owed.at_once, owed.after_sync):
            messages.clear()
        for items in (owed.reads, owed.dropped_reads, owed.snapshots):
            items.clear()
        return ready

    def _leadership(self) -> Leadership | None:
        """Return role, term and leader if one of them changed since the last Ready."""
        state = self._state
        if state.role is self._role and (state.leader, state.term) == (self._leader, self._term):
            return None
        self._role, self._term, self._leader = state.role, state.term, state.leader
        return Leadership(state.role, state.term, state.leader)

    def _configuration_in_force(self) -> Configuration | None:
        """Return the configuration if the configuration changed since the last Ready."""
        before, current = self._configuration, self._state.configuration
        if current is before:
            return None
        self._configuration = current
        return None if current == before else current

    def _mark(self) -> Mark:
        """Return the mark of the log and the hard state once all handed out entries are synced."""
        log = self._state.log
        return Mark(log.handed_index, log.truncations, self._state.hard_state)

    def _committed(self) -> tuple[Entry, ...]:
        """Return the next committed entries that are synced on this member's disk."""
        state = self._state
        last = min(state.commit_index, state.log.synced_index)
        first = state.owed.handed_commit_index + 1
        if last < first:
            return ()
        entries, _ = state.log.page(first, last - first + 1, COMMITTED_BYTES_MAX)
        state.owed.handed_commit_index = entries[-1].index
        return entries
