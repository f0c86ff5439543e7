"""The router, with links that only remember the frames that were sent."""

import weakref
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import pytest
from gateway.leader_queue import FrameBounds
from gateway.router import Router, RouterSettings
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from wire import errors
from wire.errors import Reason, details_of, reason_of

if TYPE_CHECKING:
    from gateway.requests import Answer

NAMES = ("node-0", "node-1", "node-2")
STALE = inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_STALE)


class Links:
    """Remembers frames."""

    def __init__(self) -> None:
        """Start empty."""
        self.met: dict[str, str] = {}
        self.sent: list[tuple[str, forward_pb2.ForwardRequest]] = []

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """Keep a frame."""
        self.sent.append((member, request))

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """Remember the members that joined later."""
        self.met |= members
        self.met = {name: self.met[name] for name in self.met if name in known}

    def take(self) -> list[tuple[str, list[bytes]]]:
        """Return and forget the frames, as member and commands."""
        sent, self.sent = self.sent, []
        return [(to, [one.command for one in frame.proposals]) for to, frame in sent]


class Bench:
    """A router, its links, and the answers that callers got."""

    def __init__(self, frames: FrameBounds | None = None, **bounds: int) -> None:
        """Open links to all members; nobody leads yet."""
        self.links = Links()
        settings = RouterSettings(members=NAMES, frames=frames or FrameBounds(), **bounds)
        self.router = Router(settings, self.links)
        self.told: dict[bytes, list[Answer]] = {}
        for name in NAMES:
            self.router.link_opened(name)

    def lead(self, term: int, leader: str, says: str = "node-1") -> None:
        """Have a member push its view."""
        leadership = forward_pb2.Leadership(term=term, leader=leader)
        self.router.response_received(says, forward_pb2.ForwardResponse(leadership=leadership))
        self.router.pump()

    def propose(self, command: bytes, deadline_ms: int = 5_000) -> int:
        """Propose a command."""
        self.told[command] = []
        number = self.router.propose(command, deadline_ms, self.told[command].append)
        self.router.pump()
        return number

    def reply(self, member: str, number: int, **result: object) -> None:
        """Have a member answer one request."""
        reply = forward_pb2.Reply(id=number, **result)  # type: ignore[arg-type]  # by name
        self.router.response_received(member, forward_pb2.ForwardResponse(replies=[reply]))
        self.router.pump()

    def outcome(self, command: bytes) -> bytes:
        """Return the one outcome that a caller got."""
        [answer] = self.told[command]
        assert isinstance(answer, forward_pb2.Reply)
        return answer.outcome

    def reason(self, command: bytes) -> Reason | None:
        """Return the reason of the one refusal that a caller got."""
        [answer] = self.told[command]
        assert isinstance(answer, status_pb2.Status)
        return reason_of(answer)

    def refusal(self, command: bytes) -> status_pb2.Status:
        """Return the one refusal that a caller got."""
        [answer] = self.told[command]
        assert isinstance(answer, status_pb2.Status)
        return answer


def test_a_command_waits_for_a_leader_and_goes_there() -> None:
    """The command's bytes and the outcome's bytes pass unchanged."""
    bench = Bench()
    number = bench.propose(b"one")
    assert bench.links.take() == []
    bench.lead(1, "node-0")
    assert bench.links.take() == [("node-0", [b"one"])]
    bench.reply("node-0", number, outcome=b"done")
    assert bench.outcome(b"one") == b"done"
    assert len(bench.router.pending) == 0


def test_a_candidate_that_nobody_hears_changes_nothing() -> None:
    """It loses its power before its term is on its disk, or its disk hangs; the others go on.

    Found by the simulator, seeds 599 and 920: the gateway waited for a leader of the later term.
    """
    bench = Bench()
    for name in NAMES:
        bench.lead(2, "node-0", says=name)
    bench.lead(3, "", says="node-2")
    bench.propose(b"one")
    assert bench.links.take() == [("node-0", [b"one"])]
    bench.router.link_closed("node-2")
    bench.router.pump()
    assert (bench.router.term, bench.router.leader) == (2, "node-0")


