"""Snapshots: out to peers that lag behind the log, and in when this member itself lags.

Out: the transport streams a copy of the flushed state. The log is pinned above the copy until the
peer has caught up, within a bound. A copy that finds no space, or a stream that fails, is retried
after a backoff.

In: the store stages chunks on disk, consensus decides, the log records the switch, the store
switches. A crash between record and switch is finished at the next start, by the record.
"""

from collections import deque
from dataclasses import replace

from raft import RawNode
from raft.messages import InstallSnapshot, SnapshotMeta
from raft.ready import Ready

from inventory_node.core.events import ChunkReceived, Copied, SnapshotSent, Staged
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.core.snapshot.retention import Backoff, LogPins
from inventory_node.core.write.flusher import Flusher
from inventory_node.ports import SnapshotHeader, Store, Transport

SHORT_TIMES = 8  # a lack of space is remembered for this many times the longest backoff
NOT_APPLIED = "this member's log holds that much, and it is not applied yet: ask again"


class Outgoing:
    """Snapshots to peers, one copy and one stream at a time.

    - A peer is queued at most once, so the number of members bounds the queue.
    - The log keeps the entries after a snapshot until the snapshot's peer has caught up
      (`LogPins`). If the entries are too many before the stream has ended, the stream is cut, and a
      newer snapshot sent.
    - No copy is made while a snapshot is being installed: the database is behind the log's base.
    - After a failed snapshot the snapshot's peer waits. The wait doubles with each failure in a
      row, up to a bound. The other peers do not wait.
    """

    def __init__(self, store: Store, transport: Transport, retry_ticks: int) -> None:
        """Start with nothing to send; `retry_ticks` is the first backoff after a failure."""
        self._store = store
        self._transport = transport
        self._peers: deque[int] = deque()
        self._peer: int | None = None  # whose copy or stream is under way
        self._term = 0  # in which this member led when it began the copy
        self._ticket = 0
        self._rests = Backoff(retry_ticks)
        self._pins = LogPins()
        self._short_ticks = 0  # for which this member counts as short of space
        self.forbidden = False  # the state must not be given to peers

    @property
    def pinned_index(self) -> int | None:
        """The index above which the log must be kept; None if all of the log may be cut."""
        return self._pins.index

    @property
    def is_short(self) -> bool:
        """Whether a copy found no space lately: peers that need a snapshot get none here."""
        return self._short_ticks > 0

    def noted(self, ready: Ready) -> None:
        """Queue peers that need a snapshot, count new entries, and end pins that keep too much.

        When the pin of the peer whose stream is under way ends, the stream is cut: the log will not
        go on from that snapshot.
        """
        for peer in ready.snapshots:
            if peer not in self._peers and peer != self._peer:
                self._peers.append(peer)
                self._pins.unpin(peer)
        if self._peer in self._pins.grown(ready.entries):
            self._transport.end_snapshots()

    def tick(self, raft: RawNode) -> None:
        """Count a tick for every backoff, and for the peers that catch up."""
        self._short_ticks = max(0, self._short_ticks - 1)
        self._rests.tick()
        self._pins.tick(raft)

    def forbid(self) -> None:
        """Give this state to no peer any more."""
        self.forbidden = True
        self._peers.clear()
        self._transport.end_snapshots()

    def leadership_lost(self) -> None:
        """Forget the queued peers and the peers that catch up: the next leader sends the log.

        A copy or stream under way ends by itself, in the term in which it began.
        """
        self._peers.clear()
        self._rests.clear()
        self._pins.keep_only(self._peer)

    def start(self, term: int, durable_index: int, incoming: "Incoming") -> None:
        """Begin the next copy; the copy shows the state at `durable_index` or later."""
        is_held = self.forbidden or incoming.installing
        if not self._peers or self._peer is not None or is_held:
            return
        peer = next(filter(self._rests.is_over, self._peers), None)
        if peer is not None:
            self._peers.remove(peer)
            self._peer, self._term = peer, term
            self._pins.pin(self._peer, durable_index)
            self._ticket += 1
            self._store.copy(self._ticket)

    def copied(self, event: Copied, raft: RawNode) -> None:
        """Stream a copy; its header gets the configuration, which the database does not hold.

        The term is the term in which this member began the copy, so that a lead lost since is
        noticed. A copy without a path found no space. A copy that is not sent is removed by the
        next copy or start.
        """
        if self._peer is None or event.ticket != self._ticket:
            return
        self._short_ticks = 0 if event.path else SHORT_TIMES * self._rests.longest_ticks
        index = event.header.meta.index
        is_of_use = self._peer in self._pins and index >= raft.first_index - 1
        if self.forbidden or not event.path or not is_of_use:
            self.sent(SnapshotSent(self._peer, index, installed=False), raft)
        else:
            configuration = raft.configuration_at(index)
            meta = replace(event.header.meta, configuration=configuration)
            header = replace(event.header, meta=meta)
            self._transport.send_snapshot(self._peer, self._term, header, event.path)

    def sent(self, event: SnapshotSent, raft: RawNode) -> None:
        """Tell consensus how the stream ended; a peer that has the snapshot may catch up."""
        if event.peer == self._peer:
            self._peer = None
            if event.installed:
                self._rests.succeeded(event.peer)
                self._pins.catch_up(event.peer, raft.commit_index)
            else:
                self._rests.defer(event.peer)
                self._pins.unpin(event.peer)
        raft.snapshot_sent(event.peer, event.index, installed=event.installed)


