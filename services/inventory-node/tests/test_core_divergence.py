"""Whether states differ, by their hashes, and when states are hashed."""

from collections.abc import Mapping

import pytest
from inventory.v1 import cluster_pb2
from inventory_node.core.survey.divergence import DivergenceDetector, Schedule

OWN = 1
THREE = frozenset({1, 2, 3})
RIGHT, WRONG = "a" * 64, "b" * 12 + "a" * 52


def detector(*hashes: tuple[int, str]) -> DivergenceDetector:
    """Return a detector of a member with these hashes, by index."""
    made = DivergenceDetector("")
    for index, sha256 in hashes:
        made.hashed(index, sha256)
    return made


class TestTheVerdict:
    """It takes a majority of the voters with one hash at one index."""

    @pytest.mark.parametrize(
        ("voters", "hashes", "is_compared", "is_diverged"),
        [
            (3, {2: RIGHT}, False, False),
            (3, {2: RIGHT, 7: RIGHT}, False, False),  # who has no vote does not count
            (3, {1: WRONG, 2: RIGHT}, True, False),
            (3, {2: WRONG, 3: WRONG}, True, False),
            (3, {1: WRONG, 2: RIGHT, 3: RIGHT}, True, True),
            (4, {2: RIGHT, 3: RIGHT}, False, False),
            (4, {1: WRONG, 2: RIGHT, 3: RIGHT}, True, False),
            (4, {2: RIGHT, 3: RIGHT, 4: RIGHT}, True, True),
            (5, {1: WRONG, 2: RIGHT, 3: RIGHT, 4: RIGHT}, True, True),
            (5, {1: WRONG, 2: RIGHT, 3: RIGHT, 4: WRONG, 5: "c"}, True, False),
        ],
    )
    def test_a_majority_decides(
        self, voters: int, hashes: Mapping[int, str], *, is_compared: bool, is_diverged: bool
    ) -> None:
        """Of all voters, not of those that were heard."""
        made = detector((5, WRONG))
        assert made.judge(5, hashes, range(1, voters + 1)) is is_diverged
        assert made.is_compared is is_compared
        assert bool(made.problem) is is_diverged

    def test_it_is_told_once_and_says_what_differs(self) -> None:
        """The first index that differed stays the reason."""
        made = detector((5, WRONG), (6, WRONG))
        others = {2: RIGHT, 3: RIGHT}
        assert made.judge(5, others, THREE)
        reason = (
            "its state at index 5 has the hash bbbbbbbbbbbb, and 2 of 3 voters have aaaaaaaaaaaa"
        )
        assert made.problem == reason
        assert not made.judge(6, others, THREE)
        assert made.problem == reason

    def test_what_was_not_hashed_here_is_not_judged(self) -> None:
        """The others compare themselves."""
        made = detector((5, WRONG))
        assert not made.judge(6, {2: RIGHT, 3: RIGHT}, THREE)
        assert not made.is_compared

    def test_an_earlier_verdict_stays_over_a_start(self) -> None:
        """Until the state is replaced; equal hashes prove nothing of what is not hashed yet."""
        made = DivergenceDetector("of before")
        assert made.newest == cluster_pb2.StateHash()
        made.hashed(5, RIGHT)
        assert not made.judge(5, {2: RIGHT, 3: RIGHT}, THREE)
        assert (made.problem, made.is_compared) == ("of before", True)
        made.replaced(9)
        assert (made.problem, made.is_compared) == ("", False)


