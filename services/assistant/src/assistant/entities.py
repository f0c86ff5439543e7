"""Which item a question means: by the item's id, or by words of the item's name.

Words are matched with a whole name first, then with a part of a name, then without a plural's
ending, then with a typing error or two. If several items fit equally well, the user is asked.
Nothing is guessed.
"""

from collections.abc import Callable, Sequence

from inventory_client import Item
from wire.text import folded

from assistant.errors import UnresolvedItem
from assistant.query import Reference

_IRREGULAR = {"mice": "mouse", "knives": "knife", "shelves": "shelf", "leaves": "leaf"}
CANDIDATES_MAX = 10
SHORT_WORD = 4
LONG_WORD = 8

Find = Callable[[str], Sequence[Item]]  # items whose names contain a text


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
    exact = [item for item in found if folded(item.name) in spellings(words)]
    if len(exact) == 1:
        return exact[0]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnresolvedItem(
            f'Several items fit "{words}"; which one do you mean?', found[:CANDIDATES_MAX]
        )
    return None


def by_typing_error(words: str, catalogue: Sequence[Item]) -> Item | None:
    """Return the item whose name, or a word of whose name, is a typing error or two away."""
    allowed = errors_allowed(words)
    if not allowed:
        return None
    near = [
        item
        for item in catalogue
        if any(
            abs(len(words) - len(candidate)) <= allowed and distance(words, candidate) <= allowed
            for candidate in [folded(item.name), *folded(item.name).split()]
        )
    ]
    return choose(words, near)


def errors_allowed(words: str) -> int:
    """Return how many typing errors words of this length may have."""
    if len(words) < SHORT_WORD:
        return 0
    return 1 if len(words) < LONG_WORD else 2


def distance(one: str, other: str) -> int:
    """Return the number of letters to insert, delete, replace or swap (Damerau and Levenshtein)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        following = [place]
        for at, its in enumerate(other, start=1):
            best = min(row[at] + 1, following[at - 1] + 1, row[at - 1] + (letter != its))
            swapped = place > 1 and at > 1 and letter == other[at - 2] and one[place - 2] == its
            if swapped:
                best = min(best, before[at - 2] + 1)
            following.append(best)
        before, row = row, following
    return row[-1]


def named(reference: Reference) -> str:
    """Return the phrase for an item that does not exist."""
    return f"item {reference.item_id}" if reference.item_id is not None else f'"{reference.words}"'