class Incoming:
    """A snapshot on its way in.

    - At most one chunk is being staged, and each chunk is answered once.
    - A stream of the same snapshot, by the header, resumes where an earlier stream broke.
    - The staged file is not touched from the last chunk until the store has switched to the file.
    - The store is asked to switch only after the log's record of the switch is synced.
    - Only an applied snapshot counts as installed, so its entries are synced: the leader will count
      them as held here.
    """

    def __init__(self, member_id: int, store: Store, transport: Transport) -> None:
        """Start with no snapshot."""
        self._member_id = member_id
        self._store = store
        self._transport = transport
        self._sender = 0
        self._term = 0
        self._header: SnapshotHeader | None = None
        self._taken = 0  # bytes staged
        self._staging_bytes = 0  # of the chunk that is being staged, 0 for none
        self._meta: SnapshotMeta | None = None  # accepted, not served yet
        self._recorded = False
        self._switching = False
        self._ticket = 0

    @property
    def installing(self) -> bool:
        """Whether consensus has taken the snapshot and the store does not serve it yet."""
        return self._meta is not None

    @property
    def switching(self) -> bool:
        """Whether the store has been asked to switch and has not switched yet."""
        return self._switching

    def chunk(self, event: ChunkReceived, raft: RawNode, problem: str) -> None:
        """Stage a chunk, or answer why not; the caller's `problem` comes first.

        A snapshot at or below the applied index counts as installed. Otherwise a leader that missed
        the answer to an earlier stream would send the same snapshot for ever.
        """
        problem = problem or self._refusal(event, raft)
        index = event.header.meta.index
        if problem or index <= raft.applied_index:
            self._transport.answer_chunk(
                event.sender, index, 0, installed=not problem, problem=problem
            )
            return
        if event.offset == 0 and (event.data or event.header != self._header):
            self._taken = 0
        self._sender, self._term, self._header = event.sender, event.term, event.header
        if not event.data:  # a stream begins: resume where a stream of the same snapshot broke
            self._answer()
            return
        self._staging_bytes = len(event.data)
        self._ticket += 1
        self._store.stage(event.header, event.offset, event.data, self._ticket)

    def staged(self, event: Staged) -> InstallSnapshot | None:
        """Ask for the next chunk, or return the whole snapshot for consensus to decide on."""
        if not self._staging_bytes or event.ticket != self._ticket or self._header is None:
            return None
        self._taken += self._staging_bytes
        self._staging_bytes = 0
        if event.problem:
            self._taken = 0
            self._answer(problem=event.problem)
            return None
        if not event.complete:
            self._answer()
            return None
        return InstallSnapshot(self._sender, self._member_id, self._term, self._header.meta)

    def decided(self, raft: RawNode) -> None:
        """Answer the last chunk when consensus did not take the snapshot."""
        if self._meta is not None or self._header is None:
            return
        index = self._header.meta.index
        if index <= raft.applied_index:
            self._answer(installed=True)
        else:
            self._taken = 0
            is_held = index <= raft.commit_index
            self._answer(problem=NOT_APPLIED if is_held else f"term {self._term} is over")

    def accepted(self, meta: SnapshotMeta) -> None:
        """Note that consensus took the snapshot; the log is recording the snapshot."""
        self._meta = meta
        self._recorded = False

    def recorded(self) -> None:
        """Note that the log's record of the switch is synced."""
        self._recorded = True

    def start(self, *, store_idle: bool) -> None:
        """Switch, once the log's record is synced and no flush is under way."""
        if self._meta is not None and self._recorded and store_idle and not self._switching:
            self._switching = True
            self._ticket += 1
            self._store.install(self._meta, self._ticket)

    def installed(self, ticket: int) -> SnapshotMeta | None:
        """Return the snapshot that the store serves; None when `ticket` names another job."""
        if not self._switching or ticket != self._ticket:
            return None
        meta, self._meta = self._meta, None
        self._switching = False
        self._answer(installed=True)
        self._header = None
        return meta

    def _refusal(self, event: ChunkReceived, raft: RawNode) -> str:
        """Return why a chunk cannot be staged; empty when it can, or need not be staged."""
        if event.term < raft.term:
            return f"term {event.term} is over: this member is in term {raft.term}"
        if self._meta is not None:
            return f"the snapshot at index {self._meta.index} is being installed"
        if raft.applied_index < event.header.meta.index <= raft.commit_index:
            return NOT_APPLIED
        if self._staging_bytes:
            return "another chunk is being stored: one stream at a time, and in order"
        same = event.sender == self._sender and event.header == self._header
        follows = event.offset == 0 or (same and event.offset == self._taken)
        if not follows or (event.offset and not event.data):
            return f"{len(event.data)} bytes at {event.offset} do not follow: begin at offset 0"
        return ""

    def _answer(self, *, installed: bool = False, problem: str = "") -> None:
        if self._header is not None:
            index = self._header.meta.index
            self._transport.answer_chunk(
                self._sender, index, self._taken, installed=installed, problem=problem
            )


class SnapshotTransfers:
    """Both directions of one member: no copy is made while a snapshot is being installed."""

    def __init__(self, settings: NodeSettings, ports: Ports) -> None:
        """Start with no transfer."""
        retry_ticks = settings.full_retry_ticks
        self.outgoing = Outgoing(ports.store, ports.transport, retry_ticks)
        self.incoming = Incoming(settings.member_id, ports.store, ports.transport)

    def start(self, term: int, flusher: Flusher) -> None:
        """Begin the transfers that may begin: a switch while no flush is outstanding, a copy."""
        self.incoming.start(store_idle=flusher.idle)
        self.outgoing.start(term, flusher.durable_index, self.incoming)
