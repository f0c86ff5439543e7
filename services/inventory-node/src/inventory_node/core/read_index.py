"""Reads, on any member: one quorum round for all questions that wait (dissertation §6.4).

A question joins a round only when the round begins after it, so the index that the quorum confirms
covers every write that was acknowledged before the question was asked. A bounded question is
content with an earlier round, a stale one with none. Reads by id are answered from the machine once
it has applied that far; what needs the database waits, together, for a flush that covers the index.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from raft import RawNode
from raft.ready import ReadState
from wire import bounds, errors

from inventory_node.core.events import StoreAnswer
from inventory_node.core.replies import Replies, ReplyAddress
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.core.write.flusher import Flusher
from inventory_node.machine import Machine, MutationOutcome
from inventory_node.ports import Clock, Store


class Asked(NamedTuple):
    """A question and who waits for its answer."""

    asker: ReplyAddress
    question: forward_pb2.Question


class Confirmed(NamedTuple):
    """Questions that may be answered from any state at `read_index` or later."""

    read_index: int
    questions: list[Asked]


class QuorumRounds:
    """The rounds in which a quorum confirms an index.

    - One round is outstanding at most; its context is used once.
    - A question joins a round only when the round begins after it.
    - While a leader is known, one round is made even when nobody asks: a member has caught up once
      it has applied what the leader had committed when it was met.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with no question, and no round."""
        self.waiting: list[Asked] = []  # for the next round
        self.goal_index: int | None = None  # of the first round since a leader is known
        self._clock = clock
        self._round: list[Asked] | None = None
        self._round_ms = 0  # when it began
        self._known_ms = 0  # when the last confirmed round began
        self._known_index: int | None = None  # what it confirmed; None: there was none
        self._context = 0

    def index_within(self, staleness_ms: int) -> int | None:
        """Return what the last round confirmed, if it began so lately by this member's clock."""
        is_fresh = self._clock.elapsed_ms() - self._known_ms <= staleness_ms
        return self._known_index if is_fresh else None

    def begin(self, raft: RawNode) -> list[Asked]:
        """Begin a round for all that wait, when none is outstanding; return who waits in vain."""
        if not raft.leader:
            self.goal_index = None  # nobody knows what is committed meanwhile
        if self._round is not None or not (self.waiting or self.goal_index is None):
            return []
        if raft.read(self._context + 1):
            self._context += 1
            self._round, self.waiting = self.waiting, []
            self._round_ms = self._clock.elapsed_ms()
        elif not raft.leader:
            waiting, self.waiting = self.waiting, []
            return waiting
        return []

    def confirm(self, read: ReadState) -> Confirmed | None:
        """End the outstanding round with the index that a quorum confirmed."""
        if read.context != self._context or self._round is None:
            return None
        questions, self._round = self._round, None
        self._known_ms, self._known_index = self._round_ms, read.index
        if self.goal_index is None:
            self.goal_index = read.index
        return Confirmed(read.index, questions)

    def drop(self, contexts: Iterable[int]) -> list[Asked]:
        """End a round that leadership did not outlive; return its questions."""
        if self._context not in contexts or self._round is None:
            return []
        questions, self._round = self._round, None
        return questions

    def clear(self) -> list[Asked]:
        """End everything; return all that waited."""
        questions = self.waiting + (self._round or [])
        self.waiting, self._round = [], None
        return questions


class StoreReads:
    """Questions that the database answers: they wait for a flush, and then for the answer."""

    def __init__(self, store: Store) -> None:
        """Start with no question."""
        self._store = store
        self._for_flush: deque[Confirmed] = deque()
        self._asked: dict[int, ReplyAddress] = {}  # by ticket
        self._ticket = 0

    def add(self, index: int, questions: list[Asked], flusher: Flusher) -> None:
        """Let the store answer once it holds everything up to `index`."""
        if index <= flusher.flushed_index:
            self._ask(questions)
        else:
            self._for_flush.append(Confirmed(index, questions))
            flusher.hurry(index)

    def start(self, flusher: Flusher) -> None:
        """Ask the store, in one transaction, what its state as flushed can answer."""
        ready: list[Asked] = []
        while self._for_flush and self._for_flush[0].read_index <= flusher.flushed_index:
            ready += self._for_flush.popleft().questions
        if ready:
            self._ask(ready)

    def _ask(self, questions: Iterable[Asked]) -> None:
        batch: list[tuple[int, forward_pb2.Question]] = []
        for asker, question in questions:
            self._ticket += 1
            self._asked[self._ticket] = asker
            batch.append((self._ticket, question))
        self._store.ask(batch)

    def pop(self, ticket: int) -> ReplyAddress | None:
        """Return who waits for an answer; None where nobody does any more."""
        return self._asked.pop(ticket, None)

    def clear_waiting(self) -> list[Asked]:
        """Give up waiting for flushes; return whose questions waited for one."""
        questions = [asked for confirmed in self._for_flush for asked in confirmed.questions]
        self._for_flush.clear()
        return questions

    def clear_asked(self) -> list[ReplyAddress]:
        """Give up waiting for the store; return who did."""
        askers = list(self._asked.values())
        self._asked.clear()
        return askers


