"""The member: messages, ticks and proposals in, obligations out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from raft import election, membership, reads, replication, transfer
from raft.errors import ProtocolViolation
from raft.log import RaftLog
from raft.membership import Change, ChangeRefused
from raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.ready import Mark, RaftRole, Ready
from raft.ready_builder import ReadyBuilder
from raft.state import MemberState, Obligations, RaftSettings, Restored
from raft.transfer import TransferBegun, TransferRefused
from raft.view import View

FROM_LEADER = AppendRequest | Heartbeat | InstallSnapshot | TimeoutNow


@dataclass(frozen=True, slots=True)
class Accepted:
    """The entries are in the leader's log. Only an applied entry is certain to stay in the log."""

    first_index: int
    term: int


@dataclass(frozen=True, slots=True)
class NotLeader:
    """Nothing was proposed: this member does not lead."""

    leader: int  # a member id, 0 for unknown


@dataclass(frozen=True, slots=True)
class Transferring:
    """Nothing was proposed: a leadership transfer is under way, and will end. Try again later."""

    target: int  # a member id


@dataclass(frozen=True, slots=True)
class Overloaded:
    """Nothing was proposed: too many bytes wait to be committed. Try again later."""

    uncommitted_bytes: int  # of payloads


class RawNode(View):
    """One member of a cluster, without a clock, a disk or a network of its own.

    - The term of every message is checked before the rule of the message runs (Raft §5.1).
    - A candidate counts its own vote, and a leader its own entries, once `persisted` confirms the
      sync.
    - Obligations come in the order of Ready's fields; see `ReadyBuilder`.
    """

    def __init__(self, settings: RaftSettings, restored: Restored) -> None:
        """Restore a member; raise ProtocolViolation if the parts contradict each other."""
        log = RaftLog(
            restored.base_index,
            restored.base_term,
            restored.entries,
            restored.configuration,
            settings.codec,
        )
        if not restored.base_index <= restored.applied_index <= log.last_index:
            raise ProtocolViolation(
                f"applied index {restored.applied_index} lies outside the log, "
                f"{restored.base_index} to {log.last_index}"
            )
        if log.last_term > restored.hard_state.term:
            raise ProtocolViolation(
                f"the log ends in term {log.last_term}, past the term {restored.hard_state.term}"
            )
        state = MemberState(
            settings=settings,
            log=log,
            hard_state=restored.hard_state,
            commit_index=restored.applied_index,
            applied_index=restored.applied_index,
            owed=Obligations(handed_commit_index=restored.applied_index),
        )
        super().__init__(state)
        self._ready_builder = ReadyBuilder(state)
        state.draw_timeout()

    def step(self, message: Message) -> None:  # noqa: C901, PLR0912 - the switch over messages
        """Process one message. A message for another recipient is ignored.

        A reply from a member outside the configuration does not count.
        """
        state = self._state
        if message.recipient != state.id or not self._passes_term(message):
            return
        match message:
            case AppendRequest():
                self._hear_leader(message)
                replication.append_requested(state, message)
            case AppendReply():
                replication.append_replied(state, message)
                if state.leading.transfer is not None:
                    transfer.replied(state, message.sender)
                if state.leading.leaves_at:
                    self._retire()
            case Heartbeat():
                self._hear_leader(message)
                replication.heartbeat_received(state, message)
            case HeartbeatReply():
                replication.heartbeat_replied(state, message)
                reads.heartbeat_replied(state, message)
                if state.leading.transfer is not None:
                    transfer.replied(state, message.sender)
            case PreVoteRequest():
                election.pre_vote_requested(state, message)
            case PreVoteReply():
                election.pre_vote_replied(state, message)
            case VoteRequest():
                election.vote_requested(state, message)
            case VoteReply():
                election.vote_replied(state, message)
            case TimeoutNow():
                self._hear_leader(message)
                transfer.timeout_now_received(state, message)
            case ReadRequest():
                reads.requested(state, message)
            case ReadReply():
                reads.replied(state, message)
            case InstallSnapshot():
                self._hear_leader(message)
                replication.snapshot_received(state, message)
            case _:
                assert_never(message)

    def _passes_term(self, message: Message) -> bool:
        """Apply the rule of terms (Raft §5.1); tell whether the message is processed further."""
        state = self._state
        if message.term == state.term:
            return True
        match message:
            case PreVoteRequest():
                return True  # the sender has not entered the term of the message
            case PreVoteReply() if message.granted:
                return True  # the term is the term of the request
            case VoteRequest(is_transfer=False) if (
                message.term > state.term and election.hears_a_leader(state)
            ):
                return False  # a leader that is heard is not deposed (dissertation §4.2.3)
        if message.term > state.term:
            leader = message.sender if isinstance(message, FROM_LEADER) else 0
            state.become_follower(message.term, leader)
            return True
        self._answer_outdated(message)
        return False

    def _answer_outdated(self, message: Message) -> None:
        """Reply with this term to a leader or a candidate of an older term (dissertation §9.6)."""
        state = self._state
        if isinstance(message, FROM_LEADER):
            state.owed.after_sync.append(
                AppendReply(
                    sender=state.id,
                    recipient=message.sender,
                    term=state.term,
                    accepted=False,
                    index=0,
                )
            )
        elif isinstance(message, VoteRequest):
            state.owed.after_sync.append(
                VoteReply(state.id, message.sender, state.term, granted=False)
            )

    def _hear_leader(self, message: FROM_LEADER) -> None:
        """Follow the leader of this term; a term has one leader (Raft §5.2)."""
        state = self._state
        if state.role is RaftRole.LEADER:
            raise ProtocolViolation(
                f"members {state.id} and {message.sender} both lead term {state.term}"
            )
        if state.role is not RaftRole.FOLLOWER or state.leader != message.sender:
            state.become_follower(message.term, message.sender)
        state.election.elapsed_ticks = 0

    def tick(self) -> None:
        """Count one tick."""
        state = self._state
        if state.role is not RaftRole.LEADER:
            if state.waiting_reads.forwarded:
                reads.tick(state)
            election.tick(state)
            return
        state.leading.heartbeat_elapsed_ticks += 1
        state.election.elapsed_ticks += 1
        if state.election.elapsed_ticks >= state.settings.election_timeout_ticks_min:
            state.election.elapsed_ticks = 0
            membership.release(state)
            election.check_quorum(state)
        transfer.tick(state)
        if (
            state.role is RaftRole.LEADER
            and state.leading.heartbeat_elapsed_ticks >= state.settings.heartbeat_ticks
        ):
            replication.send_heartbeats(state)

    def propose(
        self, payloads: Sequence[bytes], kind: EntryKind = EntryKind.COMMAND
    ) -> Accepted | NotLeader | Transferring | Overloaded:
        """Append one entry for each payload to the leader's log.

        A proposal that would exceed `uncommitted_bytes_max` is refused, unless no other payload is
        uncommitted. ValueError: `kind` is CONFIGURATION, which only `change` appends.
        """
        if kind is EntryKind.CONFIGURATION:
            raise ValueError("a configuration is not proposed but changed")
        state = self._state
        if state.role is not RaftRole.LEADER:
            return NotLeader(state.leader)
        if state.leading.transfer is not None:
            return Transferring(state.leading.transfer.target)
        size = sum(map(len, payloads))
        waiting = state.leading.backlog.settle(state.commit_index)
        if waiting and waiting + size > state.settings.uncommitted_bytes_max:
            return Overloaded(waiting)
        first_index = state.log.last_index + 1
        entries = tuple(
            Entry(index, state.term, kind, payload)
            for index, payload in enumerate(payloads, first_index)
        )
        replication.append_own(state, entries)
        state.leading.backlog.count(state.log.last_index, size)
        return Accepted(first_index, state.term)

    def change(self, change: Change) -> Accepted | NotLeader | Transferring | ChangeRefused:
        """Begin a change of the configuration, one change at a time (dissertation §4.1).

        Accepted: the configuration is in force and its entry is in the log. The entry stays in the
        log once it is applied. If another leader's entry replaces the entry, the configuration
        before is in force again.
        """
        state = self._state
        if state.role is not RaftRole.LEADER:
            return NotLeader(state.leader)
        if state.leading.transfer is not None:
            return Transferring(state.leading.transfer.target)
        configuration = membership.decide(state, change)
        if isinstance(configuration, ChangeRefused):
            return configuration
        return Accepted(membership.begin(state, configuration), state.term)

    def _retire(self) -> None:
        """Step down if the removal of this leader is committed (dissertation §4.2.2)."""
        state = self._state
        if state.leading.leaves_at and state.commit_index >= state.leading.leaves_at:
            membership.retire(state)

    def read(self, context: int) -> bool:
        """Ask for a read index; `context` comes back in a Ready, confirmed or dropped.

        A leader asks a quorum, any other member asks its leader (dissertation §6.4). The caller
        repeats a dropped read, or a read that took too long, under another context. False: no read
        began. Either no leader is known, or this leader has committed no entry of its term, or too
        many reads wait.
        """
        return reads.begin(self._state, context)

    def transfer(self, target: int = 0) -> TransferBegun | TransferRefused:
        """Transfer leadership to a voter, or for 0 to the most caught-up one (dissertation §3.10).

        If the transfer succeeds, this member becomes a follower. If the transfer fails, it ends
        after the shortest election timeout. Until then `transferring` is true and no proposal is
        accepted.
        """
        return transfer.begin(self._state, target)

    def step_down(self) -> None:
        """Give up leadership, for instance because the disk of this member hangs."""
        if self._state.role is RaftRole.LEADER:
            self._state.become_follower(self._state.term, 0)

    def persisted(self, mark: Mark) -> None:
        """Note that the log and the hard state are synced up to `mark`.

        The log part of a mark is ignored if entries were replaced since the mark was made. An entry
        of the same index and term may be in the log again, and be written and not synced.
        """
        state = self._state
        if mark.hard_state == state.hard_state and not state.hard_state_synced:
            state.hard_state_synced = True
            election.own_vote_synced(state)
        if mark.truncations == state.log.truncations and mark.index > state.log.synced_index:
            state.log.synced_index = mark.index
            if state.role is RaftRole.LEADER:
                replication.advance_commit(state)

    def applied(self, index: int) -> None:
        """Note that all entries up to `index` are applied."""
        if index > self._state.owed.handed_commit_index:
            raise ProtocolViolation(f"entry {index} was applied before it was handed out")
        self._state.applied_index = max(self._state.applied_index, index)

    def compact(self, index: int) -> None:
        """Cut the log at `index`, which is applied and durable in the caller's state (Raft §7)."""
        if index > self._state.applied_index:
            raise ProtocolViolation(f"the log cannot be cut at {index}: it is not applied there")
        if index > self._state.log.base_index:
            self._state.log.compact(index)

    def snapshot_sent(self, peer: int, index: int, *, installed: bool) -> None:
        """Note how the stream of a snapshot to `peer` ended.

        `installed`: the snapshot is synced on the peer's disk, so the peer holds all entries up to
        `index`.
        """
        replication.snapshot_sent(self._state, peer, index, installed=installed)

    def ready(self) -> Ready | None:
        """Return the obligations since the last call; None if there are none."""
        return self._ready_builder.next_ready()
