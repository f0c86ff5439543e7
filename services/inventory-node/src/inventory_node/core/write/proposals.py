"""From gateways' commands to entries of the log, and from applied entries back to the gateways."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, log_pb2, raw_pb2
from raft import Accepted, Overloaded, RawNode
from raft.messages import Entry
from raft.ready import RaftRole
from wire import bounds, errors

from inventory_node.core.replies import Replies, ReplyAddress
from inventory_node.core.settings import NodeSettings
from inventory_node.core.write.command_lines import CommandLines, WaitingCommand
from inventory_node.core.write.timestamps import TimestampOracle
from inventory_node.errors import Halted
from inventory_node.machine import RULES_VERSION, Applied, Machine


class Proposed(NamedTuple):
    """An entry of this leader that is not applied yet."""

    term: int
    askers: tuple[ReplyAddress | None, ...]  # one for each command, in order


class Proposals:
    """A leader's queue of commands, and the addresses that wait for outcomes.

    - An address gets an outcome only when the entry of its own (index, term) is applied here.
    - Every offered command is answered exactly once.
    - Commands waiting, bytes waiting and entries in flight are bounded.
    - The commands of one gateway are proposed in the order in which they came; the gateways take
      turns. A gateway with more waiting than another makes room for that other's commands.
    - The cluster's own commands are never turned away: no gateway would offer them again.
    """

    def __init__(
        self, settings: NodeSettings, replies: Replies, timestamps: TimestampOracle
    ) -> None:
        """Start empty, as a follower does."""
        self._settings = settings
        self._replies = replies
        self._timestamps = timestamps
        self._waiting = CommandLines()
        self._proposed: dict[int, Proposed] = {}
        self._own_term = 0  # in which this leader offered a command of its own

    def offer(self, session: int, proposals: Iterable[forward_pb2.Proposal]) -> None:
        """Check and queue the commands of a frame; answer at once where queueing fails."""
        for proposal in proposals:
            asker = ReplyAddress(session, proposal.id)
            command = proposal.command
            waiting = WaitingCommand(asker, command)
            if not self._has_room(waiting):
                self._replies.retry(asker, forward_pb2.RETRY_OVERLOADED)
                continue
            problem = self._check(command)
            if problem is not None:
                self._replies.refuse(asker, problem)
                continue
            self._waiting.append(waiting)

    def initialize(self, raft: RawNode, machine: Machine, applied_term: int) -> None:
        """Propose the first state, once a term, if an entry of the own term finds no state."""
        leads = raft.role is RaftRole.LEADER and applied_term == raft.term
        if not leads or machine.initialized or self._own_term == applied_term:
            return
        self._own_term = applied_term
        if self._settings.initialize:
            command = raw_pb2.RawCommand(administration=self._settings.initialize)
            self.offer_own(command.SerializeToString())

    def offer_own(self, command: bytes) -> None:
        """Queue a command of the cluster itself; no gateway waits for its outcome."""
        self._waiting.append(WaitingCommand(None, command))

    def decline(
        self,
        session: int,
        proposals: Iterable[forward_pb2.Proposal],
        retry: forward_pb2.Retry.ValueType,
    ) -> None:
        """Answer the commands of a frame with `retry`."""
        for proposal in proposals:
            self._replies.retry(ReplyAddress(session, proposal.id), retry)

    def turn_away(self) -> None:
        """Refuse the waiting commands of gateways: this member has no space for commands."""
        for one in self._waiting.clear():
            if one.asker is None:
                self._waiting.append(one)
            else:
                self._replies.refuse(one.asker, errors.disk_full(self._settings.name))

    def propose(self, raft: RawNode) -> None:
        """Propose the waiting commands, in as few entries as the bounds allow."""
        settings = self._settings
        room = settings.batches_in_flight_max - len(self._proposed)
        if not self._waiting or room <= 0 or (stamp_ms := self._timestamps.next_ms()) is None:
            return
        batches: list[list[WaitingCommand]] = []
        while self._waiting and len(batches) < room:
            batches.append(
                self._waiting.take(settings.batch_commands_max, settings.batch_bytes_max)
            )
        accepted = raft.propose([_payload(stamp_ms, batch) for batch in batches])
        if isinstance(accepted, Overloaded):
            self._waiting.put_back([one for batch in batches for one in batch])
            return
        if not isinstance(accepted, Accepted):
            for batch in batches:
                self._retry((waiting.asker for waiting in batch), forward_pb2.RETRY_NOT_LEADER)
            return
        for index, batch in enumerate(batches, start=accepted.first_index):
            askers = tuple(waiting.asker for waiting in batch)
            self._proposed[index] = Proposed(accepted.term, askers)

    def answer_entry(self, entry: Entry, outcomes: Sequence[Applied]) -> None:
        """Answer the commands proposed at the entry's index; unknown if the terms differ."""
        proposed = self._proposed.pop(entry.index, None)
        if proposed is None:
            return
        if proposed.term != entry.term:
            self._retry(proposed.askers, forward_pb2.RETRY_UNKNOWN)
            return
        if len(outcomes) != len(proposed.askers):
            raise Halted(
                f"entry {entry.index} holds {len(proposed.askers)} commands and came to "
                f"{len(outcomes)} outcomes: the state machine of this build is broken"
            )
        for asker, outcome in zip(proposed.askers, outcomes, strict=True):
            if asker is not None:
                self._replies.answer_outcome(asker, outcome)

    def leadership_changed(self, own_term: int) -> None:
        """Retry the proposals of other terms; `own_term` is 0 on a member that does not lead."""
        for index, proposed in list(self._proposed.items()):
            if proposed.term != own_term:
                del self._proposed[index]
                self._retry(proposed.askers, forward_pb2.RETRY_UNKNOWN)
        if not own_term:
            waiting = self._waiting.clear()
            self._retry((item.asker for item in waiting), forward_pb2.RETRY_NOT_LEADER)

    def _has_room(self, waiting: WaitingCommand) -> bool:
        """Tell whether a command may wait; put off commands of gateways with more, if need be."""
        while self._is_full(len(waiting.command)):
            put_off = self._waiting.make_room(waiting)
            if put_off is None:
                return False
            self._retry((put_off.asker,), forward_pb2.RETRY_OVERLOADED)
        return True

    def _is_full(self, size: int) -> bool:
        return (
            len(self._waiting) >= self._settings.commands_waiting_max
            or self._waiting.size + size > self._settings.bytes_waiting_max
        )

    def _check(self, command: bytes) -> status_pb2.Status | None:
        """Return why a command may not enter the log; None when the command may."""
        if len(command) > self._settings.batch_bytes_max:
            return errors.invalid_field(
                "command", f"is over {self._settings.batch_bytes_max} bytes long"
            )
        try:
            parsed = log_pb2.Command.FromString(command)
        except DecodeError:
            return errors.invalid_field("command", "cannot be parsed")
        match parsed.WhichOneof("kind"):
            case "mutation":
                return bounds.check_mutation(parsed.mutation)
            case "administration":
                return bounds.check_administration(parsed.administration)
            case "probe":
                return None
            case None:
                return errors.invalid_field("command", "holds nothing that is known here")

    def _retry(
        self, askers: Iterable[ReplyAddress | None], retry: forward_pb2.Retry.ValueType
    ) -> None:
        for asker in askers:
            if asker is not None:
                self._replies.retry(asker, retry)


def _payload(stamp_ms: int, batch: Sequence[WaitingCommand]) -> bytes:
    return raw_pb2.RawBatch(
        stamp_ms=stamp_ms,
        rules_version=RULES_VERSION,
        commands=[waiting.command for waiting in batch],
    ).SerializeToString()
