"""Replies are gathered over a turn, in frames that fit a stream."""

import pytest
from inventory.raft.v1 import forward_pb2
from inventory_node.core.replies import FRAME_BYTES_MAX, Replies, ReplyAddress
from inventory_node.machine import AdminOutcome, MutationOutcome, RefusedCommand
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
    kept, administered, refused, retry = transport.frames[0][1].replies
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
    assert [len(frame.replies) for _, frame in transport.frames] == [2, 1, 1]


def test_a_session_that_ended_is_not_answered(answers: Replies, transport: HandTransport) -> None:
    """Neither what was gathered nor what comes later is kept."""
    answers.answer(ReplyAddress(1, 1), b"a")
    answers.close(1)
    answers.answer(ReplyAddress(1, 2), b"b")
    answers.announce(4, "node-2", [])
    answers.send()
    assert transport.frames == []
