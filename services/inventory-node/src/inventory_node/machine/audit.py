"""The audit log: what was done or refused that concerns who may do what, chained by hashes.

- Ids have no gap, and each record's hash covers the record before it (`wire.audit`).
- The newest `RECORDS_MAX` records are kept. The `previous_hash` of the oldest one is the hash of
  the last one that is gone.
- Orders leave no record, and neither does a refusal: gateways report refusals by a command of their
  own, `RecordAudit`, which is not refused.
"""

from collections.abc import Callable
from typing import NamedTuple

from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2
from wire import audit

from inventory_node.machine.changes import Changes
from inventory_node.machine.records import AuditRow, UserRecord
from inventory_node.machine.stock import Context
from inventory_node.machine.users import role_name

RECORDS_MAX = 100_000
OK = "OK"


class Cause(NamedTuple):
    """Who had a command applied, from where, and under which request id."""

    actor_id: int
    actor: str
    source: str
    request_id: str


class AuditLog:
    """The end of the chain, and the records that are not flushed."""

    def __init__(self, next_id: int, last_hash: str) -> None:
        """Continue behind the record of this hash; it is empty before the first record."""
        self.next_id = next_id
        self.last_hash = last_hash
        self._unwritten: list[AuditRow] = []

    def administered(
        self,
        cause: Cause,
        request: log_pb2.Administration,
        subject: UserRecord | None,
        context: Context,
    ) -> None:
        """Record an administration that was not refused."""
        event = log_pb2.AuditEvent(
            kind=request.WhichOneof("operation") or "",
            outcome=OK,
            actor_id=cause.actor_id,
            actor=cause.actor,
            detail=_detail(request),
            source=cause.source,
            request_id=cause.request_id,
            event_count=1,
        )
        self._append(event, subject.id if subject is not None else 0, context)

    def reported(
        self, request: log_pb2.RecordAudit, name_of: Callable[[int], str], context: Context
    ) -> None:
        """Record what a gateway saw; a gateway knows some actors by their ids alone."""
        for event in request.events:
            event.actor = event.actor or name_of(event.actor_id)
            self._append(event, 0, context)

    def _append(self, event: log_pb2.AuditEvent, subject_id: int, context: Context) -> None:
        fields: dict[str, audit.Value] = {
            "id": self.next_id,
            "time_ms": context.stamp_ms,
            "revision": context.revision,
            "kind": event.kind,
            "outcome": event.outcome,
            "actor_id": event.actor_id,
            "actor": event.actor,
            "subject_id": subject_id,
            "detail": event.detail,
            "source": event.source,
            "request_id": event.request_id,
            "event_count": event.event_count,
        }
        own_hash = audit.hash_of(self.last_hash, fields)
        self._unwritten.append(AuditRow._make((*fields.values(), self.last_hash, own_hash)))
        self.next_id += 1
        self.last_hash = own_hash

    def take(self, changes: Changes) -> None:
        """Move the records that are not flushed into `changes`."""
        changes.audit, self._unwritten = self._unwritten, []
        changes.audit_first = max(1, self.next_id - RECORDS_MAX)


def message(row: AuditRow) -> auth_pb2.AuditRecord:
    """Return a record for the wire."""
    fields = row._asdict()
    shown = auth_pb2.AuditRecord()
    shown.time.FromMilliseconds(fields.pop("time_ms"))
    for name, value in fields.items():
        setattr(shown, name, value)
    return shown


def _detail(request: log_pb2.Administration) -> str:
    """Return what an administration makes of its subject, as far as a word says it."""
    match request.WhichOneof("operation"):
        case "create_user":
            return f"{role_name(request.create_user.user.role)} {request.create_user.user.name}"
        case "rename_user":
            return request.rename_user.name
        case "change_role":
            return role_name(request.change_role.role)
        case _:
            return ""
