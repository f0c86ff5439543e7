"""Bytes of a link: what is encoded comes back, and anything else is refused or waited for."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from link.errors import FrameError
from link.frames import (
    BYTES_MAX,
    HEADER_BYTES,
    MAGIC,
    FrameDecoder,
    FrameEncoder,
    FrameKind,
)

KINDS = frozenset({FrameKind.PEER, FrameKind.PING, FrameKind.REFUSED})
FRAMES = st.lists(
    st.one_of(
        st.tuples(st.just(FrameKind.PEER), st.binary(max_size=300)),
        st.tuples(st.just(FrameKind.REFUSED), st.binary(max_size=300)),
        st.just((FrameKind.PING, b"")),
    ),
    max_size=8,
)
PIECE_BYTES_MAX = 64


def encoded(frames: list[tuple[FrameKind, bytes]]) -> list[bytes]:
    """Return frames as bytes."""
    encoder = FrameEncoder()
    return [encoder.encode(kind, payload) for kind, payload in frames]


def decoded(
    data: bytes, pieces: random.Random | None = None
) -> tuple[list[tuple[FrameKind, bytes]], str]:
    """Decode bytes, in pieces if they are to be drawn; return the frames and the problem, if any.

    What waits in the decoder is bounded at every step.
    """
    decoder = FrameDecoder(KINDS)
    frames, at = [], 0
    while at < len(data):
        size = pieces.randint(1, PIECE_BYTES_MAX) if pieces is not None else len(data)
        try:
            decoder.feed(data[at : at + size])
            while (frame := decoder.next_frame()) is not None:
                frames.append(frame)
        except FrameError as error:
            return frames, str(error)
        assert len(decoder) <= HEADER_BYTES + BYTES_MAX[FrameKind.PEER]
        at += size
    return frames, ""


@given(FRAMES, st.randoms(use_true_random=False))
def test_frames_come_back_however_they_are_cut_into_pieces(
    frames: list[tuple[FrameKind, bytes]], pieces: random.Random
) -> None:
    """TCP keeps the order of bytes, and nothing else."""
    assert decoded(b"".join(encoded(frames)), pieces) == (frames, "")


@settings(max_examples=300)
@given(st.binary(max_size=400), st.randoms(use_true_random=False))
def test_arbitrary_bytes_are_refused_or_waited_for(data: bytes, pieces: random.Random) -> None:
    """Without any other exception, and with bounded memory; a frame among them is by design."""
    frames, _ = decoded(data, pieces=pieces)
    assert all(len(payload) <= BYTES_MAX[kind] for kind, payload in frames)


@settings(max_examples=300)
@given(FRAMES.filter(bool), st.data(), st.randoms(use_true_random=False))
def test_a_changed_stream_gives_a_part_of_what_was_sent(
    frames: list[tuple[FrameKind, bytes]], data: st.DataObject, pieces: random.Random
) -> None:
    """One byte of a stream differs: everything before its frame comes, nothing wrong does."""
    stream = bytearray(b"".join(encoded(frames)))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    came, _ = decoded(bytes(stream), pieces=pieces)
    assert came == frames[: len(came)]
    assert len(came) < len(frames)


@given(FRAMES, st.integers(0, 7), st.integers(0, 7))
def test_frames_that_are_doubled_overtaken_or_missing_are_refused(
    frames: list[tuple[FrameKind, bytes]], one: int, other: int
) -> None:
    """The number of a frame in its direction is part of its CRC."""
    several = [*frames, (FrameKind.PEER, b"a"), (FrameKind.PEER, b"b")]
    made = encoded(several)
    one, other = one % len(made), other % len(made)
    doubled = [*made[: one + 1], *made[one:]]
    assert decoded(b"".join(doubled)) == (several[: one + 1], DAMAGED)
    if one != other:
        swapped = list(made)
        swapped[one], swapped[other] = made[other], made[one]
        assert decoded(b"".join(swapped)) == (several[: min(one, other)], DAMAGED)
    missing = [*made[:one], *made[one + 1 :]]
    assert decoded(b"".join(missing))[0] == several[:one]


DAMAGED = "a frame is damaged, doubled or overtaken"


@pytest.mark.parametrize("kind", BYTES_MAX)
def test_a_length_above_the_bound_is_refused_before_its_bytes_come(kind: FrameKind) -> None:
    """By the header alone; the bound itself is waited for."""
    for length, is_refused in ((BYTES_MAX[kind], False), (BYTES_MAX[kind] + 1, True)):
        decoder = FrameDecoder(frozenset({kind}))
        decoder.feed(struct.pack("<IBI", length, kind, 0))
        if is_refused:
            with pytest.raises(FrameError, match="too many"):
                decoder.next_frame()
        elif length:
            assert decoder.next_frame() is None
    with pytest.raises(FrameError, match="too long"):
        FrameEncoder().encode(kind, bytes(BYTES_MAX[kind] + 1))


@pytest.mark.parametrize("number", [0, 15, FrameKind.HELLO, FrameKind.CHUNK, 255])
def test_a_kind_that_may_not_come_is_refused_by_its_header(number: int) -> None:
    """Whether there is such a kind or not."""
    assert decoded(struct.pack("<IBI", 1_000, number, 0))[1].startswith(f"a frame of kind {number}")


@given(st.binary(min_size=1, max_size=20))
def test_what_begins_otherwise_is_no_link(data: bytes) -> None:
    """The first byte that differs tells; the right ones are waited for."""
    decoder = FrameDecoder(KINDS, awaits_magic=True)
    if data.startswith(MAGIC) or MAGIC.startswith(data):
        decoder.feed(data)
        assert len(decoder) <= len(data)
        return
    with pytest.raises(FrameError, match="no link"):
        decoder.feed(data)


def test_magic_may_come_in_pieces_and_is_not_a_frame() -> None:
    """Byte by byte."""
    decoder = FrameDecoder(KINDS, awaits_magic=True)
    for byte in MAGIC + encoded([(FrameKind.PING, b"")])[0]:
        assert decoder.next_frame() is None
        decoder.feed(bytes([byte]))
    assert decoder.next_frame() == (FrameKind.PING, b"")
    assert len(decoder) == 0


def test_kinds_change_between_two_frames_of_one_piece() -> None:
    """As they do at the end of a hello."""
    encoder = FrameEncoder()
    first = encoder.encode(FrameKind.ACCEPTED, b"w")
    decoder = FrameDecoder(frozenset({FrameKind.ACCEPTED}))
    decoder.feed(first + encoder.encode(FrameKind.PEER, b"p"))
    assert decoder.next_frame() == (FrameKind.ACCEPTED, b"w")
    decoder.allow(KINDS)
    assert decoder.next_frame() == (FrameKind.PEER, b"p")
