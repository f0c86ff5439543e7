"""Users take turns, and nobody fills the leader's frames while others order."""

from collections import deque

import pytest
from gateway.contention import ACTIVE_MS, WINDOW_MIN, Contention
from gateway.fair_line import FairLine
from gateway.leader_queue import FrameBounds, LeaderQueue
from gateway.requests import Request
from hypothesis import given
from hypothesis import strategies as st

ANN, BEN, CID = 1, 2, 3
USERS = (ANN, BEN, CID)
Event = tuple[str, int, int]


def request(number: int, user_id: int) -> Request:
    """Return a command of a user."""
    return Request(number, b"command", None, lambda _: None, user_id)


def taken(line: FairLine, count: int) -> list[int]:
    """Take so many requests of users who have room; return their numbers."""
    found = (line.take(lambda _: 1) for _ in range(count))
    return [one.id for one in found if one is not None]


def test_users_take_turns() -> None:
    """Whoever waits with many requests waits behind itself."""
    line = FairLine()
    for number in range(5):
        line.append(request(number, ANN))
    line.append(request(10, BEN))
    line.append(request(20, CID))
    line.append(request(11, BEN))
    assert taken(line, 9) == [0, 10, 20, 1, 11, 2, 3, 4]
    assert len(line) == 0


def test_a_user_without_room_is_passed_over() -> None:
    """And keeps its requests, in their order."""
    line = FairLine()
    for number in range(3):
        line.append(request(number, ANN))
    line.append(request(10, BEN))
    without_ann = {ANN: 0, BEN: 2}
    assert line.count_up_to(lambda user_id: without_ann[user_id]) == 1
    found = line.take(lambda user_id: without_ann[user_id])
    assert found is not None
    assert found.id == 10
    assert line.take(lambda user_id: without_ann[user_id]) is None
    assert line.count_up_to(lambda _: 2) == 2
    assert taken(line, 3) == [0, 1, 2]


EVENTS = st.tuples(
    st.sampled_from(("append", "prepend", "take", "end", "drop")),
    st.sampled_from(USERS),
    st.integers(0, 7),  # a bit for each user: whether it has room
)


@given(st.lists(EVENTS, max_size=60))
def test_a_line_holds_what_was_queued_and_takes_it_in_order(events: list[Event]) -> None:
    """By a plain line for each user: nothing is lost, doubled or taken out of turn."""
    line = FairLine()
    plain: dict[int, deque[Request]] = {user_id: deque() for user_id in USERS}
    for number, (what, user_id, rooms) in enumerate(events):
        with_room = {one for place, one in enumerate(USERS) if rooms >> place & 1}
        match what:
            case "append":
                plain[user_id].append(request(number, user_id))
                line.append(plain[user_id][-1])
            case "prepend":
                plain[user_id].appendleft(request(number, user_id))
                line.prepend(plain[user_id][0])
            case "end" if plain[user_id]:
                plain[user_id][0].is_done = True
            case "drop":
                line.drop_done()
                plain = {
                    one: deque(it for it in queue if not it.is_done) for one, queue in plain.items()
                }
                assert len(line) == sum(map(len, plain.values()))
            case "take":
                found = line.take(lambda one, some=with_room: one in some)  # type: ignore[misc]  # bound at once
                waiting = {one: [it.id for it in plain[one] if not it.is_done] for one in with_room}
                if found is None:
                    assert not any(waiting.values())
                else:
                    assert waiting[found.user_id][0] == found.id
                    plain[found.user_id].remove(found)
            case _:
                pass
    assert {one.id for one in line if not one.is_done} == {
        one.id for queue in plain.values() for one in queue if not one.is_done
    }
    assert len(line) == len(list(line))


def test_whoever_orders_alone_has_no_window() -> None:
    """However much it orders; nor has anybody while nobody orders."""
    contention = Contention()
    assert contention.window is None
    for _ in range(1_000):
        contention.begin(ANN)
    assert contention.window is None


def test_the_window_is_what_the_user_with_the_fewest_has() -> None:
    """And never so small that frames cost more than they carry."""
    contention = Contention()
    for _ in range(1_000):
        contention.begin(ANN)
    contention.begin(BEN)
    assert contention.window == WINDOW_MIN
    for _ in range(WINDOW_MIN + 7):
        contention.begin(BEN)
    assert contention.window == WINDOW_MIN + 8
    contention.end(BEN)
    assert contention.window == WINDOW_MIN + 7


def test_a_user_counts_for_a_moment_after_the_last_answer() -> None:
    """A client that orders again after each answer has nothing pending in between."""
    contention = Contention()
    contention.tick(5)
    contention.begin(ANN)
    contention.begin(BEN)
    contention.end(BEN)
    contention.tick(5 + ACTIVE_MS - 1)
    assert contention.window == WINDOW_MIN
    contention.begin(BEN)
    contention.tick(5 + 10 * ACTIVE_MS)
    assert contention.window == WINDOW_MIN
    contention.end(BEN)
    contention.tick(5 + 11 * ACTIVE_MS)
    assert contention.window is None
    contention.begin(BEN)
    assert contention.window == WINDOW_MIN


def test_no_more_than_the_window_of_a_user_is_in_frames() -> None:
    """Others' commands leave meanwhile; each answer makes room for one more."""
    queue = LeaderQueue(FrameBounds(in_flight_max=9, second_commands_min=1))
    queue.window = 2
    anns = [request(number, ANN) for number in range(5)]
    for one in anns:
        queue.append(one)
    assert [one.id for one in queue.take_frame("node-0").proposals] == [0, 1]
    assert not queue.may_send
    queue.append(request(10, BEN))
    assert queue.may_send
    assert [one.id for one in queue.take_frame("node-0").proposals] == [10]
    assert not queue.may_send
    queue.leave_frame(anns[1])
    assert [one.id for one in queue.take_frame("node-0").proposals] == [2]
    queue.window = None
    assert [one.id for one in queue.take_frame("node-0").proposals] == [3, 4]
    for one in anns:
        queue.leave_frame(one)
    queue.window = 1
    queue.append(request(5, ANN))
    assert queue.may_send


@pytest.mark.parametrize("window", [None, 2])
def test_only_what_may_leave_counts_for_a_second_frame(window: int | None) -> None:
    """A frame costs the leader the same however little it carries."""
    queue = LeaderQueue(FrameBounds(in_flight_max=2, second_commands_min=3))
    queue.window = window
    queue.append(request(9, BEN))
    queue.take_frame("node-0")
    for number in range(4):
        queue.append(request(number, ANN))
    assert queue.may_send == (window is None)
    queue.append(request(10, BEN))
    assert queue.may_send
