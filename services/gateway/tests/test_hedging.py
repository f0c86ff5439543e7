"""The reads that any member may answer, without a router around them."""

from gateway.hedging import LEADER, HedgedReads
from gateway.requests import Request
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2

NAMES = ("node-0", "node-1", "node-2")


def read(number: int, *, tried: tuple[str, ...] = ()) -> Request:
    """Return a read that these members sent back."""
    question = forward_pb2.Question()
    question.read_options.consistency = inventory_pb2.CONSISTENCY_STALE
    request = Request(number, b"", question, lambda _answer: None)
    for member in tried:
        request.member = member
        request.leave_member()
    return request


def batches(
    reads: HedgedReads, reachable: tuple[str, ...] = NAMES, *, has_leader: bool = False
) -> list[tuple[str, list[int]]]:
    """Return the batches that can be sent, as member and the numbers of the reads."""
    taken = reads.take_batches(NAMES, reachable, has_leader=has_leader)
    return [(member, [request.id for request in batch]) for member, batch in taken]


def test_a_batch_holds_as_many_reads_as_it_may() -> None:
    """The next read is asked of the next member."""
    reads = HedgedReads(hedge_after_ms=250, batch_max=2)
    for number in (1, 2, 3):
        reads.append(read(number))
    assert batches(reads) == [("node-1", [1, 2]), ("node-2", [3])]


def test_every_read_that_is_hedged_is_counted() -> None:
    """A read that is answered, or that another member has by then, is not hedged."""
    reads = HedgedReads(hedge_after_ms=250, batch_max=9)
    kept = [read(number) for number in (1, 2, 3)]
    answered, moved = read(4), read(5)
    for request in (*kept, answered, moved):
        request.member = "node-1"
        reads.schedule_hedge(request, "node-1")
    answered.is_done = True
    moved.member = "node-2"
    assert reads.tick(249) == 0
    assert reads.tick(250) == 3
    assert batches(reads) == [("node-1", [1, 2, 3])]
    assert reads.tick(1_000) == 0


def test_reads_that_pause_wait_for_a_leader_or_for_the_time() -> None:
    """Without a leader nothing is sent before the pause is over."""
    reads = HedgedReads(hedge_after_ms=250, batch_max=9)
    reads.append(read(1, tried=NAMES))
    assert batches(reads) == []
    assert batches(reads) == []
    assert batches(reads, has_leader=True) == [(LEADER, [1])]
    assert batches(reads, has_leader=True) == []


def test_reads_that_pause_go_to_the_leader_past_a_read_that_waits_for_a_member() -> None:
    """The waiting read is the first of its queue, and no member can be asked."""
    reads = HedgedReads(hedge_after_ms=250, batch_max=9)
    reads.append(read(1, tried=NAMES))
    assert batches(reads) == []
    reads.append(read(2))
    assert batches(reads, reachable=(), has_leader=True) == [(LEADER, [1])]


def test_reads_that_are_done_are_dropped_when_they_outnumber_those_that_wait() -> None:
    """Twice as many as are pending may be queued; one more, and the reads that are done go."""
    reads = HedgedReads(hedge_after_ms=250, batch_max=9)
    waiting, done = [read(1), read(2)], [read(3), read(4), read(5)]
    for request in (done[0], waiting[0], done[1], waiting[1]):
        reads.append(request)
    for request in done:
        request.is_done = True
    reads.drop_done(2)
    assert len(reads._waiting) == 4
    reads.append(done[2])
    reads.drop_done(2)
    assert list(reads._waiting) == waiting
    assert batches(reads) == [("node-1", [1, 2])]
