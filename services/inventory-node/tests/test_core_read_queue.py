"""Questions from their arrival to their answer, with quorum, state and database in hand."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from inventory_node.core.events import StoreAnswer
from inventory_node.core.node import NodeSettings, Ports
from inventory_node.core.read_index import Asked, ReadQueue, in_turns
from inventory_node.core.replies import Replies, ReplyAddress
from inventory_node.machine import MutationOutcome, RefusedCommand
from raft.ready import ReadState
from sim.manual_cluster import HandClock, HandTransport, get_all_items, get_item
from wire.errors import Reason, item_not_found, reason_of

if TYPE_CHECKING:
    from inventory_node.core.write.flusher import Flusher
    from inventory_node.machine import Machine
    from raft import RawNode

SESSION, OTHER = 7, 8
NOT_LEADER = forward_pb2.RETRY_NOT_LEADER
REFUSED_ITEM = 404  # that the machine does not know


@dataclass(slots=True)
class HandQuorum:
    """Consensus as far as reads go."""

    leader: int = 1
    takes: bool = True  # a read, when it is asked for one
    contexts: list[int] = field(default_factory=list)

    def read(self, context: int) -> bool:
        """Begin a round."""
        if self.takes and self.leader:
            self.contexts.append(context)
        return self.takes and bool(self.leader)


@dataclass(slots=True)
class HandState:
    """A state that answers by its index, and what the database holds of it."""

    applied_index: int = 0
    durable_index: int = 0
    is_full: bool = False
    hurried: list[int] = field(default_factory=list)

    def answer(self, question: forward_pb2.Question) -> MutationOutcome | RefusedCommand | None:
        """Answer reads by id."""
        if question.query.WhichOneof("query") != "get_item":
            return None
        if question.query.get_item.item_id == REFUSED_ITEM:
            return RefusedCommand(item_not_found(REFUSED_ITEM).SerializeToString())
        return MutationOutcome(b"%d" % self.applied_index)

    def hurry(self, index: int) -> None:
        """Keep what a flush was asked for."""
        self.hurried.append(index)


@dataclass(slots=True)
class HandStore:
    """A database that keeps the questions of each transaction, with the index that it shows."""

    state: HandState
    asked: list[list[tuple[int, int]]] = field(default_factory=list)  # tickets, by transaction

    def answer(self, questions: Sequence[tuple[int, forward_pb2.Question]]) -> None:
        """Begin a read transaction."""
        self.asked.append([(ticket, self.state.durable_index) for ticket, _ in questions])


class World:
    """A queue of questions with its neighbours in hand."""

    def __init__(self, questions_max: int = 100) -> None:
        """Begin with a known leader, and the round that is made for it."""
        self.quorum, self.state, self.clock = HandQuorum(), HandState(), HandClock()
        self.store, self.transport = HandStore(self.state), HandTransport()
        replies = Replies(self.transport, 1)
        replies.open(SESSION)
        self.replies = replies
        settings = NodeSettings(name="node-1", member_id=1, cluster_id="c", members={1: "node-1"})
        ports = cast("Ports", self)  # of which the clock and the store are used
        settings = replace(settings, questions_waiting_max=questions_max)
        self.queue = ReadQueue(settings, replies, cast("Machine", self.state), ports)
        self.commit = 0
        self.turn()

    def offer(self, *questions: forward_pb2.Question) -> None:
        """Offer the questions of a frame."""
        self.queue.offer(SESSION, questions)

    def turn(self, *, leads: bool = True) -> None:
        """Do what a node does after each event."""
        self.queue.begin(cast("RawNode", self.quorum))
        self.queue.answer_applied(cast("Flusher", self.state))
        self.queue.flushed(cast("Flusher", self.state), leads=leads)

    def confirm(self) -> None:
        """Let the newest round end at what is committed."""
        if self.quorum.contexts:
            self.queue.confirmed([ReadState(self.quorum.contexts[-1], self.commit)])

    def commit_one(self) -> None:
        """Commit an entry, which is applied later."""
        self.commit += 1

    def apply_all(self) -> None:
        """Apply what is committed."""
        self.state.applied_index = self.commit

    def flush(self) -> None:
        """Flush what is applied."""
        self.state.durable_index = self.state.applied_index

    def answer_asked(self) -> None:
        """Let the database answer all that it was asked."""
        asked, self.store.asked = self.store.asked, []
        for transaction in asked:
            self.queue.answered(
                [StoreAnswer(ticket, b"%d" % index, b"") for ticket, index in transaction]
            )

    def answers(self) -> dict[int, forward_pb2.Reply]:
        """Return the answers so far, each once."""
        self.replies.send()
        found: dict[int, forward_pb2.Reply] = {}
        for _, frame in self.transport.frames:
            for reply in frame.replies:
                assert reply.id not in found
                found[reply.id] = reply
        return found

    def retries(self) -> dict[int, forward_pb2.Retry.ValueType]:
        """Return which questions were answered with which retry."""
        answers = self.answers().items()
        return {number: reply.retry for number, reply in answers if reply.HasField("retry")}

    def go_on(self) -> None:
        """Let everything come to its end."""
        for _ in range(3):
            self.turn()
            self.confirm()
            self.apply_all()
            self.turn()
            self.flush()
            self.turn()
            self.answer_asked()


def stale(question: forward_pb2.Question) -> forward_pb2.Question:
    """Let a question be content with whatever a member holds."""
    question.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
    return question


def bounded(question: forward_pb2.Question, milliseconds: int) -> forward_pb2.Question:
    """Let a question be content with a state that is so old."""
    question.read_options.consistency = inventory_pb2.CONSISTENCY_BOUNDED_STALENESS
    question.read_options.max_staleness.FromMilliseconds(milliseconds)
    return question


KINDS = ["linearizable", "bounded", "stale"]
STEPS = ["ask", "ask", "commit", "turn", "confirm", "apply", "flush", "answer", "time"]


class FreshnessModel:
    """A queue of questions, and the oldest state that may answer each of them."""

    def __init__(self) -> None:
        """Begin with nothing committed."""
        self.world = World(questions_max=6)
        self.least: dict[int, int] = {}
        self.sent_away: set[int] = set()
        self.known: list[tuple[int, int]] = [(self.world.clock.ms, 0)]  # committed, since when

    def ask(self, number: int, kind: str, *, is_listed: bool) -> None:
        """Ask for a list or an item; past the bound a question is sent away."""
        is_over = len(self.least) + len(self.sent_away) - len(self.world.answers()) >= 6
        question = get_all_items(number) if is_listed else get_item(number)
        if kind == "stale":
            question = stale(question)
        elif kind == "bounded":
            question = bounded(question, 50)
        self.world.offer(question)
        since = self.world.clock.ms - 50
        old = max(index for ms, index in self.known if ms < since or index == 0)
        if is_over:
            self.sent_away.add(number)
        else:
            floors = {"linearizable": self.world.commit, "bounded": old, "stale": 0}
            self.least[number] = floors[kind]

    def do(self, step: str) -> None:
        """Let one thing happen beside the questions."""
        world = self.world
        match step:
            case "commit":
                world.commit_one()
                self.known.append((world.clock.ms, world.commit))
            case "turn":
                world.turn()
            case "confirm":
                world.confirm()
            case "apply":
                world.apply_all()
            case "flush":
                world.flush()
                world.turn()
            case "answer":
                world.answer_asked()
            case _:
                world.clock.ms += 30


@pytest.mark.parametrize("seed", range(20))
def test_no_question_is_answered_from_a_state_that_is_older_than_it_allows(seed: int) -> None:
    """And each is answered once, and at the end all are; past the bound they are sent away."""
    draw = random.Random(seed)
    model = FreshnessModel()
    for number in range(80):
        step = draw.choice(STEPS)
        if step == "ask":
            model.ask(number, draw.choice(KINDS), is_listed=draw.random() < 0.5)
        else:
            model.do(step)
    world, least, sent_away = model.world, model.least, model.sent_away
    world.go_on()
    answers = world.answers()
    assert answers.keys() == least.keys() | sent_away
    assert world.retries() == dict.fromkeys(sent_away, forward_pb2.RETRY_OVERLOADED)
    assert all(int(answers[number].answer) >= index for number, index in least.items())
    world.offer(*(get_item(100 + number) for number in range(8)))
    assert list(world.retries())[len(sent_away) :] == [106, 107], "all places are free again"


class TestRounds:
    """One at a time, each with a context of its own."""

    def test_a_round_is_made_for_a_leader_that_is_met_and_then_for_questions(self) -> None:
        """Not for nothing."""
        world = World()
        assert world.quorum.contexts == [1]
        world.turn()
        assert world.quorum.contexts == [1]
        world.confirm()
        world.turn()
        assert world.quorum.contexts == [1]
        world.offer(get_item(1))
        world.turn()
        world.offer(get_item(2))
        world.turn()
        assert world.quorum.contexts == [1, 2]
        world.confirm()
        assert world.answers() == {}
        world.turn()
        assert world.quorum.contexts == [1, 2, 3]
        assert list(world.answers()) == [1]

    def test_a_quorum_that_takes_no_read_is_asked_again(self) -> None:
        """A leader that has committed nothing in its term; the question waits."""
        world = World()
        world.confirm()
        world.quorum.takes = False
        world.offer(get_item(1))
        world.turn()
        assert world.answers() == {}
        world.quorum.takes = True
        world.turn()
        assert world.quorum.contexts == [1, 2]
        world.confirm()
        world.turn()
        assert list(world.answers()) == [1]

    def test_what_ends_another_round_is_ignored(self) -> None:
        """A confirmation or a loss that comes late, or twice."""
        world = World()
        world.confirm()
        world.offer(get_item(1))
        world.turn()
        world.queue.confirmed([ReadState(1, 0)])
        world.queue.dropped([1])
        world.turn()
        assert world.answers() == {}
        world.confirm()
        world.confirm()
        world.queue.dropped([2])
        world.turn()
        assert world.answers()[1].answer == b"0"

    def test_a_round_whose_lead_is_lost_sends_its_questions_away(self) -> None:
        """Those that came after its begin wait for the next one."""
        world = World()
        world.confirm()
        world.offer(get_item(1))
        world.turn()
        world.offer(get_item(2))
        world.queue.dropped([2])
        assert world.retries() == {1: NOT_LEADER}
        world.go_on()
        assert world.answers()[2].answer == b"0"

    def test_without_a_leader_questions_are_sent_away(self) -> None:
        """The index of the first round since the next leader is another goal."""
        world = World()
        world.confirm()
        assert world.queue.caught_up
        world.quorum.leader = 0
        world.offer(get_item(1))
        world.turn()
        assert world.retries() == {1: NOT_LEADER}
        assert not world.queue.caught_up
        world.quorum.leader = 2
        world.commit = 5
        world.turn()
        world.confirm()
        assert not world.queue.caught_up
        world.state.applied_index = 4
        assert not world.queue.caught_up
        world.state.applied_index = 5
        assert world.queue.caught_up
        world.commit = 9
        world.offer(get_item(2))
        world.turn()
        world.confirm()
        assert world.queue.caught_up, "the goal is that of the first round"

    def test_a_confirmed_round_serves_bounded_questions_for_a_while(self) -> None:
        """From its begin; a round under way does not count yet, nor does one that failed."""
        world = World()
        world.offer(bounded(get_item(1), 100))
        world.turn()
        assert world.answers() == {}
        world.clock.ms += 40
        world.confirm()
        world.turn()
        world.clock.ms += 60
        world.offer(bounded(get_item(2), 100))
        world.turn()
        assert list(world.answers()) == [2]
        world.clock.ms += 1
        world.offer(bounded(get_item(3), 100))
        world.turn()
        assert 3 not in world.answers()

    def test_before_the_first_round_nothing_is_known(self) -> None:
        """Also on a machine that has only just started."""
        world = World()
        world.clock.ms = 0
        world.offer(bounded(get_item(1), 100))
        world.turn()
        assert world.answers() == {}

    def test_nonsense_is_refused_at_once(self) -> None:
        """And takes no place."""
        world = World(questions_max=1)
        bad = get_item(1)
        bad.query.get_item.item_id = -1
        world.offer(bad, bounded(get_item(2), 0), get_item(3), get_item(4))
        errors = [world.answers()[number].error for number in (1, 2)]
        assert all(reason_of(error) is Reason.INVALID_FIELD for error in errors)
        assert world.retries() == {4: forward_pb2.RETRY_OVERLOADED}

    def test_questions_may_be_declined_unread(self) -> None:
        """With the retry that the caller chooses."""
        world = World()
        world.queue.decline(SESSION, [get_item(4)], forward_pb2.RETRY_OVERLOADED)
        assert world.retries() == {4: forward_pb2.RETRY_OVERLOADED}


class TestTheDatabase:
    """It is asked in one transaction for all that wait for the same flush."""

    def confirmed(self, *numbers: int, questions_max: int = 100) -> World:
        """Return a world that is past its first flush, with lists that wait for the next."""
        world = World(questions_max)
        world.confirm()
        world.commit = 3
        world.apply_all()
        for number in numbers:
            world.offer(get_all_items(number))
            world.turn()
            world.confirm()
            world.turn()
        return world

    def test_a_flush_is_hurried_and_serves_all(self) -> None:
        """What is flushed already needs none."""
        world = self.confirmed(1, 2)
        assert world.store.asked == []
        assert world.state.hurried == [3, 3]
        world.state.durable_index = 2
        world.turn()
        assert world.store.asked == []
        world.flush()
        world.turn()
        assert [[index for _, index in one] for one in world.store.asked] == [[3, 3]]
        world.offer(get_all_items(3))
        world.turn()
        world.confirm()
        world.turn()
        assert world.state.hurried == [3, 3]
        tickets = [ticket for one in world.store.asked for ticket, _ in one]
        assert len(set(tickets)) == 3
        world.answer_asked()
        assert sorted(world.answers()) == [1, 2, 3]

    def test_each_answer_goes_to_its_question(self) -> None:
        """In any order, with a refusal as a refusal; an answer to nobody is dropped."""
        world = self.confirmed(1, 2, 3, questions_max=3)
        world.flush()
        world.turn()
        [transaction] = world.store.asked
        one, two, three = (ticket for ticket, _ in transaction)
        refusal = item_not_found(9)
        world.queue.answered(
            [
                StoreAnswer(three, b"three", b""),
                StoreAnswer(99, b"nobody", b""),
                StoreAnswer(one, b"", refusal.SerializeToString()),
                StoreAnswer(three, b"again", b""),
                StoreAnswer(two, b"two", b""),
            ]
        )
        answers = world.answers()
        assert answers[1].error == refusal
        assert [answers[number].answer for number in (2, 3)] == [b"two", b"three"]
        world.offer(*(get_item(number) for number in range(4, 8)))
        assert list(world.retries()) == [7]

    @pytest.mark.parametrize("leads", [True, False])
    def test_a_full_database_answers_no_list_that_needs_a_flush(
        self,
        leads: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        """A leader refuses it, a follower sends it away; what is flushed is answered."""
        world = self.confirmed(1, 2, questions_max=5)
        world.state.is_full = True
        world.offer(stale(get_all_items(3)))
        world.turn(leads=leads)
        answers = world.answers()
        if leads:
            assert all(reason_of(answers[n].error) is Reason.DISK_FULL for n in (1, 2))
            assert "node-1" in answers[1].error.message
        else:
            assert world.retries() == dict.fromkeys((1, 2), NOT_LEADER)
        assert [[index for _, index in one] for one in world.store.asked] == [[0]]
        world.offer(*(get_item(number) for number in range(4, 10)))
        assert world.retries().keys() - {1, 2} == {8, 9}, "four places are free"
        world.answer_asked()
        assert world.answers()[3].answer == b"0"

    def test_a_stale_list_shows_what_is_applied_where_a_flush_is_possible(self) -> None:
        """It waits for the flush."""
        world = self.confirmed()
        world.offer(stale(get_all_items(1)))
        world.turn()
        assert world.state.hurried == [3]
        world.flush()
        world.turn()
        world.answer_asked()
        assert world.answers()[1].answer == b"3"


def everywhere() -> World:
    """Return a world with one question at each station on the way to its answer."""
    world = World(questions_max=6)
    world.confirm()
    world.commit = 3
    world.apply_all()
    world.flush()
    for index, number in enumerate((1, 2), start=3):
        world.commit = index
        world.apply_all()
        world.offer(get_all_items(number))
        world.turn()
        world.confirm()
        world.turn()  # 1 is with the database, 2 waits for a flush
    world.commit = 5
    world.offer(get_item(3))
    world.turn()
    world.confirm()  # 3 waits for the state
    world.offer(get_item(4))
    world.turn()  # 4 is in a round
    world.offer(get_item(5), stale(get_item(6)))
    assert world.answers() == {}
    return world


def test_a_member_that_stops_sends_away_what_no_quorum_has_confirmed() -> None:
    """The others are answered still."""
    world = everywhere()
    world.queue.stop()
    assert world.retries() == dict.fromkeys((4, 5), NOT_LEADER)
    world.go_on()
    assert sorted(world.answers()) == [1, 2, 3, 4, 5, 6]


def test_a_state_that_must_not_be_served_answers_nothing() -> None:
    """Every question is sent away, once, and every place is free."""
    world = everywhere()
    world.queue.abandon()
    assert world.retries() == dict.fromkeys(range(1, 7), NOT_LEADER)
    world.answer_asked()
    world.go_on()
    assert sorted(world.answers()) == [1, 2, 3, 4, 5, 6]
    world.offer(stale(get_item(7)), *(get_item(number) for number in range(8, 14)))
    assert list(world.retries())[6:] == [13]


def test_a_refusal_of_the_state_is_final() -> None:
    """An item that is not there; the question's place is free."""
    world = World(questions_max=1)
    for number in (1, 2):
        world.offer(get_item(number, REFUSED_ITEM))
        world.go_on()
        assert world.answers()[number].error == item_not_found(REFUSED_ITEM)


