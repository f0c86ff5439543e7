"""Membership change: one test a sentence of the dissertation's §4.1, §4.2 and its correction."""

from collections.abc import Callable, Iterable
from itertools import product

import pytest
from raft import (
    Accepted,
    AddLearner,
    ChangeRefused,
    ConfigurationCodec,
    NotLeader,
    Promote,
    ProtocolViolation,
    RaftSettings,
    RawNode,
    Remove,
    Restored,
    Transferring,
)
from raft.configurations import PLAIN
from raft.membership import Change
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
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.ready import RaftRole, ReadState, Ready

Make = Callable[..., RawNode]
Settle = Callable[[RawNode], list[Ready]]
Elect = Callable[[RawNode], RawNode]


def sent(readies: Iterable[Ready]) -> list[Message]:
    """Return all messages, those that waited for the sync last."""
    return [message for ready in readies for message in (*ready.at_once, *ready.after_sync)]


def of(*voters: int, learners: Iterable[int] = ()) -> Configuration:
    """Return a configuration."""
    return Configuration(frozenset(voters), frozenset(learners))


def entry(index: int, term: int, configuration: Configuration) -> Entry:
    """Return the entry that puts a configuration in force."""
    return Entry(index, term, EntryKind.CONFIGURATION, PLAIN.encode(configuration))


def hold(node: RawNode, settle: Settle, *peers: int) -> list[Ready]:
    """Let peers acknowledge all that a leader has."""
    readies = settle(node)
    for peer in peers:
        node.step(
            AppendReply(
                sender=peer, recipient=node.id, term=node.term, accepted=True, index=node.last_index
            )
        )
        readies += settle(node)
    return readies


def refusal(node: RawNode, change: Change) -> str:
    """Return why a change is refused."""
    refused = node.change(change)
    assert isinstance(refused, ChangeRefused)
    return refused.reason


def test_a_change_takes_effect_when_it_is_appended(leader: RawNode, settle: Settle) -> None:
    """§4.1: servers always use the latest configuration in their log, committed or not."""
    assert leader.change(AddLearner(4)) == Accepted(2, 1)
    assert leader.configuration == of(1, 2, 3, learners=[4])
    (ready,) = settle(leader)
    assert ready.configuration == of(1, 2, 3, learners=[4])
    assert {one.recipient for one in ready.at_once if isinstance(one, AppendRequest)} == {2, 3, 4}
    assert ready.entries == (entry(2, 1, of(1, 2, 3, learners=[4])),)


def test_a_follower_goes_by_what_it_is_sent(make: Make, settle: Settle) -> None:
    """§4.1: each server adopts the configuration as soon as it is in its log."""
    node = make()
    node.step(
        AppendRequest(
            sender=2,
            recipient=1,
            term=1,
            previous_index=0,
            previous_term=0,
            commit=0,
            entries=(entry(1, 1, of(2, 3)),),
        )
    )
    assert node.configuration == of(2, 3)
    assert [ready.configuration for ready in settle(node)] == [of(2, 3)]


def test_a_removed_entry_gives_way_to_the_configuration_before(make: Make, settle: Settle) -> None:
    """§4.1: a server must be prepared to fall back to the previous configuration in its log."""
    node = make()
    entries = (entry(1, 1, of(1, 2)), Entry(2, 1, EntryKind.COMMAND, b""), entry(3, 1, of(1)))
    node.step(
        AppendRequest(
            sender=2,
            recipient=1,
            term=1,
            previous_index=0,
            previous_term=0,
            commit=0,
            entries=entries,
        )
    )
    settle(node)
    assert node.configuration == of(1)
    node.step(
        AppendRequest(
            sender=3,
            recipient=1,
            term=2,
            previous_index=2,
            previous_term=1,
            commit=0,
            entries=(Entry(3, 2, EntryKind.NOOP, b""),),
        )
    )
    assert node.configuration == of(1, 2)
    assert [ready.configuration for ready in settle(node)] == [of(1, 2)]
    node.step(
        AppendRequest(
            sender=2,
            recipient=1,
            term=3,
            previous_index=0,
            previous_term=0,
            commit=0,
            entries=(Entry(1, 3, EntryKind.NOOP, b""),),
        )
    )
    assert node.configuration == of(1, 2, 3), "that of the base"


