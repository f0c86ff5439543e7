"""Clocks and states, compared by the leader; a member that differs leaves service."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from inventory.raft.v1 import forward_pb2, peer_pb2
from inventory_node.codec import add_to_frame, surveys_of
from inventory_node.core.clock_skew import MEASURED_MS_MAX, ClockSkew
from inventory_node.core.events import Tick
from inventory_node.core.node import NodeSettings
from inventory_node.core.survey.divergence import DivergenceDetector, Schedule
from inventory_node.ports import Survey, SurveyReply
from sim.manual_cluster import HandClock, HandMember, ManualCluster, get_all_items, get_item, order

VOTERS = frozenset({1, 2, 3})
AHEAD_MS_MAX = 2_000
DAYS_MS = 5 * 86_400_000


class TestTheVerdict:
    """A majority of the voters with one hash at one index."""

    def divergence(self, sha256: str = "b" * 64) -> DivergenceDetector:
        """Return what member 3 knows, with a hash at 7."""
        made = DivergenceDetector("")
        made.hashed(7, sha256)
        return made

    def test_who_differs_from_a_majority_has_diverged(self) -> None:
        """And is told so once."""
        made = self.divergence()
        hashes = {1: "a" * 64, 2: "a" * 64, 3: "b" * 64}
        assert made.judge(7, hashes, VOTERS)
        assert "index 7" in made.problem
        assert not made.judge(7, hashes, VOTERS)

    def test_who_is_of_the_majority_has_not(self) -> None:
        """Whatever the others say."""
        made = self.divergence("a" * 64)
        assert not made.judge(7, {1: "a" * 64, 2: "b" * 64, 3: "a" * 64}, VOTERS)
        assert made.problem == ""
        assert made.is_compared

    @pytest.mark.parametrize(
        "hashes",
        [{1: "a" * 64}, {1: "a" * 64, 2: "c" * 64}, {1: "a" * 64, 8: "a" * 64, 9: "a" * 64}],
        ids=["one alone", "each another", "who has no vote"],
    )
    def test_less_than_a_majority_decides_nothing(self, hashes: dict[int, str]) -> None:
        """Nobody can say who is right."""
        made = self.divergence()
        assert not made.judge(7, {**hashes, 3: "b" * 64}, VOTERS)
        assert made.problem == ""

    def test_hashes_at_another_index_say_nothing(self) -> None:
        """States differ there because the logs do."""
        made = self.divergence()
        assert not made.judge(8, {1: "a" * 64, 2: "a" * 64, 3: "b" * 64}, VOTERS)
        assert not made.is_compared

    def test_another_state_is_judged_anew(self) -> None:
        """A hash of the old one that comes late does not count."""
        made = self.divergence()
        made.judge(7, {1: "a" * 64, 2: "a" * 64, 3: "b" * 64}, VOTERS)
        made.replaced(20)
        assert made.problem == ""
        made.hashed(9, "c" * 64)
        assert made.newest.index == 0
        assert not made.judge(9, {1: "a" * 64, 2: "a" * 64, 3: "c" * 64}, VOTERS)


class TestTheSchedule:
    """Checkpoints by the clock, and for members that started."""

    def passed(self, made: Schedule, ticks: int, checkpoint_index: int) -> None:
        """Let ticks pass."""
        for _ in range(ticks):
            made.pass_tick(checkpoint_index)

    def test_a_start_is_due_and_then_every_period(self) -> None:
        """Where anything was applied since."""
        made = Schedule(period_ticks=100, gap_ticks=10)
        assert made.is_due(5, wanted=False)
        made.proposed()
        self.passed(made, 1, 6)
        self.passed(made, 99, 6)
        assert not made.is_due(7, wanted=False)
        self.passed(made, 1, 6)
        assert made.is_due(7, wanted=False)
        assert not made.is_due(6, wanted=False)

    def test_a_hash_that_takes_long_is_followed_by_a_longer_rest(self) -> None:
        """A state of a million items is hashed a tenth of the time at most."""
        made = Schedule(period_ticks=100, gap_ticks=10)
        made.proposed()
        made.pass_tick(6)
        for _ in range(30):
            made.pass_tick(6, is_hashing=True)
        self.passed(made, 269, 6)
        assert not made.is_due(7, wanted=False)
        self.passed(made, 1, 6)
        assert made.is_due(7, wanted=False)

    def test_a_member_that_started_need_not_wait_for_a_change(self) -> None:
        """But not more often than the gap."""
        made = Schedule(period_ticks=100, gap_ticks=10)
        made.proposed()
        self.passed(made, 1, 6)
        self.passed(made, 9, 6)
        assert not made.is_due(6, wanted=True)
        self.passed(made, 1, 6)
        assert made.is_due(6, wanted=True)


class TestTheClocks:
    """Offsets half a round trip after the question; the latest time that a majority has reached."""

    def clock_skew(self, *offsets_ms: int) -> ClockSkew:
        """Return what member 1 knows of the clocks of 2, 3 and so on."""
        clock = HandClock()
        made = ClockSkew(clock, AHEAD_MS_MAX)
        sent_ms = clock.elapsed_ms()
        clock.ms += 20
        for member, offset_ms in enumerate(offsets_ms, start=2):
            made.measured(member, sent_ms, clock.ms - 10 + offset_ms)
        return made

    def test_a_wrong_clock_is_ahead_of_the_others(self) -> None:
        """And the others are not ahead of it."""
        assert self.clock_skew(-5_000, -5_000).skews_ms(1, VOTERS) == {1: 5_000, 2: 0, 3: 0}
        assert self.clock_skew(5_000, 0).skews_ms(1, VOTERS) == {1: 0, 2: 5_000, 3: 0}

    def test_nobody_is_right_by_its_own_word(self) -> None:
        """Of two that are known the one behind is held right: its time has been reached by both."""
        assert self.clock_skew(-5_000).skews_ms(1, {1, 2}) == {1: 5_000, 2: 0}
        assert self.clock_skew(-5_000).skews_ms(1, VOTERS) == {1: 5_000, 2: 0}
        assert self.clock_skew(5_000).skews_ms(1, VOTERS) == {1: 0, 2: 5_000}
        assert self.clock_skew(-5_000, -5_000, 0).skews_ms(1, {1, 2, 3, 4})[1] == 5_000
        assert self.clock_skew(-5_000, 0, 0).skews_ms(1, {1, 2, 3, 4})[1] == 0

    def test_a_minority_tells_nothing(self) -> None:
        """Two of five are no median."""
        assert self.clock_skew(-5_000).skews_ms(1, {1, 2, 3, 4, 5}) == {}

    def test_an_answer_that_waited_is_not_used(self) -> None:
        """A process that was stopped would find everybody else behind."""
        clock = HandClock()
        made = ClockSkew(clock, AHEAD_MS_MAX)
        sent_ms, clock_ms = clock.elapsed_ms(), clock.now_ms()
        clock.ms += 60_000
        made.measured(2, sent_ms, clock_ms)
        made.measured(3, sent_ms, clock_ms)
        assert made.skews_ms(1, VOTERS) == {}

    def test_an_old_measurement_counts_for_nothing(self) -> None:
        """The clock may have been set since."""
        clock = HandClock()
        made = ClockSkew(clock, AHEAD_MS_MAX)
        made.measured(2, clock.elapsed_ms(), clock.now_ms() - 5_000)
        made.measured(3, clock.elapsed_ms(), clock.now_ms() - 5_000)
        assert made.skews_ms(1, VOTERS)[1] == 5_000
        clock.ms += 60_000
        assert made.skews_ms(1, VOTERS) == {}


class TestTrust:
    """A clock is right by what others' are, until it is set."""

    def test_a_clock_that_agrees_is_trusted(self) -> None:
        """And one that is ahead is not, nor one of which nothing is known."""
        made = ClockSkew(HandClock(), AHEAD_MS_MAX)
        made.found(None)
        assert (made.is_trusted, made.is_ahead) == (False, False)
        made.found(AHEAD_MS_MAX)
        assert (made.is_trusted, made.is_ahead) == (True, False)
        made.found(AHEAD_MS_MAX + 1)
        assert (made.is_trusted, made.is_ahead) == (False, True)

    def test_one_that_was_set_has_to_be_found_right_again(self) -> None:
        """A leader's word may be of before, so it counts for nothing for a while."""
        clock = HandClock()
        made = ClockSkew(clock, AHEAD_MS_MAX)
        made.found(0, by_leader=True)
        clock.wrong_ms = DAYS_MS
        assert not made.is_trusted
        made.found(0, by_leader=True)
        assert not made.is_trusted
        clock.ms += MEASURED_MS_MAX + 1
        made.found(0, by_leader=True)
        assert made.is_trusted

    def test_what_was_measured_before_it_was_set_says_nothing(self) -> None:
        """All machines were suspended: every clock went on, and the steady ones stood still."""
        clock = HandClock()
        made = ClockSkew(clock, AHEAD_MS_MAX)
        for member in (2, 3):
            made.measured(member, clock.elapsed_ms(), clock.now_ms())
        clock.wrong_ms = DAYS_MS
        assert made.skews_ms(1, VOTERS) == {}
        for member in (2, 3):
            made.measured(member, clock.elapsed_ms(), clock.now_ms())
        assert made.skews_ms(1, VOTERS)[1] == 0


