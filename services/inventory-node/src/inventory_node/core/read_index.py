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

from inventory_node.core.events import Answer
from inventory_node.core.replies import Asker, Replies
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.core.write.flusher import Flusher
from inventory_node.machine import Machine, MutationOutcome


class Asked(NamedTuple):
    """A question and who waits for its answer."""

    asker: Asker
    question: forward_pb2.Question


class Confirmed(NamedTuple):
    """Questions that may be answered from any state at `read_index` or later."""

    read_index: int
    questions: list[Asked]


class ReadQueue:
    """Questions on their way from the gateway to an answer.

    - A linearizable question is answered only from a state at or past the index that a quorum
      confirmed in a round begun after the question came.
    - A bounded question is answered from a state at or past the index of a round that began no
      longer before it than it allows, by this member's own steady clock.
    - One round is outstanding at most; its context is used once.
    - Every offered question is answered exactly once, and their number is bounded.
    - While a leader is known, one round is made even when nobody asks: a member has caught up once
      it has applied what the leader had committed when it was met.
    """

    def __init__(
        self, settings: NodeSettings, replies: Replies, machine: Machine, ports: Ports
    ) -> None:
        """Start with no question."""
        self._settings = settings
        self._replies = replies
        self._machine = machine
        self._store = ports.store
        self._clock = ports.clock
        self._stale: list[Asked] = []
        self._waiting: list[Asked] = []
        self._round: list[Asked] | None = None
        self._round_ms = 0  # when it began
        self._known_ms = 0  # when the last confirmed round began
        self._known_index: int | None = None  # what it confirmed; None: there was none
        self._goal_index: int | None = None  # of the first round since a leader is known
        self._context = 0
        self._confirmed: deque[Confirmed] = deque()
        self._for_flush: deque[Confirmed] = deque()
        self._in_store: dict[int, Asker] = {}
        self._ticket = 0
        self._open = 0  # questions taken and not answered

    @property
    def caught_up(self) -> bool:
        """Whether the state holds what was committed when the leader was met, or later."""
        return self._goal_index is not None and self._goal_index <= self._machine.applied_index

    def offer(self, session: int, questions: Iterable[forward_pb2.Question]) -> None:
        """Check and queue the questions of a frame; answer at once those that cannot be."""
        for question in questions:
            asker = Asker(session, question.id)
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
                self._known_index is not None
                and self._clock.elapsed_ms() - self._known_ms <= bounds.staleness_ms(options)
            ):
                self._confirmed.append(Confirmed(self._known_index, [asked]))
            case _:
                self._waiting.append(asked)

    def decline(
        self,
        session: int,
        questions: Iterable[forward_pb2.Question],
        retry: forward_pb2.Retry.ValueType,
    ) -> None:
        """Send the questions of a frame away."""
        for question in questions:
            self._replies.retry(Asker(session, question.id), retry)

    def begin(self, raft: RawNode) -> None:
        """Begin a round for all questions that wait, when none is outstanding."""
        if not raft.leader:
            self._goal_index = None  # nobody knows what is committed meanwhile
        if self._round is not None or not (self._waiting or self._goal_index is None):
            return
        if raft.read(self._context + 1):
            self._context += 1
            self._round, self._waiting = self._waiting, []
            self._round_ms = self._clock.elapsed_ms()
        elif not raft.leader:
            self._send_away(self._waiting)
            self._waiting = []

    def confirmed(self, reads: Iterable[ReadState]) -> None:
        """Take the index that a quorum confirmed."""
        for read in reads:
            if read.context == self._context and self._round is not None:
                self._confirmed.append(Confirmed(read.index, self._round))
                self._known_ms, self._known_index = self._round_ms, read.index
                self._round = None
                if self._goal_index is None:
                    self._goal_index = read.index

    def dropped(self, contexts: Iterable[int]) -> None:
        """Send away the questions of a round that leadership did not outlive."""
        if self._context in contexts and self._round is not None:
            self._send_away(self._round)
            self._round = None

    def stop(self) -> None:
        """Send away what no quorum has confirmed; other questions keep their answer."""
        self._send_away(self._waiting)
        self._waiting = []
        if self._round is not None:
            self._send_away(self._round)
            self._round = None

    def abandon(self) -> None:
        """Send everybody away: the state may not be shown."""
        self.stop()
        for confirmed in (*self._confirmed, *self._for_flush):
            self._send_away(confirmed.questions)
        self._confirmed.clear()
        self._for_flush.clear()
        self._send_away(self._stale)
        self._stale = []
        for asker in self._in_store.values():
            self._open -= 1
            self._replies.retry(asker, forward_pb2.RETRY_NOT_LEADER)
        self._in_store.clear()

    def applied(self, flusher: Flusher) -> None:
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
        if not for_store:
            return
        if index <= flusher.flushed_index:
            self._ask_store(for_store)
        else:
            self._for_flush.append(Confirmed(index, for_store))
            flusher.ask(index)

    def flushed(self, flusher: Flusher, *, leads: bool) -> None:
        """Ask the store, in one transaction, what its state as flushed can answer.

        While a full disk keeps it from coming further, whoever waits for that is sent to the leader
        or, by the leader, refused.
        """
        ready: list[Asked] = []
        while self._for_flush and self._for_flush[0].read_index <= flusher.flushed_index:
            ready += self._for_flush.popleft().questions
        if ready:
            self._ask_store(ready)
        while self._for_flush and flusher.is_full:
            questions = self._for_flush.popleft().questions
            if leads:
                self._refuse(questions)
            else:
                self._send_away(questions)

    def _refuse(self, questions: Sequence[Asked]) -> None:
        self._open -= len(questions)
        for asked in questions:
            self._replies.refuse(asked.asker, errors.disk_full(self._settings.name))

    def _ask_store(self, questions: Iterable[Asked]) -> None:
        batch: list[tuple[int, forward_pb2.Question]] = []
        for asker, question in questions:
            self._ticket += 1
            self._in_store[self._ticket] = asker
            batch.append((self._ticket, question))
        self._store.ask(batch)

    def answered(self, answers: Iterable[Answer]) -> None:
        """Pass on what the store said."""
        for answer in answers:
            asker = self._in_store.pop(answer.ticket, None)
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