def test_one_change_at_a_time(leader: RawNode, settle: Settle) -> None:
    """§4.1: the next change begins when the previous one has been committed; here, applied."""
    leader.change(AddLearner(4))
    assert refusal(leader, AddLearner(5)) == "the change at entry 2 is not applied yet"
    leader.step(AppendReply(sender=2, recipient=1, term=1, accepted=True, index=2))
    ready = leader.ready()
    assert ready is not None
    assert ready.mark is not None
    leader.persisted(ready.mark)
    assert leader.commit_index == 2
    assert refusal(leader, AddLearner(5)) == "the change at entry 2 is not applied yet"
    settle(leader)
    assert isinstance(leader.change(AddLearner(5)), Accepted)


def test_no_change_before_the_first_commit_of_the_term(make: Make, settle: Settle) -> None:
    """Correction of 2015: not until an entry of the leader's own term has been committed."""
    node = make(term=1, entries=(Entry(1, 1, EntryKind.NOOP, b""),), applied=1)
    while node.role is RaftRole.FOLLOWER:
        node.tick()
    node.step(PreVoteReply(2, 1, 2, granted=True))
    settle(node)
    node.step(VoteReply(2, 1, 2, granted=True))
    assert node.role is RaftRole.LEADER
    assert refusal(node, Remove(3)) == "this leader has committed nothing in its term yet"
    hold(node, settle, 2, 3)
    assert isinstance(node.change(Remove(3)), Accepted)


def test_a_learner_neither_counts_nor_campaigns(make: Make, settle: Settle, elect: Elect) -> None:
    """§4.2.1: non-voting members: replicated to, not counted for votes or commitment."""
    node = elect(make(learners=frozenset({4, 5})))
    node.propose([b"x"])
    hold(node, settle, 4, 5)
    assert node.commit_index == 1
    learner = make(4, learners=frozenset({4, 5}))
    for _ in range(100):
        learner.tick()
    assert (learner.role, learner.term) == (RaftRole.FOLLOWER, 0)


def test_a_learner_votes_when_asked(make: Make, settle: Settle) -> None:
    """§4.2.2: requests are answered without a look at one's own configuration.

    A candidate may know of a promotion that the learner has not been sent yet.
    """
    node = make(4, learners=frozenset({4}))
    node.step(VoteRequest(sender=9, recipient=4, term=1, last_index=1, last_term=1))
    assert sent(settle(node)) == [VoteReply(4, 9, 1, granted=True)]


def test_a_learner_is_promoted_when_it_has_caught_up(leader: RawNode, settle: Settle) -> None:
    """§4.2.1: the leader waits until the learner's log has caught up."""
    leader.propose([b"x"] * 20)
    hold(leader, settle, 2, 3)
    leader.change(AddLearner(4))
    hold(leader, settle, 2, 3)
    assert refusal(leader, Promote(4)) == "member 4 holds the log up to 0, 22 is committed"
    for index in (10, 13):
        leader.step(AppendReply(sender=4, recipient=1, term=1, accepted=True, index=index))
        assert index != 10 or isinstance(leader.change(Promote(4)), ChangeRefused)
    assert isinstance(leader.change(Promote(4)), ChangeRefused)
    leader.step(AppendReply(sender=4, recipient=1, term=1, accepted=True, index=14))
    assert isinstance(leader.change(Promote(4)), Accepted)
    assert leader.configuration == of(1, 2, 3, 4)


def test_a_promoted_learner_counts_at_once(leader: RawNode, settle: Settle) -> None:
    """§4.1: the entry itself is committed by a majority of the new configuration."""
    leader.change(AddLearner(4))
    hold(leader, settle, 2, 3, 4)
    leader.change(Promote(4))
    hold(leader, settle, 2)
    assert leader.commit_index == 2
    hold(leader, settle, 4)
    assert leader.commit_index == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (AddLearner(2), "member 2 is no newcomer"),
        (AddLearner(0), "member 0 is no newcomer"),
        (Promote(2), "member 2 is not a learner"),
        (Promote(7), "member 7 is not a learner"),
        (Remove(7), "member 7 takes no part"),
    ],
)
def test_what_makes_no_sense_is_refused(leader: RawNode, change: Change, reason: str) -> None:
    """A refusal is a value, with a sentence for a person."""
    assert refusal(leader, change) == reason
    assert leader.last_index == 1


def test_any_member_may_join_that_takes_no_part(make: Make, settle: Settle, elect: Elect) -> None:
    """Each positive id is one of a member."""
    node = elect(make(3))
    node.change(Remove(1))
    hold(node, settle, 2)
    assert isinstance(node.change(AddLearner(1)), Accepted)


