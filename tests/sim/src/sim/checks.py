"""What must hold, whatever happens: looked at after every event, and once more at the end."""

from crc32c import crc32c
from raft.messages import Entry
from raft.ready import Role


class SafetyViolation(Exception):  # noqa: N818 - what was found is its name
    """The cluster did what it must never do."""


class Checks:
    """Safety, kept incrementally (Raft Figure 3).

    - Election safety: at most one leader in a term.
    - State machine safety: no two members apply different entries at an index.
    - A member applies without a gap.
    - A leader never commits less than what was committed before it (leader completeness).
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.leaders: dict[int, int] = {}  # by term
        self.applied: dict[int, tuple[int, int, int]] = {}  # by index: term, kind, checksum
        self._position: dict[int, int] = {}  # the last index applied, by member

    def started(self, member: int, applied_index: int) -> None:
        """See where a member goes on from."""
        self._position[member] = applied_index

    def entry(self, member: int, entry: Entry) -> None:
        """See an entry that a member applies."""
        if entry.index != self._position[member] + 1:
            raise SafetyViolation(
                f"member {member} applies {entry.index} after {self._position[member]}"
            )
        self._position[member] = entry.index
        found = (entry.term, entry.kind, crc32c(entry.payload))
        known = self.applied.setdefault(entry.index, found)
        if known != found:
            raise SafetyViolation(
                f"member {member} applies another entry at {entry.index}: {found}, not {known}"
            )

    def member(self, member: int, role: Role, term: int, last_index: int) -> None:
        """See what a member takes itself for."""
        if role is not Role.LEADER:
            return
        leader = self.leaders.setdefault(term, member)
        if leader != member:
            raise SafetyViolation(f"members {leader} and {member} both lead term {term}")
        if last_index < len(self.applied) and last_index < max(self.applied):
            raise SafetyViolation(
                f"member {member} leads term {term} with a log up to {last_index}, "
                f"and {max(self.applied)} was applied"
            )
