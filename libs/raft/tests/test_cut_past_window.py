"""A follower lost a whole window of appends, and the leader cut its log behind the window."""

from raft import RaftSettings, RawNode, Restored
from raft.messages import (
    AppendReply,
    Configuration,
    HardState,
    HeartbeatReply,
    PreVoteReply,
    VoteReply,
)
from raft.ready import RaftRole, Ready

WINDOW = 4


def leader() -> RawNode:
    """Return member 1 of three, leading term 1 with its first entry held by everybody."""
    settings = RaftSettings(
        id=1,
        election_timeout_ticks_min=10,
        election_timeout_ticks_max=20,
        heartbeat_ticks=1,
        entries_per_append_max=1,
        bytes_per_append_max=1 << 20,
        appends_in_flight_max=WINDOW,
        random=lambda _: 0,
    )
    voters = Configuration(frozenset({1, 2, 3}))
    node = RawNode(
        settings,
        Restored(
            hard_state=HardState(0, 0),
            configuration=voters,
            base_index=0,
            base_term=0,
            entries=(),
            applied_index=0,
        ),
    )
    while node.role is not RaftRole.PRE_CANDIDATE:
        node.tick()
    node.step(PreVoteReply(2, 1, 1, granted=True))
    node.step(VoteReply(2, 1, 1, granted=True))
    settle(node)
    for peer in (2, 3):
        node.step(AppendReply(sender=peer, recipient=1, term=1, accepted=True, index=1))
    settle(node)
    return node


def settle(node: RawNode) -> list[Ready]:
    """Fulfil everything that is owed."""
    readies = []
    while (ready := node.ready()) is not None:
        readies.append(ready)
        if ready.mark is not None:
            node.persisted(ready.mark)
        if ready.committed:
            node.applied(ready.committed[-1].index)
    return readies


def test_a_heartbeat_reply_brings_the_snapshot() -> None:
    """The lost entries are cut off and cannot be sent again, so a snapshot is owed (Raft §7)."""
    node = leader()
    for number in range(3 * WINDOW):
        node.propose([b"%d" % number])
        settle(node)
        node.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=node.last_index))
        settle(node)
    assert node.applied_index == node.last_index
    node.compact(node.last_index)
    node.step(HeartbeatReply(3, 1, 1, context=0))
    assert [ready.snapshots for ready in settle(node)] == [(3,)]
    node.step(HeartbeatReply(3, 1, 1, context=0))
    assert settle(node) == []