def test_only_a_leader_that_stays_changes_anything(make: Make, leader: RawNode) -> None:
    """A follower and a leader in a transfer refuse a change, as they refuse a proposal."""
    assert make().change(Remove(3)) == NotLeader(0)
    leader.transfer(2)
    assert leader.change(Remove(3)) == Transferring(2)


def test_a_configuration_is_not_proposed(leader: RawNode) -> None:
    """A proposed configuration would evade the rules of `change`."""
    with pytest.raises(ValueError, match="changed"):
        leader.propose([b"1,2+"], EntryKind.CONFIGURATION)


def test_the_last_voter_stays(make: Make, settle: Settle) -> None:
    """Without a voter nothing could be committed any more."""
    node = make(size=1)
    while node.role is not RaftRole.LEADER:
        node.tick()
        settle(node)
    settle(node)
    assert refusal(node, Remove(1)) == "member 1 is the last voter"


def test_a_single_voter_grows_and_shrinks(make: Make, settle: Settle) -> None:
    """The voters of the configuration in force are the voters whose syncs commit."""
    node = make(size=1)
    while node.role is not RaftRole.LEADER:
        node.tick()
        settle(node)
    node.change(AddLearner(2))
    settle(node)
    assert node.commit_index == 2, "a learner is not waited for"
    hold(node, settle, 2)
    node.change(Promote(2))
    settle(node)
    assert node.commit_index == 2, "the second voter is"
    hold(node, settle, 2)
    assert node.commit_index == 3
    node.change(Remove(2))
    settle(node)
    assert node.commit_index == 4


def test_the_quorum_is_not_lost(leader: RawNode, settle: Settle) -> None:
    """A voter that is silent for two checks of the quorum is not counted on."""
    for _ in range(20):
        leader.tick()
        leader.step(HeartbeatReply(2, 1, 1, 0))
        settle(leader)
    assert refusal(leader, Remove(2)) == (
        "of the 2 voters there would be, 1 answered lately: no majority"
    )
    assert refusal(leader, Remove(1)).endswith("no majority")
    assert isinstance(leader.change(Remove(3)), Accepted)


def test_a_removed_leader_does_not_count_itself(leader: RawNode, settle: Settle) -> None:
    """§4.2.2: a leader being removed replicates entries and does not count itself in majorities."""
    leader.change(Remove(1))
    hold(leader, settle, 2)
    assert (leader.role, leader.commit_index) == (RaftRole.LEADER, 1)


def test_a_removed_leader_steps_down(leader: RawNode, settle: Settle) -> None:
    """§4.2.2: the leader steps down once its removal is committed, and names a successor."""
    leader.change(Remove(1))
    readies = hold(leader, settle, 2, 3)
    assert leader.role is RaftRole.FOLLOWER
    assert leader.commit_index == 2
    messages = sent(readies)
    assert TimeoutNow(1, 2, 1) in messages
    assert Heartbeat(1, 3, 1, 2, 0) in messages, "it tells that the entry is committed"
    for _ in range(100):
        leader.tick()
    assert leader.role is RaftRole.FOLLOWER


def test_a_removal_that_was_taken_back_ends_no_later_lead(leader: RawNode, settle: Settle) -> None:
    """§4.1: the leader falls back to the configuration before, and so to staying."""
    leader.change(Remove(1))
    settle(leader)
    request = AppendRequest(
        sender=3,
        recipient=1,
        term=2,
        previous_index=1,
        previous_term=1,
        commit=1,
        entries=(Entry(2, 2, EntryKind.NOOP, b""),),
    )
    leader.step(request)
    settle(leader)
    assert leader.configuration == of(1, 2, 3)
    leader.step(TimeoutNow(3, 1, 2))
    settle(leader)
    leader.step(VoteReply(2, 1, 3, granted=True))
    hold(leader, settle, 2, 3)
    assert (leader.role, leader.commit_index) == (RaftRole.LEADER, 3)


def test_a_removed_leaders_successor_is_a_voter(make: Make, settle: Settle, elect: Elect) -> None:
    """§4.2.2: a learner cannot lead, however much of the log the learner holds."""
    node = elect(make(learners=frozenset({4})))
    hold(node, settle, 4)
    node.change(Remove(1))
    messages = sent(hold(node, settle, 4, 3, 2))
    assert [one.recipient for one in messages if isinstance(one, TimeoutNow)] == [2]


