"""The counts, excuses and reports of a scenario, on histories made by hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from chaos.report import BEGIN, END, HEAD, ScenarioRow, Table, written
from chaos.scenes import InflictedFault, Scene, Toll, check_toll, silence_seconds
from chaos.witness import Line, Seen, connections_of

if TYPE_CHECKING:
    from chaos.release import Release

SECOND_NS = 10**9
FAULT = InflictedFault(10 * SECOND_NS, 11 * SECOND_NS, 20 * SECOND_NS, frozenset())


def call(seconds: float, *, ok: bool | None = True, client: int = 0, took: float = 0.01) -> Line:
    """Return a call that began at its due time."""
    at, ended = int(seconds * SECOND_NS), int((seconds + took) * SECOND_NS)
    times = {"due_ns": at, "call_ns": at, "return_ns": None if ok is None else ended}
    return {"kind": "order", "client": client, "ok": ok, **times, "ended_ns": ended}


def moved(client: int, *steps: tuple[float, str | None]) -> list[dict[str, Any]]:
    """Return how a client's connection came up and went down."""
    return [
        {"client": client, "at_ns": int(at * SECOND_NS), "gateway": gateway}
        for at, gateway in steps
    ]


def seen(*errors: Line) -> Seen:
    """Return what was seen: a thousand calls that were answered, and errors.

    Client 0 goes from the gateway `lost` to `left` 3 s after the fault, client 1 stays at
    `left`, client 2 hangs on.
    """
    answered = [call(number / 100) for number in range(1000)]
    gateways = [*moved(0, (1, "lost"), (13, None), (13.2, "left")), *moved(1, (1, "left"))]
    gateways += moved(2, (1, "lost"))
    return Seen(Path("history"), [*answered, *errors], connections_of(gateways))


def scene() -> Scene:
    """Return the scene of a scenario that took one gateway away."""
    return Scene(cast("Release", None), "a fault", lost={"lost"}, faults=[FAULT])


@pytest.mark.parametrize(
    ("toll", "errors"),
    [
        (Toll.NONE, ()),
        (Toll.FEW, (call(12, ok=None, client=1),)),
        (Toll.IN_FLIGHT, (call(10, ok=None, took=3), call(12.9, ok=None, took=0.1))),
        (
            Toll.UNTIL_MOVED,
            (call(12, ok=None), call(14.9, ok=None, client=2), call(12, ok=None, client=1)),
        ),
        (Toll.ANY, [call(12, ok=None, client=1)] * 9),
    ],
)
def test_what_a_toll_allows(toll: Toll, errors: tuple[Line, ...]) -> None:
    """Each count is exactly at its bound."""
    check_toll(scene(), seen(*errors), toll)


@pytest.mark.parametrize(
    ("toll", "errors", "because"),
    [
        (Toll.NONE, [call(12, ok=None)], "none is excused"),
        (Toll.FEW, [call(12, ok=None)] * 2, "two of a thousand"),
        (Toll.IN_FLIGHT, [call(12, ok=None, client=1)], "through the gateway that stayed"),
        (Toll.IN_FLIGHT, [call(13.3, ok=None)], "called after the connection was gone"),
        (Toll.UNTIL_MOVED, [call(15.1, ok=None, client=2)] * 2, "5 s are over"),
        (Toll.UNTIL_MOVED, [call(12, ok=None, client=1)] * 2, "the other gateway lives"),
    ],
)
def test_what_a_toll_does_not_allow(toll: Toll, errors: list[Line], because: str) -> None:
    """One count is beyond its bound."""
    with pytest.raises(AssertionError, match="without an outcome"):
        check_toll(scene(), seen(*errors), toll)
    assert because


def test_silence_is_the_longest_between_two_mutations_about_a_fault() -> None:
    """Reads, refusals and calls far from the fault do not count."""
    calls = [call(1), call(9.5), call(10), call(12.5), call(13), call(13.1, ok=False), call(20)]
    calls.append(call(16) | {"kind": "get"})
    calls.append(call(40))
    assert silence_seconds(calls, FAULT) == pytest.approx(7)


def row(what: str, *silences: float) -> ScenarioRow:
    """Return a row of the table."""
    return ScenarioRow(
        what=what,
        silences=silences,
        calls=1000,
        errors=2,
        again_seconds=7.4,
        p50_seconds=0.0051,
        p99_seconds=0.0493,
    )


def test_a_row_tells_medians_of_several() -> None:
    """The row has the worst values beside the medians."""
    assert row("one", 0.25).markdown() == "| one | 0.25 s | 1000 | 2 | 7 s | 5, 49 ms |"
    assert "| 0.30 s (median of 3, worst 0.90) |" in row("three", 0.3, 0.9, 0.1).markdown()


def test_the_document_keeps_what_this_run_left_out() -> None:
    """The block is written anew, and the text around the block stays."""
    before = Table([row("first", 1), row("second", 2)])
    text = f"above\n{BEGIN}\n{before.markdown()}\n{END}\nbelow\n"
    after = written(text, Table([row("second", 3)]), datetime(2026, 1, 2, tzinfo=UTC))
    lines = after.splitlines()
    assert lines[0] == "above"
    assert lines[-1] == "below"
    assert "Last written on 2026-01-02." in lines
    assert [line.split(" | ")[:2] for line in lines if line.startswith("| ")] == [
        HEAD[0].split(" | ")[:2],
        ["| second", "3.00 s"],
        ["| first", "1.00 s"],
    ]
