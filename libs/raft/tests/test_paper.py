"""One test a sentence: the extended Raft paper, and Ongaro's dissertation where noted."""

from collections.abc import Callable, Iterable

import pytest
from raft import Accepted, NotLeader, ProtocolViolation, RawNode, replication
from raft.messages import (
    AppendReply,
    AppendRequest,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    PreVoteRequest,
    SnapshotMeta,
    VoteReply,
    VoteRequest,
)
from raft.ready import RaftRole, ReadState, Ready

Make = Callable[..., RawNode]
Settle = Callable[[RawNode], list[Ready]]
Elect = Callable[[RawNode], RawNode]


def log_of(*terms: int, first: int = 1) -> tuple[Entry, ...]:
    """Return entries of these terms."""
    return tuple(
        Entry(index, term, EntryKind.COMMAND, b"") for index, term in enumerate(terms, first)
    )


def sent(readies: Iterable[Ready]) -> list[Message]:
    """Return all messages, those that waited for the sync last."""
    return [message for ready in readies for message in (*ready.at_once, *ready.after_sync)]


def applied(readies: Iterable[Ready]) -> list[int]:
    """Return the indexes that were handed out as committed."""
    return [entry.index for ready in readies for entry in ready.committed]


def tick_out(node: RawNode) -> None:
    """Let an election timeout pass."""
    for _ in range(10):
        node.tick()


def stand(node: RawNode, settle: Settle) -> list[Ready]:
    """Make a member of three a candidate whose vote is synced."""
    tick_out(node)
    node.step(PreVoteReply(2, node.id, node.term + 1, granted=True))
    return settle(node)


def append(
    previous: int, previous_term: int, *terms: int, term: int = 2, commit: int = 0
) -> Message:
    """Return an append by member 2 to member 1."""
    entries = log_of(*terms, first=previous + 1)
    return AppendRequest(
        sender=2,
        recipient=1,
        term=term,
        previous_index=previous,
        previous_term=previous_term,
        commit=commit,
        entries=entries,
    )


@pytest.mark.parametrize("role", [RaftRole.FOLLOWER, RaftRole.CANDIDATE, RaftRole.LEADER])
def test_a_higher_term_makes_anybody_a_follower(
    role: RaftRole, make: Make, settle: Settle, elect: Elect
) -> None:
    """§5.1: if one server's term is smaller than the other's, it updates to the larger value."""
    node = make()
    if role is RaftRole.CANDIDATE:
        stand(node, settle)
    elif role is RaftRole.LEADER:
        elect(node)
    assert node.role is role
    node.step(AppendReply(sender=2, recipient=1, term=7, accepted=False, index=0))
    assert (node.role, node.term) == (RaftRole.FOLLOWER, 7)


def test_a_request_of_an_older_term_is_rejected(make: Make, settle: Settle) -> None:
    """§5.1: a server that receives a request with a stale term number rejects the request."""
    node = make(term=5)
    node.step(append(0, 0, 3, term=3))
    node.step(VoteRequest(sender=3, recipient=1, term=4, last_index=9, last_term=9))
    assert node.last_index == 0
    assert sent(settle(node)) == [
        AppendReply(sender=1, recipient=2, term=5, accepted=False, index=0),
        VoteReply(1, 3, 5, granted=False),
    ]


def test_a_member_starts_as_a_follower(make: Make) -> None:
    """§5.2: when servers start up, they begin as followers."""
    assert make().role is RaftRole.FOLLOWER


def test_heartbeats_keep_a_follower(make: Make) -> None:
    """§5.2: it remains in follower state as long as it hears from a valid leader."""
    node = make()
    for _ in range(5):
        for _ in range(9):
            node.tick()
        node.step(Heartbeat(2, 1, 1, 0, 0))
    assert node.role is RaftRole.FOLLOWER


def test_a_leader_sends_heartbeats(leader: RawNode, settle: Settle) -> None:
    """§5.2: leaders send periodic heartbeats to all followers."""
    leader.tick()
    beats = [one for one in sent(settle(leader)) if isinstance(one, Heartbeat)]
    assert {one.recipient for one in beats} == {2, 3}


def test_a_silent_leader_is_replaced(make: Make, settle: Settle) -> None:
    """Dissertation §9.6: a candidate first asks whether its log would get it elected."""
    node = make(term=3)
    tick_out(node)
    assert sent(settle(node)) == [PreVoteRequest(1, 2, 4, 0, 0), PreVoteRequest(1, 3, 4, 0, 0)]
    assert node.term == 3


