"""The memory of requests: what makes a retry harmless.

A request is remembered for 24 hours of log time, or until there are too many, whichever comes
first; the oldest second goes first. An id that carries its own time (UUIDv7, RFC 9562) belongs to
the second in which it was made, so that the floor - the newest second that was forgotten - tells
whether an unknown one may ever have been seen. Other ids belong to the second of the entry that
brought them, and hold only while they are kept.
"""

import heapq
import re

from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Records, Remembered

KEPT_SECONDS = 24 * 3_600
KEPT_MAX = 1_000_000
RESIDENT_MAX = 200_000  # kept in memory after a flush, of either kind
AHEAD_SECONDS_MAX = 300
FORGOTTEN_PER_ENTRY_MAX = 1_024  # seconds

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Key = tuple[int, str]  # user id, request id


def bucket_of(request_id: str) -> int:
    """Return the second in which an id was made; 0 for an id without a time."""
    if len(request_id) == 36 and _UUID7.fullmatch(request_id):  # noqa: PLR2004 - of a UUID
        return int(request_id[:8] + request_id[9:13], 16) // 1_000
    return 0


class RequestTable:
    """What is remembered, by (user, request id).

    - A key is remembered once, with one digest.
    - `floor` never falls; no second at or below it is remembered, whatever the database holds.
    - Memory holds all of a second at or above `_resident_from`, so there a miss needs no look at
      the database.
    - What is not durable is in memory.
    """

    def __init__(self, records: Records, floor: int) -> None:
        """Begin with the counts; records come from the database when they are asked for."""
        self._records = records
        self.floor = floor
        self._counts = records.buckets()
        self.total = sum(self._counts.values())
        self._seconds = sorted(self._counts)  # a heap of the counts' keys
        self._resident_from = max(self._counts, default=0) + 1
        self._timed: dict[int, dict[Key, Remembered]] = {}
        self._timed_total = 0
        self._named: dict[Key, Remembered] = {}
        self._named_seconds: dict[int, list[Key]] = {}
        # Whether the database may hold records of named requests that memory does not.
        self._database_has_named = bool(self._counts)
        self._fresh: list[Remembered] = []
        self._taken: list[list[Remembered]] = []  # on their way to the database
        self._changed: dict[int, None] = {}  # seconds whose count did
        self._forgotten: list[int] = []

    def find(self, bucket: int, user_id: int, request_id: str) -> Remembered | None:
        """Return what became of a request, None when it is not remembered."""
        key = (user_id, request_id)
        if bucket:
            second = self._timed.get(bucket)
            found = second.get(key) if second is not None else None
            if found is not None or bucket >= self._resident_from or bucket <= self.floor:
                return found
            return self._records.request(bucket, user_id, request_id)
        found = self._named.get(key)
        if found is None and self._database_has_named:
            found = self._records.request(0, user_id, request_id)
        # The database forgets at the next flush, memory at once: the floor makes them the same.
        return found if found is not None and found.second > self.floor else None

    def second_of(self, bucket: int, stamp_ms: int) -> int:
        """Return the second that a request of an entry of `stamp_ms` is remembered with."""
        return bucket or max(stamp_ms // 1_000, self.floor + 1)

    def remember(self, record: Remembered) -> None:
        """Keep what became of a request that `find` does not find."""
        second = record.second
        key = (record.user_id, record.request_id)
        if record.bucket:
            self._timed_total += 1
            try:
                self._timed[second][key] = record
            except KeyError:
                self._timed[second] = {key: record}
        else:
            self._named[key] = record
            self._named_seconds.setdefault(second, []).append(key)
        self._fresh.append(record)
        self.total += 1
        self._changed[second] = None
        try:
            self._counts[second] += 1
        except KeyError:
            self._counts[second] = 1
            heapq.heappush(self._seconds, second)

    def forget(self, stamp_ms: int) -> None:
        """Forget the oldest seconds that are over the limits; a bounded number at a time."""
        limit = stamp_ms // 1_000 - KEPT_SECONDS
        if self.total <= KEPT_MAX and self.floor >= limit - 1:
            return
        for _ in range(FORGOTTEN_PER_ENTRY_MAX):
            if not self._seconds or (self.total <= KEPT_MAX and self._seconds[0] >= limit):
                break
            self._forget_second(heapq.heappop(self._seconds))
        else:
            return
        if self.total <= KEPT_MAX:
            self.floor = max(self.floor, limit - 1)

    def _forget_second(self, second: int) -> None:
        self.total -= self._counts.pop(second)
        self.floor = second
        self._forgotten.append(second)
        self._changed.pop(second, None)
        self._timed_total -= len(self._timed.pop(second, ()))
        for key in self._named_seconds.pop(second, ()):
            record = self._named.get(key)
            if record is not None and record.second == second:
                del self._named[key]

    def take(self, changes: Changes) -> None:
        """Move what is to be written into `changes`."""
        fresh = self._fresh
        if self._forgotten:
            fresh = [record for record in fresh if record.second > self.floor]
        changes.requests = fresh
        changes.buckets = dict.fromkeys(self._forgotten, 0)
        changes.buckets.update((second, self._counts[second]) for second in self._changed)
        self._taken.append(fresh)
        self._fresh, self._changed, self._forgotten = [], {}, []

    def flushed(self) -> None:
        """Let the oldest seconds go from memory when there are many; the database has them."""
        del self._taken[0]
        if self._timed_total > RESIDENT_MAX:
            self._shed_timed()
        if len(self._named) > RESIDENT_MAX:
            self._shed_named()

    def _not_durable(self) -> list[Remembered]:
        return [record for records in (*self._taken, self._fresh) for record in records]

    def _shed_timed(self) -> None:
        """Let a quarter go, so that this is rare."""
        kept = {record.second for record in self._not_durable()}
        for second in sorted(self._timed):
            if self._timed_total <= RESIDENT_MAX // 4 * 3:
                break
            if second in kept:
                continue
            self._timed_total -= len(self._timed.pop(second))
            self._resident_from = max(self._resident_from, second + 1)

    def _shed_named(self) -> None:
        self._database_has_named = True
        self._named, self._named_seconds = {}, {}
        for record in self._not_durable():
            if not record.bucket and record.second > self.floor:
                key = (record.user_id, record.request_id)
                self._named[key] = record
                self._named_seconds.setdefault(record.second, []).append(key)