def test_an_elected_leader_is_followed_though_a_candidate_was_heard_before() -> None:
    """The candidate's term is higher, and known to the candidate alone."""
    bench = Bench()
    bench.lead(9, "", says="node-2")
    bench.propose(b"one")
    assert bench.links.take() == []
    bench.lead(2, "node-0", says="node-1")
    assert bench.links.take() == [("node-0", [b"one"])]


def test_a_leader_that_tells_that_it_leads_no_more_is_left() -> None:
    """In its term, or in a later one that the leader heard of; whoever is elected is followed."""
    for term in (2, 3):
        bench = Bench()
        bench.lead(2, "node-0", says="node-0")
        bench.propose(b"one")
        assert bench.links.take() == [("node-0", [b"one"])]
        bench.lead(term, "", says="node-0")
        assert (bench.router.leader, bench.links.take()) == ("", [])
        bench.lead(3, "node-1", says="node-2")
        assert bench.links.take() == [("node-1", [b"one"])]


def test_commands_that_queue_behind_a_frame_leave_as_one() -> None:
    """Commands gather while a frame is under way, and leave together, in order."""
    bench = Bench()
    bench.lead(1, "node-0")
    numbers = [bench.propose(b"%d" % n) for n in range(6)]
    assert bench.links.take() == [("node-0", [b"0"])]
    bench.reply("node-0", numbers[0], outcome=b"x")
    assert bench.links.take() == [("node-0", [b"1", b"2", b"3", b"4", b"5"])]


def test_a_large_frame_leaves_beside_another() -> None:
    """Two frames are in flight at most: commands for a third frame gather."""
    bench = Bench(FrameBounds(second_commands_min=3))
    bench.lead(1, "node-0")
    numbers = [bench.propose(b"%d" % n) for n in range(8)]
    assert [len(commands) for _, commands in bench.links.take()] == [1, 3]
    bench.reply("node-0", numbers[0], outcome=b"x")
    assert [len(commands) for _, commands in bench.links.take()] == [4]


def test_a_frame_is_bounded_by_count_and_by_bytes() -> None:
    """No frame holds more than it may."""
    bench = Bench(FrameBounds(requests_max=2, in_flight_max=9, second_commands_min=0))
    for n in range(5):
        bench.propose(b"%d" % n)
    bench.lead(1, "node-0")
    assert [len(commands) for _, commands in bench.links.take()] == [2, 2, 1]
    bench = Bench(FrameBounds(bytes_max=3, in_flight_max=9, second_commands_min=0))
    for n in range(3):
        bench.propose(b"%d%d" % (n, n))
    bench.lead(1, "node-0")
    assert [len(commands) for _, commands in bench.links.take()] == [2, 1]


def test_a_later_term_moves_everything_unanswered_at_once() -> None:
    """The stopped leader's socket still accepts bytes; the next leader gets them too, in order."""
    bench = Bench()
    bench.lead(1, "node-0")
    numbers = [bench.propose(b"%d" % n) for n in range(3)]
    bench.links.take()
    bench.lead(2, "node-2", says="node-2")
    assert bench.links.take() == [("node-2", [b"0", b"1", b"2"])]
    bench.reply("node-2", numbers[0], outcome=b"x")
    bench.reply("node-0", numbers[0], outcome=b"late")
    assert bench.outcome(b"0") == b"x"


def test_an_earlier_term_is_not_followed() -> None:
    """A member that was away pushes an old view when it comes back."""
    bench = Bench()
    bench.lead(5, "node-0")
    bench.lead(4, "node-1")
    bench.lead(5, "", says="node-2")
    assert (bench.router.term, bench.router.leader) == (5, "node-0")


def test_a_final_answer_of_a_left_leader_counts() -> None:
    """That leader applied the entry, so a retry would find the same outcome."""
    bench = Bench()
    bench.lead(1, "node-0")
    number = bench.propose(b"one")
    bench.lead(2, "node-1")
    bench.reply("node-0", number, outcome=b"done")
    assert bench.outcome(b"one") == b"done"


