"""Links with bugs: frames cut, doubled, overtaken; certificates that are not looked at."""

import ssl
from functools import partial

import pytest
from inventory_node.core import claims
from inventory_node.core.claims import Known
from inventory_node.runtime.gateways import Gateways, GatewaySession
from inventory_node.runtime.peer_api import PeerApi, PeerSession
from inventory_node.runtime.questions import MemberAnswers
from link import connection, hello, outgoing, tls
from link.admission import UnprovenCallers
from link.frames import HEADER_BYTES, FrameDecoder, FrameKind
from link.hello import CallerHello, MemberHello
from pki import contexts
from pki.contexts import PkiContexts
from pki.identities import Kind, ProcessIdentity
from raft.messages import AppendRequest, Message

from mutants.catching import Mutant, NodeSeed, UnitTests

FRAMES = "libs/link/tests/test_frames.py"
ADMISSION = "libs/link/tests/test_admission.py"
HELLO = "libs/link/tests/test_hello.py"
LINKS = "libs/link/tests/test_links.py"
GATEWAY = ProcessIdentity(Kind.GATEWAY)
NETWORK = "services/inventory-node/tests/test_node_network.py"


def passes_a_frame_that_is_cut(patch: pytest.MonkeyPatch) -> None:
    """Take what there is of a frame for all of it."""
    rule = FrameDecoder.next_frame

    def next_frame(self: FrameDecoder) -> tuple[FrameKind, bytes] | None:
        frame = rule(self)
        if frame is not None or len(self) <= HEADER_BYTES:
            return frame
        kind, payload = FrameKind(self._buffer[4]), bytes(self._buffer[HEADER_BYTES:])
        self._buffer.clear()
        return kind, payload

    patch.setattr(FrameDecoder, "next_frame", next_frame)


def does_not_look_at_the_sum(patch: pytest.MonkeyPatch) -> None:
    """Pass a frame on that was damaged on its way."""
    patch.setattr("link.frames.crc32c", lambda *_: 0)


def counts_no_frames(patch: pytest.MonkeyPatch) -> None:
    """Take a frame twice, or after a later one."""

    class Uncounted:
        size = 9

        def pack(self, _: int, kind: int) -> bytes:
            return bytes([kind])

    patch.setattr("link.frames._CHECKED", Uncounted())


def buffers_what_it_will_refuse(patch: pytest.MonkeyPatch) -> None:
    """Look at a length when all of its bytes are there."""
    rule = FrameDecoder.next_frame

    def next_frame(self: FrameDecoder) -> tuple[FrameKind, bytes] | None:
        if len(self) >= HEADER_BYTES:
            length = int.from_bytes(self._buffer[:4], "little")
            if len(self) < HEADER_BYTES + length:
                return None
        return rule(self)

    patch.setattr(FrameDecoder, "next_frame", next_frame)


def lets_another_cluster_in(patch: pytest.MonkeyPatch) -> None:
    """Take part with whoever has the same key."""
    patch.setattr(MemberHello, "_check_recipient", lambda _: None)


def lets_every_certificate_do_everything(patch: pytest.MonkeyPatch) -> None:
    """Let a gateway speak raft, and a member speak for another."""
    patch.setattr(MemberHello, "_check_caller", lambda *_: None)


def speaks_to_whoever_answers(patch: pytest.MonkeyPatch) -> None:
    """Take any process of the cluster for the member that was called."""
    rule = CallerHello.begin

    def begin(self: CallerHello, peer: ProcessIdentity) -> tuple[FrameKind, bytes]:
        del peer
        return rule(self, ProcessIdentity(Kind.MEMBER, self._own.recipient))

    patch.setattr(CallerHello, "begin", begin)


