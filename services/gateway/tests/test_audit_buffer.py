"""What a gateway reports is bounded, whatever callers do and write."""

from gateway.audit import EVENTS_MAX, LEFT_OUT, AuditBuffer, Seen
from inventory.raft.v1 import log_pb2
from wire.bounds import check_administration


def failed(name: str, source: str = "192.0.2.1") -> Seen:
    """Return a log-in that was refused."""
    return Seen(kind="login", outcome="INVALID_CREDENTIALS", actor=name, source=source)


def taken(buffer: AuditBuffer) -> list[log_pb2.AuditEvent]:
    """Return the events of a batch, which the log takes."""
    batch = buffer.take("a")
    assert batch is not None
    assert check_administration(batch) is None
    return list(batch.record_audit.events)


def test_like_events_are_counted() -> None:
    """By name and source; a batch that was taken is gone."""
    buffer = AuditBuffer()
    for name in ("ann", "bob", "ann"):
        buffer.note(failed(name))
    buffer.note(failed("ann", "192.0.2.2"))
    assert [(one.actor, one.source, one.event_count) for one in taken(buffer)] == [
        ("ann", "192.0.2.1", 2), ("bob", "192.0.2.1", 1), ("ann", "192.0.2.2", 1),
    ]  # fmt: skip
    assert buffer.take("b") is None


def test_a_flood_leaves_a_bounded_batch_and_a_count_of_the_rest() -> None:
    """Names by the thousand: those that are there already are still counted."""
    buffer = AuditBuffer()
    for number in range(5_000):
        buffer.note(failed(f"name {number}"))
    buffer.note(failed("name 0"))
    events = taken(buffer)
    assert len(events) == EVENTS_MAX + 1
    assert events[0].event_count == 2
    assert (events[-1].kind, events[-1].event_count) == (LEFT_OUT, 5_000 - EVENTS_MAX)
    buffer.note(failed("ann"))
    assert len(taken(buffer)) == 1


def test_what_callers_write_is_cut_and_cannot_be_a_control() -> None:
    """A name that no user can have is shown as far as a record may hold it."""
    buffer = AuditBuffer()
    buffer.note(failed("a\n\x1b[2J" + "x" * 300, "s" * 300))
    [event] = taken(buffer)
    assert event.actor == "a??[2J" + "x" * 58
    assert len(event.source) == 64
