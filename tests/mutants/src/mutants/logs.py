"""Logs with bugs: what is written, in which order, and what a start makes of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from inventory_node.ports import DiskOperation, LogDisk, RemoveFile, SyncFile, SyncFolder
from inventory_node.wal import Recovered, WriteAheadLog
from inventory_node.wal.format import SegmentHeader
from inventory_node.wal.segment import Segment, plan_segment, read_segment
from raft.messages import Entry, HardState, SnapshotMeta

from mutants.catching import Mutant, NodeSeed, UnitTests

LOG = "inventory_node.wal.log"
LOG_TESTS = "services/inventory-node/tests/test_wal_log.py"


def writes_no_vote(patch: pytest.MonkeyPatch) -> None:
    """Keep term and vote in memory alone."""
    rule = WriteAheadLog.append

    def append(
        self: WriteAheadLog,
        _: HardState | None,
        install: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> tuple[DiskOperation, ...]:
        return rule(self, None, install, entries)

    patch.setattr(WriteAheadLog, "append", append)


def syncs_no_batch(patch: pytest.MonkeyPatch) -> None:
    """Take what was written for what is on the platter."""
    rule = WriteAheadLog.append

    def append(
        self: WriteAheadLog,
        hard_state: HardState | None,
        install: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> tuple[DiskOperation, ...]:
        operations = rule(self, hard_state, install, entries)
        return operations[:-1]

    patch.setattr(WriteAheadLog, "append", append)


def syncs_no_folder_after_a_rename(patch: pytest.MonkeyPatch) -> None:
    """Write to a file whose name may not survive."""

    def created(header: SegmentHeader) -> tuple[tuple[DiskOperation, ...], Segment]:
        operations, segment = plan_segment(header)
        return tuple(one for one in operations if not isinstance(one, SyncFolder)), segment

    patch.setattr(f"{LOG}.plan_segment", created)


def names_a_file_before_its_header_is_synced(patch: pytest.MonkeyPatch) -> None:
    """Rename first, sync later, or never."""

    def created(header: SegmentHeader) -> tuple[tuple[DiskOperation, ...], Segment]:
        operations, segment = plan_segment(header)
        return tuple(one for one in operations if not isinstance(one, SyncFile)), segment

    patch.setattr(f"{LOG}.plan_segment", created)


def removes_newer_files_first(patch: pytest.MonkeyPatch) -> None:
    """Leave a gap: what is oldest stays until there is nothing newer to be removed."""
    rule = WriteAheadLog.cut

    def cut(self: WriteAheadLog, index: int, keeps: int = 1) -> tuple[DiskOperation, ...]:
        removals = [one for one in rule(self, index, keeps) if isinstance(one, RemoveFile)]
        kept = self.__dict__.setdefault("kept", []) + removals
        self.__dict__["kept"] = kept[:1]
        return tuple(one for removal in kept[1:] for one in (removal, SyncFolder()))

    patch.setattr(WriteAheadLog, "cut", cut)


def cuts_one_file_too_many(patch: pytest.MonkeyPatch) -> None:
    """Remove a file that holds entries above the index."""
    rule = WriteAheadLog.cut

    def cut(self: WriteAheadLog, index: int, keeps: int = 1) -> tuple[DiskOperation, ...]:
        operations = rule(self, index, keeps)
        if operations and len(self._segments) > 1:
            operations += (RemoveFile(self._segments.pop(0).name), SyncFolder())
        return operations

    patch.setattr(WriteAheadLog, "cut", cut)


def leaves_the_rest_of_a_torn_batch(patch: pytest.MonkeyPatch) -> None:
    """Append in front of sectors that an earlier batch left."""
    rule = WriteAheadLog.recover

    def recover(self: WriteAheadLog, disk: LogDisk) -> Recovered:
        recovered = rule(self, disk)
        kept = (RemoveFile, SyncFile, SyncFolder)
        return replace(
            recovered, repair=tuple(one for one in recovered.repair if isinstance(one, kept))
        )

    patch.setattr(WriteAheadLog, "recover", recover)


def takes_what_it_reads_for_synced(patch: pytest.MonkeyPatch) -> None:
    """Speak at a start of what may be in the page cache alone."""
    rule = WriteAheadLog.recover

    def recover(self: WriteAheadLog, disk: LogDisk) -> Recovered:
        return replace(rule(self, disk), repair=())

    patch.setattr(WriteAheadLog, "recover", recover)


def forgets_the_last_batch(patch: pytest.MonkeyPatch) -> None:
    """Take the last whole batch for a torn one."""

    def read_shorter(name: str, data: bytes, *, last: bool) -> object:
        read = read_segment(name, data, last=last)
        return replace(read, batches=read.batches[:-1]) if last else read

    patch.setattr(f"{LOG}.read_segment", read_shorter)


MUTANTS = (
    Mutant(writes_no_vote, NodeSeed(1)),
    Mutant(syncs_no_batch, NodeSeed(1)),
    Mutant(syncs_no_folder_after_a_rename, UnitTests(LOG_TESTS, "before_it_has_its_name")),
    Mutant(
        names_a_file_before_its_header_is_synced, UnitTests(LOG_TESTS, "before_it_has_its_name")
    ),
    Mutant(removes_newer_files_first, UnitTests(LOG_TESTS, "cut_removes_whole_old_segments")),
    Mutant(cuts_one_file_too_many, UnitTests(LOG_TESTS, "cut_removes_whole_old_segments")),
    Mutant(leaves_the_rest_of_a_torn_batch, UnitTests(LOG_TESTS, "recovery_is_the_model")),
    Mutant(takes_what_it_reads_for_synced, NodeSeed(1)),
    Mutant(forgets_the_last_batch, NodeSeed(1)),
)
