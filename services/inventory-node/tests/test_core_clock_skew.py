"""How far clocks are off, as measured over round trips, on clocks that a test sets."""

import random

import pytest
from inventory_node.core.clock_skew import ClockSkew
from sim.manual_cluster import HandClock

AHEAD_MS = 2_000  # a clock further ahead is not trusted
THREE = (1, 2, 3)


class Measured:
    """Member 1, which measures the others, each with a clock of its own."""

    def __init__(self) -> None:
        """Begin with a steady clock that does not stand where the wall clock stands."""
        self.clock = HandClock(ms=5_000, wrong_ms=1_700_000_000_000)
        self.skew = ClockSkew(self.clock, AHEAD_MS)

    def measure(self, member: int, lead_ms: int, round_trip_ms: int = 0) -> None:
        """Let an answer come by a clock that is `lead_ms` ahead of member 1's clock."""
        sent_ms = self.clock.elapsed_ms()
        self.clock.ms += round_trip_ms - round_trip_ms // 2
        clock_ms = self.clock.now_ms() + lead_ms
        self.clock.ms += round_trip_ms // 2
        self.skew.measured(member, sent_ms, clock_ms)

    def skews(self, *voters: int) -> dict[int, int]:
        """Return what is known."""
        return dict(self.skew.skews_ms(1, voters or THREE))

    @property
    def judged(self) -> tuple[bool, bool]:
        """Return whether the own clock is trusted, and whether it is ahead."""
        return self.skew.is_trusted, self.skew.is_ahead


@pytest.mark.parametrize("seed", range(100))
def test_the_voters_time_is_what_a_majority_has_reached(seed: int) -> None:
    """The latest such time; who has no vote is measured against it, and does not move it."""
    draw = random.Random(seed)
    count = draw.randint(1, 5)
    leads_ms = [draw.randint(-100_000, 100_000), AHEAD_MS, AHEAD_MS + 1, 0]
    answers = {
        member: (draw.choice(leads_ms), draw.randint(0, 1_500))
        for member in draw.sample(range(2, 8), draw.randint(0, 6))
    }
    measured = Measured()
    for member, (lead_ms, round_trip_ms) in answers.items():
        measured.measure(member, lead_ms, round_trip_ms)
    leads = {1: 0} | {member: lead_ms for member, (lead_ms, _) in answers.items()}
    voters = range(1, count + 1)
    known = [leads[voter] for voter in voters if voter in leads]
    reached = [ms for ms in known if sum(other >= ms for other in known) > count / 2]
    expected = {one: ms - max(reached) for one, ms in leads.items()} if reached else {}
    assert measured.skews(*voters) == expected
    ahead = {one for one, ms in expected.items() if ms > AHEAD_MS}
    assert measured.skew.ahead(1, voters) == ahead


@pytest.mark.parametrize(("round_trip_ms", "is_used"), [(0, True), (1_500, True), (1_501, False)])
def test_an_answer_that_took_long_is_not_used(round_trip_ms: int, *, is_used: bool) -> None:
    """It may be off by half of that."""
    measured = Measured()
    measured.measure(2, 300, round_trip_ms)
    assert bool(measured.skews(1, 2)) is is_used


def test_an_answer_from_before_its_question_is_not_used() -> None:
    """It was sent to this member's process of before."""
    measured = Measured()
    measured.skew.measured(2, measured.clock.elapsed_ms() + 1, measured.clock.now_ms())
    assert measured.skews(1, 2) == {}


def test_a_measurement_counts_for_ten_seconds() -> None:
    """From its arrival."""
    measured = Measured()
    measured.measure(2, 300, 1_000)
    measured.clock.ms += 10_000
    assert measured.skews(1, 2) == {1: 0, 2: 300}
    measured.clock.ms += 1
    assert measured.skews(1, 2) == {}


