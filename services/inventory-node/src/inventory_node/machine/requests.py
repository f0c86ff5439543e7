"""The memory of requests: what makes a retry harmless.

A request is remembered for 24 hours of log time, or until there are too many, whichever comes
first; the oldest second goes first. An id that carries its own time (UUIDv7, RFC 9562) belongs to
the second in which it was made, so that the floor - the newest second that was forgotten - tells
whether an unknown one may ever have been seen. Other ids belong to the second of the entry that
brought them, and hold only while they are kept.
"""

import heapq
import re

from inventory_node.machine.changes import Changes, Request
from inventory_node.machine.shelf import Remembered, Shelf

KEPT_SECONDS = 24 * 3_600
KEPT_MAX = 1_000_000
RESIDENT_MAX = 200_000  # kept in memory after a flush
AHEAD_SECONDS_MAX = 300
FORGOTTEN_PER_ENTRY_MAX = 1_024  # seconds

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Key = tuple[int, str]  # user id, request id


def bucket_of(request_id: str) -> int:
    """Return the second in which an id was made; 0 for an id without a time."""
    if len(request_id) == 36 and _UUID7.fullmatch(request_id):  # noqa: PLR2004 - of a UUID
        return int(request_id[:8] + request_id[9:13], 16) // 1_000
    return 0


class Requests:
    """What is remembered, by (user, request id).

    - A key is remembered once, with one digest.
    - `floor` never falls; no second at or below it is remembered.
    - Memory holds all of a second at or above `_resident_from`, so there a miss needs no look at
      the shelf.
    """

    def __init__(self, shelf: Shelf, floor: int) -> None:
        """Begin with the counts; records come from the shelf when they are asked for."""
        self._shelf = shelf
        self.floor = floor
        self._counts = shelf.buckets()
        self.total = sum(self._counts.values())
        self._seconds = sorted(self._counts)  # a heap of the counts' keys
        self._resident_from = max(self._counts, default=0) + 1
        self._timed: dict[int, dict[Key, Remembered]] = {}
        self._named: dict[Key, tuple[int, Remembered]] = {}  # with the second they go
        self._has_named = bool(self._counts)  # whether the shelf may hold such
        self._fresh: list[Request] = []
        self._changed_counts: dict[int, int] = {}

    def find(self, bucket: int, user_id: int, request_id: str) -> Remembered | None:
        """Return what became of a request, None when it is not remembered."""
        key = (user_id, request_id)
        if bucket:
            second = self._timed.get(bucket)
            found = second.get(key) if second is not None else None
            if found is not None or bucket >= self._resident_from or bucket <= self.floor:
                return found
            return self._shelf.request(bucket, user_id, request_id)
        named = self._named.get(key)
        if named is not None:
            return named[1]
        if not self._has_named:
            return None
        return self._shelf.request(0, user_id, request_id)

    def remember(
        self, bucket: int, user_id: int, request_id: str, record: Remembered, stamp_ms: int
    ) -> None:
        """Keep what became of a request."""
        key = (user_id, request_id)
        second = bucket or stamp_ms // 1_000
        if bucket:
            self._timed.setdefault(bucket, {})[key] = record
        else:
            self._named[key] = (second, record)
        self._fresh.append(
            Request(
                bucket,
                user_id,
                request_id,
                second,
                record.digest,
                record.outcome,
                record.administration,
            )
        )
        self._count(second)

    def _count(self, second: int) -> None:
        if second not in self._counts:
            heapq.heappush(self._seconds, second)
        self._counts[second] = self._changed_counts[second] = self._counts.get(second, 0) + 1
        self.total += 1

    def forget(self, stamp_ms: int) -> None:
        """Forget the oldest seconds that are over the limits; a bounded number at a time."""
        if self.total <= KEPT_MAX and self.floor >= stamp_ms // 1_000 - KEPT_SECONDS - 1:
            return
        limit = stamp_ms // 1_000 - KEPT_SECONDS
        for _ in range(FORGOTTEN_PER_ENTRY_MAX):
            if not self._seconds or (self.total <= KEPT_MAX and self._seconds[0] >= limit):
                break
            oldest = heapq.heappop(self._seconds)
            self.total -= self._counts.pop(oldest)
            self._changed_counts[oldest] = 0
            self._timed.pop(oldest, None)
            self.floor = max(self.floor, oldest)
        else:
            return
        self._forget_named()
        if self.total <= KEPT_MAX:
            self.floor = max(self.floor, limit - 1)

    def _forget_named(self) -> None:
        for key, (second, _) in list(self._named.items()):
            if second <= self.floor:
                del self._named[key]

    def take(self, changes: Changes) -> None:
        """Move what is to be written into `changes`."""
        changes.requests, self._fresh = self._fresh, []
        changes.buckets, self._changed_counts = self._changed_counts, {}

    def flushed(self) -> None:
        """Let the oldest seconds go from memory when there are many; the shelf has them."""
        self._has_named = self._has_named or bool(self._named)
        resident = sum(len(second) for second in self._timed.values())
        fresh = {request.bucket for request in self._fresh}
        for bucket in sorted(self._timed):
            if resident <= RESIDENT_MAX or bucket in fresh:
                break
            resident -= len(self._timed.pop(bucket))
            self._resident_from = max(self._resident_from, bucket + 1)
        if len(self._named) > RESIDENT_MAX:
            unflushed = {(request.user_id, request.request_id) for request in self._fresh}
            self._named = {key: kept for key, kept in self._named.items() if key in unflushed}
