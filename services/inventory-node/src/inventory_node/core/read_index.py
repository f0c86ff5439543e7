"""Linearizable reads on any member: one quorum round for all waiting questions (dissertation §6.4).

A question joins a round only if the round begins after the question arrived. So the index that the
quorum confirms covers every write that was acknowledged before the question. A bounded question may
use an earlier round. A stale question needs no round. The machine answers reads by id once the
machine has applied the read index. Reads that need the database wait together for a flush that
covers the read index.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import zip_longest
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

KEPT_PART = 8  # one in so many open questions is of another gateway than the one with the most


class Asked(NamedTuple):
    """A question, and the address of the gateway that waits for the answer."""

    asker: ReplyAddress
    question: forward_pb2.Question


class Confirmed(NamedTuple):
    """Questions that may be answered from any state at `read_index` or later."""

    read_index: int
    questions: list[Asked]


def in_turns(questions: list[Asked]) -> list[Asked]:
    """Return questions so that the gateways take turns, one question each."""
    lines: dict[int, list[Asked]] = {}
    for asked in questions:
        lines.setdefault(asked.asker.session, []).append(asked)
    if len(lines) <= 1:
        return questions
    turns = zip_longest(*lines.values())
    return [asked for turn in turns for asked in turn if asked is not None]


class QuorumRounds:
    """The rounds in which a quorum confirms a read index.

    - At most one round is outstanding; its context is used once.
    - A question joins a round only if the round begins after the question arrived.
    - While a leader is known, one round is made even without a question. A member has caught up
      once the member has applied the read index of that round.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with no question, and no round."""
        self.waiting: list[Asked] = []  # for the next round
        self.goal_index: int | None = None  # read index of the first round since a leader is known
        self._clock = clock
        self._round: list[Asked] | None = None
        self._round_ms = 0  # when the outstanding round began
        self._known_ms = 0  # when the last confirmed round began
        self._known_index: int | None = None  # its read index; None: no round was confirmed
        self._context = 0

    def index_within(self, staleness_ms: int) -> int | None:
        """Return the last confirmed read index, if its round began at most `staleness_ms` ago."""
        is_fresh = self._clock.elapsed_ms() - self._known_ms <= staleness_ms
        return self._known_index if is_fresh else None

    def begin(self, raft: RawNode) -> list[Asked]:
        """Begin a round if none is outstanding; return the questions that cannot be served."""
        if not raft.leader:
            self.goal_index = None  # without a leader, the commit index is unknown
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
        """End the outstanding round with the read index that a quorum confirmed."""
        if read.context != self._context or self._round is None:
            return None
        questions, self._round = self._round, None
        self._known_ms, self._known_index = self._round_ms, read.index
        if self.goal_index is None:
            self.goal_index = read.index
        return Confirmed(read.index, questions)

    def drop(self, contexts: Iterable[int]) -> list[Asked]:
        """End the outstanding round if its leadership ended; return the round's questions."""
        if self._context not in contexts or self._round is None:
            return []
        questions, self._round = self._round, None
        return questions

    def clear(self) -> list[Asked]:
        """End the outstanding round; return the questions of the round and of the queue."""
        questions = self.waiting + (self._round or [])
        self.waiting, self._round = [], None
        return questions


class StoreReads:
    """Questions for the database: each waits for a flush, and then for the store's answer."""

    def __init__(self, store: Store) -> None:
        """Start with no question."""
        self._store = store
        self._for_flush: deque[Confirmed] = deque()
        self._asked: dict[int, ReplyAddress] = {}  # by ticket
        self._ticket = 0

    def ask_at(self, index: int, questions: list[Asked], flusher: Flusher) -> None:
        """Let the store answer the questions once the store holds every entry up to `index`."""
        if index <= flusher.durable_index:
            self._ask(questions)
        else:
            self._for_flush.append(Confirmed(index, questions))
            flusher.hurry(index)

    def start(self, flusher: Flusher) -> None:
        """Ask the store, in one transaction, all questions that the flushed state can answer."""
        ready: list[Asked] = []
        while self._for_flush and self._for_flush[0].read_index <= flusher.durable_index:
            ready += self._for_flush.popleft().questions
        if ready:
            self._ask(ready)

    def _ask(self, questions: Iterable[Asked]) -> None:
        batch: list[tuple[int, forward_pb2.Question]] = []
        for asker, question in questions:
            self._ticket += 1
            self._asked[self._ticket] = asker
            batch.append((self._ticket, question))
        self._store.answer(batch)

    def pop(self, ticket: int) -> ReplyAddress | None:
        """Return the address that waits for an answer; None if the question was given up."""
        return self._asked.pop(ticket, None)

    def clear_waiting(self) -> list[Asked]:
        """Give up waiting for flushes; return the questions that waited for a flush."""
        questions = [asked for confirmed in self._for_flush for asked in confirmed.questions]
        self._for_flush.clear()
        return questions

    def clear_asked(self) -> list[ReplyAddress]:
        """Give up waiting for the store; return the addresses that waited for the store."""
        askers = list(self._asked.values())
        self._asked.clear()
        return askers


