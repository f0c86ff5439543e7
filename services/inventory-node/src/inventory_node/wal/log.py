"""The whole log: recovery, and plans of disk operations that append to the log and cut the log.

Only `recover` touches a disk: it reads. A plan changes the log in memory at once. So the caller
runs plans in order, one at a time, and gives the log up when a plan fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raft.messages import Configuration, Entry, EntryKind, HardState, SnapshotMeta

from inventory_node.codec import decode_configuration, encode_configuration
from inventory_node.errors import CodecError, LogDamaged, LogForeign
from inventory_node.ports import (
    DiskOperation,
    LogDisk,
    RemoveFile,
    SyncFile,
    SyncFolder,
    WriteAt,
)
from inventory_node.wal.format import (
    SECTOR_BYTES,
    Identity,
    LogRecord,
    RecordType,
    SegmentHeader,
    batch_sectors,
    encode_batch,
    encode_header,
)
from inventory_node.wal.outline import Outline
from inventory_node.wal.segment import (
    Segment,
    SegmentRead,
    is_segment,
    is_unfinished,
    plan_segment,
    read_segment,
    segment_name,
)

NOBODY = Configuration(frozenset())


class WriteAheadLog:
    """The open end of the log.

    - A batch is planned whole: its records, its commit, its sync.
    - A batch is in one segment. If the batch does not fit, the next segment is made first, large
      enough for the batch.
    - Every segment's header sums up all segments before the segment.
    """

    def __init__(self, segment_bytes: int) -> None:
        """Begin empty; `recover` and `bootstrap` fill the log. Segments have that size or more."""
        if segment_bytes < SECTOR_BYTES or segment_bytes % SECTOR_BYTES:
            raise ValueError(f"{segment_bytes} bytes are no segment of whole sectors")
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._identity = Identity("", 0, "")
        self._outline = Outline((0, 0), NOBODY, HardState(0, 0), None)
        self._next_batch = 1

    def bootstrap(
        self, identity: Identity, configuration: Configuration
    ) -> tuple[DiskOperation, ...]:
        """Make the first segment. The member exists once this plan is done."""
        if self._segments:
            raise ValueError("this log has been bootstrapped")
        self._identity = identity
        self._outline = Outline((0, 0), configuration, HardState(0, 0), None)
        return self._add_segment(0)

    def append(
        self,
        hard_state: HardState | None,
        install: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> tuple[DiskOperation, ...]:
        """Write one batch, in this order; an entry at index i replaces every entry from i on.

        Returns () when there is nothing to write. The last operation is the batch's sync; the next
        plan may run only after the sync. ValueError: entries that leave a gap, or begin below the
        base.
        """
        if not self._segments:
            raise ValueError("this log has not been bootstrapped")
        records: list[LogRecord] = []
        if hard_state is not None:
            records.append(
                LogRecord(RecordType.HARD_STATE, 0, hard_state.vote, hard_state.term, b"")
            )
        if install is not None:
            payload = encode_configuration(install.configuration)
            records.append(LogRecord(RecordType.INSTALL, 0, install.index, install.term, payload))
        last_index = self._outline.last_index if install is None else install.index
        if entries and entries[0].index <= last_index:
            records.append(self._reset_record(entries[0].index - 1))
        records += [
            LogRecord(RecordType.ENTRY, e.kind, e.index, e.term, e.payload) for e in entries
        ]
        if not records:
            return ()
        size = batch_sectors(records) * SECTOR_BYTES
        operations: tuple[DiskOperation, ...] = ()
        if self._segments[-1].used + size > self._segments[-1].size:
            operations = self._add_segment(size)
        segment = self._segments[-1]
        data = encode_batch(self._next_batch, records)
        operations = (
            *operations,
            WriteAt(segment.name, segment.used, data),
            SyncFile(segment.name),
        )
        segment.used += size
        self._next_batch += 1
        for record in records:
            self._outline_record(record)
        return operations

    def cut(self, index: int, keeps: int = 1) -> tuple[DiskOperation, ...]:
        """Remove the oldest segments whose every entry is below `index`; () when there are none.

        Every entry below `index` must be committed, and durable elsewhere. The folder is synced
        after each removal, so that a crash leaves no gap. The last `keeps` segments stay. At least
        one segment must stay on the disk, so `keeps` is 2 while the last segment is only planned.
        """
        operations: list[DiskOperation] = []
        while len(self._segments) > keeps and self._segments[0].last_index < index:
            operations += [RemoveFile(self._segments.pop(0).name), SyncFolder()]
        if operations:
            self._outline.compact(index - 1)
        return tuple(operations)

    def _reset_record(self, index: int) -> LogRecord:
        outline = self._outline
        payload = encode_configuration(outline.configuration_at(index))
        return LogRecord(RecordType.RESET, 0, index, outline.term_at(index), payload)

    def _add_segment(self, batch_bytes: int) -> tuple[DiskOperation, ...]:
        outline = self._outline

        def header(size: int) -> SegmentHeader:
            return SegmentHeader(
                sequence=self._segments[-1].sequence + 1 if self._segments else 1,
                size=size,
                first_batch=self._next_batch,
                identity=self._identity,
                base_index=outline.last_index,
                base_term=outline.last_term,
                hard_state=outline.hard_state,
                configuration=outline.configuration,
                installed=outline.installed,
            )

        needed = len(encode_header(header(0))) + batch_bytes
        operations, segment = plan_segment(header(max(self._segment_bytes, needed)))
        self._segments.append(segment)
        return operations

    def _outline_record(self, record: LogRecord) -> Entry | None:
        """Put a record into the outline; return its entry. ValueError: it cannot follow."""
        outline = self._outline
        position = (record.index, record.term)
        match record.type:
            case RecordType.ENTRY:
                kind = EntryKind(record.kind)
                entry = Entry(record.index, record.term, kind, record.payload)
                configuration = None
                if kind == EntryKind.CONFIGURATION:
                    configuration = decode_configuration(record.payload)
                outline.append(entry, configuration)
                self._segments[-1].last_index = record.index
                return entry
            case RecordType.HARD_STATE:
                outline.hard_state = HardState(record.term, record.index)
            case RecordType.RESET:
                outline.reset(position, decode_configuration(record.payload))
                self._lower(record.index)
            case RecordType.INSTALL:
                outline.install(SnapshotMeta(*position, decode_configuration(record.payload)))
                self._lower(0)
            case _:
                raise ValueError("a record that frames batches stands within one")
        return None

    def _lower(self, index: int) -> None:
        """Lower the last indexes of all segments: the entries after `index` were replaced."""
        for segment in self._segments:
            segment.last_index = min(segment.last_index, index)

    def _set_start(self, header: SegmentHeader) -> None:
        """Take the state before the first segment from the segment's header."""
        self._identity = header.identity
        self._next_batch = header.first_batch
        position = (header.base_index, header.base_term)
        self._outline = Outline(position, header.configuration, header.hard_state, header.installed)

    def _replay(self, name: str, read: SegmentRead, entries: list[Entry]) -> None:
        """Take the next segment. LogDamaged, LogForeign: it does not follow the segments before."""
        header = read.header
        if not self._segments:
            self._set_start(header)
        if header.identity != self._identity:
            raise LogForeign(
                name, f"it is of {header.identity}, the one before of {self._identity}"
            )
        outline = self._outline
        expected = SegmentHeader(
            sequence=header.sequence,
            size=header.size,
            first_batch=self._next_batch,
            identity=self._identity,
            base_index=outline.last_index,
            base_term=outline.last_term,
            hard_state=outline.hard_state,
            configuration=outline.configuration,
            installed=outline.installed,
        )
        if header != expected:
            raise LogDamaged(name, 0, "the segment does not begin where the one before it ends")
        self._segments.append(Segment(header.sequence, header.size, read.used))
        for batch in read.batches:
            for record in batch:
                try:
                    entry = self._outline_record(record)
                except (ValueError, CodecError) as error:
                    problem = f"batch {self._next_batch}: {error}"
                    raise LogDamaged(name, read.used, problem) from error
                if record.type in (RecordType.RESET, RecordType.INSTALL):
                    _drop_after(entries, 0 if record.type == RecordType.INSTALL else record.index)
                if entry is not None:
                    entries.append(entry)
            self._next_batch += 1

    def recover(self, disk: LogDisk) -> "Recovered":
        """Fill an empty log from the disk; see the function of this name.

        The last batch and the zeros after the batch are written again. A sync that failed leaves
        pages in memory that count as clean, and another sync alone would not bring the pages to the
        disk (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
        """
        names = disk.names()
        repair: list[DiskOperation] = [RemoveFile(name) for name in names if is_unfinished(name)]
        segments = sorted(name for name in names if is_segment(name))
        entries: list[Entry] = []
        for name in segments:
            if self._segments and segment_name(self._segments[-1].sequence + 1) != name:
                raise LogDamaged(name, 0, f"the segment before it is {self._segments[-1].name}")
            data = disk.read(name)
            read = read_segment(name, data, last=name == segments[-1])
            self._replay(name, read, entries)
            if name == segments[-1]:
                end = data[read.last : read.used] + bytes(len(data) - read.used)
                repair += [WriteAt(name, read.last, end), SyncFile(name)]
        if repair:
            repair.append(SyncFolder())
        outline = self._outline
        return Recovered(
            log=self,
            identity=self._identity if segments else None,
            hard_state=outline.hard_state,
            base_index=outline.base_index,
            base_term=outline.term_at(outline.base_index),
            configuration=outline.configuration_at(outline.base_index),
            entries=tuple(entries),
            installed=outline.installed,
            repair=tuple(repair),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The content of a log at the start."""

    log: WriteAheadLog
    identity: Identity | None  # None: no log was ever bootstrapped here
    hard_state: HardState
    base_index: int  # just below the entries; the state must have been applied up to this index
    base_term: int
    configuration: Configuration  # at the base; `entries` may hold newer ones; empty if no identity
    entries: tuple[Entry, ...]
    installed: SnapshotMeta | None  # the newest snapshot that the log recorded
    repair: tuple[DiskOperation, ...]  # to be run before anything else

    @property
    def installed_index(self) -> int:
        """The index of the snapshot that the state began with; 0 without a snapshot."""
        return self.installed.index if self.installed is not None else 0


def recover(disk: LogDisk, *, segment_bytes: int) -> Recovered:
    """Read the log of a folder; changes nothing, `repair` holds the changes that are needed.

    `segment_bytes` is the size of later segments, whole sectors. Raises LogDamaged, LogForeign.
    """
    return WriteAheadLog(segment_bytes).recover(disk)


def _drop_after(entries: list[Entry], index: int) -> None:
    """Drop the entries after `index`."""
    if entries:
        del entries[max(0, index + 1 - entries[0].index) :]