def test_surveys_survive_the_wire() -> None:
    """Both ways, and with what is absent; hashes of another form are left out."""
    frame = peer_pb2.PeerFrame()
    survey = Survey(
        sender=1,
        recipient=2,
        term=3,
        sent_ms=4,
        skew_ms=-5,
        index=6,
        hashes=((1, "a" * 64), (2, "b" * 64)),
    )
    unknown = replace(survey, skew_ms=None, index=0, hashes=())
    reply = SurveyReply(
        sender=2,
        recipient=1,
        term=3,
        sent_ms=4,
        clock_ms=5,
        index=6,
        sha256="a" * 64,
        is_compared=True,
        is_diverged=False,
    )
    for message in (survey, unknown, reply):
        assert add_to_frame(frame, message) > 0
    assert list(surveys_of(frame)) == [survey, unknown, reply]
    for wire in frame.surveys:
        wire.form += 1
    for answer in frame.survey_replies:
        answer.form += 1
    assert list(surveys_of(frame)) == [
        replace(survey, index=0, hashes=()),
        unknown,
        replace(reply, index=0, sha256=""),
    ]


def often(settings: NodeSettings) -> NodeSettings:
    """Compare so often that a test meets it."""
    return replace(settings, survey_ticks=4, checkpoint_ticks=20, checkpoint_gap_ticks=8)