class TestGatewaysTakeTurns:
    """A gateway that floods waits behind itself, and leaves room for the others."""

    def test_one_gateway_does_not_take_every_place(self) -> None:
        """A part of the queue is for the others, until the flood is answered."""
        world = World(questions_max=16)
        world.replies.open(OTHER)
        world.offer(*map(get_item, range(1, 17)))
        world.queue.offer(OTHER, [get_item(number) for number in (17, 18, 19)])
        put_off = [number for number, reply in world.answers().items() if reply.retry]
        assert put_off == [15, 16, 19]

    def test_what_was_answered_makes_room(self) -> None:
        """Nothing is counted twice, nor forgotten."""
        world = World(questions_max=16)
        for first in (1, 15, 29):
            world.offer(*map(get_item, range(first, first + 14)))
            world.go_on()
        assert set(world.answers()) == set(range(1, 43))
        assert not world.retries()
        assert not world.queue._open_by_session

    def test_the_database_gets_one_question_of_each_in_turn(self) -> None:
        """Those that came first do not keep it from the others."""
        asked = [
            Asked(ReplyAddress(session, number), get_item(number))
            for session, number in ((1, 1), (1, 2), (1, 3), (2, 4), (3, 5), (2, 6))
        ]
        assert [one.asker.request for one in in_turns(asked)] == [1, 4, 5, 2, 6, 3]
        assert in_turns(asked[:3]) == asked[:3]
        assert in_turns([]) == []
