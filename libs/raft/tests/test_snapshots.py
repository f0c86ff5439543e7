"""A follower whose entries the leader has cut off gets a snapshot, and then goes on (Raft §7)."""

from collections.abc import Callable

import pytest
from raft import RawNode
from raft.messages import (
    AppendReply,
    AppendRequest,
    Configuration,
    HeartbeatReply,
    InstallSnapshot,
    SnapshotMeta,
)
from raft.ready import Ready

Settle = Callable[[RawNode], list[Ready]]

CUT_INDEX = 4


def appends(readies: list[Ready], peer: int) -> list[tuple[int, int]]:
    """Return where each append to a peer begins, and its number of entries."""
    return [
        (message.previous_index, len(message.entries))
        for ready in readies
        for message in ready.at_once
        if isinstance(message, AppendRequest) and message.recipient == peer
    ]


@pytest.fixture
def sender(leader: RawNode, settle: Settle) -> RawNode:
    """Return a leader of entries up to 6, cut at 4, that owes member 3 a snapshot."""
    for _ in range(5):
        leader.propose([b"x"])
    settle(leader)
    leader.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=6))
    settle(leader)
    leader.compact(CUT_INDEX)
    leader.step(
        AppendReply(sender=3, recipient=1, term=1, accepted=False, index=5, conflict_index=2)
    )
    assert [ready.snapshots for ready in settle(leader)] == [(3,)]
    assert leader.followers[3].needs_snapshot
    assert not leader.followers[2].needs_snapshot
    return leader


def test_appends_go_on_behind_an_installed_snapshot(sender: RawNode, settle: Settle) -> None:
    """The follower holds all up to its index, and is sent the rest at once."""
    sender.snapshot_sent(3, CUT_INDEX, installed=True)
    assert sender.followers[3].match_index == CUT_INDEX
    assert appends(settle(sender), 3) == [(CUT_INDEX, 2)]


def test_a_snapshot_that_failed_is_owed_again_once_the_follower_answers(
    sender: RawNode, settle: Settle
) -> None:
    """Until then nothing is sent: whoever cannot be reached would cost a stream a tick."""
    sender.snapshot_sent(3, CUT_INDEX, installed=False)
    sender.propose([b"x"])
    readies = settle(sender)
    assert appends(readies, 3) == []
    assert not any(ready.snapshots for ready in readies)
    sender.step(HeartbeatReply(3, 1, 1, 0))
    readies = settle(sender)
    assert [ready.snapshots for ready in readies if ready.snapshots] == [(3,)]
    assert appends(readies, 3) == []


@pytest.mark.parametrize("peer", [2, 7])
def test_the_end_of_a_stream_that_nobody_waits_for_changes_nothing(
    sender: RawNode, settle: Settle, peer: int
) -> None:
    """The follower went on by itself, or takes no part any more."""
    before = sender.followers
    sender.snapshot_sent(peer, 6, installed=True)
    assert sender.followers == before
    assert settle(sender) == []


def test_a_follower_that_waits_for_a_snapshot_is_sent_nothing(
    sender: RawNode, settle: Settle
) -> None:
    """Neither entries nor a second snapshot, whatever it replies."""
    sender.propose([b"x"])
    sender.step(HeartbeatReply(3, 1, 1, 0))
    for accepted, index in ((False, 5), (True, 1)):
        sender.step(
            AppendReply(
                sender=3, recipient=1, term=1, accepted=accepted, index=index, conflict_index=2
            )
        )
        readies = settle(sender)
        assert appends(readies, 3) == []
        assert not any(ready.snapshots for ready in readies)
    assert sender.followers[3].needs_snapshot


def test_a_follower_that_catches_up_needs_its_snapshot_no_more(
    sender: RawNode, settle: Settle
) -> None:
    """An acknowledgement that was late says that the leader's log goes on there."""
    sender.step(AppendReply(sender=3, recipient=1, term=1, accepted=True, index=CUT_INDEX))
    assert not sender.followers[3].needs_snapshot
    assert appends(settle(sender), 3) == [(CUT_INDEX, 2)]


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_snapshot_of_what_is_committed_is_not_installed(
    make: Callable[..., RawNode], settle: Settle, index: int
) -> None:
    """The leader is told how far the log reaches."""
    node = make()
    configuration = Configuration(frozenset({1, 2, 3}))
    node.step(InstallSnapshot(2, 1, 1, SnapshotMeta(3, 1, configuration)))
    settle(node)
    node.step(InstallSnapshot(2, 1, 1, SnapshotMeta(index, 1, configuration)))
    (ready,) = settle(node)
    assert ready.install is None
    assert ready.after_sync == (AppendReply(sender=1, recipient=2, term=1, accepted=True, index=3),)
