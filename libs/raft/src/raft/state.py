"""The state of one member (Raft Figure 2), and the obligations that the next Ready hands out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from raft.backlog import Backlog
from raft.configurations import PLAIN, ConfigurationCodec
from raft.errors import ProtocolViolation
from raft.log import RaftLog
from raft.messages import Configuration, Entry, HardState, Message, SnapshotMeta
from raft.progress import UNBOUNDED, Progress
from raft.ready import RaftRole, ReadState


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftSettings:
    """The identity, the timings in ticks and the bounds of one member."""

    id: int
    election_timeout_ticks_min: int
    election_timeout_ticks_max: int
    heartbeat_ticks: int
    entries_per_append_max: int
    bytes_per_append_max: int
    appends_in_flight_max: int
    random: Callable[[int], int]  # returns an integer from 0 to the argument - 1
    codec: ConfigurationCodec = PLAIN
    bytes_in_flight_max: int = UNBOUNDED  # of payloads, to one follower
    uncommitted_bytes_max: int = UNBOUNDED  # of payloads, in a leader's log

    def __post_init__(self) -> None:
        """Refuse timings that cannot work: heartbeats come well within a timeout (Raft §5.6)."""
        if self.id <= 0:
            raise ValueError("a member's id is positive: 0 means nobody")
        if not 0 < self.heartbeat_ticks < self.election_timeout_ticks_min:
            raise ValueError("heartbeat_ticks must be positive and below the election timeout")
        if self.election_timeout_ticks_min >= self.election_timeout_ticks_max:
            raise ValueError("the election timeout needs a range to be drawn from")
        counts = (self.entries_per_append_max, self.appends_in_flight_max)
        if min(*counts, self.bytes_in_flight_max, self.uncommitted_bytes_max) < 1:
            raise ValueError("a bound below 1 sends nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The state that recovery found on disk.

    A member on an empty disk restores zeros and the configuration that the cluster was founded
    with.
    """

    hard_state: HardState
    configuration: Configuration  # in force at `base_index`
    base_index: int
    base_term: int
    entries: Sequence[Entry]
    applied_index: int


@dataclass(slots=True)
class ReadRound:
    """A read that one quorum of heartbeat replies confirms (dissertation §6.4)."""

    number: int
    asker: int  # the id of the member that reads
    context: int  # of the asker
    index: int  # the commit index when the round began
    heard: set[int]  # the members that replied, and this member


@dataclass(slots=True)
class ForwardedRead:
    """A read for which this member asked its leader for a read index."""

    context: int  # the context that was given to `RawNode.read`
    elapsed_ticks: int = 0


@dataclass(slots=True)
class Transfer:
    """An attempt to transfer leadership (dissertation §3.10)."""

    target: int  # a member id
    elapsed_ticks: int = 0


@dataclass(slots=True)
class ElectionState:
    """The votes for this member's candidacy, and the time without a leader (Raft §5.2).

    - `votes` is kept by sender, so that a doubled reply counts once.
    """

    votes: dict[int, bool] = field(default_factory=dict)  # by sender
    elapsed_ticks: int = 0  # since the last message of the leader, or the last campaign
    timeout_ticks: int = 0  # drawn anew for each wait (Raft §5.2)
    campaign_allowed: bool = True


@dataclass(slots=True)
class LeaderState:
    """The volatile state of a leader (Raft Figure 2); empty at every other member."""

    progress: dict[int, Progress] = field(default_factory=dict)  # by peer
    backlog: Backlog = field(default_factory=Backlog)
    transfer: Transfer | None = None
    leaves_at: int = 0  # the index of the entry that removes this leader, 0 for none
    heartbeat_elapsed_ticks: int = 0

    def clear(self) -> None:
        """Forget the followers and the transfer: the leader has stepped down."""
        self.progress.clear()
        self.backlog.clear()
        self.transfer = None
        self.leaves_at = 0


@dataclass(slots=True)
class WaitingReads:
    """The reads that have no read index yet (dissertation §6.4).

    - `rounds` is empty unless this member leads.
    - `forwarded` is empty unless this member follows a leader and asked the leader in this term.
    """

    rounds: list[ReadRound] = field(default_factory=list)  # oldest first
    round_number: int = 0  # of the newest round
    forwarded: dict[int, ForwardedRead] = field(default_factory=dict)  # by number
    forwarded_number: int = 0  # of the newest request, 0 for none since the start


