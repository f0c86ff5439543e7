"""What this gateway saw and the log did not, on its way to the audit log: log-ins and refusals.

- Like events of one batch are one event with a count.
- A batch has up to `EVENTS_MAX` events. What is beyond them is counted in one event `left_out`, so
  a flood of guesses costs the log one small command every few seconds.
- A batch is sent again, with the same bytes, until the log has it; meanwhile the next one gathers.
"""

from dataclasses import dataclass, replace

from inventory.raft.v1 import log_pb2

EVENTS_MAX = 64  # of a batch, without the event that counts the others
NAME_CHARACTERS_MAX = 64
DETAIL_CHARACTERS_MAX = 128
LEFT_OUT = "left_out"
OK = "OK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An event; what a caller wrote is cut to what a record may hold."""

    kind: str
    outcome: str
    actor_id: int = 0
    actor: str = ""
    detail: str = ""
    source: str = ""

    def within_bounds(self) -> "Seen":
        """Return the event as a record may hold it."""
        return replace(
            self,
            actor=_text(self.actor, NAME_CHARACTERS_MAX),
            detail=_text(self.detail, DETAIL_CHARACTERS_MAX),
            source=_text(self.source, NAME_CHARACTERS_MAX),
        )


class AuditBuffer:
    """The events of the next batch."""

    def __init__(self) -> None:
        """Start with none."""
        self._counts: dict[Seen, int] = {}
        self._left_out = 0

    def note(self, seen: Seen) -> None:
        """Count an event."""
        event = seen.within_bounds()
        if event in self._counts or len(self._counts) < EVENTS_MAX:
            self._counts[event] = self._counts.get(event, 0) + 1
        else:
            self._left_out += 1

    def take(self, request_id: str) -> log_pb2.Administration | None:
        """Return the command that records the events, and forget them; None without any."""
        if not self._counts:
            return None
        taken = log_pb2.Administration(request_id=request_id)
        for seen, count in self._counts.items():
            taken.record_audit.events.add(
                kind=seen.kind,
                outcome=seen.outcome,
                actor_id=seen.actor_id,
                actor=seen.actor,
                detail=seen.detail,
                source=seen.source,
                event_count=count,
            )
        if self._left_out:
            taken.record_audit.events.add(kind=LEFT_OUT, outcome=OK, event_count=self._left_out)
        self._counts, self._left_out = {}, 0
        return taken


def _text(given: str, most: int) -> str:
    return "".join(one if one.isprintable() else "?" for one in given[:most])
