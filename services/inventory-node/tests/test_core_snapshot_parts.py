"""Both directions of a snapshot, each alone, with consensus, store and transport in hand."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from inventory_node.core.events import ChunkReceived, Copied, SnapshotSent, Staged
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.core.snapshot import retention
from inventory_node.core.snapshot.transfer import Incoming, Outgoing, SnapshotTransfers
from inventory_node.ports import SnapshotHeader
from raft.messages import Configuration, Entry, EntryKind, InstallSnapshot, SnapshotMeta
from raft.ready import Ready
from raft.view import Follower
from sim.manual_cluster import HandTransport

if TYPE_CHECKING:
    from inventory_node.core.write.flusher import Flusher
    from inventory_node.ports import Store, Transport
    from raft import RawNode

RETRY_TICKS = 2
NOT_APPLIED = "this member's log holds that much, and it is not applied yet: ask again"
VOTERS = Configuration(frozenset({1, 2, 3}))
NOTHING = Ready(
    hard_state=None,
    install=None,
    entries=(),
    mark=None,
    at_once=(),
    after_sync=(),
    committed=(),
    reads=(),
    dropped_reads=(),
    snapshots=(),
    leadership=None,
)


def header(index: int, size: int = 8) -> SnapshotHeader:
    """Return the header of a snapshot at an index."""
    meta = SnapshotMeta(index, 1, Configuration(frozenset()))
    return SnapshotHeader(meta, size, b"hash")


@dataclass(slots=True)
class HandRaft:
    """What a transfer looks at and tells."""

    term: int = 4
    first_index: int = 1
    commit_index: int = 10
    applied_index: int = 10
    followers: dict[int, Follower] = field(default_factory=dict)
    sent: list[tuple[int, int, bool]] = field(default_factory=list)

    def snapshot_sent(self, peer: int, index: int, *, installed: bool) -> None:
        """Keep how a stream ended."""
        self.sent.append((peer, index, installed))

    def configuration_at(self, index: int) -> Configuration:
        """Return a configuration that names the index."""
        return replace(VOTERS, labels=((index, "at"),))


@dataclass(slots=True)
class HandStore:
    """Keeps what it is asked for."""

    copies: list[int] = field(default_factory=list)
    headers: list[SnapshotHeader] = field(default_factory=list)  # of the chunks
    staged: list[tuple[int, bytes, int]] = field(default_factory=list)
    installs: list[tuple[SnapshotMeta, int]] = field(default_factory=list)

    def copy(self, ticket: int) -> None:
        """Keep a ticket."""
        self.copies.append(ticket)

    def stage(self, header: SnapshotHeader, offset: int, data: bytes, ticket: int) -> None:
        """Keep a chunk."""
        self.headers.append(header)
        self.staged.append((offset, data, ticket))

    def install(self, meta: SnapshotMeta, ticket: int) -> None:
        """Keep what is to be switched to."""
        self.installs.append((meta, ticket))


class Cutting(HandTransport):
    """Counts the cuts of streams."""

    cuts = 0

    def end_snapshots(self) -> None:
        """Count."""
        self.cuts += 1


class Sending:
    """A leader's outgoing snapshots."""

    def __init__(self) -> None:
        """Begin with nothing to send."""
        self.store, self.transport, self.raft = HandStore(), Cutting(), HandRaft()
        store, transport = cast("Store", self.store), cast("Transport", self.transport)
        self.outgoing = Outgoing(store, transport, RETRY_TICKS)
        self.incoming = Incoming(1, store, transport)

    @property
    def node(self) -> "RawNode":
        """Consensus, as what the transfers take it for."""
        return cast("RawNode", self.raft)

    def need(self, *peers: int) -> None:
        """Let consensus say who needs a snapshot."""
        self.outgoing.noted(replace(NOTHING, snapshots=peers))

    def start(self, durable_index: int = 7) -> int:
        """Begin what may begin; return how many copies were begun so far."""
        self.outgoing.start(self.raft.term, durable_index, self.incoming)
        return len(self.store.copies)

    def copied(self, index: int = 8, path: str = "copy") -> int:
        """Let the newest copy end; return how many streams were begun so far."""
        self.outgoing.copied(Copied(self.store.copies[-1], header(index), path), self.node)
        return len(self.transport.streams)

    def sent(self, peer: int, *, installed: bool) -> None:
        """Let a peer's stream end."""
        self.outgoing.sent(SnapshotSent(peer, 8, installed), self.node)

    def tick(self, ticks: int) -> None:
        """Let ticks pass."""
        for _ in range(ticks):
            self.outgoing.tick(self.node)

    def grow(self, payload_bytes: int) -> None:
        """Let the log grow by an entry."""
        entry = Entry(9, 4, EntryKind.COMMAND, bytes(payload_bytes))
        self.outgoing.noted(replace(NOTHING, entries=(entry,)))


