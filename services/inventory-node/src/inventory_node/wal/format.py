"""Bytes of the log, version 1; `docs/disk-format.md` specifies the bytes.

A file is a row of 512-byte sectors. A sector has 510 bytes of content and a trailer of two bytes:
the sector's place in its block, and a constant. So no written sector is all zero, whatever the
content. Damage to any one byte cannot make a sector look unwritten. A block is the content of one
or more sectors, padded with zeros: a segment's header is a block, and each batch is a block.
"""

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from crc32c import crc32c
from raft.messages import Configuration, HardState, SnapshotMeta

from inventory_node.codec import decode_configuration, encode_configuration
from inventory_node.errors import CodecError, FormatError, LogForeign

VERSION = 1
MAGIC = b"INVTWAL\n"
SECTOR_BYTES = 512
CONTENT_BYTES = 510  # of a sector; the rest is the trailer
TRAILER_FIRST = b"\xb7\xe5"  # of a block's first sector
TRAILER_LATER = b"\x6d\xe5"  # of a block's later sectors
ZERO_SECTOR = bytes(SECTOR_BYTES)

_RECORD = struct.Struct("<IIBBHQQ")  # length, CRC32C, type, kind, zero, index, term
_RECORD_CHECKED = struct.Struct("<IBBHQQ")  # the part under the CRC, before the payload
_HEADER = struct.Struct("<8sHHII")  # magic, version, zero, length of the payload, CRC32C
_HEADER_CHECKED = struct.Struct("<8sHHI")
_HEADER_NUMBERS = struct.Struct("<8Q")
_BLOB = struct.Struct("<I")
_POSITION = struct.Struct("<QQ")  # index, term

RECORD_BYTES = _RECORD.size


class RecordType(enum.IntEnum):
    """The meaning of a record; the numbers are on disk."""

    BEGIN = 1  # index: the batch's number; term: its sectors
    ENTRY = 2  # kind, index, term and payload of a log entry
    HARD_STATE = 3  # index: the vote; term: the term
    RESET = 4  # the log ends at (index, term); payload: the configuration there
    INSTALL = 5  # a snapshot at (index, term) replaces the log; payload: its configuration
    COMMIT = 6  # index: the batch's number; term: its records, without BEGIN and COMMIT


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a batch."""

    type: RecordType
    kind: int
    index: int
    term: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """The owner of a log. Only the member id is unique to this data directory, not the name."""

    cluster_id: str
    member_id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentHeader:
    """The first block of a segment: enough to begin the log at this segment."""

    sequence: int  # of the segment, as in its name
    size: int  # bytes of the file
    first_batch: int  # the number of the segment's first batch
    identity: Identity
    base_index: int  # of the log's last entry when the segment was made
    base_term: int  # of that entry
    hard_state: HardState
    configuration: Configuration  # the newest in the log at that time
    installed: SnapshotMeta | None


def sectors_for(content_bytes: int) -> int:
    """Return how many sectors hold `content_bytes` bytes."""
    return -(-content_bytes // CONTENT_BYTES)


def to_sectors(content: bytes) -> bytes:
    """Lay content out as a block: padded, cut into sectors, each sector with its trailer."""
    count = sectors_for(len(content))
    end = count * CONTENT_BYTES
    padded = content.ljust(end, b"\0")
    later = [padded[at : at + CONTENT_BYTES] for at in range(CONTENT_BYTES, end, CONTENT_BYTES)]
    first = padded[:CONTENT_BYTES] + TRAILER_FIRST
    return first + TRAILER_LATER.join([*later, b""])


def from_sectors(sectors: bytes) -> bytes:
    """Return the padded content of a block whose trailers were checked."""
    return b"".join(
        [sectors[at : at + CONTENT_BYTES] for at in range(0, len(sectors), SECTOR_BYTES)]
    )


def trailers_hold(sectors: bytes) -> bool:
    """Tell whether every sector of a block has the trailer of its place."""
    count = len(sectors) // SECTOR_BYTES
    places = TRAILER_FIRST[:1] + TRAILER_LATER[:1] * (count - 1)
    constants = TRAILER_FIRST[1:] * count
    return sectors[510::SECTOR_BYTES] == places and sectors[511::SECTOR_BYTES] == constants


def _append_record(parts: list[bytes], record: LogRecord) -> None:
    payload = record.payload
    length, numbers = len(payload), (record.type, record.kind, 0, record.index, record.term)
    check = crc32c(payload, crc32c(_RECORD_CHECKED.pack(length, *numbers)))
    parts.append(_RECORD.pack(length, check, *numbers))
    parts.append(payload)


def batch_sectors(records: Sequence[LogRecord]) -> int:
    """Return how many sectors a batch of these records takes."""
    framing = RECORD_BYTES * (len(records) + 2)
    return sectors_for(framing + sum(len(record.payload) for record in records))


def encode_batch(number: int, records: Sequence[LogRecord]) -> bytes:
    """Return the sectors of a batch."""
    parts: list[bytes] = []
    _append_record(parts, LogRecord(RecordType.BEGIN, 0, number, batch_sectors(records), b""))
    for record in records:
        _append_record(parts, record)
    _append_record(parts, LogRecord(RecordType.COMMIT, 0, number, len(records), b""))
    return to_sectors(b"".join(parts))


def _read_record(content: bytes, at: int) -> LogRecord:
    if len(content) - at < RECORD_BYTES:
        raise FormatError("a record runs over the end of its batch")
    length, check, kind, entry_kind, zero, index, term = _RECORD.unpack_from(content, at)
    end = at + RECORD_BYTES + length
    if end > len(content):
        raise FormatError("a record runs over the end of its batch")
    payload = content[at + RECORD_BYTES : end]
    checked = crc32c(_RECORD_CHECKED.pack(length, kind, entry_kind, zero, index, term))
    if crc32c(payload, checked) != check or zero:
        raise FormatError("the checksum of a record does not match")
    try:
        return LogRecord(RecordType(kind), entry_kind, index, term, payload)
    except ValueError:
        raise FormatError(f"a record of the unknown type {kind}") from None


def read_begin(sector: bytes) -> tuple[int, int]:
    """Return the number and the sector count of the batch that begins in `sector`."""
    begin = _read_record(sector[:RECORD_BYTES], 0)
    if begin.type != RecordType.BEGIN or not begin.term:
        raise FormatError("no batch begins here")
    return begin.index, begin.term


def decode_batch(sectors: bytes) -> list[LogRecord]:
    """Return the records between BEGIN and COMMIT of a block whose trailers were checked."""
    content = from_sectors(sectors)
    number, _ = read_begin(sectors)
    at = RECORD_BYTES
    records: list[LogRecord] = []
    while (record := _read_record(content, at)).type != RecordType.COMMIT:
        records.append(record)
        at += RECORD_BYTES + len(record.payload)
    at += RECORD_BYTES
    if (record.index, record.term) != (number, len(records)):
        raise FormatError("the commit record is of another batch")
    if sectors_for(at) * CONTENT_BYTES != len(content) or content.count(0, at) != len(content) - at:
        raise FormatError("the padding of a batch is not zero")
    return records


def encode_header(header: SegmentHeader) -> bytes:
    """Return the sectors of a segment's header."""
    identity, installed = header.identity, header.installed
    blobs = [
        identity.cluster_id.encode(),
        identity.name.encode(),
        encode_configuration(header.configuration),
        b""
        if installed is None
        else _POSITION.pack(installed.index, installed.term)
        + encode_configuration(installed.configuration),
    ]
    payload = _HEADER_NUMBERS.pack(
        header.sequence,
        header.size,
        header.first_batch,
        identity.member_id,
        header.base_index,
        header.base_term,
        header.hard_state.term,
        header.hard_state.vote,
    ) + b"".join(_BLOB.pack(len(blob)) + blob for blob in blobs)
    check = crc32c(payload, crc32c(_HEADER_CHECKED.pack(MAGIC, VERSION, 0, len(payload))))
    return to_sectors(_HEADER.pack(MAGIC, VERSION, 0, len(payload), check) + payload)


