"""How a trial ends."""

import signal
import time
from functools import partial
from typing import NoReturn

import pytest
from mutation import trials
from mutation.trials import KILLED, NOT_RUN, SURVIVED, TIMEOUT, Trial, end, run_trials

CPU_SECONDS = 60


def wait() -> NoReturn:
    """Wait for ever, and compute nothing."""
    while True:
        signal.pause()


def test_a_trial_that_only_waits_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as killed; those that ended say themselves what they came to."""
    monkeypatch.setattr(trials, "BLOCKED_SECONDS", 0.05)
    tried: dict[str, Trial] = {"waits": wait, "passes": partial(end, 0), "fails": partial(end, 1)}
    assert dict(run_trials(tried, CPU_SECONDS, time.monotonic() + 600)) == {
        "waits": TIMEOUT,
        "passes": SURVIVED,
        "fails": KILLED,
    }


def test_after_the_deadline_nothing_begins() -> None:
    """What did not run is told apart."""
    assert dict(run_trials({"one": partial(end, 0)}, CPU_SECONDS, 0.0)) == {"one": NOT_RUN}