class ReadQueue:
    """Questions on their way from the gateway to an answer.

    - A linearizable question is answered only from a state at or past a read index. A quorum
      confirmed the read index in a round that began after the question arrived.
    - A bounded question is answered from a state at or past an earlier round's read index. That
      round is no older than the question allows, by this member's own steady clock.
    - Every offered question is answered exactly once, and the number of open questions is bounded,
      in total and of one gateway.
    - The database gets the questions of the gateways in turns.
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
        self._open_by_session: Counter[int] = Counter()

    @property
    def caught_up(self) -> bool:
        """Whether the state holds every entry that was committed when the leader became known."""
        goal_index = self._rounds.goal_index
        return goal_index is not None and goal_index <= self._machine.applied_index

    def offer(self, session: int, questions: Iterable[forward_pb2.Question]) -> None:
        """Check and queue the questions of a frame; answer at once where queueing fails."""
        for question in questions:
            asker = ReplyAddress(session, question.id)
            if self._is_full(session):
                self._replies.retry(asker, forward_pb2.RETRY_OVERLOADED)
                continue
            options = question.read_options
            problem = bounds.check_query(question.query) or bounds.check_read_options(options)
            if problem is not None:
                self._replies.refuse(asker, problem)
                continue
            self._open += 1
            self._open_by_session[session] += 1
            self._queue(Asked(asker, question))

    def _is_full(self, session: int) -> bool:
        """Tell whether no question of a gateway may be taken; some are kept for the others."""
        most = self._settings.questions_waiting_max
        return self._open >= most or self._open_by_session[session] >= most - most // KEPT_PART

    def _close(self, askers: Iterable[ReplyAddress]) -> None:
        """Count questions that are answered."""
        for asker in askers:
            self._open -= 1
            self._open_by_session[asker.session] -= 1
            if not self._open_by_session[asker.session]:
                del self._open_by_session[asker.session]

    def _queue(self, asked: Asked) -> None:
        """Queue a question by its consistency."""
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
        """Answer the questions of a frame with `retry`."""
        for question in questions:
            self._replies.retry(ReplyAddress(session, question.id), retry)

    def begin(self, raft: RawNode) -> None:
        """Begin a round for all waiting questions, unless a round is outstanding."""
        self._send_away(self._rounds.begin(raft))

    def confirmed(self, reads: Iterable[ReadState]) -> None:
        """Take the read indexes that a quorum confirmed."""
        for read in reads:
            confirmed = self._rounds.confirm(read)
            if confirmed is not None:
                self._confirmed.append(confirmed)

    def dropped(self, contexts: Iterable[int]) -> None:
        """Answer with a retry the questions of rounds whose leadership ended."""
        self._send_away(self._rounds.drop(contexts))

    def stop(self) -> None:
        """Answer unconfirmed questions with a retry; confirmed questions stay queued."""
        self._send_away(self._rounds.clear())

    def abandon(self) -> None:
        """Answer every question with a retry: the state must not be served."""
        self.stop()
        for confirmed in self._confirmed:
            self._send_away(confirmed.questions)
        self._confirmed.clear()
        self._send_away(self._store_reads.clear_waiting())
        self._send_away(self._stale)
        self._stale = []
        for asker in self._store_reads.clear_asked():
            self._close([asker])
            self._replies.retry(asker, forward_pb2.RETRY_NOT_LEADER)

    def answer_applied(self, flusher: Flusher) -> None:
        """Answer the questions whose read index the machine has applied."""
        if self._stale:
            stale, self._stale = self._stale, []
            held = flusher.is_full  # a full disk keeps the flushed index from advancing
            index = flusher.durable_index if held else self._machine.applied_index
            self._answer(index, stale, flusher)
        while self._confirmed and self._confirmed[0].read_index <= self._machine.applied_index:
            index, questions = self._confirmed.popleft()
            self._answer(index, questions, flusher)

    def _answer(self, index: int, questions: list[Asked], flusher: Flusher) -> None:
        """Answer from memory, or let the store answer once the store holds `index`."""
        for_store = in_turns([one for one in questions if not self._answer_from_memory(one)])
        if for_store:
            self._store_reads.ask_at(index, for_store, flusher)

    def flushed(self, flusher: Flusher, *, leads: bool) -> None:
        """Let the store answer the questions that the flushed state can answer.

        A full disk keeps the flushed index from advancing. A follower then answers the questions
        that wait for a flush with a retry, and a leader refuses these questions.
        """
        self._store_reads.start(flusher)
        if flusher.is_full:
            questions = self._store_reads.clear_waiting()
            if leads:
                self._refuse(questions)
            else:
                self._send_away(questions)

    def _refuse(self, questions: Sequence[Asked]) -> None:
        self._close(asked.asker for asked in questions)
        for asked in questions:
            self._replies.refuse(asked.asker, errors.disk_full(self._settings.name))

    def answered(self, answers: Iterable[StoreAnswer]) -> None:
        """Send the store's answers to the gateways."""
        for answer in answers:
            asker = self._store_reads.pop(answer.ticket)
            if asker is None:
                continue
            self._close([asker])
            if answer.error:
                self._replies.refuse_raw(asker, answer.error)
            else:
                self._replies.answer(asker, answer.response)

    def _answer_from_memory(self, asked: Asked) -> bool:
        answer = self._machine.answer(asked.question)
        if answer is None:
            return False
        self._close([asked.asker])
        if isinstance(answer, MutationOutcome):
            self._replies.answer(asked.asker, answer.outcome)
        else:
            self._replies.refuse_raw(asked.asker, answer.status)
        return True

    def _send_away(self, questions: list[Asked]) -> None:
        self._close(asked.asker for asked in questions)
        for asked in questions:
            self._replies.retry(asked.asker, forward_pb2.RETRY_NOT_LEADER)