def test_a_retry_of_a_left_leader_does_not() -> None:
    """The request is with another member by then."""
    bench = Bench()
    bench.lead(1, "node-0")
    number = bench.propose(b"one")
    bench.lead(2, "node-1")
    bench.links.take()
    bench.reply("node-0", number, retry=forward_pb2.RETRY_UNKNOWN)
    assert bench.links.take() == []


def test_an_unknown_fate_is_sent_again() -> None:
    """The retry has the same bytes; the members' memory of requests makes it harmless."""
    bench = Bench()
    bench.lead(1, "node-0")
    number = bench.propose(b"one")
    bench.links.take()
    bench.reply("node-0", number, retry=forward_pb2.RETRY_UNKNOWN)
    assert bench.links.take() == [("node-0", [b"one"])]


def test_a_member_that_does_not_lead_is_not_asked_again() -> None:
    """Until a later term says who leads, requests wait."""
    bench = Bench()
    bench.lead(1, "node-0")
    number = bench.propose(b"one")
    bench.links.take()
    bench.reply("node-0", number, retry=forward_pb2.RETRY_NOT_LEADER)
    assert bench.links.take() == []
    bench.lead(2, "node-1")
    assert bench.links.take() == [("node-1", [b"one"])]


def test_an_overloaded_leader_is_given_a_pause() -> None:
    """The request goes again later, not at once."""
    bench = Bench(overloaded_pause_ms=50)
    bench.lead(1, "node-0")
    number = bench.propose(b"one")
    bench.links.take()
    bench.reply("node-0", number, retry=forward_pb2.RETRY_OVERLOADED)
    bench.router.tick(49)
    assert bench.links.take() == []
    bench.router.tick(50)
    assert bench.links.take() == [("node-0", [b"one"])]


@pytest.mark.parametrize(
    ("came_back", "reason"),
    [
        ([forward_pb2.RETRY_OVERLOADED], Reason.OVERLOADED),
        ([forward_pb2.RETRY_NOT_LEADER, forward_pb2.RETRY_OVERLOADED], Reason.OVERLOADED),
        ([forward_pb2.RETRY_UNKNOWN, forward_pb2.RETRY_OVERLOADED], Reason.DEADLINE),
        ([forward_pb2.RETRY_OVERLOADED, forward_pb2.RETRY_UNKNOWN], Reason.DEADLINE),
        ([forward_pb2.RETRY_NOT_LEADER], Reason.NO_QUORUM),
    ],
)
def test_a_command_put_off_to_the_end_was_not_done(
    came_back: list[forward_pb2.Retry.ValueType], reason: Reason
) -> None:
    """RESOURCE_EXHAUSTED says that nothing was done: only where no member may have proposed it."""
    bench = Bench(overloaded_pause_ms=50)
    number = bench.propose(b"one", deadline_ms=300)
    for at, why in enumerate(came_back):
        bench.router.tick(60 * at)  # what paused is over
        bench.lead(at + 1, f"node-{at}")
        assert bench.links.take()[-1] == (f"node-{at}", [b"one"])
        bench.reply(f"node-{at}", number, retry=why)
    bench.router.tick(300)
    assert bench.reason(b"one") is reason


def test_a_refusal_before_the_log_does_not_answer_for_another_leader() -> None:
    """The first leader may have proposed the command; the next leader cannot know that."""
    bench = Bench(overloaded_pause_ms=50)
    bench.lead(1, "node-0")
    number = bench.propose(b"one", deadline_ms=300)
    bench.lead(2, "node-1")
    bench.reply("node-1", number, error=errors.disk_full("node-1"))
    assert bench.told[b"one"] == []
    bench.links.take()
    bench.router.tick(50)
    assert bench.links.take() == [("node-1", [b"one"])]
    bench.reply("node-1", number, outcome=b"it was done")
    assert bench.outcome(b"one") == b"it was done"
    number = bench.propose(b"two")
    bench.reply("node-1", number, error=errors.disk_full("node-1"))
    [answer] = bench.told[b"two"]
    assert reason_of(answer.error) is Reason.DISK_FULL