def test_a_candidate_enters_a_term_and_votes_for_itself(make: Make, settle: Settle) -> None:
    """§5.2: a follower increments its term, votes for itself and issues RequestVote RPCs."""
    node = make(term=3)
    (ready,) = [one for one in stand(node, settle) if one.hard_state is not None]
    assert ready.hard_state == HardState(4, 1)
    assert ready.after_sync == (
        VoteRequest(sender=1, recipient=2, term=4, last_index=0, last_term=0),
        VoteRequest(sender=1, recipient=3, term=4, last_index=0, last_term=0),
    )


def test_a_majority_elects(make: Make, settle: Settle) -> None:
    """§5.2: a candidate wins if it receives votes from a majority for the same term."""
    node = make(size=5)
    tick_out(node)
    for peer in (2, 3):
        node.step(PreVoteReply(peer, 1, 1, granted=True))
    settle(node)
    roles = []
    for voter in (2, 2, 3):  # one voter counts once
        node.step(VoteReply(voter, 1, 1, granted=True))
        roles.append(node.role)
    assert roles == [RaftRole.CANDIDATE, RaftRole.CANDIDATE, RaftRole.LEADER]


def test_a_candidate_without_a_majority_gives_up(make: Make, settle: Settle) -> None:
    """§5.2: a candidate that cannot win does not go on to count."""
    node = make()
    stand(node, settle)
    for peer in (2, 3):
        node.step(VoteReply(peer, 1, 1, granted=False))
    assert (node.role, node.term) == (RaftRole.FOLLOWER, 1)


def test_a_vote_is_given_once_a_term(make: Make, settle: Settle) -> None:
    """§5.2: each server votes for at most one candidate in a given term, first come."""
    node = make()
    node.step(VoteRequest(sender=2, recipient=1, term=1, last_index=0, last_term=0))
    node.step(VoteRequest(sender=3, recipient=1, term=1, last_index=0, last_term=0))
    node.step(VoteRequest(sender=2, recipient=1, term=1, last_index=0, last_term=0))
    votes = [
        (one.recipient, one.granted) for one in sent(settle(node)) if isinstance(one, VoteReply)
    ]
    assert votes == [(2, True), (3, False), (2, True)]


def test_a_vote_is_synced_before_it_is_told(make: Make) -> None:
    """Figure 2: persistent state is updated on stable storage before responding to RPCs."""
    node = make()
    node.step(VoteRequest(sender=2, recipient=1, term=1, last_index=0, last_term=0))
    ready = node.ready()
    assert ready is not None
    assert ready.hard_state == HardState(1, 2)
    assert ready.at_once == ()
    assert ready.after_sync == (VoteReply(1, 2, 1, granted=True),)


def test_a_vote_outlives_a_restart(make: Make, settle: Settle) -> None:
    """Figure 2: votedFor is persistent."""
    node = make(term=1, vote=2)
    node.step(VoteRequest(sender=3, recipient=1, term=1, last_index=0, last_term=0))
    assert sent(settle(node)) == [VoteReply(1, 3, 1, granted=False)]


def test_a_candidate_follows_the_elected(make: Make, settle: Settle) -> None:
    """§5.2: if the leader's term is at least the candidate's, it returns to follower state."""
    node = make()
    stand(node, settle)
    node.step(append(0, 0, 1, term=1))
    assert (node.role, node.leader) == (RaftRole.FOLLOWER, 2)


def test_timeouts_are_drawn_from_a_range(make: Make) -> None:
    """§5.2: election timeouts are chosen randomly from a fixed interval."""
    node = make()
    drawn: list[int] = []
    settings = node._state.settings
    for bound in range(11):
        object.__setattr__(settings, "random", lambda _, bound=bound: bound)
        node._state.draw_timeout()
        drawn.append(node._state.election.timeout_ticks)
    assert drawn == list(range(10, 21))


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"),
    [(2, 2, True), (3, 2, True), (1, 3, True), (1, 2, False), (9, 1, False)],
)
def test_a_voter_denies_a_log_less_up_to_date(
    last_index: int,
    last_term: int,
    granted: bool,  # noqa: FBT001 - one column of the table above
    make: Make,
    settle: Settle,
) -> None:
    """§5.4.1: the voter denies its vote if its own log is more up-to-date."""
    node = make(term=2, entries=log_of(1, 2))
    node.step(
        VoteRequest(sender=2, recipient=1, term=5, last_index=last_index, last_term=last_term)
    )
    assert sent(settle(node)) == [VoteReply(1, 2, 5, granted=granted)]


