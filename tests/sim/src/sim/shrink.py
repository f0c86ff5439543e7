"""The fewest faults that still fail: delta debugging (Zeller and Hildebrandt, 2002)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
RUNS_MAX = 120


def shrink(
    faults: Sequence[T], fails: Callable[[Sequence[T]], bool], *, runs_max: int = RUNS_MAX
) -> tuple[T, ...]:
    """Return a part of `faults` that fails too; without any one of them it would not.

    Unless `runs_max` runs of `fails` ended the search before. `faults` fail.
    """
    kept = tuple(faults)
    pieces, runs = 1, 0
    while kept:
        size = -(-len(kept) // pieces)
        for start in range(0, len(kept), size):
            runs += 1
            if runs > runs_max:
                return kept
            fewer = kept[:start] + kept[start + size :]
            if fails(fewer):
                kept = fewer
                pieces = max(pieces - 1, 1)
                break
        else:
            if size == 1:
                return kept
            pieces = min(2 * pieces, len(kept))
    return kept
