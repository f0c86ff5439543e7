"""Sends what the gateway saw to the audit log, a batch at a time, for ever."""

import asyncio

import structlog
from google.protobuf import json_format
from inventory.raft.v1 import raw_pb2
from uuid_utils import uuid7
from wire import errors
from wire.errors import Reason

from gateway.audit import AuditBuffer
from gateway.errors import RequestRefused
from gateway.runtime.driver import Driver, now_ms

BATCH_SECONDS = 2.0
ATTEMPT_MS = 5_000
PASSING = frozenset(
    {
        Reason.NO_QUORUM,
        Reason.DEADLINE,
        Reason.OVERLOADED,
        Reason.RATE_LIMITED,
        Reason.DISK_FULL,
        Reason.NOT_INITIALIZED,
    }
)

_log = structlog.get_logger()


async def send_audit(buffer: AuditBuffer, driver: Driver) -> None:
    """Send each batch until the log has it; a refusal for good is logged, and the batch dropped."""
    while True:
        await asyncio.sleep(BATCH_SECONDS)
        batch = buffer.take(str(uuid7()))
        if batch is None:
            continue
        for event in batch.record_audit.events:
            _log.info("audit", **json_format.MessageToDict(event, preserving_proto_field_name=True))
        raw = batch.SerializeToString(deterministic=True)
        command = raw_pb2.RawCommand(administration=raw).SerializeToString()
        await _settle(command, driver)


async def _settle(command: bytes, driver: Driver) -> None:
    while True:
        try:
            await driver.apply(command, now_ms() + ATTEMPT_MS, 0)
        except RequestRefused as refused:
            if errors.reason_of(refused.status) not in PASSING:
                _log.error("audit_refused", problem=refused.status.message)
                return
            await asyncio.sleep(BATCH_SECONDS)
        else:
            return