def test_only_a_leader_takes_commands(make: Make) -> None:
    """§5.1: the leader handles all client requests; a follower redirects."""
    node = make()
    node.step(Heartbeat(3, 1, 1, 0, 0))
    assert node.propose([b"x"]) == NotLeader(3)


def test_a_leader_appends_and_replicates_in_parallel(leader: RawNode, settle: Settle) -> None:
    """§5.3: it appends the command as a new entry, then issues AppendEntries to each server."""
    assert leader.propose([b"x"]) == Accepted(2, 1)
    entry = Entry(2, 1, EntryKind.COMMAND, b"x")
    appends = [one for one in sent(settle(leader)) if isinstance(one, AppendRequest)]
    assert appends == [
        AppendRequest(
            sender=1,
            recipient=peer,
            term=1,
            previous_index=1,
            previous_term=1,
            commit=1,
            entries=(entry,),
        )
        for peer in (2, 3)
    ]


def test_an_entry_is_committed_by_a_majority(leader: RawNode, settle: Settle) -> None:
    """§5.3: an entry is committed once the leader has replicated it on a majority."""
    leader.propose([b"x"])
    settle(leader)
    assert leader.commit_index == 1
    leader.step(AppendReply(sender=3, recipient=1, term=1, accepted=True, index=2))
    assert applied(settle(leader)) == [2]


def test_a_leader_counts_itself_when_it_is_synced(leader: RawNode) -> None:
    """Dissertation §10.2.1: the leader writes in parallel, and counts its synced copy."""
    leader.propose([b"x"])
    ready = leader.ready()
    assert ready is not None
    assert ready.mark is not None
    leader.step(AppendReply(sender=3, recipient=1, term=1, accepted=True, index=2))
    assert leader.commit_index == 1
    leader.persisted(ready.mark)
    assert leader.commit_index == 2


def test_preceding_entries_are_committed_with_it(make: Make, elect: Elect) -> None:
    """§5.3: this also commits all preceding entries, including those of previous leaders."""
    node = elect(make(term=2, entries=log_of(1, 2)))
    assert node.commit_index == 3
    assert node.applied_index == 3


def test_a_follower_learns_what_is_committed(make: Make, settle: Settle) -> None:
    """§5.3: once a follower learns that an entry is committed, it applies it in log order."""
    node = make()
    node.step(append(0, 0, 1, 1, 2, commit=2))
    assert applied(settle(node)) == [1, 2]


def test_a_follower_commits_no_further_than_the_append(make: Make) -> None:
    """Figure 2: commitIndex = min(leaderCommit, index of last new entry)."""
    node = make(term=1, entries=log_of(1, 1, 1))
    node.step(append(1, 1, commit=3))
    assert node.commit_index == 1


def test_a_follower_refuses_what_does_not_follow_on(make: Make, settle: Settle) -> None:
    """§5.3: without an entry of the same index and term it refuses the new entries."""
    node = make(term=1, entries=log_of(1))
    node.step(append(2, 1, 2))
    assert node.last_index == 1
    reply = AppendReply(
        sender=1, recipient=2, term=2, accepted=False, index=2, conflict_index=2, conflict_term=0
    )
    assert sent(settle(node)) == [reply]


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
    ids="abcdef",
)
def test_a_leader_forces_its_log_upon_followers(
    terms: tuple[int, ...], make: Make, settle: Settle, elect: Elect
) -> None:
    """§5.3, figure 7: the logs of followers a to f become the leader's."""
    lead = elect(make(term=7, entries=log_of(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)))
    other = make(3, term=7, entries=log_of(*terms))
    waiting: list[Message] = [Heartbeat(1, 3, 8, 0, 0)]
    lead._state.leading.progress[3].match = 0
    lead._state.leading.progress[3].probe(11)
    for _ in range(20):
        for message in waiting:
            (other if message.recipient == 3 else lead).step(message)
        waiting = [one for one in (*sent(settle(lead)), *sent(settle(other))) if one.recipient != 2]
    held = [other.term_at(index) for index in range(1, other.last_index + 1)]
    assert held == [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]