def decode_header(name: str, data: bytes) -> tuple[SegmentHeader, int]:
    """Return the header of segment file `data`, and the header's length in bytes, whole sectors.

    Raises FormatError, and LogForeign for a version that this software does not read.
    """
    if len(data) < SECTOR_BYTES:
        raise FormatError("the file is shorter than a header")
    magic, version, zero, length, check = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise FormatError("the file does not begin like a segment of the log")
    if version != VERSION:
        raise LogForeign(name, f"it has format version {version}, this software reads {VERSION}")
    size = sectors_for(_HEADER.size + length) * SECTOR_BYTES
    sectors = data[:size]
    if len(sectors) < size or not trailers_hold(sectors):
        raise FormatError("the header is not whole")
    content = from_sectors(sectors)
    payload = content[_HEADER.size : _HEADER.size + length]
    checked = crc32c(_HEADER_CHECKED.pack(magic, version, zero, length))
    if crc32c(payload, checked) != check or zero:
        raise FormatError("the checksum of the header does not match")
    if any(content[_HEADER.size + length :]):
        raise FormatError("the padding of the header is not zero")
    try:
        return _decode_header_payload(payload), size
    except (struct.error, UnicodeDecodeError, CodecError) as error:
        raise FormatError(f"the header does not parse: {error}") from error


def _decode_header_payload(payload: bytes) -> SegmentHeader:
    sequence, size, first_batch, member, base_index, base_term, term, vote = (
        _HEADER_NUMBERS.unpack_from(payload)
    )
    at = _HEADER_NUMBERS.size
    blobs: list[bytes] = []
    for _ in range(4):
        (length,) = _BLOB.unpack_from(payload, at)
        at += _BLOB.size
        blobs.append(payload[at : at + length])
        at += length
    cluster_id, name, configuration, meta = blobs
    installed = None
    if meta:
        index, meta_term = _POSITION.unpack_from(meta)
        members = decode_configuration(meta[_POSITION.size :])
        installed = SnapshotMeta(index, meta_term, members)
    return SegmentHeader(
        sequence=sequence,
        size=size,
        first_batch=first_batch,
        identity=Identity(cluster_id.decode(), member, name.decode()),
        base_index=base_index,
        base_term=base_term,
        hard_state=HardState(term, vote),
        configuration=decode_configuration(configuration),
        installed=installed,
    )
