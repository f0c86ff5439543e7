"""The router against a model of what members told it, whatever happens in whatever order."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

import pytest
from gateway.leader_queue import FrameBounds
from gateway.router import Router, RouterSettings
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from wire import errors
from wire.errors import Reason, reason_of

FOUNDERS = ("node-0", "node-1", "node-2")
NAMES = (*FOUNDERS, "node-3", "node-4", "node-5")
JOINED = NAMES[len(FOUNDERS) :]
DEADLINE_MS = 400
ROUNDS_MAX = 50
USERS = 2
RETRIES = (
    forward_pb2.RETRY_NOT_LEADER,
    forward_pb2.RETRY_OVERLOADED,
    forward_pb2.RETRY_UNKNOWN,
)
Event: TypeAlias = tuple[str, int, int, int]
OFTEN = ("push", "propose", "retry", "tick")
KINDS = (*OFTEN, *OFTEN, "open", "close", "ask", "cancel", "refuse", "answer")
EVENTS = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 5),
    st.integers(0, 7),
    st.integers(0, 7),
)


class ModelLinks:
    """Has the members to whom links are wanted, and what each was sent and has not answered."""

    def __init__(self) -> None:
        """Start with the founders."""
        self.wanted = set(FOUNDERS)
        self.held: dict[int, str] = {}  # a request's number to the member that was sent it last
        self.doubted: set[int] = set()  # commands that a member was sent, and took no answer of

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """Keep what a member has."""
        proposed = [one.id for one in request.proposals]
        for number in (*proposed, *(one.id for one in request.questions)):
            self.held[number] = member

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """Have links to those who are known."""
        self.wanted |= members.keys()
        self.wanted &= set(known)

    def lose(self, members: Iterable[str]) -> None:
        """See members lose what they have."""
        for number in [one for one, member in self.held.items() if member in members]:
            del self.held[number]
            self.doubted.add(number)


class RouterModel:
    """A router amid events, and what must be known of it after each.

    - The leader of the newest term of which a member names the leader is followed, until the leader
      itself tells that it leads no more. The term of a candidate counts for nothing.
    - Known members are the founders and whoever the newest leader named; of the same term, whoever
      another member named as well.
    - A request is answered once, by a refusal only if no member may have taken it.
    - A user counts as many unanswered commands as the user waits for, and no more in frames.
    """

    def __init__(self) -> None:
        """Open links to the founders; nobody leads yet."""
        self.links = ModelLinks()
        bounds = FrameBounds(second_commands_min=2, requests_max=3)
        shape = RouterSettings(members=FOUNDERS, frames=bounds, pending_max=12)
        self.router = Router(shape, self.links)
        self.now_ms = 0
        self.members = set(FOUNDERS)
        self.leaders: dict[int, str] = {}  # by term
        self.answers: dict[int, int] = {}  # of a request: how many
        self.commands: set[int] = set()
        self.cancelled: set[int] = set()
        self.numbers = 0
        self.router.tick(0)
        for name in FOUNDERS:
            self.router.link_opened(name)

    def take(self, event: Event) -> None:
        """Let one thing happen."""
        what, first, second, third = event
        match what:
            case "push":
                self.push(NAMES[first], 1 + second // 2, third)
            case "open" if NAMES[first] in self.links.wanted - self.router._open:
                self.router.link_opened(NAMES[first])
            case "close" if NAMES[first] in self.router._open:
                self.links.lose({NAMES[first]})
                self.router.link_closed(NAMES[first])
            case "propose" | "ask":
                self.begin(what, stale=second % 2 == 1)
            case "cancel" if self.numbers:
                self.cancel(1 + (first + 6 * second) % self.numbers)
            case "tick":
                self.now_ms += (1, 10, 60, 300)[first % 4]
                self.router.tick(self.now_ms)
            case "retry" | "refuse" | "answer":
                self.reply(what, first, second)
            case _:
                pass
        self.router.pump()
        self.check_counts()

    def check_counts(self) -> None:
        """Require that whatever was counted for a command is given back when the command ends."""
        waiting = self.router.pending._requests.values()
        commands = [one for one in waiting if one.question is None]
        counted = Counter(self.router.pending.contention._unanswered)
        assert +counted == Counter(one.user_id for one in commands)
        framed = [one for one in commands if one.frame is not None]
        queue = self.router._leader_queue
        assert queue._in_flight == Counter(one.user_id for one in framed)
        assert queue._frames_in_flight == len({id(one.frame) for one in framed})

    def push(self, teller: str, term: int, chosen: int) -> None:
        """Have a member tell its view; a term has one leader, and the leader names anybody."""
        if teller not in self.router._open:
            return
        leader = self.leaders.setdefault(term, NAMES[chosen % len(NAMES)]) if chosen < 6 else ""
        joined = {name for place, name in enumerate(JOINED) if (chosen + term) >> place & 1}
        view = forward_pb2.Leadership(term=term, leader=leader)
        for name in sorted(joined):
            view.members.add(name=name, address="host:1")
        before = (self.router.term, self.router.leader)
        after = before
        if term >= before[0]:
            self.members = joined | (set(FOUNDERS) if leader == teller else self.members)
        if leader and (term > before[0] or before == (term, "")):
            after = (term, leader)
        elif not leader and teller == before[1] and term >= before[0]:
            after = (before[0], "")
        if after != before:
            self.links.lose(set(NAMES) - {leader})
        self.router.response_received(teller, forward_pb2.ForwardResponse(leadership=view))
        assert (self.router.term, self.router.leader) == after
        assert set(self.router._members) == self.links.wanted == self.members
        assert len(self.router._members) == len(self.members)

    def begin(self, what: str, *, stale: bool) -> None:
        """Propose or ask."""
        self.numbers += 1
        number = self.numbers
        self.answers[number] = 0

        def told(answer: forward_pb2.Reply | status_pb2.Status) -> None:
            self.answers[number] += 1
            self.links.held.pop(number, None)
            is_refused = (
                reason_of(answer) is Reason.OVERLOADED
                if isinstance(answer, status_pb2.Status)
                else answer.HasField("error")
            )
            assert not (is_refused and number in self.commands & self.links.doubted)

        deadline_ms = self.now_ms + DEADLINE_MS
        if what == "propose":
            self.commands.add(number)
            user_id = 1 + number % USERS
            assert self.router.propose(b"command", deadline_ms, told, user_id) == number
            return
        question = forward_pb2.Question()
        question.query.get_item.item_id = 1
        if stale:
            question.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
        assert self.router.ask(question, deadline_ms, told) == number

    def cancel(self, number: int) -> None:
        """See a caller go."""
        if not self.answers[number]:
            self.cancelled.add(number)
            self.links.held.pop(number, None)
            self.router.cancel(number)

    def reply(self, what: str, first: int, second: int) -> None:
        """Have a member reply to one of the requests that it has."""
        if not self.links.held:
            return
        number = sorted(self.links.held)[first % len(self.links.held)]
        member = self.links.held[number]
        reply = forward_pb2.Reply(id=number)
        if what == "retry":
            reply.retry = RETRIES[second % len(RETRIES)]
            del self.links.held[number]
            if reply.retry == forward_pb2.RETRY_UNKNOWN:
                self.links.doubted.add(number)
        elif what == "refuse":
            reply.error.CopyFrom(errors.disk_full(member))
            del self.links.held[number]  # answered, or tried again
        else:
            reply.outcome = b"done"
        self.router.response_received(member, forward_pb2.ForwardResponse(replies=[reply]))

    def recover(self) -> None:
        """Have a leader that answers everything at once."""
        term = max([self.router.term, *self.leaders]) + 1
        for name in sorted(self.links.wanted - self.router._open):
            self.router.link_opened(name)
        self.push("node-1", term + 9, 6)  # a candidate that nobody hears, and who was elected
        self.push("node-0", term, 0)
        self.router.pump()
        assert (self.router.leader, self.router.term) == ("node-0", term)
        for _ in range(ROUNDS_MAX):
            self.now_ms += 1
            self.router.tick(self.now_ms)
            while self.links.held:
                self.reply("answer", 0, 0)
                self.router.pump()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=60))
def test_every_request_ends_once_and_the_newest_members_are_known(events: list[Event]) -> None:
    """Whatever members tell, lose and answer; in the end a leader answers what is left."""
    model = RouterModel()
    for event in events:
        model.take(event)
    model.recover()
    for number, answers in model.answers.items():
        is_cancelled = number in model.cancelled
        assert answers == (not is_cancelled), f"request {number} was answered {answers} times"
    model.check_counts()
    assert len(model.router.pending) == 0
