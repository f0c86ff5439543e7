"""The part of a member's state that a caller may read."""

from dataclasses import dataclass

from raft.messages import Configuration, HardState
from raft.progress import ProgressState
from raft.ready import RaftRole
from raft.state import MemberState


@dataclass(frozen=True, slots=True)
class Follower:
    """A leader's knowledge of another member."""

    match_index: int  # the member's disk holds the log up to here; 0 if unknown
    bytes_in_flight: int  # of payloads that the member has not acknowledged
    is_present: bool  # the member answered within the last two election timeouts
    needs_snapshot: bool  # the leader's log begins behind the member's next index


class View:
    """Reads one member's state. Only `campaign_allowed` can be set."""

    def __init__(self, state: MemberState) -> None:
        """Read `state`."""
        self._state = state

    @property
    def transferring(self) -> bool:
        """Whether a leadership transfer is under way."""
        return self._state.leading.transfer is not None

    @property
    def id(self) -> int:
        """The id of this member."""
        return self._state.id

    @property
    def role(self) -> RaftRole:
        """The role of this member."""
        return self._state.role

    @property
    def term(self) -> int:
        """The current term."""
        return self._state.term

    @property
    def leader(self) -> int:
        """The leader's id, 0 if unknown."""
        return self._state.leader

    @property
    def commit_index(self) -> int:
        """The last index that this member knows to be committed."""
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
        """The last index of the log, or the base if the log is empty."""
        return self._state.log.last_index

    def term_at(self, index: int) -> int | None:
        """Return the term at an index or at the base; None if the log does not hold the index."""
        return self._state.log.term_at(index)

    @property
    def hard_state(self) -> HardState:
        """The term and the vote, synced or not."""
        return self._state.hard_state

    @property
    def configuration(self) -> Configuration:
        """The configuration of the newest entry that holds one, committed or not."""
        return self._state.configuration

    def configuration_at(self, index: int) -> Configuration:
        """Return the configuration at an index of the log or at the base, for a snapshot.

        ProtocolViolation: the index is below the base.
        """
        return self._state.log.configurations.at(index)

    @property
    def followers(self) -> dict[int, Follower]:
        """The leader's knowledge of each other member, by id; empty unless this member leads."""
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
        """The bytes of a leader's payloads that are not committed."""
        return self._state.leading.backlog.beyond(self._state.commit_index)

    @property
    def campaign_allowed(self) -> bool:
        """Whether this member may campaign and vote."""
        return self._state.election.campaign_allowed

    @campaign_allowed.setter
    def campaign_allowed(self, allowed: bool) -> None:
        self._state.election.campaign_allowed = allowed
