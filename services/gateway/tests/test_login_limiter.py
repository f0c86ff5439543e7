"""How often a password may be tried, and when that is forgotten."""

import pytest
from gateway import login_limiter
from gateway.login_limiter import TRIES_MAX, TRY_BACK_MS, LoginLimiter


def fails(tries: LoginLimiter, name: str, now_ms: int = 0) -> bool:
    """Log in with a wrong password; return False where the login is not let in."""
    if not tries.let_in(name, now_ms):
        return False
    tries.take_try(name, now_ms)
    return True


def failed(tries: LoginLimiter, name: str, count: int, now_ms: int = 0) -> None:
    """Log in `count` times with a wrong password."""
    for _ in range(count):
        assert fails(tries, name, now_ms)


def test_a_name_has_so_many_tries_and_no_more() -> None:
    """Another name has tries of its own."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    assert not fails(tries, "ann")
    assert fails(tries, "bob")


def test_tries_come_back_one_by_one() -> None:
    """One each TRY_BACK_MS, also where others are taken meanwhile."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    assert not fails(tries, "ann", TRY_BACK_MS - 1)
    assert fails(tries, "ann", TRY_BACK_MS)
    assert not fails(tries, "ann", 2 * TRY_BACK_MS - 1)
    assert fails(tries, "ann", 2 * TRY_BACK_MS + 5)
    assert not fails(tries, "ann", 3 * TRY_BACK_MS - 1)
    assert fails(tries, "ann", 3 * TRY_BACK_MS)


def test_right_passwords_in_between_keep_no_try_away() -> None:
    """However often they come: the time since the last try counts."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX - 1)
    for now_ms in range(0, TRY_BACK_MS * 4, TRY_BACK_MS - 1_000):
        assert fails(tries, "ann", now_ms)
        tries.give_back("ann", now_ms)
    failed(tries, "ann", 5, TRY_BACK_MS * 4)
    assert not fails(tries, "ann", TRY_BACK_MS * 4)


def test_nobody_saves_tries_up() -> None:
    """However long ago the last failure was."""
    nearly = LoginLimiter()
    failed(nearly, "ann", 1)
    failed(nearly, "ann", TRIES_MAX, 2 * TRY_BACK_MS - 1)
    assert not fails(nearly, "ann", 2 * TRY_BACK_MS)
    tries = LoginLimiter()
    failed(tries, "ann", 1)
    later_ms = 1_000 * TRY_BACK_MS + 17
    failed(tries, "ann", TRIES_MAX, later_ms)
    assert not fails(tries, "ann", later_ms + TRY_BACK_MS - 1)
    assert fails(tries, "ann", later_ms + TRY_BACK_MS)


def test_logins_at_the_same_time_have_no_more_tries() -> None:
    """Those that were let in count until each has taken its try."""
    tries = LoginLimiter()
    assert [tries.let_in("ann", 0) for _ in range(128)].count(True) == TRIES_MAX
    for _ in range(TRIES_MAX):
        tries.take_try("ann", 0)
    assert not tries.let_in("ann", 0)


def test_a_login_that_ends_before_its_hash_costs_nothing() -> None:
    """Whoever breaks logins off locks nobody out, and drives no other name out of memory."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    for number in range(20_000):
        assert tries.let_in(str(number), 0)
        tries.leave(str(number))
    assert not fails(tries, "ann")
    for _ in range(100):
        assert tries.let_in("bob", 0)
        tries.leave("bob")
    failed(tries, "bob", TRIES_MAX)
    assert not tries._under_way


def test_a_try_that_was_no_wrong_guess_comes_back() -> None:
    """Who logs in often is never locked out, and keeps no name in memory."""
    tries = LoginLimiter()
    for now_ms in range(100):
        assert fails(tries, "ann", now_ms)
        tries.give_back("ann", now_ms)
    assert not tries._tries
    failed(tries, "ann", TRIES_MAX)
    tries.give_back("ann", 0)
    assert fails(tries, "ann")
    assert not fails(tries, "ann")
    tries.give_back("nobody", 0)
    failed(tries, "nobody", TRIES_MAX)
    assert not fails(tries, "nobody")


def test_who_failed_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of names is bounded, since anybody may make names up."""
    monkeypatch.setattr(login_limiter, "NAMES_MAX", 2)
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX - 1)
    failed(tries, "bob", TRIES_MAX)
    assert fails(tries, "ann")
    assert fails(tries, "eve")  # bob's failures are the oldest, and are forgotten
    assert not fails(tries, "ann")
    assert fails(tries, "bob")


def test_the_limits_are_those_of_the_documentation() -> None:
    """docs/api.md: ten failed logins at a time, and one more every six seconds."""
    assert (TRIES_MAX, TRY_BACK_MS) == (10, 6_000)


def test_ten_thousand_names_are_kept() -> None:
    """One name more, and the first name is forgotten."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    for number in range(9_999):
        assert fails(tries, str(number))
    assert not fails(tries, "ann")
    assert fails(tries, "eve")
    assert fails(tries, "ann")