class TestTheHashes:
    """Of the newest checkpoints, this member's and on the leader the others'."""

    def test_a_leader_judges_itself_by_what_it_was_told(self) -> None:
        """At each index that it hashed, with its own vote."""
        made = detector((4, RIGHT), (5, WRONG))
        for member in (2, 3):
            made.told(member, 4, RIGHT)
        assert not made.judge_own(OWN, THREE)
        assert made.is_compared
        made.told(2, 5, RIGHT)
        assert made.at(5, OWN) == {1: WRONG, 2: RIGHT}
        assert not made.judge_own(OWN, THREE), "one against one"
        made.told(3, 5, RIGHT)
        assert made.judge_own(OWN, THREE)
        assert not made.judge_own(OWN, THREE), "it is known"

    def test_its_own_hash_counts_towards_the_majority(self) -> None:
        """Two of three are compared."""
        made = detector((5, RIGHT))
        assert not made.is_compared
        made.told(2, 5, RIGHT)
        assert not made.judge_own(OWN, THREE)
        assert made.is_compared

    def test_asking_changes_nothing(self) -> None:
        """The own hash does not pass for one that was told; nor is a member heard that has none."""
        made = detector((5, WRONG))
        made.told(2, 5, RIGHT)
        made.told(3, 0, "")
        for _ in range(2):
            assert made.at(5, OWN) == {1: WRONG, 2: RIGHT}
            assert made.at(5, 9) == {9: WRONG, 2: RIGHT}
        assert made.at(0, OWN) == made.at(6, OWN) == {}

    def test_another_leader_is_told_anew(self) -> None:
        """Its own hashes stay."""
        made = detector((5, RIGHT))
        made.told(2, 5, RIGHT)
        made.clear_others()
        assert made.at(5, OWN) == {1: RIGHT}

    def test_the_newest_eight_are_kept(self) -> None:
        """Of its own and of those that were told, in whatever order these come."""
        made = detector(*((index, RIGHT) for index in range(1, 10)))
        for index in (9, 1, 8, 2, 7, 3, 6, 4, 5):
            made.told(2, index, RIGHT)
        assert made.at(1, OWN) == {}
        assert all(made.at(index, OWN) == {1: RIGHT, 2: RIGHT} for index in range(2, 10))
        assert made.newest == cluster_pb2.StateHash(index=9, sha256=RIGHT)

    def test_a_hash_of_the_state_before_a_snapshot_does_not_count(self) -> None:
        """It may be finished after the switch; one at the snapshot's own index is of the new."""
        made = detector((5, WRONG))
        made.replaced(9)
        assert made.newest == cluster_pb2.StateHash()
        assert made.at(5, OWN) == {}
        made.hashed(8, WRONG)
        assert made.newest == cluster_pb2.StateHash()
        assert made.at(8, OWN) == {}
        made.hashed(9, RIGHT)
        assert made.newest == cluster_pb2.StateHash(index=9, sha256=RIGHT)


class TestTheSchedule:
    """A checkpoint is due now and then, if there is anything to look at."""

    def ticks_until_due(
        self, schedule: Schedule, applied_index: int, last: int = 0, *, wanted: bool = False
    ) -> int:
        """Let ticks pass until a checkpoint is due; 100 for never."""
        for ticks in range(100):
            if schedule.is_due(applied_index, wanted=wanted):
                return ticks
            schedule.pass_tick(last)
        return 100

    def test_the_first_is_due_at_once(self) -> None:
        """If an entry was applied; or because a member that started has to be compared."""
        for schedule in (Schedule(30, 10), Schedule(10, 30), Schedule(2, 1)):
            assert schedule.is_due(1, wanted=False)
            assert schedule.is_due(0, wanted=True)
            assert not schedule.is_due(0, wanted=False)

    def test_the_next_is_due_after_a_period_or_a_gap(self) -> None:
        """From when it was proposed, and again from when it was applied."""
        schedule = Schedule(30, 10)
        schedule.proposed()
        assert self.ticks_until_due(schedule, 7) == 30
        schedule.proposed()
        assert self.ticks_until_due(schedule, 7, wanted=True) == 10
        schedule.pass_tick(6)
        assert self.ticks_until_due(schedule, 7, 6) == 30
        schedule.pass_tick(7)
        assert self.ticks_until_due(schedule, 7, 7) == 100, "nothing was applied since"
        schedule.pass_tick(8)
        assert self.ticks_until_due(schedule, 8, 8, wanted=True) == 10

    def test_a_large_state_is_hashed_more_seldom(self) -> None:
        """The pause is ten times as long as the hash took."""
        schedule = Schedule(30, 10)
        for _ in range(5):
            schedule.pass_tick(3, is_hashing=True)
        assert self.ticks_until_due(schedule, 7, 3) == 36, "40 ticks since it was applied"
        schedule.pass_tick(4)
        schedule.pass_tick(4, is_hashing=True)
        assert self.ticks_until_due(schedule, 7, 4) == 29, "this one took a tick: the period"
