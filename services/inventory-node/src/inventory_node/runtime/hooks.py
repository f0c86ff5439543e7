"""Hooks around a member's steps: timings for its metrics, and failpoints for its tests."""

import time
from collections.abc import Sequence

from inventory_node.ports import Hooks, Step

TIMED = (Step.WAL_JOB, Step.FLUSH_JOB, Step.APPLY)


class Timing:
    """How often a step was taken, and how long all runs of the step took."""

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        """Start at zero."""
        self.count = 0
        self.seconds = 0.0


class Timings:
    """`Hooks` that measure the steps of `TIMED`.

    - A step that ends without `after`, since it found no space, counts from its next `before`.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self._timings = {step: Timing() for step in TIMED}
        self._began: dict[Step, float] = {}

    def of(self, step: Step) -> Timing:
        """Return the timing of a step of `TIMED`."""
        return self._timings[step]

    def before(self, step: Step) -> None:
        """See `Hooks.before`."""
        if step in self._timings:
            self._began[step] = time.perf_counter()

    def after(self, step: Step) -> None:
        """See `Hooks.after`."""
        timing = self._timings.get(step)
        if timing is not None:
            timing.count += 1
            timing.seconds += time.perf_counter() - self._began[step]


class AllHooks:
    """`Hooks` that pass each step on to several other hooks, in their order."""

    def __init__(self, hooks: Sequence[Hooks]) -> None:
        """Pass steps on to `hooks`."""
        self._hooks = hooks

    def before(self, step: Step) -> None:
        """See `Hooks.before`."""
        for hooks in self._hooks:
            hooks.before(step)

    def after(self, step: Step) -> None:
        """See `Hooks.after`."""
        for hooks in self._hooks:
            hooks.after(step)
