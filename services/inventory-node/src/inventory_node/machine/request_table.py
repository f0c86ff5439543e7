"""The request table: the memory of requests, which makes a retry harmless.

Each user has a share of the table. A share is divided into periods: the requests that a user made
one after the other, in at most six hours of log time. A period is forgotten as a whole.

- By age: a request is remembered for 24 hours of log time or more.
- By the size of a share: a user who holds a quarter of the table forgets the oldest period of that
  user.
- By the size of the table: when the table is full, the user who keeps most after that forgets the
  oldest period of that user. So users who make few requests forget none.

An id that carries its own time (UUIDv7, RFC 9562) is refused if the id is unknown and its time is
at or before the user's floor: the id may belong to a request that was forgotten. The floor is the
newest time in the ids that the user forgot by size, or the time 24 hours ago. Any other id is
recognised only while its request is remembered.

Requests are counted in slots, so that one bound holds for their number and for their bytes.
"""

import heapq
import re
from collections import deque
from dataclasses import dataclass
from itertools import takewhile

from inventory_node.machine.changes import Changes
from inventory_node.machine.records import PeriodRow, Records, Remembered

KEPT_SECONDS = 24 * 3_600
PERIOD_SECONDS = 6 * 3_600
AHEAD_SECONDS_MAX = 10  # by which the time in an id may be ahead of the log's
KEPT_MAX = 1_000_000  # slots
SHARE_MAX = 250_000  # slots of one user
RESIDENT_MAX = 200_000  # slots in memory after a flush
SPARE_PART = 64  # the part of the table that is free after requests were forgotten by its size
SLOT_BYTES = 512  # of an outcome
PERIOD_SLOTS_MIN = 16
PERIOD_SLOTS_MAX = 4_096
PERIODS_OF_A_SHARE = 8  # between the two bounds a period ends at this part of the share
FORGOTTEN_PER_ENTRY_MAX = 8  # periods, by age

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def second_of(request_id: str) -> int:
    """Return the second in which an id was made; 0 for an id without a time."""
    if len(request_id) == 36 and _UUID7.fullmatch(request_id):  # noqa: PLR2004 - of a UUID
        return int(request_id[:8] + request_id[9:13], 16) // 1_000
    return 0


def slots_of(outcome: bytes) -> int:
    """Return the slots of a request: one for each 512 bytes of its outcome that are begun."""
    return len(outcome) // SLOT_BYTES + 1


@dataclass(slots=True, kw_only=True)
class Period:
    """Requests of one user, one after the other; see `PeriodRow`."""

    number: int
    user_id: int
    begin_second: int
    newest_second: int = 0
    slots: int = 0
    absent_slots: int = 0  # of requests that the database alone holds

    def row(self) -> PeriodRow:
        """Return what the database keeps of a period."""
        return PeriodRow(
            self.number, self.user_id, self.begin_second, self.newest_second, self.slots
        )

    def is_ended(self, now: int, share_slots: int) -> bool:
        """Tell whether the next request of a user, who holds `share_slots`, begins a period."""
        slots = self.slots
        return (
            now >= self.begin_second + PERIOD_SECONDS
            or not slots
            or (
                slots >= PERIOD_SLOTS_MIN
                and (slots >= PERIOD_SLOTS_MAX or slots * PERIODS_OF_A_SHARE >= share_slots)
            )
        )


class RequestShare:
    """The requests of one user.

    - At most the first period is empty: the period that was forgotten last by size.
    - An id whose second is above `absent_second` is in memory, or is not remembered.
    """

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self.periods: deque[Period] = deque()
        self.records: dict[str, Remembered] = {}  # in memory, by request id
        self.slots = 0
        self.floor = 0  # the newest second of the ids that were forgotten by size
        self.absent_second = -1

    @property
    def oldest(self) -> Period:
        """The oldest period that is not empty; there is one."""
        first = self.periods[0]
        return first if first.slots else self.periods[1]

    @property
    def kept_slots(self) -> int:
        """The slots that are kept if the oldest period is forgotten."""
        return self.slots - self.oldest.slots

    def absent_periods(self, second: int) -> list[int]:
        """Return the periods that the database holds and that may hold an id of a second."""
        return [
            period.number
            for period in self.periods
            if period.absent_slots and second <= period.newest_second
        ]

    def let_go(self, period: Period) -> None:
        """Drop from memory the requests of a period, the oldest that are in memory."""
        own = takewhile(lambda one: one.period == period.number, self.records.values())
        for request_id in [one.request_id for one in own]:
            del self.records[request_id]

    def note_absent(self) -> None:
        """Find out anew which ids only the database may know."""
        self.absent_second = max(
            (period.newest_second for period in self.periods if period.absent_slots), default=-1
        )


