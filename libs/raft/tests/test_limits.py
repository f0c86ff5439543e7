"""A leader bounds its uncommitted bytes and its appends; heartbeats leave before appends."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from raft import Accepted, Overloaded, RaftSettings, RawNode, Restored
from raft.messages import (
    AppendReply,
    AppendRequest,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    TimeoutNow,
    VoteReply,
)
from raft.progress import Progress
from raft.ready import RaftRole, Ready

Settle = Callable[[RawNode], list[Ready]]
Elect = Callable[[RawNode], RawNode]

SETTINGS = RaftSettings(
    id=1,
    election_timeout_ticks_min=10,
    election_timeout_ticks_max=20,
    heartbeat_ticks=1,
    entries_per_append_max=8,
    bytes_per_append_max=100,
    appends_in_flight_max=4,
    random=lambda _: 0,
    bytes_in_flight_max=30,
    uncommitted_bytes_max=50,
)
VOTERS = Configuration(frozenset({1, 2, 3}))


def make_bounded(*entries: Entry, term: int = 0) -> RawNode:
    """Return a member with small bounds."""
    return RawNode(
        SETTINGS,
        Restored(
            hard_state=HardState(term, 0),
            configuration=VOTERS,
            base_index=0,
            base_term=0,
            entries=entries,
            applied_index=0,
        ),
    )


def appends(ready: Ready | None, peer: int) -> list[int]:
    """Return the bytes of each append to a peer."""
    assert ready is not None
    return [
        sum(len(entry.payload) for entry in message.entries)
        for message in ready.at_once
        if isinstance(message, AppendRequest) and message.recipient == peer
    ]


def test_what_waits_to_be_committed_is_bounded(elect: Elect, settle: Settle) -> None:
    """At the bound the leader refuses proposals, until a commit makes room."""
    node = elect(make_bounded())
    assert isinstance(node.propose([b"x" * 20, b"x" * 20]), Accepted)
    assert node.propose([b"x" * 11]) == Overloaded(40)
    assert isinstance(node.propose([b"x" * 10]), Accepted)
    assert node.uncommitted_bytes == 50
    settle(node)
    node.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=2))
    assert node.uncommitted_bytes == 50, "the first batch is not committed as a whole"
    node.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=4))
    assert node.uncommitted_bytes == 0
    assert isinstance(node.propose([b"x" * 50]), Accepted)


def test_a_batch_that_is_too_large_passes_alone(elect: Elect) -> None:
    """A bound that refused the large batch for ever would be of no use."""
    node = elect(make_bounded())
    assert isinstance(node.propose([b"x" * 90]), Accepted)
    assert node.propose([b""]) == Overloaded(90)


def test_a_new_leader_counts_what_it_inherits(settle: Settle) -> None:
    """A leader counts uncommitted entries of earlier leaders; a follower counts nothing."""
    tail = Entry(1, 1, EntryKind.COMMAND, b"x" * 45)
    node = make_bounded(tail, term=1)
    node.step(Heartbeat(2, 1, 1, 0, 0))
    settle(node)
    assert node.uncommitted_bytes == 0, "a follower takes nothing"
    node.step(TimeoutNow(2, 1, 1))
    settle(node)
    node.step(VoteReply(3, 1, 2, granted=True))
    assert node.role is RaftRole.LEADER
    assert node.propose([b"x" * 6]) == Overloaded(45)
    node.step_down()
    assert node.uncommitted_bytes == 0


def test_bytes_under_way_to_a_follower_are_bounded(elect: Elect, settle: Settle) -> None:
    """Appends wait for acknowledgements. A lost append does not count for ever."""
    node = elect(make_bounded())
    node.propose([b"x" * 20])
    node.propose([b"x" * 20])
    node.propose([b"x" * 10])
    ready = node.ready()
    assert appends(ready, 2) == [20, 20], "the last may go past the bound"
    assert node.followers[2].bytes_in_flight == 40
    node.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=2))
    ready = node.ready()
    assert appends(ready, 2) == [10]
    node.step(AppendReply(sender=2, recipient=1, term=1, accepted=False, index=2, conflict_index=2))
    settle(node)
    node.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=4))
    assert node.followers[2].bytes_in_flight == 0


def test_an_append_is_cut_to_the_room_that_is_left() -> None:
    """The bytes under way exceed the bound by less than one entry."""
    progress = Progress(1, in_flight_max=9, bytes_max=30)
    progress.replicate()
    progress.sent(1, 20)
    assert progress.may_send
    progress.sent(2, 10)
    assert not progress.may_send
    progress.accepted(1)
    assert (progress.may_send, progress.bytes_in_flight) == (True, 10)
    progress.probe(2)
    assert progress.bytes_in_flight == 0


def test_what_is_committed_is_handed_out_in_portions(leader: RawNode, settle: Settle) -> None:
    """A member that has much to apply goes on answering: a Ready holds 4 MiB of it at most."""
    megabyte = 1 << 20
    leader.propose([b"x" * megabyte] * 5)
    settle(leader)
    leader.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=6))
    portions = [[len(entry.payload) for entry in ready.committed] for ready in settle(leader)]
    assert [portion for portion in portions if portion] == [[megabyte] * 4, [megabyte]]


def test_heartbeats_leave_before_appends(leader: RawNode) -> None:
    """A follower that receives large appends must not miss the leader's heartbeats."""
    leader.propose([b"x" * 1000])
    leader.tick()
    ready = leader.ready()
    assert ready is not None
    kinds = [type(message) for message in ready.at_once]
    assert kinds == [Heartbeat, Heartbeat, AppendRequest, AppendRequest]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"id": 0}, "positive"),
        ({"heartbeat_ticks": 0}, "heartbeat_ticks"),
        ({"heartbeat_ticks": 10}, "heartbeat_ticks"),
        ({"election_timeout_ticks_max": 10}, "range"),
        ({"entries_per_append_max": 0}, "below 1"),
        ({"appends_in_flight_max": 0}, "below 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], problem: str) -> None:
    """At the edge: an id of 1, a heartbeat in each tick, a timeout out of two are enough."""
    with pytest.raises(ValueError, match=problem):
        replace(SETTINGS, **settings)
    least: dict[str, Any] = {"id": 1, "heartbeat_ticks": 1, "election_timeout_ticks_max": 11}
    counts: dict[str, Any] = {"entries_per_append_max": 1, "appends_in_flight_max": 1}
    bounds: dict[str, Any] = {"bytes_in_flight_max": 1, "uncommitted_bytes_max": 1}
    assert replace(SETTINGS, **least, **counts, **bounds).id == 1


def test_a_bound_below_one_is_refused() -> None:
    """A leader with such a bound would send no append, or accept no proposal."""
    with pytest.raises(ValueError, match="below 1"):
        replace(SETTINGS, bytes_in_flight_max=0)
    with pytest.raises(ValueError, match="below 1"):
        replace(SETTINGS, uncommitted_bytes_max=0)
