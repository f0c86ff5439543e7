"""How often a password may be tried, by whom, and when that is forgotten."""

from collections import Counter

import pytest
from gateway import login_budgets, login_limiter
from gateway.login_budgets import Delays, Tries
from gateway.login_limiter import (
    BUSY_RETRY_MS,
    DELAY_FIRST_MS,
    DELAY_MOST_MS,
    FORGET_MS,
    HASH_BACK_MS,
    HASHES_MAX,
    KNOWN_FREE,
    NAME_BACK_MS,
    NAME_TRIES_MAX,
    SOURCE_FREE,
    SOURCE_UNDER_WAY_MAX,
    UNKNOWN_UNDER_WAY_MAX,
    Attempt,
    LoginLimiter,
)
from hypothesis import given
from hypothesis import strategies as st

HOME, CAFE = "192.0.2.1", "198.51.100.7"


class TestTries:
    """A number of tries for each key, which come back one by one."""

    def test_a_key_has_so_many_and_no_more(self) -> None:
        """Another key has tries of its own."""
        tries = Tries(3, 10)
        for _ in range(3):
            assert tries.wait_ms("ann", 5) == 0
            tries.take("ann", 5)
        assert tries.wait_ms("ann", 5) == 10
        assert tries.wait_ms("bob", 5) == 0

    def test_they_come_back_one_by_one(self) -> None:
        """Also where others are taken meanwhile."""
        tries = Tries(3, 10)
        for _ in range(3):
            tries.take("ann", 0)
        assert tries.wait_ms("ann", 9) == 1
        assert tries.wait_ms("ann", 10) == 0
        tries.take("ann", 10)
        assert tries.wait_ms("ann", 10) == 10
        assert tries.wait_ms("ann", 19) == 1
        tries.take("ann", 25)
        assert tries.wait_ms("ann", 25) == 5
        assert tries.wait_ms("ann", 30) == 0

    def test_no_more_come_back_than_were_taken(self) -> None:
        """After a long time the key has all of them, and not one more."""
        tries = Tries(3, 10)
        tries.take("ann", 0)
        for _ in range(3):
            assert tries.wait_ms("ann", 1_000) == 0
            tries.take("ann", 1_000)
        assert tries.wait_ms("ann", 1_000) == 10

    def test_one_that_is_given_back_can_be_taken(self) -> None:
        """And the time since the last one came back counts on."""
        tries = Tries(2, 10)
        tries.take("ann", 0)
        tries.take("ann", 0)
        tries.give_back("ann", 4)
        assert tries.wait_ms("ann", 4) == 0
        tries.take("ann", 4)
        assert tries.wait_ms("ann", 4) == 6

    def test_giving_back_makes_no_more_than_all(self) -> None:
        """A key that has all its tries is not kept."""
        tries = Tries(2, 10)
        tries.take("ann", 0)
        tries.give_back("ann", 20)
        tries.give_back("ann", 20)
        tries.take("ann", 20)
        tries.take("ann", 20)
        assert tries.wait_ms("ann", 20) == 10

    def test_they_come_back_from_the_last_moment_at_which_there_were_all(self) -> None:
        """A key that has just got its last one back has all the time ahead."""
        tries = Tries(3, 10)
        tries.take("ann", 0)
        for _ in range(3):
            tries.take("ann", 15)
        assert tries.wait_ms("ann", 15) == 10

    def test_a_key_that_has_all_of_them_takes_no_place(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another one is not forgotten for it."""
        monkeypatch.setattr(login_budgets, "KEYS_MAX", 2)
        tries = Tries(1, 10)
        tries.take("ann", 0)
        for name in ("bob", "cid"):
            tries.take(name, 0)
            tries.give_back(name, 0)
        assert tries.wait_ms("ann", 0) == 10

    def test_the_key_of_longest_ago_is_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So strangers who make up names cost a bounded memory."""
        monkeypatch.setattr(login_budgets, "KEYS_MAX", 2)
        tries = Tries(2, 10)
        tries.take("ann", 0)
        tries.take("bob", 0)
        tries.take("bob", 0)
        tries.take("ann", 1)
        tries.take("cid", 1)
        tries.take("cid", 1)
        assert tries.wait_ms("bob", 1) == 0
        assert tries.wait_ms("ann", 1) == 9
        assert tries.wait_ms("cid", 1) == 10


class TestDelays:
    """A delay that doubles, behind some free tries."""

    def test_it_doubles_up_to_a_most(self) -> None:
        """And counts from the last try."""
        delays = Delays(2, 10, 70, 1_000)
        delays.take("ann", 3)
        assert delays.wait_ms("ann", 3) == 0
        now_ms = 3
        for delay_ms in (10, 20, 40, 70, 70):
            delays.take("ann", now_ms)
            assert delays.wait_ms("ann", now_ms) == delay_ms
            assert delays.wait_ms("ann", now_ms + delay_ms - 1) == 1
            assert delays.wait_ms("ann", now_ms + delay_ms) == 0
            assert delays.wait_ms("ann", now_ms + delay_ms + 1) == 0
            now_ms += delay_ms
        assert delays.wait_ms("bob", now_ms) == 0

    def test_any_number_of_tries_has_the_most(self) -> None:
        """The delay is computed in bounded numbers."""
        delays = Delays(0, 1, 10**12, 10**12)
        for _ in range(100):
            delays.take("ann", 0)
        assert delays.wait_ms("ann", 0) == 1 << 32

    def test_a_key_that_was_not_tried_for_long_starts_anew(self) -> None:
        """Not a moment before."""
        delays = Delays(1, 10, 10, 100)
        delays.take("ann", 0)
        assert not delays.is_clean("ann", 99)
        assert delays.is_clean("ann", 100)
        assert delays.is_clean("bob", 0)
        delays.take("ann", 100)
        assert delays.wait_ms("ann", 100) == 10

    def test_a_try_that_is_given_back_counts_no_more(self) -> None:
        """The delay goes on from the last try."""
        delays = Delays(1, 10, 100, 1_000)
        delays.take("ann", 0)
        delays.take("ann", 5)
        assert delays.wait_ms("ann", 5) == 20
        delays.give_back("ann", 7)
        assert delays.wait_ms("ann", 7) == 8
        delays.give_back("ann", 8)
        assert delays.is_clean("ann", 8)
        delays.give_back("ann", 9)
        assert delays.is_clean("ann", 9)
        delays.take("ann", 9)
        assert delays.wait_ms("ann", 9) == 10

    def test_a_key_without_a_try_takes_no_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another one is not forgotten for it."""
        monkeypatch.setattr(login_budgets, "KEYS_MAX", 2)
        delays = Delays(0, 10, 10, 1_000)
        delays.take("ann", 0)
        for name in ("bob", "cid"):
            delays.take(name, 0)
            delays.give_back(name, 0)
        assert not delays.is_clean("ann", 0)

    def test_the_key_of_longest_ago_is_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So strangers with many addresses cost a bounded memory."""
        monkeypatch.setattr(login_budgets, "KEYS_MAX", 2)
        delays = Delays(1, 10, 10, 1_000)
        delays.take("ann", 0)
        delays.take("bob", 0)
        delays.take("ann", 1)
        delays.take("cid", 1)
        assert delays.is_clean("bob", 1)
        assert not delays.is_clean("ann", 1)
        assert not delays.is_clean("cid", 1)


def test_the_figures_are_those_of_the_documents() -> None:
    """They are chosen, and said in docs/security.md."""
    assert (NAME_TRIES_MAX, NAME_BACK_MS) == (10, 6_000)
    assert (SOURCE_FREE, KNOWN_FREE) == (20, 10)
    assert (DELAY_FIRST_MS, DELAY_MOST_MS, FORGET_MS) == (1_000, 300_000, 3_600_000)
    assert (HASHES_MAX, HASH_BACK_MS) == (60, 200)
    assert (SOURCE_UNDER_WAY_MAX, UNKNOWN_UNDER_WAY_MAX, BUSY_RETRY_MS) == (16, 48, 1_000)
    assert login_limiter.KNOWN_MAX == login_budgets.KEYS_MAX == 10_000


def fails(logins: LoginLimiter, name: str, source: str, now_ms: int = 0) -> int:
    """Log in with a wrong password; return how long the log-in has to wait instead."""
    wait_ms = logins.wait_ms(name, source, now_ms)
    if not wait_ms:
        logins.fail(logins.begin(name, source, now_ms))
    return wait_ms


def succeeds(logins: LoginLimiter, name: str, source: str, now_ms: int = 0) -> None:
    """Log in with the right password, which must be let in."""
    assert logins.wait_ms(name, source, now_ms) == 0
    logins.succeed(logins.begin(name, source, now_ms), now_ms)


def under_way(logins: LoginLimiter, count: int, name: str, source: str) -> list[Attempt]:
    """Begin log-ins that must be let in, and end none."""
    begun = []
    for number in range(count):
        one = source.format(number)
        assert logins.wait_ms(name.format(number), one, 0) == 0
        begun.append(logins.begin(name.format(number), one, 0))
    return begun


def test_a_source_that_guesses_waits_longer_and_longer() -> None:
    """However many names it tries; another source does not wait."""
    logins = LoginLimiter()
    for number in range(SOURCE_FREE):
        assert fails(logins, f"user-{number}", CAFE) == 0
    assert fails(logins, "another", CAFE) == DELAY_FIRST_MS
    assert fails(logins, "another", CAFE, DELAY_FIRST_MS) == 0
    assert fails(logins, "yet another", CAFE, DELAY_FIRST_MS) == 2 * DELAY_FIRST_MS
    assert fails(logins, "another", HOME) == 0
    now_ms = DELAY_FIRST_MS
    for _ in range(20):
        now_ms += DELAY_MOST_MS
        assert fails(logins, "another", CAFE, now_ms) == 0
    assert fails(logins, "another", CAFE, now_ms) == DELAY_MOST_MS
    assert fails(logins, "another", CAFE, now_ms + FORGET_MS) == 0


def test_a_name_has_so_many_tries_for_sources_that_failed() -> None:
    """And as many for those that did not: whoever guesses does not lock them out."""
    logins = LoginLimiter()
    for number in range(NAME_TRIES_MAX):
        fails(logins, "bob", f"10.0.0.{number}")
    for number in range(NAME_TRIES_MAX):
        assert fails(logins, "admin", f"10.0.0.{number}") == 0
    assert fails(logins, "cid", CAFE) == 0
    assert fails(logins, "admin", CAFE) == NAME_BACK_MS
    for number in range(NAME_TRIES_MAX):
        assert fails(logins, "admin", f"10.0.1.{number}") == 0
    assert fails(logins, "admin", HOME) == NAME_BACK_MS
    assert fails(logins, "admin", HOME, NAME_BACK_MS) == 0


def test_one_source_locks_nobody_else_out() -> None:
    """Its tries are of the name's for sources that failed, but for the first."""
    logins = LoginLimiter()
    while fails(logins, "admin", CAFE) == 0:
        pass
    for number in range(NAME_TRIES_MAX - 1):
        assert fails(logins, "admin", f"10.0.0.{number}") == 0


def test_a_source_that_logged_in_before_is_let_in_whatever_others_try() -> None:
    """With its own tries, which double their delay too."""
    logins = LoginLimiter()
    succeeds(logins, "admin", HOME)
    for number in range(3 * NAME_TRIES_MAX):
        fails(logins, "admin", f"10.0.0.{number}")
    for number in range(2 * SOURCE_FREE):
        fails(logins, f"user-{number}", HOME)
    assert fails(logins, "bob", HOME) > 0
    for _ in range(KNOWN_FREE):
        assert fails(logins, "admin", HOME) == 0
    assert fails(logins, "admin", HOME) == DELAY_FIRST_MS
    succeeds(logins, "admin", HOME, DELAY_FIRST_MS)


def test_a_log_in_that_succeeds_costs_no_try() -> None:
    """Many people behind one address log in as often as they like, as far as it can hash."""
    logins = LoginLimiter()
    for number in range(HASHES_MAX):
        succeeds(logins, f"user-{number}", HOME)
    assert fails(logins, "ann", HOME) == HASH_BACK_MS
    assert fails(logins, "ann", HOME, HASH_BACK_MS) == 0
    assert fails(logins, "ann", CAFE) == 0


def test_a_known_source_has_so_many_hashes_too() -> None:
    """Whoever has an account cannot have the hashers for itself."""
    logins = LoginLimiter()
    for _ in range(HASHES_MAX):
        succeeds(logins, "ann", HOME)
    assert logins.wait_ms("ann", HOME, 0) == HASH_BACK_MS


def test_a_log_in_whose_password_is_not_looked_at_costs_nothing() -> None:
    """Neither a try nor a hash."""
    logins = LoginLimiter()
    for _ in range(3 * HASHES_MAX):
        assert logins.wait_ms("ann", HOME, 0) == 0
        logins.leave(logins.begin("ann", HOME, 0), 0)
    for number in range(NAME_TRIES_MAX):
        assert fails(logins, "ann", f"10.0.0.{number}") == 0


def test_guesses_that_come_together_have_no_more_tries() -> None:
    """A try is taken when the log-in begins."""
    logins = LoginLimiter()
    begun = under_way(logins, NAME_TRIES_MAX, "ann", "10.0.0.{}")
    assert logins.wait_ms("ann", HOME, 0) == NAME_BACK_MS
    logins.leave(begun.pop(), 0)
    assert logins.wait_ms("ann", HOME, 0) == 0


EVENTS = st.tuples(
    st.sampled_from(("begin", "begin", "succeed", "leave", "fail")),
    st.sampled_from(("ann", "bob")),
    st.integers(0, 5),  # of a source, or of a log-in that is under way
)


@given(st.lists(EVENTS, max_size=30))
def test_only_a_wrong_password_costs_a_name_a_try(events: list[tuple[str, str, int]]) -> None:
    """Of the sort of sources that its own was of, whatever has become of the source since."""
    logins = LoginLimiter()
    open_ones: list[tuple[Attempt, bool]] = []
    spent = Counter[tuple[str, bool]]()  # tries of a name, by whether the source was clean
    tried = Counter[str]()  # of a source
    known = set[tuple[str, str]]()
    for what, name, which in events:
        source = f"10.0.0.{which}"
        if what == "begin" and not logins.wait_ms(name, source, 0):
            begun = logins.begin(name, source, 0)
            open_ones.append((begun, not tried[source]))
            assert begun.is_known == ((name, source) in known)
            tried[source] += not begun.is_known
        elif what != "begin" and open_ones:
            attempt, was_clean = open_ones.pop(which % len(open_ones))
            if what == "fail":
                logins.fail(attempt)
                spent[attempt.name, was_clean] += not attempt.is_known
                continue
            tried[attempt.source] -= not attempt.is_known
            if what == "succeed":
                logins.succeed(attempt, 0)
                known.add((attempt.name, attempt.source))
            else:
                logins.leave(attempt, 0)
    for attempt, _ in open_ones:
        logins.leave(attempt, 0)
    for name in ("ann", "bob"):
        let_in = 0
        while fails(logins, name, f"{name} {let_in}") == 0:
            let_in += 1
        assert let_in == max(0, NAME_TRIES_MAX - spent[name, True])


def test_few_log_ins_of_a_source_are_under_way() -> None:
    """Known or not; each that ends makes room, however it ends."""
    logins = LoginLimiter()
    succeeds(logins, "ann", HOME)
    begun = under_way(logins, SOURCE_UNDER_WAY_MAX, "user-{}", HOME)
    assert logins.wait_ms("bob", HOME, 0) == BUSY_RETRY_MS
    assert logins.wait_ms("ann", HOME, 0) == BUSY_RETRY_MS
    assert logins.wait_ms("bob", CAFE, 0) == 0
    logins.leave(begun.pop(), 0)
    begun.append(logins.begin("ann", HOME, 0))
    assert logins.wait_ms("ann", HOME, 0) == BUSY_RETRY_MS
    logins.fail(begun.pop())
    begun.append(logins.begin("ann", HOME, 0))
    logins.succeed(begun.pop(), 0)
    assert logins.wait_ms("bob", HOME, 0) == 0
    for one in begun:
        logins.leave(one, 0)
    under_way(logins, SOURCE_UNDER_WAY_MAX, "other-{}", HOME)
    assert logins.wait_ms("ann", HOME, 0) == BUSY_RETRY_MS


def test_some_capacity_is_left_for_known_sources() -> None:
    """Strangers from any number of addresses do not take all of it."""
    logins = LoginLimiter()
    succeeds(logins, "admin", HOME)
    begun = under_way(logins, UNKNOWN_UNDER_WAY_MAX, "user-{}", "10.0.0.{}")
    assert logins.wait_ms("bob", CAFE, 0) == BUSY_RETRY_MS
    assert logins.wait_ms("bob", HOME, 0) == BUSY_RETRY_MS
    known = under_way(logins, 3, "admin", HOME)
    for one in known:
        logins.fail(one)
    assert logins.wait_ms("bob", CAFE, 0) == BUSY_RETRY_MS
    logins.fail(begun.pop())
    assert logins.wait_ms("bob", CAFE, 0) == 0
    begun.append(logins.begin("bob", CAFE, 0))
    assert logins.wait_ms("cid", CAFE, 0) == BUSY_RETRY_MS


def test_the_source_that_logged_in_longest_ago_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So known ones cost a bounded memory."""
    monkeypatch.setattr(login_limiter, "KNOWN_MAX", 2)
    logins = LoginLimiter()
    for source in ("10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3"):
        succeeds(logins, "ann", source)
    known = {
        source
        for source in ("10.0.0.1", "10.0.0.2", "10.0.0.3")
        if logins.begin("ann", source, 0).is_known
    }
    assert known == {"10.0.0.1", "10.0.0.3"}


def test_nobody_was_refused_at_first() -> None:
    """The gateway counts the refusals."""
    assert LoginLimiter().refused_count == 0
