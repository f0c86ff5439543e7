"""Inputs put to a target, and the work and the memory that they cost."""

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fuzz.mutations import mutations
from fuzz.target import FuzzTarget

LINES_AT_ONCE = 30_000  # that an input may cost, whatever its length
BYTES_AT_ONCE = 1 << 20  # likewise, of memory
BYTES_PER_BYTE = 400  # of memory, at most, beside BYTES_AT_ONCE
RUNS_MAX = 3
SAMPLE = 25  # one input of so many is watched closely


class Broken(Exception):  # noqa: N818 - what became of an input
    """An input that a target did not bear."""


class _Lines:
    """Counts the lines of Python that run; raises Broken at too many."""

    def __init__(self, most: int) -> None:
        self._left = most

    def trace(self, _frame: FrameType, event: str, _what: Any) -> Any:  # noqa: ANN401 - of sys.settrace
        """See `sys.settrace`."""
        if event == "line":
            self._left -= 1
            if self._left < 0:
                raise Broken("more lines run than the length of the input explains")
        return self.trace


@contextmanager
def bounded(target: FuzzTarget, size: int) -> Iterator[None]:
    """Run within the work and the memory of an input of `size` bytes; raise Broken."""
    before = sys.gettrace()
    tracemalloc.start()
    sys.settrace(_Lines(LINES_AT_ONCE + target.lines_per_byte * size).trace)
    try:
        yield
    finally:
        sys.settrace(before)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if peak > BYTES_AT_ONCE + BYTES_PER_BYTE * size:
        raise Broken(f"{peak} bytes of memory for {size} bytes of input")


def judge_closely(target: FuzzTarget, data: bytes) -> None:
    """Put one input to a target, within bounds; raise Broken, or what the target raises.

    The garbage of others may be collected meanwhile, so a bound counts if it is passed each time.
    """
    for left in reversed(range(RUNS_MAX)):
        try:
            with bounded(target, len(data)):
                target.judge(data)
        except Broken:
            if not left:
                raise
        else:
            return


def judge_all(target: FuzzTarget, seed: int) -> None:
    """Put the known inputs, long ones made of them, and mutations to a target.

    Raises Broken, which names the input.
    """
    known = target.known()
    target.judge(b"")  # what is made once is made here
    long = [one * (target.bytes_max // len(one)) for one in known if one]
    drawn = mutations(known, seed, target.mutations, target.bytes_max)
    for number, data in enumerate((*known, *long, *drawn)):
        is_watched = number < len(known) or not number % SAMPLE
        try:
            if is_watched:
                judge_closely(target, data)
            else:
                target.judge(data)
        except Exception as error:
            raise Broken(f"{target.name} does not bear {data[:400]!r}") from error
