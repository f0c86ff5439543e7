"""What a member asks about itself, and what it believes."""

from dataclasses import replace

import pytest
from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.codec import encode_configuration
from inventory_node.core.membership.join import (
    DataCheck,
    DataVerdict,
    StandingWatch,
    voters_of,
)
from inventory_node.wal import Identity, Recovered, recover
from raft.messages import Configuration, Entry, EntryKind, HardState
from sim.disk import SimDisk
from wire import errors

IDENTITY = Identity("cluster", 4, "node-4")
REMOVED = cluster_pb2.MEMBER_STANDING_REMOVED
VOTER = cluster_pb2.MEMBER_STANDING_VOTER
LEARNER = cluster_pb2.MEMBER_STANDING_LEARNER
JOINING = cluster_pb2.MEMBER_STANDING_JOINING


JOIN = membership_pb2.Join(member_id=4, name="node-4", address="host:1", is_learner=True, term=7)


def member(
    standing: cluster_pb2.MemberStanding.ValueType, leader: str = "node-1", last_index: int = 9
) -> cluster_pb2.Member:
    """Return a member as it sees itself."""
    return cluster_pb2.Member(
        standing=standing, leader=leader, last_log_index=last_index, term=7, name="node-4"
    )


def done(standing: membership_pb2.Standing.ValueType) -> membership_pb2.ChangeResponse:
    """Return a leader's answer."""
    return membership_pb2.ChangeResponse(done=membership_pb2.Done(standing=standing))


