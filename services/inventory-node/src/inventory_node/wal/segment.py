"""One file of the log: created whole or not at all, and read back."""

import re
from dataclasses import dataclass

from inventory_node.errors import FormatError, LogDamaged
from inventory_node.ports import (
    CreateFile,
    DiskOperation,
    RenameFile,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from inventory_node.wal.format import (
    CONTENT_BYTES,
    SECTOR_BYTES,
    TRAILER_FIRST,
    TRAILER_LATER,
    ZERO_SECTOR,
    LogRecord,
    SegmentHeader,
    decode_batch,
    decode_header,
    encode_header,
    read_begin,
    trailers_hold,
)

_NAME = re.compile(r"log-(\d{20})\.wal")
_UNFINISHED = re.compile(r"log-(\d{20})\.wal\.new")
_CHUNK_BYTES = 1 << 16  # compared at once: most of a segment is zeros
_ZERO_CHUNK = bytes(_CHUNK_BYTES)


def segment_name(sequence: int) -> str:
    """Return the name of the segment's file; names sort as sequences do."""
    return f"log-{sequence:020}.wal"


def is_segment(name: str) -> bool:
    """Tell whether a file of the folder is a segment."""
    return _NAME.fullmatch(name) is not None


def is_unfinished(name: str) -> bool:
    """Tell whether a file is a segment that a crash left unfinished; such a file holds no batch."""
    return _UNFINISHED.fullmatch(name) is not None


@dataclass(slots=True)
class Segment:
    """One file of an open log, as the log remembers the file.

    - `used` and `size` are whole sectors; the next batch goes to `used`.
    - `last_index` is the index of the last entry in this file that was not replaced, 0 without one.
    """

    sequence: int
    size: int
    used: int
    last_index: int = 0

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return segment_name(self.sequence)


def plan_segment(header: SegmentHeader) -> tuple[tuple[DiskOperation, ...], Segment]:
    """Plan a new file and return the file's segment.

    The file gets its name only when its zeros and its header are synced. So a file with a segment's
    name and without a good header is damaged, never half made.
    """
    sectors = encode_header(header)
    name = segment_name(header.sequence)
    unfinished = f"{name}.new"
    operations: tuple[DiskOperation, ...] = (
        CreateFile(unfinished, header.size),
        WriteAt(unfinished, 0, sectors),
        SyncFile(unfinished),
        RenameFile(unfinished, name),
        SyncFolder(),
    )
    return operations, Segment(header.sequence, header.size, len(sectors))


@dataclass(frozen=True, slots=True)
class SegmentRead:
    """A segment as found on disk."""

    header: SegmentHeader
    batches: tuple[tuple[LogRecord, ...], ...]
    last: int  # bytes: where the last batch begins; without a batch, where the first goes
    used: int  # bytes: where the next batch goes


def read_segment(name: str, data: bytes, *, last: bool) -> SegmentRead:
    """Read a whole file. Only in the last segment may a batch be torn.

    Raises LogDamaged, and LogForeign for another version.
    """
    try:
        header, at = decode_header(name, data)
    except FormatError as error:
        raise LogDamaged(name, 0, str(error)) from error
    if segment_name(header.sequence) != name:
        raise LogDamaged(name, 0, f"it holds the segment {header.sequence}")
    if header.size != len(data):
        raise LogDamaged(name, len(data), f"the file should have {header.size} bytes")
    batches: list[tuple[LogRecord, ...]] = []
    last_at = at
    torn_end = len(data)  # a torn batch without its first sector may have had any length
    while at < len(data) and data[at : at + SECTOR_BYTES] != ZERO_SECTOR:
        number = header.first_batch + len(batches)
        sectors, whole = _batch_at(name, data, at, number)
        if not whole:
            torn_end = at + len(sectors)
            break
        try:
            batches.append(tuple(decode_batch(sectors)))
        except FormatError as error:
            raise LogDamaged(name, at, f"batch {number}: {error}") from error
        last_at, at = at, at + len(sectors)
    if _is_torn(name, data, at, torn_end) and not last:
        raise LogDamaged(name, at, "a batch is not whole, and a later segment follows")
    return SegmentRead(header, tuple(batches), last_at, at)


def _batch_at(name: str, data: bytes, at: int, number: int) -> tuple[bytes, bool]:
    """Return the sectors of the batch that begins at `at`, and whether no sector is all zero."""
    try:
        found, count = read_begin(data[at : at + SECTOR_BYTES])
    except FormatError as error:
        raise LogDamaged(name, at, f"batch {number}: {error}") from error
    if found != number:
        raise LogDamaged(name, at, f"batch {found} stands where {number} belongs")
    sectors = data[at : at + count * SECTOR_BYTES]
    if len(sectors) < count * SECTOR_BYTES:
        raise LogDamaged(name, at, f"batch {number} runs over the end of the file")
    if trailers_hold(sectors):
        return sectors, True
    for place in range(0, len(sectors), SECTOR_BYTES):
        sector = sectors[place : place + SECTOR_BYTES]
        trailer = TRAILER_LATER if place else TRAILER_FIRST
        if sector != ZERO_SECTOR and sector[CONTENT_BYTES:] != trailer:
            raise LogDamaged(name, at + place, f"batch {number}: the trailer of a sector is wrong")
    return sectors, False


def _is_torn(name: str, data: bytes, at: int, torn_end: int) -> bool:
    """Tell whether a torn batch left bytes from `at` on; any other byte is damage.

    Past the first sector, only later sectors of that one batch may follow. A batch is written only
    after the batch before was synced. So a sector that begins another batch means that this batch
    was whole once.
    """
    is_torn = False
    for chunk_at in range(at, len(data), _CHUNK_BYTES):
        chunk = data[chunk_at : chunk_at + _CHUNK_BYTES]
        if chunk == _ZERO_CHUNK[: len(chunk)]:
            continue
        for place in range(0, len(chunk), SECTOR_BYTES):
            sector = chunk[place : place + SECTOR_BYTES]
            if sector == ZERO_SECTOR:
                continue
            where = chunk_at + place
            if where >= torn_end or (where != at and sector[CONTENT_BYTES:] != TRAILER_LATER):
                raise LogDamaged(name, where, "what follows the end of the log is no torn batch")
            is_torn = True
    return is_torn
