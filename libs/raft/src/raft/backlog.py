"""The bytes of a leader's log that are not committed."""

from collections import deque

from raft.log import RaftLog


class Backlog:
    """The bytes of the payloads that a leader has appended and not committed.

    - `size` covers the uncommitted entries at the beginning of the term, and all proposals of the
      term.
    - A commit does not touch the backlog. `settle` removes committed entries before the next
      proposal.
    """

    __slots__ = ("_waiting", "size")

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: deque[tuple[int, int]] = deque()  # last index, bytes
        self.size = 0

    def clear(self) -> None:
        """Forget every entry."""
        self._waiting.clear()
        self.size = 0

    def begin(self, log: RaftLog, commit_index: int) -> None:
        """Count the entries of a log beyond the commit index, at the beginning of a term."""
        entries = log.slice(commit_index + 1, log.last_index)
        if entries:
            self.count(log.last_index, sum(len(entry.payload) for entry in entries))

    def count(self, last_index: int, size: int) -> None:
        """Count `size` bytes of entries that end at `last_index`."""
        self._waiting.append((last_index, size))
        self.size += size

    def beyond(self, commit_index: int) -> int:
        """Return the bytes beyond `commit_index`."""
        return self.size - sum(size for last, size in self._waiting if last <= commit_index)

    def settle(self, commit_index: int) -> int:
        """Remove the entries up to `commit_index`; return the bytes that are left."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= commit_index:
            self.size -= waiting.popleft()[1]
        return self.size
