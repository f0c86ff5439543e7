"""What a caller may see of a member, without asking anything of it."""

from dataclasses import dataclass

from raft.messages import Configuration, HardState
from raft.progress import ProgressState
from raft.ready import Role
from raft.state import State


@dataclass(frozen=True, slots=True)
class Follower:
    """What a leader knows of another member."""

    match_index: int  # it holds everything up to here, synced; 0: not known yet
    bytes_in_flight: int  # of payloads that it has not acknowledged
    is_present: bool  # it answered within the last two election timeouts
    needs_snapshot: bool  # the log does not reach back to it


class View:
    """Reads one member's state; `campaign_allowed` alone can be set."""

    def __init__(self, state: State) -> None:
        """Show this state."""
        self._state = state

    @property
    def transferring(self) -> bool:
        """Whether the lead is being handed over."""
        return self._state.leading.transfer is not None

    @property
    def id(self) -> int:
        """The id of this member."""
        return self._state.id

    @property
    def role(self) -> Role:
        """What this member takes itself for."""
        return self._state.role

    @property
    def term(self) -> int:
        """The current term."""
        return self._state.term

    @property
    def leader(self) -> int:
        """The leader's id, 0 for unknown."""
        return self._state.leader

    @property
    def commit_index(self) -> int:
        """The last index known to be committed."""
        return self._state.commit_index

    @property
    def applied_index(self) -> int:
        """The last index that the caller has applied."""
        return self._state.applied_index

    @property
    def first_index(self) -> int:
        """The first index that the log holds."""
        return self._state.log.first_index

    @property
    def last_index(self) -> int:
        """The last index of the log."""
        return self._state.log.last_index

    def term_at(self, index: int) -> int | None:
        """Return the term at an index of the log or its base; None where nothing is held."""
        return self._state.log.term_at(index)

    @property
    def hard_state(self) -> HardState:
        """Term and vote, synced or not."""
        return self._state.hard_state

    @property
    def configuration(self) -> Configuration:
        """Who takes part, by the newest entry that says so, committed or not."""
        return self._state.configuration

    def configuration_at(self, index: int) -> Configuration:
        """Return who took part at an index of the log or its base, as a snapshot has to say.

        InvariantViolation: the log is cut above it.
        """
        return self._state.log.configurations.at(index)

    @property
    def followers(self) -> dict[int, Follower]:
        """What is known of the others, by member id; empty unless this member leads."""
        return {
            peer: Follower(
                match_index=progress.match,
                bytes_in_flight=progress.bytes_in_flight,
                is_present=progress.is_present,
                needs_snapshot=progress.state is ProgressState.SNAPSHOT,
            )
            for peer, progress in self._state.leading.progress.items()
        }

    @property
    def uncommitted_bytes(self) -> int:
        """The payloads of a leader's log that wait to be committed."""
        return self._state.leading.backlog.beyond(self._state.commit_index)

    @property
    def campaign_allowed(self) -> bool:
        """Whether this member may campaign and vote."""
        return self._state.election.campaign_allowed

    @campaign_allowed.setter
    def campaign_allowed(self, allowed: bool) -> None:
        self._state.election.campaign_allowed = allowed
