"""Reads that a follower or a learner serves: one test a sentence of the dissertation's §6.4."""

from collections.abc import Callable, Iterable
from random import Random

from raft import RaftSettings, RawNode, Restored
from raft.messages import (
    AppendReply,
    Configuration,
    HardState,
    Heartbeat,
    HeartbeatReply,
    Message,
    ReadReply,
    ReadRequest,
    VoteRequest,
)
from raft.ready import RaftRole, ReadState, Ready

Make = Callable[..., RawNode]
Settle = Callable[[RawNode], list[Ready]]


def sent(readies: Iterable[Ready], kind: type[Message]) -> list[Message]:
    """Return all messages of one kind."""
    return [
        message
        for ready in readies
        for message in (*ready.at_once, *ready.after_sync)
        if isinstance(message, kind)
    ]


def follow(node: RawNode, settle: Settle, leader: int = 2, term: int = 1) -> RawNode:
    """Let a member hear a leader."""
    node.step(Heartbeat(leader, node.id, term, 0, 0))
    settle(node)
    return node


def test_a_follower_asks_the_leader(make: Make, settle: Settle) -> None:
    """§6.4: the follower sends a request to the leader, asking for the current readIndex."""
    node = follow(make(), settle)
    assert node.read(77)
    (request,) = sent(settle(node), ReadRequest)
    assert isinstance(request, ReadRequest)
    assert (request.recipient, request.term) == (2, 1)
    node.step(ReadReply(2, 1, 1, request.context, 9))
    assert [ready.reads for ready in settle(node)] == [(ReadState(77, 9),)]
    node.step(ReadReply(2, 1, 1, request.context, 9))
    assert settle(node) == [], "a doubled reply answers nothing"


def test_a_learner_asks_the_leader(make: Make, settle: Settle) -> None:
    """A learner has no vote, and needs no vote to read."""
    node = follow(make(4, learners=frozenset({4})), settle)
    assert node.read(77)
    assert len(sent(settle(node), ReadRequest)) == 1


def test_a_leader_confirms_a_followers_read_by_a_round(leader: RawNode, settle: Settle) -> None:
    """§6.4: the leader executes steps 1-3: its round begins after the request came."""
    leader.step(ReadRequest(3, 1, 1, 5))
    readies = settle(leader)
    assert [one.context for one in sent(readies, Heartbeat) if isinstance(one, Heartbeat)] == [1, 1]
    assert not sent(readies, ReadReply)
    leader.step(HeartbeatReply(2, 1, 1, 0))
    assert not sent(settle(leader), ReadReply), "that reply is of no round"
    leader.step(HeartbeatReply(2, 1, 1, 1))
    assert sent(settle(leader), ReadReply) == [ReadReply(1, 3, 1, 5, 1)]


def test_a_followers_read_waits_for_an_entry_of_the_term(make: Make, settle: Settle) -> None:
    """§6.4, step 1: the leader first commits an entry of its term."""
    node = make(size=1, learners=frozenset({2}))
    while node.role is not RaftRole.LEADER:
        node.tick()
        ready = node.ready()
        if ready is not None and ready.mark is not None:
            node.persisted(ready.mark)
    node.step(ReadRequest(2, 1, 1, 5))
    assert sent(settle(node), ReadReply) == [ReadReply(1, 2, 1, 5, 0)]
    node.step(ReadRequest(2, 1, 1, 6))
    assert sent(settle(node), ReadReply) == [ReadReply(1, 2, 1, 6, 1)]


def test_strangers_are_not_answered(leader: RawNode, settle: Settle) -> None:
    """The leader does not reply to a sender outside the configuration."""
    leader.step(ReadRequest(9, 1, 1, 5))
    assert settle(leader) == []


def test_a_member_that_does_not_lead_sends_askers_away(make: Make, settle: Settle) -> None:
    """The recipient of the request gave up leadership within the term."""
    node = make(term=1)
    node.step(ReadRequest(3, 1, 1, 5))
    assert sent(settle(node), ReadReply) == [ReadReply(1, 3, 1, 5, 0)]


def test_a_refused_read_is_dropped(make: Make, settle: Settle) -> None:
    """The caller may ask again under another context."""
    node = follow(make(), settle)
    node.read(77)
    (request,) = sent(settle(node), ReadRequest)
    assert isinstance(request, ReadRequest)
    node.step(ReadReply(2, 1, 1, request.context, 0))
    assert [ready.dropped_reads for ready in settle(node)] == [(77,)]


def test_reads_are_dropped_with_the_leader(make: Make, settle: Settle) -> None:
    """A higher term, or an election timeout without the leader, drops the reads."""
    node = follow(make(), settle)
    node.read(77)
    (request,) = sent(settle(node), ReadRequest)
    assert isinstance(request, ReadRequest)
    node.step(AppendReply(sender=3, recipient=1, term=2, accepted=False, index=0))
    node.step(ReadReply(2, 1, 1, request.context, 9))
    readies = settle(node)
    assert [ready.dropped_reads for ready in readies] == [(77,)]
    assert not any(ready.reads for ready in readies)
    assert not node.read(78), "no leader is known"


def test_a_read_without_an_answer_is_dropped(make: Make, settle: Settle) -> None:
    """A read is dropped after an election timeout, although the member hears the leader."""
    node = follow(make(), settle)
    node.read(77)
    settle(node)
    dropped = []
    for _ in range(10):
        node.step(Heartbeat(2, 1, 1, 0, 0))
        node.tick()
        dropped += [ready.dropped_reads for ready in settle(node)]
    assert [contexts for contexts in dropped if contexts] == [(77,)]


def test_a_deposed_leader_forgets_who_asked(leader: RawNode, settle: Settle) -> None:
    """A leader that steps down drops its own reads, not the reads of other members."""
    leader.read(77)
    leader.step(ReadRequest(3, 1, 1, 78))
    settle(leader)
    leader.step(
        VoteRequest(sender=2, recipient=1, term=2, last_index=9, last_term=9, is_transfer=True)
    )
    assert [ready.dropped_reads for ready in settle(leader)] == [(77,)]


def test_two_starts_ask_under_different_numbers(settle: Settle) -> None:
    """A reply to a request from before a crash, in the same term, confirms nothing.

    The numbers fit into the int64 of a message, whatever is drawn.
    """
    numbers = []
    for draw in (Random(1).randrange, Random(2).randrange, lambda bound: bound - 1):
        settings = RaftSettings(
            id=1,
            election_timeout_ticks_min=10,
            election_timeout_ticks_max=20,
            heartbeat_ticks=1,
            entries_per_append_max=8,
            bytes_per_append_max=1 << 20,
            appends_in_flight_max=4,
            random=draw,
        )
        voters = Configuration(frozenset({1, 2, 3}))
        restored = Restored(
            hard_state=HardState(1, 0),
            configuration=voters,
            base_index=0,
            base_term=0,
            entries=(),
            applied_index=0,
        )
        node = follow(RawNode(settings, restored), settle)
        node.read(7)
        node.read(8)
        numbers += [getattr(one, "context", 0) for one in sent(settle(node), ReadRequest)]
    assert len(set(numbers)) == 6
    assert max(numbers) < 1 << 63


def test_the_number_of_reads_that_wait_is_bounded(
    make: Make, leader: RawNode, settle: Settle
) -> None:
    """At the bound a leader and a follower refuse a read."""
    for node in (follow(make(), settle), leader):
        assert [node.read(context) for context in range(1_025)] == [True] * 1_024 + [False]
        settle(node)