@dataclass(slots=True, kw_only=True)
class Obligations:
    """The obligations that the next Ready hands out; see the fields of Ready."""

    heartbeats: list[Message] = field(default_factory=list)  # leave before `at_once`
    at_once: list[Message] = field(default_factory=list)
    after_sync: list[Message] = field(default_factory=list)
    reads: list[ReadState] = field(default_factory=list)
    dropped_reads: list[int] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)
    install: SnapshotMeta | None = None
    handed_commit_index: int  # the last committed entry that was handed out


@dataclass(slots=True, kw_only=True)
class MemberState:
    """The state of one member.

    - `applied_index` <= `owed.handed_commit_index` <= `commit_index` <= `log.last_index`.
    - `term` and `commit_index` never fall.
    - `vote` changes only from 0, or together with the term (Raft §5.2).
    """

    settings: RaftSettings
    log: RaftLog
    hard_state: HardState
    hard_state_synced: bool = True
    commit_index: int
    applied_index: int
    role: RaftRole = RaftRole.FOLLOWER
    leader: int = 0
    election: ElectionState = field(default_factory=ElectionState)
    leading: LeaderState = field(default_factory=LeaderState)
    waiting_reads: WaitingReads = field(default_factory=WaitingReads)
    owed: Obligations

    @property
    def id(self) -> int:
        """Return this member's id."""
        return self.settings.id

    @property
    def term(self) -> int:
        """Return the current term."""
        return self.hard_state.term

    @property
    def configuration(self) -> Configuration:
        """Return the configuration of the newest entry that holds one (dissertation §4.1)."""
        return self.log.configurations.current

    @property
    def may_stand(self) -> bool:
        """Whether this member may campaign.

        A voter that is being removed may campaign until the voter knows that the removal is
        committed. The voter may be the only holder of the entry, and then no other member can be
        elected (dissertation §4.2.2).
        """
        known = self.log.configurations
        return self.id in known.current.voters or (
            known.index > self.commit_index and self.id in known.previous.voters
        )

    @property
    def peers(self) -> list[int]:
        """Return all other members, in order of id."""
        return sorted((self.configuration.voters | self.configuration.learners) - {self.id})

    def set_hard_state(self, term: int, vote: int) -> None:
        """Enter a term or cast a vote; the next Ready hands the hard state out for a sync."""
        before = self.hard_state
        if term < before.term or (term == before.term and before.vote not in (0, vote)):
            raise ProtocolViolation(f"term {term}, vote {vote} cannot follow {before}")
        if (term, vote) != (before.term, before.vote):
            self.hard_state = HardState(term, vote)
            self.hard_state_synced = False

    def draw_timeout(self) -> None:
        """Begin to wait for a leader, for a random election timeout (Raft §5.2)."""
        low, high = (
            self.settings.election_timeout_ticks_min,
            self.settings.election_timeout_ticks_max,
        )
        self.election.elapsed_ticks = 0
        self.election.timeout_ticks = low + self.settings.random(high - low + 1)

    def become_follower(self, term: int, leader: int) -> None:
        """Become a follower in `term`, of `leader` if `leader` is not 0 (Raft §5.1)."""
        if term > self.term:
            self.set_hard_state(term, 0)
        if self.role is not RaftRole.FOLLOWER or self.leader != leader:
            self.draw_timeout()
        self.role = RaftRole.FOLLOWER
        self.leader = leader
        self.election.votes.clear()
        self.leading.clear()
        self.drop_reads()

    def drop_reads(self) -> None:
        """Drop the reads that wait, because the leader or this member's role has changed."""
        waiting, dropped = self.waiting_reads, self.owed.dropped_reads
        dropped.extend(pending.context for pending in waiting.rounds if pending.asker == self.id)
        dropped.extend(read.context for read in waiting.forwarded.values())
        waiting.rounds.clear()
        waiting.forwarded.clear()

    def commit(self, index: int) -> None:
        """Raise the commit index to `index`; an `index` below the commit index changes nothing."""
        if index > self.log.last_index:
            raise ProtocolViolation(
                f"entry {index} is committed but this log ends at {self.log.last_index}"
            )
        self.commit_index = max(self.commit_index, index)
