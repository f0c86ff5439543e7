"""Places where a test lets a real member die or wait: before and after each step of a write.

`INVENTORY_FAILPOINTS` arms failpoints, as `NAME=ACTION` joined by semicolons, in the syntax of
fail-rs: `kill` is SIGKILL, `sleep(MS)` keeps the step's thread waiting, `N*off->` before an action
lets N passes go first. The names are `POINTS`: `before-` or `after-` and a step.

`Armed` is among a member's hooks only if a failpoint is armed: a member without failpoints runs
none of this code. A killed process keeps what the system has taken. So failpoints test the order of
steps; the simulator tests what a disk loses.
"""

import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, TypeAlias

import structlog
from pydantic import AfterValidator

from inventory_node.ports import Hooks, Step
from inventory_node.runtime.hooks import AllHooks, Timings

STEPS = tuple(step for step in Step if step not in {Step.WAL_JOB, Step.FLUSH_JOB})
POINTS = tuple(f"{when}-{step}" for step, when in product(STEPS, ("before", "after")))

_ACTION = re.compile(r"(?:(\d{1,9})\*off->)?(?:kill|sleep\((\d{1,6})\))")

_log = structlog.get_logger()


@dataclass(slots=True)
class Failpoint:
    """The action at one place. Each failpoint is passed on one thread only."""

    name: str
    passes: int  # that go by before the action
    sleep_ms: int | None  # None: the process is killed

    def reach(self) -> None:
        """Pass, wait, or die."""
        if self.passes:
            self.passes -= 1
        elif self.sleep_ms is None:
            _log.warning("failpoint_kills", point=self.name)
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            time.sleep(self.sleep_ms / 1_000)


def parse(text: str) -> dict[str, Failpoint]:
    """Return the failpoints of a setting by their names; raise ValueError."""
    found: dict[str, Failpoint] = {}
    for part in filter(None, text.split(";")):
        name, _, action = part.partition("=")
        if name not in POINTS:
            raise ValueError(f"no failpoint is called {name!r}; there are {', '.join(POINTS)}")
        match = _ACTION.fullmatch(action)
        if match is None or name in found:
            raise ValueError(f"{part!r} is not NAME=[N*off->]kill or sleep(MS), once a name")
        passes, sleep_ms = match.groups()
        found[name] = Failpoint(name, int(passes or 0), int(sleep_ms) if sleep_ms else None)
    return found


def _checked(text: str) -> str:
    parse(text)
    return text


Failpoints: TypeAlias = Annotated[str, AfterValidator(_checked)]  # "before-flush=kill;…", or empty


class Armed:
    """The failpoints of this process, as `Hooks`."""

    def __init__(self, points: Mapping[str, Failpoint]) -> None:
        """Log a warning that failpoints are armed: no member that matters should have any."""
        self._points = points
        _log.warning("failpoints_armed", points=sorted(points))

    def before(self, step: Step) -> None:
        """See `Hooks.before`."""
        self._reach(f"before-{step}")

    def after(self, step: Step) -> None:
        """See `Hooks.after`."""
        self._reach(f"after-{step}")

    def _reach(self, name: str) -> None:
        point = self._points.get(name)
        if point is not None:
            point.reach()


def hooks_of(timings: Timings, failpoints: str) -> Hooks:
    """Return the hooks of a member: its timings, and the failpoints of its setting if any."""
    points = parse(failpoints)
    return AllHooks((timings, Armed(points))) if points else timings