def asks_for_no_certificate(patch: pytest.MonkeyPatch) -> None:
    """Let whoever has no certificate, or one of another authority, begin a hello."""

    def server(self: PkiContexts) -> ssl.SSLContext:
        context = contexts._context(self._files, ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_NONE
        return context

    patch.setattr(PkiContexts, "server", server)


def lets_a_handshake_grow(patch: pytest.MonkeyPatch) -> None:
    """Read a handshake of any length."""
    patch.setattr(tls, "HANDSHAKE_BYTES_MAX", 1 << 40)


def carries_on_what_it_carries(patch: pytest.MonkeyPatch) -> None:
    """Let a relayed link be for a further relay."""
    patch.setattr(hello, "NOT_CARRIED", frozenset())


def takes_any_id_for_a_caller_s(patch: pytest.MonkeyPatch) -> None:
    """Let a member's certificate speak under another member's id."""
    patch.setattr(PeerApi, "check_caller", lambda *_: None)


def changes_members_for_a_member(patch: pytest.MonkeyPatch) -> None:
    """Let any member remove any other."""
    patch.setattr(MemberAnswers, "answers_for", lambda self, _: partial(self._answer, peer=GATEWAY))


def lets_a_flood_keep_callers_out(patch: pytest.MonkeyPatch) -> None:
    """Let the newest connection go, and not the oldest."""

    def admit(self: UnprovenCallers[int], waiting: int, source: str) -> int | None:
        same = [one for one, known in self._sources.items() if known == source]
        if len(same) >= self._per_source_max or len(self._sources) >= self._total_max:
            return waiting
        self._sources[waiting] = source
        return None

    patch.setattr(UnprovenCallers, "admit", admit)


def waits_for_a_silent_end(patch: pytest.MonkeyPatch) -> None:
    """Take an end for alive as long as its system takes bytes."""
    patch.setattr(connection, "SILENT_TICKS_MAX", 10**9)


def gathers_without_a_bound(patch: pytest.MonkeyPatch) -> None:
    """Fill memory for an end that does not read."""
    rule = outgoing.OutgoingFrames.add

    def add(self: outgoing.OutgoingFrames, kind: FrameKind, payload: bytes) -> None:
        kept, self._frames, self._bytes = self._frames, [], 0
        rule(self, kind, payload)
        self._frames = kept + self._frames

    patch.setattr(outgoing.OutgoingFrames, "add", add)


def answers_an_old_connection(patch: pytest.MonkeyPatch) -> None:
    """Give a gateway the number of a session that has ended."""
    patch.setattr(Gateways, "session", lambda self: GatewaySession(1, self))


def takes_messages_of_anybody(patch: pytest.MonkeyPatch) -> None:
    """Let a peer speak for another member."""
    patch.setattr(PeerSession, "_check", lambda *_: None)


def believes_any_claim(patch: pytest.MonkeyPatch) -> None:
    """Take a term or a commit that cannot be."""
    patch.setattr("inventory_node.runtime.peer_api.problem_of", lambda *_: "")


def refuses_an_honest_leader(patch: pytest.MonkeyPatch) -> None:
    """Take an append that closes a gap for one that cannot be."""
    rule = claims.problem_of

    def problem_of(message: Message, known: Known) -> str:
        if isinstance(message, AppendRequest) and message.previous_index > known.last_index:
            return "a gap"
        return rule(message, known)

    patch.setattr("sim.frames.problem_of", problem_of)


MUTANTS = (
    Mutant(passes_a_frame_that_is_cut, UnitTests(FRAMES, "cut_into_pieces")),
    Mutant(does_not_look_at_the_sum, UnitTests(FRAMES, "changed_stream")),
    Mutant(counts_no_frames, UnitTests(FRAMES, "doubled_overtaken_or_missing")),
    Mutant(buffers_what_it_will_refuse, UnitTests(FRAMES, "above_the_bound")),
    Mutant(lets_another_cluster_in, UnitTests(HELLO, "does_not_belong_here")),
    Mutant(lets_every_certificate_do_everything, UnitTests(HELLO, "of_its_table_alone")),
    Mutant(speaks_to_whoever_answers, UnitTests(HELLO, "says_nothing_to_another_process")),
    Mutant(asks_for_no_certificate, UnitTests(NETWORK, "every_caller_proves_itself")),
    Mutant(lets_a_handshake_grow, UnitTests(LINKS, "handshake_without_end")),
    Mutant(carries_on_what_it_carries, UnitTests(HELLO, "no_further_relay")),
    Mutant(takes_any_id_for_a_caller_s, UnitTests(NETWORK, "no_other_member_s_id")),
    Mutant(changes_members_for_a_member, UnitTests(NETWORK, "changes_of_itself_alone")),
    Mutant(lets_a_flood_keep_callers_out, UnitTests(ADMISSION, "makes_room")),
    Mutant(waits_for_a_silent_end, UnitTests(LINKS, "about_two_seconds")),
    Mutant(gathers_without_a_bound, UnitTests(LINKS, "wait_within_bounds")),
    Mutant(answers_an_old_connection, UnitTests(NETWORK, "old_session")),
    Mutant(takes_messages_of_anybody, UnitTests(NETWORK, "message_that_cannot_be")),
    Mutant(believes_any_claim, UnitTests(NETWORK, "message_that_cannot_be")),
    Mutant(refuses_an_honest_leader, NodeSeed(1)),
)
