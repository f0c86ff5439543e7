"""How much of a leader's log waits to be committed."""

from collections import deque

from raft.log import Log


class Backlog:
    """The bytes of payloads that a leader has taken and that are not committed.

    - `size` covers what was in the log when the lead began, and all that was proposed since.
    - What is committed leaves when the next is measured, so commits cost nothing here.
    """

    __slots__ = ("_waiting", "size")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._waiting: deque[tuple[int, int]] = deque()  # last index, bytes
        self.size = 0

    def clear(self) -> None:
        """Begin anew with nothing."""
        self._waiting.clear()
        self.size = 0

    def begin(self, log: Log, commit_index: int) -> None:
        """Take over what a log holds beyond what is committed."""
        self.clear()
        entries = log.slice(commit_index + 1, log.last_index)
        if entries:
            self.add(log.last_index, sum(len(entry.payload) for entry in entries))

    def add(self, last_index: int, size: int) -> None:
        """Count entries that end at `last_index`."""
        self._waiting.append((last_index, size))
        self.size += size

    def beyond(self, commit_index: int) -> int:
        """Return the bytes that are not committed at `commit_index`."""
        return self.size - sum(size for last, size in self._waiting if last <= commit_index)

    def settle(self, commit_index: int) -> int:
        """Forget what is committed; return the bytes that are left."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= commit_index:
            self.size -= waiting.popleft()[1]
        return self.size