class UnwrittenRequests:
    """Changes since the last take, in memory alone."""

    def __init__(self) -> None:
        """Start with nothing changed."""
        self.records: list[Remembered] = []
        self.periods: dict[int, Period] = {}  # that changed, by number
        self.forgotten: list[int] = []  # the numbers of periods


class RequestTable:
    """The remembered requests, by (user, request id).

    - A key is remembered once, with one digest.
    - A user's floor never falls, and no id at or below it is remembered newly.
    - The same entries forget the same requests, whatever is in memory.
    - Requests that are not durable are in memory.
    """

    def __init__(self, records: Records, next_period: int) -> None:
        """Begin with the periods; requests are read from the database on demand."""
        self._records = records
        self.next_period = next_period
        self.slots = 0
        self.absent_slots = 0
        self._periods: dict[int, Period] = {}  # by number, oldest first
        self._shares: dict[int, RequestShare] = {}  # by user
        self._due_second = 0  # before this nothing is forgotten by age
        self._unwritten = UnwrittenRequests()
        self._taken: list[UnwrittenRequests] = []  # on their way to the database
        for row in records.periods():
            self._add(Period(**row._asdict(), absent_slots=row.slots))
        for share in self._shares.values():
            share.note_absent()

    def _add(self, period: Period) -> RequestShare:
        share = self._shares.get(period.user_id)
        if share is None:
            share = self._shares[period.user_id] = RequestShare()
        share.periods.append(period)
        share.slots += period.slots
        share.floor = max(share.floor, 0 if period.slots else period.newest_second)
        self.slots += period.slots
        self.absent_slots += period.absent_slots
        self._periods[period.number] = period
        return share

    @property
    def resident_slots(self) -> int:
        """The slots of the requests that memory holds."""
        return self.slots - self.absent_slots

    def find(self, second: int, user_id: int, request_id: str) -> Remembered | None:
        """Return a remembered request, None for any other request."""
        share = self._shares.get(user_id)
        if share is None:
            return None
        found = share.records.get(request_id)
        if found is not None or second > share.absent_second:
            return found
        periods = share.absent_periods(second)
        return self._records.request(periods, request_id) if periods else None

    def floor_of(self, user_id: int, now: int) -> int:
        """Return the second up to which a user's unknown ids may have been forgotten."""
        floor = now - KEPT_SECONDS - 1
        share = self._shares.get(user_id)
        return floor if share is None or share.floor < floor else share.floor

    def remember(  # noqa: PLR0913 - the parts of one record
        self,
        now: int,
        second: int,
        user_id: int,
        request_id: str,
        *,
        digest: bytes,
        outcome: bytes,
        administration: bool,
    ) -> None:
        """Remember a request that `find` does not find; `now` is the log's time in seconds."""
        slots = slots_of(outcome)
        share = self._shares.get(user_id)
        if share is not None and share.slots + slots > SHARE_MAX:
            self._forget_by_share(share, slots)
        if share is None or share.periods[-1].is_ended(now, share.slots):
            share = self._begin(user_id, now)
        period = share.periods[-1]
        record = Remembered(period.number, request_id, digest, outcome, administration)
        share.records[request_id] = record
        period.slots += slots
        share.slots += slots
        self.slots += slots
        period.newest_second = max(period.newest_second, second)
        self._unwritten.records.append(record)
        self._unwritten.periods[period.number] = period

    def _begin(self, user_id: int, now: int) -> RequestShare:
        """Begin a period of a user."""
        self.next_period += 1
        return self._add(Period(number=self.next_period - 1, user_id=user_id, begin_second=now))

    def forget(self, stamp_ms: int) -> None:
        """Forget what is too old, a bounded number of periods; then what is too much."""
        now = stamp_ms // 1_000
        if now >= self._due_second:
            self._forget_by_age(now)
        if self.slots > KEPT_MAX:
            self._forget_by_size()

    def _forget_by_age(self, now: int) -> None:
        """Forget periods whose newest requests, and their ids, are over 24 hours old."""
        life_seconds = PERIOD_SECONDS + KEPT_SECONDS + AHEAD_SECONDS_MAX
        for _ in range(FORGOTTEN_PER_ENTRY_MAX):
            oldest = next(iter(self._periods.values()), None)
            begin_second = now if oldest is None else oldest.begin_second
            self._due_second = begin_second + life_seconds
            if oldest is None or now < self._due_second:
                break
            self._empty(oldest)
            self._remove(oldest)

    def _forget_by_share(self, share: RequestShare, slots: int) -> None:
        """Make room for a request of a user who holds as much as a user may."""
        while share.slots and share.slots + slots > SHARE_MAX:
            self._forget_oldest(share)

    def _forget_by_size(self) -> None:
        """Forget the oldest period of the user who keeps most after that, until there is room."""
        shares = [share for share in self._shares.values() if share.slots]
        most = [(-share.kept_slots, share.oldest.number) for share in shares]
        heapq.heapify(most)
        while self.slots > KEPT_MAX - KEPT_MAX // SPARE_PART:
            share = self._shares[self._periods[heapq.heappop(most)[1]].user_id]
            self._forget_oldest(share)
            if share.slots:
                heapq.heappush(most, (-share.kept_slots, share.oldest.number))

    def _forget_oldest(self, share: RequestShare) -> None:
        """Forget the oldest requests of a share. Their period stays, empty, as the user's floor."""
        oldest, floor = share.oldest, share.floor
        if share.periods[0] is not oldest:
            self._remove(share.periods[0])
        self._empty(oldest)
        share.floor = oldest.newest_second = max(oldest.newest_second, floor)
        self._unwritten.periods[oldest.number] = oldest

    def _empty(self, period: Period) -> None:
        """Forget the requests of a period."""
        share = self._shares[period.user_id]
        self.slots -= period.slots
        share.slots -= period.slots
        self.absent_slots -= period.absent_slots
        share.let_go(period)
        period.slots = period.absent_slots = 0
        share.note_absent()
        self._unwritten.forgotten.append(period.number)

    def _remove(self, period: Period) -> None:
        """Remove a user's first period, which is empty, and the floor that it told."""
        share = self._shares[period.user_id]
        share.periods.popleft()
        share.floor = 0
        if not share.periods:
            del self._shares[period.user_id]
        del self._periods[period.number]
        self._unwritten.forgotten.append(period.number)

    def take(self, changes: Changes) -> None:
        """Move the unwritten changes into `changes`."""
        unwritten, self._unwritten = self._unwritten, UnwrittenRequests()
        changes.requests = unwritten.records
        changes.forgotten_periods = unwritten.forgotten
        changes.periods = [
            period.row() for number, period in unwritten.periods.items() if number in self._periods
        ]
        self._taken.append(unwritten)

    def flushed(self) -> None:
        """Drop the oldest requests from memory when there are many; the database has them."""
        del self._taken[0]
        if self.resident_slots > RESIDENT_MAX:
            self._shed()

    def _shed(self) -> None:
        """Drop a quarter, so that this is rare."""
        not_durable = [one.periods for one in (*self._taken, self._unwritten)]
        for period in self._periods.values():
            if self.resident_slots <= RESIDENT_MAX // 4 * 3:
                break
            if not any(period.number in some for some in not_durable):
                share = self._shares[period.user_id]
                share.let_go(period)
                self.absent_slots += period.slots - period.absent_slots
                period.absent_slots = period.slots
                share.note_absent()
