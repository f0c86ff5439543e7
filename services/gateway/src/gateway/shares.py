"""What one user may have under way at a gateway, so that no user takes what belongs to all.

Each bound is far above what an honest client needs. Past a bound a call is refused as RATE_LIMITED,
and a stream is not read. Nothing is kept of a user who has nothing under way.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from wire import errors

from gateway.errors import RequestRefused

CALLS_MAX = 1_024  # of one user
STREAMS_MAX = 256  # likewise
SUBMISSIONS_MAX = 4_096  # likewise, on all streams: read, and their results not written yet
PAGES_MAX = 4  # likewise: pages of lists that are read from a member or not read by the client


class Share:
    """What one user has under way.

    - `has_room` is set while the user has fewer than SUBMISSIONS_MAX submissions.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.calls = 0
        self.streams = 0
        self.submissions = 0
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.pages = asyncio.Semaphore(PAGES_MAX)

    @property
    def is_unused(self) -> bool:
        """Whether the user has nothing under way."""
        return not self.calls and not self.streams

    def change_submissions(self, by: int) -> None:
        """Count submissions that were read, or whose results were written."""
        self.submissions += by
        if self.submissions < SUBMISSIONS_MAX:
            self.has_room.set()
        else:
            self.has_room.clear()


class Shares:
    """The shares of all users."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._shares: dict[int, Share] = {}
        self.refused_count = 0

    def __len__(self) -> int:
        """Return how many users have something under way."""
        return len(self._shares)

    @contextmanager
    def call(self, user_id: int) -> Iterator[Share]:
        """Have one more call of a user under way; raise RequestRefused."""
        share = self.of(user_id)
        self._check(share.calls < CALLS_MAX)
        share.calls += 1
        try:
            yield share
        finally:
            share.calls -= 1
            self._drop_unused(user_id, share)

    @contextmanager
    def stream(self, user_id: int) -> Iterator[Share]:
        """Have one more stream of a user under way; raise RequestRefused."""
        share = self.of(user_id)
        self._check(share.streams < STREAMS_MAX)
        share.streams += 1
        try:
            yield share
        finally:
            share.streams -= 1
            self._drop_unused(user_id, share)

    def of(self, user_id: int) -> Share:
        """Return the share of a user who has a call or a stream under way."""
        return self._shares.setdefault(user_id, Share())

    def _check(self, has_room: bool) -> None:  # noqa: FBT001 - the one question
        if not has_room:
            self.refused_count += 1
            raise RequestRefused(errors.rate_limited())

    def _drop_unused(self, user_id: int, share: Share) -> None:
        if share.is_unused:
            del self._shares[user_id]
