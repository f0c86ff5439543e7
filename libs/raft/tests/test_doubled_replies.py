"""Doubled replies must not make a leader send more appends."""

from collections.abc import Callable

from raft import RawNode
from raft.messages import AppendReply, AppendRequest
from raft.ready import Ready


def test_a_late_reply_does_not_send_another_probe(
    leader: RawNode, settle: Callable[[RawNode], list[Ready]]
) -> None:
    """While one probe is under way, a reply without news causes no other probe."""
    leader.propose([b"lost"])
    leader.propose([b"refused"])
    leader.step(
        AppendReply(sender=2, recipient=1, term=1, accepted=False, index=2, conflict_index=2)
    )
    settle(leader)
    for _ in range(3):
        leader.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=1))
    sent = [message for ready in settle(leader) for message in ready.at_once]
    assert not [message for message in sent if isinstance(message, AppendRequest)]
