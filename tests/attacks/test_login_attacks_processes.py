"""Attacks by guessing: few guesses are looked at, and who belongs gets in meanwhile."""

import pytest
from attacks.measured import KEPT_MIN, Outcome, attacked, token_of
from chaos.up import Up
from gateway.login_limiter import NAME_TRIES_MAX, SOURCE_FREE

pytestmark = pytest.mark.slow
SECONDS = 2.5
LATER = 4  # tries that come back during the attack, for names and for the source


def looked_at(outcome: Outcome) -> int:
    """Return how many guesses were looked at, that is, hashed."""
    return outcome.said.get("INVALID_CREDENTIALS", 0)


def is_kept(outcome: Outcome) -> None:
    """Assert that honest clients did not suffer."""
    assert outcome.problems == []
    assert outcome.kept >= KEPT_MIN


def test_one_name_guessed_by_many_calls_at_once(system: Up, item: int) -> None:
    """The admin, who logged in before, logs in from the same place all the while."""
    outcome = attacked(system, item, "guesses", seconds=SECONDS, count=128)
    is_kept(outcome)
    assert looked_at(outcome) <= NAME_TRIES_MAX + LATER
    assert outcome.said["LOGIN_LIMITED"] > 0
    assert token_of(system, "admin", system.admin_password())


@pytest.mark.long
def test_one_password_tried_with_a_thousand_names(system: Up, item: int) -> None:
    """It is the source that is held to account."""
    outcome = attacked(system, item, "guesses", seconds=SECONDS, count=32, names=1_000)
    is_kept(outcome)
    assert looked_at(outcome) <= SOURCE_FREE + LATER
    assert outcome.said["LOGIN_LIMITED"] > 0


@pytest.mark.long
def test_users_created_without_a_token(system: Up, item: int) -> None:
    """No password is hashed for a stranger."""
    outcome = attacked(system, item, "users_without_a_token", seconds=SECONDS, count=32)
    is_kept(outcome)
    assert set(outcome.said) == {"TOKEN_INVALID"}
