"""A short soak: random faults among all of them, and what it says when something does not hold."""

from pathlib import Path

import pytest
from chaos import verdict
from chaos.soak import run

pytestmark = [pytest.mark.slow, pytest.mark.long]
MINUTES = 0.2


def test_a_short_soak_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One summary line, with the seed."""
    assert run(tmp_path, MINUTES, seed=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("soak: nothing lost, doubled, oversold or out of order, states equal: ")
    assert "seed 1, " in last


def test_a_violation_ends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faults and the reason are printed, and the answer is no."""

    def lost(*_: object) -> None:
        raise AssertionError("an order is lost")

    monkeypatch.setattr(verdict, "check_orders", lost)
    assert not run(tmp_path, MINUTES / 4, seed=2)
    said = capsys.readouterr().out
    assert "an order is lost" in said
    assert said.splitlines()[-1].startswith("soak: FAILED in portion 1: seed 2, ")
