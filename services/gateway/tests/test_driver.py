"""How much time a call has."""

import pytest
from gateway.runtime import driver
from gateway.runtime.driver import deadline_ms
from wire.bounds import TIMEOUT_MS_MAX

NOW_MS = 1_000_000


@pytest.mark.parametrize(
    ("seconds_left", "milliseconds"),
    [
        (None, 4_950),
        (0.0, 1),
        (0.001, 1),
        (0.01, 8),
        (0.03, 24),
        (0.05, 40),
        (0.055, 44),
        (0.1, 80),
        (0.25, 200),
        (1.0, 950),
        (60.0, 59_950),
        (600.0, TIMEOUT_MS_MAX - 50),
        (86_400.0, TIMEOUT_MS_MAX - 50),
    ],
)
def test_a_call_has_what_its_caller_has_left(
    monkeypatch: pytest.MonkeyPatch, seconds_left: float | None, milliseconds: int
) -> None:
    """Less a fifth, and 50 ms at most, so that the reason arrives; 5 s where it sets none."""
    monkeypatch.setattr(driver, "now_ms", lambda: NOW_MS)
    assert deadline_ms(seconds_left) == NOW_MS + milliseconds
