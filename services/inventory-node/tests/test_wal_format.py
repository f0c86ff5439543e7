"""The bytes of the log are those of docs/disk-format.md."""

import re
import struct
from pathlib import Path

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from inventory_node.errors import FormatError
from inventory_node.wal import Identity, recover
from inventory_node.wal.format import (
    CONTENT_BYTES,
    MAGIC,
    RECORD_BYTES,
    SECTOR_BYTES,
    VERSION,
    LogRecord,
    RecordType,
    batch_sectors,
    decode_batch,
    decode_header,
    encode_batch,
    from_sectors,
    read_begin,
    to_sectors,
    trailers_hold,
)
from raft.messages import Configuration, Entry, EntryKind, HardState
from sim.disk import SimDisk

DOCUMENT = Path(__file__).parents[3] / "docs" / "disk-format.md"


def documented_example() -> bytes:
    """Return the segment whose rows the document prints."""
    rows = re.findall(
        r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?){16})$", DOCUMENT.read_text(), re.MULTILINE
    )
    data = bytearray(2048)
    for at, row in rows:
        data[int(at, 16) : int(at, 16) + 16] = bytes.fromhex(row)
    return bytes(data)


def test_the_documented_example_is_what_is_written() -> None:
    """A change of the bytes is a change of the document, and of the version."""
    disk = SimDisk(lambda _: None)
    log = recover(disk, segment_bytes=2048).log
    voters = Configuration(frozenset({7, 8, 9}))
    disk.submit(log.bootstrap(Identity("c1", 7, "node-0"), voters), 1)
    entries = [Entry(1, 1, EntryKind.NOOP, b""), Entry(2, 1, EntryKind.COMMAND, b"order")]
    disk.submit(log.append(HardState(1, 8), None, entries), 2)
    disk.drain()
    assert disk.read("log-00000000000000000001.wal") == documented_example()


def test_the_document_says_what_is_read() -> None:
    """The example opens as the document explains it."""
    disk = SimDisk(lambda _: None)
    disk.damage("log-00000000000000000001.wal", documented_example())
    recovered = recover(disk, segment_bytes=2048)
    assert recovered.identity == Identity("c1", 7, "node-0")
    assert recovered.hard_state == HardState(1, 8)
    assert recovered.entries[1] == Entry(2, 1, EntryKind.COMMAND, b"order")


@given(st.binary(min_size=1, max_size=2000))
def test_a_block_carries_any_content_and_never_an_empty_sector(content: bytes) -> None:
    """What went in comes out, padded with zeros."""
    sectors = to_sectors(content)
    assert len(sectors) % 512 == 0
    assert trailers_hold(sectors)
    assert all(any(sectors[at : at + 512]) for at in range(0, len(sectors), 512))
    assert from_sectors(sectors).rstrip(b"\0") == content.rstrip(b"\0")


@given(st.lists(st.binary(max_size=700), max_size=5), st.integers(1, 2**63))
def test_a_batch_carries_any_records(payloads: list[bytes], number: int) -> None:
    """Records come back in order."""
    records = [LogRecord(RecordType.ENTRY, 1, i, number, p) for i, p in enumerate(payloads)]
    sectors = encode_batch(number, records)
    assert len(sectors) == batch_sectors(records) * 512
    assert decode_batch(sectors) == records


def test_a_batch_ends_with_its_commit() -> None:
    """Also where the record before it ends with a sector."""
    framing = batch_sectors([]) * CONTENT_BYTES - 2 * RECORD_BYTES
    payload = bytes(framing)  # BEGIN and the entry fill the first sector
    sectors = encode_batch(1, [LogRecord(RecordType.ENTRY, 1, 1, 1, payload)])
    assert len(sectors) == 2 * SECTOR_BYTES
    with pytest.raises(FormatError, match="runs over the end"):
        decode_batch(sectors[:SECTOR_BYTES])


def test_a_record_of_a_later_version_is_named() -> None:
    """Its checksum holds, and nobody knows what it means."""
    record = LogRecord(RecordType.ENTRY, 1, 1, 1, b"")
    object.__setattr__(record, "type", 9)
    with pytest.raises(FormatError, match="unknown type 9"):
        decode_batch(encode_batch(1, [record]))


def test_a_batch_ends_with_its_own_commit() -> None:
    """That of another batch says nothing of this one."""
    one, other = (from_sectors(encode_batch(number, [])) for number in (1, 2))
    mixed = one[:RECORD_BYTES] + other[RECORD_BYTES:]
    with pytest.raises(FormatError, match="of another batch"):
        decode_batch(to_sectors(mixed))


@pytest.mark.parametrize("payload", [b"", bytes(64), bytes(64) + b"\2\0\0\0\xff\xff" + bytes(12)])
def test_a_header_that_does_not_parse_is_damage(payload: bytes) -> None:
    """Too short for its numbers, without its texts, or with a text that is none."""
    check = crc32c(payload, crc32c(struct.pack("<8sHHI", MAGIC, VERSION, 0, len(payload))))
    header = struct.pack("<8sHHII", MAGIC, VERSION, 0, len(payload), check)
    with pytest.raises(FormatError, match="does not parse"):
        decode_header("x", to_sectors(header + payload))


def test_a_batch_begins_with_its_own_record() -> None:
    """Another record, whole as it may be, says nothing of where a batch ends."""
    content = from_sectors(encode_batch(1, [LogRecord(RecordType.ENTRY, 1, 1, 1, b"")]))
    with pytest.raises(FormatError, match="no batch begins here"):
        read_begin(to_sectors(content[RECORD_BYTES:]))


def test_a_file_that_is_no_segment_is_named_as_such() -> None:
    """Somebody else's file under our name."""
    with pytest.raises(FormatError, match="does not begin like"):
        decode_header("x", b"SQLite format 3\0" + bytes(4096))
