"""What was handed out already, and the making of the next Ready."""

from raft.messages import Entry, HardState
from raft.ready import Leadership, Mark, Ready, Role
from raft.state import State

COMMITTED_BYTES_MAX = 4 << 20  # handed out by one Ready


class Handout:
    """Compares a member's state with what its caller has been told.

    - Nothing is handed out twice.
    - An entry is handed out as committed only when this member's own disk has it.
    """

    __slots__ = ("_hard_state", "_leader", "_role", "_state", "_term")

    def __init__(self, state: State) -> None:
        """Take the state as known to the caller: it was made from the caller's disk."""
        self._state = state
        self._hard_state: HardState = state.hard_state
        self._role: Role = state.role
        self._term: int = state.term
        self._leader: int = state.leader

    def take(self) -> Ready | None:
        """Return what is owed since the last call; None when nothing is."""
        state = self._state
        if not (
            state.at_once
            or state.after_sync
            or state.log.last_index > state.log.handed_index
            or state.hard_state is not self._hard_state
            or min(state.commit_index, state.log.synced_index) > state.handed_commit_index
            or state.install
            or state.reads
            or state.dropped_reads
            or state.snapshots
            or self._leadership_changed()
        ):
            return None
        hard_state = None if state.hard_state is self._hard_state else state.hard_state
        self._hard_state = state.hard_state
        entries = state.log.hand_out()
        install, state.install = state.install, None
        ready = Ready(
            hard_state=hard_state,
            install=install,
            entries=entries,
            mark=self._mark() if entries or hard_state or install else None,
            at_once=tuple(state.at_once),
            after_sync=tuple(state.after_sync),
            committed=self._committed(),
            reads=tuple(state.reads),
            dropped_reads=tuple(state.dropped_reads),
            snapshots=tuple(state.snapshots),
            leadership=self._leadership(),
        )
        for outbox in (state.at_once, state.after_sync, state.reads):
            outbox.clear()
        state.dropped_reads.clear()
        state.snapshots.clear()
        return ready

    def _leadership_changed(self) -> bool:
        """Compare field by field: this is asked far more often than it changes."""
        state = self._state
        return (
            state.role is not self._role or state.leader != self._leader or state.term != self._term
        )

    def _leadership(self) -> Leadership | None:
        """Return who leads where that changed, and remember it."""
        if not self._leadership_changed():
            return None
        state = self._state
        self._role, self._term, self._leader = state.role, state.term, state.leader
        return Leadership(state.role, state.term, state.leader)

    def _mark(self) -> Mark:
        """Name the disk as it is once everything handed out is synced."""
        log = self._state.log
        return Mark(log.handed_index, log.last_term, self._state.hard_state)

    def _committed(self) -> tuple[Entry, ...]:
        """Return the next committed entries that are synced here."""
        state = self._state
        last = min(state.commit_index, state.log.synced_index)
        first = state.handed_commit_index + 1
        if last < first:
            return ()
        entries = state.log.page(first, last - first + 1, COMMITTED_BYTES_MAX)
        state.handed_commit_index = entries[-1].index
        return entries
