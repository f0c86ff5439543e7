"""The frames of a link on their way out: gathered in a turn, then sealed and written at once."""

import asyncio

from link.errors import FrameError
from link.frames import MAGIC, FrameEncoder, FrameKind
from link.tls import TlsEnd

FRAMES_WAITING_MAX = 4_096
BYTES_WAITING_MAX = 32 << 20


class OutgoingFrames:
    """The frames on their way out.

    - At most `FRAMES_WAITING_MAX` frames wait while the other end does not read, and they are made
      of `BYTES_WAITING_MAX` bytes at most, but for the last. One more is an error.
    - Nothing is written while the other end does not read, but for what the loop has taken.
    - No frame is written before the other end's certificate is accepted.
    """

    def __init__(self, tls: TlsEnd) -> None:
        """Start without a connection."""
        self.encoder = FrameEncoder()
        self.is_paused = False
        self._tls = tls
        self._transport: asyncio.WriteTransport | None = None
        self._frames: list[bytes] = [MAGIC]
        self._bytes = 0

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    def connect(self, transport: asyncio.WriteTransport) -> None:
        """Write to a connection from here on."""
        self._transport = transport

    def disconnect(self) -> None:
        """Write nothing more, and drop what waits."""
        self._transport = None
        self._frames.clear()

    def add(self, kind: FrameKind, payload: bytes) -> None:
        """Gather a frame; raise FrameError past a bound."""
        if len(self._frames) >= FRAMES_WAITING_MAX or self._bytes >= BYTES_WAITING_MAX:
            raise FrameError(f"{len(self)} frames, {self._bytes} bytes, were not read")
        frame = self.encoder.encode(kind, payload)
        self._frames.append(frame)
        self._bytes += len(frame)

    def flush(self) -> None:
        """Write what was gathered, and what TLS has to say by itself."""
        if self._transport is None:
            return
        if self._frames and self._tls.is_complete and not self.is_paused:
            frames, self._frames, self._bytes = self._frames, [], 0
            self._tls.seal(frames[0] if len(frames) == 1 else b"".join(frames))
        sealed = self._tls.take()
        if sealed:
            self._transport.write(sealed)
