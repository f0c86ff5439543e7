"""One scenario on a release: a load, faults during it, the measurements and the judgement.

Every scenario is judged by the same rules: every acknowledged order is there once, stock adds up,
members' hashes agree, the history is linearizable, and only pods that a fault touched restarted. A
`Toll` says which calls of the scenario may stay without an outcome.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from inventory_client import Inventory, Money
from linearizability import check_file

from chaos import verdict
from chaos.judging import KEEPER
from chaos.release import Release
from chaos.report import ScenarioRow, Table
from chaos.witness import Line, Load, Seen, late_seconds, now_ns, percentile_seconds

CALM_SECONDS = 1.0  # of load before and after each fault
PLENTY = 10**6
SCARCE = 300
COUNTS = (PLENTY, PLENTY, PLENTY, SCARCE, PLENTY, PLENTY)
FEW = 0.001  # of the calls
MOVED_SECONDS = 5.0  # until a client of a lost gateway has another


class Toll(Enum):
    """Which calls of a scenario may stay without an outcome."""

    NONE = "none"
    FEW = "at most 0.1 %"
    IN_FLIGHT = "those in flight on the gateway that is gone"
    UNTIL_MOVED = "at most 0.1 %, and for 5 s those through a gateway on the lost node"
    ANY = "any: there is no majority"


@dataclass(frozen=True, slots=True)
class InflictedFault:
    """A fault of a scenario; times are on the clock of the history."""

    start_ns: int
    end_ns: int
    whole_ns: int  # all pods are ready again and caught up, and health says that all serve
    touched: frozenset[str]


@dataclass(slots=True)
class Scene:
    """A scenario under way."""

    release: Release
    what: str
    lost: set[str] = field(default_factory=set)  # gateways that a fault takes away
    faults: list[InflictedFault] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)  # seconds, one a fault; known at the end

    def fault(self, action: Callable[[], Iterable[str]]) -> None:
        """Do `action`, which returns the names of the pods that it touches; wait until all is well.

        Raises NotSettled when it does not get well, AssertionError when others restarted.
        """
        time.sleep(CALM_SECONDS)
        before = self.release.lives()
        start_ns = now_ns()
        touched = frozenset(action())
        end_ns = now_ns()
        self.release.wait_until_whole()
        self.release.wait_until_serving()
        self.faults.append(InflictedFault(start_ns, end_ns, now_ns(), touched))
        after = self.release.lives()
        changed = {name for name in before if after.get(name) != before[name]}
        assert changed <= touched, f"restarted untouched: {changed - touched}"
        time.sleep(CALM_SECONDS)


def open_shop(release: Release) -> dict[int, int]:
    """Add the items of a scenario; return the stock of each. The last two are a pair."""
    with Inventory(release.address, insecure=True) as keeper:
        keeper.login(*KEEPER)
        price = Money("USD", 250)
        ids = [keeper.add_item(f"Thing {n}", "", price, c).id for n, c in enumerate(COUNTS)]
    return dict(zip(ids, COUNTS, strict=True))


@contextmanager
def scenario(  # noqa: PLR0913 - the facts of a scenario
    release: Release,
    folder: Path,
    table: Table,
    what: str,
    *,
    toll: Toll,
    seconds_max: float,
) -> Iterator[Scene]:
    """Load the release while faults are made with the scene; then measure and judge."""
    began = time.monotonic()
    stock = open_shop(release)
    newest = next(iter(release.watcher.orders()), None)
    *items, left, right = stock
    scene = Scene(release, what)
    with Load(release, items, [left, right]) as load:
        time.sleep(CALM_SECONDS)
        yield scene
        seen = load.stop(folder / "history.jsonl")
    scene.silences = [silence_seconds(seen.calls, fault) for fault in scene.faults]
    row = ScenarioRow(
        what=what,
        silences=tuple(scene.silences),
        calls=len(seen.calls),
        errors=len(seen.errors),
        again_seconds=max((one.whole_ns - one.end_ns) / 1e9 for one in scene.faults),
        p50_seconds=percentile_seconds(seen.calls, 50),
        p99_seconds=percentile_seconds(seen.calls, 99),
    )
    sys.stdout.write(f"\n{row.markdown()}; called {late_seconds(seen.calls):.3f} s late (p99)\n")
    judge(release, seen, stock, newest.id if newest else 0)
    check_toll(scene, seen, toll)
    table.add(row)  # of what held
    took = time.monotonic() - began
    sys.stdout.write(f"took {took:.0f} s of {seconds_max:.0f}\n")
    assert took <= seconds_max, f"{what}: took {took:.0f} s of {seconds_max:.0f}"


def silence_seconds(calls: list[Line], fault: InflictedFault) -> float:
    """Return the longest time between two acknowledged mutations about a fault."""
    calm_ns = int(CALM_SECONDS * 1e9)
    times = sorted(
        line["return_ns"]
        for line in calls
        if line["ok"] is True
        and line["kind"] != "get"
        and fault.start_ns - calm_ns <= line["return_ns"] <= fault.whole_ns + calm_ns
    )
    return max((b - a for a, b in itertools.pairwise(times)), default=0) / 1e9


def judge(release: Release, seen: Seen, stock: dict[int, int], newest_before: int) -> None:
    """Check the rules that hold in every scenario."""
    known = {line["request_id"] for line in seen.lines if line["ok"] is not None}
    open_ends = {line["request_id"] for line in seen.lines} - known - {None}
    assert not open_ends, f"without an outcome to the end: {open_ends}"
    acknowledged = {
        line["order_id"]: line["request_id"] for line in seen.lines if "order_id" in line
    }
    verdict.check_orders_since(release.watcher, set(acknowledged), newest_before)
    verdict.check_stock(release.watcher, seen.history, stock)
    verdict.check_hashes(release.watcher)
    result = check_file(seen.history, stock)
    assert result.ok, result.explanation


def check_toll(scene: Scene, seen: Seen, toll: Toll) -> None:
    """Check that the toll allows the calls without an outcome."""
    if toll is Toll.ANY:
        return
    counted = [line for line in seen.errors if not is_excused(line, scene, seen, toll)]
    few = int(len(seen.calls) * FEW) if toll in (Toll.FEW, Toll.UNTIL_MOVED) else 0
    assert len(counted) <= few, (
        f"{len(counted)} calls without an outcome, {few} may be: {shown(counted, scene, seen)}"
    )


def is_excused(line: Line, scene: Scene, seen: Seen, toll: Toll) -> bool:
    """Return whether a call went through a gateway that a fault took away shortly before."""
    connection = seen.connection_of(line)
    if connection is None or connection.gateway not in scene.lost:
        return False
    if toll is Toll.IN_FLIGHT:
        return connection.until_ns is not None and line["call_ns"] <= connection.until_ns
    return toll is Toll.UNTIL_MOVED and any(
        line["call_ns"] <= fault.start_ns + MOVED_SECONDS * 1e9
        and line["ended_ns"] >= fault.start_ns
        for fault in scene.faults
    )


def shown(errors: list[Line], scene: Scene, seen: Seen) -> str:
    """Describe errors: the time of the call after a fault, the gateway, and the gRPC code."""
    told = []
    for line in errors[:10]:
        fault = max(
            (one.start_ns for one in scene.faults if one.start_ns <= line["ended_ns"]), default=0
        )
        connection = seen.connection_of(line)
        told.append(
            f"{line['kind']} called {(line['call_ns'] - fault) / 1e9:+.2f} s, ended "
            f"{(line['ended_ns'] - fault) / 1e9:+.2f} s after a fault, by client {line['client']} "
            f"through {connection.gateway if connection else None}: {line.get('code')} "
            f"{line.get('reason')} {line.get('message')}"
        )
    return "\n".join(["", *told])


def median(seconds: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(seconds)
