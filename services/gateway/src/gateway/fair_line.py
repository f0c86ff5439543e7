"""A line in which each user has a place: whoever waits with many requests waits behind itself."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from gateway.requests import Request


class FairLine:
    """Requests by user; the users take turns, one request each.

    - The requests of one user are taken in their order.
    - A user without a request has no place.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._lines: OrderedDict[int, deque[Request]] = OrderedDict()  # whose turn is next is first
        self._length = 0

    def __len__(self) -> int:
        """Return how many requests wait, the ones that are done included."""
        return self._length

    def __iter__(self) -> Iterator[Request]:
        """Yield all requests, user by user."""
        for line in self._lines.values():
            yield from line

    def append(self, request: Request) -> None:
        """Queue a request after all others of its user."""
        self._lines.setdefault(request.user_id, deque()).append(request)
        self._length += 1

    def prepend(self, request: Request) -> None:
        """Queue a request before all others of its user."""
        self._lines.setdefault(request.user_id, deque()).appendleft(request)
        self._length += 1

    def count_up_to(self, room: Callable[[int], int]) -> int:
        """Return how many requests could be taken if each user may take `room(user_id)`."""
        return sum(min(len(line), room(user_id)) for user_id, line in self._lines.items())

    def take(self, room: Callable[[int], int]) -> Request | None:
        """Take the next request of the next user who has room; None: there is none.

        Requests that are done are dropped.
        """
        for _ in range(len(self._lines)):
            user_id, line = self._lines.popitem(last=False)
            taken = self._take_from(line) if room(user_id) > 0 else None
            if line:
                self._lines[user_id] = line
            if taken is not None:
                return taken
        return None

    def _take_from(self, line: deque[Request]) -> Request | None:
        while line:
            self._length -= 1
            request = line.popleft()
            if not request.is_done:
                return request
        return None

    def drop_done(self) -> None:
        """Drop the requests that are done."""
        kept = [request for request in self if not request.is_done]
        self._lines.clear()
        self._length = 0
        for request in kept:
            self.append(request)