class ReadQueue:
    """Questions on their way from the gateway to an answer.

    - A linearizable question is answered only from a state at or past the index that a quorum
      confirmed in a round begun after the question came.
    - A bounded question is answered from a state at or past the index of a round that began no
      longer before it than it allows, by this member's own steady clock.
    - Every offered question is answered exactly once, and their number is bounded.
    """

    def __init__(
        self, settings: NodeSettings, replies: Replies, machine: Machine, ports: Ports
    ) -> None:
        """Start with no question."""
        self._settings = settings
        self._replies = replies
        self._machine = machine
        self._rounds = QuorumRounds(ports.clock)
        self._store_reads = StoreReads(ports.store)
        self._stale: list[Asked] = []
        self._confirmed: deque[Confirmed] = deque()
        self._open = 0  # questions taken and not answered

    @property
    def caught_up(self) -> bool:
        """Whether the state holds what was committed when the leader was met, or later."""
        goal_index = self._rounds.goal_index
        return goal_index is not None and goal_index <= self._machine.applied_index

    def offer(self, session: int, questions: Iterable[forward_pb2.Question]) -> None:
        """Check and queue the questions of a frame; answer at once those that cannot be."""
        for question in questions:
            asker = ReplyAddress(session, question.id)
            if self._open >= self._settings.questions_waiting_max:
                self._replies.retry(asker, forward_pb2.RETRY_OVERLOADED)
                continue
            options = question.read_options
            problem = bounds.check_query(question.query) or bounds.check_read_options(options)
            if problem is not None:
                self._replies.refuse(asker, problem)
                continue
            self._open += 1
            self._queue(Asked(asker, question))

    def _queue(self, asked: Asked) -> None:
        """Let a question wait for what it needs."""
        options = asked.question.read_options
        match options.consistency:
            case inventory_pb2.CONSISTENCY_STALE:
                self._stale.append(asked)
            case inventory_pb2.CONSISTENCY_BOUNDED_STALENESS if (
                index := self._rounds.index_within(bounds.staleness_ms(options))
            ) is not None:
                self._confirmed.append(Confirmed(index, [asked]))
            case _:
                self._rounds.waiting.append(asked)

    def decline(
        self,
        session: int,
        questions: Iterable[forward_pb2.Question],
        retry: forward_pb2.Retry.ValueType,
    ) -> None:
        """Send the questions of a frame away."""
        for question in questions:
            self._replies.retry(ReplyAddress(session, question.id), retry)

    def begin(self, raft: RawNode) -> None:
        """Begin a round for all questions that wait, when none is outstanding."""
        self._send_away(self._rounds.begin(raft))

    def confirmed(self, reads: Iterable[ReadState]) -> None:
        """Take the index that a quorum confirmed."""
        for read in reads:
            confirmed = self._rounds.confirm(read)
            if confirmed is not None:
                self._confirmed.append(confirmed)

    def dropped(self, contexts: Iterable[int]) -> None:
        """Send away the questions of a round that leadership did not outlive."""
        self._send_away(self._rounds.drop(contexts))

    def stop(self) -> None:
        """Send away what no quorum has confirmed; other questions keep their answer."""
        self._send_away(self._rounds.clear())

    def abandon(self) -> None:
        """Send everybody away: the state may not be shown."""
        self.stop()
        for confirmed in self._confirmed:
            self._send_away(confirmed.questions)
        self._confirmed.clear()
        self._send_away(self._store_reads.clear_waiting())
        self._send_away(self._stale)
        self._stale = []
        for asker in self._store_reads.clear_asked():
            self._open -= 1
            self._replies.retry(asker, forward_pb2.RETRY_NOT_LEADER)

    def answer_applied(self, flusher: Flusher) -> None:
        """Answer what the machine has come far enough for."""
        if self._stale:
            stale, self._stale = self._stale, []
            held = flusher.is_full  # then what is flushed will not come nearer
            index = flusher.flushed_index if held else self._machine.applied_index
            self._answer(index, stale, flusher)
        while self._confirmed and self._confirmed[0].read_index <= self._machine.applied_index:
            index, questions = self._confirmed.popleft()
            self._answer(index, questions, flusher)

    def _answer(self, index: int, questions: list[Asked], flusher: Flusher) -> None:
        """Answer from memory, or let the store answer once it holds everything up to `index`."""
        for_store = [asked for asked in questions if not self._answer_from_memory(asked)]
        if for_store:
            self._store_reads.add(index, for_store, flusher)

    def flushed(self, flusher: Flusher, *, leads: bool) -> None:
        """Let the store answer what its state as flushed can answer.

        While a full disk keeps it from coming further, whoever waits for that is sent to the leader
        or, by the leader, refused.
        """
        self._store_reads.start(flusher)
        if flusher.is_full:
            questions = self._store_reads.clear_waiting()
            if leads:
                self._refuse(questions)
            else:
                self._send_away(questions)

    def _refuse(self, questions: Sequence[Asked]) -> None:
        self._open -= len(questions)
        for asked in questions:
            self._replies.refuse(asked.asker, errors.disk_full(self._settings.name))

    def answered(self, answers: Iterable[StoreAnswer]) -> None:
        """Pass on what the store said."""
        for answer in answers:
            asker = self._store_reads.pop(answer.ticket)
            if asker is None:
                continue
            self._open -= 1
            if answer.error:
                self._replies.refuse_raw(asker, answer.error)
            else:
                self._replies.answer(asker, answer.response)

    def _answer_from_memory(self, asked: Asked) -> bool:
        answer = self._machine.answer(asked.question)
        if answer is None:
            return False
        self._open -= 1
        if isinstance(answer, MutationOutcome):
            self._replies.answer(asked.asker, answer.outcome)
        else:
            self._replies.refuse_raw(asked.asker, answer.status)
        return True

    def _send_away(self, questions: list[Asked]) -> None:
        self._open -= len(questions)
        for asked in questions:
            self._replies.retry(asked.asker, forward_pb2.RETRY_NOT_LEADER)
