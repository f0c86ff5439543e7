"""How often a password may be tried: by name, by source, and for those who logged in before.

A source is where a log-in comes from (`sources`). A log-in takes a try from each budget that it
needs before its password is hashed, so that guesses which come together count as guesses which come
one after the other. It gives the tries back if its password is right, or was not looked at.

- A source that logged in with a name before is known for this name. It has tries of its own there,
  and loses none by what others try.
- Any other log-in takes a try of its source, whose delay doubles, and a try of the name. A name has
  separate tries for sources that failed before and for those that did not. So whoever guesses from
  one address, or with one name, locks nobody else out.
- A log-in is hashed, right or wrong: a source has so many hashes. Few log-ins of a source are under
  way at a time, and of all unknown sources so many that some capacity is left for the known ones.

Each gateway counts for itself, and forgets with its end.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from gateway.login_budgets import Delays, Tries

NAME_TRIES_MAX = 10
NAME_BACK_MS = 6_000
SOURCE_FREE = 20  # wrong passwords without a delay, as many people may share an address
KNOWN_FREE = 10
DELAY_FIRST_MS = 1_000
DELAY_MOST_MS = 300_000
FORGET_MS = 3_600_000
HASHES_MAX = 60  # of a source
HASH_BACK_MS = 200
SOURCE_UNDER_WAY_MAX = 16
UNKNOWN_UNDER_WAY_MAX = 48  # of 64 passwords that may wait to be hashed
BUSY_RETRY_MS = 1_000
KNOWN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """A log-in that was let in, and what it took."""

    name: str
    source: str
    is_known: bool
    taken: tuple[tuple[Tries | Delays, Hashable], ...]  # given back unless the password is wrong


class LoginLimiter:
    """The budgets of all names and sources.

    - At most KNOWN_MAX pairs of a name and a source are known; the one that logged in longest ago
      is forgotten first.
    """

    def __init__(self) -> None:
        """Start knowing nobody."""
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._of_known = Delays(KNOWN_FREE, DELAY_FIRST_MS, DELAY_MOST_MS, FORGET_MS)
        self._of_sources = Delays(SOURCE_FREE, DELAY_FIRST_MS, DELAY_MOST_MS, FORGET_MS)
        self._of_names = {
            is_clean: Tries(NAME_TRIES_MAX, NAME_BACK_MS) for is_clean in (True, False)
        }
        self._hashes = Tries(HASHES_MAX, HASH_BACK_MS)
        self._under_way: Counter[str] = Counter()  # log-ins, by source
        self._unknown_under_way = 0
        self.refused_count = 0

    def wait_ms(self, name: str, source: str, now_ms: int) -> int:
        """Return how long a log-in has to wait; 0: it may begin."""
        if self._under_way[source] >= SOURCE_UNDER_WAY_MAX:
            return BUSY_RETRY_MS
        is_known = (name, source) in self._known
        if not is_known and self._unknown_under_way >= UNKNOWN_UNDER_WAY_MAX:
            return BUSY_RETRY_MS
        needed = (*self._needed(name, source, now_ms), (self._hashes, source))
        return max(budget.wait_ms(key, now_ms) for budget, key in needed)

    def _needed(
        self, name: str, source: str, now_ms: int
    ) -> tuple[tuple[Tries | Delays, Hashable], ...]:
        """Return the budgets that a log-in needs a try of, besides the hash."""
        pair = (name, source)
        if pair in self._known:
            return ((self._of_known, pair),)
        is_clean = self._of_sources.is_clean(source, now_ms)
        return (self._of_sources, source), (self._of_names[is_clean], name)

    def begin(self, name: str, source: str, now_ms: int) -> Attempt:
        """Let a log-in in that need not wait."""
        is_known = (name, source) in self._known
        attempt = Attempt(name, source, is_known, self._needed(name, source, now_ms))
        for budget, key in attempt.taken:
            budget.take(key, now_ms)
        self._hashes.take(source, now_ms)
        self._under_way[source] += 1
        self._unknown_under_way += not is_known
        return attempt

    def leave(self, attempt: Attempt, now_ms: int) -> None:
        """End a log-in whose password was not looked at."""
        self._end(attempt)
        self._give_back(attempt, now_ms)
        self._hashes.give_back(attempt.source, now_ms)

    def fail(self, attempt: Attempt) -> None:
        """End a log-in whose password is wrong."""
        self._end(attempt)

    def succeed(self, attempt: Attempt, now_ms: int) -> None:
        """End a log-in whose password is right; its source is known from here on."""
        self._end(attempt)
        self._give_back(attempt, now_ms)
        pair = (attempt.name, attempt.source)
        self._known.setdefault(pair)
        self._known.move_to_end(pair)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    @staticmethod
    def _give_back(attempt: Attempt, now_ms: int) -> None:
        for budget, key in attempt.taken:
            budget.give_back(key, now_ms)

    def _end(self, attempt: Attempt) -> None:
        self._unknown_under_way -= not attempt.is_known
        self._under_way[attempt.source] -= 1
        if not self._under_way[attempt.source]:
            del self._under_way[attempt.source]