def test_a_command_that_an_overloaded_leader_has_again_may_be_done() -> None:
    """The leader had room at the second time, and has not answered."""
    bench = Bench(overloaded_pause_ms=50)
    bench.lead(1, "node-0")
    number = bench.propose(b"one", deadline_ms=300)
    bench.reply("node-0", number, retry=forward_pb2.RETRY_OVERLOADED)
    bench.router.tick(50)
    bench.router.tick(300)
    assert bench.reason(b"one") is Reason.DEADLINE


def test_a_link_that_closes_gives_back_what_it_had() -> None:
    """The requests are sent again when the leader's link is back."""
    bench = Bench()
    bench.lead(1, "node-0")
    bench.propose(b"one")
    bench.links.take()
    bench.router.link_closed("node-0")
    bench.router.pump()
    assert bench.links.take() == []
    bench.router.link_opened("node-0")
    bench.router.pump()
    assert bench.links.take() == [("node-0", [b"one"])]


def test_without_a_leader_the_deadline_says_no_quorum() -> None:
    """With a leader, the deadline says that the time was up."""
    bench = Bench()
    bench.propose(b"one", deadline_ms=100)
    bench.router.tick(99)
    assert bench.told[b"one"] == []
    bench.router.tick(100)
    assert bench.reason(b"one") is Reason.NO_QUORUM
    bench.lead(1, "node-0")
    number = bench.propose(b"two", deadline_ms=200)
    bench.router.tick(200)
    assert bench.reason(b"two") is Reason.DEADLINE
    bench.reply("node-0", number, outcome=b"late")
    assert len(bench.told[b"two"]) == 1


def test_a_cancelled_request_is_told_nothing_and_frees_the_window() -> None:
    """Its caller is gone."""
    bench = Bench(FrameBounds(in_flight_max=1))
    bench.lead(1, "node-0")
    number = bench.propose(b"one")
    bench.propose(b"two")
    bench.links.take()
    bench.router.cancel(number)
    bench.router.pump()
    assert bench.links.take() == [("node-0", [b"two"])]
    assert bench.told[b"one"] == []


def test_past_its_bound_the_gateway_refuses_at_once() -> None:
    """The number of pending requests is bounded."""
    bench = Bench(pending_max=1)
    bench.propose(b"one")
    bench.propose(b"two")
    assert bench.reason(b"two") is Reason.OVERLOADED


def test_a_command_that_is_cancelled_while_it_waits_is_not_sent() -> None:
    """Nobody waits for it, and nobody has proposed it."""
    bench = Bench()
    number = bench.propose(b"one")
    bench.propose(b"two")
    bench.router.cancel(number)
    bench.lead(1, "node-0")
    assert bench.links.take() == [("node-0", [b"two"])]


@pytest.mark.parametrize("consistency", [None, STALE])
def test_of_requests_that_were_all_cancelled_no_frame_is_made(
    consistency: inventory_pb2.ReadOptions | None,
) -> None:
    """While they waited; a frame costs the member that gets it."""
    bench = Bench()
    for name in NAMES:
        bench.router.link_closed(name)
    cancelled = bench.propose(b"one")
    question = forward_pb2.Question(read_options=consistency)
    for number in (cancelled, bench.router.ask(question, 5_000, lambda _: None)):
        bench.router.cancel(number)
    bench.router.link_opened("node-0")
    bench.lead(1, "node-0")
    assert bench.links.sent == []


def test_a_cancel_after_the_answer_changes_nothing() -> None:
    """The answer and the caller's end may cross."""
    bench = Bench()
    bench.lead(1, "node-0")
    number = bench.propose(b"one")
    bench.reply("node-0", number, outcome=b"done")
    bench.router.cancel(number)
    assert bench.outcome(b"one") == b"done"


def test_a_reply_to_who_has_gone_holds_up_no_other_of_its_frame() -> None:
    """A frame of replies is read to its end."""
    bench = Bench()
    for command in (b"one", b"two"):
        bench.propose(command)
    bench.lead(1, "node-0")
    [(_, frame)] = bench.links.sent
    first, second = (one.id for one in frame.proposals)
    bench.router.cancel(first)
    replies = [forward_pb2.Reply(id=number, outcome=b"done") for number in (first, second)]
    bench.router.response_received("node-0", forward_pb2.ForwardResponse(replies=replies))
    assert bench.outcome(b"two") == b"done"


