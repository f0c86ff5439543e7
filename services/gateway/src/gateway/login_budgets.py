"""How often something may be tried under a key, such as a name or an address.

Both kinds count a try when it begins, and give it back if it turns out to be harmless. Each keeps a
bounded number of keys; the key that was tried longest ago is forgotten first.
"""

from collections import OrderedDict
from collections.abc import Hashable

KEYS_MAX = 10_000


class Tries:
    """A number of tries for each key, which come back one by one."""

    def __init__(self, tries_max: int, back_ms: int) -> None:
        """Start with all tries of every key; one try comes back every `back_ms`."""
        self._tries_max = tries_max
        self._back_ms = back_ms
        # By key: the tries that are left, and as of when, in ms.
        self._left: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def wait_ms(self, key: Hashable, now_ms: int) -> int:
        """Return how long until the key has a try; 0: it has one."""
        left, since_ms = self._as_of(key, now_ms)
        return 0 if left > 0 else since_ms + self._back_ms - now_ms

    def take(self, key: Hashable, now_ms: int) -> None:
        """Take a try."""
        left, since_ms = self._as_of(key, now_ms)
        self._keep(key, left - 1, since_ms)

    def give_back(self, key: Hashable, now_ms: int) -> None:
        """Return a try that was taken."""
        left, since_ms = self._as_of(key, now_ms)
        self._keep(key, left + 1, since_ms)

    def _keep(self, key: Hashable, left: int, since_ms: int) -> None:
        if left >= self._tries_max:
            self._left.pop(key, None)
            return
        self._left[key] = (left, since_ms)
        self._left.move_to_end(key)
        if len(self._left) > KEYS_MAX:
            self._left.popitem(last=False)

    def _as_of(self, key: Hashable, now_ms: int) -> tuple[int, int]:
        """Return the tries that are left, and when the last of them came back."""
        left, since_ms = self._left.get(key, (self._tries_max, now_ms))
        back = (now_ms - since_ms) // self._back_ms
        if left + back >= self._tries_max:
            return self._tries_max, now_ms
        return left + back, since_ms + back * self._back_ms


class Delays:
    """A delay for each key that doubles with each try, behind some free tries.

    - A key that was not tried for `forget_ms` starts anew.
    """

    def __init__(self, free: int, first_ms: int, most_ms: int, forget_ms: int) -> None:
        """Delay by `first_ms` after `free` tries, by twice as much after one more, up to a most."""
        self._free = free
        self._first_ms = first_ms
        self._most_ms = most_ms
        self._forget_ms = forget_ms
        # By key: the tries, and when the last one began, in ms.
        self._tried: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def wait_ms(self, key: Hashable, now_ms: int) -> int:
        """Return how long until the key may be tried; 0: now."""
        count, last_ms = self._as_of(key, now_ms)
        if count < self._free:
            return 0
        delay_ms = min(self._most_ms, self._first_ms << min(count - self._free, 32))
        return max(0, last_ms + delay_ms - now_ms)

    def is_clean(self, key: Hashable, now_ms: int) -> bool:
        """Tell whether no try of the key is remembered."""
        return not self._as_of(key, now_ms)[0]

    def take(self, key: Hashable, now_ms: int) -> None:
        """Count a try."""
        self._keep(key, self._as_of(key, now_ms)[0] + 1, now_ms)

    def give_back(self, key: Hashable, now_ms: int) -> None:
        """Count a try no more; the delay since the last one stays."""
        count, last_ms = self._as_of(key, now_ms)
        self._keep(key, count - 1, last_ms)

    def _keep(self, key: Hashable, count: int, last_ms: int) -> None:
        if count <= 0:
            self._tried.pop(key, None)
            return
        self._tried[key] = (count, last_ms)
        self._tried.move_to_end(key)
        if len(self._tried) > KEYS_MAX:
            self._tried.popitem(last=False)

    def _as_of(self, key: Hashable, now_ms: int) -> tuple[int, int]:
        count, last_ms = self._tried.get(key, (0, now_ms))
        return (count, last_ms) if now_ms - last_ms < self._forget_ms else (0, now_ms)
