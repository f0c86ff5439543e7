"""Who may try a password how often.

A failure costs a name one of its tries; tries come back one by one. It slows guessing down without
locking anybody out for long, and it is per gateway: what it protects is the argon2 that follows.
"""

from collections import OrderedDict

TRIES_MAX = 10
TRY_BACK_MS = 6_000
NAMES_MAX = 10_000


class LoginLimiter:
    """Failed logins by name.

    - At most NAMES_MAX names are kept; the one that failed longest ago goes first.
    """

    def __init__(self) -> None:
        """Start with nobody having failed."""
        self._failed: OrderedDict[str, tuple[int, int]] = OrderedDict()  # tries left, as of when

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