def test_a_request_is_counted_each_time_it_is_sent_again() -> None:
    """Sent back by a member, taken from a closed link, or asked of another member as well."""
    bench = Bench(hedge_after_ms=250)
    bench.lead(1, "node-0")

    def sent_again() -> int:
        bench.router.pump()
        frames = [frame for _, frame in bench.links.sent]
        sent = [one.id for frame in frames for one in frame.proposals]
        sent += [one.id for frame in frames for one in frame.questions]
        return len(sent) - len(set(sent))

    assert (bench.router.retries, sent_again()) == (0, 0)
    number = bench.propose(b"one")
    for times in (1, 2):
        bench.reply("node-0", number, retry=forward_pb2.RETRY_UNKNOWN)
        assert (bench.router.retries, sent_again()) == (times, times)
    bench.router.ask(forward_pb2.Question(), 5_000, lambda _: None)
    for times in (4, 6):
        bench.router.pump()
        bench.router.link_closed("node-0")
        bench.router.link_opened("node-0")
        assert (sent_again(), bench.router.retries) == (times, times)
    TestRelaxedQuestions.ask(bench, b"read")
    for times in (7, 8):
        bench.router.tick(250 * (times - 6))
        assert (bench.router.retries, sent_again()) == (times, times)


def test_every_request_is_counted_by_what_became_of_it() -> None:
    """Answered by a member, overdue, or refused for want of room; a cancelled request is none."""
    bench = Bench(pending_max=2)
    pending = bench.router.pending

    def counts() -> tuple[int, int, int]:
        return pending.answered_count, pending.unanswered_count, pending.overloaded_count

    assert counts() == (0, 0, 0)
    bench.lead(1, "node-0")
    for times in (1, 2):
        number = bench.propose(b"answered", 1_000 * times)
        bench.propose(b"overdue", 100 * times)
        bench.propose(b"refused")
        bench.reply("node-0", number, outcome=b"done")
        bench.router.cancel(bench.propose(b"cancelled"))
        bench.router.tick(100 * times)
        assert counts() == (times, times, times)


class Caller:
    """Waits for an answer."""

    def told(self, answer: object) -> None:
        """Take it."""


@pytest.mark.parametrize("kind", ["command", "question", "stale read"])
def test_what_has_ended_is_let_go_while_nobody_can_be_reached(kind: str) -> None:
    """The callers of ended requests are never more than those that wait."""
    bench = Bench()
    for name in NAMES:
        bench.router.link_closed(name)
    question = forward_pb2.Question(read_options=STALE if kind == "stale read" else None)

    def begin(deadline_ms: int) -> "weakref.ref[Caller]":
        caller = Caller()
        if kind == "command":
            bench.router.propose(b"one", deadline_ms, caller.told)
        else:
            bench.router.ask(question, deadline_ms, caller.told)
        return weakref.ref(caller)

    waiting = [begin(5_000) for _ in range(3)]
    ending = [begin(100) for _ in range(4)]
    bench.router.tick(99)
    assert all(one() for one in (*waiting, *ending))
    bench.router.tick(100)
    assert all(one() for one in waiting)
    assert not any(one() for one in ending)


def test_questions_pass_a_full_window() -> None:
    """A read does not wait for a frame of commands."""
    bench = Bench(FrameBounds(in_flight_max=1))
    bench.lead(1, "node-0")
    bench.propose(b"one")
    bench.propose(b"two")
    bench.links.take()
    told: list[Answer] = []
    number = bench.router.ask(forward_pb2.Question(user_id=1), 5_000, told.append)
    bench.router.pump()
    [(to, frame)] = bench.links.sent
    assert (to, [question.id for question in frame.questions]) == ("node-0", [number])
    assert not frame.proposals
    bench.reply("node-0", number, answer=b"seen")
    assert [one.answer for one in told if isinstance(one, forward_pb2.Reply)] == [b"seen"]


