"""HTTP/2 (RFC 9113) as an attacker speaks it: frames as they come, bodies that do not end.

Only what an attack needs: no Huffman coding, no dynamic table, no reading of header blocks.
"""

import contextlib
import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES = 9
FRAME_BYTES_MAX = 16_384
WINDOW_BYTES = 65_535  # of a stream and of a connection, until the server says otherwise
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4  # a setting
SEND_SECONDS_MAX = 2.0

Pairs = Iterable[tuple[str, str]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame (§4.1)."""
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload


def _text(value: str) -> bytes:
    """Return a text without Huffman coding (RFC 7541 §5.2)."""
    raw = value.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, length = len(raw) - 127, bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    length.append(rest)
    return bytes(length) + raw


def header_block(path: str, more: Pairs = ()) -> bytes:
    """Return the headers of a gRPC call, each as a literal without indexing (RFC 7541 §6.2.2)."""
    pairs = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "inventory"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    )
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs)


class RawConnection:
    """One connection and its streams.

    - The server's flow control is obeyed, since the server ends a connection that ignores it.
    """

    def __init__(self, address: str, window_bytes: int = WINDOW_BYTES) -> None:
        """Connect to host:port; `window_bytes`: what each stream may send before it is read."""
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._received = b""
        self._connection_window = WINDOW_BYTES
        self._first_window = WINDOW_BYTES
        self._windows: dict[int, int] = {}
        self._last = -1
        self.ended: set[int] = set()  # streams that the server ended
        self.is_over = False
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window_bytes)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._socket.close()

    def begin(self, path: str, more: Pairs = ()) -> int:
        """Open a stream for a call; return its number."""
        self._last += 2
        self._windows[self._last] = self._first_window
        self._send(frame(HEADERS, END_HEADERS, self._last, header_block(path, more)))
        return self._last

    def send(self, stream: int, data: bytes, *, ends: bool = False) -> int:
        """Send as much as one frame and the windows allow; return how many bytes that was."""
        room = min(FRAME_BYTES_MAX, self._connection_window, self._windows[stream])
        sent = data[: max(0, room)]
        if not sent or stream in self.ended or self.is_over:
            return 0
        self._connection_window -= len(sent)
        self._windows[stream] -= len(sent)
        is_last = ends and len(sent) == len(data)
        self._send(frame(DATA, END_STREAM if is_last else 0, stream, sent))
        return len(sent)

    def _send(self, raw: bytes) -> None:
        try:
            self._socket.settimeout(SEND_SECONDS_MAX)
            self._socket.sendall(raw)
        except OSError:
            self.is_over = True

    def receive(self, seconds: float) -> None:
        """Take what the server sent, waiting so long at most; update windows and ended streams."""
        if self.is_over:
            return
        try:
            self._socket.settimeout(max(seconds, 0.0001))
            received = self._socket.recv(1 << 16)
            self.is_over = not received
            self._received += received
        except TimeoutError:
            return
        except OSError:
            self.is_over = True
        while len(self._received) >= FRAME_HEADER_BYTES:
            length = int.from_bytes(self._received[:3])
            whole = FRAME_HEADER_BYTES + length
            if len(self._received) < whole:
                return
            head, payload = self._received[:FRAME_HEADER_BYTES], self._received[9:whole]
            self._received = self._received[whole:]
            self._take(head[3], head[4], int.from_bytes(head[5:]) & 0x7FFF_FFFF, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for identifier, value in struct.iter_unpack(">HI", payload):
                if identifier == INITIAL_WINDOW_SIZE:
                    for one in self._windows:
                        self._windows[one] += value - self._first_window
                    self._first_window = value
            self._send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            grown = int.from_bytes(payload)
            if not stream:
                self._connection_window += grown
            elif stream in self._windows:
                self._windows[stream] += grown
        elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
            self.ended.add(stream)


def prefixed(message_bytes: int, *, compressed: bool = False) -> bytes:
    """Return the five bytes before a message of gRPC."""
    return struct.pack(">BI", compressed, message_bytes)


def connect_all(address: str, count: int) -> contextlib.ExitStack:
    """Open connections that say nothing; the stack closes them."""
    host, _, port = address.rpartition(":")
    stack = contextlib.ExitStack()
    for _ in range(count):
        stack.enter_context(socket.create_connection((host, int(port))))
    return stack
