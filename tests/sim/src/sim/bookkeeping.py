"""Compares the numbers that a node keeps with fresh counts of what the numbers stand for.

`contradictions` holds after each event of a node, of which the simulator looks at every seventh;
`remainders` holds once nothing is in flight.
"""

from collections.abc import Iterator

from inventory_node.core.node import Node
from inventory_node.core.read_index import ReadQueue
from inventory_node.core.snapshot.transfer import SnapshotTransfers
from inventory_node.core.write.flusher import Flusher
from inventory_node.core.write.log_writer import LogWriter
from inventory_node.core.write.proposals import Proposals
from inventory_node.core.write.write_path import WritePath
from raft.ready import RaftRole
from rafttest import bookkeeping


def contradictions(node: Node) -> list[str]:
    """Return each disagreement between two parts of a node's state; empty if there is none.

    The caller passes a node between two events: within an event, parts may disagree.
    """
    write, replies = node._write, node._replies
    found = [
        *bookkeeping.contradictions(node._raft),
        *_of_proposals(write.proposals),
        *_of_reads(node._reads),
        *_of_log_writer(write.log_writer),
        *_of_flusher(write.flusher),
        *_of_snapshots(node._snapshots, write),
    ]
    if replies._frames or replies._frame_bytes:
        found.append("replies are kept after the turn")
    leads = node._raft.role is RaftRole.LEADER
    if not leads and (write.proposals._waiting or write.proposals._proposed):
        found.append("commands wait at a member that does not lead")
    if not leads and node._snapshots.outgoing._peers:
        found.append("peers wait for a snapshot of a member that does not lead")
    if node._membership._transfers and not node._raft.transferring:
        found.append("somebody waits for a transfer that is over")
    if any(begun.term != node._raft.term for begun in node._membership._begun.values()):
        found.append("somebody waits for a change of a term that is over")
    return found


def _of_proposals(proposals: Proposals) -> Iterator[str]:
    size = sum(len(waiting.command) for waiting in proposals._waiting)
    if proposals._waiting.size != size:
        yield f"{proposals._waiting.size} bytes of commands are counted, {size} wait"
    if len(proposals._proposed) > proposals._settings.batches_in_flight_max:
        yield f"{len(proposals._proposed)} entries are in flight"


def _of_reads(reads: ReadQueue) -> Iterator[str]:
    rounds, store_reads = reads._rounds, reads._store_reads
    confirmed = (*reads._confirmed, *store_reads._for_flush)
    waiting = (
        len(rounds.waiting)
        + len(rounds._round or ())
        + len(reads._stale)
        + sum(len(one.questions) for one in confirmed)
        + len(store_reads._asked)
    )
    if reads._open != waiting:
        yield f"{reads._open} questions are counted, {waiting} wait"


def _of_log_writer(log_writer: LogWriter) -> Iterator[str]:
    is_outstanding = log_writer._outstanding is not None
    if is_outstanding != log_writer._job.is_outstanding:
        yield "the log's job and its batch differ"
    if not is_outstanding and (log_writer._queue or log_writer._operations):
        yield "batches wait for a disk that has no job"
    if log_writer._makes_room and not is_outstanding:
        yield "room is made for no batch"
    if (log_writer.is_full or log_writer._job.age_ticks) and not is_outstanding:
        yield "no job of the log is full or ages"
    for batch in log_writer._queue:
        indexes = [entry.index for entry in batch.entries]
        if indexes and indexes != list(range(indexes[0], indexes[0] + len(indexes))):
            yield f"a batch holds the entries {indexes}"


def _of_flusher(flusher: Flusher) -> Iterator[str]:
    tail, taken = flusher._tail, flusher._taken
    if tail._bytes != sum(size for _, size in tail._kept):
        yield f"{tail._bytes} bytes of the log's tail are counted"
    if (taken is not None) != flusher._job.is_outstanding:
        yield "the flush and what it took differ"
    if flusher.idle and (flusher.is_full or flusher._job.age_ticks):
        yield "no flush is full or ages"
    flushed_index = flusher.durable_index if taken is None else taken.index
    if not flusher.held and flushed_index > flusher._machine.applied_index:
        yield f"{flushed_index} is flushed, {flusher._machine.applied_index} applied"
    if not flusher.held and flusher._unflushed and flushed_index >= flusher._machine.applied_index:
        yield "commands are unflushed, and everything is flushed"


def _of_snapshots(snapshots: SnapshotTransfers, write: WritePath) -> Iterator[str]:
    incoming, outgoing = snapshots.incoming, snapshots.outgoing
    held = (write.applier.held, write.flusher.held, write.timestamps._held)
    if set(held) != {incoming.installing}:
        yield f"a snapshot is being installed: {incoming.installing}; held are {held}"
    if incoming.switching and not (incoming.installing and write.flusher.idle):
        yield "the store switches amid a flush, or to no snapshot"
    if len(set(outgoing._peers)) < len(outgoing._peers) or outgoing._peer in outgoing._peers:
        yield "a peer waits twice for a snapshot"
    if any(left <= 0 for left in outgoing._rests._ticks.values()):
        yield "a rest is over, and is kept"


def remainders(node: Node) -> list[str]:
    """Return what a node still counts; empty if it counts nothing.

    The caller passes a node with nothing in flight: no question, no proposal, no job.
    """
    write, incoming = node._write, node._snapshots.incoming
    counted = {
        "commands waiting": len(write.proposals._waiting),
        "bytes waiting": write.proposals._waiting.size,
        "entries in flight": len(write.proposals._proposed),
        "questions": node._reads._open,
        "frames": len(node._replies._frames) + len(node._replies._frame_bytes),
        "jobs of the log": int(not write.log_writer.idle),
        "entries to apply": len(write.applier._committed),
        "flushes": int(not write.flusher.idle),
        "commands unflushed": write.flusher._unflushed._commands,
        "bytes being staged": incoming._staging_bytes,
        "snapshots being installed": int(incoming.installing or write.applier.held),
        "changes": len(node._membership._begun) + len(node._membership._transfers),
    }
    found = [f"{count} {what}" for what, count in counted.items() if count]
    return found + bookkeeping.remainders(node._raft)


def snapshot_remainders(node: Node) -> list[str]:
    """Return what a node still keeps for peers that were behind its log."""
    outgoing = node._snapshots.outgoing
    counted = {
        "peers waiting for a snapshot": len(outgoing._peers),
        "snapshots under way": int(outgoing._peer is not None),
        "pins": len(outgoing._pins._pins),
    }
    return [f"{count} {what}" for what, count in counted.items() if count]