def test_questions_are_not_counted_by_bytes() -> None:
    """The bound in bytes is for what members have to sync."""
    bench = Bench(FrameBounds(bytes_max=1))
    for _ in range(3):
        bench.router.ask(forward_pb2.Question(), 5_000, lambda _: None)
    bench.lead(1, "node-0")
    assert [len(frame.questions) for _, frame in bench.links.sent] == [3]


class TestRelaxedQuestions:
    """Reads that need not see the newest state are spread over the members."""

    @staticmethod
    def ask(bench: Bench, name: bytes) -> None:
        """Ask for a stale answer."""
        question = forward_pb2.Question()
        question.query.get_item.item_id = 1
        question.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
        bench.told[name] = []
        bench.router.ask(question, 5_000, bench.told[name].append)
        bench.router.pump()

    def test_they_go_to_members_in_turn_without_a_leader(self) -> None:
        """A member that cannot be reached is passed over."""
        bench = Bench()
        bench.router.link_closed("node-1")
        for name in (b"1", b"2", b"3"):
            self.ask(bench, name)
        assert [member for member, _ in bench.links.take()] == ["node-2", "node-0", "node-2"]

    def test_one_that_comes_back_goes_to_the_leader(self) -> None:
        """A member that is cut off knows no recent state."""
        bench = Bench()
        bench.lead(1, "node-0")
        self.ask(bench, b"1")
        [(member, _)] = bench.links.take()
        assert member == "node-1"
        bench.reply("node-1", 1, retry=forward_pb2.RETRY_NOT_LEADER)
        assert [member for member, _ in bench.links.take()] == ["node-0"]
        assert bench.router.leader == "node-0", "the leader did not say so"

    def test_one_that_the_leader_sends_back_goes_to_another_member(self) -> None:
        """The leader may have taken itself out of service; other members can answer."""
        bench = Bench()
        bench.lead(1, "node-1")
        self.ask(bench, b"1")
        [(first, _)] = bench.links.take()
        assert first == "node-1"
        bench.reply("node-1", 1, retry=forward_pb2.RETRY_NOT_LEADER)
        [(second, _)] = bench.links.take()
        assert second != "node-1"
        bench.reply(second, 1, answer=b"seen")
        assert isinstance(bench.told[b"1"][0], forward_pb2.Reply)

    def test_one_whose_link_closes_goes_to_another_member(self) -> None:
        """No leader is needed, and none is there."""
        bench = Bench()
        self.ask(bench, b"1")
        [(first, _)] = bench.links.take()
        bench.router.link_closed(first)
        bench.router.pump()
        [(second, _)] = bench.links.take()
        assert second != first

    def test_one_that_waits_for_a_leader_that_is_lost_goes_to_another_member(self) -> None:
        """One frame may send the read back and say that nobody leads."""
        bench = Bench()
        bench.lead(1, "node-0")
        self.ask(bench, b"1")
        [(first, _)] = bench.links.take()
        reply = forward_pb2.Reply(id=1, retry=forward_pb2.RETRY_NOT_LEADER)
        leadership = forward_pb2.Leadership(term=2)
        response = forward_pb2.ForwardResponse(replies=[reply], leadership=leadership)
        bench.router.response_received(first, response)
        bench.router.pump()
        [(second, _)] = bench.links.take()
        assert second != first

    def test_one_that_an_overloaded_member_sends_back_needs_no_leader(self) -> None:
        """After the pause another member is asked."""
        bench = Bench()
        self.ask(bench, b"1")
        [(first, _)] = bench.links.take()
        bench.reply(first, 1, retry=forward_pb2.RETRY_OVERLOADED)
        assert bench.links.take() == []
        bench.router.tick(50)
        [(second, _)] = bench.links.take()
        assert second != first

    def test_one_that_everybody_sends_back_rests(self) -> None:
        """Each member is asked once, then the read pauses; the next round is the same."""
        bench = Bench()
        self.ask(bench, b"1")
        for now_ms in (249, 499):
            asked = self.refused_by_all(bench)
            assert sorted(asked) == sorted(NAMES)
            bench.router.tick(now_ms)
            assert bench.links.take() == []
            bench.router.tick(now_ms + 1)
        [(last, _)] = bench.links.take()
        bench.reply(last, 1, answer=b"seen")
        assert isinstance(bench.told[b"1"][0], forward_pb2.Reply)

    def test_one_that_rests_goes_to_a_leader_at_once(self) -> None:
        """A question of bounded staleness is answered as soon as a leader is reached."""
        bench = Bench()
        self.ask(bench, b"1")
        self.refused_by_all(bench)
        bench.lead(1, "node-2")
        assert [member for member, _ in bench.links.take()] == ["node-2"]

    def test_one_that_everybody_sends_back_holds_up_no_other(self) -> None:
        """A member that sends a question of bounded staleness back may answer another question."""
        bench = Bench()
        self.ask(bench, b"1")
        self.refused_by_all(bench)
        self.ask(bench, b"2")
        assert len(bench.links.take()) == 1

    def test_a_member_gets_none_back_that_it_sent_away(self) -> None:
        """Reads of one frame came back from different members, and go to different members."""
        bench = Bench()
        bench.router.link_closed("node-2")
        for name in (b"1", b"2"):
            self.ask(bench, name)
        assert [member for member, _ in bench.links.take()] == ["node-1", "node-0"]
        replies = (("node-1", 1), ("node-0", 2))
        for member, number in replies:
            reply = forward_pb2.Reply(id=number, retry=forward_pb2.RETRY_NOT_LEADER)
            bench.router.response_received(member, forward_pb2.ForwardResponse(replies=[reply]))
        bench.router.pump()
        again = [(to, [one.id for one in frame.questions]) for to, frame in bench.links.sent]
        assert again == [("node-0", [1]), ("node-1", [2])]

    def test_one_that_the_leader_keeps_for_long_is_asked_of_the_next(self) -> None:
        """The leader got the read after another member sent it back; then the leader stopped."""
        bench = Bench()
        bench.lead(1, "node-0")
        self.ask(bench, b"1")
        bench.reply("node-1", 1, retry=forward_pb2.RETRY_NOT_LEADER)
        assert [member for member, _ in bench.links.take()] == ["node-1", "node-0"]
        bench.router.tick(250)
        [(third, _)] = bench.links.take()
        assert third != "node-0"

    @staticmethod
    def refused_by_all(bench: Bench) -> list[str]:
        """Have each member that is asked send the question back; return the members asked."""
        asked = []
        while sent := bench.links.take():
            [(member, _)] = sent
            asked.append(member)
            assert len(asked) <= len(NAMES), "no pause"
            bench.reply(member, 1, retry=forward_pb2.RETRY_NOT_LEADER)
        return asked

    def test_one_that_is_not_answered_soon_is_asked_of_the_next(self) -> None:
        """A stopped member's socket accepts questions; the first answer counts, once."""
        bench = Bench()
        self.ask(bench, b"1")
        [(first, _)] = bench.links.take()
        bench.router.tick(249)
        assert bench.links.take() == []
        bench.router.tick(250)
        [(second, _)] = bench.links.take()
        assert first != second
        bench.reply(first, 1, answer=b"late")
        bench.reply(second, 1, answer=b"too")
        [answer] = bench.told[b"1"]
        assert isinstance(answer, forward_pb2.Reply)
        assert answer.answer == b"late"


