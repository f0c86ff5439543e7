"""How often a password may be tried for a name.

A login is let in if its name has a try that no other login under way may need. The login takes the
try before its password is hashed, so that guesses which come together count as guesses which come
one after the other. A login that succeeds gives the try back. Tries come back one by one, so
guessing is slow and nobody is locked out for long. Each gateway counts for itself: the limit
protects its own argon2 threads.
"""

from collections import Counter, OrderedDict

TRIES_MAX = 10
TRY_BACK_MS = 6_000
NAMES_MAX = 10_000


class LoginLimiter:
    """The tries of each name.

    - At most TRIES_MAX passwords of one name are hashed or were wrong within TRIES_MAX *
      TRY_BACK_MS.
    - At most NAMES_MAX names are kept of which a password was hashed; the name that was tried
      longest ago is forgotten first. A login that ends before its password is hashed keeps no name.
    """

    def __init__(self) -> None:
        """Start with all tries of every name."""
        self._under_way: Counter[str] = Counter()  # logins that have not taken their try yet
        # By name: the tries that are left, and as of when, in ms.
        self._tries: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def let_in(self, name: str, now_ms: int) -> bool:
        """Let a login begin; return False where the name has no try for the login."""
        if self._left(name, now_ms)[0] <= self._under_way[name]:
            return False
        self._under_way[name] += 1
        return True

    def leave(self, name: str) -> None:
        """End a login that was let in and took no try."""
        self._under_way[name] -= 1
        if not self._under_way[name]:
            del self._under_way[name]

    def take_try(self, name: str, now_ms: int) -> None:
        """Take the try of a login that was let in: its password is hashed next."""
        self.leave(name)
        left, since_ms = self._left(name, now_ms)
        self._keep(name, left - 1, since_ms)

    def give_back(self, name: str, now_ms: int) -> None:
        """Return the try of a login whose password was not wrong."""
        left, since_ms = self._left(name, now_ms)
        self._keep(name, left + 1, since_ms)

    def _keep(self, name: str, left: int, since_ms: int) -> None:
        if left >= TRIES_MAX:
            self._tries.pop(name, None)
            return
        self._tries[name] = (left, since_ms)
        self._tries.move_to_end(name)
        if len(self._tries) > NAMES_MAX:
            self._tries.popitem(last=False)

    def _left(self, name: str, now_ms: int) -> tuple[int, int]:
        """Return the tries that are left, and when the last of them came back."""
        left, since_ms = self._tries.get(name, (TRIES_MAX, now_ms))
        back = (now_ms - since_ms) // TRY_BACK_MS
        if left + back >= TRIES_MAX:
            return TRIES_MAX, now_ms
        return left + back, since_ms + back * TRY_BACK_MS
