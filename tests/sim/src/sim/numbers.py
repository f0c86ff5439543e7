"""Numbers that are given once in a run: ids of members, sessions, tickets."""


class Numbers:
    """Numbers that are given once in a run."""

    def __init__(self, last_member: int) -> None:
        """Ids of members up to `last_member` are given already."""
        self._last_member = last_member
        self._last_session = self._last_change = 0

    def next_session(self) -> int:
        """Return a number for a gateway's stream."""
        self._last_session += 1
        return self._last_session

    def next_member(self) -> int:
        """Return an id that no member ever had."""
        self._last_member += 1
        return self._last_member

    def next_change(self) -> int:
        """Return a number for a question to a member, or a command of its own."""
        self._last_change += 1
        return self._last_change