class TestOut:
    """One copy and one stream at a time."""

    def test_a_peer_gets_the_state_with_the_configuration_of_its_index(self) -> None:
        """In the term in which the copy began, which may be over."""
        sending = Sending()
        assert sending.start() == 0
        sending.need(3)
        assert sending.start() == 1
        sending.raft.term = 5
        assert sending.copied(8) == 1
        [(peer, term, sent, path)] = sending.transport.streams
        assert (peer, term, path) == (3, 4, "copy")
        assert sent.meta.configuration == sending.raft.configuration_at(8)
        assert (sent.meta.index, sent.size) == (8, 8)
        sending.sent(3, installed=True)
        assert sending.raft.sent == [(3, 8, True)]

    def test_peers_are_served_one_after_the_other_in_their_order(self) -> None:
        """Each is queued once, and not again while its own is under way."""
        sending = Sending()
        sending.need(3, 2, 3)
        assert sending.start() == 1
        sending.need(3, 2)
        assert sending.start() == 1
        sending.copied()
        assert sending.start() == 1
        sending.sent(3, installed=True)
        assert sending.start() == 2
        sending.copied()
        assert [stream[0] for stream in sending.transport.streams] == [3, 2]
        sending.sent(2, installed=True)
        assert sending.start() == 2
        assert len(set(sending.store.copies)) == 2

    def test_the_end_of_another_stream_or_copy_changes_nothing(self) -> None:
        """Consensus is told of a stream; the one that is under way goes on."""
        sending = Sending()
        sending.outgoing.copied(Copied(0, header(8), "copy"), sending.node)
        assert sending.transport.streams == []
        sending.need(3)
        sending.start()
        sending.outgoing.copied(
            Copied(sending.store.copies[-1] + 1, header(8), "copy"), sending.node
        )
        assert sending.transport.streams == []
        sending.sent(2, installed=False)
        assert sending.raft.sent == [(2, 8, False)]
        sending.need(2)
        assert sending.start() == 1
        assert sending.copied() == 1

    def test_the_log_is_kept_from_the_copy_until_the_peer_has_caught_up(self) -> None:
        """Or until the snapshot has failed."""
        sending = Sending()
        sending.need(3)
        assert sending.outgoing.pinned_index is None
        sending.start(durable_index=7)
        assert sending.outgoing.pinned_index == 7
        sending.copied()
        sending.raft.followers = {3: Follower(10, 0, is_present=True, needs_snapshot=False)}
        sending.tick(retention.ROUND_TICKS)
        assert sending.outgoing.pinned_index == 7
        sending.sent(3, installed=True)
        assert sending.outgoing.pinned_index == 7
        sending.tick(retention.ROUND_TICKS)
        assert sending.outgoing.pinned_index is None
        sending.need(3)
        sending.start(durable_index=9)
        sending.sent(3, installed=False)
        assert sending.outgoing.pinned_index is None

    def test_a_peer_that_needs_another_is_not_kept_for_any_more(self) -> None:
        """The log behind the first is of no use to it."""
        sending = Sending()
        sending.need(3)
        sending.start()
        sending.copied()
        sending.sent(3, installed=True)
        sending.need(3)
        assert sending.outgoing.pinned_index is None

    def test_a_failed_one_is_tried_again_after_a_rest(self) -> None:
        """Others do not wait; a success ends the rest."""
        sending = Sending()
        sending.need(3)
        sending.start()
        sending.sent(3, installed=False)
        sending.need(3)
        assert sending.start() == 1
        sending.need(2)
        assert sending.start() == 2
        sending.sent(2, installed=True)
        sending.tick(RETRY_TICKS - 1)
        assert sending.start() == 2
        sending.tick(1)
        assert sending.start() == 3
        sending.sent(3, installed=True)
        sending.need(3)
        assert sending.start() == 4
        sending.sent(3, installed=False)
        sending.need(3)
        sending.tick(RETRY_TICKS)
        assert sending.start() == 5, "as after the first failure"

    def test_a_lost_lead_sends_to_nobody(self) -> None:
        """A stream under way ends by itself, with its pin; rests are over."""
        sending = Sending()
        sending.need(3)
        sending.start(durable_index=3)
        sending.sent(3, installed=False)
        sending.need(2, 3)
        sending.start(durable_index=5)
        sending.outgoing.leadership_lost()
        assert sending.outgoing.pinned_index == 5
        sending.sent(2, installed=True)
        assert sending.start() == 2
        sending.outgoing.leadership_lost()
        assert sending.outgoing.pinned_index is None
        sending.need(3)
        assert sending.start() == 3

    def test_a_state_that_must_not_be_given_is_not(self) -> None:
        """Neither a copy that is finished by then; what is under way is cut."""
        sending = Sending()
        sending.need(3, 2)
        sending.start()
        assert sending.outgoing.forbidden is False
        sending.outgoing.forbid()
        assert sending.transport.cuts == 1
        assert sending.copied() == 0
        assert sending.raft.sent == [(3, 8, False)]
        sending.outgoing.forbidden = False
        assert sending.start() == 1, "who waited is forgotten"
        sending.outgoing.forbidden = True
        sending.need(2)
        assert sending.start() == 1
        sending.outgoing.forbidden = False
        assert sending.start() == 2

    def test_nothing_is_copied_while_a_snapshot_is_installed(self) -> None:
        """The database is behind the log."""
        sending = Sending()
        sending.need(3)
        sending.incoming.accepted(header(20).meta)
        assert sending.start() == 0

    @pytest.mark.parametrize(("index", "is_sent"), [(6, False), (7, True), (8, True)])
    def test_a_copy_that_the_log_does_not_go_on_from_is_not_sent(
        self, index: int, *, is_sent: bool
    ) -> None:
        """The log begins behind it."""
        sending = Sending()
        sending.need(3)
        sending.start()
        sending.raft.first_index = 8
        assert bool(sending.copied(index)) is is_sent
        assert bool(sending.raft.sent) is not is_sent

    def test_a_log_that_grows_too_much_cuts_the_stream(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A newer snapshot is sent; a peer that catches up has no stream to cut."""
        monkeypatch.setattr(retention, "PINNED_BYTES_MAX", retention.ENTRY_BYTES + 10)
        sending = Sending()
        sending.need(3)
        sending.start()
        sending.grow(10)
        assert sending.transport.cuts == 0
        sending.grow(0)
        assert sending.transport.cuts == 1
        assert sending.copied() == 0, "nor a copy that is finished by then"
        sending.need(2)
        sending.start()
        sending.copied()
        sending.sent(2, installed=True)
        sending.grow(1_000)
        assert sending.transport.cuts == 1
        assert sending.outgoing.pinned_index is None

    def test_a_lack_of_space_is_remembered_for_long(self) -> None:
        """Eight times the longest rest, or until a copy is made."""
        sending = Sending()
        ticks = 8 * 16 * RETRY_TICKS
        sending.need(3)
        sending.start()
        assert not sending.outgoing.is_short
        assert sending.copied(path="") == 0
        assert sending.raft.sent == [(3, 8, False)]
        sending.tick(ticks - 1)
        assert sending.outgoing.is_short
        sending.tick(1)
        assert not sending.outgoing.is_short
        for path in ("", "copy"):
            sending.need(3)
            sending.tick(16 * RETRY_TICKS)
            sending.start()
            sending.copied(path=path)
            assert sending.outgoing.is_short is not bool(path)


class Receiving:
    """A member that takes a snapshot in."""

    def __init__(self) -> None:
        """Begin with nothing staged."""
        self.store, self.transport, self.raft = HandStore(), HandTransport(), HandRaft()
        self.incoming = Incoming(1, cast("Store", self.store), cast("Transport", self.transport))
        self.problem = ""

    def chunk(
        self, offset: int, data: bytes, index: int = 20, *, sender: int = 2, term: int = 4
    ) -> None:
        """Let a chunk come."""
        event = ChunkReceived(sender, term, header(index), offset, data)
        self.incoming.chunk(event, cast("RawNode", self.raft), self.problem)

    def staged(self, *, complete: bool = False, problem: str = "") -> InstallSnapshot | None:
        """Let the newest chunk be stored."""
        ticket = self.store.staged[-1][2]
        message = self.incoming.staged(Staged(ticket, complete, problem))
        assert message is None or isinstance(message, InstallSnapshot)
        return message

    def take(self, offset: int, data: bytes, *, sender: int = 2) -> None:
        """Let a chunk come and be stored."""
        self.chunk(offset, data, sender=sender)
        self.staged()

    def decided(self) -> None:
        """Let consensus have decided."""
        self.incoming.decided(cast("RawNode", self.raft))

    def answer(self) -> tuple[int, int, int, bool, str]:
        """Take the one answer since the last time: peer, index, taken, installed, problem."""
        [answer], self.transport.chunk_answers = self.transport.chunk_answers, []
        return answer

    def is_refused(self, said: str) -> bool:
        """Take the one answer, and tell whether it is this refusal, with nothing given away."""
        *_, is_installed, problem = self.answer()
        return not is_installed and problem == said


class TestIn:
    """One chunk at a time, each answered once."""

    def test_chunks_are_staged_in_their_order_and_the_last_is_decided_on(self) -> None:
        """The answers say how far it is."""
        receiving = Receiving()
        receiving.take(0, b"abc")
        assert receiving.answer() == (2, 20, 3, False, "")
        receiving.chunk(3, b"defgh")
        assert receiving.transport.chunk_answers == []
        message = receiving.staged(complete=True)
        assert message == InstallSnapshot(2, 1, 4, header(20).meta)
        assert [one[:2] for one in receiving.store.staged] == [(0, b"abc"), (3, b"defgh")]
        assert receiving.store.headers == [header(20)] * 2
        assert receiving.transport.chunk_answers == []
        assert not receiving.incoming.installing
        receiving.incoming.accepted(header(20).meta)
        receiving.decided()
        assert receiving.transport.chunk_answers == []
        assert receiving.incoming.installing

    def test_the_switch_waits_for_the_record_and_for_the_database(self) -> None:
        """It is asked for once, and answered when the store serves the snapshot."""
        receiving = Receiving()
        incoming = receiving.incoming
        incoming.start(store_idle=True)
        receiving.chunk(0, b"whole")
        receiving.staged(complete=True)
        meta = header(20).meta
        incoming.accepted(meta)
        incoming.start(store_idle=True)
        incoming.recorded()
        incoming.start(store_idle=False)
        assert receiving.store.installs == []
        assert incoming.switching is False
        for _ in range(2):
            incoming.start(store_idle=True)
        [(asked, ticket)] = receiving.store.installs
        assert asked == meta
        assert incoming.switching
        assert incoming.installed(ticket + 1) is None
        assert incoming.switching
        assert incoming.installed(ticket) == meta
        assert receiving.answer() == (2, 20, 5, True, "")
        assert (incoming.switching, incoming.installing) == (False, False)
        assert incoming.installed(ticket) is None
        incoming.start(store_idle=True)
        assert len(receiving.store.installs) == 1

    def test_a_snapshot_that_nobody_streams_is_answered_to_nobody(self) -> None:
        """It is switched to all the same."""
        receiving = Receiving()
        receiving.incoming.accepted(header(20).meta)
        receiving.incoming.recorded()
        receiving.incoming.start(store_idle=True)
        [(meta, ticket)] = receiving.store.installs
        assert receiving.incoming.installed(ticket) == meta
        assert receiving.transport.chunk_answers == []

    def test_a_second_snapshot_waits_for_its_own_record(self) -> None:
        """And begins at its first byte."""
        receiving = Receiving()
        for index in (20, 30):
            receiving.raft.applied_index = receiving.raft.commit_index = index - 10
            receiving.chunk(0, b"", index)
            assert receiving.answer() == (2, index, 0, False, "")
            receiving.chunk(0, b"whole", index)
            receiving.staged(complete=True)
            receiving.incoming.accepted(header(index).meta)
            receiving.incoming.start(store_idle=True)
            assert not receiving.incoming.switching
            receiving.incoming.recorded()
            receiving.incoming.start(store_idle=True)
            meta, ticket = receiving.store.installs[-1]
            assert meta.index == index
            assert receiving.incoming.installed(ticket) == meta
            receiving.answer()
        tickets = [one[2] for one in receiving.store.staged]
        assert len({*tickets, *(one[1] for one in receiving.store.installs)}) == 4

    def test_a_stream_of_the_same_snapshot_goes_on_where_the_last_one_broke(self) -> None:
        """By the header, from whomever it comes; data at 0, or another snapshot, begin anew."""
        receiving = Receiving()
        receiving.take(0, b"abc")
        receiving.answer()
        receiving.chunk(0, b"", sender=3)
        assert receiving.answer() == (3, 20, 3, False, "")
        receiving.take(3, b"de", sender=3)
        assert receiving.answer() == (3, 20, 5, False, "")
        receiving.take(0, b"a", sender=3)
        assert receiving.answer() == (3, 20, 1, False, "")
        receiving.chunk(0, b"", 30, sender=3)
        assert receiving.answer() == (3, 30, 0, False, "")

    @pytest.mark.parametrize(("offset", "sender", "index"), [(2, 2, 20), (4, 2, 20), (3, 2, 21)])
    def test_what_does_not_follow_is_refused(self, offset: int, sender: int, index: int) -> None:
        """Another place, or another snapshot."""
        receiving = Receiving()
        receiving.take(0, b"abc")
        receiving.answer()
        receiving.chunk(offset, b"de", index, sender=sender)
        assert receiving.is_refused(f"2 bytes at {offset} do not follow: begin at offset 0")

    def test_a_chunk_of_another_sender_is_refused(self) -> None:
        """Two streams at once would mix; and a stream does not begin amid the file."""
        receiving = Receiving()
        receiving.take(0, b"abc")
        receiving.answer()
        receiving.chunk(3, b"de", sender=3)
        assert receiving.is_refused("2 bytes at 3 do not follow: begin at offset 0")
        receiving.chunk(3, b"")
        assert receiving.is_refused("0 bytes at 3 do not follow: begin at offset 0")

    def test_refusals_say_why(self) -> None:
        """And the caller's own problem comes first."""
        receiving = Receiving()
        receiving.chunk(0, b"a", term=3)
        assert receiving.is_refused("term 3 is over: this member is in term 4")
        receiving.raft.commit_index = 25
        for index in (20, 25):
            receiving.chunk(0, b"a", index)
            assert receiving.is_refused(NOT_APPLIED)
        receiving.chunk(0, b"a", 26)
        receiving.chunk(0, b"a", 26)
        assert receiving.is_refused(
            "another chunk is being stored: one stream at a time, and in order"
        )
        receiving.staged(complete=True)
        receiving.incoming.accepted(header(26).meta)
        receiving.chunk(0, b"a", 27)
        assert receiving.is_refused("the snapshot at index 26 is being installed")
        receiving.problem = "of the caller"
        receiving.chunk(0, b"a", 27)
        assert receiving.is_refused("of the caller")

    def test_what_is_applied_already_counts_as_installed(self) -> None:
        """The leader missed the answer; but not where the caller has a problem with it."""
        receiving = Receiving()
        receiving.chunk(0, b"a", 10)
        assert receiving.answer() == (2, 10, 0, True, "")
        receiving.problem = "of the caller"
        receiving.chunk(0, b"a", 10)
        assert receiving.answer() == (2, 10, 0, False, "of the caller")
        assert receiving.store.staged == []

    def test_a_file_that_turns_out_damaged_begins_anew(self) -> None:
        """The sender is told why."""
        receiving = Receiving()
        receiving.take(0, b"abc")
        receiving.answer()
        receiving.chunk(3, b"de")
        assert receiving.staged(problem="its hash differs") is None
        assert receiving.answer() == (2, 20, 0, False, "its hash differs")
        receiving.take(0, b"a")
        assert receiving.answer() == (2, 20, 1, False, "")

    def test_the_end_of_another_job_is_ignored(self) -> None:
        """The chunk is stored still."""
        receiving = Receiving()
        receiving.chunk(0, b"abc")
        ticket = receiving.store.staged[-1][2]
        assert receiving.incoming.staged(Staged(ticket + 1, complete=True, problem="")) is None
        assert receiving.incoming.staged(Staged(ticket, complete=False, problem="")) is None
        assert receiving.answer() == (2, 20, 3, False, "")
        assert receiving.incoming.staged(Staged(ticket, complete=False, problem="")) is None
        assert receiving.transport.chunk_answers == []

    @pytest.mark.parametrize(
        ("applied", "commit", "answer"),
        [
            (20, 20, (2, 20, 3, True, "")),
            (19, 20, (2, 20, 0, False, NOT_APPLIED)),
            (19, 19, (2, 20, 0, False, "term 4 is over")),
        ],
    )
    def test_a_snapshot_that_consensus_does_not_take_is_answered(
        self, applied: int, commit: int, answer: tuple[int, int, int, bool, str]
    ) -> None:
        """The log has overtaken it, or the lead is over."""
        receiving = Receiving()
        receiving.decided()
        assert receiving.transport.chunk_answers == []
        receiving.chunk(0, b"abc")
        receiving.staged(complete=True)
        receiving.raft.applied_index, receiving.raft.commit_index = applied, commit
        receiving.decided()
        assert receiving.answer() == answer


def test_both_directions_of_a_member_know_of_each_other() -> None:
    """They share the store and the transport; a switch waits for the flush under way."""
    settings = NodeSettings(
        name="a", member_id=1, cluster_id="c", members={1: "a"}, full_retry_ticks=RETRY_TICKS
    )
    sending, receiving = Sending(), Receiving()
    ports = SimpleNamespace(store=sending.store, transport=sending.transport)
    transfers = SnapshotTransfers(settings, cast("Ports", ports))
    sending.outgoing, sending.incoming = transfers.outgoing, transfers.incoming
    receiving.incoming, receiving.store = transfers.incoming, sending.store
    flusher = SimpleNamespace(idle=False, durable_index=7)
    sending.need(3)
    receiving.chunk(0, b"whole")
    assert receiving.staged(complete=True) == InstallSnapshot(2, 1, 4, header(20).meta)
    transfers.incoming.accepted(header(20).meta)
    transfers.incoming.recorded()
    transfers.start(4, cast("Flusher", flusher))
    assert (sending.store.installs, sending.store.copies) == ([], [])
    flusher.idle = True
    transfers.start(4, cast("Flusher", flusher))
    [(meta, ticket)] = sending.store.installs
    assert transfers.incoming.installed(ticket) == meta
    assert sending.transport.chunk_answers == [(2, 20, 5, True, "")]
    transfers.start(4, cast("Flusher", flusher))
    assert transfers.outgoing.pinned_index == 7
    assert sending.copied() == 1
    assert sending.transport.streams[0][1] == 4
    sending.sent(3, installed=False)
    sending.need(3)
    for copies in (1, 2):
        sending.tick(1)
        transfers.start(4, cast("Flusher", flusher))
        assert len(sending.store.copies) == copies
