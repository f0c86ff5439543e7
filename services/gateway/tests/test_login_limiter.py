"""How often a password may be tried, and when that is forgotten."""

import pytest
from gateway import login_limiter
from gateway.login_limiter import TRIES_MAX, TRY_BACK_MS, LoginLimiter


def failed(tries: LoginLimiter, name: str, count: int, now_ms: int = 0) -> None:
    """Take `count` tries of a name, and give none back."""
    for _ in range(count):
        assert tries.take_try(name, now_ms)


def test_a_name_has_so_many_tries_and_no_more() -> None:
    """Another name has tries of its own."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX - 1)
    assert tries.take_try("ann", 0)
    assert not tries.take_try("ann", 0)
    assert tries.take_try("bob", 0)


def test_tries_come_back_one_by_one() -> None:
    """Counted from the last failure."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    assert not tries.take_try("ann", TRY_BACK_MS - 1)
    assert tries.take_try("ann", TRY_BACK_MS)
    assert not tries.take_try("ann", 2 * TRY_BACK_MS - 1)
    assert tries.take_try("ann", 2 * TRY_BACK_MS)


def test_nobody_saves_tries_up() -> None:
    """However long ago the last failure was."""
    tries = LoginLimiter()
    assert tries.take_try("ann", 0)
    later_ms = 1_000 * TRY_BACK_MS
    failed(tries, "ann", TRIES_MAX, later_ms)
    assert not tries.take_try("ann", later_ms)


def test_logins_at_the_same_time_have_no_more_tries() -> None:
    """Each takes its try before its password is looked at."""
    tries = LoginLimiter()
    assert [tries.take_try("ann", 0) for _ in range(128)].count(True) == TRIES_MAX


def test_a_try_that_was_no_wrong_guess_comes_back() -> None:
    """Who logs in often is never locked out, and keeps no name in memory."""
    tries = LoginLimiter()
    for now_ms in range(100):
        assert tries.take_try("ann", now_ms)
        tries.give_back("ann", now_ms)
    assert not tries._tries
    failed(tries, "ann", TRIES_MAX)
    tries.give_back("ann", 0)
    assert tries.take_try("ann", 0)
    assert not tries.take_try("ann", 0)
    tries.give_back("nobody", 0)
    failed(tries, "nobody", TRIES_MAX)
    assert not tries.take_try("nobody", 0)


def test_who_failed_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of names is bounded, since anybody may make names up."""
    monkeypatch.setattr(login_limiter, "NAMES_MAX", 2)
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX - 1)
    failed(tries, "bob", TRIES_MAX)
    assert tries.take_try("ann", 0)
    assert tries.take_try("eve", 0)  # bob's failures are the oldest, and are forgotten
    assert not tries.take_try("ann", 0)
    assert tries.take_try("bob", 0)


def test_the_limits_are_those_of_the_documentation() -> None:
    """docs/api.md: ten failed logins at a time, and one more every six seconds."""
    assert (TRIES_MAX, TRY_BACK_MS) == (10, 6_000)


def test_ten_thousand_names_are_kept() -> None:
    """One name more, and the first name is forgotten."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    for number in range(9_999):
        assert tries.take_try(str(number), 0)
    assert not tries.take_try("ann", 0)
    assert tries.take_try("eve", 0)
    assert tries.take_try("ann", 0)