def corrupt(member: HandMember, sql: str = "UPDATE items SET quantity = quantity - 1") -> None:
    """Change a row of the database behind the member's back."""
    with sqlite3.connect(next(member.folder.glob("state-*/state.db"))) as connection:
        connection.execute(sql)
    connection.close()


def elected(folder: Path, change: Callable[[NodeSettings], NodeSettings] = often) -> ManualCluster:
    """Return three members of which 1 leads and has a few orders."""
    cluster = ManualCluster(folder, change=change)
    leader = cluster.elect(1)
    cluster.open()
    for number in range(1, 4):
        leader.ask(order(f"r{number}"), first_id=number)
    cluster.settle()
    return cluster


class TestStates:
    """Members hash at the same index, and who differs leaves service."""

    def test_members_that_agree_stay_in_service(self, tmp_path: Path) -> None:
        """Checkpoints come by themselves, and stop when nothing changes."""
        cluster = elected(tmp_path)
        cluster.pass_time(30)
        hashes = [member.node.view().state_hash for member in cluster.members.values()]
        assert hashes[0].index > 0
        assert all(found == hashes[0] for found in hashes)
        assert not any(member.node.view().diverged for member in cluster.members.values())
        cluster.pass_time(60)
        assert cluster[1].node.view().last_log_index == hashes[0].index
        cluster[1].ask(order("more"), first_id=50)
        cluster.pass_time(30)
        assert cluster[1].node.view().state_hash.index > hashes[0].index

    def test_a_row_that_memory_holds_too_is_found(self, tmp_path: Path) -> None:
        """What is hashed is the database; the others serve on."""
        cluster = elected(tmp_path)
        cluster.pass_time(30)
        corrupt(cluster[3], "UPDATE items SET description = 'another'")
        cluster[1].ask(order("more"), first_id=50)
        cluster.pass_time(40)
        view = cluster[3].node.view()
        assert "voters have" in view.diverged
        assert cluster[3].store.quarantined == view.diverged
        assert cluster[3].observer.warnings == [("diverged", view.diverged)]
        assert not any(cluster[number].node.view().diverged for number in (1, 2))
        cluster[3].ask(questions=[get_item(60), get_all_items(61)])
        cluster.settle()
        answers = cluster[3].replies()
        assert answers[60].retry == answers[61].retry == forward_pb2.RETRY_NOT_LEADER
        cluster[1].ask(order("still"), first_id=51)
        cluster.settle()
        assert cluster[1].replies()[51].outcome

    def test_a_row_changed_while_it_was_down_is_found_at_the_start(self, tmp_path: Path) -> None:
        """Also where nothing else changes."""
        cluster = elected(tmp_path)
        cluster.pass_time(60)
        cluster[3].crash()
        corrupt(cluster[3])
        cluster[3].start()
        cluster.pass_time(40)
        assert cluster[3].node.view().diverged
        assert not cluster[1].node.view().diverged

    def test_a_leader_that_differs_hands_over(self, tmp_path: Path) -> None:
        """What waits for its outcome goes to the successor with the same id; no answer of it."""
        cluster = elected(tmp_path)
        cluster.pass_time(30)
        corrupt(cluster[1], "UPDATE items SET description = 'another'")
        cluster[1].ask(order("more"), first_id=50)
        cluster.pass_time(40)
        assert cluster[1].node.view().diverged
        assert not cluster[1].leads
        assert cluster[1].node._snapshots.outgoing.forbidden
        assert sum(cluster[number].leads for number in (2, 3)) == 1
        cluster[1].ask(order("lost"), first_id=52, questions=[get_item(53)])
        cluster.settle()
        assert cluster[1].replies()[52].retry == forward_pb2.RETRY_NOT_LEADER
        assert cluster[1].replies()[53].retry == forward_pb2.RETRY_NOT_LEADER

    def test_who_waits_when_a_member_leaves_service_is_sent_away(self, tmp_path: Path) -> None:
        """Questions in the database, and those that wait for it."""
        cluster = elected(tmp_path)
        cluster.pass_time(30)
        corrupt(cluster[3], "UPDATE items SET description = 'another'")
        cluster[1].ask(order("more"), first_id=50)
        before = cluster[3].node.view().state_hash.index
        while cluster[3].node.view().state_hash.index == before:
            cluster.pass_time(1)
        cluster[3].store_held = True
        cluster[3].ask(questions=[get_all_items(70)])
        cluster.settle()
        assert cluster[3].store.jobs == 1
        cluster.pass_time(10)
        assert cluster[3].node.view().diverged
        cluster[3].store_held = False
        cluster.settle()
        assert cluster[3].replies()[70].retry == forward_pb2.RETRY_NOT_LEADER

    def test_a_member_out_of_service_still_votes_and_brings_a_successor_up(
        self, tmp_path: Path
    ) -> None:
        """Its log is sound: a majority needs it, and it may be the only one that holds an entry."""
        cluster = elected(tmp_path)
        cluster.pass_time(30)
        corrupt(cluster[3], "UPDATE items SET description = 'another'")
        cluster[1].ask(order("more"), first_id=50)
        cluster.pass_time(40)
        assert cluster[3].node.view().diverged
        cluster[2].cut_off = True
        cluster[1].ask(order("held by 1 and 3"), first_id=51)
        cluster.settle()
        assert cluster[1].replies()[51].outcome
        cluster[1].cut_off = True
        cluster[2].cut_off = False
        cluster.pass_time(80, 2, 3)
        assert cluster[2].leads
        cluster[2].ask(order("held by 1 and 3"), first_id=52)
        cluster.settle()
        assert cluster[2].replies()[52].outcome == cluster[1].replies()[51].outcome

    def test_a_start_with_the_mark_stays_out_of_service(self, tmp_path: Path) -> None:
        """Where it could not be rebuilt yet."""
        cluster = elected(tmp_path)
        cluster.pass_time(30)
        cluster[3].crash()
        cluster[3].settings = replace(cluster[3].settings, quarantined="differs")
        cluster[3].start()
        cluster.pass_time(40)
        assert cluster[3].node.view().diverged == "differs"