def test_a_conflict_cuts_off_all_that_follows(make: Make, settle: Settle) -> None:
    """Figure 2: an entry that conflicts is deleted, and all that follow it."""
    node = make(term=1, entries=log_of(1, 1, 1))
    node.step(append(1, 1, 2))
    settle(node)
    assert [node.term_at(index) for index in (1, 2, 3)] == [1, 2, None]


def test_an_append_may_begin_with_what_is_there(make: Make, settle: Settle) -> None:
    """§5.3: append any new entries not already in the log."""
    node = make(term=1, entries=log_of(1, 1))
    node.step(append(0, 0, 1, 1, 1, 1, term=1))
    assert node.last_index == 4
    assert sent(settle(node)) == [
        AppendReply(sender=1, recipient=2, term=1, accepted=True, index=4)
    ]


def test_an_older_append_cuts_nothing(make: Make) -> None:
    """Figure 2: only if an existing entry conflicts; RPCs may arrive late and twice (§5.5)."""
    node = make(term=2, entries=log_of(1, 2, 2))
    node.step(append(0, 0, 1))
    assert node.last_index == 3


def test_a_late_sync_says_nothing_of_an_entry_that_came_back(make: Make, settle: Settle) -> None:
    """§5.3: an entry that was replaced, and is there again, is written again and synced again."""
    node, marks = make(), []
    for message in (
        append(0, 0, 1, 1, 1, term=1),
        append(1, 1, 2, term=2),
        append(1, 1, 1, 1, term=3, commit=3),
    ):
        node.step(message)
        ready = node.ready()
        assert ready is not None
        assert ready.mark is not None
        marks.append(ready.mark)
    for mark in marks[:2]:
        node.persisted(mark)
        assert not {2, 3} & set(applied(settle(node)))
    node.persisted(marks[2])
    assert applied(settle(node))[-2:] == [2, 3]


def test_committed_entries_are_not_replaced(make: Make, settle: Settle) -> None:
    """§5.4, figure 3: what is committed stays, whatever an append says."""
    node = make()
    node.step(append(0, 0, 1, 1, term=1, commit=2))
    settle(node)
    node.step(append(0, 0, 2, 2, 2))
    assert [node.term_at(index) for index in (1, 2, 3)] == [1, 1, 2]


def test_a_commit_beyond_the_log_ends_the_process(make: Make) -> None:
    """Figure 3: a leader knows what a follower holds; one that is wrong is no leader."""
    node = make()
    with pytest.raises(ProtocolViolation):
        node.step(Heartbeat(2, 1, 1, 9, 0))


def test_a_leader_never_cuts_its_own_log(leader: RawNode) -> None:
    """Figure 3: leader append-only; an append of its own term has no honest sender."""
    with pytest.raises(ProtocolViolation):
        leader.step(append(0, 0, 1, term=1))


def test_refusals_skip_a_term(make: Make, settle: Settle) -> None:
    """§5.3: the follower includes the conflicting term and the first index it stores for it."""
    node = make(term=3, entries=log_of(1, 3, 3, 3))
    node.step(append(4, 2, term=4))
    reply = AppendReply(
        sender=1, recipient=2, term=4, accepted=False, index=4, conflict_index=2, conflict_term=3
    )
    assert sent(settle(node)) == [reply]


def test_an_older_terms_entry_is_not_counted(make: Make, settle: Settle) -> None:
    """§5.4.2: never commits log entries from previous terms by counting replicas."""
    node = make(term=2, entries=log_of(1, 2))
    stand(node, settle)
    node.step(VoteReply(2, 1, 3, granted=True))
    settle(node)
    node.step(AppendReply(sender=2, recipient=1, term=3, accepted=True, index=2))
    assert node.commit_index == 0
    node.step(AppendReply(sender=2, recipient=1, term=3, accepted=True, index=3))
    assert node.commit_index == 3


def test_a_leader_begins_with_an_empty_entry(make: Make, settle: Settle) -> None:
    """§8: each leader commits a blank no-op entry at the start of its term."""
    node = make(term=2, entries=log_of(1, 2))
    stand(node, settle)
    node.step(VoteReply(2, 1, 3, granted=True))
    entries = [entry for ready in settle(node) for entry in ready.entries]
    assert entries == [Entry(3, 3, EntryKind.NOOP, b"")]


