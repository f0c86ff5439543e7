"""The properties that must hold after every event."""

from collections.abc import Iterable

from raft import RaftSettings, RawNode, quorum
from raft.messages import (
    AppendReply,
    Configuration,
    Entry,
    Message,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.ready import RaftRole

from rafttest.bookkeeping import contradictions
from rafttest.disk import CoreDisk, Image

PAYLOAD_BYTES_MAX = 8  # the payload is a number
ENTRY_BYTES_MAX = 32  # a configuration of a dozen members
BATCH_BYTES_MAX = 4 * PAYLOAD_BYTES_MAX


class PropertyViolation(Exception):  # noqa: N818 - the name states the fact
    """A run broke a property of the protocol."""


class Properties:
    """Remembers of a run what the check of the next event needs.

    - Election safety: a term has at most one leader (Raft Figure 3).
    - Log matching: if two entries have the same index and term, the entries and all entries before
      them are equal (Raft Figure 3).
    - Leader completeness: a committed entry is in the log of every later leader (Raft Figure 3).
    - State machine safety: all members apply the same entry at an index (Raft Figure 3).
    - Commit rule: a leader commits by counting only entries of its own term (Raft §5.4.2).
    - Durable quorum: an entry that a leader commits is synced by a majority of the voters.
    - Durable promises: a vote or an acceptance leaves only after its sync. A member votes once a
      term, over restarts too (Raft §5.2).
    - Own disk: a member applies only entries that are synced on its own disk.
    - Linearizable reads: the read index covers every entry that was acknowledged before the read
      began (dissertation §6.4).
    - Configuration in force: a member goes by the newest configuration of its log, over truncation,
      snapshot and restart (dissertation §4.1).
    - One change at a time: a leader changes one voter, after the change before is committed, and
      after an entry of its own term is committed (dissertation §4.1).
    - Successors: only a voter is told to campaign (dissertation §3.10).
    - Books: what a member counts is what there is (`rafttest.bookkeeping`).
    - Bounds: the uncommitted bytes keep to the settings, except for one larger batch. The bytes
      under way to a follower exceed the settings by less than one entry.
    """

    def __init__(self) -> None:
        """Begin with an empty history."""
        self.events = 0  # checked so far
        self.leaders: dict[int, int] = {}  # by term
        self.entries: dict[tuple[int, int], tuple[int, Entry]] = {}  # by index, term
        self.committed: dict[int, int] = {}  # index to term
        self.commit_index = 0
        self.checksums: dict[int, int] = {}  # by applied index
        self.votes: dict[tuple[int, int], int] = {}  # by member, term
        self.acknowledged_index = 0
        self.reads: dict[int, int] = {}  # by context: the index that must be covered

    def appended(self, member: int, previous_term: int, entries: Iterable[Entry]) -> None:
        """Check the entries that a member appended (log matching, by induction)."""
        for entry in entries:
            known = self.entries.setdefault((entry.index, entry.term), (previous_term, entry))
            if known[0] != previous_term or known[1] != entry:
                raise PropertyViolation(
                    f"log matching: member {member} holds {entry} behind term {previous_term}, "
                    f"another one {known[1]} behind {known[0]}"
                )
            previous_term = entry.term

    def led(self, node: RawNode) -> None:
        """Check a member that leads (election safety, leader completeness)."""
        first = self.leaders.setdefault(node.term, node.id)
        if first != node.id:
            raise PropertyViolation(
                f"election safety: members {first} and {node.id} lead term {node.term}"
            )
        self.complete(node)

    def complete(self, node: RawNode) -> None:
        """Check that a leader's log holds the last entry that is known to be committed."""
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
        """Check a commit index that rose, from index `first` on."""
        for index in range(max(first, node.first_index), node.commit_index + 1):
            term = node.term_at(index)
            if term is None or self.committed.setdefault(index, term) != term:
                raise PropertyViolation(
                    f"state machine safety: member {node.id} commits term {term} at {index}, "
                    f"where term {self.committed.get(index)} is committed"
                )
        last = node.commit_index
        if node.role is RaftRole.LEADER:
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
        """Check the configuration of a member against its log (configuration in force)."""
        if node.configuration is not newest and node.configuration != newest:
            raise PropertyViolation(
                f"configuration in force: member {node.id} goes by {node.configuration} "
                f"and its log says {newest}"
            )

    def changed(
        self, node: RawNode, index: int, before: Configuration, after: Configuration
    ) -> None:
        """Check a change of the configuration at `index` (one change at a time)."""
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

    def bounded(self, node: RawNode, settings: RaftSettings) -> None:
        """Check the uncommitted bytes and the bytes under way of a leader (bounds)."""
        waiting = node.uncommitted_bytes
        # Until an entry of its term is committed, a leader cannot tell what waits in its log.
        is_known = self.committed.get(node.commit_index) == node.term
        if is_known and waiting > max(settings.uncommitted_bytes_max, BATCH_BYTES_MAX):
            raise PropertyViolation(f"bounds: member {node.id} has {waiting} bytes uncommitted")
        bytes_max = settings.bytes_in_flight_max + ENTRY_BYTES_MAX
        for peer, follower in node.followers.items():
            if follower.bytes_in_flight > bytes_max:
                raise PropertyViolation(
                    f"bounds: {follower.bytes_in_flight} bytes are under way to member {peer}"
                )

    def applied(self, member: int, image: Image, disk: CoreDisk) -> None:
        """Check the state after an applied entry (state machine safety, own disk)."""
        if not disk.holds(image.index, image.term):
            raise PropertyViolation(
                f"own disk: member {member} applied entry {image.index} of term {image.term}, "
                "which it has not synced"
            )
        if self.checksums.setdefault(image.index, image.checksum) != image.checksum:
            raise PropertyViolation(
                f"state machine safety: member {member} differs after entry {image.index}"
            )

    def consistent(self, node: RawNode) -> None:
        """Check what a member counts (books)."""
        found = contradictions(node)
        if found:
            raise PropertyViolation(f"books: member {node.id}: {'; '.join(found)}")

    def directed(self, message: Message, configuration: Configuration) -> None:
        """Check whom a leader tells to campaign (successors)."""
        if isinstance(message, TimeoutNow) and message.recipient not in configuration.voters:
            raise PropertyViolation(
                f"successors: {message} leaves, and the voters are {configuration.voters}"
            )

    def left(self, message: Message, disk: CoreDisk) -> None:
        """Check a message when the message leaves (durable promises)."""
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
        """Note that a client got a success for an entry."""
        self.acknowledged_index = max(self.acknowledged_index, index)

    def read_began(self, context: int) -> None:
        """Note the entries that a read must cover."""
        self.reads[context] = self.acknowledged_index

    def read_confirmed(self, context: int, index: int) -> None:
        """Check the read index of a read (linearizable reads)."""
        if index < self.reads.pop(context):
            raise PropertyViolation(f"linearizable reads: read {context} would be stale at {index}")
