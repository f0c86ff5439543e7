"""Bytes of files: segments of the log, databases, certificates, the first state, settings."""

import base64
import contextlib
import os
import struct
import tempfile
from functools import cache
from pathlib import Path
from unittest import mock

from inventory_node.codec import encode_configuration
from inventory_node.config import NodeConfig
from inventory_node.core.membership.bootstrap import initialize_of
from inventory_node.errors import BootstrapRefused, LogDamaged, LogForeign
from inventory_node.runtime.snapshot import FILE
from inventory_node.runtime.sqlite import verify
from inventory_node.wal import Identity, Recovered, recover
from inventory_node.wal.format import LogRecord, RecordType, encode_batch
from inventory_node.wal.segment import segment_name
from pki.authority import Authority, certificates_in, dns_names_of, hosts_of
from pki.errors import PkiError
from pki.identities import identity_of
from pydantic import ValidationError
from raft.messages import Configuration, Entry, EntryKind, HardState
from service.settings import refusals
from sim.disk import SimDisk
from sim.machines import open_database, started

from fuzz.target import FuzzTarget

SEGMENT_BYTES = 6_144
IDENTITY = Identity("cluster", 7, "node-0")
VOTERS = Configuration(frozenset({7, 8, 9}))
RECORD = struct.Struct("<BBBQQB")  # whether it begins a batch; its type, kind, index, term, length
PATCH = struct.Struct("<IB")  # where in a file, and how many bytes


def _on_a_disk(data: bytes) -> SimDisk:
    disk = SimDisk(lambda _: None)
    disk.damage(segment_name(1), data)
    return disk


def _content(found: Recovered) -> tuple[object, ...]:
    position = (found.base_index, found.base_term, found.configuration, found.entries)
    return (found.identity, found.hard_state, *position, found.installed)


def _judge_segment(data: bytes) -> None:
    """Read a folder with one segment: refused, or repaired so that it reads the same again."""
    disk = _on_a_disk(data)
    try:
        found = recover(disk, segment_bytes=SEGMENT_BYTES)
    except (LogDamaged, LogForeign):
        return
    disk.submit(found.repair, 1)
    disk.drain()
    if _content(recover(disk, segment_bytes=SEGMENT_BYTES)) != _content(found):
        raise AssertionError("a log that was repaired reads otherwise")


@cache
def _log() -> bytes:
    """Return the segment of a small log."""
    disk = SimDisk(lambda _: None)
    log = recover(disk, segment_bytes=SEGMENT_BYTES).log
    disk.submit(log.bootstrap(IDENTITY, VOTERS), 1)
    for hard_state, entry in (
        (HardState(1, 8), Entry(1, 1, EntryKind.COMMAND, b"one")),
        (None, Entry(2, 1, EntryKind.COMMAND, bytes(700))),
    ):
        disk.submit(log.append(hard_state, None, [entry]), 1)
    disk.drain()
    return disk.read(segment_name(1))


@cache
def _header_bytes() -> int:
    """Return where the first batch of the small log begins: its header, and one empty batch."""
    disk = SimDisk(lambda _: None)
    log = recover(disk, segment_bytes=SEGMENT_BYTES).log
    disk.submit(log.bootstrap(IDENTITY, VOTERS), 1)
    disk.drain()
    return len(disk.read(segment_name(1)).rstrip(b"\0")) // 512 * 512 + 512


def _judge_records(data: bytes) -> None:
    """Read batches of whatever records, in sectors and with checksums that are right."""
    batches: list[list[LogRecord]] = [[]]
    at = 0
    while at + RECORD.size <= len(data):
        begins, kind, entry_kind, index, term, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        if begins % 2:
            batches.append([])
        record_type = RecordType(kind % len(RecordType) + 1)
        payload = data[at : at + length]
        batches[-1].append(LogRecord(record_type, entry_kind, index, term, payload))
        at += length
    first = 1 if _header_bytes() > 512 else 0
    blocks = [encode_batch(number, one) for number, one in enumerate(batches, first + 1) if one]
    content = _log()[: _header_bytes()] + b"".join(blocks)
    _judge_segment(content.ljust(max(SEGMENT_BYTES, len(content)), b"\0"))


def _seed_records() -> list[bytes]:
    def record(begins: int, kind: RecordType, index: int, payload: bytes) -> bytes:
        head = RECORD.pack(begins, kind - 1, EntryKind.COMMAND, index, 1, len(payload))
        return head + payload

    members = encode_configuration(VOTERS)
    return [
        record(0, RecordType.ENTRY, 1, b"one") + record(1, RecordType.ENTRY, 2, b"two"),
        record(0, RecordType.ENTRY, 1, b"one") + record(0, RecordType.RESET, 0, members),
        record(0, RecordType.HARD_STATE, 8, b"") + record(1, RecordType.INSTALL, 9, members),
    ]


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def _folder() -> Path:
    """Return a folder for files that a decoder reads by their path."""
    return Path(_temporary().name)


