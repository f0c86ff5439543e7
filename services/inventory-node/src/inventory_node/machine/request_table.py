"""The request table: the memory of requests, which makes a retry harmless.

A request is remembered for 24 hours of log time. If there are too many requests, the oldest second
is forgotten earlier. An id that carries its own time (UUIDv7, RFC 9562) belongs to the second in
which the id was made. So the floor - the newest second that was forgotten - tells whether an
unknown id may ever have been seen. Any other id belongs to the second of the entry that brought the
id, and is recognised only while its request is remembered.
"""

import heapq
import re
from collections.abc import Iterable

from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Records, Remembered

KEPT_SECONDS = 24 * 3_600
KEPT_MAX = 1_000_000
RESIDENT_MAX = 200_000  # kept in memory after a flush, for ids with a time and for ids without
AHEAD_SECONDS_MAX = 300
FORGOTTEN_PER_ENTRY_MAX = 1_024  # seconds

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Key = tuple[int, str]  # user id, request id


def bucket_of(request_id: str) -> int:
    """Return the second in which an id was made; 0 for an id without a time."""
    if len(request_id) == 36 and _UUID7.fullmatch(request_id):  # noqa: PLR2004 - of a UUID
        return int(request_id[:8] + request_id[9:13], 16) // 1_000
    return 0


class UnwrittenRequests:
    """Changes since the last take, in memory alone."""

    def __init__(self) -> None:
        """Start with nothing changed."""
        self.records: list[Remembered] = []
        self.seconds: dict[int, None] = {}  # whose count changed
        self.forgotten: list[int] = []  # seconds

    def note_forgotten(self, second: int) -> None:
        """Note that a second was forgotten."""
        self.forgotten.append(second)
        self.seconds.pop(second, None)


class NamedRequests:
    """Requests in memory whose ids have no time of their own."""

    def __init__(self, *, database_has_more: bool) -> None:
        """Start empty; `database_has_more` says whether a miss needs a read of the database."""
        self.database_has_more = database_has_more
        self._records: dict[Key, Remembered] = {}
        self._keys: dict[int, list[Key]] = {}  # by second

    def __len__(self) -> int:
        """How many requests are in memory."""
        return len(self._records)

    def get(self, key: Key) -> Remembered | None:
        """Return a request that memory holds, None for any other request."""
        return self._records.get(key)

    def keep(self, key: Key, record: Remembered) -> None:
        """Keep a request."""
        self._records[key] = record
        self._keys.setdefault(record.second, []).append(key)

    def forget_second(self, second: int) -> None:
        """Forget the requests of a second."""
        for key in self._keys.pop(second, ()):
            record = self._records.get(key)
            if record is not None and record.second == second:
                del self._records[key]

    def shed(self, kept: Iterable[Remembered]) -> None:
        """Drop all requests except `kept`; the database has the dropped requests."""
        self.database_has_more = True
        self._records, self._keys = {}, {}
        for record in kept:
            self.keep((record.user_id, record.request_id), record)


class RequestTable:
    """The remembered requests, by (user, request id).

    - A key is remembered once, with one digest.
    - `floor` never falls; no second at or below the floor is remembered, whatever the database
      holds.
    - For each second at or above `_resident_from`, memory holds all timed requests, so a miss needs
      no read of the database.
    - Requests that are not durable are in memory.
    """

    def __init__(self, records: Records, floor: int) -> None:
        """Begin with the counts; records are read from the database on demand."""
        self._records = records
        self.floor = floor
        self._counts = records.buckets()
        self.total = sum(self._counts.values())
        self._seconds = sorted(self._counts)  # a heap of the counts' keys
        self._resident_from = max(self._counts, default=0) + 1
        self._timed: dict[int, dict[Key, Remembered]] = {}
        self._timed_total = 0
        self._named = NamedRequests(database_has_more=bool(self._counts))
        self._unwritten = UnwrittenRequests()
        self._taken: list[list[Remembered]] = []  # on their way to the database

    def find(self, bucket: int, user_id: int, request_id: str) -> Remembered | None:
        """Return a remembered request, None for any other request."""
        key = (user_id, request_id)
        if bucket:
            second = self._timed.get(bucket)
            found = second.get(key) if second is not None else None
            if found is not None or bucket >= self._resident_from or bucket <= self.floor:
                return found
            return self._records.request(bucket, user_id, request_id)
        found = self._named.get(key)
        if found is None and self._named.database_has_more:
            found = self._records.request(0, user_id, request_id)
        # The database forgets at the next flush, memory forgets at once: the floor hides the
        # difference.
        return found if found is not None and found.second > self.floor else None

    def second_of(self, bucket: int, stamp_ms: int) -> int:
        """Return the second under which to remember a request of an entry of `stamp_ms`."""
        return bucket or max(stamp_ms // 1_000, self.floor + 1)

    def remember(self, record: Remembered) -> None:
        """Remember a request that `find` does not find."""
        second = record.second
        key = (record.user_id, record.request_id)
        if record.bucket:
            self._timed_total += 1
            try:
                self._timed[second][key] = record
            except KeyError:
                self._timed[second] = {key: record}
        else:
            self._named.keep(key, record)
        self._unwritten.records.append(record)
        self.total += 1
        self._unwritten.seconds[second] = None
        try:
            self._counts[second] += 1
        except KeyError:
            self._counts[second] = 1
            heapq.heappush(self._seconds, second)

    def forget(self, stamp_ms: int) -> None:
        """Forget the oldest seconds above the limits, a bounded number at a time."""
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
        self._unwritten.note_forgotten(second)
        self._timed_total -= len(self._timed.pop(second, ()))
        self._named.forget_second(second)

    def take(self, changes: Changes) -> None:
        """Move the unwritten changes into `changes`."""
        unwritten, self._unwritten = self._unwritten, UnwrittenRequests()
        fresh = unwritten.records
        if unwritten.forgotten:
            fresh = [record for record in fresh if record.second > self.floor]
        changes.requests = fresh
        changes.buckets = dict.fromkeys(unwritten.forgotten, 0)
        changes.buckets.update((second, self._counts[second]) for second in unwritten.seconds)
        self._taken.append(fresh)

    def flushed(self) -> None:
        """Drop the oldest seconds from memory when there are many; the database has them."""
        del self._taken[0]
        if self._timed_total > RESIDENT_MAX:
            self._shed_timed()
        if len(self._named) > RESIDENT_MAX:
            self._shed_named()

    def _not_durable(self) -> list[Remembered]:
        return [record for records in (*self._taken, self._unwritten.records) for record in records]

    def _shed_timed(self) -> None:
        """Drop a quarter, so that this is rare."""
        kept = {record.second for record in self._not_durable()}
        for second in sorted(self._timed):
            if self._timed_total <= RESIDENT_MAX // 4 * 3:
                break
            if second in kept:
                continue
            self._timed_total -= len(self._timed.pop(second))
            self._resident_from = max(self._resident_from, second + 1)

    def _shed_named(self) -> None:
        not_durable = self._not_durable()
        self._named.shed(one for one in not_durable if not one.bucket and one.second > self.floor)