class TestClocks:
    """A leader whose clock is far ahead hands over."""

    def run(self, cluster: ManualCluster, ticks: int) -> None:
        """Let ticks pass, and with them every clock."""
        for _ in range(ticks):
            for member in cluster.members.values():
                member.clock.ms += 25
                member.handle(Tick())
            cluster.settle()

    def test_a_leader_far_ahead_hands_over(self, tmp_path: Path) -> None:
        """And everybody knows how far each clock is off."""
        cluster = elected(tmp_path)
        for number in (2, 3):
            cluster[number].clock.ms -= 10_000
        self.run(cluster, 20)
        assert not cluster[1].leads
        assert cluster[1].observer.warnings[0][0] == "clock_ahead"
        assert sum(cluster[number].leads for number in (2, 3)) == 1
        self.run(cluster, 20)
        skews = [member.node.view().clock_skew_ms for member in cluster.members.values()]
        assert skews == [10_000, 0, 0]
        assert sum(cluster[number].leads for number in (2, 3)) == 1

    def test_it_does_not_hand_over_to_another_that_is(self, tmp_path: Path) -> None:
        """Two of five would pass the lead to each other, and neither stamp anything."""
        cluster = ManualCluster(tmp_path, 5, change=often)
        leader = cluster.elect(4)
        for number in (4, 5):
            cluster[number].clock.wrong_ms = number * 10_000
        surveys, leader_fitness, raft = (
            leader.node._survey,
            leader.node._leader_fitness,
            leader.node._raft,
        )
        surveys._serving.clock_skew.clear()
        for number in (1, 2, 3, 5):
            clock = cluster[number].clock
            surveys._serving.clock_skew.measured(number, clock.elapsed_ms(), clock.now_ms())
        assert leader_fitness.successor(raft) == 1
        for number, reply in surveys._replies.items():
            surveys._replies[number] = replace(reply, is_stuck=number < 4)
        surveys._judge_clock(raft)
        leader_fitness.relieve(raft)
        assert not raft.transferring
        assert leader_fitness.successor(raft) == 5, (
            "better than nobody, where this member has to go"
        )

    def test_nobody_is_handed_the_lead_whom_the_log_does_not_bring_up(self, tmp_path: Path) -> None:
        """One that needs a snapshot first: the other's clock is ahead, and it can lead at once."""

        def little(settings: NodeSettings) -> NodeSettings:
            return replace(often(settings), flush_commands_max=4, log_tail_entries=4)

        cluster = ManualCluster(tmp_path, change=little)
        leader = cluster.elect(1)
        cluster.open()
        cluster[3].cut_off = True
        for number in range(1, 31):
            leader.ask(order(f"r{number}"), first_id=number)
            cluster.settle()
        cluster[3].cut_off = False
        leader.store_held = True  # no copy is made
        cluster[2].clock.wrong_ms = 10_000
        cluster.pass_time(8, 1)
        assert leader.node._raft.followers[3].needs_snapshot
        assert leader.node._leader_fitness.successor(leader.node._raft) == 2

    @pytest.mark.parametrize("days", [1, 2])
    def test_a_clock_that_leaps_is_not_believed_on_its_word(
        self, tmp_path: Path, days: int
    ) -> None:
        """Its stamp would stay in the log: request ids of today would be too old for days."""
        cluster = elected(tmp_path)
        cluster[1].clock.wrong_ms = days * 86_400_000
        cluster[1].ask(order("next"), first_id=10)
        cluster.settle()
        assert 10 not in cluster[1].replies(), "until it knows better, or another leads"
        self.run(cluster, 20)
        assert cluster[1].replies()[10].retry == forward_pb2.RETRY_NOT_LEADER
        [leader] = [member for member in cluster.members.values() if member.leads]
        leader.ask(order("next"), first_id=11)
        cluster.settle()
        assert leader.replies()[11].outcome
        assert leader.node._machine.stamp_ms <= leader.clock.ms

    @pytest.mark.parametrize("answers", [2, 1], ids=["all answer", "one is down"])
    def test_one_wrong_clock_does_not_confirm_itself(self, tmp_path: Path, answers: int) -> None:
        """A member starts with it and is elected, or leads while another is down."""
        cluster = elected(tmp_path)
        wrong = cluster[2]
        for member in cluster.members.values():
            member.crash()
        wrong.clock.wrong_ms = DAYS_MS
        for member in cluster.members.values():
            member.start()
        cluster[3].cut_off = answers == 1
        cluster.elect(2)
        cluster.open()
        wrong.ask(order("next"), first_id=20)
        self.run(cluster, 30)
        assert not wrong.leads
        assert wrong.replies()[20].retry == forward_pb2.RETRY_NOT_LEADER
        [leader] = [member for member in cluster.members.values() if member.leads]
        leader.ask(order("next"), first_id=21)
        cluster.settle()
        assert leader.replies()[21].outcome
        assert leader.node._machine.stamp_ms <= leader.clock.ms

    def test_a_leap_that_a_majority_confirms_is_taken(self, tmp_path: Path) -> None:
        """A cluster that was down for a day goes on at once, and so does one that nobody used."""
        cluster = elected(tmp_path)
        for member in cluster.members.values():
            member.clock.ms += 86_400_000
        cluster[1].ask(order("next"), first_id=10)
        cluster.settle()
        assert cluster[1].replies()[10].outcome, "nobody has set it since it was found right"
        for member in cluster.members.values():
            member.crash()
            member.clock.ms += 86_400_000
            member.start()
        leader = cluster.elect(2)
        cluster.open()
        leader.ask(order("the next"), first_id=20)
        cluster.settle()
        assert leader.replies()[20].outcome

    @pytest.mark.parametrize("behind_ms", [2_000, -10_000], ids=["a little ahead", "behind"])
    def test_another_leader_stays(self, tmp_path: Path, behind_ms: int) -> None:
        """A clock that is behind harms nobody: time in the log does not go back."""
        cluster = elected(tmp_path)
        for number in (2, 3):
            cluster[number].clock.ms -= behind_ms
        self.run(cluster, 40)
        assert cluster[1].leads
        assert cluster[1].node.view().clock_skew_ms == behind_ms
