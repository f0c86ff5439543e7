"""How many commands of one user may be with the leader while other users order too.

A frame takes the leader the longer the more commands it holds, and everybody waits for it. So a
user who orders much may fill frames while nobody else orders. While others do, each user has a
window of commands that are with the leader: as many as the user with the fewest unanswered commands
has, and WINDOW_MIN at least.
"""

WINDOW_MIN = 32  # so many cost a frame little
# A client that orders again after each answer has nothing pending for a moment, and counts on.
ACTIVE_MS = 50


class Contention:
    """The unanswered commands of each user who orders.

    - A user counts from the first unanswered command until ACTIVE_MS after the last answer.
    """

    def __init__(self) -> None:
        """Start with nobody."""
        self._unanswered: dict[int, int] = {}
        self._until_ms: dict[int, int] = {}  # when a user without a command stops to count
        self._now_ms = 0

    def begin(self, user_id: int) -> None:
        """Count a command that came."""
        self._unanswered[user_id] = self._unanswered.get(user_id, 0) + 1
        self._until_ms.pop(user_id, None)

    def end(self, user_id: int) -> None:
        """Count a command no more that was answered, or whose caller has gone."""
        self._unanswered[user_id] -= 1
        if not self._unanswered[user_id]:
            self._until_ms[user_id] = self._now_ms + ACTIVE_MS

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        self._now_ms = now_ms
        over = [user_id for user_id, until_ms in self._until_ms.items() if until_ms <= now_ms]
        for user_id in over:
            del self._until_ms[user_id], self._unanswered[user_id]

    @property
    def window(self) -> int | None:
        """How many commands of a user may be with the leader; None: any number."""
        if len(self._unanswered) <= 1:
            return None
        return max(WINDOW_MIN, min(self._unanswered.values()))
