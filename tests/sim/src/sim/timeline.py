"""Virtual time: actions, in the order in which they are due."""

import heapq
from collections.abc import Callable


class Timeline:
    """A queue of actions.

    - Actions run in the order of their times; those of one time in the order in which they were
      given, so that a run depends on nothing but its seed.
    - Time never goes back.
    """

    def __init__(self) -> None:
        """Start at zero with nothing to do."""
        self.now_us = 0
        self._given = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []

    def after(self, delay_us: int, action: Callable[[], None]) -> None:
        """Run `action` once, that many microseconds from the present."""
        self._given += 1
        heapq.heappush(self._due, (self.now_us + max(0, delay_us), self._given, action))

    def step(self) -> bool:
        """Run the action that is due next; return False if there is none."""
        if not self._due:
            return False
        self.now_us, _, action = heapq.heappop(self._due)
        action()
        return True

    def run_until(self, time_us: int) -> None:
        """Run every action that is due up to `time_us`, and set the time to `time_us`."""
        while self._due and self._due[0][0] <= time_us:
            self.step()
        self.now_us = max(self.now_us, time_us)