def test_a_detour_goes_first_by_members_that_hear_the_leader() -> None:
    """Members that hear from the leader come first; a stream to a follower gets no detour."""
    bench = Bench()
    bench.lead(1, "node-2", says="node-2")
    bench.lead(1, "node-2", says="node-0")
    bench.lead(1, "node-2", says="node-1")
    bench.router.link_closed("node-2")
    assert bench.router.ways_to("node-2", ["node-1", "node-0"]) == ["node-0", "node-1"]
    bench.lead(1, "", says="node-0")
    assert bench.router.ways_to("node-2", ["node-1", "node-0"]) == ["node-1", "node-0"]
    bench.router.link_closed("node-1")
    bench.router.link_opened("node-1")
    assert bench.router.ways_to("node-2", ["node-1", "node-0"]) == ["node-0", "node-1"]
    assert bench.router.ways_to("node-1", ["node-0"]) == []


GET_ITEM = forward_pb2.Query(get_item=inventory_pb2.GetItemRequest(item_id=1))
WHO = forward_pb2.Query(get_current_user=auth_pb2.GetCurrentUserRequest())


@pytest.mark.parametrize("leads", [False, True])
@pytest.mark.parametrize(
    ("query", "options", "who", "names_stale"),
    [
        (GET_ITEM, None, "No majority", True),
        (WHO, None, "No majority", False),
        (GET_ITEM, STALE, "No member", False),
    ],
)
def test_a_read_that_nobody_answered_changed_nothing(
    *,
    leads: bool,
    query: forward_pb2.Query,
    options: inventory_pb2.ReadOptions | None,
    who: str,
    names_stale: bool,
) -> None:
    """A read has no request id to try again with; the refusal says how to read all the same."""
    bench = Bench()
    if leads:
        bench.lead(1, "node-0")
    bench.told[b"read"] = []
    question = forward_pb2.Question(query=query, read_options=options)
    bench.router.ask(question, 100, bench.told[b"read"].append)
    bench.router.tick(100)
    status = bench.refusal(b"read")
    assert reason_of(status) is (Reason.DEADLINE if leads else Reason.NO_QUORUM)
    assert status.message.startswith(f"{who} of the inventory's members answered in time")
    assert "nothing was changed" in status.message
    assert "request id" not in status.message
    assert ("CONSISTENCY_STALE" in status.message) is names_stale
    assert details_of(status) == ({"retry_with": "CONSISTENCY_STALE"} if names_stale else {})


