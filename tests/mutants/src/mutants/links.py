"""Links with bugs: frames cut, doubled, overtaken, of another link, of another cluster."""

import pytest
from inventory_node.core import claims
from inventory_node.core.claims import Known
from inventory_node.runtime.gateways import Gateways, GatewaySession
from inventory_node.runtime.peer_api import PeerSession
from link import connection, hello
from link.admission import UnprovenCallers
from link.frames import HEADER_BYTES, FrameDecoder, FrameEncoder, FrameKind
from link.hello import CallerHello, MemberHello
from raft.messages import AppendRequest, Message

from mutants.catching import Mutant, NodeSeed, UnitTests

FRAMES = "libs/link/tests/test_frames.py"
ADMISSION = "libs/link/tests/test_admission.py"
HELLO = "libs/link/tests/test_hello.py"
LINKS = "libs/link/tests/test_links.py"
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


def takes_frames_of_an_earlier_link(patch: pytest.MonkeyPatch) -> None:
    """Let the sums of all links begin alike."""
    patch.setattr(FrameDecoder, "reseed", lambda *_: None)
    patch.setattr(FrameEncoder, "reseed", lambda *_: None)
    patch.setattr(hello, "seed_of", lambda _: 0)


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


def proves_without_the_nonces(patch: pytest.MonkeyPatch) -> None:
    """Accept a proof that was made for an earlier link."""
    rule = hello.proof_of
    patch.setattr(hello, "proof_of", lambda key, way, said: rule(key, way, said[:0]))


def believes_a_member_without_the_key(patch: pytest.MonkeyPatch) -> None:
    """Speak to whoever says that it accepts."""
    rule = CallerHello.receive

    def receive(
        self: CallerHello, kind: FrameKind, payload: bytes
    ) -> tuple[FrameKind, bytes] | None:
        return None if kind is FrameKind.ACCEPTED else rule(self, kind, payload)

    patch.setattr(CallerHello, "receive", receive)


def says_its_name_to_strangers(patch: pytest.MonkeyPatch) -> None:
    """Tell a caller without the key which member it is."""
    rule = MemberHello._challenge

    def challenge(self: MemberHello) -> tuple[FrameKind, bytes]:
        kind, payload = rule(self)
        return kind, payload + b"\x1a\x06" + self._own.name.encode()

    patch.setattr(MemberHello, "_challenge", challenge)


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
    rule = connection.OutgoingFrames.add

    def add(self: connection.OutgoingFrames, kind: FrameKind, payload: bytes) -> None:
        kept, self._frames, self._bytes = self._frames, [], 0
        rule(self, kind, payload)
        self._frames = kept + self._frames

    patch.setattr(connection.OutgoingFrames, "add", add)


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
    Mutant(takes_frames_of_an_earlier_link, UnitTests(HELLO, "know_each_other_afterwards")),
    Mutant(buffers_what_it_will_refuse, UnitTests(FRAMES, "above_the_bound")),
    Mutant(lets_another_cluster_in, UnitTests(HELLO, "does_not_belong_here")),
    Mutant(proves_without_the_nonces, UnitTests(HELLO, "passed_on_opens_no_other")),
    Mutant(believes_a_member_without_the_key, UnitTests(HELLO, "without_the_key_is_not_believed")),
    Mutant(says_its_name_to_strangers, UnitTests(HELLO, "stranger_learns_nothing")),
    Mutant(lets_a_flood_keep_callers_out, UnitTests(ADMISSION, "makes_room")),
    Mutant(waits_for_a_silent_end, UnitTests(LINKS, "about_two_seconds")),
    Mutant(gathers_without_a_bound, UnitTests(LINKS, "wait_within_bounds")),
    Mutant(answers_an_old_connection, UnitTests(NETWORK, "old_session")),
    Mutant(takes_messages_of_anybody, UnitTests(NETWORK, "message_that_cannot_be")),
    Mutant(believes_any_claim, UnitTests(NETWORK, "message_that_cannot_be")),
    Mutant(refuses_an_honest_leader, NodeSeed(1)),
)