def test_a_member_being_removed_campaigns(make: Make, settle: Settle) -> None:
    """§4.2.2: the removed voter may be needed until the entry is committed; it has no own vote."""
    node = make(term=1, entries=(entry(1, 1, of(2, 3)),))
    for _ in range(10):
        node.tick()
    assert sent(settle(node)) == [PreVoteRequest(1, 2, 2, 1, 1), PreVoteRequest(1, 3, 2, 1, 1)]
    roles = []
    for voter in (2, 3):
        node.step(PreVoteReply(voter, 1, 2, granted=True))
        roles.append(node.role)
    settle(node)
    for voter in (2, 3):
        node.step(VoteReply(voter, 1, 2, granted=True))
        roles.append(node.role)
    for voter in (2, 3):
        hold(node, settle, voter)
        roles.append(node.role)
    assert roles == [
        RaftRole.PRE_CANDIDATE,
        RaftRole.CANDIDATE,
        RaftRole.CANDIDATE,
        RaftRole.LEADER,
        RaftRole.LEADER,
        RaftRole.FOLLOWER,
    ]
    assert node.commit_index == 2


def test_a_removed_member_stops_campaigning(make: Make, settle: Settle) -> None:
    """§4.2.3: a member that knows that its removal is committed does not campaign."""
    node = make(term=1, entries=(entry(1, 1, of(2, 3)),))
    node.step(Heartbeat(2, 1, 1, 1, 0))
    settle(node)
    for _ in range(100):
        node.tick()
    assert (node.role, node.term) == (RaftRole.FOLLOWER, 1)
    node.step(TimeoutNow(2, 1, 1))
    assert node.role is RaftRole.FOLLOWER


def test_a_removed_member_is_told(leader: RawNode, settle: Settle) -> None:
    """A removed member gets its removal and the commit index, and no message after them."""
    leader.change(Remove(3))
    hold(leader, settle, 3)
    assert leader.commit_index == 1, "it does not count"
    hold(leader, settle, 2)
    commits = []
    for _ in range(25):
        leader.tick()
        leader.step(HeartbeatReply(2, 1, 1, 0))
        beats = [one for one in sent(settle(leader)) if isinstance(one, Heartbeat)]
        commits += [one.commit for one in beats if one.recipient == 3]
    assert commits
    assert commits[-1] == 2
    assert len(commits) <= 11, "an election timeout and a farewell"


def test_a_member_leaves_at_the_entry_that_removed_it(leader: RawNode, settle: Settle) -> None:
    """§4.1: a later change, which the removed member need not hold, does not put off its end."""
    leader.change(AddLearner(4))
    hold(leader, settle, 2, 3)
    leader.change(Remove(3))
    hold(leader, settle, 2)
    leader.change(AddLearner(5))
    settle(leader)
    assert 3 in leader.followers
    leader.step(AppendReply(sender=3, recipient=1, term=1, accepted=True, index=3))
    for _ in range(10):
        leader.step(HeartbeatReply(2, 1, 1, 0))
        leader.tick()
    assert 3 not in leader.followers


def test_a_silent_member_that_leaves_is_given_up(leader: RawNode, settle: Settle) -> None:
    """The usual reason to remove a member is that the member is dead."""
    leader.change(Remove(3))
    hold(leader, settle, 2)
    recipients = []
    for _ in range(31):  # heard between none of two checks
        leader.tick()
        leader.step(HeartbeatReply(2, 1, 1, 0))
        recipients.append({one.recipient for one in sent(settle(leader))})
    assert (recipients[0], recipients[-1]) == ({2, 3}, {2})


@pytest.mark.parametrize("later", tuple(product((False, True), repeat=4)))
def test_a_member_that_leaves_is_given_up_after_two_silent_checks(
    leader: RawNode, settle: Settle, later: tuple[bool, ...]
) -> None:
    """Until two checks of the quorum in a row missed the member, it may yet be told."""
    leader.change(Remove(3))
    hold(leader, settle, 2)
    answers = [True, *later]  # between two checks; it has answered before the first
    is_known = True
    for number, answered in enumerate(answers):
        if answered:
            leader.step(HeartbeatReply(3, 1, 1, 0))
        for _ in range(10):
            leader.step(HeartbeatReply(2, 1, 1, 0))
            leader.tick()
        is_known = is_known and any(answers[max(0, number - 1) : number + 1])
        assert (3 in leader.followers) == is_known, f"after check {number}"


