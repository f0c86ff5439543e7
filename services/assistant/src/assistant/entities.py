"""Which item a question means: by the item's id, or by words of the item's name.

Words are matched with a whole name first, then with a part of a name, then without a plural's
ending, then with a typing error or two. If several items fit equally well, the user is asked.
Nothing is guessed.
"""

from collections.abc import Sequence
from itertools import pairwise

from inventory_client import Item
from wire.text import folded

from assistant.errors import UnresolvedItem

_IRREGULAR = {"mice": "mouse", "knives": "knife", "shelves": "shelf", "leaves": "leaf"}
CANDIDATES_MAX = 10
SHORT_WORD = 4
LONG_WORD = 8


def spellings(words: str) -> list[str]:
    """Return words as they were written, and without a plural's ending."""
    written = [words]
    for plural, singular in _IRREGULAR.items():
        if words.endswith(plural):
            written.append(words.removesuffix(plural) + singular)
    if words.endswith("ies"):
        written.append(words[:-3] + "y")
    if words.endswith("es"):
        written.append(words[:-2])
    if words.endswith("s") and not words.endswith("ss"):
        written.append(words[:-1])
    return written


def choose(words: str, found: Sequence[Item]) -> Item | None:
    """Return the item that words mean; None if none fits; raise UnresolvedItem if several fit."""
    written = spellings(words)
    exact = [item for item in found if folded(item.name) in written]
    if len(exact) == 1:
        return exact[0]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnresolvedItem(
            f'Several items fit "{words}"; which one do you mean?', found[:CANDIDATES_MAX]
        )
    return None


def misspelt(words: str, catalogue: Sequence[Item]) -> list[Item]:
    """Return the items whose name, or a word of whose name, is a typing error or two away."""
    allowed = errors_allowed(words)
    if not allowed:
        return []
    pieces = _pieces(words, 2 * allowed + 1)
    return [
        item
        for item in catalogue
        if any(
            any(piece in candidate for piece in pieces) and is_near(words, candidate, allowed)
            for candidate in {folded(item.name), *folded(item.name).split()}
        )
    ]


def errors_allowed(words: str) -> int:
    """Return how many typing errors words of this length may have."""
    if len(words) < SHORT_WORD:
        return 0
    return 1 if len(words) < LONG_WORD else 2


def _pieces(words: str, count: int) -> set[str]:
    """Cut words into `count` pieces. An error changes two pieces at most: a swap, at a border."""
    cuts = [len(words) * place // count for place in range(count + 1)]
    return {words[start:end] for start, end in pairwise(cuts)}


def is_near(one: str, other: str, allowed: int) -> bool:
    """Tell whether at most `allowed` letters are inserted, deleted, replaced or swapped.

    No letter is changed twice (Damerau and Levenshtein, optimal string alignment). The texts are
    compared at whole lengths, at most four times as often for each error that is allowed.
    """
    if one == other:
        return True
    if not allowed or abs(len(one) - len(other)) > allowed:
        return False
    same = _shared(one, other)
    one, other = one[same:], other[same:]
    return (
        is_near(one[1:], other[1:], allowed - 1)
        or is_near(one[1:], other, allowed - 1)
        or is_near(one, other[1:], allowed - 1)
        or (one[:2] == other[1::-1] and is_near(one[2:], other[2:], allowed - 1))
    )


def _shared(one: str, other: str) -> int:
    """Return with how many equal letters two texts begin, by halving."""
    same, end = 0, min(len(one), len(other))
    while same < end:
        middle = (same + end + 1) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same
