"""Snapshots: out to peers that are behind the log, and in from a leader that this member is behind.

Out: a copy of the flushed state, streamed by the transport; the log is pinned above it meanwhile.
In: chunks are staged on disk, consensus decides, the log records the switch, the store switches.
A crash between record and switch is finished at the next start, by the record.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from raft import RawNode
from raft.messages import InstallSnapshot, SnapshotMeta

from inventory_node.events import ChunkReceived, Copied, SnapshotSent, Staged
from inventory_node.ports import SnapshotHeader, Store, Transport


class Outgoing:
    """Snapshots to peers, one copy and one stream at a time.

    - A peer is queued once at most, so the queue is bounded by the members.
    - The log keeps what follows the snapshot until its stream has ended.
    """

    def __init__(self, store: Store, transport: Transport) -> None:
        """Start with nothing to send."""
        self._store = store
        self._transport = transport
        self._peers: deque[int] = deque()
        self._peer: int | None = None  # whose copy or stream is under way
        self._term = 0  # in which this member led when it began the copy
        self._ticket = 0
        self.pinned_index: int | None = None
        self.forbidden = False  # the state is not fit to be given away

    def wanted(self, peers: Iterable[int]) -> None:
        """Queue peers that are behind the log."""
        for peer in peers:
            if peer not in self._peers and peer != self._peer:
                self._peers.append(peer)

    def forbid(self) -> None:
        """Give nobody this state any more."""
        self.forbidden = True
        self._peers.clear()
        self._transport.cut_snapshots()

    def leadership_lost(self) -> None:
        """Forget who waits; a copy or stream under way ends by itself, in the term it began in."""
        self._peers.clear()

    def start(self, term: int, durable_index: int) -> None:
        """Begin the next copy; it shows the state at `durable_index` or later."""
        if self._peer is None and self._peers and not self.forbidden:
            self._peer = self._peers.popleft()
            self._term = term
            self.pinned_index = durable_index
            self._ticket += 1
            self._store.copy(self._ticket)

    def copied(self, event: Copied, raft: RawNode) -> None:
        """Stream a copy, with the members that the database knows nothing of.

        The term is the one of the lead that asked, so that a lead lost since is noticed.
        """
        if self._peer is None or event.ticket != self._ticket:
            return
        if self.forbidden:  # what was copied goes at the next start
            self.sent(SnapshotSent(self._peer, event.header.meta.index, installed=False), raft)
        else:
            configuration = raft.configuration_at(event.header.meta.index)
            meta = replace(event.header.meta, configuration=configuration)
            header = replace(event.header, meta=meta)
            self._transport.send_snapshot(self._peer, self._term, header, event.path)

    def sent(self, event: SnapshotSent, raft: RawNode) -> None:
        """Tell consensus how the stream ended."""
        if event.peer == self._peer:
            self._peer = None
            self.pinned_index = None
        raft.snapshot_sent(event.peer, event.index, installed=event.installed)


class Incoming:
    """A snapshot on its way in.

    - One chunk is being staged at most, and each is answered once.
    - A stream of the same snapshot, by its header, goes on where one before it broke.
    - Staging is not touched from the last chunk until the store has switched to it.
    - The store is asked to switch only after the log's record of the switch is synced.
    """

    def __init__(self, member_id: int, store: Store, transport: Transport) -> None:
        """Start with nothing on its way."""
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
        """Whether the store has been asked to switch and has not said that it did."""
        return self._switching

    def chunk(self, event: ChunkReceived, term: int, commit_index: int, problem: str) -> None:
        """Stage a chunk, or say why not; a `problem` of the caller's comes first.

        What this member has committed already counts as installed: a leader that missed the answer
        to an earlier stream would send the same again for ever.
        """
        problem = problem or self._refusal(event, term)
        index = event.header.meta.index
        if problem or index <= commit_index:
            self._transport.answer_chunk(
                event.sender, index, 0, installed=not problem, problem=problem
            )
            return
        if event.offset == 0 and (event.data or event.header != self._header):
            self._taken = 0
        self._sender, self._term, self._header = event.sender, event.term, event.header
        if not event.data:  # a stream begins: it goes on where one of the same snapshot broke
            self._answer()
            return
        self._staging_bytes = len(event.data)
        self._ticket += 1
        self._store.stage(event.header, event.offset, event.data, self._ticket)

    def staged(self, event: Staged) -> InstallSnapshot | None:
        """Ask for the next chunk, or return the whole for consensus to decide on."""
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

    def decided(self, commit_index: int) -> None:
        """Answer the last chunk when consensus did not take the snapshot."""
        if self._meta is not None or self._header is None:
            return
        if self._header.meta.index <= commit_index:
            self._answer(installed=True)
        else:
            self._taken = 0
            self._answer(problem=f"term {self._term} is over")

    def accepted(self, meta: SnapshotMeta) -> None:
        """Consensus took the snapshot; the log is recording it."""
        self._meta = meta
        self._recorded = False

    def recorded(self) -> None:
        """Note that the log's record is synced."""
        self._recorded = True

    def start(self, *, store_idle: bool) -> None:
        """Switch, once the record is synced and no flush is under way."""
        if self._meta is not None and self._recorded and store_idle and not self._switching:
            self._switching = True
            self._ticket += 1
            self._store.install(self._meta, self._ticket)

    def installed(self, ticket: int) -> SnapshotMeta | None:
        """Return what the store serves from here on; None when `ticket` names another job."""
        if not self._switching or ticket != self._ticket:
            return None
        meta, self._meta = self._meta, None
        self._switching = False
        self._answer(installed=True)
        self._header, self._taken = None, 0
        return meta

    def _refusal(self, event: ChunkReceived, term: int) -> str:
        """Say why a chunk cannot be staged; empty when it can."""
        if event.term < term:
            return f"term {event.term} is over: this member is in term {term}"
        if self._meta is not None:
            return f"the snapshot at index {self._meta.index} is being installed"
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