def test_lost_appends_are_sent_again(leader: RawNode, settle: Settle) -> None:
    """§5.3: the leader retries AppendEntries until all followers store all entries."""
    leader.propose([b"x"])
    settle(leader)
    leader.step(HeartbeatReply(3, 1, 1, 0))
    (nudge,) = sent(settle(leader))
    assert isinstance(nudge, AppendRequest)
    leader.step(
        AppendReply(
            sender=3,
            recipient=1,
            term=1,
            accepted=False,
            index=nudge.previous_index,
            conflict_index=2,
        )
    )
    (again,) = sent(settle(leader))
    assert isinstance(again, AppendRequest)
    assert [entry.index for entry in again.entries] == [2]


def test_a_lost_probe_is_sent_again(make: Make, settle: Settle) -> None:
    """§5.3: with its entries, as soon as the follower shows that it can be reached."""
    node = make(term=1, entries=log_of(1))
    stand(node, settle)
    node.step(VoteReply(2, 1, 2, granted=True))
    settle(node)
    node.step(HeartbeatReply(3, 1, 2, 0))
    (again,) = sent(settle(node))
    assert isinstance(again, AppendRequest)
    assert (again.previous_index, len(again.entries)) == (1, 1)


def test_what_is_under_way_is_asked_for_by_its_end(make: Make, settle: Settle) -> None:
    """§5.3: an empty append names the last entry that was sent, and its term."""
    node = make(term=1, entries=log_of(1))
    stand(node, settle)
    node.step(VoteReply(2, 1, 2, granted=True))
    settle(node)
    node.step(AppendReply(sender=3, recipient=1, term=2, accepted=True, index=1))
    settle(node)
    node.step(HeartbeatReply(3, 1, 2, 0))
    (asked,) = sent(settle(node))
    assert isinstance(asked, AppendRequest)
    assert (asked.previous_index, asked.previous_term, asked.entries) == (2, 2, ())


@pytest.mark.parametrize("index", [1, 3])
def test_a_late_refusal_slows_nobody(leader: RawNode, settle: Settle, index: int) -> None:
    """§5.3: an acknowledgement of later entries has overtaken it; appends go on without waiting."""
    leader.propose([b"x", b"x"])
    settle(leader)
    leader.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=3))
    settle(leader)
    leader.step(
        AppendReply(sender=2, recipient=1, term=1, accepted=False, index=index, conflict_index=1)
    )
    assert sent(settle(leader)) == []
    for _ in range(2):
        leader.propose([b"x"])
    told = [one for one in sent(settle(leader)) if one.recipient == 2]
    assert [getattr(one, "previous_index", None) for one in told] == [3, 4]


def test_a_refusal_that_is_doubled_causes_one_probe(make: Make, settle: Settle) -> None:
    """§5.3: the second says nothing of the probe that is under way."""
    node = make(term=1, entries=log_of(1, 1, 1, 1))
    stand(node, settle)
    node.step(VoteReply(2, 1, 2, granted=True))
    settle(node)
    refusal = AppendReply(sender=3, recipient=1, term=2, accepted=False, index=4, conflict_index=2)
    probes = []
    for _ in range(2):
        node.step(refusal)
        probes.append([getattr(one, "previous_index", None) for one in sent(settle(node))])
    assert probes == [[1], []]


def test_a_restart_does_not_begin_with_a_contradiction(make: Make) -> None:
    """What was applied is in the log, and no entry is of a term that is still to come."""
    with pytest.raises(ProtocolViolation, match="outside the log"):
        make(term=1, entries=log_of(1), applied=2)
    with pytest.raises(ProtocolViolation, match="outside the log"):
        make(term=1, base=(3, 1), applied=2)
    with pytest.raises(ProtocolViolation, match="past the term"):
        make(term=1, entries=log_of(2))
    assert make(term=2, entries=log_of(1, 2), applied=2).commit_index == 2


def test_a_caller_that_is_ahead_of_the_log_ends_the_process(leader: RawNode) -> None:
    """Neither applied nor cut is what was not handed out."""
    with pytest.raises(ProtocolViolation, match="before it was handed out"):
        leader.applied(2)
    with pytest.raises(ProtocolViolation, match="not applied there"):
        leader.compact(2)


def test_a_log_is_not_cut_further_back(leader: RawNode) -> None:
    """§7: where it was cut already there is nothing to cut."""
    leader.compact(1)
    for index in (1, 0):
        leader.compact(index)
        assert (leader.first_index, leader.last_index) == (2, 1)


