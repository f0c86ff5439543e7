"""When the system is ready, and which voters are missing then."""

from inventory_client import Member, Status

from inventory_cli.up.processes import Children

STRAGGLER_SECONDS = 5.0


def missing_of(status: Status | None) -> set[str] | None:
    """Return the names of the voters that do not follow the leader.

    None: nobody leads, or no majority follows, so that nothing is served.
    """
    leader = _leader(status)
    if status is None or leader is None:
        return None
    following = {one.name for one in status.members if one.reachable and one.leader == leader.name}
    missing = set(leader.voters) - following
    return missing if 2 * len(missing) < len(leader.voters) else None


def _leader(status: Status | None) -> Member | None:
    if status is None:
        return None
    return next((one for one in status.members if one.name == status.leader), None)


class Readiness:
    """Whether the system has been ready, and which voters have been missing since then.

    - The system is ready when a member leads and a majority of the voters follows.
    - A voter that starts slowly is waited for up to STRAGGLER_SECONDS. A voter whose process died
      is not waited for.
    - A voter that dies later is not missing here: the children's notes tell of it.
    """

    def __init__(self, children: Children) -> None:
        """Begin with a system that is not ready."""
        self.is_ready = False
        self._children = children
        self._served_at: float | None = None  # when a majority was first seen; monotonic clock
        self._missing: set[str] = set()

    def update(self, status: Status | None, now: float) -> None:
        """Take a status of the members into account; `now`: seconds on the monotonic clock."""
        missing = missing_of(status)
        if missing is None:
            return
        if self.is_ready:
            self._note_arrivals(self._missing - missing)
            return
        if self._served_at is None:
            self._served_at = now
        died = {child.name for child in self._children.children if child.has_died}
        if missing <= died or now - self._served_at >= STRAGGLER_SECONDS:
            self.is_ready, self._missing = True, missing

    def _note_arrivals(self, come: set[str]) -> None:
        self._missing -= come
        self._children.notes += [f"{name} is there" for name in sorted(come)]

    def troubles(self) -> list[str]:
        """Return a sentence for each voter that has been missing from the beginning."""
        logs = {child.name: child.log for child in self._children.children}
        return [
            f"{name} is missing, the others serve without it"
            + (f"; its log is {logs[name]}" if name in logs else "")
            for name in sorted(self._missing)
        ]
