"""Applies one entry after the other: authority first, then the request table, then the rules."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, log_pb2, raw_pb2
from inventory.v1 import inventory_pb2
from raft.messages import Entry, EntryKind
from wire import errors

from inventory_node.errors import StateInvariantViolation
from inventory_node.machine import (
    administration,
    orders,
    questions,
    request_table,
    sessions,
    stock,
    users,
)
from inventory_node.machine.audit import AuditLog, Cause
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Header, Records
from inventory_node.machine.request_table import RequestTable
from inventory_node.machine.sessions import SessionTable
from inventory_node.machine.state_cache import StateCache
from inventory_node.machine.stock import Context

RULES_VERSION = 2  # the newest rules that this build applies
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class MutationOutcome:
    """The outcome of a mutation, or the answer to a question: a serialized message."""

    outcome: bytes


@dataclass(frozen=True, slots=True)
class AdminOutcome:
    """A serialized AdministrationOutcome; `checkpoint`: hash the state at exactly this entry."""

    outcome: bytes
    checkpoint: bool = False


@dataclass(frozen=True, slots=True)
class RefusedCommand:
    """A serialized google.rpc.Status that is not remembered."""

    status: bytes


Applied = MutationOutcome | AdminOutcome | RefusedCommand

_RULES: dict[str, Callable[[StateCache, Any, Context], inventory_pb2.Outcome]] = {
    "add_item": stock.add_item,
    "update_item": stock.update_item,
    "delete_item": stock.delete_item,
    "adjust_stock": stock.adjust_stock,
    "set_stock": stock.set_stock,
    "order_item": orders.order_item,
    "place_order": orders.place_order,
}


class Machine:
    """The state after the applied entries.

    - Entries are applied without a gap; the log's time never goes back.
    - The same entries give the same state, the same outcomes and the same changes, whenever the
      state is flushed.
    - A level is never below zero.
    """

    def __init__(self, records: Records) -> None:
        """Start from the database's state."""
        self._records = records
        self.reload()

    def reload(self) -> None:
        """Drop the memory and start from the database: a snapshot replaced the database."""
        self._cache = StateCache(self._records)
        header = self._cache.header
        self._requests = RequestTable(self._records, header.next_period)
        self._sessions = SessionTable(self._records, header.next_session_id)
        self._audit = AuditLog(header.next_audit_id, header.audit_hash)
        self._applied_index = header.applied_index
        self._applied_term = header.applied_term
        self._taken_index = header.applied_index
        self._stamp_ms = header.stamp_ms
        self._cluster_id = header.cluster_id
        self._context = Context(header.currency, header.digits)

    @property
    def applied_index(self) -> int:
        """The index of the last entry applied."""
        return self._applied_index

    @property
    def applied_term(self) -> int:
        """The term of the last entry applied."""
        return self._applied_term

    @property
    def stamp_ms(self) -> int:
        """The log's time: the stamp of the last command entry."""
        return self._stamp_ms

    @property
    def cluster_id(self) -> str:
        """The cluster's id, empty before its first command."""
        return self._cluster_id

    @property
    def initialized(self) -> bool:
        """Whether the cluster's first command has been applied."""
        return bool(self._cluster_id)

    def apply(self, entry: Entry) -> list[Applied]:
        """Apply an entry; return one outcome for each of its commands, none for other kinds."""
        if entry.index != self._applied_index + 1 or entry.term < self._applied_term:
            raise StateInvariantViolation(
                f"entry {entry.index} of term {entry.term} cannot follow "
                f"{self._applied_index} of {self._applied_term}"
            )
        self._applied_index, self._applied_term = entry.index, entry.term
        if entry.kind is not EntryKind.COMMAND:
            return []
        batch = raw_pb2.RawBatch.FromString(entry.payload)
        if batch.rules_version > RULES_VERSION:
            raise StateInvariantViolation(
                f"entry {entry.index} asks for rules {batch.rules_version} and this build has "
                f"{RULES_VERSION}: install the version that the other members run"
            )
        if batch.stamp_ms < self._stamp_ms:
            raise StateInvariantViolation(f"entry {entry.index} turns time back")
        self._stamp_ms = self._context.stamp_ms = batch.stamp_ms
        self._context.revision = entry.index
        self._requests.forget(batch.stamp_ms)
        return [self._command(raw_pb2.RawCommand.FromString(one)) for one in batch.commands]

    def _command(self, command: raw_pb2.RawCommand) -> Applied:
        if not self._cluster_id and command.user_id != users.CLUSTER:
            return _refused(errors.not_initialized())  # before the state has any user or request
        if command.user_id != users.CLUSTER:
            ended = self._sessions.check(command.user_id, command.session_id, self._stamp_ms)
            if ended is not None:
                return _refused(ended)
        if command.HasField("mutation"):
            return self._mutation(command.user_id, command.epoch, command.mutation)
        if command.HasField("probe"):
            return self._probe(command.user_id, command.epoch)
        return self._administration(command)

    def _mutation(self, user_id: int, epoch: int, raw: bytes) -> Applied:
        mutation = inventory_pb2.Mutation.FromString(raw)
        kind = mutation.WhichOneof("operation")
        if kind is None:
            return _refused(errors.invalid_field("mutation", "holds no operation known here"))
        request = getattr(mutation, kind)
        refused = users.check_mutation(self._cache, user_id, epoch, kind)
        if refused is not None:
            return _refused(refused)
        request_id = request.request_id
        second = request_table.second_of(request_id)
        known = self._remembered(second, user_id, request_id, raw)
        if known is not None:
            return known
        self._context.user_id = user_id
        outcome = _RULES[kind](self._cache, request, self._context).SerializeToString()
        self._requests.remember(
            self._stamp_ms // 1_000,
            second,
            user_id,
            request_id,
            digest=_digest(raw),
            outcome=outcome,
            administration=False,
        )
        return MutationOutcome(outcome)

    def _probe(self, user_id: int, epoch: int) -> Applied:
        """Change nothing. A build without probes refuses a probe, and changes nothing either."""
        refused = users.check_probe(self._cache, user_id, epoch)
        if refused is not None:
            return _refused(refused)
        outcome = log_pb2.AdministrationOutcome(revision=self._applied_index)
        return AdminOutcome(outcome.SerializeToString())

    def _remembered(self, second: int, user_id: int, request_id: str, raw: bytes) -> Applied | None:
        """Answer from the request table; None for a request that is not remembered and may run."""
        found = self._requests.find(second, user_id, request_id)
        if found is not None:
            if found.digest != _digest(raw):
                return _refused(errors.request_id_reused(request_id))
            return (
                AdminOutcome(found.outcome)
                if found.administration
                else MutationOutcome(found.outcome)
            )
        now = self._stamp_ms // 1_000
        if second and second <= self._requests.floor_of(user_id, now):
            return _refused(errors.request_id_expired(request_id, second, now))
        if second > now + request_table.AHEAD_SECONDS_MAX:
            return _refused(errors.request_id_in_future(request_id, second, now))
        return None

    def _administration(self, command: raw_pb2.RawCommand) -> Applied:
        user_id = command.user_id
        request = log_pb2.Administration.FromString(command.administration)
        if request.WhichOneof("operation") == "initialize":
            return self._initialize(user_id, request.initialize)
        refused = sessions.check_administration(
            self._sessions, self._cache, command, request, self._stamp_ms
        )
        if refused is not None:
            return _refused(refused)
        # What speaks for a user who is not logged in yet is remembered among that user's requests.
        whose = request.start_session.user_id or request.refresh_session.user_id or user_id
        return self._once(whose, request, command)

    def _once(
        self, user_id: int, request: log_pb2.Administration, command: raw_pb2.RawCommand
    ) -> Applied:
        """Administrate, or return the outcome that the user's request had before."""
        raw = command.administration
        second = request_table.second_of(request.request_id)
        known = self._remembered(second, user_id, request.request_id, raw)
        if known is not None:
            return known
        self._context.user_id = user_id
        outcome = self._administer(request, command.source)
        if isinstance(outcome, status_pb2.Status):
            return _refused(outcome)
        kept = outcome.SerializeToString()
        self._requests.remember(
            self._stamp_ms // 1_000,
            second,
            user_id,
            request.request_id,
            digest=_digest(raw),
            outcome=kept,
            administration=True,
        )
        return AdminOutcome(kept, checkpoint=request.HasField("checkpoint"))

    def _administer(
        self, request: log_pb2.Administration, source: str
    ) -> log_pb2.AdministrationOutcome | status_pb2.Status:
        kind = request.WhichOneof("operation")
        if kind == "record_audit":
            self._audit.reported(request.record_audit, self._name_of, self._context)
            return log_pb2.AdministrationOutcome(revision=self._applied_index)
        if kind == "checkpoint":
            self._audit.administered(self._cause(request, source), request, None, self._context)
            return log_pb2.AdministrationOutcome(
                checkpoint_index=self._applied_index, revision=self._applied_index
            )
        if kind in sessions.ADMINISTRATIONS:
            return sessions.administer(self._sessions, self._cache, request, self._context)
        rule = administration.RULES.get(kind or "")
        if rule is None:
            return errors.invalid_field("administration", "holds no operation known here")
        user = rule(self._cache, getattr(request, kind or ""), self._context)
        if isinstance(user, status_pb2.Status):
            return user
        if kind != "upgrade_hash":  # part of a log-in
            self._audit.administered(self._cause(request, source), request, user, self._context)
        return log_pb2.AdministrationOutcome(user=users.message(user), revision=self._applied_index)

    def _cause(self, request: log_pb2.Administration, source: str) -> Cause:
        actor_id = self._context.user_id
        return Cause(actor_id, self._name_of(actor_id), source, request.request_id)

    def _name_of(self, user_id: int) -> str:
        user = self._cache.user(user_id)
        return user.name if user is not None else ""

    def _initialize(self, user_id: int, request: log_pb2.Initialize) -> Applied:
        if user_id != users.CLUSTER:
            return _refused(errors.role_not_allowed("user", "the cluster itself"))
        first = not self._cluster_id
        if first:
            self._cluster_id = request.cluster_id
            self._context.use_currency(request.currency.code, request.currency.minor_digits)
            self._context.user_id = users.CLUSTER
            administration.initialize(self._cache, request, self._context)
        outcome = log_pb2.AdministrationOutcome(initialized=first, revision=self._applied_index)
        return AdminOutcome(outcome.SerializeToString())

    def take_changes(self) -> Changes | None:
        """Return all changes since the last take, None when no entry was applied since."""
        if self._applied_index == self._taken_index:
            return None
        cache = self._cache
        changes = Changes(
            header=Header(
                applied_index=self._applied_index,
                applied_term=self._applied_term,
                stamp_ms=self._stamp_ms,
                cluster_id=self._cluster_id,
                currency=self._context.currency,
                digits=self._context.digits,
                next_item_id=cache.next_item_id,
                next_user_id=cache.next_user_id,
                next_ledger_id=cache.next_ledger_id,
                admins=cache.admins,
                next_period=self._requests.next_period,
                orders=cache.orders,
                next_session_id=self._sessions.next_id,
                next_audit_id=self._audit.next_id,
                audit_hash=self._audit.last_hash,
            )
        )
        self._audit.take(changes)
        cache.take(changes)
        self._sessions.take(changes)
        self._requests.take(changes)
        self._taken_index = self._applied_index
        return changes

    def flushed(self) -> None:
        """Note that the oldest taken changes are durable."""
        self._cache.flushed()
        self._sessions.flushed()
        self._requests.flushed()

    def answer(self, question: forward_pb2.Question) -> MutationOutcome | RefusedCommand | None:
        """Answer a question by id from memory; None for a question that needs the database."""
        if not self._cluster_id:
            return _refused(errors.not_initialized())
        state = questions.State(
            self._cache, self._sessions, self._context, self._stamp_ms, self._applied_index
        )
        found = questions.answer(state, question)
        if isinstance(found, status_pb2.Status):
            return _refused(found)
        return MutationOutcome(found.SerializeToString()) if found is not None else None


def _digest(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=DIGEST_BYTES).digest()


def _refused(status: status_pb2.Status) -> RefusedCommand:
    return RefusedCommand(status.SerializeToString())
