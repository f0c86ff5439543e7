"""What must hold after every event."""

from collections.abc import Iterable

from raft import RawNode, Settings, quorum
from raft.messages import (
    AppendReply,
    Configuration,
    Entry,
    Message,
    VoteReply,
    VoteRequest,
)
from raft.ready import Role

from rafttest.disk import CoreDisk, Image

PAYLOAD_BYTES_MAX = 8  # a number
ENTRY_BYTES_MAX = 32  # a configuration of a dozen members
BATCH_BYTES_MAX = 4 * PAYLOAD_BYTES_MAX


class PropertyViolation(Exception):  # noqa: N818 - it names the fact
    """A run did what the protocol rules out."""


class Properties:
    """Remembers a whole run as far as it takes to judge the next event.

    - Election safety: a term has one leader (Raft Figure 3).
    - Log matching: entries of equal index and term are equal, and so is all before them.
    - Leader completeness: what is committed is in the log of every later leader.
    - State machine safety: what is applied at an index is the same everywhere.
    - Commit rule: a leader commits by counting what is of its own term (Raft §5.4.2).
    - Durable quorum: what a leader commits is synced on a majority of the voters.
    - Durable promises: a vote or an accepted append leaves when it is on disk, and a member votes
      once a term for ever.
    - Own disk: what a member applies is synced on its own disk.
    - Linearizable reads: a read's index covers all that was acknowledged before it began.
    - Configuration in force: it is the one of the newest entry that the log holds (dissertation
      §4.1), over truncation, snapshot and restart.
    - One change at a time: a leader changes one voter, on top of a change that is committed, when
      it has committed in its own term.
    - Bounds: what waits to be committed keeps to the settings, but for one batch that is larger by
      itself; what is under way to a follower passes them by less than an entry.
    """

    def __init__(self) -> None:
        """Begin with an empty history."""
        self.events = 0  # judged so far
        self.leaders: dict[int, int] = {}  # by term
        self.entries: dict[tuple[int, int], tuple[int, Entry]] = {}  # by index, term
        self.committed: dict[int, int] = {}  # index to term
        self.commit_index = 0
        self.checksums: dict[int, int] = {}  # by applied index
        self.votes: dict[tuple[int, int], int] = {}  # by member, term
        self.acknowledged_index = 0
        self.reads: dict[int, int] = {}  # by context: the index that must be covered

    def appended(self, member: int, previous_term: int, entries: Iterable[Entry]) -> None:
        """Judge entries that a member put into its log (log matching, by induction)."""
        for entry in entries:
            known = self.entries.setdefault((entry.index, entry.term), (previous_term, entry))
            if known[0] != previous_term or known[1] != entry:
                raise PropertyViolation(
                    f"log matching: member {member} holds {entry} behind term {previous_term}, "
                    f"another one {known[1]} behind {known[0]}"
                )
            previous_term = entry.term

    def led(self, node: RawNode) -> None:
        """Judge a member that leads (election safety, leader completeness)."""
        first = self.leaders.setdefault(node.term, node.id)
        if first != node.id:
            raise PropertyViolation(
                f"election safety: members {first} and {node.id} lead term {node.term}"
            )
        self.complete(node)

    def complete(self, node: RawNode) -> None:
        """Judge a leader's log against the last entry that is known to be committed."""
        index = self.commit_index
        if not index or index < node.first_index or node.term < self.committed[index]:
            return
        term = node.term_at(index)
        if term != self.committed[index]:
            raise PropertyViolation(
                f"leader completeness: member {node.id} leads term {node.term}, with term {term} "
                f"at {index}, where term {self.committed[index]} is committed"
            )

    def advanced(self, node: RawNode, first: int, disks: dict[int, CoreDisk]) -> None:
        """Judge a commit index that rose, from `first` on."""
        for index in range(max(first, node.first_index), node.commit_index + 1):
            term = node.term_at(index)
            if term is None or self.committed.setdefault(index, term) != term:
                raise PropertyViolation(
                    f"state machine safety: member {node.id} commits term {term} at {index}, "
                    f"where term {self.committed.get(index)} is committed"
                )
        last = node.commit_index
        if node.role is Role.LEADER:
            term = self.committed.get(last, 0)
            holders = [member for member, disk in disks.items() if disk.holds(last, term)]
            if term != node.term:
                raise PropertyViolation(
                    f"commit rule: member {node.id} leads term {node.term} and commits {last}, "
                    f"an entry of term {term}, by counting"
                )
            if not quorum.reached(node.configuration.voters, holders):
                raise PropertyViolation(
                    f"durable quorum: member {node.id} commits {last}, which {holders} hold"
                )
        if last in self.committed:
            self.commit_index = max(self.commit_index, last)

    def configured(self, node: RawNode, newest: Configuration) -> None:
        """Judge who takes part, against what the log says (configuration in force)."""
        if node.configuration is not newest and node.configuration != newest:
            raise PropertyViolation(
                f"configuration in force: member {node.id} goes by {node.configuration} "
                f"and its log says {newest}"
            )

    def changed(
        self, node: RawNode, index: int, before: Configuration, after: Configuration
    ) -> None:
        """Judge a change that a leader makes to the one at `index` (one change at a time)."""
        last = node.commit_index
        if (
            len(before.voters ^ after.voters) > 1
            or index > last
            or self.committed.get(last) != node.term
        ):
            raise PropertyViolation(
                f"one change at a time: member {node.id} leads term {node.term}, has committed up "
                f"to {last} of term {self.committed.get(last)}, and puts {after} behind {before} "
                f"of entry {index}"
            )

    def bounded(self, node: RawNode, settings: Settings) -> None:
        """Judge how much a leader has on its hands (bounds)."""
        waiting = node.uncommitted_bytes
        is_known = self.committed.get(node.commit_index) == node.term  # what its log began with
        if is_known and waiting > max(settings.uncommitted_bytes_max, BATCH_BYTES_MAX):
            raise PropertyViolation(f"bounds: member {node.id} has {waiting} bytes uncommitted")
        bytes_max = settings.bytes_in_flight_max + ENTRY_BYTES_MAX
        for peer, follower in node.followers.items():
            if follower.bytes_in_flight > bytes_max:
                raise PropertyViolation(
                    f"bounds: {follower.bytes_in_flight} bytes are under way to member {peer}"
                )

    def applied(self, member: int, image: Image, disk: CoreDisk) -> None:
        """Judge a state after an entry (state machine safety, own disk)."""
        if not disk.holds(image.index, image.term):
            raise PropertyViolation(
                f"own disk: member {member} applied entry {image.index} of term {image.term}, "
                "which it has not synced"
            )
        if self.checksums.setdefault(image.index, image.checksum) != image.checksum:
            raise PropertyViolation(
                f"state machine safety: member {member} differs after entry {image.index}"
            )

    def left(self, message: Message, disk: CoreDisk) -> None:
        """Judge a message at the moment at which it leaves (durable promises)."""
        match message:
            case VoteReply(granted=True):
                self._promised_vote(message.sender, message.term, message.recipient, disk)
            case VoteRequest():
                self._promised_vote(message.sender, message.term, message.sender, disk)
            case AppendReply(accepted=True) if message.term >= disk.hard_state.term:
                if message.term > disk.hard_state.term or message.index > disk.last_index:
                    raise PropertyViolation(
                        f"durable promises: {message} left when the disk ended at "
                        f"{disk.last_index} in term {disk.hard_state.term}"
                    )
            case _:
                pass

    def _promised_vote(self, voter: int, term: int, candidate: int, disk: CoreDisk) -> None:
        if disk.hard_state.term < term:
            raise PropertyViolation(
                f"durable promises: the vote of {voter} for {candidate} in term {term} left "
                f"when the disk had {disk.hard_state}"
            )
        if self.votes.setdefault((voter, term), candidate) != candidate:
            raise PropertyViolation(f"durable promises: {voter} voted twice in term {term}")

    def acknowledged(self, index: int) -> None:
        """Note that a client was told that its entry is kept."""
        self.acknowledged_index = max(self.acknowledged_index, index)

    def read_began(self, context: int) -> None:
        """Note what a read must see."""
        self.reads[context] = self.acknowledged_index

    def read_confirmed(self, context: int, index: int) -> None:
        """Judge the index that a read may be answered at (linearizable reads)."""
        if index < self.reads.pop(context):
            raise PropertyViolation(f"linearizable reads: read {context} would be stale at {index}")
