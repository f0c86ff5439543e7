"""The bytes of a link: a magic number, then frames.

A frame is a length (u32) of the payload, a kind (u8), a CRC32C (u32), all little-endian, and the
payload. The CRC covers the number of the frame in its direction (u64, from 0 on), the kind and the
payload.
"""

import enum
import struct
from collections.abc import Mapping

from crc32c import crc32c

from link.errors import FrameError

MAGIC = b"INVTLINK"
KIB, MIB = 1 << 10, 1 << 20

_HEADER = struct.Struct("<IBI")  # length, kind, CRC32C
_CHECKED = struct.Struct("<QB")  # the number of the frame, its kind
HEADER_BYTES = _HEADER.size


class FrameKind(enum.IntEnum):
    """What a frame's payload is; the numbers are on the wire."""

    HELLO = 1  # LinkHello
    ACCEPTED = 2  # LinkAccepted
    REFUSED = 3  # LinkRefusal
    PING = 4  # nothing
    PEER = 16  # PeerFrame
    REQUEST = 17  # ForwardRequest
    RESPONSE = 18  # ForwardResponse
    QUESTION = 19  # LinkQuestion
    ANSWER = 20  # LinkAnswer
    CHUNK = 21  # SnapshotChunk
    CHUNK_ANSWER = 22  # SnapshotAnswer
    CARRIED = 23  # bytes of a link that another link carries


BYTES_MAX: Mapping[int, int] = {  # of a payload, by kind
    FrameKind.HELLO: 2 * KIB,
    FrameKind.ACCEPTED: KIB,
    FrameKind.REFUSED: KIB,
    FrameKind.PING: 0,
    FrameKind.PEER: 16 * MIB,
    FrameKind.REQUEST: 16 * MIB,
    FrameKind.RESPONSE: 16 * MIB,
    FrameKind.QUESTION: 64 * KIB,
    FrameKind.ANSWER: 256 * KIB,
    FrameKind.CHUNK: MIB + 64 * KIB,
    FrameKind.CHUNK_ANSWER: 4 * KIB,
    FrameKind.CARRIED: MIB,
}


class FrameEncoder:
    """Makes the frames of one direction."""

    __slots__ = ("_number",)

    def __init__(self) -> None:
        """Begin with frame 0."""
        self._number = 0

    def encode(self, kind: FrameKind, payload: bytes) -> bytes:
        """Return the next frame; raise FrameError if the payload is too long for its kind."""
        if len(payload) > BYTES_MAX[kind]:
            raise FrameError(f"a {kind.name} of {len(payload)} bytes is too long to be sent")
        check = crc32c(payload, crc32c(_CHECKED.pack(self._number, kind)))
        self._number += 1
        return _HEADER.pack(len(payload), kind, check) + payload


class FrameDecoder:
    """Takes bytes as they come, and returns the frames of one direction.

    - A kind that may not come, and a length above the bound of its kind, are refused before any
      byte of the payload is waited for. So at most one payload is kept, within its bound, and what
      came with it in one piece.
    - After an error nothing more is to be decoded.
    """

    __slots__ = ("_allowed", "_awaits_magic", "_buffer", "_number")

    def __init__(self, allowed: frozenset[FrameKind], *, awaits_magic: bool = False) -> None:
        """Allow some kinds; `awaits_magic`: the other end begins with `MAGIC`."""
        self._allowed = allowed
        self._number = 0
        self._buffer = bytearray()
        self._awaits_magic = awaits_magic

    def __len__(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._buffer)

    def allow(self, allowed: frozenset[FrameKind]) -> None:
        """Allow these kinds instead, from the next frame on."""
        self._allowed = allowed

    def feed(self, data: bytes) -> None:
        """Take the bytes that came; raise FrameError if the other end begins with no `MAGIC`."""
        self._buffer += data
        if self._awaits_magic:
            begun = bytes(self._buffer[: len(MAGIC)])
            if begun != MAGIC[: len(begun)]:
                raise FrameError("what speaks there is no link")
            if len(begun) == len(MAGIC):
                del self._buffer[: len(MAGIC)]
                self._awaits_magic = False

    def next_frame(self) -> tuple[FrameKind, bytes] | None:
        """Return the next frame; None until all of it came. Raise FrameError."""
        buffer = self._buffer
        if self._awaits_magic or len(buffer) < HEADER_BYTES:
            return None
        length, number, check = _HEADER.unpack_from(buffer)
        if number not in self._allowed:
            raise FrameError(f"a frame of kind {number} may not come here")
        if length > BYTES_MAX[number]:
            raise FrameError(f"a frame of kind {number} has {length} bytes, which is too many")
        end = HEADER_BYTES + length
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            payload = bytes(view[HEADER_BYTES:end])
        if crc32c(payload, crc32c(_CHECKED.pack(self._number, number))) != check:
            raise FrameError("a frame is damaged, doubled or overtaken")
        del buffer[:end]
        self._number += 1
        return FrameKind(number), payload
