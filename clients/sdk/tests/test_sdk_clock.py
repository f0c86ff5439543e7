"""A request id that is refused for its time: whether this machine's clock is at fault."""

import time

import pytest
from inventory_client import OutcomeForgotten, Refused
from inventory_client.errors import error_of
from wire import errors

NOW = 1_700_000_000
DAY = 86_400


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop this machine's clock."""
    monkeypatch.setattr(time, "time", lambda: float(NOW))


def test_a_clock_that_is_a_day_slow_is_named() -> None:
    """The outcome stays unknown: what made the id too old may have made it forgotten."""
    error = error_of(errors.request_id_expired("mine", NOW, NOW + DAY + 60), "mine")
    assert isinstance(error, OutcomeForgotten)
    assert str(error).endswith("The clock of this machine is 24 hours behind the inventory's.")
    assert error.details["id_time"] == str(NOW)


def test_a_clock_that_is_fast_is_named() -> None:
    """Nothing was done, and the refusal says so."""
    error = error_of(errors.request_id_in_future("mine", NOW, NOW - 3 * DAY), "mine")
    assert isinstance(error, Refused)
    assert str(error).endswith("The clock of this machine is 3 days ahead of the inventory's.")


def test_a_clock_that_is_right_is_not_named() -> None:
    """The id is old, or another machine made it."""
    error = error_of(errors.request_id_expired("mine", NOW - 2 * DAY, NOW + 5), "mine")
    assert "this machine" not in str(error)


def test_what_is_no_time_names_no_clock() -> None:
    """A refusal of a later version may say it in another way."""
    status = errors.refusal(errors.Reason.REQUEST_ID_EXPIRED, "Too old.", inventory_time="today")
    assert str(error_of(status, "mine")) == "Too old."


@pytest.mark.parametrize("way", [-1, 1])
def test_a_difference_of_a_minute_is_named_and_a_smaller_one_is_not(way: int) -> None:
    """Both ways; the sentence of the inventory stands before it."""
    near, far = (
        errors.refusal(errors.Reason.REQUEST_ID_EXPIRED, "Too old.", inventory_time=NOW + seconds)
        for seconds in (59 * way, 60 * way)
    )
    assert str(error_of(near, "mine")) == "Too old."
    side = "behind" if way > 0 else "ahead of"
    clock = f"The clock of this machine is 60 seconds {side} the inventory's."
    assert str(error_of(far, "mine")) == f"Too old. {clock}"
