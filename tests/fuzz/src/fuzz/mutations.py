"""Changes of known bytes, drawn from a seed."""

import random
from collections.abc import Iterator, Sequence

EDGES = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\xff" * 8,
    b"\x00" * 8, b"\xff\xff\xff\x7f", b"[[[[", b'{"":', b'"', b"%", b"::", b",", b"\n", b"=",
    "\u202e".encode(), "\u200b".encode(), b"\xed\xa0\x80", b"1e999", b"-1", b"NaN",
)  # fmt: skip
CHANGES_MAX = 4  # of one input
PIECE_BYTES_MAX = 64
REPEATS_MAX = 64


def _changed(draw: random.Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """Return bytes with one change."""
    at = draw.randint(0, len(data))
    end = min(len(data), at + draw.randint(1, PIECE_BYTES_MAX))
    match draw.randrange(7):
        case 0 if data:
            data[min(at, len(data) - 1)] ^= 1 << draw.randrange(8)
        case 1:
            data[at:end] = b""
        case 2:
            data[at:at] = draw.choice(EDGES)
        case 3:
            data[at:end] = draw.choice(EDGES)
        case 4:
            data[at:at] = bytes(data[at:end]) * draw.randint(1, REPEATS_MAX)
        case 5:
            other = draw.choice(others)
            start = draw.randint(0, len(other))
            data[at:end] = other[start : start + draw.randint(1, PIECE_BYTES_MAX)]
        case _:
            data[at:end] = draw.randbytes(end - at)
    return data


def mutations(known: Sequence[bytes], seed: int, count: int, bytes_max: int) -> Iterator[bytes]:
    """Yield `count` changes of known inputs; the same seed yields the same."""
    draw = random.Random(seed)
    others = known or [b""]
    for _ in range(count):
        data = bytearray(draw.choice(others))
        for _ in range(draw.randint(1, CHANGES_MAX)):
            data = _changed(draw, data, others)
        yield bytes(data[:bytes_max])
