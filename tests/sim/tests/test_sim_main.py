"""The program that runs many seeds fails if something never happened in any of them."""

from collections.abc import Iterator

import pytest
import sim.__main__ as program
from sim.coverage import Coverage, names
from sim.faults import draw_plan
from sim.run import SimResult


def ran(seeds: int, *never: str) -> list[SimResult]:
    """Return runs without violations in which everything happened except `never`."""
    coverage = Coverage({name: 1 for name in names() if name not in never})
    return [
        SimResult(
            plan=draw_plan(seed),
            violation="",
            digest="",
            events=5_000,
            coverage=coverage,
            terms=1,
            entries=1,
            operations=1,
            reads=1,
            state_hash="",
            lines=(),
        )
        for seed in range(seeds)
    ]


@pytest.mark.parametrize(
    ("seeds", "never", "status"),
    [(200, (), 0), (200, ("halts",), 1), (200, ("fault power",), 1), (199, ("halts",), 0)],
    ids=["all", "a happening", "a fault", "few seeds"],
)
def test_many_seeds_fail_where_something_never_happened(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seeds: int,
    never: tuple[str, ...],
    status: int,
) -> None:
    """In a few seeds a happening may be missing by chance."""

    def results(*_: object) -> Iterator[SimResult]:
        yield from ran(seeds, *never)

    monkeypatch.setattr(program, "results", results)
    monkeypatch.setattr("sys.argv", ["sim", "--seeds", str(seeds)])
    assert program.main() == status
    said = capsys.readouterr().out
    assert (f"never happened in {seeds} seeds: {' '.join(never)}" in said) == bool(status)
