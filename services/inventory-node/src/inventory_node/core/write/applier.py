"""Committed entries on their way into the state machine, a bounded number a turn."""

from collections import deque
from collections.abc import Iterable

from raft.messages import Entry, SnapshotMeta

from inventory_node.core.settings import NodeSettings
from inventory_node.core.write.flusher import Flusher
from inventory_node.core.write.proposals import Proposals
from inventory_node.errors import Halted, StateInvariantViolation
from inventory_node.machine import AdminOutcome, Machine
from inventory_node.ports import Hooks, Observer, Step


class Applier:
    """Applies committed entries, in the order of the log.

    - Entries are applied without a gap, each once.
    - No entry is applied while a checkpoint waits for a flush to take its changes, or while a
      snapshot waits to replace the state.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - its neighbours
        self,
        settings: NodeSettings,
        observer: Observer,
        hooks: Hooks,
        machine: Machine,
        proposals: Proposals,
        flusher: Flusher,
    ) -> None:
        """Start with nothing committed."""
        self._settings = settings
        self._observer = observer
        self._hooks = hooks
        self._machine = machine
        self._proposals = proposals
        self._flusher = flusher
        self._committed: deque[Entry] = deque()
        self.held = False  # by a snapshot that waits to replace the state

    @property
    def busy(self) -> bool:
        """Whether another turn would apply an entry."""
        return bool(self._committed) and not self.held and not self._flusher.blocks_apply

    def queue(self, entries: Iterable[Entry]) -> None:
        """Queue committed entries."""
        self._committed.extend(entries)

    def hold(self) -> None:
        """Drop the queued entries and wait for the snapshot; nothing is flushed meanwhile."""
        self._committed.clear()
        self.held = self._flusher.held = True

    def reload(self, meta: SnapshotMeta) -> None:
        """Resume from the state that a snapshot brought."""
        self._machine.reload()
        if self._machine.applied_index != meta.index:
            raise Halted(
                f"the snapshot at index {meta.index} holds the state at "
                f"{self._machine.applied_index}: it is damaged; remove this member's data"
            )
        self.held = False

    def turn(self) -> Entry | None:
        """Apply the entries of one turn; return the last applied entry, None without an entry."""
        entry = None
        commands = 0
        while self.busy and commands < self._settings.apply_commands_per_turn_max:
            entry = self._committed.popleft()
            commands += max(1, self._apply(entry))
        return entry

    def _apply(self, entry: Entry) -> int:
        """Apply one entry; return the number of its commands."""
        if entry.index != self._machine.applied_index + 1:
            raise Halted(
                f"entry {entry.index} is committed but the state is at "
                f"{self._machine.applied_index}: the log has a gap; restore this member from a peer"
            )
        self._hooks.before(Step.APPLY)
        try:
            outcomes = self._machine.apply(entry)
        except StateInvariantViolation as violation:
            raise Halted(
                f"applying entry {entry.index} broke an invariant: {violation}; going on would "
                "fork the replicas"
            ) from violation
        self._hooks.after(Step.APPLY)
        self._proposals.answer_entry(entry, outcomes)
        self._flusher.applied(entry, len(outcomes))
        self._observer.applied(entry, outcomes)
        if any(isinstance(outcome, AdminOutcome) and outcome.checkpoint for outcome in outcomes):
            self._flusher.checkpoint()
            self._flusher.start()
        return len(outcomes)