@pytest.mark.parametrize("auto", [True, False])
def test_a_member_whose_log_does_not_name_it_asks_and_is_not_removed_before_it_is_told(
    auto: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The removal may be taken back, or the log may end before the entry that added the member."""
    watch = StandingWatch(IDENTITY, "host:1", auto=auto)
    asked = watch.observe(member(REMOVED))
    assert asked == membership_pb2.ChangeRequest(cluster_id="cluster", join=JOIN)
    assert watch.was_removed is False
    assert not watch.was_removed
    watch.hear(done(membership_pb2.STANDING_LEARNER))
    assert not watch.was_removed
    watch.hear(done(membership_pb2.STANDING_REMOVED))
    assert watch.was_removed


def test_a_voter_asks_only_when_it_has_known_of_no_leader_for_a_while() -> None:
    """Nobody else may have told it that it was removed."""
    watch = StandingWatch(IDENTITY, "host:1", auto=True)
    asked = [watch.observe(member(VOTER, leader="")) for _ in range(3)]
    assert asked == [None] * 3, "of a start that finds no leader"
    assert watch.observe(member(VOTER)) is None
    asked = [watch.observe(member(VOTER, leader="")) for _ in range(4)]
    assert asked[:-1] == [None] * 3
    assert asked[-1] is not None
    assert asked[-1] == membership_pb2.ChangeRequest(cluster_id="cluster", join=JOIN)
    assert watch.observe(member(VOTER)) is None


def test_a_part_and_a_vote_are_asked_for_where_the_member_joins_by_itself() -> None:
    """A newcomer has an empty log, a learner has not."""
    watch = StandingWatch(IDENTITY, "host:1", auto=True)
    newcomer = watch.observe(member(JOINING, last_index=0))
    learner = watch.observe(member(LEARNER))
    assert newcomer is not None
    assert learner is not None
    assert (newcomer.join.is_empty, newcomer.join.is_learner) == (True, False)
    assert newcomer.join.term == 7
    assert (learner.join.is_empty, learner.join.is_learner) == (False, False)
    waiting = StandingWatch(IDENTITY, "host:1", auto=False)
    assert waiting.observe(member(LEARNER)) is None
    assert waiting.observe(member(JOINING, last_index=0)) is None


def test_a_removal_that_was_heard_of_once_stays_so() -> None:
    """It was committed; a leader of before may say otherwise later."""
    watch = StandingWatch(IDENTITY, "host:1", auto=True)
    assert watch.hear(done(membership_pb2.STANDING_REMOVED)) == "STANDING_REMOVED"
    assert watch.hear(done(membership_pb2.STANDING_VOTER)) == "STANDING_VOTER"
    assert watch.was_removed


def test_who_does_not_lead_says_nothing_and_a_leader_says_why_not() -> None:
    """Neither tells how the member takes part."""
    watch = StandingWatch(IDENTITY, "host:1", auto=True)
    assert not watch.hear(NOT_LEADER)
    assert watch.hear(REFUSED) == REFUSED.error.message
    assert not watch.was_removed


NOT_LEADER = membership_pb2.ChangeResponse(not_leader=membership_pb2.NotLeader())
REFUSED = membership_pb2.ChangeResponse(error=errors.change_refused("no"))
STAYS_VOTER = done(membership_pb2.STANDING_VOTER)
GONE = done(membership_pb2.STANDING_REMOVED)


def log_of(*voters: int) -> Recovered:
    """Return a log in term 3 that names these voters."""
    disk = SimDisk(lambda _: None, lambda _: None)
    log = recover(disk, segment_bytes=4096).log
    disk.submit(log.bootstrap(IDENTITY, Configuration(frozenset(voters))), 0)
    disk.submit(log.append(HardState(3, 0), None, ()), 1)
    disk.drain()
    return recover(disk, segment_bytes=4096)


class TestTheDataOfAStart:
    """They go aside only where it is proven that nobody needs them."""

    def check(self, *, is_first: bool = True, is_diverged: bool = False) -> DataCheck:
        """Begin with the data of one of three voters."""
        log = log_of(1, 2, 4)
        return DataCheck(log, IDENTITY, "host:1", is_first=is_first, is_diverged=is_diverged)

    def test_the_first_question_asks_for_no_vote(self) -> None:
        """And says in which term the member is, so that no leader of before answers."""
        request = self.check().request
        assert request.cluster_id == "cluster"
        assert request.join == membership_pb2.Join(
            member_id=4, name="node-4", address="host:1", is_learner=True, is_empty=True, term=3
        )

    @pytest.mark.parametrize("snapshot", [0, 9])
    def test_a_log_that_begins_with_an_entry_or_a_snapshot_is_not_empty(
        self, snapshot: int
    ) -> None:
        """A leader tells one that lost its log from one that did not."""
        entry = Entry(snapshot + 1, 1, EntryKind.NOOP, b"")
        for log in (
            replace(log_of(1, 2, 4), base_index=snapshot, entries=(entry,)),
            replace(log_of(1, 2, 4), base_index=9),
        ):
            check = DataCheck(log, IDENTITY, "host:1", is_first=True, is_diverged=False)
            assert not check.request.join.is_empty

    def test_the_newest_configuration_of_the_log_says_who_votes(self) -> None:
        """Committed or not; an entry of another kind behind it changes nothing."""
        payloads = [
            encode_configuration(Configuration(frozenset(voters))) for voters in ((1, 4), (4, 8, 9))
        ]
        entries = [Entry(2 + n, 1, EntryKind.CONFIGURATION, one) for n, one in enumerate(payloads)]
        log = replace(
            log_of(1, 2, 4), entries=(*entries, Entry(4, 1, EntryKind.COMMAND, payloads[0]))
        )
        assert voters_of(log) == {4, 8, 9}
        assert voters_of(replace(log, entries=log.entries[:1])) == {1, 4}
        assert voters_of(replace(log, entries=())) == {1, 2, 4}

    def test_those_of_a_removed_member_go_aside(self) -> None:
        """Whoever else answers does not lead."""
        assert self.check().hear([NOT_LEADER, GONE], {1, 2}) is DataVerdict.SET_ASIDE
        assert self.check(is_diverged=True).hear([GONE], {1}) is DataVerdict.SET_ASIDE

    def test_those_of_a_member_that_takes_part_are_kept(self) -> None:
        """A leader says so, and nothing more is asked."""
        for is_first in (True, False):
            check = self.check(is_first=is_first)
            assert check.hear([STAYS_VOTER], {1, 2}) is DataVerdict.KEEP

    def test_a_first_member_asks_once(self) -> None:
        """Where all start together nobody can say."""
        assert self.check().hear([], set()) is DataVerdict.KEEP

    @pytest.mark.parametrize(("is_first", "is_diverged"), [(False, False), (True, True)])
    def test_others_ask_until_an_election_is_over(
        self, *, is_first: bool, is_diverged: bool
    ) -> None:
        """And go on with what they have where nobody says."""
        check = self.check(is_first=is_first, is_diverged=is_diverged)
        verdicts = [check.hear([NOT_LEADER], {1, 2}) for _ in range(6)]
        assert verdicts == [*[DataVerdict.ASK_LATER] * 5, DataVerdict.KEEP]
        assert check.problem == "no leader answers"

    def test_those_that_differ_go_aside_when_the_removal_is_committed(self) -> None:
        """The leader says first that the others hold what is committed."""
        check = self.check(is_diverged=True)
        assert check.hear([STAYS_VOTER], {1, 2}) is DataVerdict.ASK
        leave = membership_pb2.Leave(member_id=4, reached=[1, 2])
        assert check.request == membership_pb2.ChangeRequest(cluster_id="cluster", leave=leave)
        assert check.hear([NOT_LEADER, STAYS_VOTER], {1, 2}) is DataVerdict.ASK
        removal = membership_pb2.ChangeRequest(cluster_id="cluster", remove="node-4")
        assert check.request == removal
        assert check.hear([GONE], {1, 2}) is DataVerdict.SET_ASIDE

    def test_no_removal_is_asked_for_where_a_majority_is_not_reached(self) -> None:
        """The cluster may need this member."""
        check = self.check(is_diverged=True)
        assert check.hear([STAYS_VOTER], {1, 9}) is DataVerdict.ASK_LATER
        assert check.request.HasField("join")
        assert check.problem == "this member does not reach a majority without it"

    @pytest.mark.parametrize(
        ("voters", "reached", "verdict"),
        [
            ((1, 2, 3, 4, 5), {1, 2}, DataVerdict.ASK_LATER),
            ((1, 2, 3, 4, 5), {1, 2, 3}, DataVerdict.ASK),
            ((1, 2, 3, 4), {1, 2}, DataVerdict.ASK_LATER),
            ((1, 2, 3, 4), {1, 2, 3}, DataVerdict.ASK),
            ((1, 2, 4), {1, 2}, DataVerdict.ASK),
        ],
    )
    def test_a_majority_of_all_voters_has_to_be_reached(
        self, voters: tuple[int, ...], reached: set[int], verdict: DataVerdict
    ) -> None:
        """Of an even number, one more than half."""
        log = log_of(*voters)
        check = DataCheck(log, IDENTITY, "host:1", is_first=False, is_diverged=True)
        assert check.hear([STAYS_VOTER], reached) is verdict

    @pytest.mark.parametrize("answers", [[], [NOT_LEADER], [REFUSED]])
    @pytest.mark.parametrize("steps", [1, 2])
    def test_a_refusal_begins_the_questions_anew(
        self, answers: list[membership_pb2.ChangeResponse], steps: int
    ) -> None:
        """Whether the leave was refused, or the removal."""
        check = self.check(is_diverged=True)
        for _ in range(steps):
            assert check.hear([STAYS_VOTER], {1, 2}) is DataVerdict.ASK
        assert check.hear(answers, {1, 2}) is DataVerdict.ASK_LATER
        assert check.request.HasField("join")
        assert check.problem == (
            REFUSED.error.message if REFUSED in answers else "no leader answers"
        )
