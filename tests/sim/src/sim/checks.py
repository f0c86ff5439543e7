"""What must hold, whatever happens: looked at after every event.

`Checks` judges consensus and disks (Raft Figure 3), `sim.ledger` what the commands came to, and
`check_history` the databases at the end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crc32c import crc32c
from inventory_node.codec import decode_configuration
from inventory_node.core.node import Node
from inventory_node.machine import AdminOutcome, Applied, MutationOutcome
from inventory_node.ports import PeerMessage
from raft import RawNode, quorum
from raft.messages import (
    AppendReply,
    Configuration,
    Entry,
    EntryKind,
    VoteReply,
    VoteRequest,
)
from raft.ready import RaftRole

from sim.bookkeeping import contradictions
from sim.clients import ClientOperation, Read
from sim.coverage import Coverage
from sim.durable import Durable
from sim.ledger import Ledger
from sim.violation import LivenessViolation, SafetyViolation

ACKNOWLEDGED_MIN = 10  # operations of a run
LINEARIZABLE_MIN = 8  # reads
REFUSALS = {"", "INSUFFICIENT_STOCK"}  # all that clients here can run into


class AppliedLog:
    """What was applied anywhere: one chain for all members.

    - State machine safety: the chain of applied entries and their outcomes is one for all members.
    - A member applies no entry twice in one life of its process.
    - States that members hash at one index are equal.
    - A member sets its data aside only when it takes no part, by all that was applied.
    """

    def __init__(self, ledger: Ledger, coverage: Coverage, founders: Configuration) -> None:
        """Start with nothing applied."""
        self.chain: dict[int, int] = {0: 0}  # by index: a checksum over all up to there
        self.last_index = 0  # the last that was applied anywhere
        self.last_term = 0  # of that one
        self.commands = 0  # of all members together
        self.configuration = founders  # the newest that was applied anywhere
        self.configuration_index = 0
        self._first: tuple[int, frozenset[int]] = 0, frozenset()  # members at a term's beginning
        self._ledger = ledger
        self._coverage = coverage
        self._chains: dict[int, tuple[int, int]] = {}  # by member: index and checksum
        self._hashes: dict[int, str] = {}  # of states, by index

    def jumped(self, member: int, applied_index: int) -> None:
        """Take note that a member continues from a state: its own at a start, or a snapshot's."""
        if applied_index not in self.chain:
            raise SafetyViolation(
                f"member {member} has a state at {applied_index}, which nobody applied"
            )
        self._chains[member] = applied_index, self.chain[applied_index]

    def applied(self, member: int, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """See an entry that a member applied."""
        index, chain = self._chains[member]
        if entry.index != index + 1:
            raise SafetyViolation(f"member {member} applies {entry.index} after {index}")
        self.commands += len(outcomes)
        chain = crc32c(b"%d %d" % (entry.term, entry.kind), chain)
        chain = crc32c(entry.payload, chain)
        for outcome in outcomes:
            chain = crc32c(bytes_of(outcome), chain)
        self._chains[member] = entry.index, chain
        if self.chain.setdefault(entry.index, chain) != chain:
            raise SafetyViolation(
                f"state machine safety: member {member} applies another entry at {entry.index}, "
                "or to another end"
            )
        if entry.index > self.last_index:
            self.last_index, self.last_term = entry.index, entry.term
            self._ledger.applied(entry, outcomes)
            if entry.kind is EntryKind.CONFIGURATION:
                self.configuration_index = entry.index
                self._configured(entry.term, decode_configuration(entry.payload))

    def _configured(self, term: int, after: Configuration) -> None:
        """Count what a committed change of the members did."""
        before, self.configuration = self.configuration, after
        members = before.voters | before.learners
        if term != self._first[0]:
            self._first = term, members
        now = after.voters | after.learners
        is_replaced = bool(self._first[1] - now and now - self._first[1])
        self._coverage["members replaced within a term"] += is_replaced
        self._coverage["members joined"] += bool(after.learners - members)
        self._coverage["members promoted"] += bool(after.voters - before.voters)
        self._coverage["members removed"] += bool(members - after.voters - after.learners)

    def set_aside(self, member: int) -> None:
        """Require that whoever sets its data aside takes no part, by all that was applied."""
        known = self.configuration
        if member in known.voters | known.learners:
            raise SafetyViolation(f"member {member} sets its data aside, and takes part: {known}")
        self._coverage["data set aside"] += 1

    def hashed(self, member: int, index: int, sha256: str) -> None:
        """Require that a member's state at an index has the hash of every other member's."""
        if index in self._hashes:
            self._coverage["checkpoints compared"] += 1
        if self._hashes.setdefault(index, sha256) != sha256:
            raise SafetyViolation(f"member {member} has another state at {index}")


class Checks:
    """Safety, kept incrementally.

    - Election safety: at most one leader in a term.
    - Log matching: entries of equal index and term are equal, and so is all before them.
    - Leader completeness: whoever leads holds everything that was ever applied.
    - Commit rule: a leader commits by counting what is of its own term (Raft §5.4.2).
    - Durable quorum: what a leader commits is synced on a majority of the voters.
    - Durable promises: a vote or an accepted append leaves when it is on disk, and a member votes
      once a term for ever.
    - Durable log: what was synced is found by every later start.
    - Own disk: what a member applies is synced on its own disk (`raft.ready_builder`).
    - Books: what a node counts is what there is (`sim.bookkeeping`).
    """

    def __init__(self, ledger: Ledger, coverage: Coverage, founders: Configuration) -> None:
        """Start with nothing seen."""
        self.applied_log = AppliedLog(ledger, coverage, founders)
        self.leaders: dict[int, int] = {}  # by term
        self.durable: dict[int, Durable] = {}  # by member
        self._coverage = coverage
        self._entries: dict[tuple[int, int], tuple[int, int]] = {}  # by index and term
        self._votes: dict[tuple[int, int], int] = {}  # by member and term
        self._commits: dict[int, int] = {}  # by member
        self._leads: dict[int, int] = {}  # by member: the term that it leads

    def started(
        self, member: int, durable: Durable, entries: Iterable[Entry], applied_index: int
    ) -> None:
        """Require that a start finds everything that was synced on the member's disk."""
        before = self.durable.get(member)
        forgotten = before.forgotten_by(durable) if before is not None else ""
        if forgotten:
            raise SafetyViolation(f"durable log: member {member} forgot: {forgotten}")
        self.durable.setdefault(member, durable)
        for entry in entries:
            known = self._entries.get((entry.index, entry.term))
            if known is None or known[1] != checksum_of(entry):
                raise SafetyViolation(f"durable log: member {member} never wrote {entry}")
        self.applied_log.jumped(member, applied_index)
        self._commits[member] = applied_index
        self._leads.pop(member, None)

    def repaired(self, member: int, durable: Durable) -> None:
        """Take note that the repair is done: what the start found is on disk from here on."""
        self.durable[member] = durable

    def appended(self, member: int, previous_term: int, entries: Iterable[Entry]) -> None:
        """Require log matching, by induction, of entries that a member gives its disk."""
        for entry in entries:
            found = previous_term, checksum_of(entry)
            known = self._entries.setdefault((entry.index, entry.term), found)
            if known != found:
                raise SafetyViolation(
                    f"log matching: member {member} holds another entry {entry.index} of term "
                    f"{entry.term}, or behind another term: {found}, not {known}"
                )
            previous_term = entry.term

    def applied(self, member: int, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """See an entry that a member applied."""
        if not self.durable[member].holds(entry.index, entry.term):
            raise SafetyViolation(
                f"own disk: member {member} applies {entry.index} of term {entry.term}, which it "
                "has not synced"
            )
        self.applied_log.applied(member, entry, outcomes)

    def balanced(self, node: Node) -> None:
        """Require that a node's numbers agree after an event (`sim.bookkeeping`)."""
        found = contradictions(node)
        if found:
            raise SafetyViolation(f"books: member {node._raft.id}: {'; '.join(found)}")

    def settled(self, node: RawNode) -> None:
        """Require election safety and the commit rules of a member's role after an event."""
        member, is_leader = node.id, node.role is RaftRole.LEADER
        if is_leader and self._leads.get(member) != node.term:
            self._elected(node)
        if not is_leader and self._leads.pop(member, 0):
            self._coverage["leaders deposed"] += 1
        if node.commit_index > self._commits[member]:
            self._commits[member] = node.commit_index
            if is_leader:
                self._committed(node)

    def _elected(self, node: RawNode) -> None:
        self._leads[node.id] = node.term
        first = self.leaders.setdefault(node.term, node.id)
        if first != node.id:
            raise SafetyViolation(
                f"election safety: members {first} and {node.id} both lead term {node.term}"
            )
        self._coverage["elections"] += 1
        last_index, last_term = self.applied_log.last_index, self.applied_log.last_term
        term = node.term_at(last_index)
        is_cut = last_index < node.first_index - 1
        if node.term >= last_term and not is_cut and term != last_term:
            raise SafetyViolation(
                f"leader completeness: member {node.id} leads term {node.term} with term {term} "
                f"at {last_index}, and an entry of term {last_term} was applied there"
            )

    def _committed(self, node: RawNode) -> None:
        index, term = node.commit_index, node.term_at(node.commit_index)
        if term != node.term:
            raise SafetyViolation(
                f"commit rule: member {node.id} leads term {node.term} and commits {index}, of "
                f"term {term}, by counting"
            )
        holders = [one for one, durable in self.durable.items() if durable.holds(index, term)]
        if not quorum.reached(node.configuration.voters, holders):
            raise SafetyViolation(
                f"durable quorum: member {node.id} commits {index}, which {holders} of "
                f"{sorted(node.configuration.voters)} hold"
            )

    def left(self, message: PeerMessage) -> None:
        """Require that a promise which leaves is on the sender's disk (durable promises)."""
        durable = self.durable[message.sender]
        match message:
            case VoteReply(granted=True):
                self._voted(message.sender, message.term, message.recipient, durable)
            case VoteRequest():
                self._voted(message.sender, message.term, message.sender, durable)
            case AppendReply(accepted=True):
                if (
                    message.term > durable.hard_state.term or message.index > durable.last_index
                ) and message.term >= durable.hard_state.term:
                    raise SafetyViolation(
                        f"durable promises: {message} left when the disk ended at "
                        f"{durable.last_index} in term {durable.hard_state.term}"
                    )
            case _:
                pass

    def _voted(self, voter: int, term: int, candidate: int, durable: Durable) -> None:
        if durable.hard_state.term < term:
            raise SafetyViolation(
                f"durable promises: the vote of {voter} for {candidate} in term {term} left when "
                f"the disk had {durable.hard_state}"
            )
        if self._votes.setdefault((voter, term), candidate) != candidate:
            raise SafetyViolation(f"durable promises: {voter} voted twice in term {term}")


def checksum_of(entry: Entry) -> int:
    """Return a checksum over what an entry holds."""
    return crc32c(entry.payload, entry.kind)


def bytes_of(outcome: Applied) -> bytes:
    """Return an outcome's bytes."""
    return (
        outcome.outcome if isinstance(outcome, MutationOutcome | AdminOutcome) else outcome.status
    )


def check_work(history: Sequence[ClientOperation], reads: Sequence[Read]) -> None:
    """Require that enough was done for a run to show anything, and nothing refused that fits."""
    for operation in history:
        if operation.refused not in REFUSALS:
            raise LivenessViolation(f"{operation.kind} was refused: {operation.refused}")
    acknowledged, linearizable = done_of(history, reads)
    if acknowledged < ACKNOWLEDGED_MIN or linearizable < LINEARIZABLE_MIN:
        raise LivenessViolation(
            f"too little was done: {acknowledged} acknowledged, {linearizable} linearizable reads"
        )


def done_of(history: Sequence[ClientOperation], reads: Sequence[Read]) -> tuple[int, int]:
    """Return how many operations were acknowledged, and how many reads linearizable."""
    return sum(one.acknowledged for one in history), sum(one.is_linearizable for one in reads)


@dataclass(frozen=True, slots=True)
class FinalState:
    """What a member's database says at the end."""

    on_hand: Mapping[int, int]  # by item
    orders: tuple[tuple[int, int, int], ...]  # id, item and quantity, one for each line


def check_history(
    history: Iterable[ClientOperation], start: Mapping[int, int], state: FinalState
) -> None:
    """Compare what clients were told with what is there; every outcome must be known.

    - Every acknowledged order is there once, and there is no other.
    - Stock is what it was at the start, less what was ordered, plus what was restocked.
    """
    expected: list[tuple[int, int, int]] = []
    on_hand = dict(start)
    for operation in history:
        if operation.return_us is None:
            raise SafetyViolation(f"the outcome of {operation.request_id} is not known")
        if not operation.acknowledged:
            continue
        for item_id, delta in operation.changes:
            on_hand[item_id] += delta
            if operation.is_order:
                expected.append((operation.receipt.order_id, item_id, -delta))
    if sorted(expected) != sorted(state.orders):
        lost = set(expected) - set(state.orders)
        doubled = [line for line in set(state.orders) if state.orders.count(line) > 1]
        unknown = set(state.orders) - set(expected)
        raise SafetyViolation(f"orders lost: {lost}; not acknowledged: {unknown}; twice: {doubled}")
    if on_hand != dict(state.on_hand):
        raise SafetyViolation(f"stock is {dict(state.on_hand)} and should be {on_hand}")
