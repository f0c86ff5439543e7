"""How often a password may be tried for a name.

A login takes one of its name's tries before its password is looked at, so that guesses which come
together count as guesses which come one after the other. A login that succeeds gives its try back.
Tries come back one by one, so guessing is slow and nobody is locked out for long. Each gateway
counts for itself: the limit protects its own argon2 threads.
"""

from collections import OrderedDict

TRIES_MAX = 10
TRY_BACK_MS = 6_000
NAMES_MAX = 10_000


class LoginLimiter:
    """The tries of each name.

    - At most TRIES_MAX logins of one name are under way or have failed within TRIES_MAX *
      TRY_BACK_MS.
    - At most NAMES_MAX names are kept; the name that failed longest ago is forgotten first.
    """

    def __init__(self) -> None:
        """Start with all tries of every name."""
        # By name: the tries that are left, and as of when, in ms.
        self._tries: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def take_try(self, name: str, now_ms: int) -> bool:
        """Take one of the name's tries; return False where none is left."""
        left = self._left(name, now_ms)
        if left <= 0:
            return False
        self._keep(name, left - 1, now_ms)
        return True

    def give_back(self, name: str, now_ms: int) -> None:
        """Return a try that was no wrong guess."""
        self._keep(name, self._left(name, now_ms) + 1, now_ms)

    def _keep(self, name: str, left: int, now_ms: int) -> None:
        if left >= TRIES_MAX:
            self._tries.pop(name, None)
            return
        self._tries[name] = (left, now_ms)
        self._tries.move_to_end(name)
        if len(self._tries) > NAMES_MAX:
            self._tries.popitem(last=False)

    def _left(self, name: str, now_ms: int) -> int:
        left, since_ms = self._tries.get(name, (TRIES_MAX, now_ms))
        return min(TRIES_MAX, left + (now_ms - since_ms) // TRY_BACK_MS)