def test_the_witness_is_the_latest_of_the_other_clocks() -> None:
    """It goes on with the steady clock, for ten seconds from the measurement."""
    measured = Measured()
    assert measured.skew.witness_ms() == 0
    measured.measure(2, -90_000)
    measured.measure(3, 70)
    measured.measure(4, 40)
    measured.clock.ms += 10_000
    assert measured.skew.witness_ms() == measured.clock.now_ms() + 70
    measured.clock.wrong_ms -= 90_000
    assert measured.skew.witness_ms() == measured.clock.now_ms() + 90_070, "its own clock is none"
    measured.clock.ms += 1
    assert measured.skew.witness_ms() == 0


def test_another_leader_measures_anew() -> None:
    """What this member measured in an earlier term is forgotten."""
    measured = Measured()
    measured.measure(2, 300)
    measured.skew.clear()
    assert measured.skews(1, 2) == {}


@pytest.mark.parametrize("jump_ms", [-AHEAD_MS - 1, -AHEAD_MS, AHEAD_MS, AHEAD_MS + 1])
def test_a_clock_that_is_set_is_not_trusted_any_more(jump_ms: int) -> None:
    """In either direction, by more than clocks may differ; whether a tick notices, or a reader."""
    is_set = abs(jump_ms) > AHEAD_MS
    measured = Measured()
    measured.measure(2, 0)
    measured.skew.found(0)
    assert measured.judged == (True, False)
    measured.clock.wrong_ms += jump_ms
    assert measured.judged == (not is_set, False)
    assert bool(measured.skews(1, 2)) is not is_set
    measured.skew.tick()
    assert measured.judged == (not is_set, False)
    assert bool(measured.skews(1, 2)) is not is_set
    measured.clock.wrong_ms -= jump_ms
    assert not measured.skew.is_trusted or not is_set, "it was set twice"


def test_small_steps_are_no_jump() -> None:
    """A clock that is steered is as good as it is measured; a jump is one between two ticks."""
    measured = Measured()
    measured.skew.found(0)
    for _ in range(4):
        measured.clock.wrong_ms += AHEAD_MS
        measured.skew.tick()
    assert measured.skew.is_trusted


def test_a_measurement_notices_that_the_clock_was_set() -> None:
    """Those of before are dropped, the one that came after it is kept."""
    measured = Measured()
    measured.measure(2, 0)
    measured.clock.wrong_ms += 50_000
    measured.measure(3, 0)
    assert measured.skews(1, 2) == {}
    assert measured.skews(1, 3) == {1: 0, 3: 0}


def test_what_is_unknown_is_neither_ahead_nor_right() -> None:
    """An earlier trust stays; an earlier lead over the others is over."""
    measured = Measured()
    assert measured.judged == (False, False)
    measured.skew.found(None)
    assert measured.judged == (False, False)
    measured.skew.found(AHEAD_MS)
    assert measured.judged == (True, False)
    measured.skew.found(None)
    assert measured.judged == (True, False)
    measured.skew.found(AHEAD_MS + 1)
    assert measured.judged == (False, True)
    measured.skew.found(None)
    assert measured.judged == (False, False)


def test_a_leaders_word_does_not_count_for_ten_seconds_after_the_clock_was_set() -> None:
    """It may rest on a measurement of before; what this member measures itself does count."""
    measured = Measured()
    measured.clock.wrong_ms += 50_000
    measured.skew.found(0, by_leader=True)
    assert measured.judged == (False, False)
    measured.clock.ms += 10_000
    measured.skew.found(0, by_leader=True)
    assert not measured.skew.is_trusted
    measured.skew.found(AHEAD_MS + 1, by_leader=True)
    assert not measured.skew.is_ahead
    measured.skew.found(0)
    assert measured.skew.is_trusted
    measured.skew.found(AHEAD_MS + 1)
    measured.clock.ms += 1
    measured.skew.found(0, by_leader=True)
    assert measured.judged == (True, False)