@cache
def _database() -> bytes:
    """Return a small state's file."""
    path = _folder() / "seed" / FILE
    path.parent.mkdir()
    database = open_database(path)
    started(database).flush(database)
    database.close()
    return path.read_bytes()


def _judge_database(data: bytes) -> None:
    """Verify a state's file in which some bytes are others."""
    content = bytearray(_database())
    at = 0
    while at + PATCH.size <= len(data):
        place, length = PATCH.unpack_from(data, at)
        at += PATCH.size
        place %= len(content)
        patch = data[at : at + length]
        content[place : place + len(patch)] = patch
        at += length
    path = _folder() / FILE
    path.write_bytes(content)
    verify(path, 1)


@cache
def _authority_key() -> bytes:
    return Authority.make("another").as_issued.key


def _read_names(pem: bytes) -> None:
    for certificate in certificates_in(pem):
        hosts_of(certificate, identity_of(dns_names_of(certificate)))


def _read_keys(pem: bytes) -> None:
    """Read the key of an authority, and the keys of certificates as they are compared with one."""
    if b"PRIVATE KEY" in pem:
        Authority.read([], pem)
    else:
        Authority.read(certificates_in(pem), _authority_key())


def _judge_certificate(data: bytes) -> None:
    """Read certificates in PEM, or one in DER, and the key of an authority."""
    pem = data[1:]
    if data[:1] == b"\1":
        text = base64.encodebytes(data[1:])
        pem = b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"
    for judge in (_read_names, _read_keys):
        with contextlib.suppress(PkiError):
            judge(pem)


def _judge_name(data: bytes) -> None:
    try:
        identity = identity_of(data.decode("latin-1").split("\n"))
    except PkiError:
        return
    if identity_of([identity.dns_name]) != identity:
        raise AssertionError(f"{identity} is not what its name says")


def _judge_first_state(data: bytes) -> None:
    path = _folder() / "bootstrap.json"
    path.write_bytes(data)
    try:
        initialize_of(path, "cluster")
    except BootstrapRefused:
        return


SETTINGS = {
    "INVENTORY_NODE_NAME": "node-0",
    "INVENTORY_NODE_LISTEN": "127.0.0.1:7400",
    "INVENTORY_NODE_MEMBERS": "node-0=127.0.0.1:7400,node-1=127.0.0.1:7401",
    "INVENTORY_DATA_DIR": "/data",
    "INVENTORY_TLS_CERTIFICATE_FILE": "/pki/node-0.pem",
    "INVENTORY_TLS_KEY_FILE": "/pki/node-0.key",
    "INVENTORY_TLS_TRUSTED_FILE": "/pki/ca.pem",
}
MORE_SETTINGS = ("INVENTORY_FAILPOINTS", "INVENTORY_RAFT_SEGMENT_BYTES", "INVENTORY_LOG_LEVEL")


def _judge_settings(data: bytes) -> None:
    """Read settings, a line of bytes for each."""
    lines = [os.fsdecode(line) for line in data.replace(b"\0", b"").split(b"\n")]
    given = dict(zip((*SETTINGS, *MORE_SETTINGS), lines, strict=False))
    with mock.patch.dict(os.environ, given, clear=True):
        try:
            NodeConfig()  # type: ignore[call-arg]  # from the environment
        except ValidationError as error:
            refusals("node", error)


_FIRST_STATE = b"""{"currency": {"code": "USD", "minor_digits": 2}, "users": [{"name": "a",
"role": "admin", "password_hash": "$argon2id$"}], "items": [{"name": "b", "description": "",
"price": "12.50", "quantity": 3}]}"""

TARGETS = (
    FuzzTarget(name="segments", judge=_judge_segment, seeds=lambda: [_log()], bytes_max=8_192),
    FuzzTarget(name="records", judge=_judge_records, seeds=_seed_records, lines_per_byte=1_000),
    FuzzTarget(
        name="databases",
        judge=_judge_database,
        seeds=lambda: [PATCH.pack(100, 4) + b"\0\1\2\3", PATCH.pack(4_096, 2) + b"\r\0"],
        bytes_max=512,
    ),
    FuzzTarget(name="certificates", judge=_judge_certificate),
    FuzzTarget(
        name="certificate_names",
        judge=_judge_name,
        seeds=lambda: [
            b"node-0.member.inventory.internal\nlocalhost",
            b"gateway.inventory.internal",
        ],
        bytes_max=1_024,
    ),
    FuzzTarget(name="first_states", judge=_judge_first_state, seeds=lambda: [_FIRST_STATE]),
    FuzzTarget(
        name="settings",
        judge=_judge_settings,
        seeds=lambda: [
            "\n".join((*SETTINGS.values(), "before-append=2*off->kill", "65536")).encode()
        ],
        bytes_max=1_024,
        mutations=200,
    ),
)
