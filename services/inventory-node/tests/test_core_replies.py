"""Replies are gathered over a turn, in frames that fit a stream."""

from typing import cast

import pytest
from inventory.raft.v1 import forward_pb2
from inventory_node.core.replies import FRAME_BYTES_MAX, Replies, ReplyAddress
from inventory_node.machine import AdminOutcome, Applied, MutationOutcome, RefusedCommand
from inventory_node.ports import Contact
from sim.manual_cluster import HandTransport
from wire.errors import item_not_found


@pytest.fixture
def transport() -> HandTransport:
    """Return a transport that keeps what is sent."""
    return HandTransport()


@pytest.fixture
def answers(transport: HandTransport) -> Replies:
    """Return answers with session 1 open and greeted."""
    answers = Replies(transport, term=3)
    answers.open(1)
    answers.send()
    transport.frames.clear()
    return answers


def test_a_turn_is_one_frame_a_session(answers: Replies, transport: HandTransport) -> None:
    """In the order in which the answers were found."""
    answers.open(2)
    answers.answer(ReplyAddress(1, 10), b"a")
    answers.answer(ReplyAddress(2, 10), b"b")
    answers.answer(ReplyAddress(1, 11), b"c")
    answers.send()
    answers.send()
    found = {session: [reply.id for reply in frame.replies] for session, frame in transport.frames}
    assert found == {1: [10, 11], 2: [10]}
    assert len(transport.frames) == 2


def test_each_outcome_has_its_place(answers: Replies, transport: HandTransport) -> None:
    """Kept ones as they are in the log's memory, refusals as a status."""
    status = item_not_found(9)
    answers.answer_outcome(ReplyAddress(1, 1), MutationOutcome(b"kept"))
    answers.answer_outcome(ReplyAddress(1, 2), AdminOutcome(b"administered", checkpoint=False))
    answers.answer_outcome(ReplyAddress(1, 3), RefusedCommand(status.SerializeToString()))
    answers.retry(ReplyAddress(1, 4), forward_pb2.RETRY_OVERLOADED)
    answers.send()
    [(session, frame)] = transport.frames
    kept, administered, refused, retry = frame.replies
    assert (session, [reply.id for reply in frame.replies]) == (1, [1, 2, 3, 4])
    assert kept.outcome == b"kept"
    assert administered.administration == b"administered"
    assert refused.error == status
    assert retry.retry == forward_pb2.RETRY_OVERLOADED


def test_a_frame_does_not_grow_past_its_bound(answers: Replies, transport: HandTransport) -> None:
    """A full one leaves first; a single answer that is larger goes alone."""
    half = bytes(FRAME_BYTES_MAX // 2)
    for number in range(3):
        answers.answer(ReplyAddress(1, number), half)
    answers.answer(ReplyAddress(1, 3), bytes(2 * FRAME_BYTES_MAX))
    answers.send()
    sent = [(session, [reply.id for reply in frame.replies]) for session, frame in transport.frames]
    assert sent == [(1, [0, 1]), (1, [2]), (1, [3])]
    assert transport.frames[0][1].replies[0].answer == half


def test_a_whole_frame_fits_a_message_of_grpc() -> None:
    """Which is 4 MiB by default, and the largest answer of 3 MiB may come on top."""
    assert FRAME_BYTES_MAX + (3 << 20) <= 4 << 20


@pytest.mark.parametrize("closes", [False, True])
def test_a_frame_begins_empty(
    answers: Replies,
    transport: HandTransport,
    closes: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """What was sent before, or in a session of the same number, does not count; nor do retries."""
    answers.answer(ReplyAddress(1, 0), bytes(2 * FRAME_BYTES_MAX))
    if closes:
        answers.close(1)
        answers.open(1)
    else:
        answers.send()
    transport.frames.clear()
    answers.retry(ReplyAddress(1, 1), forward_pb2.RETRY_OVERLOADED)
    answers.answer(ReplyAddress(1, 2), bytes(FRAME_BYTES_MAX))
    answers.send()
    assert [len(frame.replies) for _, frame in transport.frames] == [2]


def test_after_a_frame_that_was_full_the_next_is_filled_as_far(
    answers: Replies, transport: HandTransport
) -> None:
    """Up to the bound exactly."""
    for number in range(4):
        answers.answer(ReplyAddress(1, number), bytes(FRAME_BYTES_MAX // 2))
    answers.send()
    assert [len(frame.replies) for _, frame in transport.frames] == [2, 2]


def test_a_session_is_told_who_leads_at_its_begin_and_at_each_change() -> None:
    """With the members that joined later; the same news is not told again."""
    transport = HandTransport()
    replies = Replies(transport, term=3)
    joined = [Contact("node-4", "host:4")]
    replies.open(2)
    replies.send()
    replies.announce(3, "", [])
    replies.send()
    for leader, members in (("node-1", []), ("node-1", joined), ("node-1", joined)):
        replies.announce(4, leader, members)
        replies.send()
    replies.open(1)
    replies.send()
    replies.announce(5, "node-2", joined)
    replies.send()
    located = [forward_pb2.Located(name="node-4", address="host:4")]
    told = [
        (2, forward_pb2.Leadership(term=3)),
        (2, forward_pb2.Leadership(term=4, leader="node-1")),
        (2, forward_pb2.Leadership(term=4, leader="node-1", members=located)),
        (1, forward_pb2.Leadership(term=4, leader="node-1", members=located)),
        (1, forward_pb2.Leadership(term=5, leader="node-2", members=located)),
        (2, forward_pb2.Leadership(term=5, leader="node-2", members=located)),
    ]
    assert [(session, frame.leadership) for session, frame in transport.frames] == told


def test_an_outcome_of_no_known_kind_ends_the_process(answers: Replies) -> None:
    """Its caller would wait for ever."""
    with pytest.raises(AssertionError, match="stranger"):
        answers.answer_outcome(ReplyAddress(1, 1), cast("Applied", "stranger"))


def test_a_session_that_ended_is_not_answered(answers: Replies, transport: HandTransport) -> None:
    """Neither what was gathered nor what comes later is kept."""
    answers.answer(ReplyAddress(1, 1), b"a")
    answers.close(1)
    answers.close(1)
    answers.close(2)  # had nothing to be told
    answers.answer(ReplyAddress(1, 2), b"b")
    answers.announce(4, "node-2", [])
    answers.send()
    assert transport.frames == []