def test_a_member_that_leaves_needs_no_snapshot(leader: RawNode, settle: Settle) -> None:
    """A snapshot would be streamed in vain."""
    leader.propose([b"x"] * 9)
    hold(leader, settle, 2)
    leader.change(Remove(3))
    hold(leader, settle, 2)
    leader.compact(leader.applied_index)
    leader.step(  # member 3 holds entry 1 alone, and the log begins behind entry 2
        AppendReply(sender=3, recipient=1, term=1, accepted=False, index=2, conflict_index=2)
    )
    leader.step(HeartbeatReply(3, 1, 1, 0))
    assert leader.followers[3].needs_snapshot
    assert not any(ready.snapshots for ready in settle(leader))


def test_a_read_needs_the_quorum_in_force(leader: RawNode, settle: Settle) -> None:
    """§6.4: with fewer voters, fewer heartbeat replies confirm the read."""
    leader.change(Remove(3))
    hold(leader, settle, 2, 3)
    assert leader.read(7)
    assert not any(ready.reads for ready in settle(leader))
    leader.change(Remove(2))
    assert [ready.reads for ready in settle(leader) if ready.reads] == [(ReadState(7, 2),)]


def test_the_quorum_is_checked_by_the_configuration_in_force(
    leader: RawNode, settle: Settle
) -> None:
    """§6.2: the reply of a learner does not count in the check of the quorum."""
    leader.change(AddLearner(4))
    hold(leader, settle, 2, 4)
    for _ in range(20):
        leader.tick()
        leader.step(HeartbeatReply(4, 1, 1, 0))
        settle(leader)
    assert leader.role is RaftRole.FOLLOWER


def test_a_restart_goes_by_the_newest_entry(make: Make) -> None:
    """§4.1: the configuration is that of the base, and of the entries behind it."""
    node = make(4, term=1, entries=(entry(1, 1, of(1, 2, 3, 4)), entry(2, 1, of(1, 2))))
    assert node.configuration == of(1, 2)
    assert [node.configuration_at(index) for index in (0, 1, 2)] == [
        of(1, 2, 3),
        of(1, 2, 3, 4),
        of(1, 2),
    ]


def test_a_snapshot_brings_its_configuration(make: Make, settle: Settle) -> None:
    """§5.1.3: the snapshot holds the latest configuration as of its last included index."""
    node = make(term=1, entries=(entry(1, 1, of(1)),))
    node.step(InstallSnapshot(2, 1, 2, SnapshotMeta(5, 2, of(1, 2))))
    assert [ready.configuration for ready in settle(node)] == [of(1, 2)]
    assert node.configuration_at(5) == of(1, 2)
    with pytest.raises(ProtocolViolation):
        node.configuration_at(1)


def test_a_snapshot_without_another_configuration_tells_of_none(make: Make, settle: Settle) -> None:
    """The caller would connect to the same members anew."""
    node = make()
    node.step(InstallSnapshot(2, 1, 1, SnapshotMeta(5, 1, of(1, 2, 3))))
    assert [ready.configuration for ready in settle(node)] == [None]


def test_a_cut_log_remembers_who_took_part(leader: RawNode, settle: Settle) -> None:
    """Compaction removes the entry and keeps the configuration of the entry."""
    leader.change(AddLearner(4))
    leader.propose([b"x"])
    hold(leader, settle, 2, 3)
    leader.compact(3)
    assert leader.configuration_at(3) == of(1, 2, 3, learners=[4])


def test_a_configuration_stands_in_the_callers_format() -> None:
    """The payload has the format of the caller's disk and wire."""
    codec = ConfigurationCodec(lambda one: b"!" + PLAIN.encode(one), lambda b: PLAIN.decode(b[1:]))
    settings = RaftSettings(
        id=1,
        election_timeout_ticks_min=10,
        election_timeout_ticks_max=20,
        heartbeat_ticks=1,
        entries_per_append_max=8,
        bytes_per_append_max=1 << 20,
        appends_in_flight_max=4,
        random=lambda _: 0,
        codec=codec,
    )
    log = (Entry(1, 1, EntryKind.CONFIGURATION, b"!1+2"),)
    node = RawNode(
        settings,
        Restored(
            hard_state=HardState(1, 0),
            configuration=of(1),
            base_index=0,
            base_term=0,
            entries=log,
            applied_index=0,
        ),
    )
    assert node.configuration == of(1, learners=[2])