def test_who_does_not_lead_has_no_lead_to_give_up(make: Make, settle: Settle) -> None:
    """A candidate goes on, and so does a follower."""
    node = make()
    stand(node, settle)
    node.step_down()
    assert node.role is RaftRole.CANDIDATE


def test_terms_and_votes_never_go_back(make: Make) -> None:
    """§5.2: at most one vote in a term; terms rise."""
    state = make(term=3, vote=2)._state
    for term, vote in ((2, 0), (3, 1), (3, 0)):
        with pytest.raises(ProtocolViolation, match="cannot follow"):
            state.set_hard_state(term, vote)
    state.set_hard_state(3, 2)
    assert state.hard_state_synced
    state.set_hard_state(4, 0)
    assert not state.hard_state_synced


def test_nothing_replaces_what_is_committed(leader: RawNode) -> None:
    """§5.4.3: not even where the rules before it let such an entry pass."""
    with pytest.raises(ProtocolViolation, match="would replace committed entry 1"):
        replication.append_missing(leader._state, log_of(2))


def test_a_snapshot_replaces_a_log_that_is_behind(make: Make, settle: Settle) -> None:
    """§7: the snapshot contains information not in the log: the entire log is discarded."""
    node = make(term=1, entries=log_of(1))
    meta = SnapshotMeta(5, 2, Configuration(frozenset({1, 2, 3})))
    node.step(InstallSnapshot(2, 1, 2, meta))
    (ready,) = settle(node)
    assert ready.install == meta
    assert (node.first_index, node.last_index, node.commit_index) == (6, 5, 5)
    assert ready.after_sync == (AppendReply(sender=1, recipient=2, term=2, accepted=True, index=5),)


def test_a_snapshot_of_a_prefix_keeps_what_follows(make: Make, settle: Settle) -> None:
    """§7: entries covered are deleted, but entries following the snapshot are retained."""
    node = make(term=2, entries=log_of(1, 1, 2))
    meta = SnapshotMeta(2, 1, Configuration(frozenset({1, 2, 3})))
    node.step(InstallSnapshot(2, 1, 2, meta))
    assert [ready.install for ready in settle(node)] == [None]
    assert (node.last_index, node.commit_index) == (3, 2)


def test_votes_are_refused_while_a_leader_is_heard(make: Make, settle: Settle) -> None:
    """Dissertation §4.2.3: within the minimum timeout of hearing a leader, no term changes."""
    node = make()
    node.step(Heartbeat(3, 1, 1, 0, 0))
    settle(node)
    node.step(VoteRequest(sender=2, recipient=1, term=9, last_index=9, last_term=9))
    node.step(PreVoteRequest(2, 1, 9, 9, 9))
    assert node.term == 1
    assert sent(settle(node)) == [PreVoteReply(1, 2, 1, granted=False)]


def test_a_leader_without_a_quorum_steps_down(leader: RawNode) -> None:
    """Dissertation §6.2: if an election timeout elapses without a quorum."""
    roles = []
    for _ in range(2):  # members were heard in the first
        tick_out(leader)
        roles.append(leader.role)
    assert roles == [RaftRole.LEADER, RaftRole.FOLLOWER]


def test_a_read_waits_for_a_round_of_heartbeats(leader: RawNode, settle: Settle) -> None:
    """Dissertation §6.4: the leader issues a new round and waits for a majority."""
    assert leader.read(77)
    assert [ready.reads for ready in settle(leader)] == [()]
    leader.step(HeartbeatReply(2, 1, 1, 0))
    assert all(not ready.reads for ready in settle(leader)), "that reply is of no round"
    leader.step(HeartbeatReply(2, 1, 1, 1))
    assert [ready.reads for ready in settle(leader)] == [(ReadState(77, 1),)]


def test_a_read_waits_for_an_entry_of_the_term(make: Make, settle: Settle) -> None:
    """Dissertation §6.4: a leader that has committed nothing of its term does not answer."""
    node = make()
    stand(node, settle)
    node.step(VoteReply(2, 1, 1, granted=True))
    assert node.role is RaftRole.LEADER
    assert not node.read(1)


def test_reads_are_dropped_with_the_lead(leader: RawNode, settle: Settle) -> None:
    """Dissertation §6.4: a deposed leader must not answer."""
    leader.read(77)
    settle(leader)
    leader.step_down()
    assert [ready.dropped_reads for ready in settle(leader)] == [(77,)]
    assert leader.leader == 0