def test_a_read_that_has_moved_is_not_hedged_for_the_member_that_had_it() -> None:
    """The time of a hedge counts from the last member that was asked."""
    bench = Bench(hedge_after_ms=250)
    bench.lead(1, "node-0")
    question = forward_pb2.Question()
    question.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
    number = bench.router.ask(question, 5_000, lambda _: None)
    bench.router.pump()
    [(first, _)] = bench.links.sent
    bench.router.tick(200)
    bench.reply(first, number, retry=forward_pb2.RETRY_OVERLOADED)
    bench.router.tick(249)
    frames = len(bench.links.sent)
    assert frames == 1
    bench.router.tick(250)
    asked = [len(frame.questions) for _, frame in bench.links.sent]
    assert asked == [1, 1], "its pause is over"
    bench.router.tick(499)
    assert len(bench.links.sent) == 2


def test_members_that_joined_later_are_met() -> None:
    """Members are met before one of them leads; a view of an earlier term changes nothing."""
    bench = Bench()
    joined = forward_pb2.Located(name="node-3", address="host:1")
    leadership = forward_pb2.Leadership(term=2, leader="node-3", members=[joined])
    bench.propose(b"1")
    bench.router.response_received("node-1", forward_pb2.ForwardResponse(leadership=leadership))
    assert bench.links.met == {"node-3": "host:1"}
    assert bench.links.take() == []
    bench.router.link_opened("node-3")
    bench.router.pump()
    assert bench.links.take() == [("node-3", [b"1"])]
    follower = forward_pb2.Leadership(term=2, leader="node-3")
    bench.router.response_received("node-0", forward_pb2.ForwardResponse(leadership=follower))
    assert bench.links.met == {"node-3": "host:1"}, "it does not know yet"
    later = forward_pb2.Leadership(term=2, leader="node-3")
    later.members.add(name="node-4", address="host:2")
    bench.router.response_received("node-1", forward_pb2.ForwardResponse(leadership=later))
    assert bench.links.met == {"node-3": "host:1", "node-4": "host:2"}, "in the same term"
    stale = forward_pb2.Leadership(term=1, members=[forward_pb2.Located(name="x", address="y:1")])
    bench.router.response_received("node-0", forward_pb2.ForwardResponse(leadership=stale))
    assert bench.links.met == {"node-3": "host:1", "node-4": "host:2"}
    left = forward_pb2.Leadership(term=3, leader="node-1")
    bench.router.response_received("node-1", forward_pb2.ForwardResponse(leadership=left))
    assert bench.links.met == {}, "the leader knows who takes part"
