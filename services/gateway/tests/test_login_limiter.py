"""How often a password may be tried, and when that is forgotten."""

import pytest
from gateway import login_limiter
from gateway.login_limiter import TRIES_MAX, TRY_BACK_MS, LoginLimiter


def failed(tries: LoginLimiter, name: str, count: int, now_ms: int = 0) -> None:
    """Record `count` failed logins of a name."""
    for _ in range(count):
        tries.record_failure(name, now_ms)


def test_a_name_has_so_many_tries_and_no_more() -> None:
    """Another name has tries of its own."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX - 1)
    assert tries.may_try("ann", 0)
    tries.record_failure("ann", 0)
    assert not tries.may_try("ann", 0)
    assert tries.may_try("bob", 0)


def test_tries_come_back_one_by_one() -> None:
    """Counted from the last failure."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    assert not tries.may_try("ann", TRY_BACK_MS - 1)
    assert tries.may_try("ann", TRY_BACK_MS)
    tries.record_failure("ann", TRY_BACK_MS)
    assert not tries.may_try("ann", 2 * TRY_BACK_MS - 1)
    assert tries.may_try("ann", 2 * TRY_BACK_MS)


def test_nobody_saves_tries_up() -> None:
    """However long ago the last failure was."""
    tries = LoginLimiter()
    tries.record_failure("ann", 0)
    later_ms = 1_000 * TRY_BACK_MS
    failed(tries, "ann", TRIES_MAX, later_ms)
    assert not tries.may_try("ann", later_ms)


def test_failures_at_the_same_time_are_all_paid_for() -> None:
    """These logins were let in together, before the first of them failed."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX + 3)
    assert not tries.may_try("ann", 4 * TRY_BACK_MS - 1)
    assert tries.may_try("ann", 4 * TRY_BACK_MS)


def test_who_failed_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of names is bounded, since anybody may make names up."""
    monkeypatch.setattr(login_limiter, "NAMES_MAX", 2)
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    failed(tries, "bob", TRIES_MAX)
    tries.record_failure("ann", 0)
    tries.record_failure("eve", 0)
    assert tries.may_try("bob", 0)
    assert not tries.may_try("ann", 0)


def test_the_limits_are_those_of_the_documentation() -> None:
    """docs/api.md: ten failed logins at a time, and one more every six seconds."""
    assert (TRIES_MAX, TRY_BACK_MS) == (10, 6_000)


def test_ten_thousand_names_are_kept() -> None:
    """One name more, and the first name is forgotten."""
    tries = LoginLimiter()
    failed(tries, "ann", TRIES_MAX)
    for number in range(9_999):
        tries.record_failure(str(number), 0)
    assert not tries.may_try("ann", 0)
    tries.record_failure("eve", 0)
    assert tries.may_try("ann", 0)
