"""How much time a call has."""

import pytest
from gateway.runtime import driver
from gateway.runtime.driver import MARGIN_MS, deadline_ms
from wire.bounds import TIMEOUT_MS_MAX

NOW_MS = 1_000_000


@pytest.mark.parametrize(
    ("seconds_left", "milliseconds"),
    [
        (None, 5_000 - MARGIN_MS),
        (0.0, 1),
        (0.01, 1),
        (60.0, 60_000 - MARGIN_MS),
        (600.0, TIMEOUT_MS_MAX - MARGIN_MS),
        (86_400.0, TIMEOUT_MS_MAX - MARGIN_MS),
    ],
)
def test_a_call_has_what_its_caller_has_left(
    monkeypatch: pytest.MonkeyPatch, seconds_left: float | None, milliseconds: int
) -> None:
    """A little less, so that the reason arrives; 5 s where it sets none, 10 minutes at most."""
    monkeypatch.setattr(driver, "now_ms", lambda: NOW_MS)
    assert deadline_ms(seconds_left) == NOW_MS + milliseconds
