"""How often a password may be tried for a name.

A failed login costs its name one try. Tries come back one by one, so guessing is slow and nobody is
locked out for long. Each gateway counts for itself: the limit protects its own argon2 threads.
"""

from collections import OrderedDict

TRIES_MAX = 10
TRY_BACK_MS = 6_000
NAMES_MAX = 10_000


class LoginLimiter:
    """Failed logins by name.

    - At most NAMES_MAX names are kept; the name that failed longest ago is forgotten first.
    """

    def __init__(self) -> None:
        """Start without failed logins."""
        self._failed: OrderedDict[str, tuple[int, int]] = (
            OrderedDict()
        )  # tries left, and as of when, in ms

    def may_try(self, name: str, now_ms: int) -> bool:
        """Tell whether the name has a try left."""
        return self._left(name, now_ms) > 0

    def record_failure(self, name: str, now_ms: int) -> None:
        """Take one of the name's tries."""
        self._failed[name] = (self._left(name, now_ms) - 1, now_ms)
        self._failed.move_to_end(name)
        if len(self._failed) > NAMES_MAX:
            self._failed.popitem(last=False)

    def _left(self, name: str, now_ms: int) -> int:
        left, since_ms = self._failed.get(name, (TRIES_MAX, now_ms))
        return min(TRIES_MAX, left + (now_ms - since_ms) // TRY_BACK_MS)
