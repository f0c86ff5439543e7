"""Small cores to test on: a leader of three, and a caller whose disk syncs at once."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from raft import RaftSettings, RawNode, Restored
from raft.messages import (
    AppendReply,
    Configuration,
    Entry,
    HardState,
    HeartbeatReply,
    PreVoteReply,
    VoteReply,
)
from raft.ready import Mark, RaftRole, Ready
from rafttest import bookkeeping

READIES_MAX = 100  # of one event
REST_ROUNDS = 3  # of replies to everything, until a leader waits for nothing


def make_node(  # noqa: PLR0913 - each part of a disk by name
    member: int = 1,
    *,
    size: int = 3,
    term: int = 0,
    vote: int = 0,
    entries: Sequence[Entry] = (),
    base: tuple[int, int] = (0, 0),
    applied: int = 0,
    learners: frozenset[int] = frozenset(),
    in_flight_max: int = 4,
) -> RawNode:
    """Return a member with election timeout 10, heartbeat 1, and what its disk holds."""
    settings = RaftSettings(
        id=member,
        election_timeout_ticks_min=10,
        election_timeout_ticks_max=20,
        heartbeat_ticks=1,
        entries_per_append_max=8,
        bytes_per_append_max=1 << 20,
        appends_in_flight_max=in_flight_max,
        random=lambda _: 0,
    )
    configuration = Configuration(frozenset(range(1, size + 1)), learners)
    restored = Restored(
        hard_state=HardState(term, vote),
        configuration=configuration,
        base_index=base[0],
        base_term=base[1],
        entries=entries,
        applied_index=applied,
    )
    return RawNode(settings, restored)


def settle_node(node: RawNode) -> list[Ready]:
    """Fulfil all obligations at once, and return every Ready."""
    readies: list[Ready] = []
    while (ready := node.ready()) is not None:
        readies.append(ready)
        assert len(readies) <= READIES_MAX, "the member does not come to rest"
        if ready.mark is not None:
            node.persisted(ready.mark)
        if ready.install is not None:
            node.applied(ready.install.index)
        if ready.committed:
            node.applied(ready.committed[-1].index)
    return readies


def make_leader(node: RawNode) -> RawNode:
    """Let a member win an election by the vote of member 2, and commit its first entry."""
    for _ in range(node._state.settings.election_timeout_ticks_max):
        if node.role is RaftRole.FOLLOWER:
            node.tick()
    node.step(PreVoteReply(2, node.id, node.term + 1, granted=True))
    settle_node(node)
    node.step(VoteReply(2, node.id, node.term, granted=True))
    settle_node(node)
    for peer in (2, 3):
        node.step(
            AppendReply(
                sender=peer, recipient=node.id, term=node.term, accepted=True, index=node.last_index
            )
        )
    settle_node(node)
    return node


def bring_to_rest(node: RawNode) -> None:
    """Let every peer of a leader hold the leader's log, and let what waits for time end."""
    for _ in range(REST_ROUNDS):
        settle_node(node)
        log = node._state.log
        node.persisted(Mark(log.last_index, log.truncations, node.hard_state))
        for peer in list(node.followers):
            reply = AppendReply(
                sender=peer, recipient=node.id, term=node.term, accepted=True, index=node.last_index
            )
            node.step(reply)
            node.step(HeartbeatReply(peer, node.id, node.term, 1 << 62))
        settle_node(node)
        for _ in range(node._state.settings.election_timeout_ticks_min):
            node.tick()
    settle_node(node)


@pytest.fixture(autouse=True)
def _books(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no counter of a member differ from what is counted, after any test."""
    made: list[RawNode] = []
    begin = RawNode.__init__

    def remember(node: RawNode, settings: RaftSettings, restored: Restored) -> None:
        begin(node, settings, restored)
        made.append(node)

    if request.node.get_closest_marker("slow") is None:  # those look at it themselves
        monkeypatch.setattr(RawNode, "__init__", remember)
    yield
    for node in made:
        assert not bookkeeping.contradictions(node)
        assert not bookkeeping.contradictions_of_log(node)
        bring_to_rest(node)
        assert not bookkeeping.contradictions(node)
        assert not bookkeeping.remainders(node)


@pytest.fixture
def make() -> Callable[..., RawNode]:
    """Make a member."""
    return make_node


@pytest.fixture
def settle() -> Callable[[RawNode], list[Ready]]:
    """Fulfil all obligations."""
    return settle_node


@pytest.fixture
def elect() -> Callable[[RawNode], RawNode]:
    """Make a member win an election."""
    return make_leader


@pytest.fixture
def leader() -> RawNode:
    """Return member 1 of three, which leads term 1; all members hold its committed first entry."""
    return make_leader(make_node())
