"""The parts of the router by themselves: whom it follows, and the frames that it makes."""

from typing import TypeAlias

import pytest
from gateway.leader_queue import FrameBounds, LeaderQueue
from gateway.leader_view import LeaderView
from gateway.pending_requests import PendingRequests
from gateway.requests import Request
from gateway.router import RouterSettings
from gateway.runtime.submit import SUBMISSIONS_PER_FRAME_MAX
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import forward_pb2
from wire.errors import Reason, reason_of

LEADERS = {1: "node-2", 2: "node-0", 3: "node-2", 4: "node-1"}  # by term
NAMES = ("node-0", "node-1", "node-2")
LARGEST_MUTATION = 256 << 10
Tale: TypeAlias = tuple[str, int, bool]  # who tells or leaves, a term, and whether its leader


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((*NAMES, "node-0 leaves", "the leader was wrong")),
            st.sampled_from(sorted(LEADERS)),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_the_leader_of_the_newest_term_is_followed_until_it_tells_that_it_leads_no_more(
    tales: list[Tale],
) -> None:
    """The newest term of which anybody named the leader; a view without a leader is its own."""
    view = LeaderView()
    newest, is_left = 0, False
    told = dict[str, str]()
    assert (view.term, view.leader) == (0, "")
    for who, term, names_leader in tales:
        before = (view.term, view.leader)
        leader = LEADERS[term] if names_leader else ""
        if who == "node-0 leaves":
            view.forget("node-0")
            told.pop("node-0", None)
        elif who == "the leader was wrong":
            view.forget_leader()
            is_left = True
        else:
            changed = view.update(who, forward_pb2.Leadership(term=term, leader=leader))
            told[who] = leader
            if names_leader and term >= newest:
                newest, is_left = term, False
            elif not names_leader and term >= newest and who == before[1]:
                is_left = True
            assert changed is ((view.term, view.leader) != before)
        followed = "" if is_left else LEADERS.get(newest, "")
        assert (view.term, view.leader) == (newest, followed)
        for name in set(NAMES) - {followed}:
            assert view.ways_to(name, NAMES) == []
        if followed:
            hearing = sorted(name for name in NAMES if told.get(name) == followed)
            others = sorted(set(NAMES) - set(hearing))
            assert view.ways_to(followed, NAMES[::-1]) == [*hearing, *others]


def command(number: int, size: int = 1) -> Request:
    """Return a command of so many bytes."""
    return Request(number, bytes(size), None, lambda _: None)


def question(number: int) -> Request:
    """Return a question."""
    return Request(number, b"", forward_pb2.Question(id=number), lambda _: None)


def frames(queue: LeaderQueue) -> list[tuple[list[int], list[int]]]:
    """Return the frames that may leave, as numbers of commands and of questions."""
    found = []
    while queue.may_send:
        frame = queue.take_frame("node-0")
        found.append(([one.id for one in frame.proposals], [one.id for one in frame.questions]))
    return found


def test_commands_and_questions_of_a_frame_are_counted_together() -> None:
    """A frame holds as many as it may; what is left leaves in the next."""
    queue = LeaderQueue(FrameBounds(requests_max=5, second_commands_min=1))
    for number in (1, 2, 3):
        queue.append(question(number))
    for number in (4, 5, 6):
        queue.append(command(number))
    assert frames(queue) == [([4, 5], [1, 2, 3]), ([6], [])]


def test_a_frame_is_full_when_its_commands_reach_its_bytes() -> None:
    """The last command may pass them. Questions have none, however many."""
    queue = LeaderQueue(FrameBounds(bytes_max=4, second_commands_min=1, in_flight_max=9))
    for number, size in enumerate((2, 2, 3, 2, 1), start=1):
        queue.append(command(number, size))
    assert frames(queue) == [([1, 2], []), ([3, 4], []), ([5], [])]
    for number in range(6, 16):
        queue.append(question(number))
    assert frames(queue) == [([], list(range(6, 16)))]


@pytest.mark.parametrize(("gathered", "sent"), [(63, []), (64, [64]), (512, [512]), (513, [512])])
def test_a_second_frame_leaves_for_many_commands_alone(gathered: int, sent: list[int]) -> None:
    """A whole frame of a client's stream leaves as one; one more command waits."""
    assert SUBMISSIONS_PER_FRAME_MAX == 512
    queue = LeaderQueue(RouterSettings(members=NAMES).frames)
    queue.append(command(0))
    assert frames(queue) == [([0], [])]
    for number in range(gathered):
        queue.append(command(number))
    assert [len(commands) for commands, _ in frames(queue)] == sent


def test_a_mutation_of_the_largest_size_fills_a_frame() -> None:
    """So a frame never holds two of the largest, and its message is far below gRPC's bound."""
    for size, taken in ((LARGEST_MUTATION - 1, [1, 2]), (LARGEST_MUTATION, [1])):
        queue = LeaderQueue(FrameBounds())
        queue.append(command(1, size))
        queue.append(command(2, size))
        assert frames(queue) == [(taken, [])]


def test_of_more_than_65_536_requests_the_last_are_refused() -> None:
    """What callers may have unanswered at a gateway, together."""
    told: list[object] = []
    pending = PendingRequests(RouterSettings(members=NAMES).pending_max)
    for _ in range(65_536):
        pending.admit(b"", None, 5_000, told.append)
    assert not told
    pending.admit(b"", None, 5_000, told.append)
    [refusal] = told
    assert isinstance(refusal, status_pb2.Status)
    assert reason_of(refusal) is Reason.OVERLOADED
    assert len(pending) == 65_536
